/* SPDX-License-Identifier: MIT */
/* Construction, initial state and freeing of a device. */
#include <plugmap/discard_policy.h>

#include "base/log.h"
#include "virtio_mem/block_size.h"
#include "virtio_mem_util.h"

typedef struct {
    unsigned n_messages;
    char last[512];
} Log;

static void note_log(GLogLevelFlags level, const char *message, void *user_data)
{
    Log *log = user_data;

    assert_int_equal(level, G_LOG_LEVEL_WARNING);
    log->n_messages++;
    g_strlcpy(log->last, message, sizeof(log->last));
}

/* @parts: NULL-terminated. */
static void assert_construction_fails(const PmVirtioMemConfig *config, int code,
                                      const char *const parts[])
{
    g_autoptr(GError) error = NULL;

    assert_null(pm_virtio_mem_new(config, &error));
    assert_true(g_error_matches(error, PM_ERROR, code));
    for (size_t i = 0; parts[i] != NULL; i++) {
        if (strstr(error->message, parts[i]) == NULL)
            fail_msg("'%s' not found in '%s'", parts[i], error->message);
    }
}

#define ASSERT_CONSTRUCTION_FAILS(config, code, ...)                                               \
    assert_construction_fails(&(config), code, (const char *const[]){__VA_ARGS__, NULL})

static void ram_must_be_set(void **state)
{
    PmVirtioMemConfig config = default_config(*state);
    g_autoptr(GError) error = NULL;

    config.ram = NULL;
    ASSERT_CONSTRUCTION_FAILS(config, PM_ERROR_INVALID_ARGUMENT, "ram");
    assert_null(pm_virtio_mem_new(NULL, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_INVALID_ARGUMENT));
}

static void block_size_must_be_a_power_of_two(void **state)
{
    PmVirtioMemConfig config = default_config(*state);

    config.block_size = 3 * PM_MIB;
    ASSERT_CONSTRUCTION_FAILS(config, PM_ERROR_INVALID_ARGUMENT, "block_size", "3M");
}

static void block_size_must_be_at_least_the_page_size(void **state)
{
    PmVirtioMemConfig config = default_config(*state);

    config.block_size = 2048;
    ASSERT_CONSTRUCTION_FAILS(config, PM_ERROR_INVALID_ARGUMENT, "block_size", "2K", "4K");
}

static void requested_size_must_be_a_multiple_of_the_block_size(void **state)
{
    PmVirtioMemConfig config = default_config(*state);

    config.requested_size = BLOCK + PM_MIB;
    ASSERT_CONSTRUCTION_FAILS(config, PM_ERROR_UNALIGNED, "requested_size", "0x300000", "2M");
}

static void address_must_be_a_multiple_of_the_block_size(void **state)
{
    PmVirtioMemConfig config = default_config(*state);

    config.address = ADDRESS + PM_MIB;
    ASSERT_CONSTRUCTION_FAILS(config, PM_ERROR_UNALIGNED, "address", "0x100100000", "2M");
}

static void ram_must_be_a_multiple_of_the_block_size(void **state)
{
    PmVirtioMemConfig config = default_config(*state);

    config.block_size = 2 * REGION;
    config.requested_size = 0;
    ASSERT_CONSTRUCTION_FAILS(config, PM_ERROR_UNALIGNED, "ram size", "0x40000000", "2G");
}

static void requested_size_must_not_exceed_ram(void **state)
{
    PmVirtioMemConfig config = default_config(*state);

    config.requested_size = REGION + BLOCK;
    ASSERT_CONSTRUCTION_FAILS(config, PM_ERROR_INVALID_ARGUMENT, "requested_size", "1026M", "1G");
}

static void region_must_end_below_the_last_address(void **state)
{
    PmVirtioMemConfig config = default_config(*state);

    config.address = UINT64_C(0) - REGION;
    ASSERT_CONSTRUCTION_FAILS(config, PM_ERROR_INVALID_ARGUMENT, "address", "0xffffffffc0000000");
    config.address = UINT64_C(0) - BLOCK;
    ASSERT_CONSTRUCTION_FAILS(config, PM_ERROR_INVALID_ARGUMENT, "address", "0xffffffffffe00000");
}

static void region_may_end_one_block_below_the_last_address(void **state)
{
    Fixture *fixture = *state;
    PmVirtioMemConfig config = default_config(fixture);

    config.address = UINT64_C(0) - REGION - BLOCK;
    make_device(fixture, &config);
    assert_int_equal(request(fixture, PLUG, UINT64_C(0) - 2 * BLOCK, 1), ACK);
    assert_int_equal(request(fixture, PLUG, UINT64_C(0) - BLOCK, 1), ERROR);
}

