/* SPDX-License-Identifier: MIT */
/*
 * PmDiscardSource: one of those who decide what of a PmRam is populated: a virtio-mem device, or
 * the shared and private pages of a confidential guest.
 *
 * A block is populated where all sources of the PmDiscardManager have it populated; without a
 * source everything is. Listeners are notified of differences of this merged state only, at the
 * manager's granularity, the finest of all. So a source may populate what another one has
 * discarded: nobody is notified, until the other one populates it, too.
 *
 * A change is all or nothing, across all its runs and all listeners. First every listener is asked
 * about every run of blocks of which the merged state changes (@can_populate, @can_discard); then,
 * run by run, the listeners are notified in order of registration. If one fails, all notifications
 * are undone in reverse order, and the source, the merged state, the granularity and the listeners
 * are as before; what it fails to undo is in quarantine (discard_manager.h). The error names the
 * listener: pm_error_get_listener().
 *
 * Whether leaving a source frees memory: a virtio-mem device frees what it unplugs. Memory that a
 * guest makes private stays: the source only forbids devices to access it.
 *
 * Threads: as the manager. Ranges are byte offsets into the PmRam, multiples of the source's
 * granularity. A source is owned by its manager: valid until it is removed, or the manager is
 * freed.
 */
#ifndef PLUGMAP_DISCARD_SOURCE_H
#define PLUGMAP_DISCARD_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <plugmap/ram.h>

G_BEGIN_DECLS

typedef struct PmDiscardManager PmDiscardManager;
typedef struct PmDiscardSource PmDiscardSource;

/**
 * PmDiscardSourceFlags: what a source is.
 * @PM_DISCARD_SOURCE_FREES_MEMORY: what is discarded in this source is freed (pm_ram_discard()),
 * whatever other sources say; also when the source is added, where it has nothing populated.
 * @PM_DISCARD_SOURCE_POPULATED: without @populated, begin with everything populated, not nothing.
 * @PM_DISCARD_SOURCE_KEEP_CONTENTS: adding this source frees no memory: contents that arrived
 * earlier stay (an incoming migration).
 */
typedef enum {
    PM_DISCARD_SOURCE_FREES_MEMORY = 1 << 0,
    PM_DISCARD_SOURCE_POPULATED = 1 << 1,
    PM_DISCARD_SOURCE_KEEP_CONTENTS = 1 << 2,
} PmDiscardSourceFlags;

/**
 * PmDiscardChangeFlags: how to populate or discard.
 * @PM_DISCARD_CHANGE_MIXED: parts of the range may be in the wanted state already: change the rest.
 * Without it that is an error.
 * @PM_DISCARD_CHANGE_KEEP_CONTENTS: free no memory, neither on success nor on failure: for contents
 * that arrived earlier. No effect on a source that frees none.
 */
typedef enum {
    PM_DISCARD_CHANGE_MIXED = 1 << 0,
    PM_DISCARD_CHANGE_KEEP_CONTENTS = 1 << 1,
} PmDiscardChangeFlags;

/**
 * PmDiscardSourceConfig: a new source.
 * @struct_size: sizeof(PmDiscardSourceConfig) (macros.h).
 * @name: for messages; not empty, unlike those of the manager's other sources; copied.
 * @granularity: bytes: a power of two, at least the RAM's page size, that divides the RAM's size.
 * @populated: what it has populated: granule i is bit i % 64 of word i / 64; words for all
 * granules. Not needed afterwards. NULL: see PM_DISCARD_SOURCE_POPULATED.
 * @flags: of PmDiscardSourceFlags.
 */
typedef struct {
    size_t struct_size;
    const char *name;
    uint64_t granularity;
    const uint64_t *populated;
    uint64_t flags;
} PmDiscardSourceConfig;

/**
 * Adds a source: what it does not have populated is discarded, listeners first. A granularity finer
 * than the manager's refines the manager's, as long as no listener is registered: listeners have
 * mapped whole blocks, and cannot unmap a part of one.
 *
 * Returns: the source, or NULL. Errors: PM_ERROR_INVALID_ARGUMENT (name, granularity or flags),
 * PM_ERROR_UNALIGNED (the RAM's size is no multiple of the granularity), PM_ERROR_BUSY (a source of
 * this name exists; or a listener is registered, which the message names, and the granularity is
 * finer than the manager's), PM_ERROR_MEMORY (no memory for bitmaps, or the host does not free
 * memory), PM_ERROR_QUARANTINED (something is in quarantine, from before or now: then the finer
 * granularity stays), PM_ERROR_UNSUPPORTED (@config sets members that this library does not know),
 * PM_ERROR_PERMISSION (in a child of fork(2)), what a listener set.
 */
PM_EXPORT PmDiscardSource *pm_discard_manager_add_source(PmDiscardManager *manager,
                                                         const PmDiscardSourceConfig *config,
                                                         GError **error);

