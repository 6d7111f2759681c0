/* SPDX-License-Identifier: MIT */
/*
 * PmBufferRegistry: which I/O buffers a device can access without a map and unmap per request.
 *
 * A userspace driver adds the RAM that its buffers are in, or registers buffers one by one. The
 * registry keeps it registered with a back end: mapped in a PmIommu, or with what the caller's
 * PmBufferBackend does, for example blkio_map_mem_region(). A request leases its buffer
 * (pm_buffer_lease_acquire()) and gets the device's addresses of it; if that fails, it uses a
 * bounce buffer. dma_vector.h does both. docs/registered-buffers.md has the whole picture.
 *
 * RAM is followed: of RAM with a discard manager, the populated blocks are registered, before they
 * are used, and unregistered before they are discarded. A leased block is not discarded: the
 * discard fails with PM_ERROR_BUSY before anything is unmapped, after waiting as long as
 * PmBufferRegistryConfig.wait_ms allows. Without leases, only a failure of the back end to unmap
 * stops a discard.
 *
 * Populating never fails for lack of regions, locked memory or anything else that registering may
 * lack: such blocks are not registered ("refused"), their requests bounce, and
 * pm_buffer_registry_get_stats() and pm_buffer_registry_next() report them with the reason. They
 * are retried whenever a region ends, and by pm_buffer_registry_retry(). (With an exception: if it
 * is unknown whether something stayed mapped, populating fails with PM_ERROR_QUARANTINED, as the
 * discard manager requires.)
 *
 * Regions may be scarcer than populated blocks (libblkio's vhost-user driver has 509). Then:
 * - With PM_BUFFER_CAN_REPLACE, adjacent blocks share a region. A shared region is unregistered and
 *   registered in another size when one of its blocks is discarded, or when the next one is
 *   populated. A lease of one of its blocks then delays the discard of each.
 * - Otherwise, what was used last stays registered. A block without a region gets the one that was
 *   unused for longest, but only after it was asked for several times since that one was used, so
 *   that requests that visit more blocks than there are regions do not thrash. This happens in the
 *   thread that asks for the lease, if nobody else uses the registry at the time.
 *
 * A back end can fail to unmap. If nothing changed, the call that wanted it fails and changes
 * nothing. If it is unknown whether the region is still there (PM_ERROR_QUARANTINED,
 * PM_ERROR_UNMAP_MISMATCH), nobody gets a lease on it, its RAM stays referenced, it counts against
 * the limit, and it is in quarantine (discard_manager.h) until an unmap succeeds:
 * pm_buffer_registry_retry(), pm_buffer_registry_remove_ram(), pm_buffer_registry_unregister(),
 * pm_discard_source_discard_all(), and after pm_buffer_registry_free() with a PmIommu also
 * pm_iommu_settle().
 *
 * Discards that nobody coordinates (discard_policy.h) are disabled for what is added: by a PmIommu,
 * and by a back end with PM_BUFFER_MAY_PIN. For RAM without a discard manager these disable all
 * discards. So add RAM after its discard manager was made, and remove it before that is dropped.
 *
 * fork(2): in a child, the functions that register, unregister or retry, and
 * pm_buffer_lease_acquire(), fail with PM_ERROR_PERMISSION, pm_buffer_registry_free() frees the
 * child's copy only, and the back end is not called.
 *
 * Threads: leases are safe from any thread at any time, without locks. All other functions are safe
 * from several threads at once and wait for each other, except that functions that add, remove or
 * free RAM with a discard manager belong in the manager's thread. Nothing may use a registry while
 * it is freed. A lock is held while the back end is called: it must not call back into the
 * registry or into a discard manager.
 */
#ifndef PLUGMAP_BUFFER_REGISTRY_H
#define PLUGMAP_BUFFER_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <plugmap/iommu.h>
#include <plugmap/ram.h>

G_BEGIN_DECLS

typedef struct PmBufferRegistry PmBufferRegistry;