/* Each config violates a rule and all later ones. */
static void checks_have_the_documented_order(void **state)
{
    PmVirtioMemConfig config = default_config(*state);

    config.block_size = 3;
    config.requested_size = 2 * REGION + 1;
    config.address = 1;
    ASSERT_CONSTRUCTION_FAILS(config, PM_ERROR_INVALID_ARGUMENT, "power of two");
    config.block_size = 2;
    ASSERT_CONSTRUCTION_FAILS(config, PM_ERROR_INVALID_ARGUMENT, "page size");
    config.block_size = 2 * REGION;
    ASSERT_CONSTRUCTION_FAILS(config, PM_ERROR_UNALIGNED, "requested_size");
    config.requested_size = 2 * REGION;
    ASSERT_CONSTRUCTION_FAILS(config, PM_ERROR_UNALIGNED, "address");
    config.address = 0;
    ASSERT_CONSTRUCTION_FAILS(config, PM_ERROR_UNALIGNED, "ram size");
    config.block_size = BLOCK;
    config.address = UINT64_C(0) - BLOCK;
    ASSERT_CONSTRUCTION_FAILS(config, PM_ERROR_INVALID_ARGUMENT, "requested_size");
}

static void a_second_device_on_the_same_ram_is_refused(void **state)
{
    Fixture *fixture = *state;
    PmVirtioMemConfig config = default_config(fixture);
    uint8_t *byte = pm_ram_get_host(fixture->ram);
    g_autoptr(GError) error = NULL;

    make_device(fixture, &config);
    assert_int_equal(request(fixture, PLUG, ADDRESS, 1), ACK);
    *byte = 42;
    assert_null(pm_virtio_mem_new(&config, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_BUSY));
    assert_int_equal(*byte, 42);
    assert_int_equal(state_of(fixture, ADDRESS, 1), VIRTIO_MEM_STATE_PLUGGED);
}

static void construction_discards_the_ram(void **state)
{
    Fixture *fixture = *state;
    PmVirtioMemConfig config = default_config(fixture);
    uint8_t *bytes = pm_ram_get_host(fixture->ram);
    uint64_t resident = 1;

    bytes[0] = 1;
    bytes[REGION - 1] = 2;
    make_device(fixture, &config);
    assert_true(pm_ram_resident(fixture->ram, 0, REGION, &resident, NULL));
    assert_int_equal(resident, 0);
    assert_int_equal(bytes[0], 0);
    assert_int_equal(bytes[REGION - 1], 0);
}

static void failed_discard_fails_construction(void **state)
{
    Fixture *fixture = *state;
    PmVirtioMemConfig config = default_config(fixture);
    uint8_t *host = pm_ram_get_host(fixture->ram);
    PmDiscardClaim claim = {.struct_size = sizeof(claim)};
    g_autoptr(GError) error = NULL;

    lock_page(host);
    assert_null(pm_virtio_mem_new(&config, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_MEMORY));
    assert_false(pm_ram_next_discard_claim(fixture->ram, 0, &claim, NULL));
    unlock_page(host);
    make_device(fixture, &config);
}

static void a_new_device_has_nothing_plugged(void **state)
{
    Fixture *fixture = *state;
    PmVirtioMemConfig config = default_config(fixture);

    make_device(fixture, &config);
    assert_int_equal(pm_virtio_mem_get_address(fixture->device), ADDRESS);
    assert_int_equal(pm_virtio_mem_get_block_size(fixture->device), BLOCK);
    assert_int_equal(pm_virtio_mem_get_region_size(fixture->device), REGION);
    assert_int_equal(pm_virtio_mem_get_requested_size(fixture->device), REGION);
    assert_int_equal(pm_virtio_mem_get_plugged_size(fixture->device), 0);
    assert_int_equal(state_of(fixture, ADDRESS, N_BLOCKS), VIRTIO_MEM_STATE_UNPLUGGED);
    assert_refusal(fixture, PM_REFUSAL_NONE, NULL);
    assert_int_equal(fixture->n_config_calls, 0);
    assert_int_equal(fixture->n_plugged_calls, 0);
    assert_ptr_equal(pm_discard_manager_get_ram(pm_virtio_mem_get_manager(fixture->device)),
                     fixture->ram);
    assert_int_equal(pm_discard_manager_get_granularity(pm_virtio_mem_get_manager(fixture->device)),
                     BLOCK);
}

