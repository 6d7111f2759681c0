/* SPDX-License-Identifier: MIT */
#include "stack_fuzz_world.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <plugmap/fake.h>

#include "util/backend_util.h"

static const char *const devices[FUZZ_N_SPACES + FUZZ_N_SPARES] = {
    "0000:00:04.0", "0000:00:05.0", "0000:00:06.0", "0000:00:07.0", "0000:00:08.0",
};

static const uint64_t block_sizes[FUZZ_N_RAMS] = {
    FUZZ_PAGE, FUZZ_PAGE, 4 * FUZZ_PAGE, 4 * FUZZ_PAGE, FUZZ_MAX_BLOCK,
};

void fuzz_fail(const FuzzWorld *world, const char *format, ...)
{
    g_autofree char *message = NULL;
    va_list arguments;

    va_start(arguments, format);
    message = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    fail_msg("PLUGMAP_TEST_SEED=%u, step %u, %s, with %s: %s", world->seed, world->step,
             world->what, world->faulty ? world->faults : "no fault", message);
}

unsigned fuzz_pick(const FuzzWorld *world, unsigned end)
{
    return (unsigned)g_rand_int_range(world->rand, 0, (gint32)end);
}

unsigned fuzz_pick_ram(const FuzzWorld *world)
{
    return (world->first_ram + fuzz_pick(world, world->n_rams)) % FUZZ_N_RAMS;
}

unsigned fuzz_pick_space(const FuzzWorld *world)
{
    return (world->first_space + fuzz_pick(world, world->n_spaces)) % FUZZ_N_SPACES;
}

bool fuzz_chance(const FuzzWorld *world, unsigned n, unsigned of)
{
    return fuzz_pick(world, of) < n;
}

unsigned fuzz_group(unsigned space)
{
    return space + 1;
}

unsigned fuzz_spare_group(unsigned spare)
{
    return FUZZ_N_SPACES + spare + 1;
}

const char *fuzz_spare_device(unsigned spare)
{
    return devices[FUZZ_N_SPACES + spare];
}

static PmIommu *open_device(FuzzWorld *world, const char *device, GError **error)
{
    return backend_open_device(&world->kernel.parent, device, error);
}

void fuzz_open_space(FuzzWorld *world, unsigned index)
{
    FuzzSpace *space = &world->spaces[index];
    g_autoptr(GError) error = NULL;

    space->iommu = open_device(world, devices[index], &error);
    if (space->iommu == NULL)
        fuzz_fail(world, "failed to open a device: %s", error->message);
    for (unsigned i = 0; i < FUZZ_N_MAPPERS; i++)
        space->mappers[i].mapper = pm_mapper_new(space->iommu);
}

static void bury(FuzzSpace *space, FuzzMapper *mapper)
{
    g_array_append_vals(space->ghosts, mapper->regions, mapper->n_regions);
    mapper->n_regions = 0;
}

void fuzz_forget_manager(FuzzWorld *world, unsigned index)
{
    FuzzRam *ram = &world->rams[index];

    if (ram->device != NULL || fuzz_has_region(world, index))
        return;
    ram->manager = NULL;
    memset(ram->plugged, 0, sizeof(ram->plugged));
}

void fuzz_free_mapper(FuzzWorld *world, unsigned space, unsigned index)
{
    FuzzMapper *mapper = &world->spaces[space].mappers[index];

    g_clear_pointer(&mapper->mapper, pm_mapper_free);
    bury(&world->spaces[space], mapper);
    for (unsigned i = 0; i < FUZZ_N_RAMS; i++)
        fuzz_forget_manager(world, i);
}

void fuzz_close_space(FuzzWorld *world, unsigned index)
{
    FuzzSpace *space = &world->spaces[index];
    bool early = fuzz_chance(world, 1, 2) && !world->faulty;

    if (early)
        pm_iommu_unref(space->iommu);
    for (unsigned i = 0; i < FUZZ_N_MAPPERS; i++)
        fuzz_free_mapper(world, index, i);
    /* A kernel that does not say that it has ended the mappings is not believed to have done so,
     * and what it may have mapped stays for ever. */
    fuzz_kernel_clear_faults(&world->kernel);
    if (!early)
        pm_iommu_unref(space->iommu);
    space->iommu = NULL;
    g_array_set_size(space->ghosts, 0);
    memset(space->has_spare, 0, sizeof(space->has_spare));
}

