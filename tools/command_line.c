/* SPDX-License-Identifier: MIT */
#include "tools/command_line.h"

#include <string.h>

#include "tools/suggestion.h"

static GOptionArg arg_of(const PmOption *option)
{
    switch (option->kind) {
    case PM_VALUE_FLAG:
        return G_OPTION_ARG_NONE;
    case PM_VALUE_INTEGER:
        return G_OPTION_ARG_INT;
    case PM_VALUE_FILE:
        return option->is_list ? G_OPTION_ARG_FILENAME_ARRAY : G_OPTION_ARG_FILENAME;
    case PM_VALUE_TEXT:
    case PM_VALUE_SIZE:
    case PM_VALUE_BDF:
    case PM_VALUE_CHOICE:
    case PM_VALUE_COMMAND:
        break;
    }
    return option->is_list ? G_OPTION_ARG_STRING_ARRAY : G_OPTION_ARG_STRING;
}

static void add_entry(GOptionContext *context, const char *name, int letter, GOptionArg arg,
                      void *member)
{
    const GOptionEntry entries[] = {
        {name, (gchar)letter, 0, arg, member, NULL, NULL},
        G_OPTION_ENTRY_NULL,
    };

    g_option_context_add_main_entries(context, entries, NULL);
}

static GOptionContext *make_context(const PmCommand *command, char *options)
{
    GOptionContext *context = g_option_context_new(NULL);

    g_option_context_set_help_enabled(context, FALSE);
    for (const PmOptionGroup *group = command->groups; group->options != NULL; group++)
        for (const PmOption *option = group->options; option->name != NULL; option++)
            add_entry(context, option->name, option->letter, arg_of(option),
                      options + group->base + option->member);
    if (command->arguments != NULL)
        add_entry(context, G_OPTION_REMAINING, 0,
                  command->argument == PM_VALUE_FILE ? G_OPTION_ARG_FILENAME_ARRAY
                                                     : G_OPTION_ARG_STRING_ARRAY,
                  options + command->rest);
    return context;
}

/* The options as they are typed. */
static GPtrArray *list_options(const PmCommand *command)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);

    for (const PmOptionGroup *group = command->groups; group->options != NULL; group++)
        for (const PmOption *option = group->options; option->name != NULL; option++)
            if (!option->is_hidden)
                g_ptr_array_add(names, g_strconcat("--", option->name, NULL));
    g_ptr_array_add(names, g_strdup("--help"));
    g_ptr_array_add(names, g_strdup("--version"));
    g_ptr_array_add(names, NULL);
    return names;
}

/* GLib's message ends with the option, which has its value if that is in the same argument. */
static void replace_unknown_option(const PmCommand *command, int argc, char **argv, GError *error)
{
    g_autoptr(GPtrArray) names = list_options(command);

    for (int i = 1; i < argc; i++) {
        g_autofree char *option = g_strndup(argv[i], strcspn(argv[i], "="));
        g_autofree char *question = NULL;

        if (argv[i][0] != '-' || !g_str_has_suffix(error->message, argv[i]))
            continue;
        question = pm_suggestion(option, (const char *const *)names->pdata);
        g_free(error->message);
        error->message = g_strdup_printf("unknown option '%s'%s (see plugmap %s --help)", option,
                                         question, command->name);
        return;
    }
}

bool pm_command_line_parse(const PmCommand *command, void *options, int argc, char **argv,
                           GError **error)
{
    g_autoptr(GOptionContext) context = make_context(command, options);
    g_autofree char **words = g_new0(char *, (gsize)argc + 1);
    int n_words = argc;
    char **rest = words;
    GError *failure = NULL;

    memcpy((void *)words, (void *)argv, (gsize)argc * sizeof(*words)); /* GLib removes options */
    if (g_option_context_parse(context, &n_words, &rest, &failure)) {
        if (command->arguments != NULL || n_words < 2)
            return true;
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED,
                    "unexpected argument '%s' (see plugmap %s --help)", words[1], command->name);
        return false;
    }
    if (g_error_matches(failure, G_OPTION_ERROR, G_OPTION_ERROR_UNKNOWN_OPTION))
        replace_unknown_option(command, argc, argv, failure);
    g_propagate_error(error, failure);
    return false;
}

bool pm_command_line_has(int argc, char **argv, const char *option, int letter)
{
    const char short_option[] = {'-', (char)letter, '\0'};

    for (int i = 1; i < argc && !g_str_equal(argv[i], "--"); i++)
        if (g_str_equal(argv[i], option) || (letter != 0 && g_str_equal(argv[i], short_option)))
            return true;
    return false;
}

const char *pm_command_line_status(const PmCommand *command, const PmExitStatus *status)
{
    if (status->status == PM_EXIT_OK)
        return status->meaning;
    for (const int *own = command->statuses; *own != 0; own++)
        if (*own == status->status)
            return *own == PM_EXIT_WRONG && command->no != NULL ? command->no : status->meaning;
    return NULL;
}
