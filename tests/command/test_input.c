/* SPDX-License-Identifier: MIT */
/* Input of the command: sources of traces, formats of addresses and sizes, options of the fake
 * kernel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "command_util.h"

#define TRACE "tests/traces/qemu-vfio-4m.log"

static JsonParser *parse(const Run *run)
{
    if (run->status != 0 && run->status != 1)
        fail_msg("exit status %d: %s", run->status, run->err);
    return json_parse(run);
}

static void traces_are_read_from_standard_input_and_gzip(void **state)
{
    static const char *const lines[] = {
        "\"$PLUGMAP\" replay - <" TRACE,
        "cat " TRACE " | \"$PLUGMAP\" replay -",
        "gzip -c " TRACE " | \"$PLUGMAP\" replay -",
        "gzip -c " TRACE " >\"$1/trace\" && \"$PLUGMAP\" replay \"$1/trace\"",
        "gzip -c " TRACE " | \"$PLUGMAP\" convert - | \"$PLUGMAP\" replay -",
        "sed 's/$/\\r/' " TRACE " | \"$PLUGMAP\" replay -",
        "{ printf '\\357\\273\\277'; cat " TRACE "; } | \"$PLUGMAP\" replay -",
    };
    g_autofree char *folder = scratch_new();

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_autofree char *line =
            g_strdup_printf("set -e; %s >\"$1/out\"; grep -q '^responses 37 ack' "
                            "\"$1/out\"",
                            lines[i]);

        if (run_shell(line, folder) != 0)
            fail_msg("failed: %s", lines[i]);
    }
    scratch_remove(folder);
}

static void a_truncated_log_is_replayed_with_a_warning(void **state)
{
    g_autofree char *folder = scratch_new();

    (void)state;
    assert_int_equal(run_shell("head -c -5 " TRACE " >\"$1/trace\" && "
                               "\"$PLUGMAP\" replay \"$1/trace\" 2>\"$1/message\" && "
                               "grep -q '^plugmap replay: warning: .*/trace:[0-9]*: ignored the "
                               "last line' \"$1/message\"",
                               folder),
                     0);
    scratch_remove(folder);
}

/* The error shows the complete address. */
static void the_domain_of_a_pci_address_is_optional(void **state)
{
    static const char *const given[] = {"1f:1f.7", "1F:1f.7", "0000:1f:1f.7", "0000:1F:1F.7"};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(given); i++) {
        g_autoptr(Run) run =
            run_plugmap("replay", "--backend", "type1", "--device", given[i], TRACE, NULL);

        assert_int_equal(run->status, 3);
        assert_non_null(strstr(run->err, "0000:1f:1f.7"));
    }
}

static void sizes_have_optional_units(void **state)
{
    static const char *const units[] = {"4G", "4Gi", "4GiB", "4gb", "4096M", "0x100000000"};
    g_autofree char *folder = scratch_new();

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(units); i++) {
        g_autofree char *text = g_strdup_printf(
            "plugmap-trace 1\nregion addr=%s size=%s block=2Mi\n", units[i], units[i]);
        g_autofree char *path = scratch_file(folder, "trace", text, -1);
        g_autoptr(Run) run = run_plugmap("replay", path, NULL);

        assert_int_equal(run->status, 0);
        assert_non_null(strstr(run->out, ": 4G at 0x100000000, block size 2M, "));
    }
    scratch_remove(folder);
}

static void a_trace_of_several_devices_is_replayed(void **state)
{
    g_autofree char *folder = scratch_new();
    g_autofree char *path = scratch_file(folder, "trace",
                                         "plugmap-trace 1\n"
                                         "region device=vm0 addr=4G size=64M block=2M\n"
                                         "region device=vm1 addr=8G size=64M block=4M\n"
                                         "plug device=vm0 addr=4G blocks=2 -> ack\n"
                                         "plug device=vm1 addr=8G blocks=2 -> ack\n",
                                         -1);
    g_autoptr(Run) run = run_plugmap("replay", "--json", path, NULL);
    g_autoptr(Run) checked = run_plugmap("replay", "--dma-check", path, NULL);
    g_autoptr(JsonParser) json = parse(run);

    (void)state;
    scratch_remove(folder);
    assert_int_equal(run->status, 0);
    assert_int_equal(json_number(json, "dma.final_pinned_bytes"), 12 << 20);
    assert_int_equal(checked->status, 2);
    assert_non_null(strstr(checked->err, "--dma-check supports one device, the trace has 2"));
}

/* --- the fake kernel --- */

#define TERABYTE                                                                                   \
    "plugmap-trace 1\n"                                                                            \
    "region addr=4G size=1T block=32M\n"                                                           \
    "plug addr=4G blocks=32768 -> ack\n"                                                           \
    "state addr=4G blocks=32768 -> plugged\n"                                                      \
    "unplug addr=0x8000000000 blocks=16384 -> ack\n"

static Run *replay_terabyte(const char *first, const char *second)
{
    g_autofree char *folder = scratch_new();
    g_autofree char *path = scratch_file(folder, "trace", TERABYTE, -1);
    Run *run = run_plugmap("replay", "--json", "--iova-bits", "48", path, first, second, NULL);

    scratch_remove(folder);
    return run;
}

