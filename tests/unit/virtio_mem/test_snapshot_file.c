/* SPDX-License-Identifier: MIT */
/* Snapshots in files. */
#include "snapshot_util.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib/gstdio.h>

/* A temporary folder. */
typedef struct {
    char *path;
    char *file;
} Folder;

static int setup(void **state)
{
    Folder *folder = g_new0(Folder, 1);

    folder->path = g_dir_make_tmp("plugmap-XXXXXX", NULL);
    folder->file = g_build_filename(folder->path, "snapshot", NULL);
    *state = folder;
    return 0;
}

static int teardown(void **state)
{
    Folder *folder = *state;

    (void)g_remove(folder->file);
    assert_int_equal(g_rmdir(folder->path), 0); /* no temporary file is left */
    g_free(folder->file);
    g_free(folder->path);
    g_free(folder);
    return 0;
}

static void write_file(const Folder *folder, const void *bytes, size_t size)
{
    assert_true(g_file_set_contents(folder->file, bytes, (gssize)size, NULL));
}

static void assert_file_refused(const Folder *folder, const char *part)
{
    g_autoptr(PmVirtioMem) device = small_device(PM_RAM_ANONYMOUS);
    g_autoptr(GBytes) before = save(device);
    g_autoptr(GError) error = NULL;

    assert_false(pm_virtio_mem_load_file(device, folder->file, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_BAD_INPUT));
    assert_part(error, folder->file);
    assert_part(error, part);
    assert_state(device, before);
}

static void file_has_the_bytes_of_the_snapshot(void **state)
{
    const Folder *folder = *state;
    g_autoptr(PmVirtioMem) from = small_source();
    g_autofree char *bytes = NULL;
    gsize size;

    assert_true(pm_virtio_mem_save_file(from, folder->file, NULL));
    assert_true(g_file_get_contents(folder->file, &bytes, &size, NULL));
    {
        g_autoptr(GBytes) contents = g_bytes_new_static(bytes, size);

        assert_state(from, contents);
    }
}

static void file_loads(void **state)
{
    const Folder *folder = *state;
    g_autoptr(PmVirtioMem) from = small_source();
    g_autoptr(PmVirtioMem) to = small_device(PM_RAM_ANONYMOUS);
    g_autoptr(GBytes) snapshot = save(from);
    g_autoptr(GError) error = NULL;

    assert_true(pm_virtio_mem_save_file(from, folder->file, NULL));
    if (!pm_virtio_mem_load_file(to, folder->file, &error))
        fail_msg("%s", error->message);
    assert_state(to, snapshot);
}

static void saving_replaces_an_older_file(void **state)
{
    const Folder *folder = *state;
    g_autoptr(PmVirtioMem) from = small_source();
    g_autoptr(PmVirtioMem) to = small_device(PM_RAM_ANONYMOUS);

    write_file(folder, "older", 5);
    assert_true(pm_virtio_mem_save_file(from, folder->file, NULL));
    assert_true(pm_virtio_mem_load_file(to, folder->file, NULL));
}

/* Writing fails after the temporary file was made: the target is a folder. */
static void failed_save_leaves_what_was_there(void **state)
{
    const Folder *folder = *state;
    g_autoptr(PmVirtioMem) from = small_source();
    g_autoptr(GError) error = NULL;

    assert_int_equal(g_mkdir(folder->file, 0700), 0);
    assert_false(pm_virtio_mem_save_file(from, folder->file, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_BAD_INPUT));
    assert_part(error, "cannot save a snapshot to ");
    assert_part(error, folder->file);
    assert_true(g_file_test(folder->file, G_FILE_TEST_IS_DIR));
}

static void save_into_an_absent_folder_fails(void **state)
{
    const Folder *folder = *state;
    g_autoptr(PmVirtioMem) from = small_source();
    g_autofree char *path = g_build_filename(folder->path, "absent", "snapshot", NULL);
    g_autoptr(GError) error = NULL;

    assert_false(pm_virtio_mem_save_file(from, path, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_BAD_INPUT));
    assert_part(error, path);
}

static void truncated_file_names_path_field_and_offset(void **state)
{
    const Folder *folder = *state;
    g_autoptr(GBytes) snapshot = small_snapshot();
    const uint8_t *bytes = g_bytes_get_data(snapshot, NULL);

    write_file(folder, bytes, 0);
    assert_file_refused(folder, "snapshot: magic at offset 0x0: truncated: the file has 0 bytes");
    write_file(folder, bytes, 0x42);
    assert_file_refused(folder, "requested_size at offset 0x40: truncated: the file has 66 bytes");
    write_file(folder, bytes, SMALL_SIZE - 1);
    assert_file_refused(folder,
                        "checksum at offset 0x53: truncated: the file has 114 of 115 bytes");
}

static void longer_file_is_refused_without_reading_it_all(void **state)
{
    const Folder *folder = *state;
    g_autoptr(GBytes) snapshot = small_snapshot();

    write_file(folder, g_bytes_get_data(snapshot, NULL), SMALL_SIZE);
    assert_int_equal(truncate(folder->file, INT64_C(1) << 40), 0);
    assert_file_refused(folder, "trailing bytes at offset 0x73");
}

static void file_that_is_no_snapshot_is_refused(void **state)
{
    const Folder *folder = *state;

    write_file(folder, "hello", 5);
    assert_file_refused(folder, "magic at offset 0x0: not a snapshot");
}

static void absent_file_has_an_errno(void **state)
{
    g_autoptr(PmVirtioMem) device = small_device(PM_RAM_ANONYMOUS);
    const Folder *folder = *state;
    g_autoptr(GError) error = NULL;

    assert_false(pm_virtio_mem_load_file(device, folder->file, &error));
    assert_int_equal(pm_error_get_errno(error), ENOENT);
    assert_file_refused(folder, "No such file");
}

static void folder_is_refused(void **state)
{
    const Folder *folder = *state;

    assert_int_equal(g_mkdir(folder->file, 0700), 0);
    assert_file_refused(folder, "Is a directory");
}

static void pipe_loads(void **state)
{
    g_autoptr(PmVirtioMem) device = small_device(PM_RAM_ANONYMOUS);
    g_autoptr(GBytes) snapshot = small_snapshot();
    g_autofree char *path = NULL;
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], g_bytes_get_data(snapshot, NULL), SMALL_SIZE), SMALL_SIZE);
    close(ends[1]);
    path = g_strdup_printf("/proc/self/fd/%d", ends[0]);
    assert_true(pm_virtio_mem_load_file(device, path, NULL));
    close(ends[0]);
    assert_state(device, snapshot);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(file_has_the_bytes_of_the_snapshot),
        TEST(file_loads),
        TEST(saving_replaces_an_older_file),
        TEST(failed_save_leaves_what_was_there),
        TEST(save_into_an_absent_folder_fails),
        TEST(truncated_file_names_path_field_and_offset),
        TEST(longer_file_is_refused_without_reading_it_all),
        TEST(file_that_is_no_snapshot_is_refused),
        TEST(absent_file_has_an_errno),
        TEST(folder_is_refused),
        TEST(pipe_loads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
