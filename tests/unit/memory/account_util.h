/* SPDX-License-Identifier: MIT */
/* A listener that accounts itself for blocks of which it does not know what it has, and loses its
 * account on demand. */
#ifndef PLUGMAP_TESTS_UNIT_MEMORY_ACCOUNT_UTIL_H
#define PLUGMAP_TESTS_UNIT_MEMORY_ACCOUNT_UTIL_H

#include "discard_util.h"

/* What is unknown lies in one run. */
typedef struct {
    uint64_t unknown_offset;
    uint64_t unknown_size; /* 0: nothing is unknown */
    int fail_in;           /* the n-th call from now on loses its range; 0: none */
    bool keeps_failing;    /* discard_all does not find out either */
    bool settles_nothing;  /* says that all is dropped, and that it does not know */
    uint64_t refused;      /* populate of a range that begins here fails; 0: none does */
    unsigned n_populated;  /* calls */
    unsigned n_dropped;
    unsigned n_freed;
} Account;

/* With a call for discard_all; without; with one that always loses the account of a block. */
extern const PmDiscardListenerOps account_ops;
extern const PmDiscardListenerOps run_ops;
extern const PmDiscardListenerOps plainly_failing_ops;

/* Just these blocks are quarantined, and the account is why. */
void assert_quarantined(const Fixture *fixture, uint64_t first, uint64_t n_blocks);

#endif
