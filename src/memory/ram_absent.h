/* SPDX-License-Identifier: MIT */
/* Which memory needs no faulting in, found out in a fraction of the time that faulting it in takes
 * where all of it is there already. */
#ifndef PLUGMAP_SRC_MEMORY_RAM_ABSENT_H
#define PLUGMAP_SRC_MEMORY_RAM_ABSENT_H

#include <plugmap/ram.h>

/* The first page of a range that is not in this process's page table as a page of its own, or @end;
 * @offset, too, where the kernel does not say. What is write-protected may pass for present. */
uint64_t pm_ram_find_absent(const PmRam *ram, uint64_t offset, uint64_t end);

#endif
