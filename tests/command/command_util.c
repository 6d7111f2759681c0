/* SPDX-License-Identifier: MIT */
#include "command_util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>

#include <cmocka.h>
#include <glib/gstdio.h>

/* Removes the reports of an earlier run of this program. */
static void remove_reports(const char *folder)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *name;

    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *path = g_build_filename(folder, name, NULL);

        if (g_str_has_prefix(name, program_invocation_short_name))
            g_remove(path);
    }
}

void keep_report(const char *text)
{
    static unsigned n_kept;
    const char *folder = g_getenv("PLUGMAP_REPORTS");
    g_autofree char *name = g_strdup_printf("%s-%u.json", program_invocation_short_name, n_kept);
    g_autofree char *path = folder != NULL ? g_build_filename(folder, name, NULL) : NULL;

    if (folder == NULL)
        return;
    assert_int_equal(g_mkdir_with_parents(folder, 0777), 0);
    if (n_kept == 0)
        remove_reports(folder);
    n_kept++;
    assert_true(g_file_set_contents(path, text, -1, NULL));
}

Run *run_plugmap(const char *first, ...)
{
    g_autoptr(GPtrArray) words = g_ptr_array_new();
    Run *run = g_new0(Run, 1);
    va_list arguments;
    gint wait_status;

    g_ptr_array_add(words, (char *)PLUGMAP_COMMAND);
    va_start(arguments, first);
    for (const char *word = first; word != NULL; word = va_arg(arguments, const char *))
        g_ptr_array_add(words, (char *)word);
    va_end(arguments);
    g_ptr_array_add(words, NULL);
    assert_true(g_spawn_sync(PLUGMAP_SOURCE_DIR, (char **)words->pdata, NULL, G_SPAWN_DEFAULT, NULL,
                             NULL, &run->out, &run->err, &wait_status, NULL));
    run->status = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : -1;
    if (g_strv_contains((const char *const *)words->pdata, "--json"))
        keep_report(run->out);
    return run;
}

void run_free(Run *run)
{
    g_free(run->out);
    g_free(run->err);
    g_free(run);
}

int run_shell(const char *line, const char *folder)
{
    const char *const words[] = {"sh", "-c", line, "sh", folder, NULL};
    g_auto(GStrv) environment = g_environ_setenv(g_get_environ(), "PLUGMAP", PLUGMAP_COMMAND, TRUE);
    gint wait_status = -1;

    assert_true(
        g_spawn_sync(PLUGMAP_SOURCE_DIR, (char **)words, environment,
                     G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL,
                     NULL, NULL, NULL, NULL, &wait_status, NULL));
    return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : -1;
}

JsonParser *json_parse(const Run *run)
{
    JsonParser *parser = json_parser_new();

    assert_true(json_parser_load_from_data(parser, run->out, -1, NULL));
    return parser;
}

gint64 json_number(JsonParser *parser, const char *path)
{
    g_auto(GStrv) names = g_strsplit(path, ".", -1);
    JsonNode *node = json_parser_get_root(parser);

    for (char **name = names; *name != NULL; name++) {
        assert_true(JSON_NODE_HOLDS_OBJECT(node));
        node = json_object_get_member(json_node_get_object(node), *name);
        if (node == NULL)
            fail_msg("no member '%s'", path);
    }
    assert_int_equal(json_node_get_value_type(node), G_TYPE_INT64);
    return json_node_get_int(node);
}

char *scratch_new(void)
{
    char *path = g_dir_make_tmp("plugmap-XXXXXX", NULL);

    assert_non_null(path);
    return path;
}

void scratch_remove(const char *path)
{
    g_autoptr(GDir) folder = g_dir_open(path, 0, NULL);
    const char *name;

    while (folder != NULL && (name = g_dir_read_name(folder)) != NULL) {
        g_autofree char *file = g_build_filename(path, name, NULL);

        g_remove(file);
    }
    g_rmdir(path);
}

char *scratch_file(const char *folder, const char *name, const char *content, gssize size)
{
    char *path = g_build_filename(folder, name, NULL);

    assert_true(g_file_set_contents(path, content, size, NULL));
    return path;
}
