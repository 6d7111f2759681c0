/* SPDX-License-Identifier: MIT */
/* Which capabilities the command keeps. What it keeps for a real device: tests/vm/privileges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <cap-ng.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command_util.h"

#define TRACE  "tests/traces/qemu-vfio-4m.log"
#define NOBODY 65534

static bool has(unsigned capability)
{
    assert_int_equal(capng_get_caps_process(), 0);
    return capng_have_capability(CAPNG_EFFECTIVE, capability) != 0;
}

/* Who may read anything, and make files another's. */
static bool is_mighty(void)
{
    return geteuid() == 0 && has(CAP_CHOWN) && has(CAP_DAC_OVERRIDE) && has(CAP_DAC_READ_SEARCH) &&
           has(CAP_FOWNER);
}

static void assert_says(const Run *run, const char *words)
{
    if (strstr(run->err, words) == NULL)
        fail_msg("'%s' lacks '%s'", run->err, words);
}

static void convert_and_replay_on_the_fake_kernel_keep_none(void **state)
{
    static const char *const commands[] = {"convert -v -", "replay -v -",
                                           "replay -v --backend fake-iommufd -"};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        g_autofree char *line = g_strdup_printf(
            "tests/command/kept-capabilities none 0000000000000000 " TRACE " \"$PLUGMAP\" %s",
            commands[i]);

        if (run_shell(line, NULL) != 0)
            fail_msg("failed: %s", line);
    }
}

/* Also where opening it fails. */
static void ipc_lock_is_kept_for_a_device(void **state)
{
    g_autoptr(Run) run =
        run_plugmap("replay", "-v", "--backend", "type1", "--device", "0000:ff:1f.7", TRACE, NULL);

    (void)state;
    assert_int_not_equal(run->status, 0);
    assert_says(run, has(CAP_IPC_LOCK) ? "capabilities kept: ipc_lock" : "capabilities kept: none");
}

static char *copy_for(const char *folder, const char *name, uid_t owner)
{
    g_autofree char *content = NULL;
    gsize size;
    char *path;

    assert_true(g_file_get_contents(PLUGMAP_SOURCE_DIR "/" TRACE, &content, &size, NULL));
    path = scratch_file(folder, name, content, (gssize)size);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(chown(path, owner, (gid_t)-1), 0);
    return path;
}

static void input_of_another_user_is_read_and_what_that_takes_given_up(void **state)
{
    g_autofree char *folder = scratch_new();
    g_autofree char *path = NULL;

    (void)state;
    if (is_mighty()) {
        g_autoptr(Run) run = NULL;

        path = copy_for(folder, "trace", NOBODY);
        run = run_plugmap("replay", "-v", path, NULL);
        assert_int_equal(run->status, 0);
        assert_says(run, "capabilities kept: none");
    }
    scratch_remove(folder);
}

static void output_in_place_of_another_users_stays_that_users(void **state)
{
    g_autofree char *folder = scratch_new();
    g_autofree char *path = NULL;

    (void)state;
    if (is_mighty()) {
        g_autoptr(Run) run = NULL;
        struct stat status;

        path = copy_for(folder, "output", NOBODY);
        run = run_plugmap("convert", "-v", TRACE, path, NULL);
        assert_int_equal(run->status, 0);
        assert_says(run, "capabilities kept: chown, dac_override, fowner");
        assert_int_equal(stat(path, &status), 0);
        assert_int_equal(status.st_uid, NOBODY);
        assert_int_equal(status.st_mode & 0777, 0600);
    }
    scratch_remove(folder);
}

/* The second and the third of its outputs, too. */
static void page_in_place_of_another_users_stays_that_users(void **state)
{
    static const char *const options[] = {"--report", "--svg"};
    g_autofree char *folder = scratch_new();

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(options) && is_mighty(); i++) {
        g_autofree char *path = copy_for(folder, "output", NOBODY);
        g_autoptr(Run) run = run_plugmap("replay", "-v", options[i], path, TRACE, NULL);
        struct stat status;

        assert_int_equal(run->status, 0);
        assert_says(run, "capabilities kept: chown, dac_override, fowner");
        assert_int_equal(stat(path, &status), 0);
        assert_int_equal(status.st_uid, NOBODY);
    }
    scratch_remove(folder);
}

static void output_of_ones_own_takes_none(void **state)
{
    g_autofree char *folder = scratch_new();
    g_autofree char *path = g_build_filename(folder, "output", NULL);

    (void)state;
    for (unsigned i = 0; i < 2; i++) { /* a new one, then the old one */
        g_autoptr(Run) run = run_plugmap("replay", "-v", "--dma-log", path, TRACE, NULL);

        assert_int_equal(run->status, 0);
        assert_says(run, "capabilities kept: none");
    }
    scratch_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(convert_and_replay_on_the_fake_kernel_keep_none),
        cmocka_unit_test(ipc_lock_is_kept_for_a_device),
        cmocka_unit_test(input_of_another_user_is_read_and_what_that_takes_given_up),
        cmocka_unit_test(output_in_place_of_another_users_stays_that_users),
        cmocka_unit_test(page_in_place_of_another_users_stays_that_users),
        cmocka_unit_test(output_of_ones_own_takes_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