static void initial_usable_size_follows_the_requested_size(void **state)
{
    static const struct {
        uint64_t requested;
        uint64_t extent;
        uint64_t usable;
    } rows[] = {
        {0, 64 * PM_MIB, 0},
        {BLOCK, 64 * PM_MIB, 66 * PM_MIB},
        {BLOCK, 1, 2 * BLOCK},
        {BLOCK, BLOCK, 2 * BLOCK},
        {BLOCK, UINT64_MAX, REGION},
        {REGION - BLOCK, BLOCK + 1, REGION},
        {REGION - BLOCK, BLOCK - 1, REGION},
        {REGION, 1, REGION},
    };
    Fixture *fixture = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        PmVirtioMemConfig config = default_config(fixture);

        config.requested_size = rows[i].requested;
        config.usable_extent = rows[i].extent;
        make_device(fixture, &config);
        assert_int_equal(pm_virtio_mem_get_usable_size(fixture->device), rows[i].usable);
        pm_virtio_mem_free(g_steal_pointer(&fixture->device));
    }
}

static void usable_extent_defaults_to_two_linux_memory_blocks(void **state)
{
    Fixture *fixture = *state;
    PmVirtioMemConfig config = default_config(fixture);

#if defined(__aarch64__) || defined(__arm__)
    skip();
#endif
    config.requested_size = BLOCK;
    make_device(fixture, &config);
    assert_int_equal(pm_virtio_mem_get_usable_size(fixture->device), 258 * PM_MIB);
}

static void a_small_block_size_logs_a_warning(void **state)
{
    Fixture *fixture = *state;
    PmVirtioMemConfig config = default_config(fixture);
    Log log = {0};

    config.block_size = 512 * PM_KIB;
    pm_log_set_func(note_log, &log);
    make_device(fixture, &config);
    pm_log_set_func(NULL, NULL);
    assert_int_equal(log.n_messages, 1);
    assert_non_null(strstr(log.last, "block_size 512K"));
    assert_non_null(strstr(log.last, "1M"));
}

static void a_block_size_of_1m_logs_no_warning(void **state)
{
    Fixture *fixture = *state;
    PmVirtioMemConfig config = default_config(fixture);
    Log log = {0};

    config.block_size = PM_MIB;
    pm_log_set_func(note_log, &log);
    make_device(fixture, &config);
    pm_log_set_func(NULL, NULL);
    assert_int_equal(log.n_messages, 0);
}

static void block_size_defaults_to_the_huge_page_size(void **state)
{
    Fixture *fixture = *state;
    PmVirtioMemConfig config = default_config(fixture);

    config.block_size = 0;
    make_device(fixture, &config);
    assert_int_equal(pm_virtio_mem_get_block_size(fixture->device), pm_thp_size(PM_THP_SIZE_PATH));
}

static void default_block_size_depends_on_the_backing(void **state)
{
    (void)state;
    assert_int_equal(pm_default_block_size(4096, 4096, "/nowhere"), pm_thp_size("/nowhere"));
    assert_int_equal(pm_default_block_size(64 * PM_MIB, 64 * PM_MIB, "/nowhere"), 64 * PM_MIB);
    assert_int_equal(pm_default_block_size(64 * PM_KIB, 4096, "/nowhere"), PM_MIB);
    assert_int_equal(pm_default_block_size(2 * PM_MIB, 4096, "/nowhere"), 2 * PM_MIB);
    assert_int_equal(pm_default_block_size(PM_GIB, 4096, "/nowhere"), PM_GIB);
}

static void huge_page_size_is_read_from_the_host(void **state)
{
    uint64_t usual = pm_thp_size("/nowhere/at/all");
    const struct {
        const char *text;
        uint64_t size;
    } rows[] = {
        {"4194304\n", 4 * PM_MIB},
        {"1048576\n", PM_MIB},
        {"536870912", 512 * PM_MIB},
        {"", usual},
        {"\n", usual},
        {"0\n", usual},
        {"3145728\n", usual},
        {"524288\n", usual},
        {"-4194304\n", usual},
        {"4M\n", usual},
        {"18446744073709551616\n", usual},
    };
    g_autofree char *path = g_build_filename(g_get_tmp_dir(), "plugmap-thp-XXXXXX", NULL);
    int fd = g_mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    close(fd);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        assert_true(g_file_set_contents(path, rows[i].text, -1, NULL));
        assert_int_equal(pm_thp_size(path), rows[i].size);
    }
    unlink(path);
#if defined(__x86_64__)
    assert_int_equal(usual, 2 * PM_MIB);
#endif
}

static void free_notifies_listeners_and_discards_memory(void **state)
{
    Fixture *fixture = *state;
    PmVirtioMemConfig config = default_config(fixture);
    g_autoptr(PmDiscardManager) manager = NULL;
    uint8_t *host = pm_ram_get_host(fixture->ram);

    make_device(fixture, &config);
    add_listener(fixture);
    assert_int_equal(request(fixture, PLUG, BLOCK_AT(3), 2), ACK);
    host[3 * BLOCK] = 7;
    fixture->n_plugged_calls = 0;
    manager = pm_discard_manager_ref(pm_virtio_mem_get_manager(fixture->device));
    pm_virtio_mem_free(g_steal_pointer(&fixture->device));

    assert_int_equal(fixture->listener.populated, 0);
    assert_int_equal(host[3 * BLOCK], 0);
    assert_int_equal(fixture->n_plugged_calls, 0);
    assert_true(
        pm_discard_manager_unregister(manager, g_steal_pointer(&fixture->registration), NULL));
}

