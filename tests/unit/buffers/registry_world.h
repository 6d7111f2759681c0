/* SPDX-License-Identifier: MIT */
/* A registry of buffers on a model of a caller's back end, or on a PmIommu of the fake kernel, with
 * RAM that has a discard manager. */
#ifndef PLUGMAP_TESTS_UNIT_BUFFERS_REGISTRY_WORLD_H
#define PLUGMAP_TESTS_UNIT_BUFFERS_REGISTRY_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <plugmap/fake.h>
#include <plugmap/plugmap.h>

#define BLOCK       (64 * PM_KIB)
#define N_BLOCKS    UINT64_C(16)
#define SIZE        (N_BLOCKS * BLOCK)
#define MAX_REGIONS 64

/* The model of a back end. Addresses are host addresses plus a constant. */
typedef struct {
    PmBufferRegion regions[MAX_REGIONS];
    unsigned n_regions;
    unsigned n_maps; /* calls */
    unsigned n_unmaps;
    unsigned fail_map_in; /* the n-th next call fails; 0: none */
    unsigned fail_unmap_in;
    bool fails_for_ever;       /* once one has failed, so do all later ones of that kind */
    GError *failure;           /* what they fail with; NULL: PM_ERROR_KERNEL */
    bool failed_map_leaves_it; /* a map that fails leaves the region */
    bool failed_unmap_ends_it; /* an unmap that fails has unmapped it */
    bool is_freed;
    uint64_t *addresses; /* model_use_new_addresses() */
    uint64_t next_address;
    const char *ram;
    const char *mistake; /* the first thing that the registry did wrong; NULL: none */
} Model;

typedef struct {
    Model model;
    PmKernel *fake; /* NULL: on the model */
    PmIommu *iommu;
    PmRam *ram;
    PmDiscardManager *manager;
    PmBufferRegistry *registry; /* NULL: freed by a test */
} World;

#define ADDRESS_OFFSET UINT64_C(0x100000000000)

/* What a test may set before pm_buffer_registry_new(). */
typedef struct {
    uint64_t flags;
    uint64_t max_regions;
    uint64_t alignment;
    uint64_t wait_ms;
    PmRamKind ram_kind;
    bool is_plain; /* the RAM has no manager */
    bool on_iommu;
    uint32_t entry_limit; /* of the IOMMU; 0: the default */
    bool is_empty;        /* the RAM is not added */
    uint64_t bounce_size; /* 0: the default */
    uint64_t bounce_limit;
} WorldConfig;

World *world_new(const WorldConfig *config);
void world_free(World *world);

/* On the model, with RAM added, without limits. For cmocka. */
int world_setup(void **state);
/* On the fake kernel. */
int world_setup_iommu(void **state);
int world_teardown(void **state);

/* The configuration of the world's registry, to make another one. */
PmBufferBackend model_backend(const WorldConfig *config);

/* Each region gets an address that none had before. @addresses: of each block of the RAM, kept up
 * to date; 0: not registered. */
void model_use_new_addresses(World *world, uint64_t *addresses);

char *host_of(const World *world, uint64_t block);
bool plug(World *world, uint64_t first, uint64_t n_blocks, GError **error);
bool unplug(World *world, uint64_t first, uint64_t n_blocks, GError **error);
bool is_plugged(const World *world, uint64_t block);

/* Leases one block. */
bool lease_block(World *world, uint64_t block, PmBufferLease *lease, GError **error);
/* Leases and releases it, @n times; whether the last one succeeded. */
bool use_block(World *world, uint64_t block, unsigned n);

/* Also part of assert_consistent() and world_free(). */
void assert_no_mistake(const World *world);

PmBufferRegistryStats stats_of(World *world);

/* The model's regions are those of the registry, of plugged blocks only, and disjoint; and each
 * block can be leased if it is in one. */
void assert_consistent(World *world);
/* The same, with @n_buffers registered buffers of one block each elsewhere. */
void assert_consistent_with(World *world, unsigned n_buffers);

/* As a text, of the model: "0+2 5+1": regions of 2 blocks from block 0, and of one. */
char *regions_text(const World *world);
void assert_regions(World *world, const char *expected);

/* The next run of the registry's report. */
void assert_run(World *world, uint64_t block, PmBufferState state, uint64_t n_blocks,
                const char *words);

void assert_code(GError **error, PmError code, const char *words);

#endif
