/* SPDX-License-Identifier: MIT */
/*
 * PmRam: a piece of guest RAM. It reserves address space; memory is consumed only where it is
 * touched or pinned, and can be given back to the host range by range.
 *
 * A PmRam belongs to the process that made it. A child made by fork(2) does not have the memory of
 * pm_ram_new() (MADV_DONTFORK), so that forking copies none of it; of adopted memory it has what
 * the caller lets it have. There populate, discard and resident fail with PM_ERROR_PERMISSION, and
 * pm_ram_unref() closes the child's descriptor and nothing else.
 *
 * Threads: one at a time, except that pm_ram_get_*() and populate, discard and resident of disjoint
 * ranges may run in parallel. Offsets and sizes are bytes from the start of the region.
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
 * @PM_RAM_ANONYMOUS: private anonymous memory of base pages (transparent huge pages as the host is
 * set up).
 * @PM_RAM_MEMFD: shared memory of a memfd.
 * @PM_RAM_HUGETLB_2M: shared memory of a hugetlb memfd with 2 MiB pages, which must be in the
 * host's pool when touched.
 * @PM_RAM_HUGETLB_1G: the same with 1 GiB pages.
 * @PM_RAM_ADOPTED: the caller's own memory.
 * @PM_RAM_DEVICE: memory of a device (a BAR) that the caller has mapped: no RAM of the host.
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
 * PmRamAdoption: memory that the caller has mapped and goes on owning.
 * @struct_size: sizeof(PmRamAdoption) (macros.h).
 * @host: first byte. @size: bytes. Both multiples of @page_size.
 * @page_size: of the backing; 0 is the host's base page.
 * @has_fd: the memory is mapped from @fd, beginning at @fd_offset; @fd stays the caller's.
 * @shared: mapped with MAP_SHARED.
 * @device_memory: a BAR, mapped from a device's file, which other devices are to reach
 * (peer-to-peer DMA); @page_size, @has_fd and @shared stay unset. It is not the host's RAM: no
 * memory is given back, populated or locked for it, and it has no discard manager. Only type1 maps
 * it (Linux 6.12): see PM_MAPPER_OPTIONAL.
 * @destroy: optional: called once, when the last reference to the PmRam is gone, in the thread that
 * dropped it: the memory and @fd have to stay valid until then. References are held wherever a
 * device may still reach the memory. It is not called if adopting fails, in a forked child, and
 * while it is not certain that nothing is mapped (pm_iommu_unref()). @user_data: for it.
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
 * @size: bytes, a multiple of the backing's page size, at least one page.
 * @alignment: the host address is a multiple of it; a power of two, at least the page size; 0 is
 * the page size. Give the block size of the device that will manage the memory.
 *
 * Returns: a new reference, or NULL. Errors: PM_ERROR_INVALID_ARGUMENT (kind, size or alignment),
 * PM_ERROR_MEMORY (the host refuses; the message has its errno and what to change).
 */
PM_EXPORT PmRam *pm_ram_new(PmRamKind kind, uint64_t size, uint64_t alignment, GError **error);

/** Makes a PmRam of memory that the caller has. Errors: PM_ERROR_INVALID_ARGUMENT,
 * PM_ERROR_UNALIGNED. */
PM_EXPORT PmRam *pm_ram_adopt(const PmRamAdoption *adoption, GError **error);

/** Takes a reference. Any thread. Returns @ram. */
PM_EXPORT PmRam *pm_ram_ref(PmRam *ram);

/** Drops a reference; NULL does nothing. The last one unmaps the memory, or calls
 * PmRamAdoption.destroy if it was adopted; in a forked child it does neither. Any thread. */
PM_EXPORT void pm_ram_unref(PmRam *ram);

/** The host address of the first byte. */
PM_EXPORT void *pm_ram_get_host(const PmRam *ram);

/** Bytes. */
PM_EXPORT uint64_t pm_ram_get_size(const PmRam *ram);

