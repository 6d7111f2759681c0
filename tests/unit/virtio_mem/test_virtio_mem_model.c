/* SPDX-License-Identifier: MIT */
/*
 * Differential fuzzing of the device against a simple model, an array of flags, written from the
 * specification.
 */
#include <inttypes.h>

#include "util/random_util.h"
#include "virtio_mem_util.h"

#define STEPS         300000
#define MODEL_BASE    UINT64_C(0x140000000)
#define MODEL_BLOCK   UINT64_C(4096)
#define MODEL_BLOCKS  96
#define MODEL_REGION  (MODEL_BLOCKS * MODEL_BLOCK)
#define MODEL_EXTENT  (5 * MODEL_BLOCK + 100)
#define EXTENT_BLOCKS 6
#define NO_ANSWER     (-1)

typedef struct {
    bool plugged[MODEL_BLOCKS];
    uint64_t requested_blocks;
    uint64_t usable_blocks;
    bool migrating;
    bool broken;
    unsigned n_plugged_calls;
    unsigned n_config_calls;
} Model;

/* The outcome of a step that the model expects. */
typedef struct {
    int answer;
    int state;
    PmRefusal refusal;
} Outcome;

typedef struct {
    bool mapped[MODEL_BLOCKS];
    bool fails;
    PmError code;
} Follower;

typedef struct {
    GRand *random;
    unsigned n_steps;
    unsigned step;
    PmRam *ram;
    PmVirtioMem *device;
    Model model;
    Follower follower;
    unsigned n_plugged_calls;
    unsigned n_config_calls;
} Life;

static const struct {
    PmError code;
    PmRefusal cause;
} objections[] = {
    {PM_ERROR_LIMIT, PM_REFUSAL_LIMIT},
    {PM_ERROR_LOCKED_MEMORY, PM_REFUSAL_LOCKED_MEMORY},
    {PM_ERROR_MEMORY, PM_REFUSAL_MEMORY},
    {PM_ERROR_OVERLAP, PM_REFUSAL_LISTENER},
};

#define CHECK_EQUAL(life, what, is, should)                                                        \
    do {                                                                                           \
        uint64_t check_is = (uint64_t)(is);                                                        \
        uint64_t check_should = (uint64_t)(should);                                                \
        if (check_is != check_should)                                                              \
            fail_msg("step %u: %s is 0x%" PRIx64 ", the model has 0x%" PRIx64, (life)->step,       \
                     (what), check_is, check_should);                                              \
    } while (0)

/* The model. */

static uint64_t model_plugged(const Model *model)
{
    uint64_t count = 0;

    for (unsigned i = 0; i < MODEL_BLOCKS; i++)
        count += model->plugged[i] ? 1 : 0;
    return count;
}

static void model_set(Model *model, uint64_t first, uint64_t n_blocks, bool plugged)
{
    for (uint64_t i = first; i < first + n_blocks; i++)
        model->plugged[i] = plugged;
}

static uint64_t model_wanted_usable(const Model *model)
{
    if (model->requested_blocks == 0)
        return 0;
    return MIN(model->requested_blocks + EXTENT_BLOCKS, MODEL_BLOCKS);
}

static Outcome refused(int answer, PmRefusal refusal)
{
    return (Outcome){.answer = answer, .refusal = refusal};
}

static PmRefusal objection_cause(const Follower *follower)
{
    for (size_t i = 0; i < G_N_ELEMENTS(objections); i++) {
        if (objections[i].code == follower->code)
            return objections[i].cause;
    }
    return PM_REFUSAL_NONE;
}

static Outcome model_unplug_all(Model *model, const Follower *follower)
{
    if (model_plugged(model) > 0) {
        if (model->migrating)
            return refused(BUSY, PM_REFUSAL_MIGRATION);
        if (follower->fails)
            return refused(BUSY, objection_cause(follower));
        model_set(model, 0, MODEL_BLOCKS, false);
        model->n_plugged_calls++;
    }
    model->usable_blocks = model_wanted_usable(model);
    return refused(ACK, PM_REFUSAL_NONE);
}

