/* SPDX-License-Identifier: MIT */
/* Owners of mappings that fail halfway, leave, or share: nothing is lost, and nothing is assumed
 * that the kernel has not proved. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <plugmap/fake.h>
#include <plugmap/plugmap.h>

#include "kernel-uapi/virtio_mem.h"
#include "util/either_kernel.h"
#include "util/mapper_util.h"
#include "util/request_util.h"

#define BLOCK    (64 * PM_KIB)
#define N_BLOCKS UINT64_C(16)
#define SIZE     (N_BLOCKS * BLOCK)
#define ADDRESS  (4 * PM_GIB)

/* Two address spaces of one kernel, fake or real (either_kernel.h), with a mapper each, and a
 * device without listeners. */
typedef struct {
    PmKernel *kernel;
    PmIommu *iommus[2];
    PmMapper *mappers[2]; /* NULL: freed by a test */
    PmRam *ram;
    PmVirtioMem *device;
    PmDiscardManager *manager; /* the device's */
} Owners;

static PmVirtioMem *make_device(PmRam *ram, GError **error)
{
    const PmVirtioMemConfig config = {.struct_size = sizeof(config),
                                      .ram = ram,
                                      .address = ADDRESS,
                                      .block_size = BLOCK,
                                      .requested_size = SIZE};

    return pm_virtio_mem_new(&config, error);
}

static int make(void **state)
{
    Owners *owners = g_new0(Owners, 1);
    PmFakeConfig config;

    pm_fake_config_init(&config);
    config.pin = PM_FAKE_PIN_POPULATE;
    owners->kernel = either_kernel_new(&config);
    for (unsigned i = 0; i < 2; i++) {
        owners->iommus[i] = either_open(owners->kernel, i);
        owners->mappers[i] = pm_mapper_new(owners->iommus[i]);
    }
    owners->ram = pm_ram_new(PM_RAM_MEMFD, SIZE, BLOCK, NULL);
    owners->device = make_device(owners->ram, NULL);
    owners->manager = pm_virtio_mem_get_manager(owners->device);
    *state = owners;
    return 0;
}

static int drop(void **state)
{
    Owners *owners = *state;

    either_clear_faults(owners->kernel);
    for (unsigned i = 0; i < 2; i++)
        pm_mapper_free(owners->mappers[i]);
    pm_virtio_mem_free(owners->device);
    for (unsigned i = 0; i < 2; i++)
        pm_iommu_unref(owners->iommus[i]);
    either_assert_nothing_left(owners->kernel);
    pm_kernel_unref(owners->kernel);
    pm_ram_unref(owners->ram);
    g_free(owners);
    return 0;
}

static int request(Owners *owners, uint16_t type, uint64_t first, uint16_t n_blocks)
{
    int answer = send_request(owners->device, type, ADDRESS + first * BLOCK, n_blocks, NULL);

    assert_true(answer >= 0);
    return answer;
}

static void plug(Owners *owners, uint64_t first, uint16_t n_blocks)
{
    assert_int_equal(request(owners, VIRTIO_MEM_REQ_PLUG, first, n_blocks), VIRTIO_MEM_RESP_ACK);
}

static int unplug_all(Owners *owners)
{
    return request(owners, VIRTIO_MEM_REQ_UNPLUG_ALL, 0, 0);
}

static bool add(Owners *owners, unsigned index, GError **error)
{
    return mapper_add_all(owners->mappers[index], ADDRESS, owners->ram, PM_MAPPER_STRICT, error);
}

static bool is_mapped(Owners *owners, unsigned index, uint64_t iova)
{
    return either_is_mapped(owners->iommus[index], iova, BLOCK);
}

/* A real kernel does not say how many; the tests map single blocks near the device's, and the
 * first.
 */
static uint64_t n_mappings(Owners *owners, unsigned index)
{
    uint64_t n = 0;

    if (!either_is_real())
        return pm_fake_kernel_get_n_mappings(owners->kernel, index + 1);
    for (uint64_t block = 0; block < N_BLOCKS + 4; block++)
        n += is_mapped(owners, index, ADDRESS + block * BLOCK - 2 * BLOCK);
    return n + is_mapped(owners, index, 0);
}

