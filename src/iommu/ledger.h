/* SPDX-License-Identifier: MIT */
/*
 * The state of the blocks of one claim: unmapped, mapped or unknown. A run of blocks of one state
 * with contiguous memory is one record, so that 500,000 adjacent blocks take one. Not thread-safe.
 *
 * Call pm_ledger_reserve() before a kernel call: recording the result then needs no memory and
 * cannot fail.
 */
#ifndef PLUGMAP_SRC_IOMMU_LEDGER_H
#define PLUGMAP_SRC_IOMMU_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include <plugmap/iommu.h>

typedef struct PmLedger PmLedger;

typedef enum {
    PM_LEDGER_UNMAPPED,
    PM_LEDGER_MAPPED,
    PM_LEDGER_UNKNOWN,
} PmLedgerState;

/* @n_blocks: the most it will have; bounds the memory it takes. */
PmLedger *pm_ledger_new(uint64_t block_size, uint64_t n_blocks);
void pm_ledger_free(PmLedger *ledger);

/* Mapped and unknown blocks: the kernel may have as many. */
uint64_t pm_ledger_n_blocks(const PmLedger *ledger);
uint64_t pm_ledger_n_unknown(const PmLedger *ledger);

/* The state of the block at @iova; *@last: the end of the blocks in the same state, at most
 * @end_last. */
PmLedgerState pm_ledger_state_at(PmLedger *ledger, uint64_t iova, uint64_t end_last,
                                 uint64_t *last);

/* The first run, mapped or unknown, that ends at or after @iova; if @iova is inside, cut to start
 * with its block. False if there is none. */
bool pm_ledger_next_run(PmLedger *ledger, uint64_t iova, PmIommuRun *run);

/* Reserves memory for the next pm_ledger_set() or pm_ledger_forget(). False if there is none. */
bool pm_ledger_reserve(PmLedger *ledger);

/* Records the state of whole blocks. @ram_offset: offset of the first one in the RAM; a multiple of
 * 2. */
void pm_ledger_set(PmLedger *ledger, uint64_t first, uint64_t last, PmLedgerState state,
                   uint64_t ram_offset);

/* Marks the mapped blocks in [@first, @last], whole blocks, unknown. Needs no memory where the
 * range cuts no run. */
void pm_ledger_forget(PmLedger *ledger, uint64_t first, uint64_t last);

#endif
