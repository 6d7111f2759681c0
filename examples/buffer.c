/* SPDX-License-Identifier: MIT */
/*
 * A buffer of your own, mapped for a device: claim I/O addresses, map, unmap. On the fake kernel;
 * with pm_kernel_host_new() and the address of a device bound to vfio-pci the same code maps for
 * that device. Prints examples/buffer.txt.
 */
#include <plugmap/fake.h>
#include <plugmap/plugmap.h>
#include <stdio.h>
#include <stdlib.h>

#define SIZE  (256 * UINT64_C(1024))
#define BLOCK (64 * UINT64_C(1024))
#define IOVA  (4 * PM_GIB)

static void die(const GError *error)
{
    (void)fprintf(stderr, "%s\n", error->message);
    exit(1);
}

static PmIommuClaim *claim_and_map(PmIommu *iommu, PmRam *ram, const char *owner, GError **error)
{
    const PmIommuClaimConfig config = {
        .struct_size = sizeof(config),
        .owner = owner,
        .ram = ram,
        .iova = IOVA,
        .size = SIZE,
        .block_size = BLOCK, /* what can be unmapped by itself */
        .reserved_size = SIZE,
    };
    g_autoptr(PmIommuClaim) claim = pm_iommu_claim_new(iommu, &config, error);

    if (claim == NULL || !pm_iommu_claim_map(claim, 0, SIZE, 0, PM_IOMMU_READ_WRITE, error))
        return NULL;
    return g_steal_pointer(&claim);
}

int main(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(PmKernel) kernel = pm_fake_kernel_new(NULL, NULL);
    const PmType1Config type1 = {
        .struct_size = sizeof(type1), .kernel = kernel, .device = "0000:00:04.0"};
    g_autoptr(PmIommu) iommu = pm_iommu_type1_new(&type1, &error);
    g_autoptr(PmRam) ram = iommu != NULL ? pm_ram_new(PM_RAM_MEMFD, SIZE, 0, &error) : NULL;
    g_autoptr(PmIommuClaim) ring = NULL;

    if (ram == NULL || (ring = claim_and_map(iommu, ram, "the ring", &error)) == NULL)
        die(error);
    printf("mapped %d blocks of 64K at 0x%llx\n", (int)pm_iommu_get_n_mappings(iommu),
           (unsigned long long)pm_iommu_claim_get_iova(ring));

    if (claim_and_map(iommu, ram, "another ring", &error) == NULL) {
        printf("%s: %s\n", pm_error_code_name((PmError)error->code), error->message);
        g_clear_error(&error);
    }

    if (!pm_iommu_claim_release(ring, &error)) {
        pm_iommu_claim_abandon(ring); /* pm_iommu_settle() retries, once the device is reset */
        die(error);
    }
    printf("%d mappings after the release\n", (int)pm_iommu_get_n_mappings(iommu));
    return 0;
}
