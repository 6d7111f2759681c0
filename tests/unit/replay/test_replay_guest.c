/* SPDX-License-Identifier: MIT */
/* Replays of guests with an IOMMU. */
#include "replay/replay.h"

#include <string.h>

#include <plugmap/fake.h>

#include "kernel-uapi/virtio_iommu.h"
#include "util/backend_util.h"
#include "util/trace_util.h"

#define ONE "plugmap-trace 1\nregion addr=4G size=64M block=2M\n"
#define TWO                                                                                        \
    "plugmap-trace 1\n"                                                                            \
    "region device=a addr=4G size=64M block=2M\n"                                                  \
    "region device=b addr=8G size=32M block=4M\n"

static PmReplayResult *replay(const char *text)
{
    g_autoptr(PmTrace) trace = load_text(text, NULL, NULL);
    PmFakeConfig config;
    g_autoptr(PmKernel) fake = NULL;
    g_autoptr(GError) error = NULL;
    PmReplayResult *result;

    pm_fake_config_init(&config);
    config.pin = PM_FAKE_PIN_POPULATE;
    fake = backend_fake_new(&config, NULL);
    assert_non_null(trace);
    {
        const PmReplayConfig played = {
            .kernel = fake,
            .fake = fake,
            .backend = backend_is_iommufd() ? PM_IOMMU_IOMMUFD : PM_IOMMU_TYPE1,
            .device = "0000:00:04.0",
            .group = 1,
            .audit = true,
            .dma_device = trace->regions->len == 1 ? "0000:00:04.0" : NULL,
        };

        result = pm_replay(trace, &played, &error);
    }
    if (result == NULL)
        fail_msg("%s", error->message);
    assert_int_equal(pm_fake_kernel_get_n_open(fake), 0);
    assert_int_equal(backend_get_pinned(fake), 0);
    return result;
}

static void the_device_is_in_a_translated_domain(void **state)
{
    g_autoptr(PmReplayResult) result =
        replay(ONE "plug addr=4G blocks=4 -> ack\n"
                   "iommu-map iova=256M addr=4G size=4M access=rw -> ok\n"
                   "iommu-map iova=512M addr=4G size=4K access=r -> ok\n"
                   "unplug addr=4G blocks=1 -> ack\n");

    (void)state;
    assert_true(pm_replay_is_right(result));
    assert_int_equal(result->peak_mappings, 3);
    assert_int_equal(result->final_mappings, 1);
    assert_int_equal(result->final_pinned_bytes, 2 * PM_MIB);
    assert_true(result->dma_check.n_plugged_pages >= 2);
    assert_true(result->dma_check.n_unplugged_pages >= 2);
}

static void a_domain_maps_several_devices(void **state)
{
    g_autoptr(PmReplayResult) result =
        replay(TWO "plug device=a addr=4G blocks=1 -> ack\n"
                   "plug device=b addr=8G blocks=1 -> ack\n"
                   "iommu-map iova=0 addr=4G size=2M access=rw -> ok\n"
                   "iommu-map iova=2M addr=8G size=4M access=rw -> ok\n"
                   "unplug device=b addr=8G blocks=1 -> ack\n");

    (void)state;
    assert_true(pm_replay_is_right(result));
    assert_int_equal(result->peak_mappings, 2);
    assert_int_equal(result->final_mappings, 1);
}

static void another_status_is_a_difference(void **state)
{
    g_autoptr(PmReplayResult) result =
        replay(ONE "iommu-map iova=0 addr=4G size=4K access=r -> ok\n"
                   "iommu-unmap iova=0 size=4K -> ok\n");
    const PmReplayDivergence *first;

    (void)state;
    assert_int_equal(result->n_divergences, 1);
    first = g_ptr_array_index(result->divergences, 0);
    assert_int_equal(first->line, 3);
    assert_string_equal(first->expected, "ok");
    assert_non_null(strstr(first->got, "fault"));
}

static void statuses_are_counted(void **state)
{
    g_autoptr(PmReplayResult) result =
        replay(ONE "plug addr=4G blocks=1 -> ack\n"
                   "iommu-map iova=0 addr=4G size=4K access=r -> ok\n"
                   "iommu-map iova=0 addr=4G size=4K access=r -> inval\n"
                   "iommu-map iova=2M addr=0x100200000 size=4K access=r -> fault\n"
                   "iommu-unmap iova=0 size=4K -> ok\n");

    (void)state;
    assert_true(pm_replay_is_right(result));
    assert_int_equal(result->n_iommu_statuses[VIRTIO_IOMMU_S_OK], 2);
    assert_int_equal(result->n_iommu_statuses[VIRTIO_IOMMU_S_INVAL], 1);
    assert_int_equal(result->n_iommu_statuses[VIRTIO_IOMMU_S_FAULT], 1);
}

static void a_reset_empties_the_table(void **state)
{
    g_autoptr(PmReplayResult) result =
        replay(ONE "plug addr=4G blocks=1 -> ack\n"
                   "iommu-map iova=0 addr=4G size=2M access=rw -> ok\n"
                   "reset\n"
                   "plug addr=4G blocks=1 -> ack\n"
                   "iommu-map iova=0 addr=4G size=4K access=rw -> ok\n");

    (void)state;
    assert_true(pm_replay_is_right(result));
    assert_int_equal(result->final_pinned_bytes, 4 * PM_KIB);
}

/* With a second source, whose granularity is finer than a block. */
static void a_range_that_becomes_private_is_revoked_until_it_is_shared_again(void **state)
{
    g_autoptr(PmReplayResult) result =
        replay("plugmap-trace 1\nregion addr=4G size=32M block=2M granularity=4K\n"
               "plug addr=4G blocks=2 -> ack\n"
               "convert addr=0x100003000 size=12K to=private\n"
               "iommu-map iova=256M addr=4G size=64K access=rw -> fault\n"
               "iommu-map iova=256M addr=4G size=12K access=rw -> ok\n"
               "iommu-map iova=512M addr=0x100006000 size=64K access=rw -> ok\n"
               "convert addr=0x100001000 size=40K to=private\n"
               "convert addr=0x100001000 size=4K to=shared\n"
               "unplug addr=4G blocks=1 -> ack\n"
               "plug addr=4G blocks=1 -> ack\n");

    (void)state;
    assert_true(pm_replay_is_right(result));
    assert_int_equal(result->final_pinned_bytes, 8 * PM_KIB + 44 * PM_KIB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_device_is_in_a_translated_domain),
        cmocka_unit_test(a_domain_maps_several_devices),
        cmocka_unit_test(another_status_is_a_difference),
        cmocka_unit_test(statuses_are_counted),
        cmocka_unit_test(a_reset_empties_the_table),
        cmocka_unit_test(a_range_that_becomes_private_is_revoked_until_it_is_shared_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
