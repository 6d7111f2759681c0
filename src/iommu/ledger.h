/* SPDX-License-Identifier: MIT */
/*
 * What an address space has mapped: runs of mappings of one size that follow each other, so that
 * 500,000 adjacent blocks are one record. Not thread-safe.
 *
 * Whatever may fail for want of memory fails before the kernel is asked: pm_ledger_add() comes
 * before a map, pm_ledger_prepare_remove() before an unmap, and what follows the kernel's answer
 * cannot fail.
 */
#ifndef PLUGMAP_IOMMU_LEDGER_H
#define PLUGMAP_IOMMU_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include <plugmap/iommu.h>

typedef struct PmLedger PmLedger;

PmLedger *pm_ledger_new(void);
void pm_ledger_free(PmLedger *ledger);

uint64_t pm_ledger_n_mappings(const PmLedger *ledger);
uint64_t pm_ledger_n_bytes(const PmLedger *ledger);

/* The contract of pm_iommu_next_run(). */
bool pm_ledger_next_run(PmLedger *ledger, uint64_t iova, PmIommuRun *run);

/*
 * Adds @n_blocks mappings of @block_size bytes where nothing is mapped. False if there is no
 * memory. A run that follows is not joined yet: pm_ledger_join() does that, when the mappings have
 * come to stay.
 */
bool pm_ledger_add(PmLedger *ledger, uint64_t iova, uint64_t block_size, uint64_t n_blocks);

/* Makes two runs of one block size that meet at @iova one. */
void pm_ledger_join(PmLedger *ledger, uint64_t iova);

/* PmLedgerFinding: what keeps a range from consisting of whole mappings. */
typedef enum {
    PM_LEDGER_WHOLE,
    PM_LEDGER_HOLE,
    PM_LEDGER_CUT,
} PmLedgerFinding;

/* Looks through [@first, @last]; @at is where the first hole or cut is. */
PmLedgerFinding pm_ledger_check(PmLedger *ledger, uint64_t first, uint64_t last, bool holes_allowed,
                                uint64_t *at);

/* Makes sure that pm_ledger_remove() of the range needs no memory. False if there is none. Undone
 * by pm_ledger_join() at @last + 1. */
bool pm_ledger_prepare_remove(PmLedger *ledger, uint64_t first, uint64_t last);

/* Removes the mappings in [@first, @last], which must not cut one. */
void pm_ledger_remove(PmLedger *ledger, uint64_t first, uint64_t last);

#endif
