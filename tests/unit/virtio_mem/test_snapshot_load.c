/* SPDX-License-Identifier: MIT */
/* Loading a snapshot: the device, its listeners, and its memory. */
#include <sys/mman.h>

#include "snapshot_followers.h"
#include "util/locked_page.h"

/* --- success --- */

static void load_restores_all_state(void **state)
{
    g_autoptr(Destination) to = destination_new(PM_RAM_ANONYMOUS);
    g_autoptr(GBytes) snapshot = small_snapshot();

    (void)state;
    assert_loads(to->device, snapshot);
    assert_state(to->device, snapshot);
    assert_int_equal(pm_virtio_mem_get_plugged_size(to->device), 9 * SMALL_BLOCK);
    assert_int_equal(pm_virtio_mem_get_requested_size(to->device), 16 * SMALL_BLOCK);
    assert_int_equal(pm_virtio_mem_get_usable_size(to->device), 18 * SMALL_BLOCK);
    assert_int_equal(pm_virtio_mem_get_accepted_features(to->device), 3);
    check_followers(to);
}

static void loaded_device_handles_requests(void **state)
{
    g_autoptr(Destination) to = destination_new(PM_RAM_ANONYMOUS);
    g_autoptr(GBytes) snapshot = small_snapshot();

    (void)state;
    assert_loads(to->device, snapshot);
    assert_int_equal(send_blocks(to->device, PM_VIRTIO_MEM_PLUG, 1, 2), PM_VIRTIO_MEM_ERROR);
    plug_blocks(to->device, 2, 2);
    assert_int_equal(send_blocks(to->device, PM_VIRTIO_MEM_UNPLUG, 0, 10), PM_VIRTIO_MEM_ACK);
    check_followers(to);
}

static void listeners_are_asked_and_then_notified_of_runs(void **state)
{
    g_autoptr(Destination) to = destination_new(PM_RAM_ANONYMOUS);
    g_autoptr(GBytes) snapshot = small_snapshot();

    (void)state;
    assert_loads(to->device, snapshot);
    for (unsigned i = 0; i < N_FOLLOWERS; i++) {
        assert_int_equal(to->followers[i].n_questions, 3);
        assert_int_equal(to->followers[i].asked_after, 0);
        assert_int_equal(to->followers[i].n_populates, 3);
    }
}

static void listener_that_is_added_later_gets_the_restored_blocks(void **state)
{
    g_autoptr(Destination) to = destination_new(PM_RAM_ANONYMOUS);
    g_autoptr(GBytes) snapshot = small_snapshot();

    (void)state;
    remove_followers(to);
    assert_loads(to->device, snapshot);
    add_followers(to);
    check_followers(to);
}

static void empty_snapshot_notifies_nobody(void **state)
{
    g_autoptr(Destination) to = destination_new(PM_RAM_ANONYMOUS);
    g_autoptr(PmVirtioMem) from = small_device(PM_RAM_ANONYMOUS);
    g_autoptr(GBytes) snapshot = NULL;

    (void)state;
    request_size(from, 7);
    snapshot = save(from);
    assert_loads(to->device, snapshot);
    assert_state(to->device, snapshot);
    assert_int_equal(n_calls, 0);
}

static void lowered_requested_size_below_the_plugged_size_loads(void **state)
{
    g_autoptr(PmVirtioMem) from = small_source();
    g_autoptr(PmVirtioMem) to = small_device(PM_RAM_ANONYMOUS);
    g_autoptr(GBytes) snapshot = NULL;

    (void)state;
    request_size(from, 0);
    snapshot = save(from);
    assert_loads(to, snapshot);
    assert_state(to, snapshot);
}

