/* SPDX-License-Identifier: MIT */
#include "virtio_mem/block_size.h"

#include <stdbool.h>

#include <glib.h>

#if defined(__x86_64__) || defined(__i386__)
#define USUAL_THP_SIZE (UINT64_C(2) << 20)
#else
#define USUAL_THP_SIZE PM_BLOCK_SIZE_FLOOR
#endif

static bool read_number(const char *path, guint64 *number)
{
    g_autofree char *text = NULL;

    return g_file_get_contents(path, &text, NULL, NULL) &&
           g_ascii_string_to_unsigned(g_strstrip(text), 10, 0, G_MAXUINT64, number, NULL);
}

uint64_t pm_thp_size(const char *path)
{
    guint64 size = 0;

    if (!read_number(path, &size) || size < PM_BLOCK_SIZE_FLOOR || (size & (size - 1)) != 0)
        return USUAL_THP_SIZE;
    return size;
}

uint64_t pm_default_block_size(uint64_t page_size, uint64_t base_page_size, const char *thp_path)
{
    /* At least a huge page: unplugging smaller blocks would split it. */
    if (page_size == base_page_size)
        return MAX(page_size, pm_thp_size(thp_path));
    return MAX(page_size, PM_BLOCK_SIZE_FLOOR);
}
