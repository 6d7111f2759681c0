/* SPDX-License-Identifier: MIT */
/*
 * PmDiscardManager: which blocks of one PmRam are populated, and who is notified before that
 * changes.
 *
 * The owner (a virtio-mem device) populates and discards; everybody who keeps references to the
 * memory (a mapper that pins it) registers a listener and follows. The order is fixed. Populate:
 * every listener is asked, then notified in the order of registration, then the blocks count as
 * populated. Discard: every listener is asked, then notified in the order of registration, then the
 * memory goes back to the host, then the blocks count as discarded. Listeners come first because a
 * page that is still pinned is not freed, and a device would go on writing into memory that nobody
 * sees. If a listener objects when it is asked, nobody has been notified and nothing was done. If
 * one fails when it is notified, those notified before it are notified of the opposite, in reverse
 * order, and everything is as before. The error names the listener: pm_error_get_listener().
 *
 * A block is in quarantine while it is not known what a listener has of it, or while a listener did
 * not follow and could be neither undone nor redone; and while its memory could not be given back.
 * Every populate or discard of such a block fails. As far as possible quarantine is not recorded
 * but asked for: a listener that can lose track of blocks names them itself (@next_unknown), also
 * after its owner has left.
 *
 * The ways out: pm_discard_manager_discard_all(), which has every listener drop all that it may
 * have, and stands behind a reset of the machine (pm_virtio_mem_system_reset()) and the guest's
 * UNPLUG_ALL; pm_mapper_remove(), if it is a region of that mapper that does not know;
 * pm_iommu_settle(), if a mapper left the region behind. Memory that the host did not take back is
 * tried again at every request. While a discard is taken back, and while a new listener is notified
 * of what there is, the blocks count as populated.
 *
 * Threads: one at a time; listeners are called in the thread that called the manager. A listener
 * must not call back into the manager, except for the getters (get_*, is_populated, is_discarded,
 * next_populated, next_discarded), nor into what owns it (a virtio-mem device). All ranges are byte
 * offsets into the PmRam, multiples of the granularity.
 */
#ifndef PLUGMAP_DISCARD_MANAGER_H
#define PLUGMAP_DISCARD_MANAGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <plugmap/ram.h>

G_BEGIN_DECLS

typedef struct PmDiscardManager PmDiscardManager;
typedef struct PmDiscardListener PmDiscardListener;

/**
 * PmDiscardListenerOps: what a listener does. Ranges are multiples of the granularity and clipped
 * to the range that the listener registered for; they may be cut differently when discarded than
 * when populated.
 * @struct_size: sizeof(PmDiscardListenerOps) (macros.h).
 * @can_populate: optional. Whether @populate of this range could succeed, without side effects
 * (budgets).
 * @can_discard: optional. Whether this range, which is populated, may be discarded now. Object with
 * false and an error, of any code but PM_ERROR_QUARANTINED and PM_ERROR_UNMAP_MISMATCH: because
 * I/O is in flight there, for example. It is asked before every pm_discard_manager_discard(), and
 * for every populated run before pm_discard_manager_discard_all(); so also when the guest unplugs,
 * when the machine is reset, and when the device is freed. It is not asked before a populate that
 * failed is undone, when a listener is unregistered, and once it was dropped. To answer true is no
 * promise to anybody: another listener may object, in which case this one hears no more of it. So
 * change nothing that has to be undone; locks of the listener's own may be taken, and have to be
 * dropped before it returns. It is part of each unplug: be quick, and do not wait for the I/O.
 * @populate: mandatory. The range is about to be used: map it. Or object: false with an error, and
 * nothing of it left behind; if something cannot be removed again, the code has to be
 * PM_ERROR_QUARANTINED.
 * @discard: mandatory. The range is about to go: unmap it. On failure false with an error, and the
 * range as populated as before; if that cannot be said, the code has to be PM_ERROR_QUARANTINED or
 * PM_ERROR_UNMAP_MISMATCH.
 * @discard_all: optional. Everything in the registered range is about to go, also what is in
 * quarantine. Returning true means that nothing of it is left for certain. Without it @discard is
 * called for every run of blocks that are populated, that @next_unknown finds, or that are recorded
 * because of a listener without @next_unknown; once the listener was dropped, only for those that
 * @next_unknown finds.
 * @next_unknown: optional. Finds the first run of blocks that has a byte at or behind @offset, and
 * of which the listener does not know whether it still has them; sets @run_offset and @run_size,
 * and @reason, if that is not NULL, to a new string. With it the manager asks, and asks again, what
 * is in quarantine; without it the manager goes by the error codes above, and by what
 * @discard_all returns. It is called before every request: be quick where nothing is unknown. Once
 * it was dropped (pm_discard_manager_drop()) or could not be registered, a listener has to name
 * every block that it still has, also those of which it knows that it has them: what it does not
 * name is taken for gone.
 * @free: optional. The manager has no more use for @user_data: after the listener was unregistered
 * or could not be registered, or when it was dropped and @next_unknown finds nothing any more.
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
} PmDiscardListenerOps;

/**
 * Makes a manager for @ram with nothing populated. A PmRam can have one manager at a time: whoever
 * keeps a reference to the old one, as a mapper's region does, has to let go of it first
 * (pm_mapper_remove(), pm_mapper_free()). Where a transparent huge page of the host would reach
 * beyond a block, @ram gets none from now on (MADV_NOHUGEPAGE): touching a block takes memory for
 * no other. Where they fit, a memfd of pm_ram_new() asks for them (MADV_HUGEPAGE; the host gives
 * them if its shmem_enabled is "advise" or "always").
 * @ram: a reference is taken.
 * @granularity: bytes of a block: a power of two, at least the RAM's page size; the RAM's size must
 * be a multiple.
 *
 * Returns: a new reference, or NULL. Errors: PM_ERROR_INVALID_ARGUMENT, PM_ERROR_UNALIGNED,
 * PM_ERROR_UNSUPPORTED (memory of a device), PM_ERROR_BUSY (@ram has a manager; or it is mapped for
 * a device, also by a claim that was abandoned: pm_iommu_settle()), PM_ERROR_MEMORY (no room for
 * the bitmap).
 */
