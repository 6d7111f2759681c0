/* SPDX-License-Identifier: MIT */
/* Bad input: exit status 2, one line on standard error, nothing on standard output, no leftover
 * files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <glib/gstdio.h>

#include "command_util.h"

#define HEADER "plugmap-trace 1\nregion addr=0x100000000 size=64M block=2M requested=64M\n"

static void check_status(const Run *run, int status, const char *hint)
{
    if (run->status != status || strstr(run->err, hint) == NULL)
        fail_msg("exit status %d, expected %d and '%s' in: %s", run->status, status, hint,
                 run->err);
    assert_string_equal(run->out, "");
    /* One line from us, not from a crash or GLib. */
    assert_true(g_str_has_prefix(run->err, "plugmap"));
    assert_ptr_equal(strchr(run->err, '\n'), run->err + strlen(run->err) - 1);
}

static void check_refused(const Run *run, const char *hint)
{
    check_status(run, 2, hint);
}

static void refuse_content(const char *content, gssize size, const char *hint)
{
    g_autofree char *folder = scratch_new();
    g_autofree char *path = scratch_file(folder, "bad.trace", content, size);
    g_autofree char *log = g_build_filename(folder, "dma.log", NULL);
    g_autofree char *converted = g_build_filename(folder, "converted", NULL);
    g_autoptr(Run) run = run_plugmap("replay", "--dma-log", log, path, NULL);
    g_autoptr(Run) convert = run_plugmap("convert", path, converted, NULL);
    bool has_leftovers =
        g_file_test(log, G_FILE_TEST_EXISTS) || g_file_test(converted, G_FILE_TEST_EXISTS);

    scratch_remove(folder);
    assert_false(g_file_test(folder, G_FILE_TEST_EXISTS));
    assert_false(has_leftovers);
    check_refused(run, hint);
    check_refused(convert, hint);
    assert_non_null(strstr(run->err, "bad.trace"));
}

static void an_empty_file_is_refused(void **state)
{
    (void)state;
    refuse_content("", 0, "empty");
}

static void a_binary_file_is_refused(void **state)
{
    static const char content[] = "\x7f"
                                  "ELF\0\1\2\3\0\0\0\n\0\0";

    (void)state;
    refuse_content(content, sizeof(content), "binary");
}

static void a_line_of_1_mib_is_refused(void **state)
{
    g_autofree char *line = g_strnfill(1 << 20, 'x');
    g_autofree char *content = g_strconcat(HEADER, line, "\n", NULL);

    (void)state;
    refuse_content(content, -1, ":3:");
}

static void numbers_that_overflow_are_refused(void **state)
{
    (void)state;
    refuse_content(HEADER "plug addr=0x10000000000000000 blocks=1\n", -1, ":3:");
    refuse_content(HEADER "plug addr=0x100000000 blocks=65536\n", -1, ":3:");
    refuse_content("plugmap-trace 1\nregion addr=0x100000000 size=16E block=2M\n", -1, ":2:");
    refuse_content("plugmap-trace 1\nregion addr=0x100000000 size=8E block=2M\n", -1,
                   ":2: invalid region size 8E: exceeds the 128T address space of a process");
    refuse_content("plugmap-trace 1\nregion addr=0xffffffffffe00000 size=64M block=2M\n", -1,
                   ":2:");
}

static void blocks_outside_the_region_are_refused(void **state)
{
    (void)state;
    refuse_content(HEADER "plug addr=0x104000000 blocks=1 -> ack\n", -1, ":3:");
    refuse_content(HEADER "plug addr=0x103e00000 blocks=2 -> ack\n", -1, ":3:");
}

static void block_size_must_be_a_power_of_two(void **state)
{
    (void)state;
    refuse_content("plugmap-trace 1\nregion addr=0x100000000 size=60M block=3M\n", -1,
                   "power of two");
}

static void an_unknown_event_is_refused(void **state)
{
    (void)state;
    refuse_content(HEADER "explode addr=0x100000000 blocks=1\n", -1, "explode");
}

