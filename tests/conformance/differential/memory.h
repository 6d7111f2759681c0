/* SPDX-License-Identifier: MIT */
/* The memory that sequences map: areas of every type, at the same addresses in every run. */
#ifndef PLUGMAP_TESTS_CONFORMANCE_DIFFERENTIAL_MEMORY_H
#define PLUGMAP_TESTS_CONFORMANCE_DIFFERENTIAL_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "op.h"

#define PAGE UINT64_C(4096)

typedef enum {
    AREA_PRIVATE,
    AREA_OTHER_PRIVATE,
    AREA_SHARED,
    AREA_PRIVATE_FILE,
    AREA_READ_ONLY,
    AREA_WRITE_ONLY,
    AREA_EXECUTE_ONLY,
    AREA_NO_ACCESS,
    AREA_HOLES,      /* every fourth page is missing */
    AREA_SHORT_FILE, /* pages after the fourth are past EOF */
    AREA_HUGETLB,
    AREA_TRANSPARENT_HUGE,
    AREA_DEVICE, /* registers of a device */
    AREA_MISSING,
    N_AREAS,
} Area;

/* OP_MEMORY changes only these. */
#define N_CHANGING_AREAS ((Area)(AREA_PRIVATE_FILE + 1))

#define AREA_SIZE  UINT64_C(0x200000)
#define AREA_PAGES 32 /* how many sequences use of each */

/* The buffer for dirty bitmaps. */
#define BITMAP_SIZE 65536

uint64_t area_address(Area area);
uint64_t bitmap_address(void);

/* Resets all areas for a new sequence; @device: whose registers to map, or -1. */
void memory_make(int device, uint64_t device_offset);

/* Forks a child that writes to memory and exits. */
void memory_fork(uint64_t address);

/* False for changing memory that is currently read-only: the fake kernel can pin it, but not hold
 * it. */
bool memory_can_be_held(uint64_t address, uint64_t size);

/* Whether the range overlaps the registers of memory_make()'s device. */
bool memory_is_registers(uint64_t address, uint64_t size);

void memory_do(MemoryAction action, uint64_t address, uint64_t size);

#endif