static uint64_t n_resident(PmRam *ram)
{
    uint64_t n_bytes;

    assert_true(pm_ram_resident(ram, 0, pm_ram_get_size(ram), &n_bytes, NULL));
    return n_bytes;
}

static bool is_right(Owners *owners, unsigned index)
{
    return pm_mapper_audit(owners->mappers[index], NULL, NULL, NULL);
}

static void assert_code(GError **error, PmError code, const char *words)
{
    assert_non_null(*error);
    if (!g_error_matches(*error, PM_ERROR, (gint)code) || strstr((*error)->message, words) == NULL)
        fail_msg("code %d, \"%s\"; expected code %d, \"%s\"", (*error)->code, (*error)->message,
                 (int)code, words);
    g_clear_error(error);
}

/* Every unmap fails from now on. */
static void fail_all_unmaps(Owners *owners)
{
    for (unsigned nth = 1; nth <= 8; nth++)
        either_fail(owners->kernel, PM_FAKE_CALL_UNMAP, nth, EIO);
}

/* --- a region that fails to be added --- */

/* Mapping the third block fails, and so does unmapping the first two. */
static void fail_to_add(Owners *owners)
{
    g_autoptr(GError) error = NULL;

    plug(owners, 2, 4);
    fail_all_unmaps(owners);
    either_fail(owners->kernel, PM_FAKE_CALL_MAP, 3, ENOMEM);
    assert_false(add(owners, 0, &error));
    assert_code(&error, PM_ERROR_QUARANTINED, "in quarantine");
    assert_int_equal(n_mappings(owners, 0), 2);
    assert_int_equal(pm_discard_manager_get_quarantined(owners->manager), 2 * BLOCK);
}

static void region_that_stays_mapped_is_not_unplugged(void **state)
{
    Owners *owners = *state;
    const GError *refusal;

    fail_to_add(owners);
    assert_int_equal(unplug_all(owners), VIRTIO_MEM_RESP_BUSY);
    assert_int_equal(pm_virtio_mem_last_refusal(owners->device, NULL), PM_REFUSAL_QUARANTINE);
    assert_int_equal(request(owners, VIRTIO_MEM_REQ_UNPLUG, 2, 1), VIRTIO_MEM_RESP_BUSY);
    (void)pm_virtio_mem_last_refusal(owners->device, &refusal);
    assert_non_null(strstr(refusal->message, "pm_iommu_settle()"));
    assert_int_equal(n_mappings(owners, 0), 2);
    assert_true(n_resident(owners->ram) >= 2 * BLOCK);
    assert_false(is_right(owners, 0));
    either_clear_faults(owners->kernel);
    assert_int_equal(unplug_all(owners), VIRTIO_MEM_RESP_ACK);
    assert_int_equal(n_mappings(owners, 0), 0);
    assert_int_equal(n_resident(owners->ram), 0);
    assert_int_equal(pm_discard_manager_get_quarantined(owners->manager), 0);
    assert_true(is_right(owners, 0));
}

static void region_is_added_again_once_its_first_mappings_are_gone(void **state)
{
    Owners *owners = *state;
    g_autoptr(GError) error = NULL;

    fail_to_add(owners);
    assert_false(add(owners, 0, &error));
    assert_code(&error, PM_ERROR_QUARANTINED, "the region at 0x100000000 abandoned them");
    either_clear_faults(owners->kernel);
    assert_true(add(owners, 0, NULL));
    assert_int_equal(n_mappings(owners, 0), 4);
    assert_int_equal(pm_discard_manager_get_quarantined(owners->manager), 0);
    assert_true(is_right(owners, 0));
    assert_int_equal(unplug_all(owners), VIRTIO_MEM_RESP_ACK);
    assert_int_equal(n_mappings(owners, 0), 0);
}

