/* SPDX-License-Identifier: MIT */
/* A listener that reports unknown blocks itself (next_unknown), and has some on demand. */
#ifndef PLUGMAP_TESTS_UNIT_MEMORY_ACCOUNT_UTIL_H
#define PLUGMAP_TESTS_UNIT_MEMORY_ACCOUNT_UTIL_H

#include "discard_util.h"

/* The unknown blocks are one run. */
typedef struct {
    uint64_t unknown_offset;
    uint64_t unknown_size; /* 0: none */
    int fail_in;           /* the n-th next call makes its range unknown; 0: none */
    bool keeps_failing;    /* discard_all fails, too */
    bool settles_nothing;  /* discard_all succeeds, but the blocks stay unknown */
    uint64_t refused;      /* populate of a range that begins here fails; 0: none does */
    unsigned n_populated;  /* calls */
    unsigned n_dropped;
    unsigned n_freed;
} Account;

/* With discard_all; without; with one that always leaves a block unknown. */
extern const PmDiscardListenerOps account_ops;
extern const PmDiscardListenerOps run_ops;
extern const PmDiscardListenerOps plainly_failing_ops;

/* Exactly these blocks are in quarantine, because of the account. */
void assert_quarantined(const Fixture *fixture, uint64_t first, uint64_t n_blocks);

#endif
