/* SPDX-License-Identifier: MIT */
/* A table with 16 blocks of 1 MiB at HOST. Nobody accesses the memory. */
#ifndef PLUGMAP_TESTS_UNIT_BUFFERS_LEASE_UTIL_H
#define PLUGMAP_TESTS_UNIT_BUFFERS_LEASE_UTIL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "buffers/lease_table.h"

#define MIB      (UINT64_C(1) << 20)
#define HOST     (UINT64_C(1) << 40)
#define N_BLOCKS 16
#define SIZE     (N_BLOCKS * MIB)
#define ADDRESS  UINT64_C(0x40000000)

typedef struct {
    PmLeaseTable *table;
    PmLeaseRange *range;
} World;

static inline const void *pointer(uint64_t host)
{
    return (const void *)(uintptr_t)host;
}

static inline PmLeaseRange *add(PmLeaseTable *table, uint64_t host, uint64_t size,
                                uint64_t granularity)
{
    GError *error = NULL;
    PmLeaseRange *range = pm_lease_table_add(table, pointer(host), size, granularity, &error);

    assert_null(error);
    assert_non_null(range);
    return range;
}

static inline int make(void **state)
{
    static World world;

    world.table = pm_lease_table_new(false);
    world.range = add(world.table, HOST, SIZE, MIB);
    *state = &world;
    return 0;
}

static inline int drop(void **state)
{
    const World *world = *state;

    pm_lease_table_free(world->table);
    return 0;
}

/* Opens @n blocks at ADDRESS plus their offset. */
static inline void open_blocks(const World *world, uint64_t first, uint64_t n)
{
    pm_lease_range_open(world->range, first * MIB, n * MIB, ADDRESS + first * MIB);
}

static inline bool close_blocks(const World *world, uint64_t first, uint64_t n)
{
    return pm_lease_range_close(world->range, first * MIB, n * MIB, 0, NULL);
}

static inline PmLeaseResult try_lease(const World *world, uint64_t host, uint64_t size)
{
    PmLease lease;
    PmLeaseResult result = pm_lease_acquire(world->table, &lease, pointer(host), size, NULL);

    if (result == PM_LEASE_GRANTED)
        pm_lease_release(&lease);
    return result;
}

static inline void lease(const World *world, PmLease *held, uint64_t host, uint64_t size)
{
    assert_int_equal(pm_lease_acquire(world->table, held, pointer(host), size, NULL),
                     PM_LEASE_GRANTED);
}

static inline uint64_t n_leases(const World *world)
{
    return pm_lease_range_n_leases(world->range, 0, SIZE);
}

#endif
