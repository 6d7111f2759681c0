/* SPDX-License-Identifier: MIT */
/*
 * Random changes of several sources of different granularity, with listeners that are registered
 * for random parts, and random failures; compared with a naive model of bools per block.
 */
#include "sources_util.h"

#include <string.h>

#include "util/random_util.h"

#define N_SOURCES 4

typedef struct {
    PmDiscardSource *source; /* NULL: not added */
    bool frees;
    uint64_t n_blocks; /* of a granule */
    bool has[N_BLOCKS];
} Model;

typedef struct {
    Sources sources;
    Model models[N_SOURCES];
    GRand *rand;
} World;

static uint64_t pick(World *world, uint64_t n)
{
    return (uint64_t)g_rand_int_range(world->rand, 0, (gint32)n);
}

static bool model_populated(const World *world, uint64_t block)
{
    for (unsigned i = 0; i < N_SOURCES; i++)
        if (world->models[i].source != NULL && !world->models[i].has[block])
            return false;
    return true;
}

static void check(const World *world)
{
    const Fixture *fixture = &world->sources.fixture;
    uint64_t n_populated = 0;

    for (uint64_t block = 0; block < N_BLOCKS; block++) {
        assert_int_equal(is_populated(fixture, block), model_populated(world, block));
        n_populated += model_populated(world, block) ? 1 : 0;
        for (unsigned i = 0; i < N_SOURCES; i++)
            if (world->models[i].source != NULL)
                assert_int_equal(
                    pm_discard_source_is_populated(world->models[i].source, block * BLOCK, BLOCK),
                    world->models[i].has[block]);
    }
    assert_int_equal(pm_discard_manager_get_populated(fixture->manager), n_populated * BLOCK);
    assert_int_equal(pm_discard_manager_get_quarantined(fixture->manager), 0);
    check_views(fixture);
}

/* A listener that is not registered does not fail. */
static Listener *arm(World *world)
{
    Listener *listener = &world->sources.fixture.listeners[pick(world, N_LISTENERS)];

    listener->fail_in = pick(world, 4) == 0 ? (int)pick(world, 6) + 1 : 0;
    listener->fail_with = PM_ERROR_LIMIT;
    return listener;
}

static void change_source(World *world, Model *model)
{
    uint64_t unit = model->n_blocks;
    uint64_t first = pick(world, N_BLOCKS / unit) * unit;
    uint64_t n_blocks = (pick(world, (N_BLOCKS - first) / unit) + 1) * unit;
    bool value = g_rand_boolean(world->rand);
    bool mixed = g_rand_boolean(world->rand);
    unsigned flags = mixed ? PM_DISCARD_CHANGE_MIXED : 0;
    bool legal = true;
    Listener *listener = arm(world);
    bool armed = listener->fail_in > 0;
    bool done;

    for (uint64_t i = first; i < first + n_blocks; i++)
        legal = legal && (mixed || model->has[i] != value);
    if (value)
        done = pm_discard_source_populate(model->source, first * BLOCK, n_blocks * BLOCK, flags, 0,
                                          NULL);
    else
        done =
            pm_discard_source_discard(model->source, first * BLOCK, n_blocks * BLOCK, flags, NULL);
    assert_true(done ? legal : !legal || (armed && listener->fail_in == 0));
    for (uint64_t i = first; i < first + n_blocks && done; i++)
        model->has[i] = value;
}

static void discard_all_of(World *world, Model *model)
{
    Listener *listener = arm(world);

    if (pm_discard_source_discard_all(model->source, NULL))
        memset(model->has, 0, sizeof(model->has));
    else
        assert_int_equal(listener->fail_in, 0);
}

static void add_model(World *world, unsigned index)
{
    Model *model = &world->models[index];
    g_autofree char *name = g_strdup_printf("source %u", index);
    uint64_t bits = g_rand_int(world->rand);
    bool has[N_BLOCKS];

    for (uint64_t i = 0; i < N_BLOCKS; i++)
        has[i] = (bits >> (i / model->n_blocks) & 1) != 0;
    (void)arm(world);
    model->source = try_add_source(&world->sources, name, model->n_blocks * BLOCK,
                                   model->frees ? PM_DISCARD_SOURCE_FREES_MEMORY : 0, &bits, NULL);
    memcpy(model->has, has, sizeof(has));
}

static void remove_model(World *world, Model *model)
{
    (void)arm(world);
    if (pm_discard_manager_remove_source(world->sources.fixture.manager, model->source, NULL))
        model->source = NULL;
}

static void change_listener(World *world, unsigned index)
{
    Fixture *fixture = &world->sources.fixture;
    Listener *listener = &fixture->listeners[index];
    uint64_t first = pick(world, N_BLOCKS);

    listener->fail_in = pick(world, 4) == 0 ? (int)pick(world, 6) + 1 : 0;
    listener->fail_with = PM_ERROR_LIMIT;
    if (listener->handle == NULL)
        (void)try_add(fixture, index, index == 1 ? &all_ops : &plain_ops, first,
                      pick(world, N_BLOCKS - first) + 1, NULL);
    else if (pm_discard_manager_unregister(fixture->manager, listener->handle, NULL))
        listener->handle = NULL;
}

static void step(World *world)
{
    unsigned index = (unsigned)pick(world, N_SOURCES);
    Model *model = &world->models[index];
    uint64_t what = pick(world, 40);

    if (what < 2)
        change_listener(world, (unsigned)pick(world, N_LISTENERS));
    else if (model->source == NULL)
        add_model(world, index);
    else if (what < 4)
        remove_model(world, model);
    else if (what < 6)
        discard_all_of(world, model);
    else
        change_source(world, model);
    for (unsigned i = 0; i < N_LISTENERS; i++)
        world->sources.fixture.listeners[i].fail_in = 0;
    g_string_truncate(world->sources.fixture.log, 0);
}

static void differential_fuzzing_keeps_sources_and_listeners_equal_to_the_model(void **state)
{
    World world = {.rand = random_new("sources_model")};

    (void)state;
    sources_init_bare(&world.sources, BLOCK);
    for (unsigned i = 0; i < N_SOURCES; i++) {
        world.models[i].n_blocks = i < 3 ? UINT64_C(1) << i : 1;
        world.models[i].frees = i == 2;
    }
    for (unsigned i = 0; i < random_steps(100000); i++) {
        step(&world);
        check(&world);
    }
    fixture_clear(&world.sources.fixture);
    g_rand_free(world.rand);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(differential_fuzzing_keeps_sources_and_listeners_equal_to_the_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
