/* SPDX-License-Identifier: MIT */
#include "fake/machine/config.h"

#include <string.h>

#include "base/error_text.h"
#include "base/sized.h"

static const PmIovaRange default_ranges[] = {
    {0, 0xfedfffff},
    {0xfef00000, 0x7fffffffff},
};

void pm_fake_config_set_defaults(PmFakeConfig *config, size_t struct_size)
{
    const PmFakeConfig defaults = {
        .struct_size = sizeof(defaults),
        .linux_version = PM_FAKE_LINUX_6_12,
        .pin = PM_FAKE_PIN_ACCOUNT,
        .page_sizes = 0x40201000,
        .iova_ranges = default_ranges,
        .n_iova_ranges = G_N_ELEMENTS(default_ranges),
        .entry_limit = 65535,
        .memlock_limit = UINT64_MAX,
        .cap_sys_resource = true,
    };

    memset(config, 0, struct_size);
    config->struct_size = struct_size;
    pm_sized_write(config, &defaults, sizeof(defaults));
}

bool pm_fake_config_check(const PmFakeConfig *config, GError **error)
{
    if (config->page_sizes == 0 || config->page_sizes % PM_FAKE_PAGE != 0)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "invalid page_sizes 0x%" G_GINT64_MODIFIER
                       "x: must be nonzero, and no page below 4 KiB",
                       config->page_sizes);
    if (config->iommufd && config->linux_version == PM_FAKE_LINUX_6_1)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT, "iommufd: needs Linux 6.12, not 6.1");
    if (config->n_iova_ranges == 0 || config->n_iova_ranges > 1024)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "invalid n_iova_ranges %zu: must be 1 to 1024", config->n_iova_ranges);
    for (size_t i = 0; i < config->n_iova_ranges; i++) {
        const PmIovaRange *range = &config->iova_ranges[i];

        if (range->start > range->last || (i > 0 && range->start <= range[-1].last))
            return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                           "invalid iova_ranges[%zu]: must be ascending and not overlap", i);
    }
    return true;
}

PmFakeConfig pm_fake_config_copy(const PmFakeConfig *config)
{
    PmFakeConfig copy = *config;

    copy.iova_ranges = g_memdup2(config->iova_ranges, config->n_iova_ranges * sizeof(PmIovaRange));
    return copy;
}

void pm_fake_config_clear(PmFakeConfig *copy)
{
    g_free((PmIovaRange *)copy->iova_ranges);
}

uint64_t pm_fake_config_page_size(const PmFakeConfig *config)
{
    return config->page_sizes & -config->page_sizes;
}

uint64_t pm_fake_config_lock_limit(const PmFakeConfig *config)
{
    return config->memlock_limit == UINT64_MAX ? UINT64_MAX : config->memlock_limit & -PM_FAKE_PAGE;
}
