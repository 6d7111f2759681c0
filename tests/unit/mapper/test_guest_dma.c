/* SPDX-License-Identifier: MIT */
/* A device does DMA through a guest IOMMU while the guest unplugs and plugs the memory. With
 * PLUGMAP_KERNEL=host on a real kernel and a real IOMMU: in the VM by ctest
 * vm/guest_iommu_dma_by_*. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <plugmap/fake.h>
#include <plugmap/plugmap.h>

#include "dma/engine.h"
#include "util/backend_util.h"
#include "util/devices_util.h"
#include "util/either_kernel.h"
#include "util/request_util.h"

#define N_BLOCKS 4
#define MEMORY   (4 * PM_GIB)
#define IOVA     UINT64_C(0x40000000)
#define WINDOW   (PM_GIB / 2) /* that the engine's own memory must avoid */
#define DOMAIN   1

typedef struct {
    PmKernel *kernel;
    PmRam *ram;
    PmVirtioMem *device;
    PmGuestIommu *table;
    PmGuestMapper *mapper;
    PmDmaEngine *engine;
} World;

static PmIommu *open_device(void *user_data, const char *device, GError **error)
{
    const World *world = user_data;

    return backend_open_device(world->kernel, device, error);
}

static PmKernel *make_kernel(void)
{
    PmFakeConfig config;
    PmKernel *kernel;

    if (either_is_real())
        return pm_kernel_host_new();
    pm_fake_config_init(&config);
    config.pin = PM_FAKE_PIN_POPULATE;
    kernel = backend_fake_new(&config, NULL);
    assert_true(pm_fake_kernel_add_device(kernel, 2, SECOND, "vfio-pci", NULL));
    assert_true(pm_fake_kernel_add_device(kernel, 3, FIRST, "vfio-pci", NULL));
    return kernel;
}

static void check(bool done, const GError *error)
{
    if (!done)
        fail_msg("%s", error->message);
}

static void make_memory(World *world)
{
    PmVirtioMemConfig config = {
        .struct_size = sizeof(config),
        .address = MEMORY,
        .block_size = BLOCK,
        .requested_size = N_BLOCKS * BLOCK,
    };
    g_autoptr(GError) error = NULL;

    world->ram = pm_ram_new(PM_RAM_MEMFD, N_BLOCKS * BLOCK, BLOCK, &error);
    check(world->ram != NULL, error);
    config.ram = world->ram;
    world->device = pm_virtio_mem_new(&config, &error);
    check(world->device != NULL, error);
}

static void make_mapper(World *world)
{
    const PmGuestMapperConfig config = {
        .struct_size = sizeof(config), .open = open_device, .user_data = world};
    const PmMapperRegion region = {
        .struct_size = sizeof(region),
        .ram = world->ram,
        .size = N_BLOCKS * BLOCK,
        .address = MEMORY,
        .access = PM_IOMMU_READ_WRITE,
    };
    const PmGuestIommuConfig table = {.struct_size = sizeof(table)};
    const PmGuestEndpoint endpoint = {
        .struct_size = sizeof(endpoint), .endpoint = 8, .device = FIRST};
    g_autoptr(GError) error = NULL;

    world->table = pm_guest_iommu_new(&table, &error);
    check(world->table != NULL, error);
    world->mapper = pm_guest_mapper_new(&config, &error);
    check(world->mapper != NULL, error);
    check(pm_guest_mapper_add(world->mapper, &region, &error), error);
    check(pm_guest_mapper_follow(world->mapper, world->table, &error), error);
    check(pm_guest_iommu_add_endpoint(world->table, &endpoint, &error), error);
}

static int set_up(void **state)
{
    World *world = g_new0(World, 1);

    world->kernel = make_kernel();
    make_memory(world);
    make_mapper(world);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    World *world = *state;

    pm_dma_engine_free(world->engine);
    pm_guest_mapper_free(world->mapper);
    pm_guest_iommu_unref(world->table);
    pm_virtio_mem_free(world->device);
    pm_ram_unref(world->ram);
    if (!either_is_real())
        assert_int_equal(pm_fake_kernel_get_n_open(world->kernel), 0);
    pm_kernel_unref(world->kernel);
    g_free(world);
    return 0;
}