static Outcome model_change(Model *model, const Follower *follower, uint64_t first,
                            uint64_t n_blocks, bool plug)
{
    if (plug && model_plugged(model) + n_blocks > model->requested_blocks)
        return refused(NACK, PM_REFUSAL_REQUESTED_SIZE);
    for (uint64_t i = first; i < first + n_blocks; i++) {
        if (model->plugged[i] == plug)
            return refused(ERROR, PM_REFUSAL_BLOCK_STATE);
    }
    if (model->migrating)
        return refused(BUSY, PM_REFUSAL_MIGRATION);
    if (follower->fails)
        return refused(BUSY, objection_cause(follower));
    model_set(model, first, n_blocks, plug);
    model->n_plugged_calls++;
    return refused(ACK, PM_REFUSAL_NONE);
}

static Outcome model_state(const Model *model, uint64_t first, uint64_t n_blocks)
{
    Outcome outcome = {.answer = ACK};
    uint64_t count = 0;

    for (uint64_t i = first; i < first + n_blocks; i++)
        count += model->plugged[i] ? 1 : 0;
    outcome.state = count == n_blocks ? VIRTIO_MEM_STATE_PLUGGED
                    : count == 0      ? VIRTIO_MEM_STATE_UNPLUGGED
                                      : VIRTIO_MEM_STATE_MIXED;
    return outcome;
}

static Outcome model_request(Model *model, const Follower *follower, uint16_t type,
                             uint64_t address, uint16_t n_blocks)
{
    uint64_t first = (address - MODEL_BASE) / MODEL_BLOCK;

    if (type == UNPLUG_ALL)
        return model_unplug_all(model, follower);
    if (address < MODEL_BASE || address % MODEL_BLOCK != 0 || n_blocks == 0 ||
        first >= model->usable_blocks || n_blocks > model->usable_blocks - first)
        return refused(ERROR, PM_REFUSAL_BAD_RANGE);
    if (type == STATE)
        return model_state(model, first, n_blocks);
    return model_change(model, follower, first, n_blocks, type == PLUG);
}

/* The listener. */

static bool follow(Follower *follower, uint64_t offset, uint64_t size, bool populate,
                   GError **error)
{
    if (follower->fails) {
        g_set_error(error, PM_ERROR, (int)follower->code, "the follower fails");
        return false;
    }
    for (uint64_t i = offset / MODEL_BLOCK; i < (offset + size) / MODEL_BLOCK; i++) {
        assert_int_equal(follower->mapped[i], !populate);
        follower->mapped[i] = populate;
    }
    return true;
}

static bool follower_populate(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    return follow(user_data, offset, size, true, error);
}

static bool follower_discard(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    return follow(user_data, offset, size, false, error);
}

static const PmDiscardListenerOps follower_ops = {
    .struct_size = sizeof(follower_ops),
    .populate = follower_populate,
    .discard = follower_discard,
};

/* Comparisons. */

static void check_config(Life *life)
{
    const Model *model = &life->model;
    const uint64_t fields[] = {
        MODEL_BLOCK,
        0,
        MODEL_BASE,
        MODEL_REGION,
        model->usable_blocks * MODEL_BLOCK,
        model_plugged(model) * MODEL_BLOCK,
        model->requested_blocks * MODEL_BLOCK,
    };
    uint8_t bytes[CONFIG_SIZE];

    pm_virtio_mem_config_read(life->device, 0, bytes, CONFIG_SIZE);
    for (size_t i = 0; i < G_N_ELEMENTS(fields); i++) {
        g_autofree char *name = g_strdup_printf("configuration space at %zu", 8 * i);

        CHECK_EQUAL(life, name, get_le(bytes + 8 * i, 8), fields[i]);
    }
}

/* A plugged block holds its number; an unplugged one is empty. */
static void check_blocks(Life *life)
{
    const uint8_t *host = pm_ram_get_host(life->ram);
    PmDiscardManager *manager = pm_virtio_mem_get_manager(life->device);

    for (unsigned i = 0; i < MODEL_BLOCKS; i++) {
        bool plugged = life->model.plugged[i];
        uint64_t offset = i * MODEL_BLOCK;

        CHECK_EQUAL(life, "a block's state",
                    pm_discard_manager_is_populated(manager, offset, MODEL_BLOCK), plugged);
        CHECK_EQUAL(life, "a block's mapping", life->follower.mapped[i], plugged);
        CHECK_EQUAL(life, "a block's content", host[offset], plugged ? i + 1 : 0);
    }
}

