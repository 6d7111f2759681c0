/* SPDX-License-Identifier: MIT */
#include "tools/man_page.h"

#include <string.h>

#include "tools/help_text.h"

/* Longer lines of the source are bad style. */
#define MAX_COLUMN 78

static void add_escaped(GString *page, char c)
{
    switch (c) {
    case '\\':
        g_string_append(page, "\\e");
        break;
    case '-': /* a minus, which can be copied to a shell; a plain one is a hyphen */
        g_string_append(page, "\\-");
        break;
    case '\'':
        g_string_append(page, "\\(aq");
        break;
    case '^':
        g_string_append(page, "\\(ha");
        break;
    case '~':
        g_string_append(page, "\\(ti");
        break;
    default:
        g_string_append_c(page, c);
    }
}

/* Text in a font ('R', 'B', 'I'). */
static void add_font(GString *page, char font, const char *text)
{
    if (font != 'R')
        g_string_append_printf(page, "\\f%c", font);
    for (const char *c = text; *c != '\0'; c++)
        add_escaped(page, *c);
    if (font != 'R')
        g_string_append(page, "\\fR");
}

/* Text that is filled, in short lines. A line must not begin with a period: that is a request. */
static void add_text(GString *page, const char *text)
{
    g_auto(GStrv) words = g_strsplit(text, " ", -1);
    size_t start = page->len;

    for (char **word = words; *word != NULL; word++) {
        if (page->len > start && page->len - start + 1 + strlen(*word) > MAX_COLUMN) {
            g_string_append_c(page, '\n');
            start = page->len;
        } else if (page->len > start) {
            g_string_append_c(page, ' ');
        }
        if (page->len == start && **word == '.')
            g_string_append(page, "\\&");
        add_font(page, 'R', *word);
    }
    g_string_append_c(page, '\n');
}

static void begin_page(GString *page, const char *name, const char *summary, const char *version)
{
    const char *epoch = g_getenv("SOURCE_DATE_EPOCH");
    g_autoptr(GDateTime) time =
        epoch != NULL ? g_date_time_new_from_unix_utc(g_ascii_strtoll(epoch, NULL, 10))
                      : g_date_time_new_now_utc();
    g_autofree char *date = g_date_time_format(time, "%Y-%m-%d");
    g_autofree char *title = g_ascii_strup(name, -1);
    g_autofree char *line = g_strdup_printf("%s - %s", name, summary);

    g_string_append_printf(page, ".TH %s 1 \"%s\" \"plugmap %s\" \"plugmap manual\"\n.SH NAME\n",
                           title, date, version);
    add_text(page, line);
    g_string_append(page, ".SH SYNOPSIS\n");
}

static void add_option(GString *page, const PmOption *option)
{
    g_autofree char *text = NULL;

    if (option->is_hidden)
        return;
    g_string_append(page, ".TP\n");
    if (option->letter != 0)
        g_string_append_printf(page, "\\fB\\-%c\\fR, ", option->letter);
    g_string_append(page, "\\fB\\-\\-");
    for (const char *c = option->name; *c != '\0'; c++)
        add_escaped(page, *c);
    g_string_append(page, "\\fR");
    if (option->value != NULL) {
        g_string_append_c(page, ' ');
        add_font(page, 'I', option->value);
    }
    g_string_append_c(page, '\n');
    text = g_strconcat(option->help, option->detail != NULL ? ". " : ".", option->detail,
                       option->detail != NULL ? "." : NULL, NULL);
    add_text(page, text);
}

static void add_group(GString *page, const char *title, const PmOption *options)
{
    if (title != NULL)
        g_string_append_printf(page, ".SS %s\n", title);
    for (const PmOption *option = options; option->name != NULL; option++)
        add_option(page, option);
}

static void add_status(GString *page, const PmExitStatus *status, const char *meaning)
{
    if (meaning == NULL)
        return;
    g_string_append(page, ".TP\n");
    add_font(page, 'B', status->number);
    g_string_append_c(page, '\n');
    add_text(page, meaning);
}

static void add_example(GString *page, const PmExample *example, bool is_first)
{
    g_autofree char *what =
        g_strdup_printf("%c%s:", g_ascii_toupper(example->what[0]), example->what + 1);

    if (!is_first)
        g_string_append(page, ".PP\n");
    add_text(page, what);
    g_string_append(page, ".PP\n.RS 4\n.EX\n");
    add_font(page, 'R', example->line);
    g_string_append(page, "\n.EE\n.RE\n");
}

