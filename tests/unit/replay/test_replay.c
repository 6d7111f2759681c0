/* SPDX-License-Identifier: MIT */
/* Failing replays and their reports. */
#include "replay/replay.h"

#include <errno.h>
#include <sys/mman.h>

#include <plugmap/fake.h>

#include "replay/report_json.h"
#include "replay/report_text.h"
#include "util/trace_util.h"

static const char trace_text[] = "plugmap-trace 1\n"
                                 "region addr=4G size=64M block=2M\n"
                                 "plug addr=4G blocks=8 -> ack\n"
                                 "unplug addr=4G blocks=4 -> ack\n"
                                 "plug addr=4G blocks=1 -> ack\n"
                                 "unplug-all -> ack\n"
                                 "plug addr=4G blocks=8 -> ack\n";

static PmReplayResult *replay(PmKernel *fake, GError **error)
{
    g_autoptr(PmTrace) trace = load_text(trace_text, NULL, NULL);
    const PmReplayConfig config = {.kernel = fake,
                                   .fake = fake,
                                   .memory = PM_RAM_MEMFD,
                                   .only_counts = true,
                                   .group = 1,
                                   .audit = true};

    return pm_replay(trace, &config, error);
}

static PmKernel *make_fake(void)
{
    PmKernel *fake = pm_fake_kernel_new(NULL, NULL);

    assert_non_null(fake);
    return fake;
}

static const PmReplayDivergence *divergence_at(const GPtrArray *divergences, guint index)
{
    assert_true(index < divergences->len);
    return g_ptr_array_index(divergences, index);
}

static void a_replay_closes_everything(void **state)
{
    g_autoptr(PmKernel) fake = make_fake();
    g_autoptr(PmReplayResult) result = replay(fake, NULL);

    (void)state;
    assert_non_null(result);
    assert_true(pm_replay_is_right(result));
    assert_int_equal(result->n_blocks_plugged, 17);
    assert_int_equal(result->n_blocks_unplugged, 9);
    assert_int_equal(result->n_checks, 20);
    assert_int_equal(pm_fake_kernel_get_n_open(fake), 0);
    assert_int_equal(pm_fake_kernel_get_locked(fake), 0);
}

static void a_short_unmap_is_found_by_responses_and_audits(void **state)
{
    g_autoptr(PmKernel) fake = make_fake();
    g_autoptr(PmReplayResult) result = NULL;
    const PmReplayDivergence *first;

    (void)state;
    pm_fake_kernel_shorten_unmap(fake, 1);
    result = replay(fake, NULL);
    assert_non_null(result);
    assert_false(pm_replay_is_right(result));
    /* The unplug returns BUSY, so the plug after it finds plugged blocks. */
    assert_int_equal(result->divergences->len, 2);
    first = divergence_at(result->divergences, 0);
    assert_int_equal(first->line, 4);
    assert_string_equal(first->expected, "ack");
    assert_true(g_str_has_prefix(first->got, "busy: "));
    /* Two events, until all is unplugged: mapper, page table and kernel counters. */
    assert_int_equal(result->n_mismatches, 6);
    assert_int_equal(divergence_at(result->mismatches, 0)->line, 4);
    assert_int_equal(divergence_at(result->mismatches, 5)->line, 5);
}

static void a_failing_map_only_changes_the_response(void **state)
{
    g_autoptr(PmKernel) fake = make_fake();
    g_autoptr(PmReplayResult) result = NULL;

    (void)state;
    pm_fake_kernel_fail(fake, PM_FAKE_CALL_MAP, 3, ENOMEM);
    result = replay(fake, NULL);
    assert_non_null(result);
    assert_int_equal(result->n_mismatches, 0);
    assert_int_equal(divergence_at(result->divergences, 0)->line, 3);
    assert_non_null(strstr(divergence_at(result->divergences, 0)->got, "ENOMEM"));
}

