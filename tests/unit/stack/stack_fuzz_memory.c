/* SPDX-License-Identifier: MIT */
/* Contents of memory: not discarded while a device may reach it, and no stale data in newly plugged
 * blocks. */
#include "stack_fuzz_check.h"

#include <inttypes.h>
#include <string.h>

/* Marks blocks of RAM that some page table maps. */
static void mark_translated(const FuzzWorld *world, const FuzzSpaceView *view,
                            const FuzzRegion *region, bool *used)
{
    uint64_t block_size = region->size / region->n_blocks;
    unsigned page = fuzz_page_of(world, region->address);

    for (unsigned i = 0; i < region->n_blocks; i++, page += (unsigned)(block_size / FUZZ_PAGE))
        used[region->first + i] |= view->translated[page];
}

void fuzz_mark_mapped(const FuzzWorld *world, const FuzzView *view, unsigned ram, bool *mapped)
{
    for (unsigned i = 0; i < FUZZ_N_SPACES; i++) {
        const FuzzSpace *space = &world->spaces[i];
        const FuzzRegion *region = NULL;

        while ((region = fuzz_next_region(space, region)) != NULL)
            if (region->ram == ram)
                mark_translated(world, &view->spaces[i], region, mapped);
        for (guint j = 0; j < space->ghosts->len; j++) {
            region = &g_array_index(space->ghosts, FuzzRegion, j);
            if (region->serial == world->rams[ram].serial && !region->vague)
                mark_translated(world, &view->spaces[i], region, mapped);
        }
    }
}

static void mark_used(const FuzzWorld *world, const FuzzView *view, unsigned ram, bool *used)
{
    memcpy(used, view->rams[ram].plugged, FUZZ_N_BLOCKS * sizeof(*used));
    fuzz_mark_mapped(world, view, ram, used);
}

static void check_block(const FuzzWorld *world, unsigned index, unsigned block, bool empty)
{
    const FuzzRam *ram = &world->rams[index];
    uint64_t word = *(const uint64_t *)(const void *)(ram->host + block * ram->block_size);

    if (ram->tags[block] != 0 && word != ram->tags[block])
        fuzz_fail(world,
                  "block %u of RAM %u has been in use all the time, and has 0x%" PRIx64
                  " in it, not 0x%" PRIx64,
                  block, index, word, ram->tags[block]);
    if (ram->tags[block] == 0 && empty && word != 0)
        fuzz_fail(world, "block %u of RAM %u was plugged with 0x%" PRIx64 " in it", block, index,
                  word);
}

static void check_ram(FuzzWorld *world, unsigned index, const FuzzView *before,
                      const FuzzView *after)
{
    FuzzRam *ram = &world->rams[index];
    bool used[FUZZ_N_BLOCKS];

    mark_used(world, after, index, used);
    for (unsigned i = 0; i < FUZZ_N_BLOCKS; i++) {
        if (!used[i]) {
            ram->tags[i] = 0;
            continue;
        }
        check_block(world, index, i,
                    after->rams[index].plugged[i] && !before->rams[index].plugged[i]);
        ram->tags[i] = (uint64_t)ram->serial << 32 | (world->step & 0xffffff) << 8 | (i + 1);
        memcpy(ram->host + i * ram->block_size, &ram->tags[i], sizeof(ram->tags[i]));
    }
}

void fuzz_check_memory(FuzzWorld *world, const FuzzView *before, const FuzzView *after)
{
    for (unsigned i = 0; i < FUZZ_N_RAMS; i++)
        check_ram(world, i, before, after);
}

void fuzz_check_resident(FuzzWorld *world, const FuzzView *view)
{
    for (unsigned i = 0; i < FUZZ_N_RAMS; i++) {
        const FuzzRam *ram = &world->rams[i];
        unsigned n_blocks = 0;
        uint64_t n_bytes;

        if (ram->manager == NULL)
            continue;
        for (unsigned block = 0; block < FUZZ_N_BLOCKS; block++)
            n_blocks += view->rams[i].plugged[block] || view->rams[i].quarantined[block];
        if (!pm_ram_resident(ram->ram, 0, FUZZ_N_BLOCKS * ram->block_size, &n_bytes, NULL))
            fuzz_fail(world, "RAM %u does not report its resident memory", i);
        if (n_bytes > n_blocks * ram->block_size)
            fuzz_fail(world, "0x%" PRIx64 " bytes of RAM %u are in memory, with %u blocks in use",
                      n_bytes, i, n_blocks);
    }
}
