/* SPDX-License-Identifier: MIT */
/* Checks, copies and reads the configuration. */
#ifndef PLUGMAP_SRC_FAKE_MACHINE_CONFIG_H
#define PLUGMAP_SRC_FAKE_MACHINE_CONFIG_H

#include <plugmap/fake.h>

#define PM_FAKE_PAGE UINT64_C(4096)

/* Errors: PM_ERROR_INVALID_ARGUMENT. */
bool pm_fake_config_check(const PmFakeConfig *config, GError **error);

/* A copy that owns its I/O address ranges. */
PmFakeConfig pm_fake_config_copy(const PmFakeConfig *config);
void pm_fake_config_clear(PmFakeConfig *copy);

/* The IOMMU's smallest page. */
uint64_t pm_fake_config_page_size(const PmFakeConfig *config);

/* RLIMIT_MEMLOCK in whole pages, or UINT64_MAX. */
uint64_t pm_fake_config_lock_limit(const PmFakeConfig *config);

#endif
