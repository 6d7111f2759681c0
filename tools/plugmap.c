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
#include "tools/print.h"

static const struct {
    const char *name;
    int (*main)(int argc, char **argv);
    const char *what;
} commands[] = {
    {"replay", pm_replay_main, "replay a trace of plug and unplug requests and audit the mappings"},
    {"convert", pm_convert_main, "convert a trace to plugmap's own format"},
};

static void print_usage(FILE *stream)
{
    fprintf(stream, "Usage: plugmap COMMAND [OPTIONS]\n\n"
                    "Replays virtio-mem traces and audits the device's DMA mappings.\n\n"
                    "Commands:\n");
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++)
        fprintf(stream, "  %-10s %s\n", commands[i].name, commands[i].what);
    fprintf(stream, "\nSee 'plugmap COMMAND --help' for the options. Version %s.\n",
            PLUGMAP_VERSION);
}

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

int main(int argc, char **argv)
{
    if (!open_standard_descriptors())
        return PM_EXIT_USAGE;
    /* Makes RLIMIT_FSIZE an EFBIG that is reported like any other error. */
    (void)signal(SIGXFSZ, SIG_IGN);
    setlocale(LC_ALL, "");
    if (argc < 2) {
        print_usage(stderr);
        return PM_EXIT_USAGE;
    }
    if (g_str_equal(argv[1], "--help") || g_str_equal(argv[1], "-h")) {
        print_usage(stdout);
        return PM_EXIT_OK;
    }
    if (g_str_equal(argv[1], "--version"))
        return print_version(argc, argv);
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        if (g_str_equal(argv[1], commands[i].name)) {
            g_autofree char *name = g_strdup_printf("plugmap %s", commands[i].name);

            g_set_prgname(name);
            return commands[i].main(argc - 1, argv + 1);
        }
    }
    fprintf(stderr, "plugmap: unknown command '%s' (see plugmap --help)\n", argv[1]);
    return PM_EXIT_USAGE;
}