void fuzz_renew_ram(FuzzWorld *world, unsigned index)
{
    FuzzRam *ram = &world->rams[index];
    PmRamKind kind = index == 1 ? PM_RAM_ANONYMOUS : PM_RAM_MEMFD;

    if (ram->ram != NULL)
        pm_ram_unref(ram->ram);
    *ram = (FuzzRam){.serial = ++world->n_serials, .block_size = block_sizes[index]};
    ram->ram = pm_ram_new(kind, FUZZ_N_BLOCKS * ram->block_size, ram->block_size, NULL);
    if (ram->ram == NULL)
        fuzz_fail(world, "there is no memory");
    ram->host = pm_ram_get_host(ram->ram);
}

FuzzRegion fuzz_region_of(const FuzzWorld *world, unsigned index, uint64_t address, bool strict)
{
    const FuzzRam *ram = &world->rams[index];
    bool managed = ram->manager != NULL;
    bool whole = fuzz_chance(world, 1, 3);
    unsigned first = whole ? 0 : fuzz_pick(world, FUZZ_N_BLOCKS);
    unsigned n_blocks = whole ? FUZZ_N_BLOCKS : 1 + fuzz_pick(world, FUZZ_N_BLOCKS - first);
    uint64_t size = n_blocks * ram->block_size;

    return (FuzzRegion){
        .ram = index,
        .serial = ram->serial,
        .first = first,
        .n_blocks = n_blocks,
        .host = ram->host + first * ram->block_size,
        .address = address,
        .size = size,
        .block_size = managed ? ram->block_size : size,
        .access = fuzz_chance(world, 1, 4) ? PM_IOMMU_READ : PM_IOMMU_READ_WRITE,
        .managed = managed,
        .strict = strict,
    };
}

unsigned fuzz_ram_block(const FuzzRegion *region, unsigned index)
{
    return region->first + (region->managed ? index : 0);
}

const FuzzRegion *fuzz_next_region(const FuzzSpace *space, const FuzzRegion *region)
{
    for (unsigned i = 0; i < FUZZ_N_MAPPERS; i++) {
        const FuzzMapper *mapper = &space->mappers[i];

        for (unsigned j = 0; j < mapper->n_regions; j++)
            if (region == NULL)
                return &mapper->regions[j];
            else if (region == &mapper->regions[j])
                region = NULL;
    }
    return NULL;
}

bool fuzz_has_region(const FuzzWorld *world, unsigned ram)
{
    for (unsigned i = 0; i < FUZZ_N_SPACES; i++) {
        const FuzzRegion *region = NULL;

        while ((region = fuzz_next_region(&world->spaces[i], region)) != NULL)
            if (region->ram == ram)
                return true;
    }
    return false;
}

bool fuzz_has_ghost(const FuzzWorld *world, unsigned ram, bool for_sure)
{
    for (unsigned i = 0; i < FUZZ_N_SPACES; i++)
        for (guint j = 0; j < world->spaces[i].ghosts->len; j++) {
            const FuzzRegion *ghost = &g_array_index(world->spaces[i].ghosts, FuzzRegion, j);

            if (ghost->serial == world->rams[ram].serial && !(for_sure && ghost->vague))
                return true;
        }
    return false;
}

/* Every other run has no limits. */
static void configure(FuzzWorld *world, PmFakeConfig *config)
{
    pm_fake_config_init(config);
    config->pin = fuzz_chance(world, 3, 4) ? PM_FAKE_PIN_POPULATE : PM_FAKE_PIN_ACCOUNT;
    if (backend_is_iommufd())
        config->ioas_map_file = fuzz_chance(world, 1, 2);
    else if (fuzz_chance(world, 1, 4))
        config->linux_version = PM_FAKE_LINUX_6_1;
    if (fuzz_chance(world, 1, 4))
        config->entry_limit = 10 + fuzz_pick(world, 100);
    if (fuzz_chance(world, 1, 4))
        config->memlock_limit = (100 + fuzz_pick(world, 1000)) * FUZZ_PAGE;
    config->cap_ipc_lock = fuzz_chance(world, 1, 8);
    world->maps_files = config->ioas_map_file;
    world->entry_limit = backend_is_iommufd() ? UINT64_MAX : config->entry_limit;
    world->memlock_limit = config->cap_ipc_lock ? UINT64_MAX : config->memlock_limit;
}

