/* SPDX-License-Identifier: MIT */
#include "registry_world.h"

#include <string.h>

#include "memory/ram_private.h"
#include "util/backend_util.h"
#include "util/source_util.h"

/* --- the model --- */

static bool fails(unsigned *fail_in, const Model *model)
{
    if (*fail_in == 0 || --*fail_in > 0)
        return false;
    *fail_in = model->fails_for_ever ? 1 : 0;
    return true;
}

static bool fail_call(const Model *model, GError **error)
{
    if (model->failure != NULL)
        g_propagate_error(error, g_error_copy(model->failure));
    else
        g_set_error(error, PM_ERROR, PM_ERROR_KERNEL, "the model fails");
    return false;
}

/* The registry's lock is held, so an assertion that fails here would leave it locked. */
static void expect(Model *model, bool is_right, const char *what)
{
    if (!is_right && model->mistake == NULL)
        model->mistake = what;
}

static void add_region(Model *model, const PmBufferRegion *region)
{
    for (unsigned i = 0; i < model->n_regions; i++) {
        const char *host = model->regions[i].host;

        expect(model,
               (char *)region->host >= host + model->regions[i].size ||
                   (char *)region->host + region->size <= host,
               "a region overlaps another");
    }
    expect(model, model->n_regions < MAX_REGIONS, "too many regions");
    if (model->n_regions < MAX_REGIONS)
        model->regions[model->n_regions++] = *region;
}

static void note_address(Model *model, const PmBufferRegion *region, uint64_t address)
{
    uint64_t offset = (uint64_t)((char *)region->host - model->ram);

    if (model->addresses == NULL || offset >= SIZE)
        return; /* or a buffer elsewhere */
    for (uint64_t at = 0; at < region->size; at += BLOCK)
        model->addresses[(offset + at) / BLOCK] = address != 0 ? address + at : 0;
}

void model_use_new_addresses(World *world, uint64_t *addresses)
{
    world->model.addresses = addresses;
    world->model.next_address = ADDRESS_OFFSET;
    world->model.ram = pm_ram_get_host(world->ram);
}

static bool map(void *user_data, PmBufferRegion *region, GError **error)
{
    Model *model = user_data;
    bool failed = fails(&model->fail_map_in, model);

    model->n_maps++;
    expect(model, region->address == (uintptr_t)region->host, "the address is not the host's");
    region->address += ADDRESS_OFFSET;
    if (model->addresses != NULL) {
        region->address = model->next_address;
        model->next_address += region->size;
    }
    note_address(model, region, region->address);
    if (!failed || model->failed_map_leaves_it)
        add_region(model, region);
    return !failed || fail_call(model, error);
}

static bool is_same(const PmBufferRegion *one, const PmBufferRegion *other)
{
    return one->host == other->host && one->size == other->size && one->fd == other->fd &&
           one->fd_offset == other->fd_offset && one->address == other->address;
}

static bool unmap(void *user_data, const PmBufferRegion *region, GError **error)
{
    Model *model = user_data;
    bool failed = fails(&model->fail_unmap_in, model);
    unsigned i = 0;

    model->n_unmaps++;
    if (failed && !model->failed_unmap_ends_it)
        return fail_call(model, error);
    while (i < model->n_regions && model->regions[i].host != region->host)
        i++;
    /* It is called again for a region that it did end, or did not make. */
    expect(model, i < model->n_regions || model->failed_unmap_ends_it || model->failure != NULL,
           "unmaps what is not mapped");
    if (i < model->n_regions) {
        expect(model, is_same(&model->regions[i], region), "unmaps another region than it mapped");
        note_address(model, region, 0);
        model->regions[i] = model->regions[--model->n_regions];
    }
    return !failed || fail_call(model, error);
}

static void free_model(void *user_data)
{
    Model *model = user_data;

    expect(model, !model->is_freed, "freed twice");
    model->is_freed = true;
}

PmBufferBackend model_backend(const WorldConfig *config)
{
    return (PmBufferBackend){
        .struct_size = sizeof(PmBufferBackend),
        .max_regions = config->max_regions,
        .alignment = config->alignment,
        .flags = config->flags,
        .map = map,
        .unmap = unmap,
        .free = free_model,
    };
}

/* --- the world --- */

static void open_iommu(World *world, const WorldConfig *config)
{
    PmFakeConfig fake;

    pm_fake_config_init(&fake);
    fake.pin = PM_FAKE_PIN_POPULATE;
    if (config->entry_limit != 0)
        fake.entry_limit = config->entry_limit;
    world->fake = backend_fake_new(&fake, NULL);
    assert_non_null(world->fake);
    world->iommu = backend_open(world->fake, 0, NULL);
    assert_non_null(world->iommu);
}