static void settling_an_address_space_ends_quarantine(void **state)
{
    Owners *owners = *state;

    fail_to_add(owners);
    assert_false(pm_iommu_settle(owners->iommus[0], NULL));
    assert_int_equal(request(owners, VIRTIO_MEM_REQ_UNPLUG, 2, 4), VIRTIO_MEM_RESP_BUSY);
    either_clear_faults(owners->kernel);
    assert_true(pm_iommu_settle(owners->iommus[0], NULL));
    assert_int_equal(n_mappings(owners, 0), 0);
    assert_int_equal(request(owners, VIRTIO_MEM_REQ_UNPLUG, 2, 4), VIRTIO_MEM_RESP_ACK);
    assert_true(is_right(owners, 0));
}

/* --- unmaps that remove less than they should --- */

static void zero_bytes_removed_do_not_count_as_all(void **state)
{
    Owners *owners = *state;

    assert_true(add(owners, 0, NULL));
    plug(owners, 3, 1);
    either_shorten_unmap(owners->kernel, 1); /* half a mapping does not count */
    assert_int_equal(unplug_all(owners), VIRTIO_MEM_RESP_ACK);
    assert_int_equal(n_mappings(owners, 0), 0);
    assert_true(is_right(owners, 0));
}

static void mapping_that_fails_to_unmap_keeps_its_block_in_quarantine(void **state)
{
    Owners *owners = *state;
    g_autoptr(GError) error = NULL;

    assert_true(add(owners, 0, NULL));
    plug(owners, 3, 1);
    for (unsigned nth = 1; nth <= 100; nth++)
        either_shorten_unmap(owners->kernel, nth);
    assert_int_equal(unplug_all(owners), VIRTIO_MEM_RESP_BUSY);
    assert_int_equal(pm_virtio_mem_last_refusal(owners->device, NULL), PM_REFUSAL_QUARANTINE);
    assert_false(pm_virtio_mem_system_reset(owners->device, NULL));
    assert_false(pm_mapper_remove(owners->mappers[0], ADDRESS, NULL));
    assert_int_equal(n_mappings(owners, 0), 1);
    assert_int_equal(n_resident(owners->ram), BLOCK);
    assert_false(pm_mapper_audit(owners->mappers[0], NULL, NULL, &error));
    assert_code(&error, PM_ERROR_QUARANTINED, "pm_virtio_mem_system_reset()");
    either_clear_faults(owners->kernel);
    assert_true(pm_virtio_mem_system_reset(owners->device, NULL));
    assert_true(is_right(owners, 0));
    assert_int_equal(n_resident(owners->ram), 0);
}

/* --- several mappers --- */

static void mapper_cannot_map_where_another_has_a_region(void **state)
{
    Owners *owners = *state;
    g_autoptr(PmMapper) other = pm_mapper_new(owners->iommus[0]);
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_ANONYMOUS, 2 * BLOCK, 0, NULL);
    const uint64_t addresses[] = {ADDRESS - BLOCK, ADDRESS, ADDRESS + 4 * BLOCK,
                                  ADDRESS + SIZE - BLOCK};

    assert_true(add(owners, 0, NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(addresses); i++) {
        g_autoptr(GError) error = NULL;

        assert_false(mapper_add_all(other, addresses[i], ram, PM_MAPPER_STRICT, &error));
        assert_code(&error, PM_ERROR_OVERLAP, "the region at 0x100000000");
    }
    assert_true(mapper_add_all(other, ADDRESS + SIZE, ram, PM_MAPPER_STRICT, NULL));
    assert_true(mapper_add_all(other, ADDRESS - 2 * BLOCK, ram, PM_MAPPER_STRICT, NULL));
}

