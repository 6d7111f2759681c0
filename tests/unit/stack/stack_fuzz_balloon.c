/* SPDX-License-Identifier: MIT */
/* A balloon, which discards without coordination: never what a device may reach. */
#include "stack_fuzz_steps.h"

#include <inttypes.h>
#include <string.h>

#include "stack_fuzz_check.h"

static void check_nothing_mapped(const FuzzWorld *world, const FuzzView *before, unsigned index,
                                 unsigned first, unsigned n_blocks)
{
    bool mapped[FUZZ_N_BLOCKS] = {false};

    fuzz_mark_mapped(world, before, index, mapped);
    for (unsigned i = first; i < first + n_blocks; i++)
        if (mapped[i])
            fuzz_fail(world, "the balloon discarded block %u of RAM %u, which is mapped", i, index);
}

bool fuzz_inflate(FuzzWorld *world, const FuzzView *before)
{
    unsigned index = fuzz_pick_ram(world);
    FuzzRam *ram = &world->rams[index];
    unsigned first = fuzz_pick(world, FUZZ_N_BLOCKS);
    unsigned n_blocks = 1 + fuzz_pick(world, FUZZ_N_BLOCKS - first);
    g_autoptr(GError) error = NULL;

    fuzz_say(world, "inflate the balloon with blocks %u to %u of RAM %u", first,
             first + n_blocks - 1, index);
    if (pm_ram_discard(ram->ram, first * ram->block_size, n_blocks * ram->block_size, &error)) {
        check_nothing_mapped(world, before, index, first, n_blocks);
        memset(&ram->tags[first], 0, n_blocks * sizeof(ram->tags[0]));
        return true;
    }
    if (!g_error_matches(error, PM_ERROR, PM_ERROR_BUSY) ||
        (!fuzz_has_region(world, index) && !fuzz_has_ghost(world, index, false)))
        fuzz_fail(world, "the balloon was refused: %s", error->message);
    return false;
}
