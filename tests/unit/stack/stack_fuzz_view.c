/* SPDX-License-Identifier: MIT */
#include "stack_fuzz_view.h"

#include <inttypes.h>
#include <string.h>

#include <plugmap/fake.h>

#include "util/backend_util.h"

unsigned fuzz_page_of(const FuzzWorld *world, uint64_t iova)
{
    if (iova < FUZZ_BASE || iova - FUZZ_BASE >= FUZZ_N_PAGES * FUZZ_PAGE)
        fuzz_fail(world, "something is mapped at 0x%" PRIx64 ", where no region was", iova);
    return (unsigned)((iova - FUZZ_BASE) / FUZZ_PAGE);
}

/* Page numbers [@first, @end) of a range. */
static void pages_of(const FuzzWorld *world, uint64_t iova, uint64_t size, unsigned *first,
                     unsigned *end)
{
    *first = fuzz_page_of(world, iova);
    *end = fuzz_page_of(world, iova + (size - 1)) + 1;
}

static void look_at_ledger(const FuzzWorld *world, PmIommu *iommu, FuzzSpaceView *view)
{
    PmIommuRun run = {.iova = 0};

    while (pm_iommu_next_run(iommu, run.iova + run.block_size * run.n_blocks, &run)) {
        unsigned first;
        unsigned end;

        pages_of(world, run.iova, run.block_size * run.n_blocks, &first, &end);
        memset(&view->ledger[first], run.unknown ? FUZZ_UNKNOWN : FUZZ_MAPPED, end - first);
        for (unsigned page = first; page < end; page += (unsigned)(run.block_size / FUZZ_PAGE)) {
            view->ledger_sizes[page] = run.block_size;
            view->ram_offsets[page] = run.ram_offset + (page - first) * FUZZ_PAGE;
        }
        if (run.unknown)
            view->n_unknown += run.n_blocks;
        else
            view->n_mapped += run.n_blocks;
    }
}

typedef struct {
    const FuzzWorld *world;
    FuzzSpaceView *view;
} Look;

static bool look_at_mapping(uint64_t iova, uint64_t size, const void *host, PmIommuAccess access,
                            void *user_data)
{
    const Look *look = user_data;
    unsigned page = fuzz_page_of(look->world, iova);

    look->view->accesses[page] = (uint8_t)access;
    look->view->kernel_sizes[page] = size;
    look->view->hosts[page] = host;
    look->view->n_kernel++;
    look->view->kernel_bytes += size;
    return true;
}

static void look_at_page_table(const FuzzWorld *world, unsigned group, bool *translated)
{
    uint64_t iova = 0;
    uint64_t size = 0;

    while (
        pm_fake_kernel_next_translated(world->fake, group, iova + size, UINT64_MAX, &iova, &size)) {
        unsigned first;
        unsigned end;

        pages_of(world, iova, size, &first, &end);
        memset(&translated[first], true, end - first);
    }
}

/* Devices attached later see the same as the first; detached ones see nothing. */
static void check_spares(const FuzzWorld *world, const FuzzSpace *space, const FuzzSpaceView *view)
{
    for (unsigned i = 0; i < FUZZ_N_SPARES; i++) {
        bool translated[FUZZ_N_PAGES] = {false};
        bool attached = false;

        for (unsigned j = 0; j < FUZZ_N_SPACES; j++)
            attached |= world->spaces[j].has_spare[i];
        if (attached && !space->has_spare[i])
            continue;
        look_at_page_table(world, fuzz_spare_group(i), translated);
        if (!attached && memchr(translated, true, sizeof(translated)) != NULL)
            fuzz_fail(world, "spare device %u is attached nowhere, and reaches memory", i);
        if (attached && memcmp(translated, view->translated, sizeof(translated)) != 0)
            fuzz_fail(world, "spare device %u reaches other memory than the first one", i);
    }
}

static void look_at_space(FuzzWorld *world, unsigned index, FuzzSpaceView *view)
{
    const FuzzSpace *space = &world->spaces[index];
    Look look = {world, view};

    if (space->iommu != NULL)
        look_at_ledger(world, space->iommu, view);
    look_at_page_table(world, fuzz_group(index), view->translated);
    (void)pm_fake_kernel_foreach_mapping(world->fake, fuzz_group(index), look_at_mapping, &look);
    check_spares(world, space, view);
}

static void look_at_ram(const FuzzRam *ram, FuzzRamView *view)
{
    uint64_t offset = 0;
    uint64_t size = 0;

    if (ram->manager == NULL)
        return;
    for (unsigned i = 0; i < FUZZ_N_BLOCKS; i++) {
        view->plugged[i] = pm_discard_manager_is_populated(ram->manager, i * ram->block_size, 1);
        view->n_plugged += view->plugged[i];
    }
    while (pm_discard_manager_next_quarantined(ram->manager, offset + size, &offset, &size, NULL,
                                               NULL))
        memset(&view->quarantined[offset / ram->block_size], true, size / ram->block_size);
    for (unsigned i = 0; i < FUZZ_N_BLOCKS; i++)
        view->n_quarantined += view->quarantined[i];
}

void fuzz_look(FuzzWorld *world, FuzzView *view)
{
    memset(view, 0, sizeof(*view));
    for (unsigned i = 0; i < FUZZ_N_SPACES; i++) {
        look_at_space(world, i, &view->spaces[i]);
        view->n_unknown += view->spaces[i].n_unknown;
    }
    for (unsigned i = 0; i < FUZZ_N_RAMS; i++) {
        look_at_ram(&world->rams[i], &view->rams[i]);
        view->n_quarantined += view->rams[i].n_quarantined;
    }
    view->pinned = backend_get_pinned(world->fake);
    view->n_open = pm_fake_kernel_get_n_open(world->fake);
}

static void find_lost(const FuzzWorld *world, const FuzzSpaceView *space, const FuzzRamView *ram,
                      const FuzzRegion *region, bool is_ghost, bool *lost)
{
    unsigned page = fuzz_page_of(world, region->address);

    for (unsigned i = region->first; i < region->first + region->n_blocks; i++) {
        FuzzState right = ram->plugged[i] && !is_ghost ? FUZZ_MAPPED : FUZZ_UNMAPPED;

        lost[i] |= space->ledger[page] != right;
        page += (unsigned)(region->block_size / FUZZ_PAGE);
    }
}

void fuzz_find_lost(const FuzzWorld *world, const FuzzView *view, unsigned ram, bool *lost)
{
    for (unsigned i = 0; i < FUZZ_N_SPACES; i++) {
        const FuzzSpace *space = &world->spaces[i];
        const FuzzRegion *region = NULL;

        while ((region = fuzz_next_region(space, region)) != NULL)
            if (region->ram == ram && region->managed)
                find_lost(world, &view->spaces[i], &view->rams[ram], region, false, lost);
        for (guint j = 0; j < space->ghosts->len; j++) {
            region = &g_array_index(space->ghosts, FuzzRegion, j);
            if (region->serial == world->rams[ram].serial && region->managed)
                find_lost(world, &view->spaces[i], &view->rams[ram], region, true, lost);
        }
    }
}
