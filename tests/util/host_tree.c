/* SPDX-License-Identifier: MIT */
#include "util/host_tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <unistd.h>

char *host_tree_new(void)
{
    char *root = g_dir_make_tmp("plugmap-host-XXXXXX", NULL);

    assert_non_null(root);
    return root;
}

static void remove_all(const char *path)
{
    g_autoptr(GDir) folder = NULL;
    const char *name;

    if (!g_file_test(path, G_FILE_TEST_IS_SYMLINK))
        folder = g_dir_open(path, 0, NULL);
    while (folder != NULL && (name = g_dir_read_name(folder)) != NULL) {
        g_autofree char *below = g_build_filename(path, name, NULL);

        remove_all(below);
    }
    g_remove(path);
}

void host_tree_free(char *root)
{
    remove_all(root);
    g_free(root);
}

static char *prepare(const char *root, const char *path)
{
    char *full = g_strconcat(root, path, NULL);
    g_autofree char *folder = g_path_get_dirname(full);

    assert_int_equal(g_mkdir_with_parents(folder, 0755), 0);
    g_unlink(full);
    return full;
}

void host_tree_file(const char *root, const char *path, const char *content)
{
    g_autofree char *full = prepare(root, path);

    assert_true(g_file_set_contents(full, content, -1, NULL));
}

void host_tree_folder(const char *root, const char *path)
{
    g_autofree char *full = prepare(root, path);

    assert_int_equal(g_mkdir_with_parents(full, 0755), 0);
}

void host_tree_link(const char *root, const char *path, const char *target)
{
    g_autofree char *full = prepare(root, path);

    assert_int_equal(symlink(target, full), 0);
}

void host_tree_remove(const char *root, const char *path)
{
    g_autofree char *full = g_strconcat(root, path, NULL);

    remove_all(full);
}
