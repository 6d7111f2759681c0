/* SPDX-License-Identifier: MIT */
#include "memory/discard_listener.h"

#include <inttypes.h>

#include "base/error_private.h"
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

    listener->ops = *ops;
    listener->user_data = user_data;
    listener->name = g_strdup(name);
    listener->offset = offset;
    listener->end = offset + size;
    return listener;
}

void pm_discard_listener_free(PmDiscardListener *listener)
{
    if (listener->ops.free != NULL)
        listener->ops.free(listener->user_data);
    g_free(listener->name);
    g_free(listener);
}

bool pm_discard_listener_knows_all(const PmDiscardListener *listener)
{
    uint64_t offset;
    uint64_t size;

    return !pm_discard_listener_next_unknown(listener, 0, &offset, &size, NULL);
}

bool pm_discard_listener_check_knows_all(const PmDiscardListener *listener, GError **error)
{
    uint64_t offset;
    uint64_t size;
    g_autofree char *reason = NULL;

    if (!pm_discard_listener_next_unknown(listener, 0, &offset, &size, &reason))
        return true;
    (void)pm_fail(error, PM_ERROR_QUARANTINED,
                  "%s does not know whether it still has 0x%" PRIx64 " bytes at offset 0x%" PRIx64
                  ": %s",
                  listener->name, size, offset, reason);
    if (error != NULL)
        pm_error_set_listener(*error, listener->name);
    return false;
}

static bool clip(const PmDiscardListener *listener, uint64_t offset, uint64_t size, Run *run)
{
    run->offset = MAX(listener->offset, offset);
    run->end = MIN(listener->end, offset + size);
    return run->offset < run->end;
}

/* So that callers can rely on an error, of the domain PM_ERROR, after each failure. */
static bool check_answer(const PmDiscardListener *listener, bool done, GError **error)
{
    if (done)
        return true;
    if (*error == NULL)
        (void)pm_fail(error, PM_ERROR_LISTENER, "failed without an error: see its log");
    else if ((*error)->domain != PM_ERROR)
        *error = pm_error_new_caused(PM_ERROR_LISTENER, *error);
    pm_error_set_listener(*error, listener->name);
    return false;
}

/* Takes @cause. Returns false. */
static bool pass_on(const PmDiscardListener *listener, GError *cause, GError **error)
{
    g_propagate_prefixed_error(error, cause, "%s: ", listener->name);
    return false;
}

static bool notify(const PmDiscardListener *listener, Operation operation, const Run *run,
                   GError **error)
{
    bool done = operation(listener->user_data, run->offset, run->end - run->offset, error);

    return check_answer(listener, done, error);
}

static void lose(const PmDiscardListener *listener, PmBlocks *blocks, const Run *run,
                 const char *reason)
{
    pm_quarantine_add(blocks->lost, run->offset, run->end - run->offset, listener, listener->name,
                      reason);
}

bool pm_discard_listener_next_unknown(const PmDiscardListener *listener, uint64_t offset,
                                      uint64_t *run_offset, uint64_t *run_size, char **reason)
{
    uint64_t start = MAX(offset, listener->offset);
    uint64_t end;

    if (listener->ops.next_unknown == NULL || start >= listener->end ||
        !listener->ops.next_unknown(listener->user_data, start, run_offset, run_size, reason))
        return false;
    /* It may report more than its range. */
    if (__builtin_add_overflow(*run_offset, *run_size, &end) || end > listener->end)
        end = listener->end;
    *run_offset = MAX(*run_offset, start);
    if (*run_offset >= end) {
        if (reason != NULL)
            g_clear_pointer(reason, g_free);
        return false;
    }
    *run_size = end - *run_offset;
    return true;
}

/* The listener failed to roll back, and the manager has to record it. */
static bool is_lost(const PmDiscardListener *listener, const GError *error)
{
    if (listener->ops.next_unknown != NULL)
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
        lose(listener, blocks, &run, cause->message);
    return pass_on(listener, cause, error);
}

static void take_back(const PmDiscardListener *listener, PmBlocks *blocks, Operation operation,
                      uint64_t offset, uint64_t size)
{
    g_autoptr(GError) cause = NULL;
    Run run;

    if (clip(listener, offset, size, &run) && !notify(listener, operation, &run, &cause))
        lose(listener, blocks, &run, cause->message);
}

static bool ask(const PmDiscardListener *listener, Operation question, uint64_t offset,
                uint64_t size, GError **error)
{
    GError *cause = NULL;
    Run run;

    if (question == NULL || !clip(listener, offset, size, &run) ||
        notify(listener, question, &run, &cause))
        return true;
    return pass_on(listener, cause, error);
}

bool pm_discard_listener_may_populate(const PmDiscardListener *listener, uint64_t offset,
                                      uint64_t size, GError **error)
{
    return ask(listener, listener->ops.can_populate, offset, size, error);
}

bool pm_discard_listener_may_discard(const PmDiscardListener *listener, uint64_t offset,
                                     uint64_t size, GError **error)
{
    return ask(listener, listener->ops.can_discard, offset, size, error);
}

bool pm_discard_listener_populate(const PmDiscardListener *listener, PmBlocks *blocks,
                                  uint64_t offset, uint64_t size, GError **error)
{
    return notify_or_lose(listener, blocks, listener->ops.populate, offset, size, error);
}

bool pm_discard_listener_discard(const PmDiscardListener *listener, PmBlocks *blocks,
                                 uint64_t offset, uint64_t size, GError **error)
{
    return notify_or_lose(listener, blocks, listener->ops.discard, offset, size, error);
}

void pm_discard_listener_undo_populate(const PmDiscardListener *listener, PmBlocks *blocks,
                                       uint64_t offset, uint64_t size)
{
    take_back(listener, blocks, listener->ops.discard, offset, size);
}

