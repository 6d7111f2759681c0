/* SPDX-License-Identifier: MIT */
/* The I/O addresses that a group's devices can use: the IOMMU's, without reserved regions. */
#ifndef PLUGMAP_SRC_HOST_HOST_REGIONS_H
#define PLUGMAP_SRC_HOST_HOST_REGIONS_H

#include <stdbool.h>
#include <stdint.h>

#include <plugmap/error.h>

/* @is_direct: the firmware wants it mapped one to one, and VFIO refuses the device. @is_usable: may
 * be mapped all the same. */
typedef struct {
    uint64_t first;
    uint64_t last;
    bool is_direct;
    bool is_usable;
} PmHostRegion;

/* Of PmHostRegion, ascending. Errors: those of pm_host_read(). */
GArray *pm_host_regions_read(const char *root, unsigned group, GError **error);

/* "0x0-0xfedfffff, 0xfef00000-0x7fffffffff": up to @last, without @regions; a new string. */
char *pm_host_regions_describe_rest(const GArray *regions, uint64_t last);

#endif
