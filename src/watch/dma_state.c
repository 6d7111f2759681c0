/* SPDX-License-Identifier: MIT */
#include "watch/dma_state.h"

#include <errno.h>
#include <inttypes.h>

#include "base/error_text.h"
#include "base/range_map.h"

typedef struct {
    bool has_pid;
    uint64_t pid;
    uint64_t n_bytes; /* in all its address spaces */
    unsigned n_spaces;
} Process;

typedef struct {
    PmDmaSpace shown;
    char *key;
    Process *process;     /* of the last call */
    PmRangeMap *mappings; /* of PmRangeKey */
} Space;

struct PmDmaState {
    GPtrArray *spaces; /* of Space */
    GHashTable *by_key;
    GPtrArray *processes; /* of Process */
    uint64_t n_mappings;
    uint64_t fullest;    /* the most mappings of a space ... */
    uint64_t most_bytes; /* and bytes of a process, unless these are larger than that: */
    bool are_bounds;
    PmDmaLeaks leaks;
    uint64_t n_contradictions;
    char *first_contradiction;
    bool complete;
};

static void free_space(void *data)
{
    Space *space = data;

    pm_range_map_free(space->mappings);
    g_free(space->key);
    g_free(space);
}

PmDmaState *pm_dma_state_new(void)
{
    PmDmaState *state = g_new0(PmDmaState, 1);

    state->spaces = g_ptr_array_new_with_free_func(free_space);
    state->by_key = g_hash_table_new(g_str_hash, g_str_equal);
    state->processes = g_ptr_array_new_with_free_func(g_free);
    return state;
}

void pm_dma_state_free(PmDmaState *state)
{
    if (state == NULL)
        return;
    g_hash_table_unref(state->by_key);
    g_ptr_array_unref(state->spaces);
    g_ptr_array_unref(state->processes);
    g_free(state->leaks.first);
    g_free(state->first_contradiction);
    g_free(state);
}

/* --- the most of anything --- */

/* After something was added to the space. */
static void raise_most(PmDmaState *state, const Space *space)
{
    state->fullest = MAX(state->fullest, space->shown.n_mappings);
    state->most_bytes = MAX(state->most_bytes, space->process->n_bytes);
}

static void find_most(PmDmaState *state)
{
    if (!state->are_bounds)
        return;
    state->are_bounds = false;
    state->fullest = 0;
    state->most_bytes = 0;
    for (guint i = 0; i < state->spaces->len; i++)
        raise_most(state, g_ptr_array_index(state->spaces, i));
}

uint64_t pm_dma_state_fullest(PmDmaState *state)
{
    find_most(state);
    return state->fullest;
}

uint64_t pm_dma_state_most_bytes(PmDmaState *state)
{
    find_most(state);
    return state->most_bytes;
}

static void add_bytes(Space *space, uint64_t n_bytes)
{
    space->shown.n_bytes += n_bytes;
    space->process->n_bytes += n_bytes;
}

static void remove_bytes(PmDmaState *state, Space *space, uint64_t n_bytes)
{
    state->are_bounds = true;
    space->shown.n_bytes -= n_bytes;
    space->process->n_bytes -= n_bytes;
}

/* --- processes --- */

static Process *get_process(PmDmaState *state, bool has_pid, uint64_t pid)
{
    Process *process;

    for (guint i = 0; i < state->processes->len; i++) {
        process = g_ptr_array_index(state->processes, i);
        if (process->has_pid == has_pid && process->pid == pid)
            return process;
    }
    process = g_new0(Process, 1);
    process->has_pid = has_pid;
    process->pid = pid;
    g_ptr_array_add(state->processes, process);
    return process;
}

static void leave_process(PmDmaState *state, const Space *space)
{
    Process *process = space->process;

    state->are_bounds = true;
    process->n_bytes -= space->shown.n_bytes;
    if (--process->n_spaces == 0)
        g_ptr_array_remove_fast(state->processes, process);
}

/* A process can hand an address space to another one. */
static void set_process(PmDmaState *state, Space *space, bool has_pid, uint64_t pid)
{
    Process *process = space->process;

    if (process != NULL && process->has_pid == has_pid && process->pid == pid)
        return;
    if (process != NULL)
        leave_process(state, space);
    space->process = get_process(state, has_pid, pid);
    space->process->n_spaces++;
    space->process->n_bytes += space->shown.n_bytes;
    space->shown.has_pid = has_pid;
    space->shown.pid = pid;
    raise_most(state, space);
}

/* --- address spaces --- */

static Space *space_at(const PmDmaState *state, guint index)
{
    return g_ptr_array_index(state->spaces, index);
}

/* A name is of its own, whatever the process; the prefixes keep both kinds apart. */
static char *key_of(const PmDmaLogCall *call)
{
    if (call->space != NULL)
        return g_strdup_printf("=%s", call->space);
    return call->has_pid ? g_strdup_printf("pid %" PRIu64, call->pid) : g_strdup("");
}

