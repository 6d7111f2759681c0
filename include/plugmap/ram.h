/* SPDX-License-Identifier: MIT */
/*
 * PmRam: a range of guest RAM. It reserves address space; memory is allocated where it is touched
 * or pinned, and freed by discarding ranges.
 *
 * A PmRam belongs to the process that made it. A child of fork(2) does not inherit the memory of
 * pm_ram_new() (MADV_DONTFORK), so that fork copies none of it; for adopted memory that is up to
 * the caller. In the child, populate, discard and resident fail with PM_ERROR_PERMISSION, and
 * pm_ram_unref() only closes the child's descriptor.
 *
 * Who may discard its memory: discard_policy.h.
 *
 * Threads: one at a time, except that pm_ram_get_*(), and populate, discard and resident of
 * disjoint ranges, may run in parallel. Offsets and sizes are bytes from the start of the region.
 */
#ifndef PLUGMAP_RAM_H
#define PLUGMAP_RAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <plugmap/error.h>

G_BEGIN_DECLS

typedef struct PmRam PmRam;

/**
 * PmRamKind: what backs the memory.
 * @PM_RAM_ANONYMOUS: private anonymous memory in base pages (transparent huge pages as configured
 * on the host).
 * @PM_RAM_MEMFD: shared memory of a memfd.
 * @PM_RAM_HUGETLB_2M: shared memory of a hugetlb memfd with 2 MiB pages, which the host's pool must
 * have free when they are touched.
 * @PM_RAM_HUGETLB_1G: the same with 1 GiB pages.
 * @PM_RAM_ADOPTED: the caller's own memory.
 * @PM_RAM_DEVICE: device memory (a BAR) that the caller has mapped, not RAM of the host.
 */
typedef enum {
    PM_RAM_ANONYMOUS = 0,
    PM_RAM_MEMFD = 1,
    PM_RAM_HUGETLB_2M = 2,
    PM_RAM_HUGETLB_1G = 3,
    PM_RAM_ADOPTED = 4,
    PM_RAM_DEVICE = 5,
} PmRamKind;

/**
 * PmRamAdoption: memory that the caller has mapped and keeps owning.
 * @struct_size: sizeof(PmRamAdoption) (macros.h).
 * @host: first byte. @size: bytes. Both multiples of @page_size.
 * @page_size: of the backing; 0 is the host's base page.
 * @has_fd: the memory is a mapping of a file.
 * @fd, @fd_offset: the file, which the caller keeps owning, and where the memory begins in it.
 * @shared: mapped with MAP_SHARED.
 * @device_memory: a BAR, mapped from a device's file, that other devices are to access
 * (peer-to-peer DMA); leave @page_size, @has_fd and @shared unset. It is not discarded, populated
 * or locked, and cannot have a discard manager. Only type1 can map it (Linux 6.12): see
 * PM_MAPPER_OPTIONAL.
 * @destroy: optional: called once, when the last reference to the PmRam is dropped, in the thread
 * that drops it; memory and @fd must stay valid until then. Whatever a device may still access
 * holds a reference. Not called if adopting fails, in a forked child, and while it is unknown
 * whether something is still mapped (pm_iommu_unref()). @user_data: for it.
 */
typedef struct {
    size_t struct_size;
    void *host;
    uint64_t size;
    uint64_t page_size;
    bool has_fd;
    int fd;
    uint64_t fd_offset;
    bool shared;
    bool device_memory;
    void (*destroy)(void *user_data);
    void *user_data;
} PmRamAdoption;

/**
 * Reserves @size bytes of guest RAM.
 * @kind: any but PM_RAM_ADOPTED and PM_RAM_DEVICE.
 * @size: bytes, a multiple of the backing's page size, not 0.
 * @alignment: of the host address: a power of two, at least the page size; 0 is the page size. Use
 * the block size of the device that will manage the memory.
 *
 * Returns: a new reference, or NULL. Errors: PM_ERROR_INVALID_ARGUMENT (kind, size or alignment),
 * PM_ERROR_MEMORY (the kernel refused; the message has its errno and what to change).
 */
PM_EXPORT PmRam *pm_ram_new(PmRamKind kind, uint64_t size, uint64_t alignment, GError **error);

/** Makes a PmRam of the caller's memory. Errors: PM_ERROR_INVALID_ARGUMENT, PM_ERROR_UNALIGNED. */
PM_EXPORT PmRam *pm_ram_adopt(const PmRamAdoption *adoption, GError **error);

