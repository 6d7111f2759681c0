/* SPDX-License-Identifier: MIT */
/*
 * PRPs (physical region pages), the addresses of a command's data. The first one may begin inside a
 * page, all others are whole pages; the last one may end inside. The command has room for two: with
 * more, its second one is the address of a list of the others.
 */
#ifndef PLUGMAP_SRC_NVME_PRP_H
#define PLUGMAP_SRC_NVME_PRP_H

#include <plugmap/buffer_registry.h>

/* Entries of a list, which is one page. A command has at most one more page. */
#define PM_NVME_PRP_LIST_ENTRIES 512

/*
 * Builds the PRPs of @segments.
 * @list, @list_address: page-aligned memory for PM_NVME_PRP_LIST_ENTRIES, and its I/O address; NULL
 * allows two pages only.
 * @prp: set to the command's two, little endian.
 * Errors: PM_ERROR_INVALID_ARGUMENT (no data), PM_ERROR_UNALIGNED (the first address is not a
 * multiple of 4; or the data does not continue from one segment to the next at a page's border),
 * PM_ERROR_LIMIT (too many pages).
 */
bool pm_nvme_prp_build(const PmDmaSegment *segments, size_t n_segments, uint64_t *list,
                       uint64_t list_address, uint64_t prp[2], GError **error);

#endif