/* Forgets the oldest one that has ended. */
static bool make_room(PmDmaState *state, GError **error)
{
    if (state->spaces->len < PM_DMA_STATE_MAX_SPACES)
        return true;
    for (guint i = 0; i < state->spaces->len; i++) {
        if (!space_at(state, i)->shown.ended)
            continue;
        leave_process(state, space_at(state, i));
        g_hash_table_remove(state->by_key, space_at(state, i)->key);
        g_ptr_array_remove_index(state->spaces, i);
        return true;
    }
    return pm_fail(error, PM_ERROR_LIMIT, "more than %d address spaces that have not ended",
                   PM_DMA_STATE_MAX_SPACES);
}

static Space *get_space(PmDmaState *state, const PmDmaLogCall *call, GError **error)
{
    g_autofree char *key = key_of(call);
    Space *space = g_hash_table_lookup(state->by_key, key);

    if (space == NULL) {
        if (!make_room(state, error))
            return NULL;
        space = g_new0(Space, 1);
        space->mappings = pm_range_map_new(sizeof(PmRangeKey));
        space->key = g_steal_pointer(&key);
        space->shown.name = *space->key == '=' ? space->key + 1 : space->key;
        g_ptr_array_add(state->spaces, space);
        g_hash_table_insert(state->by_key, space->key, space);
    }
    space->shown.ended = false;
    if (call->has_pid || space->process == NULL)
        set_process(state, space, call->has_pid, call->pid);
    return space;
}

/* --- mappings --- */

static void contradict(PmDmaState *state, const PmDmaLogCall *call, const char *what)
{
    state->n_contradictions++;
    if (state->first_contradiction == NULL)
        state->first_contradiction =
            g_strdup_printf("line %u: %s at 0x%" PRIx64 " succeeded, but %s", call->line,
                            call->kind == PM_DMA_LOG_MAP ? "map" : "unmap", call->iova, what);
}

/* What a call touches: mappings, their bytes, and the addresses from the first to the last one. */
typedef struct {
    uint64_t n_mappings;
    uint64_t n_bytes;
    uint64_t first;
    uint64_t last;
    bool cuts; /* the range begins or ends inside a mapping */
} Touched;

static Touched touch(Space *space, uint64_t first, uint64_t last)
{
    Touched touched = {.first = first, .last = last};
    const PmRangeKey *key = pm_range_map_find(space->mappings, first);

    while (key != NULL && key->first <= last) {
        touched.n_mappings++;
        touched.n_bytes += key->last - key->first + 1;
        touched.cuts |= key->first < first || key->last > last;
        touched.first = MIN(touched.first, key->first);
        touched.last = MAX(touched.last, key->last);
        key = key->last == UINT64_MAX ? NULL : pm_range_map_find(space->mappings, key->last + 1);
    }
    return touched;
}

static void remove_touched(PmDmaState *state, Space *space, const Touched *touched)
{
    (void)pm_range_map_remove(space->mappings, touched->first, touched->last);
    space->shown.n_mappings -= touched->n_mappings;
    state->n_mappings -= touched->n_mappings;
    remove_bytes(state, space, touched->n_bytes);
}

static bool map(PmDmaState *state, Space *space, const PmDmaLogCall *call, GError **error)
{
    const PmRangeKey key = {call->iova, call->iova + (call->size - 1)};
    Touched touched = touch(space, key.first, key.last);

    if (state->n_mappings >= PM_DMA_STATE_MAX_MAPPINGS)
        return pm_fail(error, PM_ERROR_LIMIT, "more than %d mappings", PM_DMA_STATE_MAX_MAPPINGS);
    if (!pm_range_map_reserve(space->mappings, 1))
        return pm_fail(error, PM_ERROR_MEMORY, "out of memory for %" PRIu64 " mappings",
                       state->n_mappings);
    if (touched.n_mappings > 0) {
        contradict(state, call, "overlaps a mapping");
        remove_touched(state, space, &touched);
    }
    (void)pm_range_map_insert(space->mappings, &key); /* reserved */
    state->n_mappings++;
    space->shown.n_mappings++;
    add_bytes(space, call->size);
    raise_most(state, space);
    space->shown.peak_mappings = MAX(space->shown.peak_mappings, space->shown.n_mappings);
    space->shown.peak_bytes = MAX(space->shown.peak_bytes, space->shown.n_bytes);
    return true;
}

static void unmap(PmDmaState *state, Space *space, const PmDmaLogCall *call)
{
    uint64_t first = call->all ? 0 : call->iova;
    uint64_t last = call->all ? UINT64_MAX : call->iova + (call->size - 1);
    Touched touched = touch(space, first, last);

    if (touched.cuts)
        contradict(state, call, "cuts a mapping");
    else if (call->has_unmapped && call->unmapped != touched.n_bytes)
        contradict(state, call, "unmapped other bytes than were mapped");
    remove_touched(state, space, &touched);
}

