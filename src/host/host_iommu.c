/* SPDX-License-Identifier: MIT */
#include "host/host_iommu.h"

#include "base/error_text.h"
#include "host/host_files.h"

#define FOLDER "/sys/class/iommu"

static const struct {
    const char *prefix;
    const char *kind;
} kinds[] = {
    {"dmar", "Intel VT-d"}, {"ivhd", "AMD-Vi"},         {"smmu3", "Arm SMMUv3"},
    {"smmu", "Arm SMMU"},   {"virtio", "virtio-iommu"},
};

const char *pm_host_iommu_kind(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
        if (g_str_has_prefix(name, kinds[i].prefix))
            return kinds[i].kind;
    return "IOMMU";
}

/* VT-d, capability register: bits 8 to 12 say which page tables the unit walks (30, 39, 48, 57
 * bits), bits 16 to 21 how many address bits it takes, less one. Linux uses the smaller one. */
static unsigned vtd_bits(uint64_t capabilities)
{
    unsigned taken = (unsigned)(capabilities >> 16 & 0x3f) + 1;
    unsigned walked = 0;

    for (unsigned i = 0; i < 4; i++)
        if ((capabilities >> (8 + i) & 1) != 0)
            walked = 30 + 9 * i;
    return MIN(taken, walked);
}

bool pm_host_iommu_read_bits(const char *root, const char *name, unsigned *bits, GError **error)
{
    g_autofree char *path = g_build_filename(FOLDER, name, "intel-iommu/cap", NULL);
    uint64_t capabilities;

    *bits = 0;
    if (!pm_host_exists(root, path))
        return true;
    if (!pm_host_read_number(root, path, 16, &capabilities, error))
        return false;
    *bits = vtd_bits(capabilities);
    return *bits != 0 || pm_fail(error, PM_ERROR_BAD_INPUT,
                                 "%s%s names no page table that Linux uses", root, path);
}

GStrv pm_host_iommu_list(const char *root, GError **error)
{
    if (!pm_host_exists(root, FOLDER))
        return g_new0(char *, 1);
    return pm_host_list(root, FOLDER, error);
}
