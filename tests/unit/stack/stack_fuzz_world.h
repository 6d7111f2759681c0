/* SPDX-License-Identifier: MIT */
/*
 * The world of test_stack_fuzz.c: one fake kernel, several address spaces with mappers, and RAM
 * that devices manage or that is mapped whole. A life is one such world, made from a seed.
 *
 * Beside the objects stands a model: what is plugged, which regions there are, and what owners that
 * had to go may have left behind mapped («ghosts»).
 */
#ifndef PLUGMAP_TESTS_UNIT_STACK_STACK_FUZZ_WORLD_H
#define PLUGMAP_TESTS_UNIT_STACK_STACK_FUZZ_WORLD_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <plugmap/plugmap.h>

#include "stack_fuzz_kernel.h"

#define FUZZ_N_SPACES   3
#define FUZZ_N_MAPPERS  2 /* of each space */
#define FUZZ_N_SPARES   2 /* devices that come and go */
#define FUZZ_N_RAMS     5
#define FUZZ_N_BLOCKS   24
#define FUZZ_MAX_BLOCK  (64 * PM_KIB)
#define FUZZ_PAGE       (4 * PM_KIB)
#define FUZZ_BASE       (4 * PM_GIB)
#define FUZZ_STRIDE     (128 * PM_KIB) /* regions begin at multiples of it */
#define FUZZ_N_PLACES   16
#define FUZZ_N_PAGES    ((FUZZ_N_PLACES * FUZZ_STRIDE + FUZZ_N_BLOCKS * FUZZ_MAX_BLOCK) / FUZZ_PAGE)
#define FUZZ_MAX_REGION 8 /* of each mapper */

typedef struct {
    PmRam *ram;
    uint32_t serial; /* no two are alike */
    uint64_t block_size;
    char *host;
    PmVirtioMem *device;       /* NULL: none */
    PmDiscardManager *manager; /* NULL: none; kept by the device or by a region, not by this */
    bool plugged[FUZZ_N_BLOCKS];
    uint64_t tags[FUZZ_N_BLOCKS]; /* what is written in each block that somebody uses; else 0 */
} FuzzRam;

typedef struct {
    unsigned ram;    /* index */
    uint32_t serial; /* the RAM may be another by now, if this is a ghost */
    unsigned first;  /* block of the RAM that it begins with */
    unsigned n_blocks;
    char *host; /* of that block */
    uint64_t address;
    uint64_t size;
    uint64_t block_size; /* of each mapping */
    PmIommuAccess access;
    bool managed;
    bool strict;
    bool vague; /* a ghost that may be another's */
} FuzzRegion;

typedef struct {
    PmMapper *mapper;
    FuzzRegion regions[FUZZ_MAX_REGION];
    unsigned n_regions;
} FuzzMapper;

typedef struct {
    PmIommu *iommu;
    FuzzMapper mappers[FUZZ_N_MAPPERS];
    GArray *ghosts; /* of FuzzRegion */
    bool has_spare[FUZZ_N_SPARES];
} FuzzSpace;

typedef struct {
    GRand *rand;
    guint32 seed; /* of this life */
    bool traced;  /* PLUGMAP_TEST_TRACE is set: each step is printed */
    unsigned step;
    char what[160]; /* the step under way */
    char faults[160];
    bool faulty;         /* planned faults may be left */
    int n_allocations;   /* that succeed in the next step; -1: all do */
    unsigned fork_every; /* how many steps there are for a fork(2); 0: none */
    unsigned first_ram;  /* a life uses some of all there is, more or less densely */
    unsigned n_rams;
    unsigned first_space;
    unsigned n_spaces;
    unsigned n_places;
    unsigned n_faulty;    /* steps of 16 */
    bool maps_files;      /* mappings show files at addresses of the kernel's own */
    uint64_t entry_limit; /* of each space; UINT64_MAX: none */
    uint64_t memlock_limit;
    PmKernel *fake;
    FuzzKernel kernel; /* in front of it */
    uint32_t n_serials;
    FuzzSpace spaces[FUZZ_N_SPACES];
    FuzzRam rams[FUZZ_N_RAMS];
} FuzzWorld;

/* @seed: of this life. */
FuzzWorld *fuzz_world_new(GRand *rand, guint32 seed);

/* Ends everything, in any order, and looks for what is left: files, mappings, memory. */
void fuzz_world_free(FuzzWorld *world);

/* Fails the test, and says how to have it again. */
G_GNUC_PRINTF(2, 3) void fuzz_fail(const FuzzWorld *world, const char *format, ...);

/* A number in [0, @end). */
unsigned fuzz_pick(const FuzzWorld *world, unsigned end);

/* A RAM and a space of those that this life uses. */
unsigned fuzz_pick_ram(const FuzzWorld *world);
unsigned fuzz_pick_space(const FuzzWorld *world);

/* True @n times of @of. */
bool fuzz_chance(const FuzzWorld *world, unsigned n, unsigned of);

/* The IOMMU group of a space's first device, and of a spare one. */
unsigned fuzz_group(unsigned space);
unsigned fuzz_spare_group(unsigned spare);

/* The address of a spare device. */
const char *fuzz_spare_device(unsigned spare);

/* Opens a space that is not open, with mappers. */
void fuzz_open_space(FuzzWorld *world, unsigned index);

/* Drops a space and its mappers, with all that is on them. */
void fuzz_close_space(FuzzWorld *world, unsigned index);

/* Frees a mapper; what it had mapped may be left behind. The space keeps none in its place. */
void fuzz_free_mapper(FuzzWorld *world, unsigned space, unsigned index);

/* New memory in place of what there is, if anything. */
void fuzz_renew_ram(FuzzWorld *world, unsigned index);

/* A region of all or part of RAM number @index at @address; some are read-only. */
FuzzRegion fuzz_region_of(const FuzzWorld *world, unsigned index, uint64_t address, bool strict);

/* The block of the RAM that mapping number @index of a region begins with. */
unsigned fuzz_ram_block(const FuzzRegion *region, unsigned index);

/* Regions of all mappers: the first, if @region is NULL, or the one behind it. */
const FuzzRegion *fuzz_next_region(const FuzzSpace *space, const FuzzRegion *region);

/* Whether a region of any space has this RAM. */
bool fuzz_has_region(const FuzzWorld *world, unsigned ram);

/* Whether something of this RAM was left behind mapped. @for_sure: ghosts that may be another's do
 * not count. */
bool fuzz_has_ghost(const FuzzWorld *world, unsigned ram, bool for_sure);

/* A manager without a device ends with its last region. */
void fuzz_forget_manager(FuzzWorld *world, unsigned index);

#endif
