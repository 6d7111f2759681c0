/* SPDX-License-Identifier: MIT */
/* A snapshot of the ledgers, the managers and the kernel. */
#ifndef PLUGMAP_TESTS_UNIT_STACK_STACK_FUZZ_VIEW_H
#define PLUGMAP_TESTS_UNIT_STACK_STACK_FUZZ_VIEW_H

#include "stack_fuzz_world.h"

typedef enum {
    FUZZ_UNMAPPED,
    FUZZ_MAPPED,
    FUZZ_UNKNOWN,
} FuzzState;

/*
 * One I/O address space, page by page.
 * @ledger: of FuzzState. @ledger_sizes, @ram_offsets: of the mapping that starts there; size 0 if
 * none does. @translated: from the page table. @kernel_sizes, @hosts, @accesses: from the kernel's
 * list of mappings.
 * @n_unknown: unknown blocks of the ledger.
 */
typedef struct {
    uint8_t ledger[FUZZ_N_PAGES];
    bool translated[FUZZ_N_PAGES];
    uint64_t ledger_sizes[FUZZ_N_PAGES];
    uint64_t ram_offsets[FUZZ_N_PAGES];
    uint64_t kernel_sizes[FUZZ_N_PAGES];
    const char *hosts[FUZZ_N_PAGES];
    uint8_t accesses[FUZZ_N_PAGES];
    uint64_t n_mapped;
    uint64_t n_unknown;
    uint64_t n_kernel;
    uint64_t kernel_bytes;
} FuzzSpaceView;

typedef struct {
    bool plugged[FUZZ_N_BLOCKS];
    bool quarantined[FUZZ_N_BLOCKS];
    unsigned n_plugged;
    unsigned n_quarantined;
} FuzzRamView;

typedef struct {
    FuzzSpaceView spaces[FUZZ_N_SPACES];
    FuzzRamView rams[FUZZ_N_RAMS];
    uint64_t n_unknown;
    uint64_t n_quarantined;
    uint64_t pinned;
    uint64_t n_open;
} FuzzView;

/* The page number of an I/O address. Fails if regions cannot have it. */
unsigned fuzz_page_of(const FuzzWorld *world, uint64_t iova);

/* Marks blocks of RAM whose mapping differs, or may differ, from their plugged state. */
void fuzz_find_lost(const FuzzWorld *world, const FuzzView *view, unsigned ram, bool *lost);

void fuzz_look(FuzzWorld *world, FuzzView *view);

#endif
