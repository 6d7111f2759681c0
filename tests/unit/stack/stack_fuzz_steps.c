/* SPDX-License-Identifier: MIT */
#include "stack_fuzz_steps.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <plugmap/fake.h>

#include "util/allocation_util.h"

/* @needs_memory: may fail with ENOMEM, which its check expects. */
typedef struct {
    bool (*take)(FuzzWorld *world, const FuzzView *before);
    unsigned weight;
    bool needs_memory;
} Step;

static const Step steps[] = {
    {fuzz_plug, 300, true},        {fuzz_unplug, 250, true},     {fuzz_unplug_all, 20, true},
    {fuzz_reset, 10, true},        {fuzz_add_region, 120, true}, {fuzz_remove_region, 70, true},
    {fuzz_renew_mapper, 25, true}, {fuzz_free_device, 15, true}, {fuzz_settle, 30, true},
    {fuzz_new_device, 90, false},  {fuzz_drop_ram, 15, false},   {fuzz_renew_space, 6, false},
    {fuzz_attach, 15, false},      {fuzz_detach, 15, false},     {fuzz_inflate, 60, false},
};

void fuzz_say(FuzzWorld *world, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)g_vsnprintf(world->what, sizeof(world->what), format, arguments);
    va_end(arguments);
    if (world->traced)
        printf("%u: %s, with %s\n", world->step, world->what,
               world->faulty ? world->faults : "no fault");
}

static bool take(FuzzWorld *world, const FuzzView *before, const Step *step)
{
    bool done;

    if (world->n_allocations >= 0 && step->needs_memory)
        allocations_end_after((unsigned)world->n_allocations);
    done = step->take(world, before);
    allocations_go_on();
    return done;
}

/* One step in @fork_every (0: none) is a fork(2), which is slow. */
bool fuzz_take_step(FuzzWorld *world, const FuzzView *before)
{
    unsigned sum = 0;
    unsigned pick;
    size_t i;

    fuzz_say(world, "nothing");
    if (world->fork_every != 0 && fuzz_chance(world, 1, world->fork_every))
        return fuzz_fork(world, before);
    for (i = 0; i < G_N_ELEMENTS(steps); i++)
        sum += steps[i].weight;
    pick = fuzz_pick(world, sum);
    for (i = 0; pick >= steps[i].weight; i++)
        pick -= steps[i].weight;
    return take(world, before, &steps[i]);
}

/* --- faults --- */

static const int map_errors[] = {ENOMEM, ENOSPC, EFAULT, EINVAL, EIO, EBUSY, EEXIST, EPERM, ENODEV};
static const int unmap_errors[] = {EINVAL, EIO, ENOMEM, EBUSY, EPERM, ENOENT, EDEADLOCK, ENODEV};

G_GNUC_PRINTF(2, 3) static void note_fault(FuzzWorld *world, const char *format, ...)
{
    size_t length = strlen(world->faults);
    va_list arguments;

    va_start(arguments, format);
    (void)g_vsnprintf(world->faults + length, sizeof(world->faults) - length, format, arguments);
    va_end(arguments);
}

/* A random call and perhaps the following ones, or the next calls. */
static void pick_calls(const FuzzWorld *world, unsigned max, unsigned *nth, unsigned *n_calls)
{
    *nth = 1 + fuzz_pick(world, max);
    *n_calls = fuzz_chance(world, 1, 3) ? 1 + fuzz_pick(world, 6) : 1;
    if (fuzz_chance(world, 1, 6)) {
        *nth = 1;
        *n_calls = 100;
    }
}

static void fail_maps(FuzzWorld *world)
{
    int error_number = map_errors[fuzz_pick(world, G_N_ELEMENTS(map_errors))];
    unsigned nth;
    unsigned n_maps;

    pick_calls(world, 12, &nth, &n_maps);
    fuzz_kernel_fail_maps(&world->kernel, nth, n_maps, error_number);
    note_fault(world, "%u MAPs from %u: %s; ", n_maps, nth, g_strerror(error_number));
}

static void fail_unmaps(FuzzWorld *world)
{
    int error_number = unmap_errors[fuzz_pick(world, G_N_ELEMENTS(unmap_errors))];
    unsigned nth;
    unsigned n_unmaps;

    pick_calls(world, 3, &nth, &n_unmaps);
    for (unsigned i = 0; i < n_unmaps; i++)
        pm_fake_kernel_fail(world->fake, PM_FAKE_CALL_UNMAP, nth + i, error_number);
    note_fault(world, "%u UNMAPs from %u: %s; ", n_unmaps, nth, g_strerror(error_number));
}

static void shorten_unmaps(FuzzWorld *world)
{
    unsigned nth;
    unsigned n_unmaps;

    pick_calls(world, 3, &nth, &n_unmaps);
    for (unsigned i = 0; i < n_unmaps; i++)
        pm_fake_kernel_shorten_unmap(world->fake, nth + i);
    note_fault(world, "%u UNMAPs from %u: short; ", n_unmaps, nth);
}

static void end_memory(FuzzWorld *world)
{
    world->n_allocations = (int)fuzz_pick(world, 8);
    note_fault(world, "%d allocations; ", world->n_allocations);
}

/* The UNMAP itself succeeds. */
static void inflate_unmap_size(FuzzWorld *world)
{
    world->kernel.added_size = FUZZ_PAGE << fuzz_pick(world, 5);
    note_fault(world, "UNMAP size 0x%x too large; ", (unsigned)world->kernel.added_size);
}

void fuzz_plan_faults(FuzzWorld *world)
{
    static void (*const faults[])(FuzzWorld *) = {
        end_memory,  fail_maps,      end_memory,     fail_maps,          fail_unmaps,
        fail_unmaps, shorten_unmaps, shorten_unmaps, inflate_unmap_size,
    };
    unsigned n_faults = 1;

    world->n_allocations = -1;
    if (fuzz_chance(world, 3, 4)) {
        fuzz_kernel_clear_faults(&world->kernel);
        world->faults[0] = '\0';
        world->faulty = false;
    }
    if (!fuzz_chance(world, world->n_faulty, 16))
        return;
    while (n_faults < 3 && fuzz_chance(world, 2, 5))
        n_faults++;
    for (unsigned i = 0; i < n_faults; i++)
        faults[fuzz_pick(world, G_N_ELEMENTS(faults))](world);
    world->faulty = true;
}
