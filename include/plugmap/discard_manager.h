/* SPDX-License-Identifier: MIT */
/*
 * PmDiscardManager: tracks which blocks of a PmRam are populated, and notifies listeners before
 * that changes.
 *
 * Sources (discard_source.h), such as a virtio-mem device, populate and discard: a block is
 * populated where all of them have it populated. Whoever keeps references to the memory (a
 * mapper that pins it) registers a listener. Populate: all listeners are asked, then notified in
 * order of registration, then the blocks count as populated. Discard: all listeners are asked, then
 * notified in order of registration, then the host frees the memory (if the source frees memory),
 * then the blocks count as discarded. Listeners come before the host because the host cannot free a
 * pinned page, and a device would keep writing to memory that nobody sees. If a listener objects
 * when asked, nothing has happened yet. If one fails when notified, those before it are notified of
 * the opposite in reverse order, and everything is as before. The error names the listener:
 * pm_error_get_listener().
 *
 * Quarantine: a block whose state at a listener is unknown, because the listener failed and could
 * be neither undone nor redone; or whose memory the host did not free. Populate and discard of such
 * a block fail, whatever source asks, and sources are neither added nor removed. A listener that
 * can lose track of blocks reports them itself (@next_unknown), even after its owner is gone; the
 * manager records only what no listener reports.
 *
 * Quarantine ends with pm_discard_source_discard_all() (on a machine reset,
 * pm_virtio_mem_system_reset(), and on the guest's UNPLUG_ALL), in which every listener drops all
 * that it may have; with pm_mapper_remove(), if a region of that mapper caused it; with
 * pm_iommu_settle(), if a mapper abandoned the region; with what guest_mapper.h lists, if the
 * mapping of a guest IOMMU caused it. Every request retries to free memory that the host did not
 * free. While a failed discard is being undone, and while a new listener is notified of what is
 * populated, the blocks count as populated.
 *
 * Threads: one at a time; listeners run in the thread that called the manager. A listener must not
 * call back into the manager or its sources, except for the getters (get_*, is_populated,
 * is_discarded, next_populated, next_discarded), nor into the owner of a source. All ranges are
 * byte offsets into the PmRam, multiples of the granularity.
 */
#ifndef PLUGMAP_DISCARD_MANAGER_H
#define PLUGMAP_DISCARD_MANAGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <plugmap/discard_source.h>
#include <plugmap/ram.h>

G_BEGIN_DECLS

typedef struct PmDiscardListener PmDiscardListener;

/**
 * PmDiscardListenerOps: a listener's callbacks. Ranges are multiples of the granularity, clipped to
 * the registered range; discards may be split differently from populates.
 * @struct_size: sizeof(PmDiscardListenerOps) (macros.h).
 * @can_populate: optional. Whether @populate of this range could succeed (budgets). No side
 * effects.
 * @can_discard: optional. Whether this populated range may be discarded now. To object, for example
 * because of I/O in flight, return false and set an error of any code but PM_ERROR_QUARANTINED and
 * PM_ERROR_UNMAP_MISMATCH. Called before every pm_discard_source_discard(), and for every
 * populated run before pm_discard_source_discard_all(): when the guest unplugs, on a machine
 * reset, and when the device is freed. Not called to undo a failed populate, when a listener is
 * unregistered, and for a dropped listener. Returning true is not a commitment: another listener
 * may object or fail later. So change nothing that needs undoing, unless @cancel_discard undoes it,
 * and release any lock before returning. It is part of each unplug: be quick.
 * @populate: mandatory. The range is about to be used: map it. On failure return false with an
 * error and undo what was done; if that fails, the code must be PM_ERROR_QUARANTINED.
 * @discard: mandatory. The range is about to be discarded: unmap it. On failure return false with
 * an error and keep the range populated; if its state is unknown, the code must be
 * PM_ERROR_QUARANTINED or PM_ERROR_UNMAP_MISMATCH.
 * @discard_all: optional. Everything in the registered range is about to be discarded, including
 * what is in quarantine. Return true only if nothing of it is left for certain. Without it the
 * manager calls @discard for every run of blocks that are populated, that @next_unknown reports, or
 * that are recorded because of a listener without @next_unknown; for a dropped listener, only for
 * those that @next_unknown reports.
 * @next_unknown: optional. Finds the first run of blocks that has a byte at or after @offset and
 * that the listener may or may not still have; sets @run_offset and @run_size, and @reason, if not
 * NULL, to a new string. With it the manager asks the listener what is in quarantine, each time;
 * without it the manager relies on the error codes above and on the result of @discard_all. It is
 * called before every request: be quick where nothing is unknown. A listener that was dropped
 * (pm_discard_manager_drop()) or whose registration failed must report every block that it still
 * has, known or unknown: the manager takes all others as unmapped.
 * @free: optional. Last use of @user_data: after the listener was unregistered, after its
 * registration failed, or once it was dropped and @next_unknown finds nothing.
 * @cancel_discard: optional. A discard for which @can_discard returned true does not happen,
 * because another listener objected, or because a listener or the host failed. Called after what
 * was notified was notified of the opposite; for each call of @can_discard that returned true, with
 * the same range; all listeners in reverse order. It cannot fail. Not called without @can_discard.
 */
