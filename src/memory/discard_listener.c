/* SPDX-License-Identifier: MIT */
#include "memory/discard_listener.h"

#include "base/error_text.h"

typedef bool (*Operation)(void *user_data, uint64_t offset, uint64_t size, GError **error);

typedef struct {
    uint64_t offset;
    uint64_t end;
} Run;

PmDiscardListener *pm_discard_listener_new(const PmDiscardListenerOps *ops, void *user_data,
                                           const char *name, uint64_t offset, uint64_t size)
{
    PmDiscardListener *listener = g_new0(PmDiscardListener, 1);

    listener->ops = ops;
    listener->user_data = user_data;
    listener->name = g_strdup(name);
    listener->offset = offset;
    listener->end = offset + size;
    return listener;
}

void pm_discard_listener_free(PmDiscardListener *listener)
{
    if (listener->ops->free != NULL)
        listener->ops->free(listener->user_data);
    g_free(listener->name);
    g_free(listener);
}

bool pm_discard_listener_knows_all(const PmDiscardListener *listener)
{
    uint64_t offset;
    uint64_t size;

    return !pm_discard_listener_next_unknown(listener, 0, &offset, &size, NULL);
}

static bool clip(const PmDiscardListener *listener, uint64_t offset, uint64_t size, Run *run)
{
    run->offset = MAX(listener->offset, offset);
    run->end = MIN(listener->end, offset + size);
    return run->offset < run->end;
}

/* Nobody behind this has to ask whether a failure came with an error. */
static bool check_answer(const PmDiscardListener *listener, bool done, GError **error)
{
    if (!done && *error == NULL)
        pm_fail(error, PM_ERROR_KERNEL, "listener «%s» failed and did not say why: see its log",
                listener->name);
    return done;
}

static bool notify(const PmDiscardListener *listener, Operation operation, const Run *run,
                   GError **error)
{
    bool done = operation(listener->user_data, run->offset, run->end - run->offset, error);

    return check_answer(listener, done, error);
}

static void lose(const PmDiscardListener *listener, PmBlocks *blocks, const Run *run,
                 const GError *cause)
{
    pm_quarantine_add(blocks->lost, run->offset, run->end - run->offset, listener, listener->name,
                      cause->message);
}

bool pm_discard_listener_next_unknown(const PmDiscardListener *listener, uint64_t offset,
                                      uint64_t *run_offset, uint64_t *run_size, char **reason)
{
    uint64_t start = MAX(offset, listener->offset);

    if (listener->ops->next_unknown == NULL || start >= listener->end ||
        !listener->ops->next_unknown(listener->user_data, start, run_offset, run_size, reason))
        return false;
    if (*run_offset >= listener->end) {
        if (reason != NULL)
            g_clear_pointer(reason, g_free);
        return false;
    }
    *run_size = MIN(*run_size, listener->end - *run_offset);
    return true;
}

/* The listener itself says that it is not as before, and the manager has to remember it. */
static bool is_lost(const PmDiscardListener *listener, const GError *error)
{
    if (listener->ops->next_unknown != NULL)
        return false;
    return g_error_matches(error, PM_ERROR, PM_ERROR_QUARANTINED) ||
           g_error_matches(error, PM_ERROR, PM_ERROR_UNMAP_MISMATCH);
}

static bool notify_or_lose(const PmDiscardListener *listener, PmBlocks *blocks, Operation operation,
                           uint64_t offset, uint64_t size, GError **error)
{
    GError *cause = NULL;
    Run run;

    if (!clip(listener, offset, size, &run) || notify(listener, operation, &run, &cause))
        return true;
    if (is_lost(listener, cause))
        lose(listener, blocks, &run, cause);
    g_propagate_error(error, cause);
    return false;
}

static void take_back(const PmDiscardListener *listener, PmBlocks *blocks, Operation operation,
                      uint64_t offset, uint64_t size)
{
    g_autoptr(GError) cause = NULL;
    Run run;

    if (clip(listener, offset, size, &run) && !notify(listener, operation, &run, &cause))
        lose(listener, blocks, &run, cause);
}

bool pm_discard_listener_may_populate(const PmDiscardListener *listener, uint64_t offset,
                                      uint64_t size, GError **error)
{
    GError *cause = NULL;
    Run run;

    if (listener->ops->can_populate == NULL || !clip(listener, offset, size, &run) ||
        notify(listener, listener->ops->can_populate, &run, &cause))
        return true;
    g_propagate_error(error, cause);
    return false;
}

bool pm_discard_listener_populate(const PmDiscardListener *listener, PmBlocks *blocks,
                                  uint64_t offset, uint64_t size, GError **error)
{
    return notify_or_lose(listener, blocks, listener->ops->populate, offset, size, error);
}

