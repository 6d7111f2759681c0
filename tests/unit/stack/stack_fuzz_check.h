/* SPDX-License-Identifier: MIT */
/* What has to be true after every step of test_stack_fuzz.c. */
#ifndef PLUGMAP_TESTS_UNIT_STACK_STACK_FUZZ_CHECK_H
#define PLUGMAP_TESTS_UNIT_STACK_STACK_FUZZ_CHECK_H

#include "stack_fuzz_view.h"

/* Forgets ghosts of which nothing can be mapped any more. */
void fuzz_lay_ghosts(FuzzWorld *world, const FuzzView *view);

/*
 * The page table is what is plugged, and what is unknown: each ledger says what the kernel has, but
 * for unknown blocks; each region has what its RAM has plugged, but for blocks in quarantine; an
 * unknown block is somebody's, and in quarantine.
 */
void fuzz_check_mappings(FuzzWorld *world, const FuzzView *view);

/* Audits succeed if, and only if, there is nothing to find. */
void fuzz_check_audits(FuzzWorld *world, const FuzzView *view);

/* The kernel's counts, and that what strict regions were promised is still to be had. */
void fuzz_check_budgets(FuzzWorld *world, const FuzzView *view);

/* A step that failed has changed nothing, but for blocks that it tells to be unknown or in
 * quarantine. */
void fuzz_check_unchanged(FuzzWorld *world, const FuzzView *before, const FuzzView *after);

/* Without a fault, nothing becomes unknown or comes into quarantine. */
void fuzz_check_nothing_lost(FuzzWorld *world, const FuzzView *before, const FuzzView *after);

/* Every block that somebody uses still has what was written there; every block that was plugged
 * just now is empty. */
void fuzz_check_memory(FuzzWorld *world, const FuzzView *before, const FuzzView *after);

/* No memory beyond what is plugged or in quarantine. Slow. */
void fuzz_check_resident(FuzzWorld *world, const FuzzView *view);

/* What a space has to give: mappings (of that space) and bytes (of all) that are used or promised,
 * at most. */
uint64_t fuzz_mappings_in_use(const FuzzWorld *world, const FuzzView *view, unsigned space);
uint64_t fuzz_bytes_in_use(const FuzzWorld *world, const FuzzView *view);

#endif
