/* SPDX-License-Identifier: MIT */
/*
 * The world of test_stack_fuzz.c: one fake kernel, several address spaces with mappers, and RAM
 * that devices manage or that is mapped whole. A run is one such world, generated from a seed.
 *
 * A model of the objects has the plugged blocks, the regions, and mappings that removed owners may
 * have left ("ghosts").
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
#define FUZZ_N_SPARES   2 /* devices that are attached and detached */
#define FUZZ_N_RAMS     5
#define FUZZ_N_BLOCKS   24
#define FUZZ_MAX_BLOCK  (64 * PM_KIB)
#define FUZZ_PAGE       (4 * PM_KIB)
#define FUZZ_BASE       (4 * PM_GIB)
#define FUZZ_STRIDE     (128 * PM_KIB) /* alignment of regions */
#define FUZZ_N_PLACES   16
#define FUZZ_N_PAGES    ((FUZZ_N_PLACES * FUZZ_STRIDE + FUZZ_N_BLOCKS * FUZZ_MAX_BLOCK) / FUZZ_PAGE)
#define FUZZ_MAX_REGION 8 /* of each mapper */

typedef struct {
    PmRam *ram;
    uint32_t serial; /* unique */
    uint64_t block_size;
    char *host;
    PmVirtioMem *device;       /* NULL: none */
    PmDiscardManager *manager; /* NULL: none; the device or a region holds the reference */
    bool plugged[FUZZ_N_BLOCKS];
    uint64_t tags[FUZZ_N_BLOCKS]; /* contents of each block in use; else 0 */
} FuzzRam;

typedef struct {
    unsigned ram;    /* index */
    uint32_t serial; /* of a ghost: the RAM may have been replaced */
    unsigned first;  /* first block of the RAM */
    unsigned n_blocks;
    char *host; /* of that block */
    uint64_t address;
    uint64_t size;
    uint64_t block_size; /* of each mapping */
    PmIommuAccess access;
    bool managed;
    bool strict;
    bool vague; /* a ghost that may belong to another owner */
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
    guint32 seed; /* of this run */
    bool traced;  /* PLUGMAP_TEST_TRACE is set: print each step */
    unsigned step;
    char what[160]; /* the current step */
    char faults[160];
    bool faulty;         /* planned faults may remain */
    int n_allocations;   /* that succeed in the next step; -1: all */
    unsigned fork_every; /* one fork(2) per so many steps; 0: none */
    unsigned first_ram;  /* a run uses a subset */
    unsigned n_rams;
    unsigned first_space;
    unsigned n_spaces;
    unsigned n_places;
    unsigned n_faulty;    /* steps of 16 */
    bool maps_files;      /* the kernel maps files at its own addresses */
    uint64_t entry_limit; /* of each space; UINT64_MAX: none */
    uint64_t memlock_limit;
    PmKernel *fake;
    FuzzKernel kernel; /* in front of it */
    uint32_t n_serials;
    FuzzSpace spaces[FUZZ_N_SPACES];
    FuzzRam rams[FUZZ_N_RAMS];
} FuzzWorld;

/* @seed: of this run. */
FuzzWorld *fuzz_world_new(GRand *rand, guint32 seed);

/* Frees everything in random order and checks for leaks of files, mappings and memory. */
void fuzz_world_free(FuzzWorld *world);

/* Fails the test, and prints how to reproduce it. */
G_GNUC_PRINTF(2, 3) void fuzz_fail(const FuzzWorld *world, const char *format, ...);

/* A number in [0, @end). */
unsigned fuzz_pick(const FuzzWorld *world, unsigned end);

/* A RAM and a space that this run uses. */
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

/* Frees a space and its mappers with their regions. */
void fuzz_close_space(FuzzWorld *world, unsigned index);

/* Frees a mapper without replacing it; its mappings may become ghosts. */
void fuzz_free_mapper(FuzzWorld *world, unsigned space, unsigned index);

/* Replaces a RAM, if any, by a new one. */
void fuzz_renew_ram(FuzzWorld *world, unsigned index);

/* A region of all or part of RAM number @index at @address; some are read-only. */
FuzzRegion fuzz_region_of(const FuzzWorld *world, unsigned index, uint64_t address, bool strict);

/* The first block of the RAM in mapping number @index of a region. */
unsigned fuzz_ram_block(const FuzzRegion *region, unsigned index);

/* Iterates over the regions of all mappers: the first if @region is NULL, else the next. */
const FuzzRegion *fuzz_next_region(const FuzzSpace *space, const FuzzRegion *region);

/* Whether a region of any space has this RAM. */
bool fuzz_has_region(const FuzzWorld *world, unsigned ram);

/* Whether this RAM has ghosts. @for_sure: not counting ghosts that may belong to another owner. */
bool fuzz_has_ghost(const FuzzWorld *world, unsigned ram, bool for_sure);

/* A manager without a device ends with its last region. */
void fuzz_forget_manager(FuzzWorld *world, unsigned index);

#endif