/** Takes a reference. Any thread. Returns @ram. */
PM_EXPORT PmRam *pm_ram_ref(PmRam *ram);

/**
 * Drops a reference; NULL does nothing. The last one unmaps the memory or, if adopted, calls
 * PmRamAdoption.destroy; in a forked child neither. Any thread.
 */
PM_EXPORT void pm_ram_unref(PmRam *ram);

/** The host address of the first byte. */
PM_EXPORT void *pm_ram_get_host(const PmRam *ram);

/** Bytes. */
PM_EXPORT uint64_t pm_ram_get_size(const PmRam *ram);

/** Page size of the backing, in bytes: the smallest unit that can be discarded. */
PM_EXPORT uint64_t pm_ram_get_page_size(const PmRam *ram);

/** The kind it was made as. */
PM_EXPORT PmRamKind pm_ram_get_kind(const PmRam *ram);

/**
 * The backing file and the offset in it; -1 if there is none. The PmRam keeps owning the
 * descriptor. A memfd of pm_ram_new() is sealed (F_SEAL_GROW, F_SEAL_SHRINK, F_SEAL_SEAL; hugetlb
 * memfds since Linux 4.16), so that nobody who receives it can truncate what others have mapped.
 */
PM_EXPORT int pm_ram_get_fd(const PmRam *ram, uint64_t *offset);

/** Whether others who map the file see writes; false for this process's private memory. */
PM_EXPORT bool pm_ram_is_shared(const PmRam *ram);

/**
 * Discards a range: frees its memory; it reads as zeros afterwards. Uses madvise(MADV_DONTNEED) for
 * private memory, MADV_REMOVE for shared memory without a file, fallocate(FALLOC_FL_PUNCH_HOLE) for
 * files; for adopted private file mappings both, so that the file gets a hole for all its users.
 *
 * This is an uncoordinated discard: nobody is notified. It fails with PM_ERROR_BUSY while somebody
 * disables uncoordinated discards of the range (discard_policy.h), as whoever maps it for a device
 * does: the kernel does not free pages that a device has pinned; the device keeps using them while
 * this process gets new ones. RAM with a discard manager is discarded with
 * pm_discard_source_discard(), which unmaps first and keeps track.
 *
 * Obstacles are detected before anything is freed: pages of the range that are locked (mlock) or
 * not mapped, unless all there is to do is to punch a hole, and a file that does not support it
 * (not writable, sealed, file system). Later failures (a failing disk; pages locked in the
 * meantime, mappings other than described) may leave the range partly discarded:
 * PM_ERROR_QUARANTINED. Here this only means that the contents of the range may be lost: the memory
 * can be used, and discarded again.
 * @offset, @size: multiples of the page size, inside the region.
 * Errors: PM_ERROR_UNALIGNED, PM_ERROR_INVALID_ARGUMENT (outside the region), PM_ERROR_MEMORY
 * (nothing is lost), PM_ERROR_QUARANTINED (contents may be lost), PM_ERROR_BUSY (disabled; the
 * message has who does it, and what to do), PM_ERROR_PERMISSION (in a forked child),
 * PM_ERROR_UNSUPPORTED (device memory).
 */
PM_EXPORT bool pm_ram_discard(PmRam *ram, uint64_t offset, uint64_t size, GError **error);

/**
 * Faults in a range, writable, without changing its contents (madvise(MADV_POPULATE_WRITE); older
 * kernels: by touching it, which for memory without a file may kill the process if the host is out
 * of memory).
 * @n_threads: threads that share the work (at most 64); 0 and 1: the caller's only. A failure
 * leaves what was faulted in: discard the range if it was empty before. Errors: as
 * pm_ram_discard(), except PM_ERROR_QUARANTINED and PM_ERROR_BUSY; PM_ERROR_MEMORY if the host, a
 * cgroup or the hugetlb pool is out of memory.
 */
PM_EXPORT bool pm_ram_populate(PmRam *ram, uint64_t offset, uint64_t size, unsigned n_threads,
                               GError **error);

/**
 * How many bytes of a range are resident: pages in memory (private memory), allocated blocks of the
 * file (if the range is the whole region and the PmRam made the file; else pages in memory); 0 for
 * device memory. Errors: as pm_ram_discard(), except PM_ERROR_QUARANTINED, PM_ERROR_BUSY and
 * PM_ERROR_UNSUPPORTED.
 */
PM_EXPORT bool pm_ram_resident(PmRam *ram, uint64_t offset, uint64_t size, uint64_t *bytes,
                               GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmRam, pm_ram_unref)

G_END_DECLS

#endif