/** Page size of the backing, in bytes: the smallest piece that can be given back. */
PM_EXPORT uint64_t pm_ram_get_page_size(const PmRam *ram);

/** The kind it was made as. */
PM_EXPORT PmRamKind pm_ram_get_kind(const PmRam *ram);

/** The file behind the memory and the offset in it; -1 if there is none. The descriptor stays the
 * PmRam's. A memfd of pm_ram_new() is sealed (F_SEAL_GROW, F_SEAL_SHRINK, F_SEAL_SEAL; memfds of
 * huge pages since Linux 4.16), so that nobody who is given it can cut off what others have mapped.
 */
PM_EXPORT int pm_ram_get_fd(const PmRam *ram, uint64_t *offset);

/** Whether writes reach everybody who has the file mapped; false for anonymous memory of this
 * process alone. */
PM_EXPORT bool pm_ram_is_shared(const PmRam *ram);

/**
 * Gives the memory of a range back to the host; it reads as zeros afterwards. By
 * madvise(MADV_DONTNEED) for private memory, MADV_REMOVE for shared memory without a file,
 * fallocate(FALLOC_FL_PUNCH_HOLE) for files; adopted private file mappings by both, so that the
 * file itself gets a hole, for everybody who has it.
 *
 * Unmap first (iommu_claim.h): pages that a device has pinned are not freed, and the device goes on
 * using them, while this process sees new ones. RAM that has a discard manager is discarded through
 * that (pm_discard_manager_discard()), which unmaps first, and knows then what is gone.
 *
 * What stands in the way is found out before anything is given back: pages of the range that are
 * locked (mlock) or not mapped, unless all there is to do is to punch a hole, and a file that
 * cannot be punched (not writable, sealed, file system). What only shows afterwards (a failing
 * disk; pages that are locked in the meantime, mappings that are not what was described) leaves the
 * range given back in part: PM_ERROR_QUARANTINED. Here this means only that the content of the
 * range may be lost: the memory can be used, and be discarded again.
 * @offset, @size: multiples of the page size, inside the region.
 * Errors: PM_ERROR_UNALIGNED, PM_ERROR_INVALID_ARGUMENT (outside the region), PM_ERROR_MEMORY
 * (nothing is gone), PM_ERROR_QUARANTINED (something may be gone), PM_ERROR_PERMISSION (in a forked
 * child), PM_ERROR_UNSUPPORTED (memory of a device).
 */
PM_EXPORT bool pm_ram_discard(PmRam *ram, uint64_t offset, uint64_t size, GError **error);

/**
 * Faults the memory of a range in, writable, without changing what it holds
 * (madvise(MADV_POPULATE_WRITE), or by touching it where the kernel lacks that, which for memory
 * without a file may end the process if the host has none left).
 * @n_threads: how many threads share the work (64 at most); 0 and 1: the caller's alone. After a
 * failure what this call may have brought in is still there: discard it if the range was empty
 * before. Errors: as pm_ram_discard(), but for PM_ERROR_QUARANTINED; PM_ERROR_MEMORY if the host, a
 * cgroup or the hugetlb pool has no memory left.
 */
PM_EXPORT bool pm_ram_populate(PmRam *ram, uint64_t offset, uint64_t size, unsigned n_threads,
                               GError **error);

/**
 * How many bytes of a range the host holds: pages in memory (private memory), allocated blocks of
 * the file (whole file, if the range is the whole region and the file is the region's own; else
 * pages in memory); none for memory of a device. Errors: as pm_ram_discard(), but for
 * PM_ERROR_QUARANTINED and PM_ERROR_UNSUPPORTED.
 */
PM_EXPORT bool pm_ram_resident(PmRam *ram, uint64_t offset, uint64_t size, uint64_t *bytes,
                               GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmRam, pm_ram_unref)

G_END_DECLS

#endif