static void unplugging_all_leaves_other_mappers_alone(void **state)
{
    Owners *owners = *state;
    g_autoptr(PmMapper) other = pm_mapper_new(owners->iommus[0]);
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_ANONYMOUS, BLOCK, 0, NULL);

    assert_true(mapper_add_all(other, ADDRESS - BLOCK, ram, PM_MAPPER_STRICT, NULL));
    assert_true(mapper_add_all(other, ADDRESS + SIZE, ram, PM_MAPPER_STRICT, NULL));
    assert_true(add(owners, 0, NULL));
    plug(owners, 0, N_BLOCKS);
    assert_int_equal(n_mappings(owners, 0), N_BLOCKS + 2);
    assert_int_equal(unplug_all(owners), VIRTIO_MEM_RESP_ACK);
    assert_int_equal(n_mappings(owners, 0), 2);
    plug(owners, 0, N_BLOCKS);
    assert_true(pm_mapper_remove(owners->mappers[0], ADDRESS, NULL));
    assert_int_equal(n_mappings(owners, 0), 2);
    assert_true(pm_mapper_audit(other, NULL, NULL, NULL));
}

/* @advice: the last "ulimit -l KIB" of a message; in bytes. */
static uint64_t advised_limit(const char *message)
{
    const char *advice = strstr(message, "ulimit -l ");

    assert_non_null(advice);
    return g_ascii_strtoull(advice + strlen("ulimit -l "), NULL, 10) * PM_KIB;
}

static void strict_regions_of_two_address_spaces_share_one_limit(void **state)
{
    Owners *owners = *state;
    g_autoptr(GError) error = NULL;

    either_set_memlock(owners->kernel, SIZE + BLOCK, false);
    assert_true(add(owners, 0, NULL));
    assert_false(add(owners, 1, &error));
    assert_non_null(strstr(error->message, "more reserved"));
    either_set_memlock(owners->kernel, advised_limit(error->message) - PM_KIB, false);
    assert_false(add(owners, 1, NULL));
    either_set_memlock(owners->kernel, advised_limit(error->message), false);
    assert_code(&error, PM_ERROR_LOCKED_MEMORY, "ulimit -l");
    assert_true(add(owners, 1, NULL));
    plug(owners, 0, N_BLOCKS);
    assert_true(is_right(owners, 0) && is_right(owners, 1));
}

static void freed_mapper_frees_its_reserved_room(void **state)
{
    Owners *owners = *state;

    either_set_memlock(owners->kernel, SIZE, false);
    assert_true(add(owners, 0, NULL));
    assert_false(add(owners, 1, NULL));
    g_clear_pointer(&owners->mappers[0], pm_mapper_free);
    assert_true(add(owners, 1, NULL));
}

/* --- freeing a mapper --- */

static void mapper_that_cannot_unmap_leaves_its_blocks_in_quarantine(void **state)
{
    Owners *owners = *state;

    assert_true(add(owners, 0, NULL));
    plug(owners, 2, 3);
    fail_all_unmaps(owners);
    g_clear_pointer(&owners->mappers[0], pm_mapper_free);
    assert_int_equal(n_mappings(owners, 0), 3);
    assert_int_equal(pm_discard_manager_get_quarantined(owners->manager), 3 * BLOCK);
    assert_int_equal(request(owners, VIRTIO_MEM_REQ_UNPLUG, 2, 3), VIRTIO_MEM_RESP_BUSY);
    assert_int_equal(unplug_all(owners), VIRTIO_MEM_RESP_BUSY);
    assert_int_equal(n_resident(owners->ram), 3 * BLOCK);
    either_clear_faults(owners->kernel);
    assert_int_equal(unplug_all(owners), VIRTIO_MEM_RESP_ACK);
    assert_int_equal(n_mappings(owners, 0), 0);
    assert_int_equal(n_resident(owners->ram), 0);
}

static void addresses_abandoned_by_a_freed_mapper_can_be_reused(void **state)
{
    Owners *owners = *state;

    assert_true(add(owners, 0, NULL));
    plug(owners, 2, 3);
    fail_all_unmaps(owners);
    g_clear_pointer(&owners->mappers[0], pm_mapper_free);
    owners->mappers[0] = pm_mapper_new(owners->iommus[0]);
    assert_false(add(owners, 0, NULL));
    either_clear_faults(owners->kernel);
    assert_true(add(owners, 0, NULL));
    assert_true(is_right(owners, 0));
    assert_int_equal(n_mappings(owners, 0), 3);
}

