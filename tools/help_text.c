/* SPDX-License-Identifier: MIT */
#include "tools/help_text.h"

#include <string.h>

#include "tools/exit_status.h"

/* Help is hard to read in wide lines, and impossible in short ones. */
#define MIN_WIDTH 40
#define MAX_WIDTH 100

/* The column of the descriptions, at most; longer names have a line of their own. */
#define MAX_INDENT 24

const PmOption pm_common_options[] = {
    {"help", 'h', .help = "print the help of the command"},
    {"version", .help = "print the version of plugmap"},
    PM_OPTION_END,
};

/* Text that is wrapped as it is added. */
typedef struct {
    GString *text;
    size_t width;
    size_t column;
} Page;

static void page_init(Page *page, unsigned width)
{
    *page = (Page){g_string_new(NULL), CLAMP(width, MIN_WIDTH, MAX_WIDTH), 0};
}

static void add_raw(Page *page, const char *text)
{
    g_string_append(page->text, text);
    page->column += strlen(text);
}

static void end_line(Page *page)
{
    g_string_append_c(page->text, '\n');
    page->column = 0;
}

static void move_to(Page *page, size_t column)
{
    if (page->column > 0 && page->column + 2 > column && column > 0)
        end_line(page);
    while (page->column < column)
        add_raw(page, " ");
}

/* Adds words from the current column on; further lines begin at @indent. Ends the line. */
static void add_words(Page *page, const char *text, size_t indent)
{
    g_auto(GStrv) words = g_strsplit(text, " ", -1);
    bool is_first = true;

    for (char **word = words; *word != NULL; word++) {
        if (!is_first && page->column + 1 + strlen(*word) > page->width) {
            end_line(page);
            move_to(page, indent);
            is_first = true;
        }
        if (!is_first)
            add_raw(page, " ");
        add_raw(page, *word);
        is_first = false;
    }
    end_line(page);
}

static char *option_name(const PmOption *option)
{
    g_autofree char *letter =
        option->letter != 0 ? g_strdup_printf("-%c, ", option->letter) : g_strdup("");

    return g_strconcat("  ", letter, "--", option->name, option->value != NULL ? " " : NULL,
                       option->value, NULL);
}

/* The column of the descriptions of a command's options. */
static size_t find_indent(const PmCommand *command)
{
    size_t indent = 0;

    for (const PmOptionGroup *group = command->groups; group->options != NULL; group++) {
        for (const PmOption *option = group->options; option->name != NULL; option++) {
            g_autofree char *name = option_name(option);

            if (!option->is_hidden && strlen(name) + 2 <= MAX_INDENT)
                indent = MAX(indent, strlen(name) + 2);
        }
    }
    return MAX(indent, strlen("  -h, --help  "));
}

static void add_option(Page *page, const PmOption *option, size_t indent, bool all)
{
    g_autofree char *name = option_name(option);
    g_autofree char *text = option->detail != NULL && all
                                ? g_strdup_printf("%s. %s.", option->help, option->detail)
                                : g_strdup(option->help);

    if (option->is_hidden)
        return;
    add_raw(page, name);
    move_to(page, indent);
    add_words(page, text, indent);
}

/* Only the names. */
static void add_minor_group(Page *page, const PmOptionGroup *group)
{
    g_autoptr(GString) names = g_string_new(group->title);

    g_string_append_c(names, ':');
    for (const PmOption *option = group->options; option->name != NULL; option++)
        g_string_append_printf(names, " --%s%s", option->name, option[1].name != NULL ? "," : "");
    add_words(page, names->str, 2);
}

static void add_title(Page *page, const char *title)
{
    end_line(page);
    add_raw(page, title);
    add_raw(page, ":");
    end_line(page);
}

static bool has_options(const PmOptionGroup *group)
{
    for (const PmOption *option = group->options; option->name != NULL; option++)
        if (!option->is_hidden)
            return true;
    return false;
}

static void add_group(Page *page, const PmOptionGroup *group, size_t indent, bool all)
{
    add_title(page, group->title);
    for (const PmOption *option = group->options; option->name != NULL; option++)
        add_option(page, option, indent, all);
}

static void add_groups(Page *page, const PmCommand *command, bool all)
{
    const PmOptionGroup common = {"Common options", pm_common_options, 0, false};
    size_t indent = find_indent(command);
    bool has_own = false;

    for (const PmOptionGroup *group = command->groups; group->options != NULL; group++) {
        if (!has_options(group) || (group->is_minor && !all))
            continue;
        add_group(page, group, indent, all);
        has_own = true;
    }
    if (all || !has_own)
        add_group(page, &common, indent, all);
    for (const PmOptionGroup *group = command->groups; group->options != NULL; group++)
        if (group->is_minor && !all)
            add_minor_group(page, group);
}

static void add_statuses(Page *page, const PmCommand *command)
{
    add_title(page, "Exit status");
    for (const PmExitStatus *status = pm_exit_statuses; status->number != NULL; status++) {
        const char *meaning = pm_command_line_status(command, status);

        if (meaning == NULL)
            continue;
        add_raw(page, "  ");
        add_raw(page, status->number);
        move_to(page, 12);
        add_words(page, meaning, 12);
    }
}

static void add_examples(Page *page, const PmCommand *command, bool all)
{
    add_title(page, "Examples");
    for (const PmExample *example = command->examples; example->line != NULL; example++) {
        if (!all && example - command->examples == 2)
            return;
        if (all) {
            add_raw(page, "  # ");
            add_words(page, example->what, 4);
        }
        add_raw(page, "  ");
        add_words(page, example->line, 6);
    }
}

char *pm_help_text(const PmCommand *command, unsigned width, bool all)
{
    g_autofree char *more = g_strdup_printf("More: plugmap help %s", command->name);
    g_autofree char *usage = g_strdup_printf("Usage: plugmap %s [OPTIONS]%s%s", command->name,
                                             command->arguments != NULL ? " " : "",
                                             command->arguments != NULL ? command->arguments : "");
    Page page;

    page_init(&page, width);
    add_words(&page, usage, 6);
    end_line(&page);
    for (size_t i = 0; command->description[i] != NULL && (all || i == 0); i++) {
        if (i > 0)
            end_line(&page);
        add_words(&page, command->description[i], 0);
    }
    add_groups(&page, command, all);
    if (all)
        add_statuses(&page, command);
    else
        add_words(&page, more, 0);
    add_examples(&page, command, all);
    return g_string_free(page.text, FALSE);
}

char *pm_help_list(const PmCommand *const *commands, const char *version, unsigned width)
{
    g_autofree char *last = g_strdup_printf("Version %s.", version);
    Page page;

    page_init(&page, width);
    add_words(&page, "Usage: plugmap COMMAND [OPTIONS]", 0);
    end_line(&page);
    add_words(&page, PM_HELP_DESCRIPTION, 0);
    add_title(&page, "Commands");
    for (const PmCommand *const *command = commands; *command != NULL; command++) {
        add_raw(&page, "  ");
        add_raw(&page, (*command)->name);
        move_to(&page, 12);
        add_words(&page, (*command)->summary, 12);
    }
    end_line(&page);
    add_words(&page,
              "plugmap COMMAND --help lists the main options of a command; plugmap help COMMAND "
              "and its manual page have all of them.",
              0);
    add_words(&page, last, 0);
    add_title(&page, "Examples");
    for (const PmCommand *const *command = commands; *command != NULL; command++) {
        add_raw(&page, "  ");
        add_words(&page, (*command)->examples[0].line, 6);
    }
    return g_string_free(page.text, FALSE);
}