static void a_missing_header_is_refused(void **state)
{
    (void)state;
    refuse_content("plug addr=0x100000000 blocks=1\n", -1, "bad.trace");
}

static void a_log_without_the_block_size_is_refused(void **state)
{
    g_autofree char *folder = scratch_new();
    g_autofree char *path = scratch_file(
        folder, "bad.log",
        "ram_block_discard_range @0x7f0000000000 + 0x4000000: madvise: 1 fallocate: 0 ret: 0\n"
        "virtio_mem_plug_request addr=0x100000000 nb_blocks=1\n"
        "virtio_mem_send_response type=0\n",
        -1);
    g_autoptr(Run) without = run_plugmap("replay", path, NULL);
    g_autoptr(Run) with =
        run_plugmap("replay", "--block-size", "2M", "--region-addr", "0x100000000", path, NULL);

    (void)state;
    scratch_remove(folder);
    check_refused(without, "--block-size");
    assert_string_equal(with->err, "");
    assert_int_equal(with->status, 0);
}

static void a_directory_is_refused(void **state)
{
    g_autoptr(Run) run = run_plugmap("replay", "tests/traces", NULL);

    (void)state;
    check_refused(run, "directory");
}

static void a_missing_file_is_refused(void **state)
{
    g_autoptr(Run) run = run_plugmap("replay", "tests/traces/none.log", NULL);

    (void)state;
    check_refused(run, "tests/traces/none.log");
}

static void a_missing_device_is_refused(void **state)
{
    g_autoptr(Run) run = run_plugmap("replay", "--backend", "type1", "--device", "ffff:1f:1f.7",
                                     "tests/traces/qemu-vfio-4m.log", NULL);

    (void)state;
    check_status(run, 3, "ffff:1f:1f.7");
}

static void invalid_options_are_refused(void **state)
{
    static const struct {
        const char *flag;
        const char *value;
        const char *hint;
    } cases[] = {
        {"--backend", "vdpa", "fake, fake-iommufd, type1, iommufd, auto"},
        {"--memory", "ssd", "anon, memfd, hugetlb"},
        {"--memory", "hugetlb", "requires --pin populate"},
        {"--pin", "hard", "account, populate"},
        {"--block-size", "2X", "2X"},
        {"--block-size", "3M", "power of two"},
        {"--region-addr", "-1", "-1"},
        {"--format", "vcr", "vcr"},
        {"--device", "4:0", "invalid PCI address '4:0'"},
        {"--linux", "5.10", "6.12, 6.1"},
        {"--iova-bits", "29", "invalid --iova-bits 29: must be a number from 30 to 64"},
        {"--iova-bits", "65", "from 30 to 64"},
        {"--entry-limit", "0", "invalid --entry-limit 0: must be a number from 1 to 4294967295"},
        {"--entry-limit", "4G", "from 1 to 4294967295"},
        {"--memlock", "much", "invalid --memlock much"},
        {"--backend", "iommufd", "--backend iommufd requires --device BDF"},
        {"--backend", "auto", "--backend auto requires --device BDF"},
        {"--prefault", "-1", "0 to 64 threads"},
        {"--prefault", "65", "0 to 64 threads"},
        {"--dma-check", "--no-audit", "part of the audit"},
        {"--force", "--verbose", "--force requires --device, --pin populate"},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(Run) run = run_plugmap("replay", cases[i].flag, cases[i].value,
                                         "tests/traces/qemu-vfio-4m.log", NULL);

        check_refused(run, cases[i].hint);
    }
}

static void fake_backends_refuse_a_device(void **state)
{
    g_autoptr(Run) run = run_plugmap("replay", "--backend", "fake-iommufd", "--device",
                                     "0000:00:04.0", "tests/traces/qemu-vfio-4m.log", NULL);

    (void)state;
    check_refused(run, "--backend fake-iommufd does not support --device");
}

