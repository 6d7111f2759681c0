/* SPDX-License-Identifier: MIT */
/* The host's IOMMUs in sysfs. */
#ifndef PLUGMAP_SRC_HOST_HOST_IOMMU_H
#define PLUGMAP_SRC_HOST_HOST_IOMMU_H

#include <stdbool.h>

#include <plugmap/error.h>

/* "Intel VT-d", from a name in /sys/class/iommu such as "dmar0". */
const char *pm_host_iommu_kind(const char *name);

/* The bits of an I/O address, as the kernel uses them. *@bits is 0 if sysfs does not have them:
 * only Intel's capabilities say. Errors: those of pm_host_read_number(). */
bool pm_host_iommu_read_bits(const char *root, const char *name, unsigned *bits, GError **error);

/* Names in /sys/class/iommu, ascending; empty if there is none. Errors: those of pm_host_list(). */
GStrv pm_host_iommu_list(const char *root, GError **error);

#endif
