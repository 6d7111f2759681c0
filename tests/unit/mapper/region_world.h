/* SPDX-License-Identifier: MIT */
/* Two address spaces of one kernel, fake or real (either_kernel.h), with a mapper each, and
 * unmapped RAM. */
#ifndef PLUGMAP_TESTS_UNIT_MAPPER_REGION_WORLD_H
#define PLUGMAP_TESTS_UNIT_MAPPER_REGION_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <plugmap/fake.h>
#include <plugmap/plugmap.h>

#include "dma/engine.h"
#include "util/backend_util.h"
#include "util/either_kernel.h"

#define BLOCK    (64 * PM_KIB)
#define N_BLOCKS UINT64_C(16)
#define SIZE     (N_BLOCKS * BLOCK)
#define LOW      UINT64_C(0x40000000)
#define HIGH     (4 * PM_GIB)

typedef struct {
    PmKernel *kernel;
    PmIommu *iommus[2];
    PmMapper *mappers[2]; /* NULL: freed by a test */
    PmRam *ram;
    PmDiscardManager *manager; /* NULL: the RAM is plain */
} RegionWorld;

/* With plain RAM. @given: of a fake kernel; does not set how memory is pinned. */
RegionWorld *region_world_new(const PmFakeConfig *given, PmRamKind kind);

/* Plain RAM, and RAM with a manager. Setup and teardown for cmocka. */
int region_world_plain(void **state);
int region_world_managed(void **state);
int region_world_free(void **state);

/* Blocks [@first, @first + @n_blocks) of the RAM, for reading and writing, strict. */
PmMapperRegion region_of(const RegionWorld *world, uint64_t first, uint64_t n_blocks,
                         uint64_t address);

/* region_of() added to the first mapper. */
bool region_add(RegionWorld *world, uint64_t first, uint64_t n_blocks, uint64_t address);

/* Plugs and unplugs blocks. */
bool region_plug(RegionWorld *world, uint64_t first, uint64_t n_blocks);
bool region_unplug(RegionWorld *world, uint64_t first, uint64_t n_blocks);

/* The kernel's number of mappings in address space @index. */
uint64_t region_n_mappings(const RegionWorld *world, unsigned index);

/* The host address mapped at @iova of the first address space, or NULL. On a real kernel a device
 * writes there to find out. */
const char *region_mapped_at(const RegionWorld *world, uint64_t iova);

/* Of block @block of the RAM. */
char *region_host(const RegionWorld *world, uint64_t block);

/* A device that does DMA in the first address space. */
PmDmaEngine *region_engine(const RegionWorld *world);

void region_assert_code(GError **error, PmError code, const char *words);

/* Checks that nothing is mapped or committed in either address space, and nothing referenced except
 * by the fixture. */
void region_assert_nothing_left(RegionWorld *world);

#endif
