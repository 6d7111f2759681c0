/* SPDX-License-Identifier: MIT */
#include "host/host_regions.h"

#include <inttypes.h>

#include "base/error_text.h"
#include "host/host_files.h"

/* The kernel has a handful. */
#define MAX_REGIONS 4096

static gint compare_regions(gconstpointer a, gconstpointer b)
{
    const PmHostRegion *left = a;
    const PmHostRegion *right = b;

    if (left->first != right->first)
        return left->first < right->first ? -1 : 1;
    return 0;
}

static bool parse_address(const char *word, uint64_t *address)
{
    return g_str_has_prefix(word, "0x") &&
           g_ascii_string_to_unsigned(word + 2, 16, 0, G_MAXUINT64, address, NULL);
}

/* "0x00000000fee00000 0x00000000feefffff msi" */
static bool parse_line(const char *line, PmHostRegion *region)
{
    g_auto(GStrv) words = g_strsplit(line, " ", -1);

    if (g_strv_length(words) != 3 || !parse_address(words[0], &region->first) ||
        !parse_address(words[1], &region->last) || region->last < region->first)
        return false;
    region->is_direct = g_str_equal(words[2], "direct");
    region->is_usable = g_str_equal(words[2], "direct-relaxable");
    return true;
}

GArray *pm_host_regions_read(const char *root, unsigned group, GError **error)
{
    g_autofree char *path = g_strdup_printf("/sys/kernel/iommu_groups/%u/reserved_regions", group);
    g_autofree char *text = pm_host_read(root, path, error);
    g_autoptr(GArray) regions = g_array_new(FALSE, FALSE, sizeof(PmHostRegion));
    g_auto(GStrv) lines = NULL;

    if (text == NULL)
        return NULL;
    lines = g_strsplit(text, "\n", MAX_REGIONS);
    for (char **line = lines; *line != NULL && text[0] != '\0'; line++) {
        PmHostRegion region;

        if (!parse_line(*line, &region)) {
            (void)pm_fail(
                error, PM_ERROR_BAD_INPUT,
                "%s%s: line %d is not a region: must be first address, last address, type", root,
                path, (int)(line - lines) + 1);
            return NULL;
        }
        g_array_append_val(regions, region);
    }
    g_array_sort(regions, compare_regions);
    return g_steal_pointer(&regions);
}

static void add_range(GString *text, uint64_t first, uint64_t last)
{
    g_string_append_printf(text, "%s0x%" PRIx64 "-0x%" PRIx64, text->len > 0 ? ", " : "", first,
                           last);
}

char *pm_host_regions_describe_rest(const GArray *regions, uint64_t last)
{
    g_autoptr(GString) text = g_string_new(NULL);
    uint64_t next = 0;

    for (guint i = 0; i < regions->len; i++) {
        const PmHostRegion *region = &g_array_index(regions, PmHostRegion, i);

        if (region->is_usable || region->last < next)
            continue;
        if (region->first > last)
            break;
        if (region->first > next)
            add_range(text, next, region->first - 1);
        if (region->last >= last)
            return g_strdup(text->str);
        next = region->last + 1;
    }
    add_range(text, next, last);
    return g_strdup(text->str);
}