static void attach(World *world, bool bypass)
{
    g_autoptr(GError) error = NULL;
    uint64_t avoid = bypass ? MEMORY : IOVA;

    check(pm_guest_iommu_attach(world->table, DOMAIN, bypass, 8, &error), error);
    world->engine = pm_dma_engine_attach(pm_guest_mapper_get_iommu(world->mapper, 8), world->kernel,
                                         FIRST, avoid, WINDOW, &error);
    check(world->engine != NULL, error);
}

static void map(World *world, uint64_t iova, uint64_t address, uint64_t size, PmIommuAccess access)
{
    const PmGuestMapping mapping = {
        .iova = iova, .last = iova + size - 1, .address = address, .access = access};
    g_autoptr(GError) error = NULL;

    check(pm_guest_iommu_map(world->table, DOMAIN, &mapping, &error), error);
}

static void request(World *world, unsigned type, uint64_t block, uint64_t n_blocks)
{
    g_autoptr(GError) error = NULL;
    int answer = send_request(world->device, type, MEMORY + block * BLOCK, n_blocks, &error);

    check(answer >= 0, error);
    assert_int_equal(answer, PM_VIRTIO_MEM_ACK);
}

static void make_pattern(uint64_t *words)
{
    static uint64_t count;

    for (size_t i = 0; i < PM_DMA_PAGE / sizeof(*words); i++)
        words[i] = ++count * UINT64_C(0x9e3779b97f4a7c15);
}

/* Whether what the device writes to @iova arrives at @offset of the RAM. */
static bool write_arrives(World *world, uint64_t iova, uint64_t offset)
{
    uint64_t words[PM_DMA_PAGE / sizeof(uint64_t)];
    size_t size = pm_dma_engine_transfer_size(world->engine);
    g_autoptr(GError) error = NULL;

    make_pattern(words);
    check(pm_dma_engine_write(world->engine, iova, words, &error), error);
    return memcmp((char *)pm_ram_get_host(world->ram) + offset, words, size) == 0;
}

/* Whether the device reads at @iova what is at @offset of the RAM. */
static bool read_arrives(World *world, uint64_t iova, uint64_t offset)
{
    uint64_t words[PM_DMA_PAGE / sizeof(uint64_t)];
    uint64_t seen[PM_DMA_PAGE / sizeof(uint64_t)];
    size_t size = pm_dma_engine_transfer_size(world->engine);
    g_autoptr(GError) error = NULL;

    make_pattern(words);
    memcpy((char *)pm_ram_get_host(world->ram) + offset, words, size);
    check(pm_dma_engine_read(world->engine, iova, seen, &error), error);
    return memcmp(seen, words, size) == 0;
}

/* What the device writes to @iova is not there when it reads it again. */
static bool faults(World *world, uint64_t iova)
{
    uint64_t words[PM_DMA_PAGE / sizeof(uint64_t)];
    uint64_t seen[PM_DMA_PAGE / sizeof(uint64_t)] = {0};
    size_t size = pm_dma_engine_transfer_size(world->engine);
    uint64_t n_faults = pm_fake_kernel_get_n_dma_faults(world->kernel);
    g_autoptr(GError) error = NULL;

    make_pattern(words);
    check(pm_dma_engine_write(world->engine, iova, words, &error), error);
    check(pm_dma_engine_read(world->engine, iova, seen, &error), error);
    if (!either_is_real())
        assert_true(pm_fake_kernel_get_n_dma_faults(world->kernel) > n_faults);
    return memcmp(seen, words, size) != 0;
}

/* Neither in memory nor pinned: only the @n_blocks that are mapped, beside the engine's memory. */
static void assert_freed(World *world, uint64_t block, uint64_t n_mapped)
{
    PmIommu *iommu = pm_guest_mapper_get_iommu(world->mapper, 8);
    PmLockedMemory locked = {.struct_size = sizeof(locked)};
    uint64_t expected = n_mapped * BLOCK + (uint64_t)PM_DMA_SCRATCH_PAGES * PM_DMA_PAGE;
    uint64_t resident = 1;
    g_autoptr(GError) error = NULL;

    check(pm_ram_resident(world->ram, block * BLOCK, BLOCK, &resident, &error), error);
    assert_int_equal(resident, 0);
    assert_int_equal(pm_iommu_get_pinned_bytes(iommu), expected);
    check(pm_iommu_query_locked_memory(iommu, &locked, &error), error);
    assert_int_equal(locked.used, expected);
}