static void broken_device_stays_broken_until_the_driver_resets_it(void **state)
{
    g_autoptr(PmVirtioMem) from = small_source();
    g_autoptr(PmVirtioMem) to = small_device(PM_RAM_ANONYMOUS);
    g_autoptr(GBytes) snapshot = NULL;

    (void)state;
    assert_int_equal(send_blocks(from, 99, 0, 1), -1);
    snapshot = save(from);
    assert_loads(to, snapshot);
    assert_int_equal(pm_virtio_mem_last_refusal(to, NULL), PM_REFUSAL_NONE);
    assert_int_equal(send_blocks(to, PM_VIRTIO_MEM_STATE, 0, 1), -1);
    pm_virtio_mem_device_reset(to);
    assert_int_equal(send_blocks(to, PM_VIRTIO_MEM_STATE, 0, 1), PM_VIRTIO_MEM_ACK);
}

static void broken_device_that_loads_another_state_works(void **state)
{
    g_autoptr(PmVirtioMem) to = small_device(PM_RAM_ANONYMOUS);
    g_autoptr(GBytes) snapshot = small_snapshot();

    (void)state;
    assert_int_equal(send_blocks(to, 99, 0, 1), -1);
    assert_loads(to, snapshot);
    assert_int_equal(send_blocks(to, PM_VIRTIO_MEM_STATE, 0, 1), PM_VIRTIO_MEM_ACK);
}

typedef struct {
    unsigned n_plugged_calls;
    unsigned n_config_calls;
    uint64_t size;
} Calls;

static void count_plugged(PmVirtioMem *device, uint64_t size, void *user_data)
{
    Calls *calls = user_data;

    assert_int_equal(pm_virtio_mem_get_plugged_size(device), size);
    assert_int_equal(pm_virtio_mem_get_usable_size(device), 18 * SMALL_BLOCK);
    calls->n_plugged_calls++;
    calls->size = size;
}

static void count_config(PmVirtioMem *device, uint64_t size, void *user_data)
{
    Calls *calls = user_data;

    (void)device;
    (void)size;
    calls->n_config_calls++;
}

static void plugged_size_changes_and_the_configuration_does_not(void **state)
{
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_ANONYMOUS, SMALL_REGION, 0, NULL);
    PmVirtioMemConfig config = small_config(ram);
    g_autoptr(GBytes) snapshot = small_snapshot();
    g_autoptr(PmVirtioMem) to = NULL;
    Calls calls = {0};

    (void)state;
    config.plugged_size_changed = count_plugged;
    config.config_changed = count_config;
    config.user_data = &calls;
    to = device_with(&config);
    assert_loads(to, snapshot);
    assert_int_equal(calls.n_plugged_calls, 1);
    assert_int_equal(calls.size, 9 * SMALL_BLOCK);
    assert_int_equal(calls.n_config_calls, 0);
}

static void saving_and_loading_work_while_migrating(void **state)
{
    g_autoptr(PmVirtioMem) from = small_source();
    g_autoptr(PmVirtioMem) to = small_device(PM_RAM_ANONYMOUS);
    g_autoptr(GBytes) snapshot = NULL;

    (void)state;
    pm_virtio_mem_set_migrating(from, true);
    pm_virtio_mem_set_migrating(to, true);
    snapshot = save(from);
    assert_loads(to, snapshot);
    assert_state(to, snapshot);
    assert_int_equal(send_blocks(to, PM_VIRTIO_MEM_PLUG, 2, 1), PM_VIRTIO_MEM_BUSY);
    assert_int_equal(pm_virtio_mem_last_refusal(to, NULL), PM_REFUSAL_MIGRATION);
    pm_virtio_mem_set_migrating(to, false);
    plug_blocks(to, 2, 1);
}

/* --- memory --- */

static void contents_that_arrived_earlier_stay(void **state)
{
    g_autoptr(GBytes) snapshot = small_snapshot();
    static const PmRamKind kinds[] = {PM_RAM_ANONYMOUS, PM_RAM_MEMFD};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        g_autoptr(Destination) to = destination_new(kinds[i]);

        fill(to->device);
        assert_loads(to->device, snapshot);
        for (uint64_t block = 0; block < SMALL_BLOCKS; block++)
            if (is_plugged(to->device, block))
                assert_int_equal(*block_at(to->device, block), block + 1);
    }
}