/**
 * PmBufferRegion: memory to register with a caller's back end. Frozen: it never grows.
 * @host, @size: the memory; multiples of PmBufferBackend.alignment.
 * @fd, @fd_offset: the memory is a mapping of this file; -1: of none, or not known. The descriptor
 * belongs to the RAM.
 * @address: the device's address of @host; the rest follows. Set by PmBufferBackend.map, which
 * leaves it alone if the device uses host addresses: it is @host before the call.
 */
typedef struct {
    void *host;
    uint64_t size;
    int fd;
    uint64_t fd_offset;
    uint64_t address;
} PmBufferRegion;

/**
 * PmBufferBackendFlags: what regions of a caller's back end are like. Of libblkio's properties:
 * @PM_BUFFER_NEEDS_FD: a region needs a file ("needs-mem-region-fd"). RAM without one is not
 * registered: its requests bounce, and it is reported (PM_BUFFER_NO_FILE).
 * @PM_BUFFER_MAY_PIN: the device may keep using pages that were discarded ("may-pin-mem-regions"):
 * disables uncoordinated discards of what is added.
 * @PM_BUFFER_CAN_REPLACE: adjacent blocks may share a region, which is unmapped and mapped in
 * another size while none of it is leased. Right for libblkio, where a region is a range of memory
 * that requests point into.
 * @PM_BUFFER_KEEPS_MEMORY: memory must not be discarded while it is registered, and must stay
 * registered: disables all discards of what is added. RAM with a discard manager is refused.
 */
typedef enum {
    PM_BUFFER_NEEDS_FD = 1 << 0,
    PM_BUFFER_MAY_PIN = 1 << 1,
    PM_BUFFER_CAN_REPLACE = 1 << 2,
    PM_BUFFER_KEEPS_MEMORY = 1 << 3,
} PmBufferBackendFlags;

/**
 * PmBufferBackend: registers memory with a device. The registry calls one function at a time, from
 * any thread that uses it. (A libblkio driver without "needs-mem-regions" needs no registry.)
 * @struct_size: sizeof(PmBufferBackend) (macros.h).
 * @max_regions: how many there can be ("max-mem-regions"); 0: no limit.
 * @alignment: of host address and size of a region, in bytes, a power of two
 * ("mem-region-alignment"); 0: 1.
 * @flags: of PmBufferBackendFlags.
 * @map: mandatory. Registers a region, which overlaps no other, and may set its address. On failure
 * returns false with an error, of any domain, and leaves nothing registered; if it may have, the
 * code must be PM_ERROR_QUARANTINED.
 * @unmap: mandatory. Unregisters a region as it was mapped, with its address. On failure returns
 * false with an error, and the region is still registered; if it is unknown whether it is, the code
 * must be PM_ERROR_QUARANTINED or PM_ERROR_UNMAP_MISMATCH, and it is called again until it
 * succeeds.
 * @free: optional. Last use of @user_data: when the registry was freed and no region is left. Not
 * called if pm_buffer_registry_new() failed, or in a forked child.
 */
typedef struct {
    size_t struct_size;
    uint64_t max_regions;
    uint64_t alignment;
    uint64_t flags;
    bool (*map)(void *user_data, PmBufferRegion *region, GError **error);
    bool (*unmap)(void *user_data, const PmBufferRegion *region, GError **error);
    void (*free)(void *user_data);
} PmBufferBackend;