/**
 * Removes a source: what all others have populated is populated. The last source's removal
 * populates everything. The granularity becomes coarser once no listener is registered. On failure
 * the source stays; memory of blocks that it has not populated is discarded again if it frees
 * memory.
 * Errors: PM_ERROR_NOT_FOUND (not a source of @manager), PM_ERROR_QUARANTINED (something is in
 * quarantine, from before or now), PM_ERROR_PERMISSION, what a listener set.
 */
PM_EXPORT bool pm_discard_manager_remove_source(PmDiscardManager *manager, PmDiscardSource *source,
                                                GError **error);

/** The manager that owns it. */
PM_EXPORT PmDiscardManager *pm_discard_source_get_manager(const PmDiscardSource *source);

/** Its name; owned by the source. */
PM_EXPORT const char *pm_discard_source_get_name(const PmDiscardSource *source);

/** Bytes of a granule: all its populates and discards are multiples of it. */
PM_EXPORT uint64_t pm_discard_source_get_granularity(const PmDiscardSource *source);

/** Bytes that it has populated, whatever other sources say. */
PM_EXPORT uint64_t pm_discard_source_get_populated(const PmDiscardSource *source);

/**
 * Whether it has every byte of a range populated. Any alignment: the range is extended to whole
 * granules. False for an empty range and for one that is not inside the RAM.
 */
PM_EXPORT bool pm_discard_source_is_populated(const PmDiscardSource *source, uint64_t offset,
                                              uint64_t size);

/** Whether it has every byte of a range discarded; like pm_discard_source_is_populated(). */
PM_EXPORT bool pm_discard_source_is_discarded(const PmDiscardSource *source, uint64_t offset,
                                              uint64_t size);

/**
 * Finds its first maximal run of populated granules in [@offset, @end), clipped to it.
 * @offset, @end: multiples of its granularity; an @end beyond the RAM means the end of the RAM.
 * Returns: false if there is none; else sets @run_offset and @run_size. Continue at their sum.
 */
PM_EXPORT bool pm_discard_source_next_populated(const PmDiscardSource *source, uint64_t offset,
                                                uint64_t end, uint64_t *run_offset,
                                                uint64_t *run_size);

/** The same for runs of discarded granules. */
PM_EXPORT bool pm_discard_source_next_discarded(const PmDiscardSource *source, uint64_t offset,
                                                uint64_t end, uint64_t *run_offset,
                                                uint64_t *run_size);

/**
 * Populates a range that is wholly discarded in this source. Where all other sources agree,
 * listeners are asked, then notified, then the blocks count as populated. If this fails and the
 * source frees memory, the memory of the range is discarded.
 * @flags: of PmDiscardChangeFlags.
 * @prefault_threads: prefault the memory that all sources agree on with this many threads before
 * listeners are notified (pm_ram_populate()); 0: do not.
 * Errors: PM_ERROR_INVALID_ARGUMENT (range, flags, or not wholly discarded), PM_ERROR_UNALIGNED,
 * PM_ERROR_QUARANTINED (the range is in quarantine, from before or now), PM_ERROR_MEMORY
 * (prefault), PM_ERROR_PERMISSION (in a child of fork(2)), what a listener set.
 */
PM_EXPORT bool pm_discard_source_populate(PmDiscardSource *source, uint64_t offset, uint64_t size,
                                          unsigned flags, unsigned prefault_threads,
                                          GError **error);

/**
 * Discards a range that is wholly populated in this source. Where all other sources have it
 * populated, listeners are asked, then notified. Then the host frees the memory, if the source
 * frees memory, also where another source has it discarded.
 * @flags: of PmDiscardChangeFlags.
 * Errors: as pm_discard_source_populate(); PM_ERROR_MEMORY if the host does not free the memory
 * (listeners populate again).
 */
PM_EXPORT bool pm_discard_source_discard(PmDiscardSource *source, uint64_t offset, uint64_t size,
                                         unsigned flags, GError **error);

/**
 * Discards everything in this source, after which nothing is populated, whatever other sources say.
 * Listeners are asked about what is populated, then drop all that they may have, including what is
 * in quarantine. If the source frees memory, the whole RAM is discarded, but only if every
 * listener, including dropped ones with @next_unknown, has dropped everything; on success nothing
 * is in quarantine. A source that frees none leaves in quarantine what the host did not free, and
 * what a listener without @next_unknown may have had when it was dropped, as long as the manager
 * has a source that frees memory.
 * Errors: what a listener set, PM_ERROR_MEMORY (the host did not free all memory, and no populated
 * block lost its contents), PM_ERROR_PERMISSION (in a child of fork(2)), PM_ERROR_QUARANTINED
 * (something is in quarantine: a listener, registered or dropped, still does not know what it has;
 * redoing what was dropped failed; or populated blocks may have lost their contents),
 * PM_ERROR_LISTENER (also if a listener sets PM_ERROR_QUARANTINED, or did not know what it has,
 * and nothing is in quarantine).
 */
PM_EXPORT bool pm_discard_source_discard_all(PmDiscardSource *source, GError **error);

G_END_DECLS

#endif