PM_EXPORT PmDiscardManager *pm_discard_manager_new(PmRam *ram, uint64_t granularity,
                                                   GError **error);

/** Takes a reference. Returns @manager. */
PM_EXPORT PmDiscardManager *pm_discard_manager_ref(PmDiscardManager *manager);

/** Drops a reference. With the last one, which may be a mapper's, the RAM is free for another
 * manager. No listener may be registered then. NULL does nothing. */
PM_EXPORT void pm_discard_manager_unref(PmDiscardManager *manager);

/** The manager that @ram has, or NULL. Owned by those who have references to it: call it from the
 * thread that uses the manager. */
PM_EXPORT PmDiscardManager *pm_ram_get_discard_manager(const PmRam *ram);

/** The RAM it manages; owned by the manager. */
PM_EXPORT PmRam *pm_discard_manager_get_ram(const PmDiscardManager *manager);

/** Bytes of a block: the smallest piece that is ever populated or discarded. */
PM_EXPORT uint64_t pm_discard_manager_get_granularity(const PmDiscardManager *manager);

/** Bytes that are populated now. */
PM_EXPORT uint64_t pm_discard_manager_get_populated(const PmDiscardManager *manager);

/**
 * Whether every byte of a range is populated. Any alignment: the range is widened to whole blocks.
 * False for an empty range and for one that leaves the RAM.
 */
PM_EXPORT bool pm_discard_manager_is_populated(const PmDiscardManager *manager, uint64_t offset,
                                               uint64_t size);

/** Whether every byte of a range is discarded; like pm_discard_manager_is_populated(). */
PM_EXPORT bool pm_discard_manager_is_discarded(const PmDiscardManager *manager, uint64_t offset,
                                               uint64_t size);

/**
 * Finds the first maximal run of populated blocks in [@offset, @end), clipped to it.
 * @offset, @end: multiples of the granularity; an @end beyond the RAM means the end of the RAM.
 * Returns: false if there is none; else @run_offset and @run_size are set. Go on from their sum.
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
 * there. If it objects, that is undone, and it is not registered.
 * @ops: copied. @user_data: must stay valid until the listener is unregistered, or until @free.
 * @name: for messages and pm_error_get_listener(); not empty; copied.
 *
 * Returns: a handle for pm_discard_manager_unregister(), or NULL. Errors: PM_ERROR_INVALID_ARGUMENT
 * (range, @name, or a mandatory callback is missing: the message has which), PM_ERROR_UNALIGNED,
 * PM_ERROR_UNSUPPORTED (@ops has what this library does not know; then, as without a valid
 * struct_size, @free is not called), what the listener set; PM_ERROR_QUARANTINED (populated blocks
 * of the range are in quarantine; or it could not be undone: it is not registered, and what it may
 * still hold is in quarantine now: a listener with @next_unknown goes on being asked, as if it had
 * been dropped).
 */
