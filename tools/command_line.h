/* SPDX-License-Identifier: MIT */
/* The command line of a sub-command as one table: its options are parsed from it, and --help, the
 * man page and the shells' completion are written from it. */
#ifndef PLUGMAP_TOOLS_COMMAND_LINE_H
#define PLUGMAP_TOOLS_COMMAND_LINE_H

#include <stdbool.h>
#include <stddef.h>

#include <glib.h>

#include "tools/exit_status.h"

/* What a value is, for completion. The member of the options' struct that gets it is a char *, NULL
 * if the option is not given, unless this says something else. */
typedef enum {
    PM_VALUE_FLAG,    /* none: a gboolean */
    PM_VALUE_TEXT,    /* completion has nothing to offer: numbers, names */
    PM_VALUE_SIZE,    /* 2M */
    PM_VALUE_INTEGER, /* a gint */
    PM_VALUE_FILE,
    PM_VALUE_BDF, /* PCI address */
    PM_VALUE_CHOICE,
    PM_VALUE_COMMAND, /* name of a sub-command */
} PmValueKind;

/*
 * An option. A list ends with a name of NULL.
 * @member: offset of the member that gets the value. @value: the value's name, such as "SIZE".
 * @help: one line; the default is in parentheses. @detail: what else the manual says, or NULL.
 * @choices: for PM_VALUE_CHOICE; ends with NULL. @is_list: can be given several times; the member
 * is a char **. @is_hidden: only parsed.
 */
typedef struct {
    const char *name;
    int letter; /* 0: none */
    PmValueKind kind;
    size_t member;
    const char *value;
    const char *help;
    const char *detail;
    const char *const *choices;
    bool is_list;
    bool is_hidden;
} PmOption;

#define PM_OPTION_END                                                                              \
    {                                                                                              \
        .name = NULL                                                                               \
    }

/*
 * @title: "Options". @base: offset of the struct with the members, in the command's options.
 * @is_minor: --help only has the options' names; 'plugmap help COMMAND' has it all.
 */
typedef struct {
    const char *title;
    const PmOption *options;
    size_t base;
    bool is_minor;
} PmOptionGroup;

/* A test runs @line in a directory with the files that tests/command/test_help.c lists; it must
 * exit with @status (or with 3 if it names a device). */
typedef struct {
    const char *line;
    const char *what;
    int status;
} PmExample;

/*
 * A sub-command. Arrays end with a zero element.
 * @summary: begins with a small letter, without a period. @arguments: "TRACE [OUTPUT]", or NULL:
 * none. @argument: their kind. @rest: offset of the char ** that gets them. @description:
 * paragraphs; --help has the first, the manual all. @statuses: besides 0. @no: what status 1 means.
 * @see_also: pages of the manual, "plugmap-trace(5)". @main: gets its name as argv[0].
 */
typedef struct {
    const char *name;
    const char *summary;
    const char *arguments;
    PmValueKind argument;
    size_t rest;
    const char *description[8];
    PmOptionGroup groups[8];
    PmExample examples[6];
    int statuses[8];
    const char *no;
    const char *see_also[6];
    int (*main)(int argc, char **argv);
} PmCommand;

/* Fills in the options' struct. Errors: those of GOption, which leave @options as it was. */
bool pm_command_line_parse(const PmCommand *command, void *options, int argc, char **argv,
                           GError **error);

/* Whether an option without a value, such as "--help" ('h'; 0: no letter), is among the arguments
 * of a command. */
bool pm_command_line_has(int argc, char **argv, const char *option, int letter);

/* What an exit status of the command means; NULL: it never exits with it. */
const char *pm_command_line_status(const PmCommand *command, const PmExitStatus *status);

#endif