static void memory_of_unplugged_blocks_is_freed(void **state)
{
    g_autoptr(Destination) to = destination_new(PM_RAM_MEMFD);
    g_autoptr(GBytes) snapshot = small_snapshot();

    (void)state;
    fill(to->device);
    assert_int_equal(resident(to->device, 0, SMALL_REGION), SMALL_REGION);
    assert_loads(to->device, snapshot);
    assert_int_equal(resident(to->device, 0, SMALL_REGION), 9 * SMALL_BLOCK);
    assert_int_equal(*block_at(to->device, 2), 0);
}

static void nothing_is_faulted_in(void **state)
{
    g_autoptr(Destination) to = destination_new(PM_RAM_MEMFD);
    g_autoptr(GBytes) snapshot = small_snapshot();

    (void)state;
    assert_loads(to->device, snapshot);
    assert_int_equal(resident(to->device, 0, SMALL_REGION), 0);
}

static void prefault_threads_fault_in_the_plugged_blocks(void **state)
{
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_MEMFD, SMALL_REGION, 0, NULL);
    PmVirtioMemConfig config = small_config(ram);
    g_autoptr(GBytes) snapshot = small_snapshot();
    g_autoptr(PmVirtioMem) to = NULL;

    (void)state;
    config.prefault_threads = 2;
    to = device_with(&config);
    *block_at(to, 5) = 42;
    assert_loads(to, snapshot);
    assert_int_equal(resident(to, 0, SMALL_REGION), 9 * SMALL_BLOCK);
    assert_int_equal(*block_at(to, 5), 42);
}

static void unplugged_memory_that_is_not_freed_is_in_quarantine(void **state)
{
    g_autoptr(Destination) to = destination_new(PM_RAM_ANONYMOUS);
    g_autoptr(GBytes) snapshot = small_snapshot();

    (void)state;
    fill(to->device);
    lock_page(block_at(to->device, 12));
    assert_loads(to->device, snapshot);
    assert_state(to->device, snapshot);
    assert_true(pm_discard_manager_get_quarantined(pm_virtio_mem_get_manager(to->device)) > 0);
    assert_int_equal(send_blocks(to->device, PM_VIRTIO_MEM_PLUG, 12, 1), PM_VIRTIO_MEM_BUSY);
    assert_int_equal(pm_virtio_mem_last_refusal(to->device, NULL), PM_REFUSAL_QUARANTINE);
    unlock_page(block_at(to->device, 12));
    plug_blocks(to->device, 12, 1);
    assert_int_equal(*block_at(to->device, 12), 0);
}

/* --- keep_memory --- */

static void device_that_keeps_memory_leaves_it_alone(void **state)
{
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_MEMFD, SMALL_REGION, 0, NULL);
    PmVirtioMemConfig config = small_config(ram);
    g_autoptr(GBytes) snapshot = small_snapshot();
    Destination to = {0};

    (void)state;
    n_calls = 0;
    memset(pm_ram_get_host(ram), 7, SMALL_REGION);
    config.flags = PM_VIRTIO_MEM_KEEP_MEMORY;
    to.device = device_with(&config);
    add_followers(&to);
    assert_int_equal(resident(to.device, 0, SMALL_REGION), SMALL_REGION);
    assert_loads(to.device, snapshot);
    assert_int_equal(resident(to.device, 0, SMALL_REGION), SMALL_REGION);
    check_followers(&to);
    pm_virtio_mem_free(to.device);
    for (unsigned i = 0; i < N_FOLLOWERS; i++)
        for (uint64_t block = 0; block < SMALL_BLOCKS; block++)
            assert_false(to.followers[i].has[block]);
    for (uint64_t i = 0; i < SMALL_REGION; i += SMALL_BLOCK)
        assert_int_equal(((const uint8_t *)pm_ram_get_host(ram))[i], 7);
}

