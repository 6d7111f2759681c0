/* SPDX-License-Identifier: MIT */
/* Which pages of private memory are the zero page, or would be once read. */
#ifndef PLUGMAP_SRC_FAKE_MEMORY_ZERO_PAGE_H
#define PLUGMAP_SRC_FAKE_MEMORY_ZERO_PAGE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * How many bytes from @address on (whole pages, at most @size) are the zero page, or are not:
 * @is_zero says which. Without CAP_SYS_ADMIN, pages that were read but not written do not count as
 * zero page.
 */
uint64_t pm_zero_page_run(uint64_t address, uint64_t size, bool *is_zero);

#endif
