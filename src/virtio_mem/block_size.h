/* SPDX-License-Identifier: MIT */
/* Which block size a device has if nobody says so. */
#ifndef PLUGMAP_SRC_VIRTIO_MEM_BLOCK_SIZE_H
#define PLUGMAP_SRC_VIRTIO_MEM_BLOCK_SIZE_H

#include <stdint.h>

/* Where Linux tells the size of its transparent huge pages. */
#define PM_THP_SIZE_PATH "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size"

/* Guests and hosts handle blocks below this badly; QEMU refuses them. */
#define PM_BLOCK_SIZE_FLOOR (UINT64_C(1) << 20)

/* The host's transparent huge page size in bytes, read from @path; the architecture's usual one if
 * the file cannot be read as that. At least PM_BLOCK_SIZE_FLOOR. */
uint64_t pm_thp_size(const char *path);

/* @page_size: of the RAM. @base_page_size: of the host. */
uint64_t pm_default_block_size(uint64_t page_size, uint64_t base_page_size, const char *thp_path);

#endif
