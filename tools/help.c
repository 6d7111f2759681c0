/* SPDX-License-Identifier: MIT */
/* plugmap help: what the sub-commands do. */
#include <stdio.h>

#include "base/error_text.h"
#include "tools/commands.h"
#include "tools/help_files.h"
#include "tools/help_text.h"
#include "tools/print.h"
#include "tools/terminal.h"

typedef struct {
    char *files;
    char **names; /* of the command */
} Options;

static void options_clear(Options *options)
{
    g_free(options->files);
    g_strfreev(options->names);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Options, options_clear)

static char *make_text(const Options *options, GError **error)
{
    const PmCommand *command;
    g_autofree char *unknown = NULL;

    if (options->names == NULL)
        return pm_help_list(pm_commands, PLUGMAP_VERSION, pm_terminal_width());
    command = pm_commands_find(options->names[0]);
    if (command != NULL && options->names[1] == NULL)
        return pm_help_text(command, pm_terminal_width(), true);
    unknown = command == NULL ? pm_commands_unknown(options->names[0])
                              : g_strdup("expected one command (see plugmap help)");
    pm_fail(error, PM_ERROR_INVALID_ARGUMENT, "%s", unknown);
    return NULL;
}

static bool help(const Options *options, GError **error)
{
    g_autofree char *text = NULL;

    if (options->files != NULL)
        return pm_help_write_files(pm_commands, PLUGMAP_VERSION, options->files, error);
    text = make_text(options, error);
    return text != NULL && pm_print(text, error);
}

static int help_main(int argc, char **argv)
{
    g_auto(Options) options = {0};
    g_autoptr(GError) error = NULL;

    if (pm_command_line_parse(&pm_help_command, &options, argc, argv, &error) &&
        help(&options, &error))
        return PM_EXIT_OK;
    fprintf(stderr, "plugmap help: %s\n", error->message);
    return PM_EXIT_USAGE;
}

/* The build uses it (cmake/man.cmake). */
static const PmOption option_list[] = {
    {"files", 0, PM_VALUE_FILE, offsetof(Options, files), "FOLDER",
     .help = "write pages of the manual and completion for shells", .is_hidden = true},
    PM_OPTION_END,
};

const PmCommand pm_help_command = {
    .name = "help",
    .summary = "list the commands, or explain one",
    .arguments = "[COMMAND]",
    .argument = PM_VALUE_COMMAND,
    .rest = offsetof(Options, names),
    .description =
        {
            "Prints everything about COMMAND, without it a list of the commands. plugmap "
            "COMMAND --help prints the main part.",
        },
    .groups =
        {
            {"Options", option_list, 0, false},
        },
    .examples =
        {
            {"plugmap help", "list the commands", PM_EXIT_OK},
            {"plugmap help replay", "all options of plugmap replay", PM_EXIT_OK},
        },
    .statuses = {PM_EXIT_USAGE},
    .main = help_main,
};