World *world_new(const WorldConfig *config)
{
    World *world = g_new0(World, 1);
    const PmBufferBackend backend = model_backend(config);
    PmBufferRegistryConfig registry = {
        .struct_size = sizeof(registry),
        .name = "the buffers of the test",
        .user_data = &world->model,
        .wait_ms = config->wait_ms,
        .bounce_size = config->bounce_size,
        .bounce_limit = config->bounce_limit,
    };

    if (config->on_iommu)
        open_iommu(world, config);
    registry.iommu = world->iommu;
    registry.backend = config->on_iommu ? NULL : &backend;
    world->ram = pm_ram_new(config->ram_kind, SIZE, BLOCK, NULL);
    assert_non_null(world->ram);
    if (!config->is_plain) {
        world->manager = manager_with_source(world->ram, BLOCK, NULL);
        assert_non_null(world->manager);
    }
    world->registry = pm_buffer_registry_new(&registry, NULL);
    assert_non_null(world->registry);
    if (!config->is_empty)
        assert_true(pm_buffer_registry_add_ram(world->registry, world->ram, 0, SIZE, NULL));
    return world;
}

void world_free(World *world)
{
    world->model.fail_map_in = world->model.fail_unmap_in = 0;
    if (world->fake != NULL)
        pm_fake_kernel_clear_faults(world->fake);
    pm_buffer_registry_free(world->registry);
    if (world->manager != NULL) {
        assert_true(source_discard_all(world->manager, NULL));
        assert_int_equal(pm_discard_manager_get_quarantined(world->manager), 0);
        pm_discard_manager_unref(world->manager);
    }
    if (world->fake != NULL) {
        assert_int_equal(pm_iommu_get_n_mappings(world->iommu), 0);
        pm_iommu_unref(world->iommu);
        assert_int_equal(backend_get_pinned(world->fake), 0);
        pm_kernel_unref(world->fake);
    } else {
        assert_int_equal(world->model.n_regions, 0);
        assert_true(world->model.is_freed);
    }
    assert_no_mistake(world);
    assert_null(pm_discard_claims_next(&world->ram->claims, 0));
    assert_true(g_atomic_ref_count_compare(&world->ram->references, 1));
    pm_ram_unref(world->ram);
    g_clear_error(&world->model.failure);
    g_free(world);
}

int world_setup(void **state)
{
    const WorldConfig config = {.ram_kind = PM_RAM_MEMFD};

    *state = world_new(&config);
    return 0;
}

int world_setup_iommu(void **state)
{
    const WorldConfig config = {.ram_kind = PM_RAM_MEMFD, .on_iommu = true};

    *state = world_new(&config);
    return 0;
}

int world_teardown(void **state)
{
    world_free(*state);
    return 0;
}

char *host_of(const World *world, uint64_t block)
{
    return (char *)pm_ram_get_host(world->ram) + block * BLOCK;
}

bool plug(World *world, uint64_t first, uint64_t n_blocks, GError **error)
{
    return source_populate(world->manager, first * BLOCK, n_blocks * BLOCK, 0, error);
}

bool unplug(World *world, uint64_t first, uint64_t n_blocks, GError **error)
{
    return source_discard(world->manager, first * BLOCK, n_blocks * BLOCK, error);
}

bool is_plugged(const World *world, uint64_t block)
{
    return world->manager == NULL ||
           pm_discard_manager_is_populated(world->manager, block * BLOCK, BLOCK);
}

bool lease_block(World *world, uint64_t block, PmBufferLease *lease, GError **error)
{
    return pm_buffer_lease_acquire(world->registry, host_of(world, block), BLOCK, lease, error);
}

bool use_block(World *world, uint64_t block, unsigned n)
{
    PmBufferLease lease;
    bool leased = false;

    while (n-- > 0) {
        leased = lease_block(world, block, &lease, NULL);
        if (leased)
            pm_buffer_lease_release(&lease);
    }
    return leased;
}

PmBufferRegistryStats stats_of(World *world)
{
    PmBufferRegistryStats stats = {.struct_size = sizeof(stats)};

    assert_true(pm_buffer_registry_get_stats(world->registry, &stats, NULL));
    return stats;
}

void assert_no_mistake(const World *world)
{
    if (world->model.mistake != NULL)
        fail_msg("the model: %s", world->model.mistake);
}

/* --- consistency --- */

typedef struct {
    const World *world;
    uint64_t address[N_BLOCKS]; /* 0: not registered */
    unsigned n_regions;
} View;

static void see(View *view, const char *host, uint64_t size, uint64_t address)
{
    uint64_t first = (uint64_t)(host - host_of(view->world, 0)) / BLOCK;

    view->n_regions++;
    if (host < host_of(view->world, 0) || first >= N_BLOCKS)
        return; /* a buffer elsewhere */
    for (uint64_t i = first; i < first + size / BLOCK; i++) {
        assert_true(i < N_BLOCKS);
        assert_int_equal(view->address[i], 0);
        assert_true(is_plugged(view->world, i));
        view->address[i] = address + (i - first) * BLOCK;
    }
}

