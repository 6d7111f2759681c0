/* SPDX-License-Identifier: MIT */
/* Invariants checked after every step of test_stack_fuzz.c. */
#ifndef PLUGMAP_TESTS_UNIT_STACK_STACK_FUZZ_CHECK_H
#define PLUGMAP_TESTS_UNIT_STACK_STACK_FUZZ_CHECK_H

#include "stack_fuzz_view.h"

/* Drops ghosts that no longer have any mapping. */
void fuzz_lay_ghosts(FuzzWorld *world, const FuzzView *view);

/*
 * The page table equals plugged and unknown blocks: each ledger matches the kernel, except for
 * unknown blocks; each region matches the plugged blocks of its RAM, except for blocks in
 * quarantine; an unknown block has an owner and is in quarantine.
 */
void fuzz_check_mappings(FuzzWorld *world, const FuzzView *view);

/* Audits succeed if and only if nothing is wrong. */
void fuzz_check_audits(FuzzWorld *world, const FuzzView *view);

/* The kernel's counters, and that the reservations of strict regions are still available. */
void fuzz_check_budgets(FuzzWorld *world, const FuzzView *view);

/* A failed step changes nothing except for blocks that it reports as unknown or quarantined. */
void fuzz_check_unchanged(FuzzWorld *world, const FuzzView *before, const FuzzView *after);

/* Without a fault no block becomes unknown or quarantined. */
void fuzz_check_nothing_lost(FuzzWorld *world, const FuzzView *before, const FuzzView *after);

/* Blocks in use keep their contents; newly plugged blocks are empty. */
void fuzz_check_memory(FuzzWorld *world, const FuzzView *before, const FuzzView *after);

/* Only plugged and quarantined blocks are resident. Slow. */
void fuzz_check_resident(FuzzWorld *world, const FuzzView *view);

/* Upper bounds of mappings (of that space) and bytes (of all spaces) that are used or reserved. */
uint64_t fuzz_mappings_in_use(const FuzzWorld *world, const FuzzView *view, unsigned space);
uint64_t fuzz_bytes_in_use(const FuzzWorld *world, const FuzzView *view);

/* Sets @mapped for the blocks of a RAM that some page table maps. */
void fuzz_mark_mapped(const FuzzWorld *world, const FuzzView *view, unsigned ram, bool *mapped);

#endif