static void choose_density(FuzzWorld *world)
{
    world->first_ram = fuzz_pick(world, FUZZ_N_RAMS);
    world->n_rams = 1 + fuzz_pick(world, FUZZ_N_RAMS);
    world->first_space = fuzz_pick(world, FUZZ_N_SPACES);
    world->n_spaces = 1 + fuzz_pick(world, FUZZ_N_SPACES);
    world->n_places = 1 + fuzz_pick(world, FUZZ_N_PLACES);
    world->n_faulty = 1 + fuzz_pick(world, 10);
}

static void add_devices(FuzzWorld *world)
{
    for (unsigned i = 1; i < G_N_ELEMENTS(devices); i++)
        assert_true(pm_fake_kernel_add_device(world->fake, i + 1, devices[i], "vfio-pci", NULL));
}

FuzzWorld *fuzz_world_new(GRand *rand, guint32 seed)
{
    FuzzWorld *world = g_new0(FuzzWorld, 1);
    PmFakeConfig config;

    world->rand = rand;
    world->seed = seed;
    world->traced = g_getenv("PLUGMAP_TEST_TRACE") != NULL;
    g_strlcpy(world->what, "birth", sizeof(world->what));
    configure(world, &config);
    choose_density(world);
    world->fake = backend_fake_new(&config, NULL);
    assert_non_null(world->fake);
    fuzz_kernel_init(&world->kernel, world->fake, &world->traced);
    add_devices(world);
    for (unsigned i = 0; i < FUZZ_N_RAMS; i++)
        fuzz_renew_ram(world, i);
    for (unsigned i = 0; i < FUZZ_N_SPACES; i++) {
        world->spaces[i].ghosts = g_array_new(FALSE, FALSE, sizeof(FuzzRegion));
        fuzz_open_space(world, i);
    }
    return world;
}

static void end_devices(FuzzWorld *world)
{
    for (unsigned i = 0; i < FUZZ_N_RAMS; i++)
        g_clear_pointer(&world->rams[i].device, pm_virtio_mem_free);
}

static void end_rams(FuzzWorld *world)
{
    for (unsigned i = 0; i < FUZZ_N_RAMS; i++)
        pm_ram_unref(world->rams[i].ram);
}

static void end_spaces(FuzzWorld *world)
{
    for (unsigned i = 0; i < FUZZ_N_SPACES; i++)
        fuzz_close_space(world, i);
}

/* Neither mappings nor files of this process have memory of a PmRam any more. */
static void check_memory_is_gone(const FuzzWorld *world)
{
    g_autofree char *maps = NULL;

    assert_true(g_file_get_contents("/proc/self/maps", &maps, NULL, NULL));
    if (strstr(maps, "memfd:plugmap-ram") != NULL)
        fuzz_fail(world, "RAM is still mapped in this process");
}

void fuzz_world_free(FuzzWorld *world)
{
    static void (*const orders[][3])(FuzzWorld *) = {
        {end_spaces, end_devices, end_rams},
        {end_devices, end_spaces, end_rams},
        {end_rams, end_devices, end_spaces},
        {end_devices, end_rams, end_spaces},
    };
    unsigned order = fuzz_pick(world, G_N_ELEMENTS(orders));

    g_snprintf(world->what, sizeof(world->what), "the end, order %u", order);
    fuzz_kernel_clear_faults(&world->kernel);
    world->faulty = false;
    for (size_t i = 0; i < G_N_ELEMENTS(orders[order]); i++)
        orders[order][i](world);
    if (pm_fake_kernel_get_n_open(world->fake) != 0)
        fuzz_fail(world, "%" PRIu64 " files are open", pm_fake_kernel_get_n_open(world->fake));
    if (pm_fake_kernel_get_locked(world->fake) != 0 ||
        pm_fake_kernel_get_user_locked(world->fake) != 0 ||
        pm_fake_kernel_get_pinned(world->fake) != 0)
        fuzz_fail(world, "memory is locked or pinned");
    pm_kernel_unref(&world->kernel.parent);
    if (!world->kernel.freed)
        fuzz_fail(world, "somebody has the kernel still");
    pm_kernel_unref(world->fake);
    check_memory_is_gone(world);
    for (unsigned i = 0; i < FUZZ_N_SPACES; i++)
        g_array_unref(world->spaces[i].ghosts);
    g_free(world);
}