static void reset_frees_what_a_freed_mapper_had_reserved(void **state)
{
    Owners *owners = *state;

    assert_true(add(owners, 0, NULL));
    plug(owners, 2, 3);
    fail_all_unmaps(owners);
    g_clear_pointer(&owners->mappers[0], pm_mapper_free);
    either_set_memlock(owners->kernel, SIZE, false);
    assert_false(add(owners, 1, NULL));
    either_clear_faults(owners->kernel);
    assert_int_equal(unplug_all(owners), VIRTIO_MEM_RESP_ACK);
    assert_true(add(owners, 1, NULL));
    assert_true(pm_iommu_audit(owners->iommus[0], NULL, PM_IOMMU_AUDIT_SOLE_LOCKER, NULL));
}

/* Nobody retries after this. */
static void unmap_that_fails_once_when_all_is_closed_leaves_nothing(void **state)
{
    Owners *owners = *state;

    assert_true(add(owners, 0, NULL));
    plug(owners, 2, 3);
    either_fail(owners->kernel, PM_FAKE_CALL_UNMAP, 1, EIO);
    g_clear_pointer(&owners->mappers[0], pm_mapper_free);
    either_fail(owners->kernel, PM_FAKE_CALL_UNMAP, 1, EINTR);
    pm_iommu_unref(owners->iommus[0]);
    assert_int_equal(pm_discard_manager_get_quarantined(owners->manager), 0);
    assert_int_equal(unplug_all(owners), VIRTIO_MEM_RESP_ACK);
    owners->iommus[0] = either_open(owners->kernel, 0);
}

/* No other proof is left by then: closing makes the kernel remove the mappings. */
static void closing_the_address_space_ends_the_quarantine_of_a_freed_mapper(void **state)
{
    Owners *owners = *state;

    assert_true(add(owners, 0, NULL));
    plug(owners, 2, 3);
    either_fail(owners->kernel, PM_FAKE_CALL_UNMAP, 1, EIO);
    g_clear_pointer(&owners->mappers[0], pm_mapper_free);
    assert_int_equal(pm_discard_manager_get_quarantined(owners->manager), 3 * BLOCK);
    pm_iommu_unref(owners->iommus[0]);
    assert_int_equal(either_pinned(owners->kernel), 0);
    assert_int_equal(pm_discard_manager_get_quarantined(owners->manager), 0);
    assert_int_equal(request(owners, VIRTIO_MEM_REQ_UNPLUG, 2, 3), VIRTIO_MEM_RESP_ACK);
    owners->iommus[0] = either_open(owners->kernel, 0);
}

/* --- RAM with two users --- */

static void ram_with_a_manager_is_not_mapped_whole(void **state)
{
    Owners *owners = *state;

    assert_true(mapper_add_all(owners->mappers[0], ADDRESS, owners->ram, PM_MAPPER_STRICT, NULL));
    assert_int_equal(n_mappings(owners, 0), 0);
    plug(owners, 2, 3);
    assert_int_equal(n_mappings(owners, 0), 3);
}

/* The message names the other user. */
static void ram_of_a_freed_device_can_be_reused_once_nobody_follows_it(void **state)
{
    Owners *owners = *state;
    g_autoptr(GError) error = NULL;

    assert_true(add(owners, 0, NULL));
    g_clear_pointer(&owners->device, pm_virtio_mem_free);
    assert_null(make_device(owners->ram, &error));
    assert_code(&error, PM_ERROR_BUSY, "pm_mapper_remove()");
    assert_true(pm_mapper_remove(owners->mappers[0], ADDRESS, NULL));
    owners->device = make_device(owners->ram, NULL);
    assert_non_null(owners->device);
}