static void failure_to_open_the_iommu_is_an_error(void **state)
{
    g_autoptr(PmKernel) fake = make_fake();
    g_autoptr(GError) error = NULL;

    (void)state;
    pm_fake_kernel_fail(fake, PM_FAKE_CALL_OPEN, 1, EACCES);
    assert_null(replay(fake, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_PERMISSION));
    assert_int_equal(pm_fake_kernel_get_n_open(fake), 0);
}

static void a_failed_replay_is_reported(void **state)
{
    g_autoptr(PmKernel) fake = make_fake();
    g_autoptr(PmTrace) trace = load_text(trace_text, NULL, NULL);
    g_autoptr(PmReplayResult) result = NULL;
    const PmReportStyle style = {.backend = "fake", .width = 80};
    g_autofree char *text = NULL;
    g_autofree char *json = NULL;

    (void)state;
    pm_fake_kernel_shorten_unmap(fake, 1);
    result = replay(fake, NULL);
    text = pm_report_text(trace, result, &style);
    json = pm_report_json(&(PmJsonReport){
        .command = "replay", .version = "1", .trace = trace, .backend = "fake", .result = result});
    assert_non_null(
        strstr(text, "FAIL: 20 audits, 6 failed, 2 responses differ (1 consequence)\n"));
    assert_non_null(strstr(text, "line 4: unplug of 4 blocks at 0x100000000: expected ack"));
    assert_non_null(strstr(text, "failed audits:"));
    assert_non_null(strstr(json, "\"mismatches\" : 6"));
    assert_non_null(strstr(json, "\"line\" : 5"));
}

/* --- memory allocated and discarded without the device's knowledge --- */

typedef struct {
    PmFakePin pin;
    unsigned prefault_threads;
    void (*meddle)(char *region);
    PmKernel *fake;
} Meddler;

static bool find_region(uint64_t iova, uint64_t size, const void *host, PmIommuAccess access,
                        void *user_data)
{
    char **region = user_data;

    (void)size;
    (void)access;
    *region = (char *)(uintptr_t)host - (iova - 4 * PM_GIB);
    return false;
}

/* Called after the audits of an event; those of the second event must find the fault. */
static bool meddle(const PmReplayResult *so_far, guint n_events, void *user_data)
{
    const Meddler *meddler = user_data;
    char *region = NULL;

    (void)n_events;
    if (meddler->meddle == NULL || so_far->n_played != 1)
        return true;
    (void)pm_fake_kernel_foreach_mapping(meddler->fake, 1, find_region, (void *)&region);
    assert_non_null(region);
    meddler->meddle(region);
    return true;
}

/* NULL if the host's kernel cannot pin pages. */
static PmReplayResult *replay_meddled(Meddler meddler)
{
    g_autoptr(PmTrace) trace = load_text(trace_text, NULL, NULL);
    g_autoptr(PmKernel) fake = NULL;
    PmFakeConfig fake_config;
    PmReplayConfig config = {
        .only_counts = meddler.pin == PM_FAKE_PIN_ACCOUNT,
        .group = 1,
        .prefault_threads = meddler.prefault_threads,
        .audit = true,
        .progress = meddle,
        .user_data = &meddler,
    };
    PmReplayResult *result;

    pm_fake_config_init(&fake_config);
    fake_config.pin = meddler.pin;
    fake = pm_fake_kernel_new(&fake_config, NULL);
    if (fake == NULL && meddler.pin == PM_FAKE_PIN_HOLD)
        return NULL;
    meddler.fake = config.kernel = config.fake = fake;
    result = pm_replay(trace, &config, NULL);
    assert_non_null(result);
    return result;
}

static void assert_found(Meddler meddler, const char *words)
{
    g_autoptr(PmReplayResult) result = replay_meddled(meddler);
    const PmReplayDivergence *first;

    if (result == NULL)
        return;
    first = divergence_at(result->mismatches, 0);
    assert_int_equal(first->line, 4);
    assert_non_null(strstr(first->got, words));
}

/* More than is plugged, so that the audit also finds it on a kernel that only counts. */
static void touch_unplugged_memory(char *region)
{
    memset(region + 32 * PM_MIB, 1, 16 * PM_MIB);
}

