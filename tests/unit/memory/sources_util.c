/* SPDX-License-Identifier: MIT */
#include "sources_util.h"

#include <string.h>

void sources_init_bare(Sources *sources, uint64_t granularity)
{
    Fixture *fixture = &sources->fixture;

    memset(sources, 0, sizeof(*sources));
    fixture->ram = pm_ram_new(PM_RAM_MEMFD, SIZE, BLOCK, NULL);
    assert_non_null(fixture->ram);
    fixture->manager = pm_discard_manager_new(fixture->ram, granularity, NULL);
    assert_non_null(fixture->manager);
    fixture->log = g_string_new(NULL);
}

void sources_init(Sources *sources)
{
    sources_init_bare(sources, COARSE);
    sources->plug = add_source(sources, "plug", COARSE, PM_DISCARD_SOURCE_FREES_MEMORY);
    sources->share = add_source(sources, "share", BLOCK, PM_DISCARD_SOURCE_POPULATED);
}

PmDiscardSource *try_add_source(Sources *sources, const char *name, uint64_t granularity,
                                uint64_t flags, const uint64_t *bitmap, GError **error)
{
    const PmDiscardSourceConfig config = {
        .struct_size = sizeof(config),
        .name = name,
        .granularity = granularity,
        .populated = bitmap,
        .flags = flags,
    };

    return pm_discard_manager_add_source(sources->fixture.manager, &config, error);
}

PmDiscardSource *add_source(Sources *sources, const char *name, uint64_t granularity,
                            uint64_t flags)
{
    PmDiscardSource *source = try_add_source(sources, name, granularity, flags, NULL, NULL);

    assert_non_null(source);
    return source;
}

bool source_on(PmDiscardSource *source, uint64_t first, uint64_t n_blocks)
{
    return pm_discard_source_populate(source, first * BLOCK, n_blocks * BLOCK, 0, 0, NULL);
}

bool source_off(PmDiscardSource *source, uint64_t first, uint64_t n_blocks)
{
    return pm_discard_source_discard(source, first * BLOCK, n_blocks * BLOCK, 0, NULL);
}

static void append_run(GString *text, uint64_t offset, uint64_t size)
{
    g_string_append_printf(text, "%d,%d ", (int)(offset / BLOCK), (int)(size / BLOCK));
}

void assert_populated(const Sources *sources, const char *expected)
{
    g_autoptr(GString) text = g_string_new(NULL);
    uint64_t offset = 0;
    uint64_t size = 0;
    uint64_t total = 0;

    for (; pm_discard_manager_next_populated(sources->fixture.manager, offset + size, SIZE, &offset,
                                             &size);
         total += size)
        append_run(text, offset, size);
    assert_string_equal(text->str, expected);
    assert_int_equal(pm_discard_manager_get_populated(sources->fixture.manager), total);
}

void assert_source_has(const PmDiscardSource *source, const char *expected)
{
    g_autoptr(GString) text = g_string_new(NULL);
    uint64_t offset = 0;
    uint64_t size = 0;
    uint64_t total = 0;

    for (; pm_discard_source_next_populated(source, offset + size, SIZE, &offset, &size);
         total += size)
        append_run(text, offset, size);
    assert_string_equal(text->str, expected);
    assert_int_equal(pm_discard_source_get_populated(source), total);
}