static void the_fake_kernel_replays_1_tib(void **state)
{
    g_autoptr(Run) run = replay_terabyte("--memlock", "1T");
    g_autoptr(JsonParser) json = parse(run);

    (void)state;
    assert_int_equal(run->status, 0);
    assert_int_equal(json_number(json, "dma.peak_mappings"), 32768);
    assert_int_equal(json_number(json, "dma.peak_pinned_bytes"), G_GINT64_CONSTANT(1) << 40);
}

static void limits_of_the_fake_kernel_refuse_1_tib(void **state)
{
    static const struct {
        const char *flag;
        const char *value;
        const char *hint;
    } table[] = {
        {"--memlock", "1023G", "the limit of 1023G"},
        {"--entry-limit", "32767", "32,767"},
        {"--iova-bits", "40", "0x"},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autoptr(Run) run = replay_terabyte(table[i].flag, table[i].value);

        assert_int_equal(run->status, 4);
        if (strstr(run->err, table[i].hint) == NULL)
            fail_msg("expected '%s' in: %s", table[i].hint, run->err);
    }
}

static void overcommit_fails_only_when_the_limit_is_reached(void **state)
{
    g_autofree char *folder = scratch_new();
    g_autofree char *path = scratch_file(folder, "trace", TERABYTE, -1);
    g_autoptr(Run) run = run_plugmap("replay", "--json", "--iova-bits", "48", "--memlock", "512G",
                                     "--overcommit", path, NULL);
    g_autoptr(JsonParser) json = parse(run);

    (void)state;
    scratch_remove(folder);
    assert_int_equal(run->status, 1);
    assert_int_equal(json_number(json, "responses.busy"), 1);
    assert_int_equal(json_number(json, "n_consequences"), 2);
    assert_int_equal(json_number(json, "audit.mismatches"), 0);
}

static void linux_6_1_replays_like_6_12(void **state)
{
    g_autoptr(Run) run = run_plugmap("replay", "--linux", "6.1", TRACE, NULL);

    (void)state;
    assert_int_equal(run->status, 0);
}

static void iova_bits_bound_the_address_space(void **state)
{
    static const struct {
        const char *bits;
        const char *address;
        int status;
    } table[] = {
        {"30", "0x3c000000", 0},  {"30", "0x3e000000", 4},         {"33", "0x1fc000000", 0},
        {"33", "0x1fe000000", 4}, {"64", "0xfffffffff0000000", 0}, {"40", "0xfc000000", 4},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autofree char *folder = scratch_new();
        g_autofree char *text =
            g_strdup_printf("plugmap-trace 1\nregion addr=%s size=64M block=2M\n"
                            "plug addr=%s blocks=32 -> ack\n",
                            table[i].address, table[i].address);
        g_autofree char *path = scratch_file(folder, "trace", text, -1);
        g_autoptr(Run) run = run_plugmap("replay", "--iova-bits", table[i].bits, path, NULL);

        scratch_remove(folder);
        if (run->status != table[i].status)
            fail_msg("%s bits, %s: exit status %d: %s", table[i].bits, table[i].address,
                     run->status, run->err);
    }
}

static void options_of_the_fake_kernel_are_refused_with_a_device(void **state)
{
    static const char *const flags[][2] = {
        {"--pin", "account"}, {"--linux", "6.1"},       {"--iova-bits", "48"},
        {"--memlock", "1G"},  {"--entry-limit", "100"},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(flags); i++) {
        g_autoptr(Run) run = run_plugmap("replay", "--device", "ffff:1f:1f.7", flags[i][0],
                                         flags[i][1], TRACE, NULL);
        g_autofree char *wanted = g_strdup_printf("plugmap replay: %s requires the fake kernel: "
                                                  "drop it or --device\n",
                                                  flags[i][0]);

        assert_int_equal(run->status, 2);
        assert_string_equal(run->err, wanted);
    }
}

static void options_that_iommufd_does_not_support_are_refused(void **state)
{
    g_autoptr(Run) limit =
        run_plugmap("replay", "--backend", "fake-iommufd", "--entry-limit", "100", TRACE, NULL);
    g_autoptr(Run) old =
        run_plugmap("replay", "--backend", "fake-iommufd", "--linux", "6.1", TRACE, NULL);

    (void)state;
    assert_int_equal(limit->status, 2);
    assert_non_null(strstr(limit->err, "--backend fake-iommufd has no mapping limit"));
    assert_int_equal(old->status, 2);
    assert_non_null(strstr(old->err, "--linux 6.1 has no iommufd"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(traces_are_read_from_standard_input_and_gzip),
        cmocka_unit_test(a_truncated_log_is_replayed_with_a_warning),
        cmocka_unit_test(the_domain_of_a_pci_address_is_optional),
        cmocka_unit_test(sizes_have_optional_units),
        cmocka_unit_test(a_trace_of_several_devices_is_replayed),
        cmocka_unit_test(the_fake_kernel_replays_1_tib),
        cmocka_unit_test(limits_of_the_fake_kernel_refuse_1_tib),
        cmocka_unit_test(overcommit_fails_only_when_the_limit_is_reached),
        cmocka_unit_test(linux_6_1_replays_like_6_12),
        cmocka_unit_test(iova_bits_bound_the_address_space),
        cmocka_unit_test(options_of_the_fake_kernel_are_refused_with_a_device),
        cmocka_unit_test(options_that_iommufd_does_not_support_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