static void mark_plugged_blocks(Life *life)
{
    uint8_t *host = pm_ram_get_host(life->ram);

    for (unsigned i = 0; i < MODEL_BLOCKS; i++) {
        if (life->model.plugged[i])
            host[i * MODEL_BLOCK] = (uint8_t)(i + 1);
    }
}

static void check_all(Life *life, PmRefusal refusal)
{
    const GError *error = NULL;

    CHECK_EQUAL(life, "last_refusal", pm_virtio_mem_last_refusal(life->device, &error), refusal);
    CHECK_EQUAL(life, "the refusal's error", g_error_matches(error, PM_REFUSAL, (gint)refusal),
                refusal != PM_REFUSAL_NONE);
    CHECK_EQUAL(life, "calls of plugged_size_changed", life->n_plugged_calls,
                life->model.n_plugged_calls);
    CHECK_EQUAL(life, "calls of config_changed", life->n_config_calls, life->model.n_config_calls);
    check_config(life);
    mark_plugged_blocks(life);
    if (life->step % 8 == 0)
        check_blocks(life);
}

/* The steps. */

static bool chance(Life *life, int percent)
{
    return g_rand_int_range(life->random, 0, 100) < percent;
}

static uint64_t random_below(Life *life, int limit)
{
    return (uint64_t)g_rand_int_range(life->random, 0, limit);
}

static uint64_t random_64(Life *life)
{
    return (uint64_t)g_rand_int(life->random) << 32 | g_rand_int(life->random);
}

static uint64_t random_address(Life *life)
{
    uint64_t address = MODEL_BASE + random_below(life, MODEL_BLOCKS) * MODEL_BLOCK;

    switch (random_below(life, 20)) {
    case 0:
        return address + random_below(life, MODEL_BLOCK);
    case 1:
        return random_64(life);
    case 2:
        return random_64(life) / MODEL_BLOCK * MODEL_BLOCK;
    case 3:
        return UINT64_C(0) - random_below(life, 4) * MODEL_BLOCK;
    case 4:
        return MODEL_BASE + (random_below(life, 6) - 3) * MODEL_BLOCK;
    default:
        return address;
    }
}

static uint16_t random_n_blocks(Life *life)
{
    switch (random_below(life, 20)) {
    case 0:
        return 0;
    case 1:
        return (uint16_t)random_below(life, 0x10000);
    case 2:
    case 3:
        return (uint16_t)random_below(life, MODEL_BLOCKS + 2);
    default:
        return (uint16_t)(1 + random_below(life, 8));
    }
}

static uint16_t random_type(Life *life)
{
    if (chance(life, 1))
        return (uint16_t)random_below(life, 0x10000);
    if (chance(life, 2))
        return UNPLUG_ALL;
    if (chance(life, 15))
        return STATE;
    return chance(life, 60) ? PLUG : UNPLUG;
}

static Outcome expect(Life *life, uint16_t type, uint64_t address, uint16_t n_blocks,
                      size_t request_size, size_t response_size)
{
    Model *model = &life->model;

    if (model->broken || type > STATE || request_size < REQ_SIZE || response_size < RESP_SIZE) {
        model->broken = true;
        return refused(NO_ANSWER, PM_REFUSAL_PROTOCOL);
    }
    return model_request(model, &life->follower, type, address, n_blocks);
}

static PmRefusal step_request(Life *life)
{
    uint8_t bytes[REQ_SIZE + 8];
    uint8_t response[RESP_SIZE + 8];
    size_t request_size = chance(life, 1) ? random_below(life, sizeof(bytes) + 1) : REQ_SIZE;
    size_t response_size = chance(life, 1) ? random_below(life, sizeof(response) + 1) : RESP_SIZE;
    uint16_t type = random_type(life);
    uint64_t address = random_address(life);
    uint16_t n_blocks = random_n_blocks(life);
    bool answered;
    Outcome outcome;

    build_request(bytes, type, address, n_blocks);
    put_le(bytes + 2, random_64(life), 6);
    put_le(bytes + 18, random_64(life), 6);
    memset(response, 0xa5, sizeof(response));
    outcome = expect(life, type, address, n_blocks, request_size, response_size);
    answered =
        pm_virtio_mem_handle(life->device, bytes, request_size, response, response_size, NULL);
    CHECK_EQUAL(life, "whether there is an answer", answered, outcome.answer != NO_ANSWER);
    if (answered) {
        CHECK_EQUAL(life, "the answer", get_le(response, 8), outcome.answer);
        CHECK_EQUAL(life, "the state", get_le(response + 8, 2), outcome.state);
    }
    return outcome.refusal;
}

