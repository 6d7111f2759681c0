/* SPDX-License-Identifier: MIT */
/* Finds memory that needs no prefault, faster than prefaulting what is resident. */
#ifndef PLUGMAP_SRC_MEMORY_RAM_ABSENT_H
#define PLUGMAP_SRC_MEMORY_RAM_ABSENT_H

#include <plugmap/ram.h>

/* The first page of a range that this process's page table does not map exclusively, or @end;
 * @offset if the kernel does not report it. Write-protected pages may count as present. */
uint64_t pm_ram_find_absent(const PmRam *ram, uint64_t offset, uint64_t end);

#endif