static void audit(World *world)
{
    g_autoptr(GError) error = NULL;

    check(pm_guest_mapper_audit(world->mapper, NULL, &error), error);
}

static void dma_arrives_faults_while_unplugged_and_arrives_in_the_new_memory(void **state)
{
    World *world = *state;
    const uint64_t twice = IOVA + 16 * BLOCK;
    const char *memory = pm_ram_get_host(world->ram);

    attach(world, false);
    request(world, PM_VIRTIO_MEM_PLUG, 0, 3);
    map(world, IOVA, MEMORY, 3 * BLOCK, PM_IOMMU_READ_WRITE);
    map(world, twice, MEMORY + BLOCK + PM_DMA_PAGE, PM_DMA_PAGE, PM_IOMMU_READ_WRITE);
    assert_true(write_arrives(world, IOVA + BLOCK, BLOCK));
    assert_true(write_arrives(world, twice, BLOCK + PM_DMA_PAGE));
    assert_true(read_arrives(world, IOVA + 2 * BLOCK - PM_DMA_PAGE, 2 * BLOCK - PM_DMA_PAGE));
    audit(world);

    request(world, PM_VIRTIO_MEM_UNPLUG, 1, 1);
    assert_true(faults(world, IOVA + BLOCK));
    assert_true(faults(world, IOVA + 2 * BLOCK - PM_DMA_PAGE));
    assert_true(faults(world, twice));
    assert_freed(world, 1, 2);
    assert_true(write_arrives(world, IOVA + BLOCK - PM_DMA_PAGE, BLOCK - PM_DMA_PAGE));
    assert_true(write_arrives(world, IOVA + 2 * BLOCK, 2 * BLOCK));
    audit(world);

    request(world, PM_VIRTIO_MEM_PLUG, 1, 1);
    assert_int_equal(memory[BLOCK], 0);
    assert_true(write_arrives(world, IOVA + BLOCK, BLOCK));
    assert_true(write_arrives(world, twice, BLOCK + PM_DMA_PAGE));
    assert_true(read_arrives(world, IOVA + 2 * BLOCK - PM_DMA_PAGE, 2 * BLOCK - PM_DMA_PAGE));
    audit(world);
}

static void a_read_only_mapping_blocks_writes_also_after_plugging_again(void **state)
{
    World *world = *state;

    attach(world, false);
    request(world, PM_VIRTIO_MEM_PLUG, 0, 1);
    map(world, IOVA, MEMORY, PM_DMA_PAGE, PM_IOMMU_READ);
    for (unsigned i = 0; i < 2; i++) {
        assert_true(read_arrives(world, IOVA, 0));
        assert_false(write_arrives(world, IOVA, 0));
        request(world, PM_VIRTIO_MEM_UNPLUG, 0, 1);
        request(world, PM_VIRTIO_MEM_PLUG, 0, 1);
    }
}

static void what_the_guest_unmaps_faults(void **state)
{
    World *world = *state;
    g_autoptr(GError) error = NULL;

    attach(world, false);
    request(world, PM_VIRTIO_MEM_PLUG, 0, 1);
    map(world, IOVA, MEMORY, BLOCK, PM_IOMMU_READ_WRITE);
    assert_true(write_arrives(world, IOVA, 0));
    check(pm_guest_iommu_unmap(world->table, DOMAIN, IOVA, IOVA + BLOCK - 1, &error), error);
    assert_true(faults(world, IOVA));
    request(world, PM_VIRTIO_MEM_UNPLUG, 0, 1);
    request(world, PM_VIRTIO_MEM_PLUG, 0, 1);
    assert_true(faults(world, IOVA));
}

static void in_bypass_a_device_uses_guest_addresses(void **state)
{
    World *world = *state;

    attach(world, true);
    request(world, PM_VIRTIO_MEM_PLUG, 0, 2);
    assert_true(write_arrives(world, MEMORY, 0));
    request(world, PM_VIRTIO_MEM_UNPLUG, 0, 1);
    assert_true(faults(world, MEMORY));
    assert_true(write_arrives(world, MEMORY + BLOCK, BLOCK));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(dma_arrives_faults_while_unplugged_and_arrives_in_the_new_memory),
        TEST(a_read_only_mapping_blocks_writes_also_after_plugging_again),
        TEST(what_the_guest_unmaps_faults),
        TEST(in_bypass_a_device_uses_guest_addresses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