typedef struct {
    size_t struct_size;
    bool (*can_populate)(void *user_data, uint64_t offset, uint64_t size, GError **error);
    bool (*can_discard)(void *user_data, uint64_t offset, uint64_t size, GError **error);
    bool (*populate)(void *user_data, uint64_t offset, uint64_t size, GError **error);
    bool (*discard)(void *user_data, uint64_t offset, uint64_t size, GError **error);
    bool (*discard_all)(void *user_data, GError **error);
    bool (*next_unknown)(void *user_data, uint64_t offset, uint64_t *run_offset, uint64_t *run_size,
                         char **reason);
    void (*free)(void *user_data);
    void (*cancel_discard)(void *user_data, uint64_t offset, uint64_t size);
} PmDiscardListenerOps;

/**
 * Makes a manager for @ram without sources, so with everything populated. A PmRam has one manager
 * at a time: whoever references the old one, such as a mapper's region, must release it first
 * (pm_mapper_remove(), pm_mapper_free()).
 *
 * Once a source frees memory: if the host's transparent huge pages are larger than a granule of it,
 * or not aligned with granules, they are disabled for @ram (MADV_NOHUGEPAGE), so that touching a
 * granule allocates memory for no other. Else they are enabled for memfds of pm_ram_new()
 * (MADV_HUGEPAGE; effective if the host's shmem_enabled is "advise" or "always").
 * @ram: a reference is taken.
 * @granularity: bytes: a power of two, at least the RAM's page size, that divides the RAM's size.
 * The coarsest that listeners may expect: a source with a finer one is only added while no listener
 * is registered.
 *
 * Returns: a new reference, or NULL. Errors: PM_ERROR_INVALID_ARGUMENT, PM_ERROR_UNALIGNED,
 * PM_ERROR_UNSUPPORTED (device memory), PM_ERROR_BUSY (@ram has a manager; or somebody disables all
 * discards of a part of it, as one who maps it for a device does, perhaps by an abandoned claim:
 * discard_policy.h, pm_iommu_settle()), PM_ERROR_MEMORY (no memory for the bitmap).
 */
PM_EXPORT PmDiscardManager *pm_discard_manager_new(PmRam *ram, uint64_t granularity,
                                                   GError **error);

/** Takes a reference. Returns @manager. */
PM_EXPORT PmDiscardManager *pm_discard_manager_ref(PmDiscardManager *manager);

/**
 * Drops a reference; NULL does nothing. The last one, which may be a mapper's, frees the RAM for
 * another manager; no listener may be registered then.
 */
PM_EXPORT void pm_discard_manager_unref(PmDiscardManager *manager);

/**
 * The manager of @ram, or NULL. Owned by those who reference it. Call it from the manager's thread.
 */
PM_EXPORT PmDiscardManager *pm_ram_get_discard_manager(const PmRam *ram);

/** The RAM it manages; owned by the manager. */
PM_EXPORT PmRam *pm_discard_manager_get_ram(const PmDiscardManager *manager);

/**
 * Bytes of a block: what listeners are notified of are multiples of it. The finest granularity of
 * the sources and of pm_discard_manager_new(); it never changes while a listener is registered.
 */
PM_EXPORT uint64_t pm_discard_manager_get_granularity(const PmDiscardManager *manager);

/** Bytes that are populated: that all sources have populated. */
PM_EXPORT uint64_t pm_discard_manager_get_populated(const PmDiscardManager *manager);

