/* SPDX-License-Identifier: MIT */
/* --help, 'plugmap help', and what is said about unknown commands and options. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <plugmap/version.h>

#include "command_util.h"
#include "tools/commands.h"

static Run *run_at_width(const char *width, const char *first, const char *second)
{
    Run *run;

    g_setenv("COLUMNS", width, TRUE);
    run = run_plugmap(first, second, NULL);
    g_unsetenv("COLUMNS");
    assert_int_equal(run->status, 0);
    assert_string_equal(run->err, "");
    return run;
}

static void assert_fits(const char *text, size_t width)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    for (char **line = lines; *line != NULL; line++)
        if (strlen(*line) > width)
            fail_msg("%zu columns are exceeded: %s", width, *line);
}

static void assert_ends_with_examples(const char *text)
{
    const char *examples = strstr(text, "\nExamples:\n  ");

    assert_non_null(examples);
    assert_null(strstr(examples + 1, "\n\n"));
    assert_non_null(strstr(examples, "  plugmap "));
}

static void help_fits_the_terminal_and_ends_with_examples(void **state)
{
    static const char *const widths[] = {"80", "60", "40"};
    (void)state;
    for (size_t j = 0; j < G_N_ELEMENTS(widths); j++) {
        size_t width = (size_t)g_ascii_strtoull(widths[j], NULL, 10);

        for (size_t i = 0; pm_commands[i] != NULL; i++) {
            g_autoptr(Run) brief = run_at_width(widths[j], pm_commands[i]->name, "--help");
            g_autoptr(Run) all = run_at_width(widths[j], "help", pm_commands[i]->name);

            assert_fits(brief->out, width);
            assert_fits(all->out, width);
            assert_ends_with_examples(brief->out);
            assert_ends_with_examples(all->out);
        }
    }
}

static void the_list_of_commands_fits_the_terminal(void **state)
{
    g_autoptr(Run) wide = run_at_width("80", "help", NULL);
    g_autoptr(Run) narrow = run_at_width("60", "--help", NULL);
    g_autoptr(Run) wide_again = run_at_width("80", "-h", NULL);
    g_autoptr(Run) invalid = run_at_width("wide", "help", NULL);

    (void)state;
    assert_fits(wide->out, 80);
    assert_fits(narrow->out, 60);
    assert_string_equal(wide->out, wide_again->out);
    assert_string_equal(wide->out, invalid->out);
    assert_string_not_equal(wide->out, narrow->out);
}

static void help_of_each_command_fits_a_screen(void **state)
{
    (void)state;
    for (size_t i = 0; pm_commands[i] != NULL; i++) {
        g_autoptr(Run) run = run_at_width("80", pm_commands[i]->name, "--help");
        unsigned n_lines = 0;

        for (const char *end = run->out; (end = strchr(end, '\n')) != NULL; end++)
            n_lines++;
        if (n_lines > 28)
            fail_msg("plugmap %s --help has %u lines: make groups minor", pm_commands[i]->name,
                     n_lines);
    }
}

static void every_option_is_in_the_help(void **state)
{
    g_autoptr(Run) brief = run_plugmap("replay", "--help", NULL);
    g_autoptr(Run) all = run_plugmap("help", "replay", NULL);

    (void)state;
    assert_non_null(strstr(brief->out, "\nFake kernel: --pin, --linux,"));
    assert_non_null(strstr(all->out, "\nFake kernel:\n  --pin MODE "));
    assert_non_null(strstr(all->out, "\n  --version "));
    assert_non_null(strstr(all->out, "\n  -h, --help "));
}

static void assert_message(const Run *run, const char *message)
{
    assert_int_equal(run->status, 2);
    assert_string_equal(run->err, message);
}

static void a_misspelled_name_is_corrected(void **state)
{
    g_autoptr(Run) command = run_plugmap("relpay", NULL);
    g_autoptr(Run) start = run_plugmap("conv", NULL);
    g_autoptr(Run) help = run_plugmap("help", "replayy", NULL);
    g_autoptr(Run) option = run_plugmap("replay", "--dma-lgo=x", "trace", NULL);
    g_autoptr(Run) value = run_plugmap("replay", "--dma-log", "--jsom", "--jsn", NULL);

    (void)state;
    assert_message(command, "plugmap: unknown command 'relpay': did you mean 'replay'? "
                            "(see plugmap --help)\n");
    assert_message(start, "plugmap: unknown command 'conv': did you mean 'convert'? "
                          "(see plugmap --help)\n");
    assert_message(help, "plugmap help: unknown command 'replayy': did you mean 'replay'? "
                         "(see plugmap --help)\n");
    assert_message(option, "plugmap replay: unknown option '--dma-lgo': did you mean '--dma-log'? "
                           "(see plugmap replay --help)\n");
    assert_message(value, "plugmap replay: unknown option '--jsn': did you mean '--json'? "
                          "(see plugmap replay --help)\n");
}

static void nothing_is_suggested_for_what_is_not_similar(void **state)
{
    g_autoptr(Run) command = run_plugmap("xyzzy", NULL);
    g_autoptr(Run) option = run_plugmap("replay", "--xyzzy", NULL);
    g_autoptr(Run) letter = run_plugmap("replay", "-x", NULL);
    g_autoptr(Run) surplus = run_plugmap("help", "replay", "convert", NULL);

    (void)state;
    assert_message(command, "plugmap: unknown command 'xyzzy' (see plugmap --help)\n");
    assert_message(option,
                   "plugmap replay: unknown option '--xyzzy' (see plugmap replay --help)\n");
    assert_message(letter, "plugmap replay: unknown option '-x' (see plugmap replay --help)\n");
    assert_message(surplus, "plugmap help: expected one command (see plugmap help)\n");
}

static void each_command_prints_the_version(void **state)
{
    (void)state;
    for (size_t i = 0; pm_commands[i] != NULL; i++) {
        g_autoptr(Run) run = run_plugmap(pm_commands[i]->name, "--version", NULL);

        assert_int_equal(run->status, 0);
        assert_string_equal(run->out, "plugmap " PM_VERSION_STRING "\n");
    }
}

static void help_after_two_dashes_is_a_file(void **state)
{
    g_autoptr(Run) run = run_plugmap("convert", "--", "--help", NULL);

    (void)state;
    assert_int_equal(run->status, 2);
    assert_string_equal(run->out, "");
}

static void failing_to_write_help_is_reported(void **state)
{
    (void)state;
    assert_int_equal(run_shell("\"$PLUGMAP\" replay --help >/dev/full", NULL), 2);
    assert_int_equal(run_shell("\"$PLUGMAP\" help replay >/dev/full", NULL), 2);
}

/* --- the examples --- */

