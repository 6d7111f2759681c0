/* SPDX-License-Identifier: MIT */
/*
 * Memory of areas: areas that are copies or parts of each other share it, with its pins and charge.
 * Linux: drivers/iommu/iommufd/pages.c.
 */
#ifndef PLUGMAP_SRC_FAKE_IOMMUFD_IOPT_PAGES_H
#define PLUGMAP_SRC_FAKE_IOMMUFD_IOPT_PAGES_H

#include "fake/memory/page_table.h"
#include "fake/memory/pin.h"

typedef struct PmIoptPages PmIoptPages;

/* Returns in @pages a reference to @length bytes at @address, to be charged by @charge; @start:
 * offset of @address in them. Returns 0, -EINVAL (empty, or too long) or -EOVERFLOW. */
int pm_iopt_pages_new(PmFakeMemory *memory, uint64_t address, uint64_t length, bool writable,
                      PmCharge charge, PmIoptPages **pages, uint64_t *start);
/* The same for a file at @position; the pages keep a reference to the file. Also fails with
 * -EBADF. */
int pm_iopt_pages_new_file(PmFakeMemory *memory, int fd, uint64_t position, uint64_t length,
                           bool writable, PmCharge charge, PmIoptPages **pages, uint64_t *start);
PmIoptPages *pm_iopt_pages_ref(PmIoptPages *pages);
void pm_iopt_pages_unref(PmIoptPages *pages);

bool pm_iopt_pages_writable(const PmIoptPages *pages);
bool pm_iopt_pages_is_file(const PmIoptPages *pages);
/* Determines the alignment for automatic placement: the process's address, or the position in
 * the file. */
uint64_t pm_iopt_pages_origin(const PmIoptPages *pages);
/* The address of byte @start in the fake kernel. */
uint64_t pm_iopt_pages_host(const PmIoptPages *pages, uint64_t start);

/*
 * Pins whole pages for another user, and charges those that were not pinned yet. Returns 0,
 * -EFAULT, -EINVAL (a file of the wrong kind, or past its end) or -ENOMEM (over the limit), and
 * changes nothing on failure.
 */
int pm_iopt_pages_pin(PmIoptPages *pages, uint64_t start, uint64_t length);
void pm_iopt_pages_unpin(PmIoptPages *pages, uint64_t start, uint64_t length);

/* Maps pinned pages in a page table. @small: only with the smallest pages. Returns false and
 * maps nothing if out of memory. */
bool pm_iopt_pages_enter(const PmIoptPages *pages, uint64_t start, uint64_t length,
                         PmPageTable *table, uint64_t iova, PmIommuAccess access, bool small);

#endif