/**
 * Whether every byte of a range is populated. Any alignment: the range is extended to whole blocks.
 * False for an empty range and for one that is not inside the RAM.
 */
PM_EXPORT bool pm_discard_manager_is_populated(const PmDiscardManager *manager, uint64_t offset,
                                               uint64_t size);

/** Whether every byte of a range is discarded; like pm_discard_manager_is_populated(). */
PM_EXPORT bool pm_discard_manager_is_discarded(const PmDiscardManager *manager, uint64_t offset,
                                               uint64_t size);

/**
 * Finds the first maximal run of populated blocks in [@offset, @end), clipped to it.
 * @offset, @end: multiples of the granularity; an @end beyond the RAM means the end of the RAM.
 * Returns: false if there is none; else sets @run_offset and @run_size. Continue at their sum.
 */
PM_EXPORT bool pm_discard_manager_next_populated(const PmDiscardManager *manager, uint64_t offset,
                                                 uint64_t end, uint64_t *run_offset,
                                                 uint64_t *run_size);

/** The same for runs of discarded blocks. */
PM_EXPORT bool pm_discard_manager_next_discarded(const PmDiscardManager *manager, uint64_t offset,
                                                 uint64_t end, uint64_t *run_offset,
                                                 uint64_t *run_size);

/**
 * Registers a listener for [@offset, @offset + @size) and notifies it at once of what is populated
 * there. If it fails, that is undone, and the listener is not registered.
 * @ops: copied. @user_data: must stay valid until the listener is unregistered, or until @free.
 * @name: for messages and pm_error_get_listener(); not empty; copied.
 *
 * Returns: a handle for pm_discard_manager_unregister(), or NULL. Errors: PM_ERROR_INVALID_ARGUMENT
 * (range, @name, or the mandatory callback that the message names), PM_ERROR_UNALIGNED,
 * PM_ERROR_UNSUPPORTED (@ops sets members that this library does not know; then, and without a
 * valid struct_size, @free is not called), what the listener set, PM_ERROR_QUARANTINED (populated
 * blocks of the range are in quarantine; or undoing failed: the listener is not registered, and
 * what it may still have is now in quarantine, where a listener with @next_unknown is treated as if
 * it had been dropped).
 */
PM_EXPORT PmDiscardListener *pm_discard_manager_register(PmDiscardManager *manager,
                                                         const PmDiscardListenerOps *ops,
                                                         void *user_data, const char *name,
                                                         uint64_t offset, uint64_t size,
                                                         GError **error);

/**
 * Has a listener drop everything and removes it. On failure it stays registered, as before the
 * call. Errors: what the listener set, PM_ERROR_QUARANTINED (redoing what it had dropped failed, or
 * it does not know what it still has), PM_ERROR_NOT_FOUND (not registered).
 */
PM_EXPORT bool pm_discard_manager_unregister(PmDiscardManager *manager, PmDiscardListener *listener,
                                             GError **error);

/**
 * Removes a listener whose owner must go away although unregistering failed: it is no longer
 * notified of populates and discards. One with @next_unknown is still asked, and takes part in
 * pm_discard_source_discard_all(), until it reports no block any more; @user_data must stay valid
 * until @free. From this call on it must report every block that it still has. One without
 * @next_unknown is not called again: all populated blocks of its range are in quarantine until
 * pm_discard_source_discard_all(), which assumes that it has nothing. @listener: registered.
 */
PM_EXPORT void pm_discard_manager_drop(PmDiscardManager *manager, PmDiscardListener *listener);

/** Bytes in quarantine. */
PM_EXPORT uint64_t pm_discard_manager_get_quarantined(const PmDiscardManager *manager);

/**
 * Finds the first run of blocks in quarantine at or after @offset.
 * @listener, @reason: who caused it, and why; new strings, free with g_free(); either may be NULL.
 * Names one of several listeners, and "the host" where the host did not free the memory, or only in
 * part.
 * Returns: false if there is none.
 */
PM_EXPORT bool pm_discard_manager_next_quarantined(const PmDiscardManager *manager, uint64_t offset,
                                                   uint64_t *run_offset, uint64_t *run_size,
                                                   char **listener, char **reason);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmDiscardManager, pm_discard_manager_unref)

G_END_DECLS

#endif
