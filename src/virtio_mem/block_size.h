/* SPDX-License-Identifier: MIT */
/* The default block size. */
#ifndef PLUGMAP_SRC_VIRTIO_MEM_BLOCK_SIZE_H
#define PLUGMAP_SRC_VIRTIO_MEM_BLOCK_SIZE_H

#include <stdint.h>

/* Size of Linux's transparent huge pages. */
#define PM_THP_SIZE_PATH "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size"

/* Smaller blocks are inefficient in guest and host; QEMU rejects them. */
#define PM_BLOCK_SIZE_FLOOR (UINT64_C(1) << 20)

/* The host's transparent huge page size in bytes, read from @path; falls back to the usual one of
 * the architecture. At least PM_BLOCK_SIZE_FLOOR. */
uint64_t pm_thp_size(const char *path);

/* @page_size: of the RAM. @base_page_size: of the host. */
uint64_t pm_default_block_size(uint64_t page_size, uint64_t base_page_size, const char *thp_path);

#endif
