/* SPDX-License-Identifier: MIT */
/* The command: dispatches to the sub-command. */
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include <glib.h>

#include "tools/commands.h"
#include "tools/exit_status.h"
#include "tools/help_text.h"
#include "tools/print.h"
#include "tools/terminal.h"

/* The next open() would reuse a closed standard descriptor, and messages would end up in that file.
 * The access mode is reversed, so that reading or writing fails. */
static bool open_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        int flags = fd == STDIN_FILENO ? O_WRONLY : O_RDONLY;

        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", flags) != fd)
            return false;
    }
    return true;
}

static int print_version(int argc, char **argv)
{
    const PmJsonReport report = {.command = "version", .version = PLUGMAP_VERSION};
    g_autoptr(GError) error = NULL;
    bool printed = pm_json_is_asked_for(argc, argv)
                       ? pm_print_json(&report, &error)
                       : pm_print("plugmap " PLUGMAP_VERSION "\n", &error);

    if (printed)
        return PM_EXIT_OK;
    fprintf(stderr, "plugmap: %s\n", error->message);
    return PM_EXIT_USAGE;
}

static int print_help(FILE *stream, const PmCommand *command)
{
    unsigned width = pm_terminal_width();
    g_autofree char *text = command != NULL ? pm_help_text(command, width, false)
                                            : pm_help_list(pm_commands, PLUGMAP_VERSION, width);

    if (fputs(text, stream) >= 0 && fflush(stream) == 0)
        return PM_EXIT_OK;
    fprintf(stderr, "plugmap: standard output: write failed: %s\n", g_strerror(errno));
    return PM_EXIT_USAGE;
}

/* @argv begins with the name of the command. */
static int run_command(int argc, char **argv)
{
    const PmCommand *command = pm_commands_find(argv[0]);
    g_autofree char *text = command != NULL ? g_strdup_printf("plugmap %s", command->name)
                                            : pm_commands_unknown(argv[0]);

    if (command == NULL) {
        fprintf(stderr, "plugmap: %s\n", text);
        return PM_EXIT_USAGE;
    }
    g_set_prgname(text);
    if (pm_command_line_has(argc, argv, "--help", 'h'))
        return print_help(stdout, command);
    if (pm_command_line_has(argc, argv, "--version", 0))
        return print_version(argc, argv);
    return command->main(argc, argv);
}

int main(int argc, char **argv)
{
    if (!open_standard_descriptors())
        return PM_EXIT_USAGE;
    /* Makes RLIMIT_FSIZE an EFBIG that is reported like any other error. */
    (void)signal(SIGXFSZ, SIG_IGN);
    setlocale(LC_ALL, "");
    setlocale(LC_NUMERIC, "C"); /* numbers of reports are the same everywhere */
    if (argc < 2) {
        (void)print_help(stderr, NULL);
        return PM_EXIT_USAGE;
    }
    if (g_str_equal(argv[1], "--help") || g_str_equal(argv[1], "-h"))
        return print_help(stdout, NULL);
    if (g_str_equal(argv[1], "--version"))
        return print_version(argc, argv);
    return run_command(argc - 1, argv + 1);
}