/**
 * PmBufferRegistryConfig: set exactly one of @iommu and @backend.
 * @struct_size: sizeof(PmBufferRegistryConfig) (macros.h).
 * @name: for messages, and as the name of its discard listeners and claims, for example
 * "the buffers of 0000:00:04.0"; copied.
 * @iommu: buffers are mapped there, each block as a mapping of its own; a reference is held. The
 * number of regions is the number of mappings it has left.
 * @backend, @user_data: the caller's own; copied.
 * @window: with @iommu: only addresses in it are used, for example those that the device can
 * generate; all zero: any.
 * @avoid, @n_avoid: with @iommu: addresses never used, for example those of guest RAM that a
 * PmMapper will map later. What others have claimed already is avoided without this.
 * @temporary_size: with @iommu: bytes of addresses for the mappings of single requests
 * (dma_vector.h); 0: 1 GiB, or an eighth of all if that is less.
 * @wait_ms: how long a discard, and whatever else ends a region, waits for leases on it to be
 * released before it fails with PM_ERROR_BUSY; 0: not at all. Meanwhile nobody gets a new lease on
 * it. At most UINT_MAX.
 * @bounce_size: bytes of the bounce pool (dma_vector.h), which is registered when first needed; 0:
 * 1 MiB.
 * @bounce_limit: up to which it grows, at most 1 TiB; 0: 64 MiB, or @bounce_size if that is more.
 */
typedef struct {
    size_t struct_size;
    const char *name;
    PmIommu *iommu;
    const PmBufferBackend *backend;
    void *user_data;
    PmIovaRange window;
    const PmIovaRange *avoid;
    size_t n_avoid;
    uint64_t temporary_size;
    uint64_t wait_ms;
    uint64_t bounce_size;
    uint64_t bounce_limit;
} PmBufferRegistryConfig;

/**
 * Makes a registry with nothing registered.
 * Returns: the registry, for pm_buffer_registry_free(), or NULL. Errors: PM_ERROR_INVALID_ARGUMENT
 * (no @name, not one of @iommu and @backend, no map or unmap, flags, alignment, window, sizes),
 * PM_ERROR_UNSUPPORTED (members that this library does not know).
 */
PM_EXPORT PmBufferRegistry *pm_buffer_registry_new(const PmBufferRegistryConfig *config,
                                                   GError **error);

/**
 * Unregisters everything and frees the registry; NULL does nothing. No lease may be held. What the
 * back end fails to unmap is logged, keeps its RAM, and stays in quarantine if the RAM has a
 * discard manager: to get the error, remove all before.
 */
PM_EXPORT void pm_buffer_registry_free(PmBufferRegistry *registry);

/**
 * How many regions there can be at once: PmBufferBackend.max_regions, or the mapping limit of the
 * PmIommu; UINT64_MAX: no known limit. Where blocks cannot share a region, so many blocks can be
 * registered.
 */
PM_EXPORT uint64_t pm_buffer_registry_get_region_limit(const PmBufferRegistry *registry);

/**
 * Adds a part of a RAM, and follows its discard manager, if it has one. Failing to register
 * some of it now is no error (see above). RAM does not resize: what a VM adds later is
 * another range, or another PmRam. Buffers may span ranges that are adjacent in host memory.
 * @ram: a reference is held until it is removed and nothing of it is registered.
 * @offset, @size: bytes. Multiples of the manager's granularity, which must be at least the page
 * size of the IOMMU and a multiple of PmBufferBackend.alignment; without a manager, multiples of
 * these themselves.
 *
 * Errors, with nothing changed: PM_ERROR_INVALID_ARGUMENT (range), PM_ERROR_UNALIGNED,
 * PM_ERROR_OVERLAP (some of this memory was added already), PM_ERROR_LIMIT and PM_ERROR_IOVA_RANGE
 * (no room for its addresses), PM_ERROR_BUSY (somebody requires discards that this must disable,
 * whom the message names), PM_ERROR_QUARANTINED (some of it is in quarantine; or some of it may
 * have stayed registered, and is now), PM_ERROR_MEMORY, PM_ERROR_PERMISSION (in a forked child).
 */
PM_EXPORT bool pm_buffer_registry_add_ram(PmBufferRegistry *registry, PmRam *ram, uint64_t offset,
                                          uint64_t size, GError **error);

/**
 * Removes a range as it was added.
 * Errors: PM_ERROR_NOT_FOUND (no such range was added), PM_ERROR_BUSY (leased; or another thread is
 * removing it),
 * PM_ERROR_QUARANTINED (the back end does not know whether it unmapped some of it),
 * PM_ERROR_PERMISSION (in a forked child), those of the back end's unmap. The range stays added
 * then.
 */
