/* SPDX-License-Identifier: MIT */
#include "util/allocation_util.h"

#include <stdbool.h>

#include <glib.h>

gpointer __real_g_try_malloc_n(gsize n_blocks, gsize block_size);
gpointer __wrap_g_try_malloc_n(gsize n_blocks, gsize block_size);
gpointer __real_g_try_malloc0_n(gsize n_blocks, gsize block_size);
gpointer __wrap_g_try_malloc0_n(gsize n_blocks, gsize block_size);
gpointer __real_g_try_malloc(gsize n_bytes);
gpointer __wrap_g_try_malloc(gsize n_bytes);
gpointer __real_g_try_malloc0(gsize n_bytes);
gpointer __wrap_g_try_malloc0(gsize n_bytes);
gpointer __real_g_try_realloc_n(gpointer memory, gsize n_blocks, gsize block_size);
gpointer __wrap_g_try_realloc_n(gpointer memory, gsize n_blocks, gsize block_size);

/* Atomic: -1: no limit. */
static gint n_allowed = -1;

void allocations_end_after(unsigned n_left)
{
    g_atomic_int_set(&n_allowed, (gint)n_left);
}

void allocations_go_on(void)
{
    g_atomic_int_set(&n_allowed, -1);
}

static bool may_allocate(void)
{
    gint left;

    do {
        left = g_atomic_int_get(&n_allowed);
        if (left <= 0)
            return left < 0;
    } while (!g_atomic_int_compare_and_exchange(&n_allowed, left, left - 1));
    return true;
}

gpointer __wrap_g_try_malloc_n(gsize n_blocks, gsize block_size)
{
    return may_allocate() ? __real_g_try_malloc_n(n_blocks, block_size) : NULL;
}

gpointer __wrap_g_try_malloc0_n(gsize n_blocks, gsize block_size)
{
    return may_allocate() ? __real_g_try_malloc0_n(n_blocks, block_size) : NULL;
}

gpointer __wrap_g_try_malloc(gsize n_bytes)
{
    return may_allocate() ? __real_g_try_malloc(n_bytes) : NULL;
}

gpointer __wrap_g_try_malloc0(gsize n_bytes)
{
    return may_allocate() ? __real_g_try_malloc0(n_bytes) : NULL;
}

gpointer __wrap_g_try_realloc_n(gpointer memory, gsize n_blocks, gsize block_size)
{
    return may_allocate() ? __real_g_try_realloc_n(memory, n_blocks, block_size) : NULL;
}