static void step_resize(Life *life)
{
    Model *model = &life->model;
    uint64_t size = random_below(life, MODEL_BLOCKS + 8) * MODEL_BLOCK;
    bool good;

    if (chance(life, 10))
        size = chance(life, 50) ? random_64(life) : size + random_below(life, MODEL_BLOCK);
    good = size % MODEL_BLOCK == 0 && size <= MODEL_REGION;
    CHECK_EQUAL(life, "set_requested_size",
                pm_virtio_mem_set_requested_size(life->device, size, NULL), good);
    if (!good)
        return;
    model->requested_blocks = size / MODEL_BLOCK;
    model->usable_blocks = MAX(model->usable_blocks, model_wanted_usable(model));
    model->n_config_calls++;
}

static PmRefusal step_system_reset(Life *life)
{
    Outcome outcome = model_unplug_all(&life->model, &life->follower);

    CHECK_EQUAL(life, "system_reset", pm_virtio_mem_system_reset(life->device, NULL),
                outcome.answer == ACK);
    return outcome.refusal;
}

static void step_device_reset(Life *life)
{
    pm_virtio_mem_device_reset(life->device);
    life->model.broken = false;
}

static void choose_follower(Life *life)
{
    life->follower.fails = chance(life, 15);
    life->follower.code = objections[random_below(life, G_N_ELEMENTS(objections))].code;
}

static void live(Life *life)
{
    PmRefusal refusal = PM_REFUSAL_NONE;

    for (life->step = 0; life->step < life->n_steps; life->step++) {
        uint64_t kind = random_below(life, 1000);

        choose_follower(life);
        if (kind < 10) {
            step_resize(life);
        } else if (kind < 15) {
            refusal = step_system_reset(life);
        } else if (kind < 115 && (kind < 20 || life->model.broken)) {
            step_device_reset(life);
            refusal = PM_REFUSAL_NONE;
        } else if (kind < 125) {
            life->model.migrating = chance(life, 20);
            pm_virtio_mem_set_migrating(life->device, life->model.migrating);
        } else {
            refusal = step_request(life);
        }
        check_all(life, refusal);
    }
}

static void count_plugged(PmVirtioMem *device, uint64_t size, void *user_data)
{
    Life *life = user_data;

    CHECK_EQUAL(life, "plugged_size_changed's size", size, pm_virtio_mem_get_plugged_size(device));
    life->n_plugged_calls++;
}

static void count_config(PmVirtioMem *device, uint64_t size, void *user_data)
{
    Life *life = user_data;

    CHECK_EQUAL(life, "config_changed's size", size, pm_virtio_mem_get_requested_size(device));
    life->n_config_calls++;
}

static void random_steps_match_the_model(void **state)
{
    Life life = {.random = random_new("virtio_mem_model"), .n_steps = random_steps(STEPS)};
    PmVirtioMemConfig config = {
        .struct_size = sizeof(config),
        .ram = pm_ram_new(PM_RAM_ANONYMOUS, MODEL_REGION, 0, NULL),
        .address = MODEL_BASE,
        .block_size = MODEL_BLOCK,
        .usable_extent = MODEL_EXTENT,
        .plugged_size_changed = count_plugged,
        .config_changed = count_config,
        .user_data = &life,
    };
    g_autoptr(PmDiscardManager) manager = NULL;
    PmDiscardListener *listener;

    (void)state;
    life.ram = config.ram;
    life.device = pm_virtio_mem_new(&config, NULL);
    assert_non_null(life.device);
    manager = pm_discard_manager_ref(pm_virtio_mem_get_manager(life.device));
    listener = pm_discard_manager_register(manager, &follower_ops, &life.follower, "follower", 0,
                                           MODEL_REGION, NULL);
    assert_non_null(listener);
    live(&life);
    life.follower.fails = false;
    assert_true(pm_discard_manager_unregister(manager, listener, NULL));
    pm_virtio_mem_free(life.device);
    pm_ram_unref(life.ram);
    g_rand_free(life.random);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_steps_match_the_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