PM_EXPORT bool pm_buffer_registry_remove_ram(PmBufferRegistry *registry, PmRam *ram,
                                             uint64_t offset, uint64_t size, GError **error);

/**
 * Registers a buffer that is in no PmRam, such as a queue of the device, as one region. It must
 * stay mapped until it is unregistered. It has priority: if no region is left, adjacent regions of
 * RAM are merged, or the one that was unused for longest gives way. For hugetlb memory, adopt it as
 * a PmRam and add that.
 * @host, @size: multiples of the page size of host and IOMMU, and of PmBufferBackend.alignment.
 * @fd, @fd_offset: it is a shared mapping of this file, which stays open; -1: of none.
 *
 * Errors, with nothing registered: PM_ERROR_INVALID_ARGUMENT (empty; past the end of the address
 * space; no @fd, but the back end needs one), PM_ERROR_UNALIGNED, PM_ERROR_OVERLAP,
 * PM_ERROR_LIMIT (no region left), PM_ERROR_IOVA_RANGE, PM_ERROR_MEMORY, PM_ERROR_PERMISSION (in a
 * forked child), those of pm_iommu_claim_map() or of the back end's map. (With an exception: with
 * PM_ERROR_QUARANTINED it may be registered, and must stay mapped, until
 * pm_buffer_registry_retry() returns true, or pm_buffer_registry_register() of it succeeds.)
 */
PM_EXPORT bool pm_buffer_registry_register(PmBufferRegistry *registry, void *host, uint64_t size,
                                           int fd, uint64_t fd_offset, GError **error);

/**
 * Unregisters a buffer; @host and @size as it was registered. Errors: as
 * pm_buffer_registry_remove_ram().
 */
PM_EXPORT bool pm_buffer_registry_unregister(PmBufferRegistry *registry, void *host, uint64_t size,
                                             GError **error);

/**
 * Tries again to register all that was refused, and to unmap regions that may or may not be
 * registered. For when others have freed what was lacking (mappings, locked
 * memory); whatever the registry frees itself, it reuses at once.
 * Returns: whether nothing is refused and nothing unknown now. Errors: the first refusal, or
 * PM_ERROR_QUARANTINED; PM_ERROR_BUSY (what is unknown shares a range with memory that is about to
 * be discarded or removed), PM_ERROR_PERMISSION (in a forked child); those of the back end's unmap.
 */
PM_EXPORT bool pm_buffer_registry_retry(PmBufferRegistry *registry, GError **error);

/**
 * PmBufferRegistryStats: numbers for reports.
 * @struct_size: sizeof(PmBufferRegistryStats) (macros.h).
 * @n_ranges: ranges added, buffers included.
 * @added_bytes: bytes in them. Of these:
 * @registered_bytes: registered.
 * @refused_bytes: populated, but refused for now.
 * @no_file_bytes: populated, but without the file that the back end needs.
 * @unknown_bytes: possibly registered.
 * @n_regions: regions in use, unknown ones included; of a PmIommu: mappings.
 * @n_evicted: regions that gave way to others since the registry was made.
 * @n_replaced: regions that were mapped in another size.
 * @n_failed_maps: failures of the back end to map, since the registry was made.
 */
typedef struct {
    size_t struct_size;
    uint64_t n_ranges;
    uint64_t added_bytes;
    uint64_t registered_bytes;
    uint64_t refused_bytes;
    uint64_t no_file_bytes;
    uint64_t unknown_bytes;
    uint64_t n_regions;
    uint64_t n_evicted;
    uint64_t n_replaced;
    uint64_t n_failed_maps;
} PmBufferRegistryStats;

/**
 * Fills in @stats; set its struct_size before.
 * Errors: PM_ERROR_INVALID_ARGUMENT (struct_size).
 */
PM_EXPORT bool pm_buffer_registry_get_stats(PmBufferRegistry *registry,
                                            PmBufferRegistryStats *stats, GError **error);

