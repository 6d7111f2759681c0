/* SPDX-License-Identifier: MIT */
/* The memory that random lives map: areas of every sort, at the same addresses in every run. */
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
    AREA_SHORT_FILE, /* pages behind the fourth are beyond the end of the file */
    AREA_HUGETLB,
    AREA_TRANSPARENT_HUGE,
    AREA_DEVICE, /* registers of a device */
    AREA_MISSING,
    N_AREAS,
} Area;

/* OP_MEMORY changes only these. */
#define N_CHANGING_AREAS ((Area)(AREA_PRIVATE_FILE + 1))

#define AREA_SIZE  UINT64_C(0x200000)
#define AREA_PAGES 32 /* that lives use of each */

/* The buffer for dirty bitmaps. */
#define BITMAP_SIZE 65536

uint64_t area_address(Area area);
uint64_t bitmap_address(void);

/* Makes all areas as they are at the start of a life; @device: the registers, or -1 and no offset.
 */
void memory_make(int device, uint64_t device_offset);

/* A child is forked, writes to memory, and ends. */
void memory_fork(uint64_t address);

/* False for memory that changes and that can be read but not written now: the fake kernel could pin
 * it, but not hold it. */
bool memory_can_be_held(uint64_t address, uint64_t size);

/* Some of it is of the device that memory_make() was told. */
bool memory_is_registers(uint64_t address, uint64_t size);

void memory_do(MemoryDeed deed, uint64_t address, uint64_t size);

#endif
