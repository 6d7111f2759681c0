/* SPDX-License-Identifier: MIT */
/*
 * Memory that areas of I/O address spaces show: areas that are copies or parts of each other share
 * it, and with it pins and charge. Linux: drivers/iommu/iommufd/pages.c.
 */
#ifndef PLUGMAP_SRC_FAKE_IOMMUFD_IOPT_PAGES_H
#define PLUGMAP_SRC_FAKE_IOMMUFD_IOPT_PAGES_H

#include "fake/memory/page_table.h"
#include "fake/memory/pin.h"

typedef struct PmIoptPages PmIoptPages;

/* One reference to @length bytes from @address on, to be charged by @charge. Returns 0, -EINVAL
 * (empty, or too long) or -EOVERFLOW. @start: where @address is in it. */
int pm_iopt_pages_new(PmFakeMemory *memory, uint64_t address, uint64_t length, bool writable,
                      PmCharge charge, PmIoptPages **pages, uint64_t *start);
/* The same of a file, which the pages keep; @position is the place in it. -EBADF, too. */
int pm_iopt_pages_new_file(PmFakeMemory *memory, int fd, uint64_t position, uint64_t length,
                           bool writable, PmCharge charge, PmIoptPages **pages, uint64_t *start);
PmIoptPages *pm_iopt_pages_ref(PmIoptPages *pages);
void pm_iopt_pages_unref(PmIoptPages *pages);

bool pm_iopt_pages_writable(const PmIoptPages *pages);
/* What placing an area goes by: the process's address, or the place in the file. */
uint64_t pm_iopt_pages_origin(const PmIoptPages *pages);
/* Where the fake kernel finds byte @start. */
uint64_t pm_iopt_pages_host(const PmIoptPages *pages, uint64_t start);

/*
 * Pins whole pages for one more user, and charges those that nobody had pinned. Returns 0; -EFAULT;
 * -EINVAL (a file that cannot be pinned); or -ENOMEM (over the limit): nothing has changed then.
 */
int pm_iopt_pages_pin(PmIoptPages *pages, uint64_t start, uint64_t length);
void pm_iopt_pages_unpin(PmIoptPages *pages, uint64_t start, uint64_t length);

/* Enters pinned pages into a page table. @small: with its smallest pages. False if there is no
 * memory: then nothing is entered. */
bool pm_iopt_pages_enter(const PmIoptPages *pages, uint64_t start, uint64_t length,
                         PmPageTable *table, uint64_t iova, PmIommuAccess access, bool small);

#endif
