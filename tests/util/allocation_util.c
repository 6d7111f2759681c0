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

static bool limited;
static unsigned n_allowed;

void allocations_end_after(unsigned n_left)
{
    limited = true;
    n_allowed = n_left;
}

void allocations_go_on(void)
{
    limited = false;
}

static bool may_allocate(void)
{
    if (!limited)
        return true;
    if (n_allowed == 0)
        return false;
    n_allowed--;
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
