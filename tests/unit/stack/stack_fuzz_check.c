/* SPDX-License-Identifier: MIT */
#include "stack_fuzz_check.h"

#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#include "util/backend_util.h"

static const char *const state_texts[] = {
    [FUZZ_UNMAPPED] = "not mapped",
    [FUZZ_MAPPED] = "mapped",
    [FUZZ_UNKNOWN] = "unknown",
};

static uint64_t iova_of(unsigned page)
{
    return FUZZ_BASE + page * FUZZ_PAGE;
}

static FuzzRegion *ghost_at(const FuzzSpace *space, guint index)
{
    return &g_array_index(space->ghosts, FuzzRegion, index);
}

/* Marks the pages of live regions. */
static void mark_regions(const FuzzWorld *world, const FuzzSpace *space, bool *marked)
{
    const FuzzRegion *region = NULL;

    while ((region = fuzz_next_region(space, region)) != NULL)
        memset(&marked[fuzz_page_of(world, region->address)], true, region->size / FUZZ_PAGE);
}

static bool may_haunt(const FuzzWorld *world, const FuzzRegion *ghost, const FuzzSpaceView *view,
                      const bool *regions)
{
    unsigned first = fuzz_page_of(world, ghost->address);

    for (unsigned page = first; page < first + ghost->size / FUZZ_PAGE; page++)
        if (view->ledger[page] == FUZZ_UNKNOWN && !regions[page])
            return true;
    return false;
}

void fuzz_lay_ghosts(FuzzWorld *world, const FuzzView *view)
{
    for (unsigned i = 0; i < FUZZ_N_SPACES; i++) {
        FuzzSpace *space = &world->spaces[i];
        bool regions[FUZZ_N_PAGES] = {false};

        if (space->ghosts->len == 0)
            continue;
        mark_regions(world, space, regions);
        for (guint j = space->ghosts->len; j-- > 0;)
            if (!may_haunt(world, ghost_at(space, j), &view->spaces[i], regions))
                g_array_remove_index(space->ghosts, j);
    }
}

/* --- the ledger and the kernel --- */

static void check_mapping(const FuzzWorld *world, unsigned space, const FuzzSpaceView *view,
                          unsigned page)
{
    uint64_t ledger = view->ledger_sizes[page];
    uint64_t kernel = view->kernel_sizes[page];

    if (kernel == ledger || (view->ledger[page] == FUZZ_UNKNOWN && kernel == 0))
        return;
    fuzz_fail(world,
              "space %u has a mapping of 0x%" PRIx64 " bytes at 0x%" PRIx64
              ", where the ledger has one of 0x%" PRIx64 ", %s",
              space, kernel, iova_of(page), ledger, state_texts[view->ledger[page]]);
}

static void check_ledger(const FuzzWorld *world, unsigned space, const FuzzSpaceView *view)
{
    uint64_t left = 0; /* of the current mapping */

    for (unsigned page = 0; page < FUZZ_N_PAGES; page++) {
        check_mapping(world, space, view, page);
        if (view->kernel_sizes[page] != 0)
            left = view->kernel_sizes[page];
        if (view->translated[page] != (left > 0) ||
            (view->ledger[page] != FUZZ_UNKNOWN &&
             view->translated[page] != (view->ledger[page] == FUZZ_MAPPED)))
            fuzz_fail(world,
                      "space %u: 0x%" PRIx64 " is%s translated, %s in the list, %s in the "
                      "ledger",
                      space, iova_of(page), view->translated[page] ? "" : " not",
                      left > 0 ? "mapped" : "not mapped", state_texts[view->ledger[page]]);
        left -= MIN(left, FUZZ_PAGE);
    }
}

/* --- the ledger and the regions --- */

typedef struct {
    const FuzzWorld *world;
    unsigned space;
    const FuzzView *view;
    const FuzzRegion *region;
    unsigned block;
    unsigned page; /* the first */
} Block;

static bool is_plugged(const Block *block)
{
    return block->view->rams[block->region->ram]
        .plugged[fuzz_ram_block(block->region, block->block)];
}

static bool is_quarantined(const Block *block)
{
    return block->view->rams[block->region->ram]
        .quarantined[fuzz_ram_block(block->region, block->block)];
}

static void fail_block(const Block *block, const char *problem)
{
    const FuzzSpaceView *space = &block->view->spaces[block->space];

    fuzz_fail(block->world,
              "space %u, region 0x%" PRIx64 " of RAM %u, block %u (%s%s%s, %s in the ledger, "
              "%stranslated): %s",
              block->space, block->region->address, block->region->ram, block->block,
              block->region->managed ? "managed" : "plain", is_plugged(block) ? ", plugged" : "",
              is_quarantined(block) ? ", in quarantine" : "",
              state_texts[space->ledger[block->page]], space->translated[block->page] ? "" : "not ",
              problem);
}

