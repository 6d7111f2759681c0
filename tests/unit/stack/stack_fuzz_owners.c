/* SPDX-License-Identifier: MIT */
/* Steps of owners: regions, mappers, address spaces and their devices. */
#include "stack_fuzz_steps.h"

#include <errno.h>
#include <inttypes.h>

#include <plugmap/fake.h>

#include "stack_fuzz_check.h"

/* --- regions --- */

typedef struct {
    unsigned space;
    unsigned mapper;
    FuzzRegion region;
} Addition;

static bool overlap(const FuzzRegion *one, const FuzzRegion *other)
{
    return one->address < other->address + other->size && other->address < one->address + one->size;
}

static bool overlaps_region(const FuzzSpace *space, const FuzzRegion *region)
{
    const FuzzRegion *other = NULL;

    while ((other = fuzz_next_region(space, other)) != NULL)
        if (overlap(other, region))
            return true;
    return false;
}

static bool overlaps_ghost(const FuzzSpace *space, const FuzzRegion *region)
{
    for (guint i = 0; i < space->ghosts->len; i++)
        if (overlap(&g_array_index(space->ghosts, FuzzRegion, i), region))
            return true;
    return false;
}

static uint64_t count_plugged(const FuzzRamView *ram, const FuzzRegion *region)
{
    uint64_t n_plugged = 0;

    for (unsigned i = region->first; i < region->first + region->n_blocks; i++)
        n_plugged += ram->plugged[i];
    return n_plugged;
}

/* Whether it may exceed the limits, counting everything that may be in use. */
static bool is_too_much(const FuzzWorld *world, const FuzzView *before, const Addition *addition,
                        PmError code)
{
    const FuzzRegion *region = &addition->region;
    uint64_t n_blocks = region->size / region->block_size;

    if (region->managed && !region->strict)
        n_blocks = count_plugged(&before->rams[region->ram], region);
    if (code == PM_ERROR_LIMIT)
        return fuzz_mappings_in_use(world, before, addition->space) + n_blocks > world->entry_limit;
    return fuzz_bytes_in_use(world, before) + n_blocks * region->block_size > world->memlock_limit;
}

/* Without faults and overlaps. */
static void check_refusal(const FuzzWorld *world, const FuzzView *before, const Addition *addition,
                          const GError *error)
{
    PmError code = (PmError)error->code;

    if ((code == PM_ERROR_LIMIT || code == PM_ERROR_LOCKED_MEMORY) &&
        is_too_much(world, before, addition, code))
        return;
    if (code == PM_ERROR_QUARANTINED && before->rams[addition->region.ram].n_quarantined > 0)
        return;
    fuzz_fail(world, "code %d: %s", error->code, error->message);
}

static bool add(FuzzWorld *world, const Addition *addition, GError **error)
{
    PmMapper *mapper = world->spaces[addition->space].mappers[addition->mapper].mapper;
    const FuzzRegion *region = &addition->region;
    const FuzzRam *ram = &world->rams[region->ram];

    const PmMapperRegion config = {
        .struct_size = sizeof(config),
        .ram = ram->ram,
        .ram_offset = region->first * ram->block_size,
        .size = region->size,
        .address = region->address,
        .access = region->access,
        .flags = region->strict ? PM_MAPPER_STRICT : PM_MAPPER_OVERCOMMIT,
    };

    return pm_mapper_add(mapper, &config, error);
}

/* Usually RAM with a manager. */
static unsigned pick_ram(const FuzzWorld *world)
{
    unsigned ram = fuzz_pick_ram(world);

    for (unsigned i = 0; i < 4 && world->rams[ram].manager == NULL; i++)
        ram = fuzz_pick_ram(world);
    return ram;
}

static Addition pick_addition(FuzzWorld *world)
{
    Addition addition = {
        .space = fuzz_pick_space(world),
        .mapper = fuzz_pick(world, FUZZ_N_MAPPERS),
    };
    uint64_t address = FUZZ_BASE + fuzz_pick(world, world->n_places) * FUZZ_STRIDE;

    addition.region = fuzz_region_of(world, pick_ram(world), address, fuzz_chance(world, 1, 2));
    return addition;
}

/* An owner may also leave ghosts if adding it fails. */
static void bury(FuzzSpace *space, const FuzzRegion *region)
{
    FuzzRegion ghost = *region;

    ghost.vague = overlaps_ghost(space, region);
    for (guint i = 0; ghost.vague && i < space->ghosts->len; i++)
        if (overlap(&g_array_index(space->ghosts, FuzzRegion, i), region))
            g_array_index(space->ghosts, FuzzRegion, i).vague = true;
    g_array_append_val(space->ghosts, ghost);
}

static bool check_failure(FuzzWorld *world, const FuzzView *before, const Addition *addition,
                          const GError *error)
{
    FuzzSpace *space = &world->spaces[addition->space];
    bool overlapping = overlaps_region(space, &addition->region);

    if (overlapping && g_error_matches(error, PM_ERROR, PM_ERROR_OVERLAP))
        return false;
    if (!world->faulty)
        check_refusal(world, before, addition, error);
    if (g_error_matches(error, PM_ERROR, PM_ERROR_QUARANTINED) && !overlapping)
        bury(space, &addition->region);
    return false;
}

