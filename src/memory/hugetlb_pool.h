/* SPDX-License-Identifier: MIT */
/* The host's hugetlb pool, from which hugetlb RAM is allocated when it is touched. */
#ifndef PLUGMAP_SRC_MEMORY_HUGETLB_POOL_H
#define PLUGMAP_SRC_MEMORY_HUGETLB_POOL_H

#include <plugmap/ram.h>

/*
 * What the pool lacks for a range of the RAM, and the command that raises it for all of the RAM:
 * "the range lacks 2 hugetlb pages of 2M, and the host has 1 free ..."; a new string. NULL if the
 * pool is not the cause: the RAM has base pages, or enough are free.
 */
char *pm_hugetlb_pool_describe_lack(PmRam *ram, uint64_t offset, uint64_t size);

/* The same for the pools in the sysfs folder @pools. */
char *pm_hugetlb_pool_describe_lack_in(const char *pools, PmRam *ram, uint64_t offset,
                                       uint64_t size);

#endif