/* The files that examples name. */
static const char prepare[] =
    "set -e; ln -s \"$PLUGMAP\" \"$1\"/plugmap\n"
    "cp tests/traces/grow-shrink-2m.log \"$1\"/guest.log\n"
    "cp tests/traces/reboot-4m.log \"$1\"/qemu.log\n"
    "grep -v ram_block_discard tests/traces/busy-2m.log >\"$1\"/partial.log\n"
    "cp tests/traces/qemu-vfio-4m.dma \"$1\"/dma.log\n"
    "\"$PLUGMAP\" convert tests/traces/busy-2m.log \"$1\"/guest.trace\n";

/* No test has the device that an example names. */
static void run_example(const PmExample *example, const char *folder)
{
    static const char device[] = "[0-9a-f]{2}:[0-9a-f]{2}\\.[0-7]";
    bool has_device = g_regex_match_simple(device, example->line, 0, 0);
    g_autofree char *call = g_strdup_printf("cd \"$1\" && PATH=\"$1:$PATH\" && %s", example->line);
    int expected = has_device ? PM_EXIT_NOT_READY : example->status;
    int status = run_shell(call, folder);

    if (status != expected)
        fail_msg("exit status %d, expected %d: %s", status, expected, example->line);
}

static void examples_work(void **state)
{
    g_autofree char *folder = scratch_new();

    (void)state;
    assert_int_equal(run_shell(prepare, folder), 0);
    for (size_t i = 0; pm_commands[i] != NULL; i++) {
        assert_non_null(pm_commands[i]->examples[0].line);
        for (const PmExample *example = pm_commands[i]->examples; example->line != NULL; example++)
            run_example(example, folder);
    }
    scratch_remove(folder);
}

/* --- the tables --- */

static void assert_option(const PmCommand *command, const PmOption *option)
{
    assert_non_null(option->help);
    if (g_str_has_suffix(option->help, "."))
        fail_msg("%s --%s: the help ends with a period", command->name, option->name);
    if ((option->kind == PM_VALUE_FLAG) != (option->value == NULL))
        fail_msg("%s --%s: a value's name, or none", command->name, option->name);
    if ((option->kind == PM_VALUE_CHOICE) != (option->choices != NULL))
        fail_msg("%s --%s: choices, or none", command->name, option->name);
    if (option->detail != NULL && g_str_has_suffix(option->detail, "."))
        fail_msg("%s --%s: the help adds the period at the end", command->name, option->name);
    for (const char *const *choice = option->choices; choice != NULL && *choice != NULL; choice++)
        if (!g_strrstr(option->help, *choice))
            fail_msg("%s --%s: '%s' is not in the help", command->name, option->name, *choice);
}

static void each_table_is_complete(void **state)
{
    (void)state;
    for (size_t i = 0; pm_commands[i] != NULL; i++) {
        const PmCommand *command = pm_commands[i];

        assert_non_null(command->description[0]);
        assert_true(g_ascii_islower(command->summary[0]));
        assert_false(g_str_has_suffix(command->summary, "."));
        for (const PmOptionGroup *group = command->groups; group->options != NULL; group++)
            for (const PmOption *option = group->options; option->name != NULL; option++)
                assert_option(command, option);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(help_fits_the_terminal_and_ends_with_examples),
        cmocka_unit_test(the_list_of_commands_fits_the_terminal),
        cmocka_unit_test(help_of_each_command_fits_a_screen),
        cmocka_unit_test(every_option_is_in_the_help),
        cmocka_unit_test(a_misspelled_name_is_corrected),
        cmocka_unit_test(nothing_is_suggested_for_what_is_not_similar),
        cmocka_unit_test(each_command_prints_the_version),
        cmocka_unit_test(help_after_two_dashes_is_a_file),
        cmocka_unit_test(failing_to_write_help_is_reported),
        cmocka_unit_test(examples_work),
        cmocka_unit_test(each_table_is_complete),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
