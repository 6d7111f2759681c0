/* SPDX-License-Identifier: MIT */
/* A virtio-mem device and plain RAM, mapped for a device that does DMA, and a dirty log. On type1
 * the log knows pinned pages only, on iommufd it tracks writes; but no IOMMU of the VM can. */
#ifndef PLUGMAP_TESTS_UNIT_MIGRATION_DIRTY_WORLD_H
#define PLUGMAP_TESTS_UNIT_MIGRATION_DIRTY_WORLD_H

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

#define PAGE          UINT64_C(4096)
#define BLOCK         (16 * PAGE)
#define N_BLOCKS      UINT64_C(12)
#define BLOCK_PAGES   (BLOCK / PAGE)
#define N_PAGES       (N_BLOCKS * BLOCK_PAGES)
#define ADDRESS       (4 * PM_GIB)
/* The device's memory has two regions: blocks before this one, and from it on. */
#define SECOND_REGION UINT64_C(5)
/* Plain RAM, the pages of its region, and their I/O address. */
#define PLAIN_PAGES   UINT64_C(100)
#define PLAIN_FIRST   UINT64_C(32)
#define PLAIN_COUNT   UINT64_C(48)
#define PLAIN_ADDRESS UINT64_C(0x40000000)
#define N_WORDS       4

typedef struct {
    PmKernel *kernel;
    PmIommu *iommu;
    PmMapper *mapper;
    PmRam *ram;
    PmVirtioMem *device;
    PmRam *plain;
    PmDmaEngine *engine;
    PmDirtyLog *log;
    bool tracks; /* the IOMMU knows what was written */
    PmDirtyLogCounts counts;
} DirtyWorld;

/* @can_track: the IOMMU of iommufd on a fake kernel has dirty tracking. No block is plugged. */
DirtyWorld *dirty_world_new(bool can_track);
void dirty_world_free(DirtyWorld *world);

/* Whether the IOMMU of dirty_world_new(true) tracks writes. */
bool dirty_world_can_track(void);

/* Skips a test about calls that a dirty log makes where no IOMMU has dirty tracking. */
void dirty_world_needs_tracking(void);

/* Setup and teardown for cmocka. The first without a log's RAM and address space. */
int dirty_world_bare(void **state);
int dirty_world_setup(void **state);
int dirty_world_setup_untracked(void **state);
int dirty_world_teardown(void **state);

/* Adds RAM and address space to the log. */
void dirty_world_start(DirtyWorld *world);

void dirty_world_plug(DirtyWorld *world, uint64_t first, uint64_t n_blocks);
void dirty_world_unplug(DirtyWorld *world, uint64_t first, uint64_t n_blocks);

/* Regions of the mapper. */
PmMapperRegion dirty_world_region(PmRam *ram, uint64_t offset, uint64_t size, uint64_t address);
void dirty_world_add_region(DirtyWorld *world, const PmMapperRegion *region);

/* The device writes the page at an I/O address; or a page of the virtio-mem device's RAM. */
void dirty_world_write_at(DirtyWorld *world, uint64_t iova);
void dirty_world_write(DirtyWorld *world, uint64_t page);

/* Frees *@error, which must have this code, and these words in its message. */
void dirty_world_assert_error(GError **error, PmError code, const char *words);

/* Reads the RAM into @bitmap of N_WORDS words, with pages of @page_size bytes; sets counts. */
void dirty_world_read(DirtyWorld *world, PmRam *ram, uint64_t page_size, uint64_t *bitmap);

/* The same with base pages, and whether exactly the pages of a list are dirty: of @tracked if the
 * IOMMU tracks writes, else of @pinned. "0-15 20": ranges and pages. */
void dirty_world_assert(DirtyWorld *world, PmRam *ram, const char *tracked, const char *pinned);

/* Exactly the pages of a list are set. */
void dirty_world_assert_pages(const uint64_t *bitmap, const char *list);

#endif
