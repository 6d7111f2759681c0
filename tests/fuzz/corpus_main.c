/* SPDX-License-Identifier: MIT */
/* FILE|FOLDER...: runs a target once on each file, without a fuzzer. */
#include "fuzz.h"

#include <glib.h>

static bool run_file(const char *path)
{
    g_autofree char *bytes = NULL;
    g_autofree uint8_t *exact = NULL;
    gsize size;

    if (!g_file_get_contents(path, &bytes, &size, NULL)) {
        fprintf(stderr, "cannot read %s\n", path);
        return false;
    }
    /* Of the exact size, so that sanitizers and valgrind detect an overrun. */
    exact = g_memdup2(bytes, size);
    (void)LLVMFuzzerTestOneInput(exact, size);
    return true;
}

static unsigned run_folder(const char *path)
{
    g_autoptr(GDir) folder = g_dir_open(path, 0, NULL);
    const char *name;
    unsigned n_files = 0;

    while (folder != NULL && (name = g_dir_read_name(folder)) != NULL) {
        g_autofree char *file = g_build_filename(path, name, NULL);

        if (!run_file(file))
            exit(1);
        n_files++;
    }
    return n_files;
}

int main(int argc, char **argv)
{
    unsigned n_files = 0;

    for (int i = 1; i < argc; i++) {
        if (g_file_test(argv[i], G_FILE_TEST_IS_DIR))
            n_files += run_folder(argv[i]);
        else if (run_file(argv[i]))
            n_files++;
    }
    printf("%u inputs\n", n_files);
    return n_files == 0;
}
