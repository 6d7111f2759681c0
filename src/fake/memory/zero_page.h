/* SPDX-License-Identifier: MIT */
/* Which pages of private memory are the zero page, or would be if they were read. */
#ifndef PLUGMAP_SRC_FAKE_MEMORY_ZERO_PAGE_H
#define PLUGMAP_SRC_FAKE_MEMORY_ZERO_PAGE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * How many bytes from @address up (whole pages, at most @size) are all zero page or all of their
 * own; @is_zero says which. Pages that have been read but not written are known as zero page only
 * to a process with CAP_SYS_ADMIN.
 */
uint64_t pm_zero_page_run(uint64_t address, uint64_t size, bool *is_zero);

#endif
