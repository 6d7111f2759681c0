/* SPDX-License-Identifier: MIT */
#include "util/devices_util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <plugmap/fake.h>

#include <cmocka.h>

#include "dma/engine.h"
#include "util/backend_util.h"
#include "util/either_kernel.h"

static PmKernel *make_kernel(void)
{
    PmFakeConfig config;
    PmKernel *kernel;

    if (either_is_real())
        return pm_kernel_host_new();
    pm_fake_config_init(&config);
    config.dirty_tracking = true;
    kernel = backend_fake_new(&config, NULL);
    assert_true(pm_fake_kernel_add_device(kernel, 2, SECOND, "vfio-pci", NULL));
    assert_true(pm_fake_kernel_add_device(kernel, 3, FIRST, "vfio-pci", NULL));
    return kernel;
}

PmIommu *devices_open(const Devices *devices, const char *device)
{
    g_autoptr(GError) error = NULL;
    PmIommu *iommu = backend_open_device(devices->kernel, device, &error);

    if (iommu == NULL)
        fail_msg("%s", error->message);
    return iommu;
}

int devices_setup(void **state)
{
    Devices *devices = g_new0(Devices, 1);

    devices->kernel = make_kernel();
    devices->iommu = devices_open(devices, FIRST);
    devices->ram = pm_ram_new(PM_RAM_ANONYMOUS, 2 * BLOCK, BLOCK, NULL);
    devices->memory = pm_ram_get_host(devices->ram);
    devices->claims = g_ptr_array_new_with_free_func((GDestroyNotify)pm_iommu_claim_unref);
    *state = devices;
    return 0;
}

int devices_teardown(void **state)
{
    Devices *devices = *state;

    g_ptr_array_unref(devices->claims);
    pm_iommu_unref(devices->iommu);
    if (!either_is_real())
        assert_int_equal(pm_fake_kernel_get_n_open(devices->kernel), 0);
    pm_kernel_unref(devices->kernel);
    pm_ram_unref(devices->ram);
    g_free(devices);
    return 0;
}

PmIommuClaim *claim_block(Devices *devices, PmIommu *iommu, uint64_t block)
{
    const PmIommuClaimConfig config = {
        .struct_size = sizeof(config),
        .owner = "the test",
        .ram = devices->ram,
        .iova = BASE + block * BLOCK,
        .size = BLOCK,
        .block_size = BLOCK,
    };
    g_autoptr(GError) error = NULL;
    PmIommuClaim *claim = pm_iommu_claim_new(iommu, &config, &error);

    if (claim == NULL)
        fail_msg("%s", error->message);
    g_ptr_array_add(devices->claims, claim);
    return claim;
}

void devices_drop_claims(Devices *devices)
{
    g_ptr_array_set_size(devices->claims, 0);
}

PmIommuClaim *map_block_at(Devices *devices, PmIommu *iommu, uint64_t block, uint64_t ram_block)
{
    PmIommuClaim *claim = claim_block(devices, iommu, block);
    g_autoptr(GError) error = NULL;

    if (!pm_iommu_claim_map(claim, 0, BLOCK, ram_block * BLOCK, PM_IOMMU_READ_WRITE, &error))
        fail_msg("%s", error->message);
    return claim;
}

PmIommuClaim *map_block(Devices *devices, PmIommu *iommu, uint64_t block)
{
    return map_block_at(devices, iommu, block, block);
}

void unmap_block(PmIommuClaim *claim)
{
    g_autoptr(GError) error = NULL;

    if (!pm_iommu_claim_unmap(claim, 0, BLOCK, &error))
        fail_msg("%s", error->message);
}

bool device_sees(Devices *devices, PmIommu *iommu, const char *device, uint64_t block)
{
    static char fresh = 'a';
    g_autoptr(GError) error = NULL;
    g_autoptr(PmDmaEngine) engine =
        pm_dma_engine_attach(iommu, devices->kernel, device, BASE, 2 * BLOCK, &error);
    char *memory = devices->memory + block * BLOCK;
    char data[PM_DMA_PAGE];

    if (engine == NULL)
        fail_msg("%s", error->message);
    memset(memory, fresh++, PM_DMA_PAGE);
    assert_true(pm_dma_engine_read(engine, BASE + block * BLOCK, data, NULL));
    return memcmp(data, memory, pm_dma_engine_transfer_size(engine)) == 0;
}
