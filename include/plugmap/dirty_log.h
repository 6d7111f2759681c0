/* SPDX-License-Identifier: MIT */
/*
 * PmDirtyLog: which pages of guest RAM changed since they were last read, for pre-copy migration.
 *
 * A log has any number of RAMs and address spaces, of any mappers. For one RAM, pm_dirty_log_read()
 * merges into the caller's bitmap, usually one that already has the pages that the CPU wrote:
 *
 * - what devices wrote through any I/O address of any of the address spaces;
 * - in the first read everything, because the destination has nothing yet;
 * - what was plugged since the last read, even if it was unplugged in between;
 * - blocks that were unmapped since the last read but stay plugged: a region that was removed, an
 *   unplug that failed and was undone. The kernel's dirty bits are gone with the mapping.
 *
 * Discarded memory never counts: bits of pages without a plugged byte are cleared, also if the
 * caller set them.
 *
 *     g_autoptr(PmDirtyLog) log = pm_dirty_log_new();
 *
 *     if (!pm_dirty_log_add_iommu(log, iommu, &error) || !pm_dirty_log_add_ram(log, ram, &error))
 *         return false;
 *     do {
 *         if (!pm_dirty_log_read(log, ram, 4096, bitmap, &counts, &error))
 *             return false;
 *         send_pages(ram, bitmap);
 *         clear(bitmap);
 *     } while (counts.n_dirty > few);
 *     stop_cpus_and_devices();
 *     pm_dirty_log_read(...) and send_pages(...) once more;
 *
 * How much devices make dirty depends on the IOMMU: pm_dirty_log_get_kind(). Unless it tracks
 * writes, every mapped page is dirty on every read, and only stopping the devices (the guest) ends
 * it: send such memory once, when they have stopped.
 *
 * fork(2): a child can only free its parent's log: everything else fails with PM_ERROR_PERMISSION,
 * except for pm_dirty_log_get_kind().
 *
 * Threads: one at a time, together with the discard managers of its RAMs. Other threads may map and
 * unmap in its address spaces.
 */
#ifndef PLUGMAP_DIRTY_LOG_H
#define PLUGMAP_DIRTY_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <plugmap/iommu.h>
#include <plugmap/ram.h>

G_BEGIN_DECLS

typedef struct PmDirtyLog PmDirtyLog;

/**
 * PmDirtyLogCounts: pages that pm_dirty_log_read() found, each under its first reason.
 * @struct_size: sizeof(PmDirtyLogCounts) (macros.h).
 * @n_dirty: all pages whose bit is set now: the sum of the others.
 * @n_first: never read before: the first pass.
 * @n_plugged: in blocks that were plugged since the last read, or unmapped while they stay plugged.
 * @n_device: written by a device (PM_IOMMU_DIRTY_TRACKED), else mapped.
 * @n_caller: only the caller's bitmap had them.
 */
typedef struct {
    size_t struct_size;
    uint64_t n_dirty;
    uint64_t n_first;
    uint64_t n_plugged;
    uint64_t n_device;
    uint64_t n_caller;
} PmDirtyLogCounts;

/** Creates a log without RAM and address spaces. Cannot fail. Free it with pm_dirty_log_free(). */
PM_EXPORT PmDirtyLog *pm_dirty_log_new(void);

/**
 * Ends the log and frees it; NULL does nothing. Dirty tracking stops where it was off before. A
 * failure to stop it is only logged: pm_dirty_log_remove_iommu() returns it.
 */
PM_EXPORT void pm_dirty_log_free(PmDirtyLog *log);

/**
 * Adds an address space, and turns its dirty tracking on. It stays on until the last log that has
 * it is freed or removes it: do not turn it off (PM_ERROR_BUSY). Several logs may share an address
 * space if they have no RAM in common.
 * @iommu: no reference is taken: it leaves the log when it is closed, which must happen in the
 * log's thread. So PmGuestMapperConfig.open can add what it opens. Everything that it has mapped,
 * now or when it leaves, is dirty in the next read.
 *
 * Errors: PM_ERROR_BUSY (already added), those of pm_iommu_set_dirty_tracking() except for
 * PM_ERROR_UNSUPPORTED: an IOMMU that reports nothing counts as PM_IOMMU_DIRTY_NONE.
 */
PM_EXPORT bool pm_dirty_log_add_iommu(PmDirtyLog *log, PmIommu *iommu, GError **error);

/**
 * Removes an address space, for example because its last device is unplugged. Everything that it
 * has mapped is dirty in the next read. Errors: PM_ERROR_NOT_FOUND (not added); those of stopping
 * dirty tracking (pm_iommu_set_dirty_tracking()), after which it is removed nevertheless.
 */
PM_EXPORT bool pm_dirty_log_remove_iommu(PmDirtyLog *log, PmIommu *iommu, GError **error);

/**
 * Adds RAM, all of which counts as dirty in its first read.
 * @ram: with or without a discard manager; references to it and to its manager are taken, and
 * dropped when it is removed, or with the log. While the log has it, RAM without a manager cannot
 * get one (PM_ERROR_BUSY), and no source of a finer granularity can be added to a manager.
 * Errors: PM_ERROR_BUSY (already added), PM_ERROR_MEMORY, PM_ERROR_QUARANTINED (plugged blocks are
 * in quarantine: pm_discard_manager_register()), PM_ERROR_UNSUPPORTED (device memory).
 */
PM_EXPORT bool pm_dirty_log_add_ram(PmDirtyLog *log, PmRam *ram, GError **error);

/**
 * Removes RAM, for example because it is unplugged. What was dirty in it is forgotten: all of it
 * counts as dirty if it is added again. Errors: PM_ERROR_NOT_FOUND (not added), PM_ERROR_PERMISSION
 * (in a forked child).
 */
PM_EXPORT bool pm_dirty_log_remove_ram(PmDirtyLog *log, PmRam *ram, GError **error);

/**
 * What the log knows of devices' writes: the least of its address spaces (PmIommuDirtyKind), as
 * they were when they were added. PM_IOMMU_DIRTY_TRACKED without any.
 */
PM_EXPORT PmIommuDirtyKind pm_dirty_log_get_kind(const PmDirtyLog *log);

/**
 * Reads and clears what is dirty in a RAM.
 * @ram: of pm_dirty_log_add_ram().
 * @page_size: bytes per bit: a power of two, at least 4 KiB and the smallest page of the address
 * spaces; may differ between reads, and exceed a block or the RAM.
 * @bitmap: one bit per page of the RAM, the last of which may be cut off by its end; the lowest bit
 * of the first word for offset 0. Sets bits, and clears those of pages in which nothing is plugged.
 * Bits past the RAM's end do not change.
 * @counts: optional: set @struct_size first; not set on failure.
 *
 * Errors: PM_ERROR_NOT_FOUND (not added), PM_ERROR_INVALID_ARGUMENT (page size; struct_size),
 * PM_ERROR_PERMISSION (in a forked child), PM_ERROR_MEMORY, PM_ERROR_KERNEL. No dirty page is lost:
 * with the last two, @bitmap has the pages of devices found so far, which are not returned again:
 * keep it, and read once more.
 */
PM_EXPORT bool pm_dirty_log_read(PmDirtyLog *log, PmRam *ram, uint64_t page_size, uint64_t *bitmap,
                                 PmDirtyLogCounts *counts, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmDirtyLog, pm_dirty_log_free)

G_END_DECLS

#endif
