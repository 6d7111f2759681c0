/* SPDX-License-Identifier: MIT */
/*
 * What the blocks of one claim are: unmapped, mapped or unknown. Runs of blocks of one state whose
 * memory is contiguous are one record, so that 500,000 adjacent blocks are one. Not thread-safe.
 *
 * Whatever may fail for want of memory fails before the kernel is asked: pm_ledger_reserve() comes
 * before a call, and noting the kernel's answer cannot fail.
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

PmLedger *pm_ledger_new(uint64_t block_size);
void pm_ledger_free(PmLedger *ledger);

/* Mapped and unknown ones: the kernel may have as many. */
uint64_t pm_ledger_n_blocks(const PmLedger *ledger);
uint64_t pm_ledger_n_unknown(const PmLedger *ledger);

/* The state of the block at @iova; *@last: up to where the same is true, at most @end_last. */
PmLedgerState pm_ledger_state_at(PmLedger *ledger, uint64_t iova, uint64_t end_last,
                                 uint64_t *last);

/* The first run, mapped or unknown, that ends at or behind @iova; if @iova is inside, from the
 * block that holds @iova on. False if there is none. */
bool pm_ledger_next_run(PmLedger *ledger, uint64_t iova, PmIommuRun *run);

/* Makes sure that the next pm_ledger_set() or pm_ledger_forget() needs no memory. False if there is
 * none. */
bool pm_ledger_reserve(PmLedger *ledger);

/* Notes the state of whole blocks. @ram_offset: where in the RAM the first one is; a multiple of 2.
 */
void pm_ledger_set(PmLedger *ledger, uint64_t first, uint64_t last, PmLedgerState state,
                   uint64_t ram_offset);

/* Makes what is mapped in [@first, @last], whole blocks, unknown. Where the range cuts no run, it
 * needs no memory anyhow. */
void pm_ledger_forget(PmLedger *ledger, uint64_t first, uint64_t last);

#endif