PM_EXPORT PmDiscardListener *pm_discard_manager_register(PmDiscardManager *manager,
                                                         const PmDiscardListenerOps *ops,
                                                         void *user_data, const char *name,
                                                         uint64_t offset, uint64_t size,
                                                         GError **error);

/**
 * Has a listener drop everything and forgets it.
 * On failure it stays registered, as it was before the call. Errors: what the listener set,
 * PM_ERROR_QUARANTINED (what it had dropped could not be redone, or it does not know whether it
 * still has something), PM_ERROR_NOT_FOUND (it is not registered).
 */
PM_EXPORT bool pm_discard_manager_unregister(PmDiscardManager *manager, PmDiscardListener *listener,
                                             GError **error);

/**
 * Forgets a listener whose owner has to go and that could not be unregistered: it is notified of no
 * populate or discard any more. One with @next_unknown is asked on, and takes part in
 * pm_discard_manager_discard_all(), until it knows, for every block, whether it still has it; so
 * @user_data must stay valid until @free. It has to name every block that it still
 * has from this call on. One without @next_unknown cannot be asked, and is not needed any more: all
 * populated blocks of its range are in quarantine until pm_discard_manager_discard_all(), which
 * takes it for gone. @listener: registered.
 */
PM_EXPORT void pm_discard_manager_drop(PmDiscardManager *manager, PmDiscardListener *listener);

/**
 * For the owner: populates a range that is wholly discarded. Listeners are asked, then notified;
 * blocks count as populated afterwards. On failure the memory of the range is given back to the
 * host.
 * @prefault_threads: fault the memory in by so many threads before the listeners are notified
 * (pm_ram_populate()); 0: leave that to them.
 * Errors: PM_ERROR_INVALID_ARGUMENT (range, or not wholly discarded), PM_ERROR_UNALIGNED,
 * PM_ERROR_QUARANTINED (the range is, or has just come, into quarantine), PM_ERROR_MEMORY
 * (prefault), PM_ERROR_PERMISSION (in a child made by fork(2)), what a listener set.
 */
PM_EXPORT bool pm_discard_manager_populate(PmDiscardManager *manager, uint64_t offset,
                                           uint64_t size, unsigned prefault_threads,
                                           GError **error);

/**
 * For the owner: discards a range that is wholly populated. Listeners are asked, then notified.
 * Errors: as pm_discard_manager_populate(); PM_ERROR_MEMORY if the host does not take the memory
 * back (listeners then populate again).
 */
PM_EXPORT bool pm_discard_manager_discard(PmDiscardManager *manager, uint64_t offset, uint64_t size,
                                          GError **error);

/**
 * For the owner: discards everything, and gives the whole RAM back to the host. Listeners are asked
 * about what is populated, then notified. If it succeeds,
 * nothing is in quarantine any more. Errors: what a listener set, PM_ERROR_MEMORY,
 * PM_ERROR_PERMISSION (in a child made by fork(2)), PM_ERROR_QUARANTINED (it is still not known
 * what a listener has, registered or dropped, or what was dropped could not be redone). No memory
 * is given back unless every listener, also a dropped one with @next_unknown, has dropped all.
 */
PM_EXPORT bool pm_discard_manager_discard_all(PmDiscardManager *manager, GError **error);

/** Bytes in quarantine. */
PM_EXPORT uint64_t pm_discard_manager_get_quarantined(const PmDiscardManager *manager);

/**
 * Finds the first run of blocks in quarantine at or behind @offset.
 * @listener, @reason: because of whom, and why; new strings, freed with g_free(); either may be
 * NULL. Of several listeners one is named. It is "the host" where memory could not be given back,
 * or was in part.
 * Returns: false if there is none.
 */
PM_EXPORT bool pm_discard_manager_next_quarantined(const PmDiscardManager *manager, uint64_t offset,
                                                   uint64_t *run_offset, uint64_t *run_size,
                                                   char **listener, char **reason);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmDiscardManager, pm_discard_manager_unref)

G_END_DECLS

#endif
