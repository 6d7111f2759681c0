/* SPDX-License-Identifier: MIT */
/* Regions that devices may only read. */
#include "region_world.h"

#include <string.h>
#include <sys/mman.h>

static void read_page(PmDmaEngine *engine, uint64_t iova, char *data)
{
    memset(data, 'x', PM_DMA_PAGE);
    assert_true(pm_dma_engine_read(engine, iova, data, NULL));
}

/* What devices have seen is all that a real kernel says about a fault. */
static void assert_fault(const RegionWorld *world, bool expected)
{
    PmFakeDmaFault fault;

    if (either_is_real())
        return;
    assert_int_equal(pm_fake_kernel_last_dma_fault(world->kernel, &fault), expected);
    if (!expected)
        return;
    assert_int_equal(fault.iova, LOW);
    assert_true(fault.write);
}

static void rom_can_be_read_by_devices_but_not_written(void **state)
{
    RegionWorld *world = *state;
    g_autoptr(PmDmaEngine) engine = region_engine(world);
    PmMapperRegion rom = region_of(world, 3, 2, LOW);
    char data[PM_DMA_PAGE];
    size_t size = pm_dma_engine_transfer_size(engine);

    rom.access = PM_IOMMU_READ;
    memset(region_host(world, 3), 'r', BLOCK);
    assert_true(pm_mapper_add(world->mappers[0], &rom, NULL));
    assert_true(pm_dma_engine_read(engine, LOW, data, NULL));
    assert_memory_equal(data, region_host(world, 3), size);
    assert_fault(world, false);
    memset(data, 'w', sizeof(data));
    assert_true(pm_dma_engine_write(engine, LOW, data, NULL));
    assert_int_equal(*region_host(world, 3), 'r');
    assert_fault(world, true);
    assert_true(pm_mapper_audit(world->mappers[0], NULL, NULL, NULL));
}

/* --- private memory, which has no page of its own before it is written --- */

/* On a fake kernel that has mapped another page for reading until then. */
static int make_world_of_6_1(void **state)
{
    PmFakeConfig config;

    pm_fake_config_init(&config);
    if (!backend_is_iommufd())
        config.linux_version = PM_FAKE_LINUX_6_1;
    *state = region_world_new(&config, PM_RAM_ANONYMOUS);
    return 0;
}

static void rom_that_is_filled_later_is_seen_by_devices(void **state)
{
    RegionWorld *world = *state;
    g_autoptr(PmDmaEngine) engine = region_engine(world);
    PmMapperRegion rom = region_of(world, 3, 2, LOW);
    char data[PM_DMA_PAGE];

    rom.access = PM_IOMMU_READ;
    assert_true(pm_mapper_add(world->mappers[0], &rom, NULL));
    assert_true(pm_iommu_audit(world->iommus[0], NULL, PM_IOMMU_AUDIT_SOLE_LOCKER, NULL));
    *region_host(world, 3) = 'r';
    read_page(engine, LOW, data);
    assert_int_equal(data[0], 'r');
}

static void adopted_rom_that_is_filled_later_is_seen_by_devices(void **state)
{
    RegionWorld *world = *state;
    g_autoptr(PmDmaEngine) engine = region_engine(world);
    char *host = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const PmRamAdoption adoption = {.struct_size = sizeof(adoption), .host = host, .size = BLOCK};
    PmRam *rom = pm_ram_adopt(&adoption, NULL);
    const PmMapperRegion region = {.struct_size = sizeof(region),
                                   .ram = rom,
                                   .size = BLOCK,
                                   .address = LOW,
                                   .access = PM_IOMMU_READ};
    char data[PM_DMA_PAGE];

    assert_true(pm_mapper_add(world->mappers[0], &region, NULL));
    *host = 'r';
    read_page(engine, LOW, data);
    assert_int_equal(data[0], 'r');
    assert_true(pm_mapper_remove(world->mappers[0], LOW, NULL));
    pm_ram_unref(rom);
    munmap(host, BLOCK);
}

static void rom_that_the_caller_cannot_write_is_mapped(void **state)
{
    RegionWorld *world = *state;
    g_autoptr(PmDmaEngine) engine = region_engine(world);
    char *host = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const PmRamAdoption adoption = {.struct_size = sizeof(adoption), .host = host, .size = BLOCK};
    PmRam *rom = pm_ram_adopt(&adoption, NULL);
    PmMapperRegion region = {.struct_size = sizeof(region),
                             .ram = rom,
                             .size = BLOCK,
                             .address = LOW,
                             .access = PM_IOMMU_READ_WRITE};
    g_autoptr(GError) error = NULL;
    char data[PM_DMA_PAGE];

    memset(host, 'r', BLOCK);
    assert_int_equal(mprotect(host, BLOCK, PROT_READ), 0);
    assert_false(pm_mapper_add(world->mappers[0], &region, &error));
    region_assert_code(&error, PM_ERROR_BAD_ADDRESS, "writable for one that writes");
    region.access = PM_IOMMU_READ;
    assert_true(pm_mapper_add(world->mappers[0], &region, NULL));
    read_page(engine, LOW, data);
    assert_int_equal(data[0], 'r');
    assert_true(pm_mapper_remove(world->mappers[0], LOW, NULL));
    pm_ram_unref(rom);
    munmap(host, BLOCK);
}

#define ROM_TEST(test, make) cmocka_unit_test_setup_teardown(test, make, region_world_free)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROM_TEST(rom_can_be_read_by_devices_but_not_written, region_world_plain),
        ROM_TEST(rom_that_is_filled_later_is_seen_by_devices, make_world_of_6_1),
        ROM_TEST(adopted_rom_that_is_filled_later_is_seen_by_devices, make_world_of_6_1),
        ROM_TEST(rom_that_the_caller_cannot_write_is_mapped, region_world_plain),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