bool pm_discard_listener_discard(const PmDiscardListener *listener, PmBlocks *blocks,
                                 uint64_t offset, uint64_t size, GError **error)
{
    return notify_or_lose(listener, blocks, listener->ops->discard, offset, size, error);
}

void pm_discard_listener_undo_populate(const PmDiscardListener *listener, PmBlocks *blocks,
                                       uint64_t offset, uint64_t size)
{
    take_back(listener, blocks, listener->ops->discard, offset, size);
}

void pm_discard_listener_redo_populate(const PmDiscardListener *listener, PmBlocks *blocks,
                                       uint64_t offset, uint64_t size)
{
    take_back(listener, blocks, listener->ops->populate, offset, size);
}

static bool next_populated(const PmBlocks *blocks, uint64_t offset, uint64_t end, Run *run)
{
    uint64_t last = end / blocks->granularity;
    uint64_t block = pm_bitmap_next_set(blocks->populated, offset / blocks->granularity, last);

    run->offset = block * blocks->granularity;
    run->end = pm_bitmap_next_clear(blocks->populated, block, last) * blocks->granularity;
    return run->offset < run->end;
}

/* The last run of populated blocks in [@offset, @end). Only for going back: block by block. */
static bool previous_populated(const PmBlocks *blocks, uint64_t offset, uint64_t end, Run *run)
{
    uint64_t first = offset / blocks->granularity;
    uint64_t block = end / blocks->granularity;

    while (block > first && pm_bitmap_next_set(blocks->populated, block - 1, block) == block)
        block--;
    run->end = block * blocks->granularity;
    while (block > first && pm_bitmap_next_clear(blocks->populated, block - 1, block) == block)
        block--;
    run->offset = block * blocks->granularity;
    return run->offset < run->end;
}

/* The same for blocks that are populated or lost, from the first on. */
static bool next_held(const PmBlocks *blocks, uint64_t offset, uint64_t end, Run *run)
{
    Run populated;
    uint64_t before;

    run->offset = pm_quarantine_next(blocks->lost, offset, end);
    if (next_populated(blocks, offset, end, &populated))
        run->offset = MIN(run->offset, populated.offset);
    run->end = run->offset;
    do {
        before = run->end;
        run->end = pm_quarantine_next_free(blocks->lost, run->end, end);
        run->end = blocks->granularity * pm_bitmap_next_clear(blocks->populated,
                                                              run->end / blocks->granularity,
                                                              end / blocks->granularity);
    } while (run->end != before);
    return run->offset < run->end;
}

static void take_runs_back(const PmDiscardListener *listener, PmBlocks *blocks, Operation operation,
                           uint64_t end)
{
    Run run = {.offset = end};

    while (previous_populated(blocks, listener->offset, run.offset, &run))
        take_back(listener, blocks, operation, run.offset, run.end - run.offset);
}

bool pm_discard_listener_replay(const PmDiscardListener *listener, PmBlocks *blocks, GError **error)
{
    Run run = {.end = listener->offset};

    while (next_populated(blocks, run.end, listener->end, &run))
        if (!pm_discard_listener_populate(listener, blocks, run.offset, run.end - run.offset,
                                          error)) {
            take_runs_back(listener, blocks, listener->ops->discard, run.offset);
            return false;
        }
    return true;
}

static bool drop_runs(const PmDiscardListener *listener, PmBlocks *blocks, GError **error)
{
    Run run = {.end = listener->offset};

    while (next_held(blocks, run.end, listener->end, &run))
        if (!pm_discard_listener_discard(listener, blocks, run.offset, run.end - run.offset,
                                         error)) {
            take_runs_back(listener, blocks, listener->ops->populate, run.offset);
            return false;
        }
    return true;
}

/* What a listener that lost its way in discard_all may have kept: all that it was told of. */
static void lose_populated(const PmDiscardListener *listener, PmBlocks *blocks, const GError *cause)
{
    Run run = {.end = listener->offset};

    while (next_populated(blocks, run.end, listener->end, &run))
        lose(listener, blocks, &run, cause);
}

bool pm_discard_listener_drop_all(const PmDiscardListener *listener, PmBlocks *blocks,
                                  GError **error)
{
    GError *cause = NULL;

    if (listener->ops->discard_all == NULL)
        return drop_runs(listener, blocks, error);
    if (check_answer(listener, listener->ops->discard_all(listener->user_data, &cause), &cause))
        return true;
    if (is_lost(listener, cause))
        lose_populated(listener, blocks, cause);
    g_propagate_error(error, cause);
    return false;
}

void pm_discard_listener_redo_all(const PmDiscardListener *listener, PmBlocks *blocks)
{
    take_runs_back(listener, blocks, listener->ops->populate, listener->end);
}