static void discard_plugged_page(char *region)
{
    assert_int_equal(madvise(region + 15 * PM_MIB, 4096, MADV_DONTNEED), 0);
}

static void resident_unplugged_memory_is_found(void **state)
{
    static const PmFakePin pins[] = {PM_FAKE_PIN_ACCOUNT, PM_FAKE_PIN_POPULATE, PM_FAKE_PIN_HOLD};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(pins); i++)
        assert_found((Meddler){.pin = pins[i], .meddle = touch_unplugged_memory},
                     pins[i] == PM_FAKE_PIN_ACCOUNT ? "16777216 bytes resident, 8388608 plugged"
                                                    : "25165824 bytes resident, 8388608 plugged");
}

static void plugged_memory_discarded_while_mapped_is_found(void **state)
{
    static const Meddler meddlers[] = {
        {.pin = PM_FAKE_PIN_POPULATE, .meddle = discard_plugged_page},
        {.pin = PM_FAKE_PIN_HOLD, .meddle = discard_plugged_page},
        {.pin = PM_FAKE_PIN_ACCOUNT, .prefault_threads = 1, .meddle = discard_plugged_page},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(meddlers); i++)
        assert_found(meddlers[i], "8384512 bytes resident, 8388608 populated: some were discarded");
}

static void undisturbed_memory_passes_in_every_pin_mode(void **state)
{
    static const PmFakePin pins[] = {PM_FAKE_PIN_ACCOUNT, PM_FAKE_PIN_POPULATE, PM_FAKE_PIN_HOLD};

    (void)state;
    for (size_t i = 0; i < 2 * G_N_ELEMENTS(pins); i++) {
        g_autoptr(PmReplayResult) result =
            replay_meddled((Meddler){.pin = pins[i / 2], .prefault_threads = i % 2});

        assert_true(result == NULL || pm_replay_is_right(result));
    }
}

static void percentiles_of_few_numbers(void **state)
{
    g_autoptr(GArray) numbers = g_array_new(FALSE, FALSE, sizeof(uint64_t));

    (void)state;
    assert_int_equal(pm_percentile(numbers, 50), 0);
    for (uint64_t i = 1; i <= 101; i++)
        g_array_append_val(numbers, i);
    assert_int_equal(pm_percentile(numbers, 0), 1);
    assert_int_equal(pm_percentile(numbers, 50), 51);
    assert_int_equal(pm_percentile(numbers, 99), 100);
    assert_int_equal(pm_percentile(numbers, 100), 101);
}

static void counts_of_one_are_singular(void **state)
{
    static const char one[] = "plugmap-trace 1\n"
                              "region addr=4G size=64M block=2M\n"
                              "plug addr=4G blocks=1 -> nack\n";
    g_autoptr(PmKernel) fake = make_fake();
    g_autoptr(PmTrace) trace = load_text(one, NULL, NULL);
    const PmReplayConfig config = {.kernel = fake, .fake = fake, .group = 1, .audit = true};
    g_autoptr(PmReplayResult) result = pm_replay(trace, &config, NULL);
    const PmReportStyle style = {.backend = "fake", .width = 80};
    g_autofree char *text = pm_report_text(trace, result, &style);

    (void)state;
    assert_non_null(strstr(text, ", 1 response differs\n"));
    assert_non_null(strstr(text, "line 3: plug of 1 block at 0x100000000: expected nack, got ack"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_replay_closes_everything),
        cmocka_unit_test(a_short_unmap_is_found_by_responses_and_audits),
        cmocka_unit_test(a_failing_map_only_changes_the_response),
        cmocka_unit_test(failure_to_open_the_iommu_is_an_error),
        cmocka_unit_test(a_failed_replay_is_reported),
        cmocka_unit_test(resident_unplugged_memory_is_found),
        cmocka_unit_test(plugged_memory_discarded_while_mapped_is_found),
        cmocka_unit_test(undisturbed_memory_passes_in_every_pin_mode),
        cmocka_unit_test(counts_of_one_are_singular),
        cmocka_unit_test(percentiles_of_few_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