static bool see_mapping(uint64_t iova, uint64_t size, const void *host G_GNUC_UNUSED,
                        PmIommuAccess access G_GNUC_UNUSED, void *user_data)
{
    View *view = user_data;
    PmBufferRun run = {.struct_size = sizeof(run)};
    const char *at = NULL;

    /* The fake may show the memory of a file elsewhere, so look by address. */
    for (; pm_buffer_registry_next(view->world->registry, at, &run, NULL);
         at = (char *)run.host + run.size)
        if (run.state == PM_BUFFER_REGISTERED && run.address == iova && run.size == size)
            see(view, run.host, size, iova);
    return true;
}

static void look_at_back_end(View *view)
{
    const Model *model = &view->world->model;

    if (view->world->fake != NULL) {
        pm_fake_kernel_foreach_mapping(view->world->fake, 1, see_mapping, view);
        assert_int_equal(view->n_regions, pm_iommu_get_n_mappings(view->world->iommu));
        return;
    }
    for (unsigned i = 0; i < model->n_regions; i++)
        see(view, model->regions[i].host, model->regions[i].size, model->regions[i].address);
}

static void assert_leasable(World *world, uint64_t block, uint64_t address)
{
    PmBufferLease lease;
    PmDmaSegment segment;

    assert_true(lease_block(world, block, &lease, NULL));
    assert_true(pm_buffer_lease_next(&lease, 0, &segment));
    assert_int_equal(segment.address, address);
    assert_int_equal(segment.length, BLOCK);
    assert_false(pm_buffer_lease_next(&lease, BLOCK, &segment));
    pm_buffer_lease_release(&lease);
}

void assert_consistent(World *world)
{
    assert_consistent_with(world, 0);
}

void assert_consistent_with(World *world, unsigned n_buffers)
{
    View view = {.world = world};
    uint64_t n_registered = 0;
    uint64_t n_plugged = 0;

    assert_no_mistake(world);
    look_at_back_end(&view);
    for (uint64_t i = 0; i < N_BLOCKS; i++) {
        if (view.address[i] != 0)
            assert_leasable(world, i, view.address[i]);
        n_registered += view.address[i] != 0;
        n_plugged += is_plugged(world, i);
    }
    assert_int_equal(stats_of(world).n_regions, view.n_regions);
    assert_int_equal(stats_of(world).registered_bytes, (n_registered + n_buffers) * BLOCK);
    assert_int_equal(stats_of(world).refused_bytes, (n_plugged - n_registered) * BLOCK);
}

static int compare_regions(const void *a, const void *b)
{
    const PmBufferRegion *one = a;
    const PmBufferRegion *other = b;

    return one->host < other->host ? -1 : one->host > other->host;
}

char *regions_text(const World *world)
{
    Model model = world->model;
    GString *text = g_string_new(NULL);

    qsort(model.regions, model.n_regions, sizeof(model.regions[0]), compare_regions);
    for (unsigned i = 0; i < model.n_regions; i++)
        g_string_append_printf(text, "%s%" G_GUINT64_FORMAT "+%" G_GUINT64_FORMAT, i > 0 ? " " : "",
                               (uint64_t)((char *)model.regions[i].host - host_of(world, 0)) /
                                   BLOCK,
                               model.regions[i].size / BLOCK);
    return g_string_free(text, false);
}

void assert_regions(World *world, const char *expected)
{
    g_autofree char *text = regions_text(world);

    assert_string_equal(text, expected);
    assert_consistent(world);
}

void assert_run(World *world, uint64_t block, PmBufferState state, uint64_t n_blocks,
                const char *words)
{
    PmBufferRun run = {.struct_size = sizeof(run)};
    g_autofree char *reason = NULL;

    assert_true(pm_buffer_registry_next(world->registry, host_of(world, block), &run, &reason));
    assert_ptr_equal(run.host, host_of(world, block));
    assert_int_equal(run.size, n_blocks * BLOCK);
    assert_int_equal(run.state, state);
    if (words == NULL)
        assert_null(reason);
    else if (reason == NULL || strstr(reason, words) == NULL)
        fail_msg("reason \"%s\", expected \"%s\"", reason != NULL ? reason : "", words);
}

void assert_code(GError **error, PmError code, const char *words)
{
    assert_non_null(*error);
    if (!g_error_matches(*error, PM_ERROR, (gint)code) || strstr((*error)->message, words) == NULL)
        fail_msg("code %d, \"%s\"; expected code %d, \"%s\"", (*error)->code, (*error)->message,
                 (int)code, words);
    g_clear_error(error);
}
