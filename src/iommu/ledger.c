/* SPDX-License-Identifier: MIT */
#include "iommu/ledger.h"

#include "base/range_map.h"

typedef struct {
    PmRangeKey key;
    uint64_t block_size;
} Run;

struct PmLedger {
    PmRangeMap *runs;
    uint64_t n_mappings;
    uint64_t n_bytes;
};

PmLedger *pm_ledger_new(void)
{
    PmLedger *ledger = g_new0(PmLedger, 1);

    ledger->runs = pm_range_map_new(sizeof(Run));
    return ledger;
}

void pm_ledger_free(PmLedger *ledger)
{
    pm_range_map_free(ledger->runs);
    g_free(ledger);
}

uint64_t pm_ledger_n_mappings(const PmLedger *ledger)
{
    return ledger->n_mappings;
}

uint64_t pm_ledger_n_bytes(const PmLedger *ledger)
{
    return ledger->n_bytes;
}

/* Blocks in [first, last]; unlike a division of the size, right for 2^64 bytes, too. */
static uint64_t count_blocks(uint64_t first, uint64_t last, uint64_t block_size)
{
    return (last - first) / block_size + 1;
}

bool pm_ledger_next_run(PmLedger *ledger, uint64_t iova, PmIommuRun *run)
{
    const Run *found = pm_range_map_find(ledger->runs, iova);
    uint64_t first;

    if (found == NULL)
        return false;
    first = found->key.first;
    if (iova > first)
        first = iova - (iova - first) % found->block_size;
    run->iova = first;
    run->block_size = found->block_size;
    run->n_blocks = count_blocks(first, found->key.last, found->block_size);
    return true;
}

/* The run that ends right before iova. */
static Run *run_before(PmLedger *ledger, uint64_t iova)
{
    Run *run = iova > 0 ? pm_range_map_find(ledger->runs, iova - 1) : NULL;

    return run != NULL && run->key.last == iova - 1 ? run : NULL;
}

bool pm_ledger_add(PmLedger *ledger, uint64_t iova, uint64_t block_size, uint64_t n_blocks)
{
    Run added = {.key = {iova, iova + (block_size * n_blocks - 1)}, .block_size = block_size};
    Run *before = run_before(ledger, iova);

    if (before != NULL && before->block_size == block_size)
        before->key.last = added.key.last;
    else if (!pm_range_map_insert(ledger->runs, &added))
        return false;
    ledger->n_mappings += n_blocks;
    ledger->n_bytes += block_size * n_blocks;
    return true;
}

void pm_ledger_join(PmLedger *ledger, uint64_t iova)
{
    Run *before = run_before(ledger, iova);
    const Run *behind;
    uint64_t last;

    if (before == NULL)
        return;
    behind = pm_range_map_find(ledger->runs, iova);
    if (behind == NULL || behind->key.first != iova || behind->block_size != before->block_size)
        return;
    last = behind->key.last;
    (void)pm_range_map_remove(ledger->runs, iova, last);
    before = run_before(ledger, iova);
    before->key.last = last;
}

PmLedgerFinding pm_ledger_check(PmLedger *ledger, uint64_t first, uint64_t last, bool holes_allowed,
                                uint64_t *at)
{
    *at = first;
    for (;;) {
        const Run *run = pm_range_map_find(ledger->runs, *at);
        bool hole = run == NULL || run->key.first > *at;

        if (hole && !holes_allowed)
            return PM_LEDGER_HOLE;
        if (run == NULL || run->key.first > last)
            return PM_LEDGER_WHOLE;
        if (run->key.first < first && (first - run->key.first) % run->block_size != 0)
            return PM_LEDGER_CUT;
        if (run->key.last > last && (last - run->key.first + 1) % run->block_size != 0) {
            *at = last + 1;
            return PM_LEDGER_CUT;
        }
        if (run->key.last >= last)
            return PM_LEDGER_WHOLE;
        *at = run->key.last + 1;
    }
}

bool pm_ledger_prepare_remove(PmLedger *ledger, uint64_t first, uint64_t last)
{
    Run *run = pm_range_map_find(ledger->runs, first);
    Run behind;

    /* Only taking the middle out of a run makes one more of it. */
    if (run == NULL || run->key.first >= first || run->key.last <= last)
        return true;
    behind = *run;
    behind.key.first = last + 1;
    run->key.last = last;
    if (pm_range_map_insert(ledger->runs, &behind))
        return true;
    run = pm_range_map_find(ledger->runs, first);
    run->key.last = behind.key.last;
    return false;
}

static void count_out(PmLedger *ledger, uint64_t first, uint64_t last, uint64_t block_size)
{
    ledger->n_mappings -= count_blocks(first, last, block_size);
    ledger->n_bytes -= last - first + 1;
}

void pm_ledger_remove(PmLedger *ledger, uint64_t first, uint64_t last)
{
    Run *run = pm_range_map_find(ledger->runs, first);
    uint64_t at = first;

    while (run != NULL && run->key.first <= last) {
        uint64_t run_last = run->key.last;

        count_out(ledger, MAX(run->key.first, first), MIN(run_last, last), run->block_size);
        if (run->key.first < first)
            run->key.last = first - 1;
        else if (run_last > last)
            run->key.first = last + 1;
        if (run_last >= last)
            break;
        at = run_last + 1;
        run = pm_range_map_find(ledger->runs, at);
    }
    (void)pm_range_map_remove(ledger->runs, first, last);
}
