/* SPDX-License-Identifier: MIT */
#include "region_world.h"

#include <string.h>

#include "iommu/iommu.h"
#include "memory/discard_manager_private.h"
#include "memory/ram_private.h"
#include "util/source_util.h"

RegionWorld *region_world_new(const PmFakeConfig *given, PmRamKind kind)
{
    RegionWorld *world = g_new0(RegionWorld, 1);
    PmFakeConfig config = *given;

    config.pin = PM_FAKE_PIN_POPULATE;
    world->kernel = either_kernel_new(&config);
    for (unsigned i = 0; i < 2; i++) {
        world->iommus[i] = either_open(world->kernel, i);
        world->mappers[i] = pm_mapper_new(world->iommus[i]);
    }
    world->ram = pm_ram_new(kind, SIZE, BLOCK, NULL);
    assert_non_null(world->ram);
    return world;
}

int region_world_plain(void **state)
{
    PmFakeConfig config;

    pm_fake_config_init(&config);
    *state = region_world_new(&config, PM_RAM_MEMFD);
    return 0;
}

int region_world_managed(void **state)
{
    RegionWorld *world;

    (void)region_world_plain(state);
    world = *state;
    world->manager = manager_with_source(world->ram, BLOCK, NULL);
    assert_non_null(world->manager);
    return 0;
}

int region_world_free(void **state)
{
    RegionWorld *world = *state;

    either_clear_faults(world->kernel);
    for (unsigned i = 0; i < 2; i++)
        pm_mapper_free(world->mappers[i]);
    g_clear_pointer(&world->manager, pm_discard_manager_unref);
    for (unsigned i = 0; i < 2; i++)
        pm_iommu_unref(world->iommus[i]);
    either_assert_nothing_left(world->kernel);
    pm_kernel_unref(world->kernel);
    assert_true(g_atomic_ref_count_compare(&world->ram->references, 1));
    pm_ram_unref(world->ram);
    g_free(world);
    return 0;
}

PmMapperRegion region_of(const RegionWorld *world, uint64_t first, uint64_t n_blocks,
                         uint64_t address)
{
    return (PmMapperRegion){
        .struct_size = sizeof(PmMapperRegion),
        .ram = world->ram,
        .ram_offset = first * BLOCK,
        .size = n_blocks * BLOCK,
        .address = address,
        .access = PM_IOMMU_READ_WRITE,
    };
}

bool region_add(RegionWorld *world, uint64_t first, uint64_t n_blocks, uint64_t address)
{
    const PmMapperRegion region = region_of(world, first, n_blocks, address);

    return pm_mapper_add(world->mappers[0], &region, NULL);
}

bool region_plug(RegionWorld *world, uint64_t first, uint64_t n_blocks)
{
    return source_populate(world->manager, first * BLOCK, n_blocks * BLOCK, 0, NULL);
}

bool region_unplug(RegionWorld *world, uint64_t first, uint64_t n_blocks)
{
    return source_discard(world->manager, first * BLOCK, n_blocks * BLOCK, NULL);
}

uint64_t region_n_mappings(const RegionWorld *world, unsigned index)
{
    return either_n_mappings(world->kernel, index, world->iommus[index]);
}

typedef struct {
    uint64_t iova;
    const char *host;
} Search;

static bool find(uint64_t iova, uint64_t size, const void *host, PmIommuAccess access,
                 void *user_data)
{
    Search *search = user_data;

    (void)access;
    if (search->iova < iova || search->iova - iova >= size)
        return true;
    search->host = (const char *)host + (search->iova - iova);
    return false;
}

/* Its page is below 4 GiB, because Linux 6.1 accepts no larger addresses. */
PmDmaEngine *region_engine(const RegionWorld *world)
{
    PmDmaEngine *engine = pm_dma_engine_attach(world->iommus[0], world->kernel, either_device(0),
                                               LOW, 8 * PM_GIB, NULL);

    assert_non_null(engine);
    return engine;
}

/* The first page that the device has written. */
static const char *find_written(const RegionWorld *world, const char *data, size_t size)
{
    for (uint64_t offset = 0; offset < SIZE; offset += PM_DMA_PAGE) {
        const char *page = (const char *)pm_ram_get_host(world->ram) + offset;
        uint64_t bytes;

        assert_true(pm_ram_resident(world->ram, offset, PM_DMA_PAGE, &bytes, NULL));
        if (bytes > 0 && memcmp(page, data, size) == 0)
            return page;
    }
    return NULL;
}

/* By DMA. */
static const char *written_at(const RegionWorld *world, uint64_t iova)
{
    static char fresh = 'a';
    PmDmaEngine *engine = region_engine(world);
    uint64_t in_page = iova % PM_DMA_PAGE;
    char data[PM_DMA_PAGE];
    const char *page;

    memset(data, fresh++, sizeof(data));
    assert_true(pm_dma_engine_write(engine, iova - in_page, data, NULL));
    page = find_written(world, data, pm_dma_engine_transfer_size(engine));
    pm_dma_engine_free(engine);
    return page == NULL ? NULL : page + in_page;
}

const char *region_mapped_at(const RegionWorld *world, uint64_t iova)
{
    Search search = {.iova = iova};

    if (either_is_real())
        return written_at(world, iova);
    (void)pm_fake_kernel_foreach_mapping(world->kernel, 1, find, &search);
    return search.host;
}

char *region_host(const RegionWorld *world, uint64_t block)
{
    return (char *)pm_ram_get_host(world->ram) + block * BLOCK;
}

void region_assert_code(GError **error, PmError code, const char *words)
{
    assert_non_null(*error);
    if (!g_error_matches(*error, PM_ERROR, (gint)code) || strstr((*error)->message, words) == NULL)
        fail_msg("code %d, \"%s\"; expected code %d, \"%s\"", (*error)->code, (*error)->message,
                 (int)code, words);
    g_clear_error(error);
}

void region_assert_nothing_left(RegionWorld *world)
{
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(region_n_mappings(world, i), 0);
        assert_int_equal(pm_iommu_get_n_mappings(world->iommus[i]), 0);
        assert_int_equal(world->iommus[i]->n_committed, 0);
        assert_true(pm_iommu_audit(world->iommus[i], NULL, 0, NULL));
    }
    assert_int_equal(either_pinned(world->kernel), 0);
    assert_null(pm_discard_claims_next(&world->ram->claims, 0));
    assert_true(
        g_atomic_ref_count_compare(&world->ram->references, world->manager != NULL ? 2 : 1));
    if (world->manager != NULL)
        assert_true(g_atomic_ref_count_compare(&world->manager->references, 1));
}