static void device_that_no_longer_keeps_memory_frees_it(void **state)
{
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_MEMFD, SMALL_REGION, 0, NULL);
    PmVirtioMemConfig config = small_config(ram);
    PmVirtioMem *device;

    (void)state;
    memset(pm_ram_get_host(ram), 7, SMALL_REGION);
    config.flags = PM_VIRTIO_MEM_KEEP_MEMORY;
    device = device_with(&config);
    pm_virtio_mem_set_keep_memory(device, false);
    pm_virtio_mem_free(device);
    assert_int_equal(*(const uint8_t *)pm_ram_get_host(ram), 0);
}

static void kept_memory_is_still_freed_by_an_unplug(void **state)
{
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_MEMFD, SMALL_REGION, 0, NULL);
    PmVirtioMemConfig config = small_config(ram);
    g_autoptr(GBytes) snapshot = small_snapshot();
    g_autoptr(PmVirtioMem) device = NULL;

    (void)state;
    memset(pm_ram_get_host(ram), 7, SMALL_REGION);
    config.flags = PM_VIRTIO_MEM_KEEP_MEMORY;
    device = device_with(&config);
    assert_loads(device, snapshot);
    assert_int_equal(send_blocks(device, PM_VIRTIO_MEM_UNPLUG, 4, 2), PM_VIRTIO_MEM_ACK);
    assert_int_equal(*block_at(device, 4), 0);
    assert_int_equal(*block_at(device, 6), 7);
    assert_true(pm_virtio_mem_system_reset(device, NULL));
    assert_int_equal(resident(device, 0, SMALL_REGION), 0);
}

static void unknown_flags_are_refused(void **state)
{
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_ANONYMOUS, SMALL_REGION, 0, NULL);
    PmVirtioMemConfig config = small_config(ram);
    g_autoptr(GError) error = NULL;

    (void)state;
    config.flags = 2;
    assert_null(pm_virtio_mem_new(&config, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_INVALID_ARGUMENT));
    assert_part(error, "invalid flags 0x2");
}

/* Both sides of a live update have the memory: each can free its device without the other. */
static void shared_memory_moves_to_another_device(void **state)
{
    PmVirtioMem *from = small_device(PM_RAM_MEMFD);
    PmRamAdoption adoption = {
        .struct_size = sizeof(adoption),
        .size = SMALL_REGION,
        .has_fd = true,
        .fd = pm_ram_get_fd(ram_of(from), NULL),
        .shared = true,
    };
    g_autoptr(PmRam) ram = NULL;
    g_autoptr(GBytes) snapshot = NULL;
    PmVirtioMemConfig config;
    PmVirtioMem *to;

    (void)state;
    adoption.host = mmap(NULL, SMALL_REGION, PROT_READ | PROT_WRITE, MAP_SHARED, adoption.fd, 0);
    assert_ptr_not_equal(adoption.host, MAP_FAILED);
    request_size(from, 8);
    plug_blocks(from, 0, 8);
    fill(from);
    pm_virtio_mem_set_migrating(from, true);
    snapshot = save(from);
    ram = pm_ram_adopt(&adoption, NULL);
    config = small_config(ram);
    config.flags = PM_VIRTIO_MEM_KEEP_MEMORY;
    to = device_with(&config);
    pm_virtio_mem_free(to); /* it failed */
    assert_int_equal(*block_at(from, 3), 4);
    to = device_with(&config);
    assert_loads(to, snapshot);
    pm_virtio_mem_set_keep_memory(from, true);
    assert_int_equal(*block_at(to, 3), 4);
    pm_virtio_mem_set_keep_memory(to, false);
    {
        g_autoptr(PmRam) kept = pm_ram_ref(ram_of(from)); /* whose file is adopted */

        assert_non_null(kept);
        pm_virtio_mem_free(from);
        assert_int_equal(*block_at(to, 3), 4);
        pm_virtio_mem_free(to);
    }
    assert_int_equal(munmap(adoption.host, SMALL_REGION), 0);
}

