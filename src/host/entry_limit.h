/* SPDX-License-Identifier: MIT */
/* The parameter of vfio_iommu_type1 that limits the mappings of a container. */
#ifndef PLUGMAP_SRC_HOST_ENTRY_LIMIT_H
#define PLUGMAP_SRC_HOST_ENTRY_LIMIT_H

#define PM_ENTRY_LIMIT_FILE "/sys/module/vfio_iommu_type1/parameters/dma_entry_limit"

/* One file for all advice: what two files set would depend on their order. */
#define PM_ENTRY_LIMIT_BOOT_FILE "/etc/modprobe.d/vfio_iommu_type1.conf"

/* The kernel's default. */
#define PM_ENTRY_LIMIT_DEFAULT 65535

#endif