static void free_logs_failures_of_listeners(void **state)
{
    Fixture *fixture = *state;
    PmVirtioMemConfig config = default_config(fixture);
    g_autoptr(PmDiscardManager) manager = NULL;
    Log log = {0};

    make_device(fixture, &config);
    add_listener(fixture);
    assert_int_equal(request(fixture, PLUG, ADDRESS, 1), ACK);
    manager = pm_discard_manager_ref(pm_virtio_mem_get_manager(fixture->device));
    fixture->listener.discard_error = PM_ERROR_KERNEL;
    pm_log_set_func(note_log, &log);
    pm_virtio_mem_free(g_steal_pointer(&fixture->device));
    pm_log_set_func(NULL, NULL);

    assert_int_equal(log.n_messages, 1);
    assert_non_null(strstr(log.last, "0x100000000"));
    assert_non_null(strstr(log.last, "the test listener objects"));
    fixture->listener.discard_error = NO_OBJECTION;
    assert_true(
        pm_discard_manager_unregister(manager, g_steal_pointer(&fixture->registration), NULL));
}

static void ram_can_be_reused_after_free(void **state)
{
    Fixture *fixture = *state;
    PmVirtioMemConfig config = default_config(fixture);

    make_device(fixture, &config);
    assert_int_equal(request(fixture, PLUG, ADDRESS, 5), ACK);
    pm_virtio_mem_free(g_steal_pointer(&fixture->device));
    make_device(fixture, &config);
    assert_int_equal(pm_virtio_mem_get_plugged_size(fixture->device), 0);
    assert_int_equal(state_of(fixture, ADDRESS, 5), VIRTIO_MEM_STATE_UNPLUGGED);
}

static void device_holds_a_reference_to_the_ram(void **state)
{
    Fixture *fixture = *state;
    PmVirtioMemConfig config = default_config(fixture);
    uint8_t *host = pm_ram_get_host(fixture->ram);

    make_device(fixture, &config);
    pm_ram_unref(fixture->ram);
    assert_int_equal(request(fixture, PLUG, ADDRESS, 1), ACK);
    *host = 9;
    assert_int_equal(request(fixture, UNPLUG, ADDRESS, 1), ACK);
    pm_ram_ref(pm_discard_manager_get_ram(pm_virtio_mem_get_manager(fixture->device)));
}

static void free_accepts_null(void **state)
{
    (void)state;
    pm_virtio_mem_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_RAM(ram_must_be_set),
        TEST_WITH_RAM(block_size_must_be_a_power_of_two),
        TEST_WITH_RAM(block_size_must_be_at_least_the_page_size),
        TEST_WITH_RAM(requested_size_must_be_a_multiple_of_the_block_size),
        TEST_WITH_RAM(address_must_be_a_multiple_of_the_block_size),
        TEST_WITH_RAM(ram_must_be_a_multiple_of_the_block_size),
        TEST_WITH_RAM(requested_size_must_not_exceed_ram),
        TEST_WITH_RAM(region_must_end_below_the_last_address),
        TEST_WITH_RAM(region_may_end_one_block_below_the_last_address),
        TEST_WITH_RAM(checks_have_the_documented_order),
        TEST_WITH_RAM(a_second_device_on_the_same_ram_is_refused),
        TEST_WITH_RAM(construction_discards_the_ram),
        TEST_WITH_ANONYMOUS_RAM(failed_discard_fails_construction),
        TEST_WITH_RAM(a_new_device_has_nothing_plugged),
        TEST_WITH_RAM(initial_usable_size_follows_the_requested_size),
        TEST_WITH_RAM(usable_extent_defaults_to_two_linux_memory_blocks),
        TEST_WITH_RAM(a_small_block_size_logs_a_warning),
        TEST_WITH_RAM(a_block_size_of_1m_logs_no_warning),
        TEST_WITH_RAM(block_size_defaults_to_the_huge_page_size),
        cmocka_unit_test(default_block_size_depends_on_the_backing),
        cmocka_unit_test(huge_page_size_is_read_from_the_host),
        TEST_WITH_RAM(free_notifies_listeners_and_discards_memory),
        TEST_WITH_RAM(free_logs_failures_of_listeners),
        TEST_WITH_RAM(ram_can_be_reused_after_free),
        TEST_WITH_RAM(device_holds_a_reference_to_the_ram),
        cmocka_unit_test(free_accepts_null),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
