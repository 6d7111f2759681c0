/* SPDX-License-Identifier: MIT */
#include "json/json.h"

#include <inttypes.h>

void pm_json_begin_object(JsonBuilder *builder, const char *name)
{
    json_builder_set_member_name(builder, name);
    json_builder_begin_object(builder);
}

void pm_json_begin_list(JsonBuilder *builder, const char *name)
{
    json_builder_set_member_name(builder, name);
    json_builder_begin_array(builder);
}

void pm_json_add_number(JsonBuilder *builder, const char *name, uint64_t value)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_int_value(builder, (gint64)MIN(value, (uint64_t)INT64_MAX));
}

void pm_json_add_bool(JsonBuilder *builder, const char *name, bool value)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_boolean_value(builder, value);
}

void pm_json_add_text_element(JsonBuilder *builder, const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);

    json_builder_add_string_value(builder, valid);
}

void pm_json_add_text(JsonBuilder *builder, const char *name, const char *text)
{
    json_builder_set_member_name(builder, name);
    pm_json_add_text_element(builder, text);
}

static void add_null(JsonBuilder *builder, const char *name)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_null_value(builder);
}

void pm_json_add_text_or_null(JsonBuilder *builder, const char *name, const char *text)
{
    if (text != NULL)
        pm_json_add_text(builder, name, text);
    else
        add_null(builder, name);
}

void pm_json_add_address(JsonBuilder *builder, const char *name, uint64_t address)
{
    g_autofree char *text = g_strdup_printf("0x%" PRIx64, address);

    pm_json_add_text(builder, name, text);
}

void pm_json_add_limit(JsonBuilder *builder, const char *name, uint64_t limit)
{
    if (limit != UINT64_MAX)
        pm_json_add_number(builder, name, limit);
    else
        add_null(builder, name);
}

static void add_error(JsonBuilder *builder, const GError *error)
{
    const char *code =
        error->domain == PM_ERROR ? pm_error_code_name((PmError)error->code) : "usage";

    pm_json_begin_object(builder, "error");
    pm_json_add_text(builder, "code", code);
    pm_json_add_text(builder, "message", error->message);
    json_builder_end_object(builder);
}

JsonBuilder *pm_json_begin_report(const PmJsonHead *head)
{
    JsonBuilder *builder = json_builder_new();

    json_builder_begin_object(builder);
    pm_json_add_number(builder, "schema", PM_JSON_SCHEMA);
    pm_json_add_text(builder, "plugmap", head->version);
    pm_json_add_text(builder, "command", head->command);
    pm_json_add_text(builder, "verdict", head->error != NULL ? "error" : head->verdict);
    pm_json_add_number(builder, "exit_status", (uint64_t)head->exit_status);
    if (head->error != NULL)
        add_error(builder, head->error);
    return builder;
}

char *pm_json_end_report(JsonBuilder *builder)
{
    g_autoptr(JsonGenerator) generator = json_generator_new();
    g_autoptr(JsonNode) root = NULL;
    g_autofree char *text = NULL;

    json_builder_end_object(builder);
    root = json_builder_get_root(builder);
    g_object_unref(builder);
    json_generator_set_root(generator, root);
    json_generator_set_pretty(generator, TRUE);
    text = json_generator_to_data(generator, NULL);
    return g_strconcat(text, "\n", NULL);
}
