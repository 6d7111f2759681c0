/* SPDX-License-Identifier: MIT */
#include "iommu/ledger.h"

#include "base/range_map.h"

/* Replacing the middle of a run makes it three: two inserts. */
#define N_INSERTS 2

typedef struct {
    PmRangeKey key;
    uint64_t memory; /* the offset in the RAM, which is even, plus 1 if unknown */
} Run;

struct PmLedger {
    PmRangeMap *runs;
    uint64_t block_size;
    uint64_t n_blocks;
    uint64_t n_unknown;
};

PmLedger *pm_ledger_new(uint64_t block_size, uint64_t n_blocks)
{
    PmLedger *ledger = g_new0(PmLedger, 1);

    ledger->runs = pm_range_map_new_small(sizeof(Run), n_blocks);
    ledger->block_size = block_size;
    return ledger;
}

void pm_ledger_free(PmLedger *ledger)
{
    pm_range_map_free(ledger->runs);
    g_free(ledger);
}

uint64_t pm_ledger_n_blocks(const PmLedger *ledger)
{
    return ledger->n_blocks;
}

uint64_t pm_ledger_n_unknown(const PmLedger *ledger)
{
    return ledger->n_unknown;
}

static bool is_unknown(const Run *run)
{
    return (run->memory & 1) != 0;
}

static uint64_t ram_offset_at(const Run *run, uint64_t iova)
{
    return (run->memory & ~UINT64_C(1)) + (iova - run->key.first);
}

/* Unlike a division of the size, correct for 2^64 bytes, too. */
static uint64_t count_blocks(const PmLedger *ledger, uint64_t first, uint64_t last)
{
    return (last - first) / ledger->block_size + 1;
}

PmLedgerState pm_ledger_state_at(PmLedger *ledger, uint64_t iova, uint64_t end_last, uint64_t *last)
{
    const Run *run = pm_range_map_find(ledger->runs, iova);

    *last = end_last;
    if (run == NULL || run->key.first > end_last)
        return PM_LEDGER_UNMAPPED;
    if (run->key.first > iova) {
        *last = run->key.first - 1;
        return PM_LEDGER_UNMAPPED;
    }
    *last = MIN(run->key.last, end_last);
    return is_unknown(run) ? PM_LEDGER_UNKNOWN : PM_LEDGER_MAPPED;
}

bool pm_ledger_next_run(PmLedger *ledger, uint64_t iova, PmIommuRun *run)
{
    const Run *found = pm_range_map_find(ledger->runs, iova);
    uint64_t first;

    if (found == NULL)
        return false;
    first = found->key.first;
    if (iova > first)
        first = iova - (iova - first) % ledger->block_size;
    run->iova = first;
    run->block_size = ledger->block_size;
    run->n_blocks = count_blocks(ledger, first, found->key.last);
    run->ram_offset = ram_offset_at(found, first);
    run->unknown = is_unknown(found);
    return true;
}

bool pm_ledger_reserve(PmLedger *ledger)
{
    return pm_range_map_reserve(ledger->runs, N_INSERTS);
}

static void count_out(PmLedger *ledger, const Run *run, uint64_t first, uint64_t last)
{
    uint64_t n_blocks = count_blocks(ledger, first, last);

    ledger->n_blocks -= n_blocks;
    ledger->n_unknown -= is_unknown(run) ? n_blocks : 0;
}

/* Cuts the start of a run, and advances its memory. */
static void cut_head(Run *run, uint64_t first)
{
    run->memory += first - run->key.first;
    run->key.first = first;
}

/* Removes [@first, @last] from the runs that overlap it. */
static void cut_out(PmLedger *ledger, uint64_t first, uint64_t last)
{
    uint64_t at = first;
    Run *run;

    while ((run = pm_range_map_find(ledger->runs, at)) != NULL && run->key.first <= last) {
        Run after = *run;

        count_out(ledger, run, MAX(run->key.first, first), MIN(run->key.last, last));
        if (run->key.first < first)
            run->key.last = first - 1;
        if (after.key.last <= last) {
            if (after.key.last == last)
                break;
            at = after.key.last + 1;
            continue;
        }
        cut_head(&after, last + 1);
        if (run->key.first < first)
            (void)pm_range_map_insert(ledger->runs, &after);
        else
            *run = after;
        break;
    }
    (void)pm_range_map_remove(ledger->runs, first, last);
}

/* The run that ends immediately before @iova. */
static Run *run_before(PmLedger *ledger, uint64_t iova)
{
    Run *run = iova > 0 ? pm_range_map_find(ledger->runs, iova - 1) : NULL;

    return run != NULL && run->key.last == iova - 1 ? run : NULL;
}

static bool continues(const Run *before, const Run *after)
{
    return before->memory + (after->key.first - before->key.first) == after->memory;
}

/* Merges the run that begins right after @before into it, if contiguous. */
static void join_next(PmLedger *ledger, Run *before)
{
    uint64_t end = before->key.last + 1;
    const Run *after = end != 0 ? pm_range_map_find(ledger->runs, end) : NULL;
    uint64_t first = before->key.first;
    uint64_t last;

    if (after == NULL || after->key.first != end || !continues(before, after))
        return;
    last = after->key.last;
    (void)pm_range_map_remove(ledger->runs, end, last);
    before = pm_range_map_find(ledger->runs, first);
    before->key.last = last;
}

static void put(PmLedger *ledger, const Run *added)
{
    uint64_t n_blocks = count_blocks(ledger, added->key.first, added->key.last);
    Run *before = run_before(ledger, added->key.first);

    ledger->n_blocks += n_blocks;
    ledger->n_unknown += is_unknown(added) ? n_blocks : 0;
    if (before != NULL && continues(before, added)) {
        before->key.last = added->key.last;
    } else {
        (void)pm_range_map_insert(ledger->runs, added);
        before = pm_range_map_find(ledger->runs, added->key.first);
    }
    join_next(ledger, before);
}

void pm_ledger_set(PmLedger *ledger, uint64_t first, uint64_t last, PmLedgerState state,
                   uint64_t ram_offset)
{
    const Run added = {
        .key = {first, last},
        .memory = ram_offset | (state == PM_LEDGER_UNKNOWN ? 1 : 0),
    };

    cut_out(ledger, first, last);
    if (state != PM_LEDGER_UNMAPPED)
        put(ledger, &added);
}

/* A run entirely in the range is changed in place, which needs no memory. */
static void forget_run(PmLedger *ledger, Run *run, uint64_t first, uint64_t last)
{
    if (is_unknown(run))
        return;
    if (run->key.first == first && run->key.last == last) {
        run->memory |= 1;
        ledger->n_unknown += count_blocks(ledger, first, last);
        return;
    }
    pm_ledger_set(ledger, first, last, PM_LEDGER_UNKNOWN, ram_offset_at(run, first));
}

void pm_ledger_forget(PmLedger *ledger, uint64_t first, uint64_t last)
{
    Run *run;

    while ((run = pm_range_map_find(ledger->runs, first)) != NULL && run->key.first <= last) {
        uint64_t run_last = MIN(run->key.last, last);

        forget_run(ledger, run, MAX(run->key.first, first), run_last);
        if (run_last == last)
            return;
        first = run_last + 1;
    }
}