static void check_host(const Block *block)
{
    const FuzzRegion *region = block->region;
    const FuzzSpaceView *space = &block->view->spaces[block->space];
    const char *expected = region->host + block->block * region->block_size;
    const char *host = space->hosts[block->page];

    if (space->kernel_sizes[block->page] == 0)
        return;
    if (space->accesses[block->page] != region->access)
        fail_block(block, "it is mapped with other access");
    if (host == expected)
        return;
    if (!block->world->maps_files || region->serial != block->world->rams[region->ram].serial)
        fail_block(block, "it shows other memory");
    if (*(const uint64_t *)(const void *)host != *(const uint64_t *)(const void *)expected)
        fail_block(block, "it shows memory with something else in it");
}

static void check_region_block(const Block *block)
{
    FuzzState state = block->view->spaces[block->space].ledger[block->page];
    bool quarantined = block->region->managed && is_quarantined(block);
    bool wanted = !block->region->managed || is_plugged(block);

    if (state == FUZZ_UNKNOWN) {
        if (block->region->managed && !quarantined)
            fail_block(block, "it is unknown, but not in quarantine");
    } else if (!quarantined && wanted != (state == FUZZ_MAPPED)) {
        fail_block(block, "mapped is not plugged");
    }
    check_host(block);
}

/* Memory that a device may still reach must not be reused. */
static void check_ghost_block(const Block *block)
{
    const FuzzRegion *ghost = block->region;
    const FuzzRam *ram = &block->world->rams[ghost->ram];
    char *host = ghost->host + block->block * ghost->block_size;

    if (block->view->spaces[block->space].ledger[block->page] != FUZZ_UNKNOWN)
        return;
    if (ghost->managed && ghost->serial == ram->serial && ram->manager != NULL &&
        !is_quarantined(block))
        fail_block(block, "it is a ghost, but not in quarantine");
    if (!block->world->maps_files)
        check_host(block);
    if (block->view->spaces[block->space].translated[block->page] &&
        msync(host, ghost->block_size, MS_ASYNC) != 0)
        fail_block(block, "it is a ghost, but its memory was freed");
}

static uint64_t ram_offset_of(const Block *block)
{
    const FuzzRegion *region = block->region;

    return region->first * (region->size / region->n_blocks) + block->block * region->block_size;
}

static void check_blocks(const FuzzWorld *world, unsigned space, const FuzzView *view,
                         const FuzzRegion *region, void (*check)(const Block *block))
{
    const uint8_t *ledger = view->spaces[space].ledger;
    unsigned n_pages = (unsigned)(region->block_size / FUZZ_PAGE);
    Block block = {world, space, view, region, 0, fuzz_page_of(world, region->address)};

    for (; block.block < region->size / region->block_size; block.block++, block.page += n_pages) {
        for (unsigned i = 1; i < n_pages; i++)
            if (ledger[block.page + i] != ledger[block.page])
                fail_block(&block, "the ledger has a part of it");
        if (ledger[block.page] != FUZZ_UNMAPPED &&
            view->spaces[space].ram_offsets[block.page] != ram_offset_of(&block))
            fail_block(&block, "the ledger has it in another place of the RAM");
        check(&block);
    }
}

static void check_ghost(const FuzzWorld *world, unsigned space, const FuzzView *view,
                        const FuzzRegion *ghost, bool *explained)
{
    unsigned first = fuzz_page_of(world, ghost->address);

    if (!ghost->vague)
        check_blocks(world, space, view, ghost, check_ghost_block);
    for (unsigned page = first; page < first + ghost->size / FUZZ_PAGE; page++)
        explained[page] |= view->spaces[space].ledger[page] == FUZZ_UNKNOWN;
}

static void check_space(const FuzzWorld *world, unsigned index, const FuzzView *view)
{
    const FuzzSpace *space = &world->spaces[index];
    const FuzzSpaceView *space_view = &view->spaces[index];
    bool explained[FUZZ_N_PAGES] = {false};
    const FuzzRegion *region = NULL;

    check_ledger(world, index, space_view);
    while ((region = fuzz_next_region(space, region)) != NULL)
        check_blocks(world, index, view, region, check_region_block);
    mark_regions(world, space, explained);
    for (guint i = 0; i < space->ghosts->len; i++)
        check_ghost(world, index, view, ghost_at(space, i), explained);
    for (unsigned page = 0; page < FUZZ_N_PAGES; page++)
        if (space_view->ledger[page] != FUZZ_UNMAPPED && !explained[page])
            fuzz_fail(world, "space %u: 0x%" PRIx64 " is %s, and nobody's", index, iova_of(page),
                      state_texts[space_view->ledger[page]]);
}

void fuzz_check_mappings(FuzzWorld *world, const FuzzView *view)
{
    for (unsigned i = 0; i < FUZZ_N_RAMS; i++)
        if (memcmp(view->rams[i].plugged, world->rams[i].plugged, sizeof(view->rams[i].plugged)) !=
            0)
            fuzz_fail(world, "RAM %u: other blocks are populated than were plugged", i);
    for (unsigned i = 0; i < FUZZ_N_SPACES; i++)
        check_space(world, i, view);
}