bool fuzz_add_region(FuzzWorld *world, const FuzzView *before)
{
    Addition addition = pick_addition(world);
    const FuzzRegion *region = &addition.region;
    FuzzSpace *space = &world->spaces[addition.space];
    FuzzMapper *mapper = &space->mappers[addition.mapper];
    g_autoptr(GError) error = NULL;

    if (mapper->n_regions == FUZZ_MAX_REGION)
        return false;
    fuzz_say(world,
             "adding %u blocks of RAM %u from block %u (%s%s) to mapper %u of space %u at "
             "0x%" PRIx64,
             region->n_blocks, region->ram, region->first,
             !region->managed ? "plain" : (region->strict ? "strict" : "overcommit"),
             region->access == PM_IOMMU_READ ? ", read-only" : "", addition.mapper, addition.space,
             region->address);
    if (!add(world, &addition, &error))
        return check_failure(world, before, &addition, error);
    if (overlaps_region(space, region))
        fuzz_fail(world, "regions overlap");
    mapper->regions[mapper->n_regions++] = *region;
    return true;
}

/* NULL if it has none. */
static FuzzRegion *pick_region(const FuzzWorld *world, FuzzMapper *mapper)
{
    return mapper->n_regions == 0 ? NULL : &mapper->regions[fuzz_pick(world, mapper->n_regions)];
}

bool fuzz_remove_region(FuzzWorld *world, const FuzzView *before)
{
    unsigned space = fuzz_pick_space(world);
    unsigned index = fuzz_pick(world, FUZZ_N_MAPPERS);
    FuzzMapper *mapper = &world->spaces[space].mappers[index];
    FuzzRegion *region = pick_region(world, mapper);
    g_autoptr(GError) error = NULL;
    unsigned ram;

    (void)before;
    if (region == NULL)
        return false;
    ram = region->ram;
    fuzz_say(world, "removing 0x%" PRIx64 " (RAM %u) from mapper %u of space %u", region->address,
             ram, index, space);
    if (!pm_mapper_remove(mapper->mapper, region->address, &error)) {
        if (!world->faulty)
            fuzz_fail(world, "code %d: %s", error->code, error->message);
        return false;
    }
    *region = mapper->regions[--mapper->n_regions];
    fuzz_forget_manager(world, ram);
    return true;
}

/* --- mappers and address spaces --- */

bool fuzz_renew_mapper(FuzzWorld *world, const FuzzView *before)
{
    unsigned space = fuzz_pick_space(world);
    unsigned mapper = fuzz_pick(world, FUZZ_N_MAPPERS);

    (void)before;
    fuzz_say(world, "a new mapper %u of space %u", mapper, space);
    fuzz_free_mapper(world, space, mapper);
    world->spaces[space].mappers[mapper].mapper = pm_mapper_new(world->spaces[space].iommu);
    return true;
}

bool fuzz_renew_space(FuzzWorld *world, const FuzzView *before)
{
    unsigned space = fuzz_pick_space(world);

    (void)before;
    fuzz_say(world, "a new space %u", space);
    fuzz_close_space(world, space);
    if (pm_fake_kernel_get_n_mappings(world->fake, fuzz_group(space)) != 0)
        fuzz_fail(world, "the group still reaches memory");
    fuzz_open_space(world, space);
    return true;
}

bool fuzz_settle(FuzzWorld *world, const FuzzView *before)
{
    unsigned space = fuzz_pick_space(world);
    g_autoptr(GError) error = NULL;

    (void)before;
    fuzz_say(world, "settling space %u", space);
    if (pm_iommu_settle(world->spaces[space].iommu, &error))
        return true;
    if (!world->faulty)
        fuzz_fail(world, "code %d: %s", error->code, error->message);
    return false;
}

/* Others may still have a reference: their ghosts stay mapped. */
bool fuzz_drop_ram(FuzzWorld *world, const FuzzView *before)
{
    unsigned index = fuzz_pick_ram(world);

    (void)before;
    if (world->rams[index].device != NULL || fuzz_has_region(world, index))
        return false;
    fuzz_say(world, "new RAM %u", index);
    fuzz_renew_ram(world, index);
    return true;
}

/* --- devices that are attached and detached --- */

/* The space that it is attached to; FUZZ_N_SPACES: none. */
static unsigned space_with(const FuzzWorld *world, unsigned spare)
{
    unsigned space = 0;

    while (space < FUZZ_N_SPACES && !world->spaces[space].has_spare[spare])
        space++;
    return space;
}

bool fuzz_attach(FuzzWorld *world, const FuzzView *before)
{
    unsigned space = fuzz_pick_space(world);
    unsigned spare = fuzz_pick(world, FUZZ_N_SPARES);
    bool is_free = space_with(world, spare) == FUZZ_N_SPACES;
    bool faulty = fuzz_chance(world, 1, 4);
    g_autoptr(GError) error = NULL;
    bool attached;

    (void)before;
    fuzz_say(world, "attaching spare device %u to space %u%s", spare, space,
             faulty ? ", with a fault" : "");
    if (faulty)
        pm_fake_kernel_fail(world->fake, PM_FAKE_CALL_ANY, 1 + fuzz_pick(world, 6), EIO);
    attached = pm_iommu_attach(world->spaces[space].iommu, fuzz_spare_device(spare), &error);
    if (faulty)
        fuzz_kernel_clear_faults(&world->kernel);
    if (attached && !is_free)
        fuzz_fail(world, "it is already attached");
    if (!attached && is_free && !faulty)
        fuzz_fail(world, "code %d: %s", error->code, error->message);
    world->spaces[space].has_spare[spare] |= attached;
    return attached;
}

bool fuzz_detach(FuzzWorld *world, const FuzzView *before)
{
    unsigned spare = fuzz_pick(world, FUZZ_N_SPARES);
    unsigned space = space_with(world, spare);
    g_autoptr(GError) error = NULL;

    (void)before;
    if (space == FUZZ_N_SPACES)
        return false;
    fuzz_say(world, "detaching spare device %u from space %u", spare, space);
    if (!pm_iommu_detach(world->spaces[space].iommu, fuzz_spare_device(spare), &error))
        fuzz_fail(world, "code %d: %s", error->code, error->message);
    world->spaces[space].has_spare[spare] = false;
    return true;
}