/**
 * PmBufferState: of populated memory.
 * @PM_BUFFER_REGISTERED: one region.
 * @PM_BUFFER_REFUSED: not registered; will be retried.
 * @PM_BUFFER_NO_FILE: not registered, because it has no file.
 * @PM_BUFFER_UNKNOWN: may or may not be registered.
 */
typedef enum {
    PM_BUFFER_REGISTERED = 0,
    PM_BUFFER_REFUSED = 1,
    PM_BUFFER_NO_FILE = 2,
    PM_BUFFER_UNKNOWN = 3,
} PmBufferState;

/**
 * PmBufferRun: a region, or adjacent populated blocks without one, of one range.
 * @struct_size: sizeof(PmBufferRun) (macros.h).
 * @host, @size: the memory.
 * @address: of a region: the device's.
 * @state: what it is.
 */
typedef struct {
    size_t struct_size;
    void *host;
    uint64_t size;
    uint64_t address;
    PmBufferState state;
} PmBufferRun;

/**
 * Finds the first run, in the order of host addresses, that ends after @host. To find all, begin
 * with NULL and continue with the end of the run that was found.
 * @run: filled in; set its struct_size before.
 * @reason: optional: set to why it is not registered, or unknown; free it with g_free(). NULL for
 * registered memory.
 * Returns: false if there is none, or if @run has no valid struct_size.
 */
PM_EXPORT bool pm_buffer_registry_next(PmBufferRegistry *registry, const void *host,
                                       PmBufferRun *run, char **reason);

/**
 * PmDmaSegment: what a device accesses at one go. Frozen: it never grows.
 * @address: the device's address of the first byte.
 * @length: bytes.
 */
typedef struct {
    uint64_t address;
    uint64_t length;
} PmDmaSegment;

/**
 * PmBufferLease: a buffer that is in use by a device. Allocated by the caller, for example in its
 * request. Must not be copied while it is held. Frozen.
 * @reserved: private.
 */
typedef struct {
    uint64_t reserved[8];
} PmBufferLease;

/**
 * Leases a buffer: until it is released, its blocks stay registered at their addresses and are not
 * discarded. Lock-free, no system call; without @error, no allocation. Any thread.
 * @host, @size: the buffer, of any alignment; not empty. May span blocks, regions and ranges.
 * @lease: filled in.
 *
 * Returns: false if not all of it can be leased now: use a bounce buffer, and ask again for the
 * next request. Errors: PM_ERROR_NOT_FOUND (memory that is not in any range),
 * PM_ERROR_NOT_POPULATED (discarded), PM_ERROR_LIMIT (populated, but not registered: see
 * pm_buffer_registry_next() for the reason), PM_ERROR_BUSY (about to be discarded or unregistered,
 * or in a region with memory that is, even if the caller has a lease on it; or a block has 2^20 - 1
 * leases), PM_ERROR_INVALID_ARGUMENT (empty), PM_ERROR_PERMISSION (in a forked child).
 */
PM_EXPORT bool pm_buffer_lease_acquire(PmBufferRegistry *registry, const void *host, uint64_t size,
                                       PmBufferLease *lease, GError **error);

/**
 * Translates a leased buffer: finds the segment that begins at @offset, as long as the device's
 * addresses are contiguous. Segments do not cross regions of a caller's back end, because drivers
 * look up one region per address. Begin with 0, and continue at @offset plus the length found. Any
 * thread.
 * Returns: false if @offset is at or after the end of the buffer.
 */
PM_EXPORT bool pm_buffer_lease_next(const PmBufferLease *lease, uint64_t offset,
                                    PmDmaSegment *segment);

/** Ends a lease, once the device does not access the buffer any more. Any thread, also another than
 * the one that acquired it. Lock-free; a system call only if somebody waits for it. */
PM_EXPORT void pm_buffer_lease_release(PmBufferLease *lease);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmBufferRegistry, pm_buffer_registry_free)

G_END_DECLS

#endif
