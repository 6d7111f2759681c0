/* SPDX-License-Identifier: MIT */
/* The host's pool of hugetlb pages, which RAM of such pages is taken from when it is touched. */
#ifndef PLUGMAP_SRC_MEMORY_HUGETLB_POOL_H
#define PLUGMAP_SRC_MEMORY_HUGETLB_POOL_H

#include <plugmap/ram.h>

/*
 * What the pool lacks for a range of the RAM, and how to raise it for all of it: «the range lacks 2
 * hugetlb pages of 2M, and the host has 1 free …», with the command behind it; a new string. NULL
 * if the pool is not the cause: the RAM has base pages, or enough are free.
 */
char *pm_hugetlb_pool_describe_lack(PmRam *ram, uint64_t offset, uint64_t size);

/* The same of pools that sysfs has in the folder @pools. */
char *pm_hugetlb_pool_describe_lack_in(const char *pools, PmRam *ram, uint64_t offset,
                                       uint64_t size);

#endif