static void mapped_ram_gets_no_device_that_would_wipe_it(void **state)
{
    Owners *owners = *state;
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_MEMFD, SIZE, BLOCK, NULL);
    g_autoptr(GError) error = NULL;
    PmVirtioMem *device;

    memset(pm_ram_get_host(ram), 'x', BLOCK);
    assert_true(mapper_add_all(owners->mappers[0], 0, ram, PM_MAPPER_STRICT, NULL));
    assert_null(make_device(ram, &error));
    assert_code(&error, PM_ERROR_BUSY, "the region at 0x0 disables all discards");
    assert_int_equal(*(char *)pm_ram_get_host(ram), 'x');
    assert_true(pm_mapper_remove(owners->mappers[0], 0, NULL));
    device = make_device(ram, NULL);
    assert_non_null(device);
    pm_virtio_mem_free(device);
}

static void ram_that_a_freed_mapper_left_mapped_gets_no_device(void **state)
{
    Owners *owners = *state;
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_MEMFD, SIZE, BLOCK, NULL);
    PmVirtioMem *device;

    assert_true(mapper_add_all(owners->mappers[0], 0, ram, PM_MAPPER_STRICT, NULL));
    either_fail(owners->kernel, PM_FAKE_CALL_UNMAP, 1, EIO);
    g_clear_pointer(&owners->mappers[0], pm_mapper_free);
    assert_null(make_device(ram, NULL));
    assert_true(pm_iommu_settle(owners->iommus[0], NULL));
    device = make_device(ram, NULL);
    assert_non_null(device);
    pm_virtio_mem_free(device);
}

static void plain_ram_is_removed_and_added_after_a_mismatch(void **state)
{
    Owners *owners = *state;
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_ANONYMOUS, BLOCK, 0, NULL);

    assert_true(mapper_add_all(owners->mappers[0], 0, ram, PM_MAPPER_STRICT, NULL));
    for (unsigned nth = 1; nth <= 100; nth++)
        either_shorten_unmap(owners->kernel, nth);
    assert_false(pm_mapper_remove(owners->mappers[0], 0, NULL));
    assert_false(is_right(owners, 0));
    either_clear_faults(owners->kernel);
    assert_true(pm_mapper_remove(owners->mappers[0], 0, NULL));
    assert_int_equal(n_mappings(owners, 0), 0);
    assert_true(mapper_add_all(owners->mappers[0], 0, ram, PM_MAPPER_STRICT, NULL));
    assert_true(is_right(owners, 0));
}

#define OWNER_TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        OWNER_TEST(region_that_stays_mapped_is_not_unplugged),
        OWNER_TEST(region_is_added_again_once_its_first_mappings_are_gone),
        OWNER_TEST(settling_an_address_space_ends_quarantine),
        OWNER_TEST(zero_bytes_removed_do_not_count_as_all),
        OWNER_TEST(mapping_that_fails_to_unmap_keeps_its_block_in_quarantine),
        OWNER_TEST(mapper_cannot_map_where_another_has_a_region),
        OWNER_TEST(unplugging_all_leaves_other_mappers_alone),
        OWNER_TEST(strict_regions_of_two_address_spaces_share_one_limit),
        OWNER_TEST(freed_mapper_frees_its_reserved_room),
        OWNER_TEST(mapper_that_cannot_unmap_leaves_its_blocks_in_quarantine),
        OWNER_TEST(addresses_abandoned_by_a_freed_mapper_can_be_reused),
        OWNER_TEST(reset_frees_what_a_freed_mapper_had_reserved),
        OWNER_TEST(unmap_that_fails_once_when_all_is_closed_leaves_nothing),
        OWNER_TEST(closing_the_address_space_ends_the_quarantine_of_a_freed_mapper),
        OWNER_TEST(ram_with_a_manager_is_not_mapped_whole),
        OWNER_TEST(ram_of_a_freed_device_can_be_reused_once_nobody_follows_it),
        OWNER_TEST(mapped_ram_gets_no_device_that_would_wipe_it),
        OWNER_TEST(ram_that_a_freed_mapper_left_mapped_gets_no_device),
        OWNER_TEST(plain_ram_is_removed_and_added_after_a_mismatch),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