void pm_discard_listener_redo_populate(const PmDiscardListener *listener, PmBlocks *blocks,
                                       uint64_t offset, uint64_t size)
{
    take_back(listener, blocks, listener->ops.populate, offset, size);
}

static bool next_populated(const PmBlocks *blocks, uint64_t offset, uint64_t end, Run *run)
{
    PmGranules populated = pm_blocks_populated(blocks);
    uint64_t size;

    if (!pm_granules_next_set(&populated, offset, end, &run->offset, &size))
        return false;
    run->end = run->offset + size;
    return true;
}

/* The last run of populated blocks in [@offset, @end). */
static bool previous_populated(const PmBlocks *blocks, uint64_t offset, uint64_t end, Run *run)
{
    PmGranules populated = pm_blocks_populated(blocks);
    uint64_t size;

    if (!pm_granules_previous_set(&populated, offset, end, &run->offset, &size))
        return false;
    run->end = run->offset + size;
    return true;
}

void pm_discard_listener_cancel_discard(const PmDiscardListener *listener, uint64_t offset,
                                        uint64_t size)
{
    Run run;

    if (listener->ops.can_discard != NULL && listener->ops.cancel_discard != NULL &&
        clip(listener, offset, size, &run))
        listener->ops.cancel_discard(listener->user_data, run.offset, run.end - run.offset);
}

/* All runs before @end. */
static void cancel_runs(const PmDiscardListener *listener, const PmBlocks *blocks, uint64_t end)
{
    Run run = {.offset = end};

    while (previous_populated(blocks, listener->offset, run.offset, &run))
        pm_discard_listener_cancel_discard(listener, run.offset, run.end - run.offset);
}

void pm_discard_listener_cancel_discard_all(const PmDiscardListener *listener,
                                            const PmBlocks *blocks)
{
    cancel_runs(listener, blocks, listener->end);
}

bool pm_discard_listener_may_discard_all(const PmDiscardListener *listener, const PmBlocks *blocks,
                                         GError **error)
{
    Run run = {.end = listener->offset};

    if (listener->ops.can_discard == NULL)
        return true;
    while (next_populated(blocks, run.end, listener->end, &run))
        if (!pm_discard_listener_may_discard(listener, run.offset, run.end - run.offset, error)) {
            cancel_runs(listener, blocks, run.offset);
            return false;
        }
    return true;
}

static bool next_unknown(const PmDiscardListener *listener, uint64_t offset, Run *run)
{
    uint64_t size;

    if (!pm_discard_listener_next_unknown(listener, offset, &run->offset, &size, NULL))
        return false;
    run->end = run->offset + size;
    return true;
}

/* The first run at or after @offset that the listener may have: populated, lost or unknown. */
static bool next_held(const PmDiscardListener *listener, const PmBlocks *blocks, uint64_t offset,
                      Run *run)
{
    uint64_t end = listener->end;
    uint64_t before;
    Run other;

    run->offset = pm_quarantine_next(blocks->lost, offset, end);
    if (next_populated(blocks, offset, end, &other))
        run->offset = MIN(run->offset, other.offset);
    if (next_unknown(listener, offset, &other))
        run->offset = MIN(run->offset, other.offset);
    run->end = run->offset;
    do {
        before = run->end;
        run->end = pm_quarantine_next_free(blocks->lost, run->end, end);
        run->end = blocks->granularity * pm_bitmap_next_clear(blocks->populated,
                                                              run->end / blocks->granularity,
                                                              end / blocks->granularity);
        if (next_unknown(listener, run->end, &other) && other.offset == run->end)
            run->end = other.end;
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
            take_runs_back(listener, blocks, listener->ops.discard, run.offset);
            return false;
        }
    return true;
}

static bool drop_runs(const PmDiscardListener *listener, PmBlocks *blocks, GError **error)
{
    Run run = {.end = listener->offset};

    while (next_held(listener, blocks, run.end, &run))
        if (!pm_discard_listener_discard(listener, blocks, run.offset, run.end - run.offset,
                                         error)) {
            take_runs_back(listener, blocks, listener->ops.populate, run.offset);
            return false;
        }
    return true;
}

void pm_discard_listener_lose_all(const PmDiscardListener *listener, PmBlocks *blocks,
                                  const char *reason)
{
    Run run = {.end = listener->offset};

    while (next_populated(blocks, run.end, listener->end, &run))
        lose(listener, blocks, &run, reason);
}

bool pm_discard_listener_drop_all(const PmDiscardListener *listener, PmBlocks *blocks,
                                  GError **error)
{
    GError *cause = NULL;

    if (listener->ops.discard_all == NULL)
        return drop_runs(listener, blocks, error);
    if (check_answer(listener, listener->ops.discard_all(listener->user_data, &cause), &cause))
        return true;
    /* It may have kept all that it was notified of. */
    if (is_lost(listener, cause))
        pm_discard_listener_lose_all(listener, blocks, cause->message);
    return pass_on(listener, cause, error);
}

bool pm_discard_listener_drop_unknown(const PmDiscardListener *listener, GError **error)
{
    Run run = {.end = listener->offset};
    GError *cause = NULL;
    bool done = true;

    if (listener->ops.discard_all != NULL)
        done =
            check_answer(listener, listener->ops.discard_all(listener->user_data, &cause), &cause);
    else
        while (done && next_unknown(listener, run.end, &run))
            done = notify(listener, listener->ops.discard, &run, &cause);
    return done || pass_on(listener, cause, error);
}

void pm_discard_listener_redo_all(const PmDiscardListener *listener, PmBlocks *blocks)
{
    take_runs_back(listener, blocks, listener->ops.populate, listener->end);
}
