/* SPDX-License-Identifier: MIT */
/* Writes the command's JSON: docs/json.md. Every report is one object with the same first members.
 */
#ifndef PLUGMAP_SRC_JSON_JSON_H
#define PLUGMAP_SRC_JSON_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include <json-glib/json-glib.h>

#include <plugmap/error.h>

/* Changes when a field is removed or changes its meaning, not when one is added. */
#define PM_JSON_SCHEMA 1

/*
 * What every report begins with.
 * @command: the sub-command. @version: of plugmap. @verdict: docs/json.md; "error" replaces it if
 * there is an error. @error: why the command failed, or NULL.
 */
typedef struct {
    const char *command;
    const char *version;
    const char *verdict;
    int exit_status;
    const GError *error;
} PmJsonHead;

/* Begins a report; more members can be added. */
JsonBuilder *pm_json_begin_report(const PmJsonHead *head);

/* Ends the report. Frees the builder and returns a new string: one JSON object and a newline. */
char *pm_json_end_report(JsonBuilder *builder);

/* Adds a member, or begins one that json_builder_end_object() or _end_array() ends. */
void pm_json_begin_object(JsonBuilder *builder, const char *name);
void pm_json_begin_list(JsonBuilder *builder, const char *name);
void pm_json_add_number(JsonBuilder *builder, const char *name, uint64_t value); /* to 2^63-1 */
void pm_json_add_bool(JsonBuilder *builder, const char *name, bool value);

/* Text of any bytes: invalid UTF-8 is replaced. */
void pm_json_add_text(JsonBuilder *builder, const char *name, const char *text);

/* The same; NULL: null. */
void pm_json_add_text_or_null(JsonBuilder *builder, const char *name, const char *text);

/* An element of a list. */
void pm_json_add_text_element(JsonBuilder *builder, const char *text);

/* "0x...": not every JSON reader keeps 64-bit numbers. */
void pm_json_add_address(JsonBuilder *builder, const char *name, uint64_t address);

/* A number; UINT64_MAX: null, no limit. */
void pm_json_add_limit(JsonBuilder *builder, const char *name, uint64_t limit);

#endif