/* iommufd unmaps upwards, until a mapping ends past the range. */
static void unmap_before_cut(PmDmaState *state, Space *space, const PmDmaLogCall *call)
{
    const PmRangeKey *first = pm_range_map_find(space->mappings, call->iova);
    const PmRangeKey *cut;
    Touched touched;
    uint64_t last;

    if (call->size == 0 || __builtin_add_overflow(call->iova, call->size - 1, &last))
        return;
    cut = pm_range_map_find(space->mappings, last);
    if (cut == NULL || cut == first || first->first < call->iova || cut->first > last ||
        cut->last == last)
        return;
    touched = touch(space, call->iova, cut->first - 1);
    remove_touched(state, space, &touched);
}

static void fail(PmDmaState *state, Space *space, const PmDmaLogCall *call)
{
    if (call->kind == PM_DMA_LOG_UNMAP && call->error_number == ENOENT && !call->all)
        unmap_before_cut(state, space, call);
}

/* --- the end --- */

static void end_space(PmDmaState *state, Space *space)
{
    Touched all = touch(space, 0, UINT64_MAX);
    const PmRangeKey *first = pm_range_map_find(space->mappings, 0);
    PmDmaLeaks *leaks = &state->leaks;

    if (first != NULL && leaks->first == NULL)
        leaks->first = g_strdup_printf("0x%" PRIx64 "-0x%" PRIx64 "%s%s", first->first, first->last,
                                       *space->shown.name == '\0' ? "" : " of ", space->shown.name);
    leaks->n_mappings += space->shown.n_mappings;
    leaks->n_bytes += all.n_bytes;
    remove_touched(state, space, &all);
    space->shown.ended = true;
}

static void end(PmDmaState *state, const PmDmaLogCall *call)
{
    g_autofree char *key = key_of(call);

    for (guint i = 0; i < state->spaces->len; i++) {
        Space *space = space_at(state, i);
        bool is_named = call->space != NULL && g_str_equal(space->key, key);
        bool is_of_process = call->space == NULL && call->has_pid && space->shown.has_pid &&
                             space->shown.pid == call->pid;

        if (is_named || is_of_process || *key == '\0')
            end_space(state, space);
    }
    state->complete |= *key == '\0';
}

bool pm_dma_state_apply(PmDmaState *state, const PmDmaLogCall *call, GError **error)
{
    Space *space;

    if (call->kind == PM_DMA_LOG_END)
        end(state, call);
    if (call->kind == PM_DMA_LOG_NOTHING || call->kind == PM_DMA_LOG_END)
        return true;
    space = get_space(state, call, error);
    if (space == NULL)
        return false;
    if (call->error_number == 0 && call->kind == PM_DMA_LOG_MAP)
        return map(state, space, call, error);
    if (call->error_number == 0)
        unmap(state, space, call);
    else
        fail(state, space, call);
    return true;
}

/* --- what there is --- */

uint64_t pm_dma_state_n_mappings(const PmDmaState *state)
{
    return state->n_mappings;
}

const PmDmaSpace *pm_dma_state_space(const PmDmaState *state, unsigned index)
{
    return index < state->spaces->len ? &space_at(state, index)->shown : NULL;
}

static void add_run(PmDmaRuns *runs, const PmDmaRuns *run)
{
    if (run->largest_n_mappings == 0)
        return;
    runs->n_runs++;
    if (run->largest_size > runs->largest_size) {
        runs->largest_iova = run->largest_iova;
        runs->largest_size = run->largest_size;
        runs->largest_n_mappings = run->largest_n_mappings;
    }
}

static void add_runs(PmDmaRuns *runs, Space *space)
{
    const PmRangeKey *key = pm_range_map_find(space->mappings, 0);
    PmDmaRuns run = {0};

    while (key != NULL) {
        if (run.largest_n_mappings == 0 || run.largest_iova + run.largest_size != key->first) {
            add_run(runs, &run);
            run = (PmDmaRuns){.largest_iova = key->first};
        }
        run.largest_size += key->last - key->first + 1;
        run.largest_n_mappings++;
        key = key->last == UINT64_MAX ? NULL : pm_range_map_find(space->mappings, key->last + 1);
    }
    add_run(runs, &run);
}

PmDmaRuns pm_dma_state_runs(PmDmaState *state)
{
    PmDmaRuns runs = {0};

    for (guint i = 0; i < state->spaces->len; i++)
        add_runs(&runs, space_at(state, i));
    return runs;
}

const PmDmaLeaks *pm_dma_state_leaks(const PmDmaState *state)
{
    return &state->leaks;
}

uint64_t pm_dma_state_n_contradictions(const PmDmaState *state, const char **first)
{
    *first = state->first_contradiction;
    return state->n_contradictions;
}

bool pm_dma_state_is_complete(const PmDmaState *state)
{
    return state->complete;
}