static void an_option_that_contradicts_the_log_is_refused(void **state)
{
    g_autoptr(Run) run =
        run_plugmap("replay", "--block-size", "2M", "tests/traces/qemu-vfio-4m.log", NULL);

    (void)state;
    check_refused(run, "qemu-vfio-4m.log:");
}

static void exceeding_the_limit_fails_before_the_first_call(void **state)
{
    g_autofree char *folder = scratch_new();
    g_autofree char *path =
        scratch_file(folder, "trace",
                     "plugmap-trace 1\nregion addr=0x100000000 size=1G block=4K requested=1G\n"
                     "plug addr=0x100000000 blocks=1 -> ack\n",
                     -1);
    g_autofree char *log = g_build_filename(folder, "dma.log", NULL);
    g_autoptr(Run) run = run_plugmap("replay", "--dma-log", log, path, NULL);

    (void)state;
    scratch_remove(folder);
    assert_int_equal(run->status, 4);
    assert_string_equal(run->out, "");
    assert_non_null(strstr(run->err, "65,535"));
    assert_non_null(strstr(run->err, "262,144"));
    assert_non_null(strstr(run->err, "32K"));
}

/* /dev/full fails every write: the command must report it, and must not replace the device. */
static void write_errors_are_reported(void **state)
{
    static const char trace[] = "tests/traces/qemu-vfio-4m.log";
    g_autoptr(Run) dma_log = run_plugmap("replay", "--dma-log", "/dev/full", trace, NULL);
    g_autoptr(Run) convert = run_plugmap("convert", trace, "/dev/full", NULL);
    g_autoptr(Run) no_folder = run_plugmap("convert", trace, "/nonexistent/x", NULL);

    (void)state;
    check_refused(dma_log, "/dev/full: write failed: No space left");
    check_refused(convert, "/dev/full: write failed: No space left");
    check_refused(no_folder, "/nonexistent/x: write failed: No such file");
    assert_false(g_file_test("/dev/full", G_FILE_TEST_IS_REGULAR));
}

static void full_standard_output_is_an_error(void **state)
{
    static const char trace[] = "tests/traces/qemu-vfio-4m.log";
    static const char *const commands[] = {"replay", "replay --json", "convert"};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        g_autofree char *line =
            g_strdup_printf("\"$PLUGMAP\" %s %s >/dev/full", commands[i], trace);

        assert_int_equal(run_shell(line, NULL), 2);
    }
}

static void missing_arguments_are_refused(void **state)
{
    g_autoptr(Run) nothing = run_plugmap(NULL, NULL);
    g_autoptr(Run) unknown = run_plugmap("fly", NULL);
    g_autoptr(Run) no_file = run_plugmap("replay", NULL);

    (void)state;
    assert_int_equal(nothing->status, 2);
    assert_non_null(strstr(nothing->err, "Usage"));
    check_refused(unknown, "fly");
    check_refused(no_file, "trace file");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_file_is_refused),
        cmocka_unit_test(a_binary_file_is_refused),
        cmocka_unit_test(a_line_of_1_mib_is_refused),
        cmocka_unit_test(numbers_that_overflow_are_refused),
        cmocka_unit_test(blocks_outside_the_region_are_refused),
        cmocka_unit_test(block_size_must_be_a_power_of_two),
        cmocka_unit_test(an_unknown_event_is_refused),
        cmocka_unit_test(a_missing_header_is_refused),
        cmocka_unit_test(a_log_without_the_block_size_is_refused),
        cmocka_unit_test(a_directory_is_refused),
        cmocka_unit_test(a_missing_file_is_refused),
        cmocka_unit_test(a_missing_device_is_refused),
        cmocka_unit_test(invalid_options_are_refused),
        cmocka_unit_test(fake_backends_refuse_a_device),
        cmocka_unit_test(an_option_that_contradicts_the_log_is_refused),
        cmocka_unit_test(exceeding_the_limit_fails_before_the_first_call),
        cmocka_unit_test(write_errors_are_reported),
        cmocka_unit_test(full_standard_output_is_an_error),
        cmocka_unit_test(missing_arguments_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
