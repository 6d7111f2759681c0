/* SPDX-License-Identifier: MIT */
/* Random states: what a device has after random requests loads into another, and is equal. */
#include "snapshot_util.h"
#include "util/random_util.h"

#define STEPS        3000
#define MAX_BLOCKS   200
#define MAX_REQUESTS 40

static uint64_t below(GRand *random, uint64_t limit)
{
    return (uint64_t)g_rand_int_range(random, 0, (gint32)limit);
}

static PmVirtioMem *random_device(const PmVirtioMemConfig *config, uint64_t n_blocks)
{
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_ANONYMOUS, n_blocks * SMALL_BLOCK, 0, NULL);
    PmVirtioMemConfig own = *config;

    own.ram = ram;
    return device_with(&own);
}

static void random_request(GRand *random, PmVirtioMem *device, uint64_t n_blocks)
{
    switch (below(random, 12)) {
    case 0:
        request_size(device, below(random, n_blocks + 1));
        break;
    case 1:
        if (below(random, 6) == 0)
            (void)pm_virtio_mem_system_reset(device, NULL);
        break;
    case 2:
        (void)pm_virtio_mem_set_features(device, below(random, 8), NULL);
        break;
    case 3:
    case 4:
    case 5:
        (void)send_blocks(device, PM_VIRTIO_MEM_UNPLUG, below(random, n_blocks), below(random, 9));
        break;
    default:
        (void)send_blocks(device, PM_VIRTIO_MEM_PLUG, below(random, n_blocks), below(random, 33));
    }
}

/* Also what the snapshot does not have: configuration space and blocks, by the getters. */
static void assert_equal_devices(PmVirtioMem *from, PmVirtioMem *to, uint64_t n_blocks)
{
    uint8_t from_config[56];
    uint8_t to_config[56];

    pm_virtio_mem_config_read(from, 0, from_config, sizeof(from_config));
    pm_virtio_mem_config_read(to, 0, to_config, sizeof(to_config));
    assert_memory_equal(from_config, to_config, sizeof(from_config));
    assert_int_equal(pm_virtio_mem_get_accepted_features(from),
                     pm_virtio_mem_get_accepted_features(to));
    for (uint64_t i = 0; i < n_blocks; i++)
        assert_int_equal(
            pm_discard_manager_is_populated(pm_virtio_mem_get_manager(from), i * SMALL_BLOCK, 1),
            pm_discard_manager_is_populated(pm_virtio_mem_get_manager(to), i * SMALL_BLOCK, 1));
}

/* Both answer the same to what follows. */
static void assert_same_answers(GRand *random, PmVirtioMem *from, PmVirtioMem *to,
                                uint64_t n_blocks)
{
    for (unsigned i = 0; i < 10; i++) {
        unsigned type = (unsigned)below(random, 4);
        uint64_t first = below(random, n_blocks + 2);
        uint64_t count = below(random, 20);

        assert_int_equal(send_blocks(from, type, first, count),
                         send_blocks(to, type, first, count));
    }
    assert_equal_devices(from, to, n_blocks);
}

static void one_random_state(GRand *random)
{
    uint64_t n_blocks = 1 + below(random, MAX_BLOCKS);
    const PmVirtioMemConfig config = {
        .struct_size = sizeof(config),
        .address = below(random, 1000) * SMALL_BLOCK,
        .block_size = SMALL_BLOCK,
        .requested_size = below(random, n_blocks + 1) * SMALL_BLOCK,
        .usable_extent = 1 + below(random, 20 * SMALL_BLOCK),
        .has_node = below(random, 2) != 0,
        .node = (uint16_t)below(random, 0x10000),
        .no_unplugged_inaccessible = below(random, 2) != 0,
        .persistent_suspend = below(random, 2) != 0,
    };
    g_autoptr(PmVirtioMem) from = random_device(&config, n_blocks);
    g_autoptr(PmVirtioMem) to = random_device(&config, n_blocks);
    g_autoptr(GBytes) snapshot = NULL;

    for (uint64_t i = below(random, MAX_REQUESTS); i > 0; i--)
        random_request(random, from, n_blocks);
    if (below(random, 8) == 0)
        assert_int_equal(send_blocks(from, 4, 0, 1), -1);
    request_size(to, below(random, n_blocks + 1));
    snapshot = save(from);
    assert_loads(to, snapshot);
    assert_state(to, snapshot);
    assert_equal_devices(from, to, n_blocks);
    assert_same_answers(random, from, to, n_blocks);
}

static void random_states_load_and_are_equal(void **state)
{
    GRand *random = random_new("snapshot_random");
    unsigned n_steps = random_steps(STEPS);

    (void)state;
    for (unsigned i = 0; i < n_steps; i++)
        one_random_state(random);
    g_rand_free(random);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_states_load_and_are_equal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