/* "plugmap(1)" */
static void add_reference(GString *page, const char *name, bool is_last)
{
    const char *section = strchr(name, '(');
    g_autofree char *title = g_strndup(name, (gsize)(section - name));

    g_string_append(page, ".BR ");
    add_font(page, 'R', title);
    g_string_append_printf(page, " %s%s\n", section, is_last ? "" : ",");
}

char *pm_man_page(const PmCommand *command, const char *version)
{
    GString *page = g_string_new(NULL);
    g_autofree char *name = g_strconcat("plugmap-", command->name, NULL);

    begin_page(page, name, command->summary, version);
    g_string_append_printf(page, ".B plugmap %s\n[\\fIOPTIONS\\fR]", command->name);
    if (command->arguments != NULL) {
        g_string_append_c(page, ' ');
        add_font(page, 'I', command->arguments);
    }
    g_string_append(page, "\n.SH DESCRIPTION\n");
    for (size_t i = 0; command->description[i] != NULL; i++) {
        if (i > 0)
            g_string_append(page, ".PP\n");
        add_text(page, command->description[i]);
    }
    g_string_append(page, ".SH OPTIONS\n");
    for (const PmOptionGroup *group = command->groups; group->options != NULL; group++)
        add_group(page, group == command->groups ? NULL : group->title, group->options);
    add_group(page, command->groups[0].options != NULL ? "Common options" : NULL,
              pm_common_options);
    g_string_append(page, ".SH EXIT STATUS\n");
    for (const PmExitStatus *status = pm_exit_statuses; status->number != NULL; status++)
        add_status(page, status, pm_command_line_status(command, status));
    g_string_append(page, ".SH EXAMPLES\n");
    for (const PmExample *example = command->examples; example->line != NULL; example++)
        add_example(page, example, example == command->examples);
    g_string_append(page, ".SH SEE ALSO\n");
    add_reference(page, "plugmap(1)", command->see_also[0] == NULL);
    for (const char *const *other = command->see_also; *other != NULL; other++)
        add_reference(page, *other, other[1] == NULL);
    return g_string_free(page, FALSE);
}

static void add_environment(GString *page)
{
    static const struct {
        const char *name;
        const char *what;
    } variables[] = {
        {"COLUMNS", "Width of the output, if standard output is no terminal. Default: 80."},
        {"NO_COLOR", "If it is not empty, no colors are used."},
        {"TERM", "With dumb, neither colors nor a progress bar are used."},
    };

    g_string_append(page, ".SH ENVIRONMENT\n");
    for (size_t i = 0; i < G_N_ELEMENTS(variables); i++) {
        g_string_append(page, ".TP\n");
        add_font(page, 'B', variables[i].name);
        g_string_append_c(page, '\n');
        add_text(page, variables[i].what);
    }
}

char *pm_man_overview(const PmCommand *const *commands, const char *version)
{
    GString *page = g_string_new(NULL);

    begin_page(page, "plugmap", PM_HELP_SUMMARY, version);
    g_string_append(page, ".B plugmap\n\\fICOMMAND\\fR [\\fIOPTIONS\\fR] [\\fIARGUMENTS\\fR]\n"
                          ".SH DESCRIPTION\n");
    add_text(page, PM_HELP_DESCRIPTION);
    g_string_append(page, ".SH COMMANDS\n");
    for (const PmCommand *const *command = commands; *command != NULL; command++) {
        g_autofree char *name = g_strdup_printf("plugmap-%s(1)", (*command)->name);

        g_string_append(page, ".TP\n");
        add_reference(page, name, true);
        add_text(page, (*command)->summary);
    }
    g_string_append(page, ".SH EXIT STATUS\n");
    for (const PmExitStatus *status = pm_exit_statuses; status->number != NULL; status++)
        add_status(page, status, status->meaning);
    add_environment(page);
    g_string_append(page, ".SH EXAMPLES\n");
    for (const PmCommand *const *command = commands; *command != NULL; command++)
        add_example(page, &(*command)->examples[0], command == commands);
    g_string_append(page, ".SH SEE ALSO\n");
    add_reference(page, "plugmap-trace(5)", false);
    add_reference(page, "libplugmap(7)", true);
    return g_string_free(page, FALSE);
}
