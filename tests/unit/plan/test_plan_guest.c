/* SPDX-License-Identifier: MIT */
/* Mappings that a guest's own IOMMU needs: in bypass all memory, then what its table maps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <plugmap/fake.h>
#include <plugmap/plugmap.h>
#include <plugmap/size.h>

#include "plan/block.h"

#define PAGE      UINT64_C(4096)
#define BLOCK     (64 * PM_KIB)
#define BOOT      PM_MIB
#define N_BLOCKS  5
#define N_DEVICES 2

static const char *const devices[N_DEVICES] = {"0000:00:04.0", "0000:00:05.0"};
static const PmIovaRange ranges[] = {{0, 0xfedfffff}, {0xfef00000, 0x7fffffffff}};

static PmIommu *open_device(void *user_data, const char *device, GError **error)
{
    const PmType1Config type1 = {
        .struct_size = sizeof(type1), .kernel = user_data, .device = device};

    return pm_iommu_type1_new(&type1, error);
}

static PmKernel *make_kernel(uint64_t entry_limit)
{
    PmFakeConfig config;
    PmKernel *kernel;

    pm_fake_config_init(&config);
    config.entry_limit = (uint32_t)entry_limit;
    kernel = pm_fake_kernel_new(&config, NULL);
    assert_non_null(kernel);
    assert_true(pm_fake_kernel_add_device(kernel, 2, devices[1], "vfio-pci", NULL));
    return kernel;
}

static PmGuestIommu *make_table(void)
{
    const PmGuestIommuConfig config = {.struct_size = sizeof(config), .bypass = true};
    PmGuestIommu *table = pm_guest_iommu_new(&config, NULL);

    assert_non_null(table);
    for (uint32_t i = 0; i < N_DEVICES; i++) {
        const PmGuestEndpoint endpoint = {
            .struct_size = sizeof(endpoint), .endpoint = i, .device = devices[i]};

        assert_true(pm_guest_iommu_add_endpoint(table, &endpoint, NULL));
    }
    return table;
}

static PmVirtioMem *make_device(PmRam *ram)
{
    const PmVirtioMemConfig config = {
        .struct_size = sizeof(config),
        .ram = ram,
        .address = 4 * PM_GIB,
        .block_size = BLOCK,
        .requested_size = N_BLOCKS * BLOCK,
    };
    PmVirtioMem *device = pm_virtio_mem_new(&config, NULL);

    assert_non_null(device);
    return device;
}

static bool add(PmGuestMapper *mapper, PmRam *ram, uint64_t address)
{
    const PmMapperRegion region = {
        .struct_size = sizeof(region),
        .ram = ram,
        .size = pm_ram_get_size(ram),
        .address = address,
        .access = PM_IOMMU_READ_WRITE,
    };

    return pm_guest_mapper_add(mapper, &region, NULL);
}

/* Pages of the boot memory, over and over, at I/O addresses of their own. */
static bool map_pages(PmGuestIommu *table, uint32_t domain, uint64_t n_mappings)
{
    for (uint64_t i = 0; i < n_mappings; i++) {
        const PmGuestMapping mapping = {
            .iova = i * PAGE,
            .last = (i + 1) * PAGE - 1,
            .address = i * PAGE % BOOT,
            .access = PM_IOMMU_READ_WRITE,
        };

        if (!pm_guest_iommu_map(table, domain, &mapping, NULL))
            return false;
    }
    return true;
}

static bool leave_bypass(PmGuestIommu *table, uint64_t n_mappings)
{
    for (uint32_t i = 0; i < N_DEVICES; i++)
        if (!pm_guest_iommu_attach(table, i + 1, false, i, NULL) ||
            !map_pages(table, i + 1, n_mappings))
            return false;
    return true;
}

/* Whether the guest can start in bypass, and then have its mappings for each device. */
static bool works(uint64_t entry_limit, uint64_t n_mappings)
{
    g_autoptr(PmKernel) kernel = make_kernel(entry_limit);
    g_autoptr(PmRam) boot = pm_ram_new(PM_RAM_MEMFD, BOOT, 0, NULL);
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_MEMFD, N_BLOCKS * BLOCK, BLOCK, NULL);
    g_autoptr(PmVirtioMem) device = make_device(ram);
    g_autoptr(PmGuestIommu) table = make_table();
    const PmGuestMapperConfig config = {
        .struct_size = sizeof(config), .open = open_device, .user_data = kernel};
    g_autoptr(PmGuestMapper) mapper = pm_guest_mapper_new(&config, NULL);

    assert_non_null(device);
    assert_non_null(mapper);
    return pm_guest_mapper_follow(mapper, table, NULL) && add(mapper, boot, 0) &&
           add(mapper, ram, 4 * PM_GIB) && leave_bypass(table, n_mappings);
}

static void guest_mappings_are_what_the_guest_can_map(void **state)
{
    static const uint64_t counts[] = {1, N_BLOCKS, N_BLOCKS + 1, N_BLOCKS + 2, 40};
    PmPlanLimits limits = {.locked = UINT64_MAX,
                           .page_size = PAGE,
                           .ranges = ranges,
                           .n_ranges = G_N_ELEMENTS(ranges)};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(counts); i++) {
        const PmPlanMachine machine = {.size = N_BLOCKS * BLOCK,
                                       .boot_memory = BOOT,
                                       .n_devices = N_DEVICES,
                                       .guest_iommu = true,
                                       .guest_mappings = counts[i]};

        for (limits.n_mappings = 1; limits.n_mappings < 45; limits.n_mappings++)
            assert_int_equal(pm_plan_block(&machine, &limits, BLOCK).lacks == 0,
                             works(limits.n_mappings, counts[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(guest_mappings_are_what_the_guest_can_map),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