/* --- sources --- */

static PmDiscardSource *add_private_blocks(const Destination *to, uint64_t first, uint64_t n_blocks)
{
    PmDiscardSourceConfig config = {
        .struct_size = sizeof(config),
        .name = "private",
        .granularity = SMALL_BLOCK,
        .flags = PM_DISCARD_SOURCE_POPULATED,
    };
    PmDiscardSource *source =
        pm_discard_manager_add_source(pm_virtio_mem_get_manager(to->device), &config, NULL);

    assert_non_null(source);
    assert_true(
        pm_discard_source_discard(source, first * SMALL_BLOCK, n_blocks * SMALL_BLOCK, 0, NULL));
    return source;
}

static void blocks_that_another_source_has_discarded_stay_so(void **state)
{
    g_autoptr(Destination) to = destination_new(PM_RAM_ANONYMOUS);
    g_autoptr(GBytes) snapshot = small_snapshot();
    PmDiscardSource *private = add_private_blocks(to, 5, 3);

    (void)state;
    assert_loads(to->device, snapshot);
    check_followers(to);
    assert_true(to->followers[0].has[4]);
    assert_false(to->followers[0].has[5]);
    assert_int_equal(send_blocks(to->device, PM_VIRTIO_MEM_PLUG, 5, 1), PM_VIRTIO_MEM_ERROR);
    assert_true(
        pm_discard_manager_remove_source(pm_virtio_mem_get_manager(to->device), private, NULL));
    check_followers(to);
    assert_true(to->followers[0].has[5]);
}

static void snapshot_has_what_is_plugged_whatever_other_sources_say(void **state)
{
    g_autoptr(Destination) to = destination_new(PM_RAM_ANONYMOUS);
    g_autoptr(GBytes) snapshot = small_snapshot();

    (void)state;
    add_private_blocks(to, 0, SMALL_BLOCKS);
    assert_loads(to->device, snapshot);
    assert_state(to->device, snapshot);
    assert_int_equal(n_calls, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(load_restores_all_state),
        cmocka_unit_test(loaded_device_handles_requests),
        cmocka_unit_test(listeners_are_asked_and_then_notified_of_runs),
        cmocka_unit_test(listener_that_is_added_later_gets_the_restored_blocks),
        cmocka_unit_test(empty_snapshot_notifies_nobody),
        cmocka_unit_test(lowered_requested_size_below_the_plugged_size_loads),
        cmocka_unit_test(broken_device_stays_broken_until_the_driver_resets_it),
        cmocka_unit_test(broken_device_that_loads_another_state_works),
        cmocka_unit_test(plugged_size_changes_and_the_configuration_does_not),
        cmocka_unit_test(saving_and_loading_work_while_migrating),
        cmocka_unit_test(blocks_that_another_source_has_discarded_stay_so),
        cmocka_unit_test(snapshot_has_what_is_plugged_whatever_other_sources_say),
        cmocka_unit_test(contents_that_arrived_earlier_stay),
        cmocka_unit_test(memory_of_unplugged_blocks_is_freed),
        cmocka_unit_test(nothing_is_faulted_in),
        cmocka_unit_test(prefault_threads_fault_in_the_plugged_blocks),
        cmocka_unit_test(unplugged_memory_that_is_not_freed_is_in_quarantine),
        cmocka_unit_test(device_that_keeps_memory_leaves_it_alone),
        cmocka_unit_test(device_that_no_longer_keeps_memory_frees_it),
        cmocka_unit_test(kept_memory_is_still_freed_by_an_unplug),
        cmocka_unit_test(unknown_flags_are_refused),
        cmocka_unit_test(shared_memory_moves_to_another_device),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
