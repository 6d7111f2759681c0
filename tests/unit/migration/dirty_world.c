/* SPDX-License-Identifier: MIT */
#include "dirty_world.h"

#include <stdlib.h>
#include <string.h>

#include "util/request_util.h"

bool dirty_world_can_track(void)
{
    return backend_is_iommufd() && !either_is_real();
}

void dirty_world_needs_tracking(void)
{
    if (backend_is_iommufd())
        either_needs_fake("no IOMMU that QEMU emulates tracks dirty pages");
}

DirtyWorld *dirty_world_new(bool can_track)
{
    DirtyWorld *world = g_new0(DirtyWorld, 1);
    PmFakeConfig config;
    PmVirtioMemConfig device = {.struct_size = sizeof(device),
                                .address = ADDRESS,
                                .block_size = BLOCK,
                                .requested_size = N_BLOCKS * BLOCK};

    pm_fake_config_init(&config);
    config.dirty_tracking = can_track;
    world->kernel = either_kernel_new(&config);
    world->iommu = either_open(world->kernel, 0);
    world->tracks = pm_iommu_get_dirty_kind(world->iommu) == PM_IOMMU_DIRTY_TRACKED;
    world->ram = device.ram = pm_ram_new(PM_RAM_MEMFD, N_BLOCKS * BLOCK, BLOCK, NULL);
    world->device = pm_virtio_mem_new(&device, NULL);
    assert_non_null(world->device);
    world->plain = pm_ram_new(PM_RAM_MEMFD, PLAIN_PAGES * PAGE, 0, NULL);
    world->mapper = pm_mapper_new(world->iommu);
    world->engine = pm_dma_engine_attach(world->iommu, world->kernel, either_device(0),
                                         PLAIN_ADDRESS, 8 * PM_GIB, NULL);
    assert_non_null(world->engine);
    world->log = pm_dirty_log_new();
    return world;
}

void dirty_world_free(DirtyWorld *world)
{
    either_clear_faults(world->kernel);
    pm_dirty_log_free(world->log);
    g_clear_pointer(&world->engine, pm_dma_engine_free);
    pm_mapper_free(world->mapper);
    pm_virtio_mem_free(world->device);
    pm_ram_unref(world->plain);
    pm_ram_unref(world->ram);
    pm_iommu_unref(world->iommu);
    either_assert_nothing_left(world->kernel);
    pm_kernel_unref(world->kernel);
    g_free(world);
}

PmMapperRegion dirty_world_region(PmRam *ram, uint64_t offset, uint64_t size, uint64_t address)
{
    return (PmMapperRegion){
        .struct_size = sizeof(PmMapperRegion),
        .ram = ram,
        .ram_offset = offset,
        .size = size,
        .address = address,
        .access = PM_IOMMU_READ_WRITE,
    };
}

void dirty_world_add_region(DirtyWorld *world, const PmMapperRegion *region)
{
    assert_true(pm_mapper_add(world->mapper, region, NULL));
}

static void add_regions(DirtyWorld *world)
{
    uint64_t cut = SECOND_REGION * BLOCK;
    const PmMapperRegion regions[] = {
        dirty_world_region(world->ram, 0, cut, ADDRESS),
        dirty_world_region(world->ram, cut, N_BLOCKS * BLOCK - cut, ADDRESS + cut),
        dirty_world_region(world->plain, PLAIN_FIRST * PAGE, PLAIN_COUNT * PAGE, PLAIN_ADDRESS),
    };

    for (size_t i = 0; i < G_N_ELEMENTS(regions); i++)
        dirty_world_add_region(world, &regions[i]);
}

void dirty_world_start(DirtyWorld *world)
{
    assert_true(pm_dirty_log_add_iommu(world->log, world->iommu, NULL));
    assert_true(pm_dirty_log_add_ram(world->log, world->ram, NULL));
    assert_true(pm_dirty_log_add_ram(world->log, world->plain, NULL));
}

int dirty_world_bare(void **state)
{
    *state = dirty_world_new(true);
    add_regions(*state);
    return 0;
}

int dirty_world_setup(void **state)
{
    (void)dirty_world_bare(state);
    dirty_world_start(*state);
    return 0;
}

int dirty_world_setup_untracked(void **state)
{
    *state = dirty_world_new(false);
    add_regions(*state);
    dirty_world_start(*state);
    return 0;
}

int dirty_world_teardown(void **state)
{
    dirty_world_free(*state);
    return 0;
}

static void request(DirtyWorld *world, unsigned type, uint64_t first, uint64_t n_blocks)
{
    assert_int_equal(send_request(world->device, type, ADDRESS + first * BLOCK, n_blocks, NULL),
                     PM_VIRTIO_MEM_ACK);
}

void dirty_world_plug(DirtyWorld *world, uint64_t first, uint64_t n_blocks)
{
    request(world, PM_VIRTIO_MEM_PLUG, first, n_blocks);
}

void dirty_world_unplug(DirtyWorld *world, uint64_t first, uint64_t n_blocks)
{
    request(world, PM_VIRTIO_MEM_UNPLUG, first, n_blocks);
}

void dirty_world_write_at(DirtyWorld *world, uint64_t iova)
{
    char data[PM_DMA_PAGE] = "written";

    assert_true(pm_dma_engine_write(world->engine, iova, data, NULL));
}

void dirty_world_write(DirtyWorld *world, uint64_t page)
{
    dirty_world_write_at(world, ADDRESS + page * PAGE);
}

void dirty_world_assert_error(GError **error, PmError code, const char *words)
{
    assert_non_null(*error);
    if (!g_error_matches(*error, PM_ERROR, (gint)code) || strstr((*error)->message, words) == NULL)
        fail_msg("code %d, \"%s\"; expected code %d, \"%s\"", (*error)->code, (*error)->message,
                 (int)code, words);
    g_clear_error(error);
}

void dirty_world_read(DirtyWorld *world, PmRam *ram, uint64_t page_size, uint64_t *bitmap)
{
    g_autoptr(GError) error = NULL;

    world->counts.struct_size = sizeof(world->counts);
    if (!pm_dirty_log_read(world->log, ram, page_size, bitmap, &world->counts, &error))
        fail_msg("%s", error->message);
}

void dirty_world_assert_pages(const uint64_t *bitmap, const char *list)
{
    uint64_t right[N_WORDS] = {0};
    char *at = (char *)list;

    while (*at != '\0') {
        uint64_t first = strtoull(at, &at, 10);
        uint64_t last = *at == '-' ? strtoull(at + 1, &at, 10) : first;

        for (; first <= last; first++)
            right[first / 64] |= UINT64_C(1) << first % 64;
        at += *at == ' ';
    }
    for (unsigned i = 0; i < N_WORDS * 64; i++)
        if ((bitmap[i / 64] ^ right[i / 64]) >> i % 64 & 1)
            fail_msg("page %u is %s, expected: %s", i,
                     bitmap[i / 64] >> i % 64 & 1 ? "dirty" : "clean", list);
}

void dirty_world_assert(DirtyWorld *world, PmRam *ram, const char *tracked, const char *pinned)
{
    uint64_t bitmap[N_WORDS] = {0};

    dirty_world_read(world, ram, PAGE, bitmap);
    dirty_world_assert_pages(bitmap, world->tracks ? tracked : pinned);
}
