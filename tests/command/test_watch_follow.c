/* SPDX-License-Identifier: MIT */
/* 'plugmap watch --follow': logs that grow. Each step waits for what the command reports. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command_util.h"

typedef struct {
    char *folder;
    char *path;
    GPid child;
    int out;
    int err;
    GString *errors;
    gsize n_seen; /* of the errors */
} World;

static void append(const World *world, const char *text)
{
    FILE *file = fopen(world->path, "ae");

    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static World start(const char *text, const char *option)
{
    World world = {.folder = scratch_new(), .errors = g_string_new(NULL)};
    const char *words[] = {PLUGMAP_COMMAND, "watch", "--follow", "--entry-limit=10",
                           option,          NULL,    NULL};

    world.path = scratch_file(world.folder, "log", text, -1);
    words[5] = world.path;
    assert_true(g_spawn_async_with_pipes(PLUGMAP_SOURCE_DIR, (char **)words, NULL,
                                         G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &world.child, NULL,
                                         &world.out, &world.err, NULL));
    return world;
}

static void wait_for(World *world, const char *text)
{
    char buffer[4096];
    const char *found;

    while ((found = strstr(world->errors->str + world->n_seen, text)) == NULL) {
        ssize_t n_read = read(world->err, buffer, sizeof(buffer));

        if (n_read == 0)
            fail_msg("expected '%s' in: %s", text, world->errors->str);
        g_string_append_len(world->errors, buffer, MAX(n_read, 0));
    }
    world->n_seen = (gsize)(found - world->errors->str) + strlen(text);
}

/* Ends the command and the world; returns the summary. */
static char *finish(World *world)
{
    GString *out = g_string_new(NULL);
    char buffer[4096];
    ssize_t n_read;
    int wait_status;

    assert_int_equal(kill(world->child, SIGTERM), 0);
    while ((n_read = read(world->out, buffer, sizeof(buffer))) > 0)
        g_string_append_len(out, buffer, n_read);
    assert_int_equal(waitpid(world->child, &wait_status, 0), world->child);
    assert_true(WIFEXITED(wait_status));
    assert_int_equal(WEXITSTATUS(wait_status), 128 + SIGTERM);
    close(world->out);
    close(world->err);
    scratch_remove(world->folder);
    g_free(world->folder);
    g_free(world->path);
    g_string_free(world->errors, TRUE);
    return g_string_free(out, FALSE);
}

static void assert_has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("expected '%s' in: %s", part, text);
}

/* A successful PLUG in QEMU's log. */
static char *plug(unsigned address, unsigned n_blocks)
{
    return g_strdup_printf("virtio_mem_plug_request addr=0x1%08x nb_blocks=%u\n"
                           "virtio_mem_send_response type=0\n",
                           address, n_blocks);
}

static void the_log_of_a_running_qemu_is_followed(void **state)
{
    g_autofree char *first = plug(0, 4);
    g_autofree char *second = plug(0x00800000, 5);
    g_autofree char *third = plug(0x01200000, 1);
    World world = start("another event\n", "--block-size=2M");
    g_autofree char *summary = NULL;

    (void)state;
    append(&world, first);
    append(&world, second);
    wait_for(&world, "warning: mappings: 9 of 10 (90.0%)");
    append(&world, third);
    wait_for(&world, "warning: mappings: 10 of 10 (100.0%), limit reached: ");
    summary = finish(&world);
    assert_has(summary, "QEMU's log, 3 events");
    assert_has(summary, "requests  3 plug, 0 unplug\n");
    assert_has(summary, "locked    peak 20M");
}

static void half_a_line_waits_for_the_rest(void **state)
{
    World world = start("map iova=0 size=4K\nmap iova=0x1000 si", "--memlock=16K");
    g_autofree char *summary = NULL;

    (void)state;
    append(&world, "ze=8");
    append(&world, "K\nmap iova=0x10000 size=4K -> ENOMEM\nmap iova=0x20000 size=4K\n");
    wait_for(&world, "warning: locked memory: 16K of 16K (100.0%)");
    summary = finish(&world);
    assert_has(summary, "calls     4 map, 0 unmap; map failed: 1 ENOMEM\n");
    assert_has(summary, "sizes     4K: 2, 8K: 1\n");
}

static void a_replaced_log_is_read_from_its_beginning(void **state)
{
    World world = start("map iova=0 size=8K\n", "--memlock=8K");
    g_autofree char *old = g_strconcat(world.path, ".1", NULL);
    g_autofree char *summary = NULL;

    (void)state;
    wait_for(&world, "warning: locked memory: 8K of 8K (100.0%)");
    assert_int_equal(g_rename(world.path, old), 0);
    append(&world, "unmap all\nmap iova=0 size=8K\n");
    wait_for(&world, "/log: replaced or truncated: reading it from its beginning");
    wait_for(&world, "warning: locked memory: 8K of 8K (100.0%)");
    summary = finish(&world);
    assert_has(summary, "calls     2 map, 1 unmap\n");
}

static void a_truncated_log_is_read_from_its_beginning(void **state)
{
    World world = start("map iova=0 size=4K\nmap iova=0x1000 size=4K\n", "--memlock=8K");
    g_autofree char *summary = NULL;

    (void)state;
    wait_for(&world, "warning: locked memory: 8K of 8K (100.0%)");
    assert_int_equal(truncate(world.path, 0), 0);
    wait_for(&world, "/log: replaced or truncated: reading it from its beginning");
    append(&world, "unmap all\nmap iova=0 size=8K\n");
    wait_for(&world, "warning: locked memory: 8K of 8K (100.0%)");
    summary = finish(&world);
    assert_has(summary, "calls     3 map, 1 unmap\n");
}

static void damaged_lines_are_warnings(void **state)
{
    World world = start("map iova=0 size=4K\nmap iova=\n", "--memlock=8K");
    g_autofree char *summary = NULL;

    (void)state;
    wait_for(&world, "/log:2: iova: ");
    for (unsigned i = 0; i < 20; i++)
        append(&world, "mapp\n");
    wait_for(&world, "; more such lines are only counted");
    append(&world, "map iova=0x1000 size=4K\n");
    wait_for(&world, "warning: locked memory: 8K of 8K");
    summary = finish(&world);
    assert_has(summary, "skipped   21 lines\n");
    assert_has(summary, "calls     2 map, 0 unmap\n");
}

static void a_damaged_qemu_log_is_read_on(void **state)
{
    g_autofree char *plugged = plug(0, 9);
    World world = start("virtio_mem_send_response type=0\n"
                        "virtio_mem_plug_request addr=0x100000000 nb_blocks=1\n"
                        "virtio_mem_plug_request addr=0x100000000 nb_blocks=1\n",
                        "--memlock=none");
    g_autofree char *summary = NULL;

    (void)state;
    wait_for(&world, "/log:3: request while the request of line 2 is pending");
    append(&world, plugged);
    wait_for(&world, "warning: mappings: 9 of 10");
    summary = finish(&world);
    assert_has(summary, "locked    unknown until an UNPLUG shows the block size");
}

static void a_trace_cannot_grow(void **state)
{
    g_autofree char *folder = scratch_new();
    g_autofree char *path = scratch_file(folder, "log", "plugmap-trace 1\n", -1);
    g_autoptr(Run) run = run_plugmap("watch", "--follow", path, NULL);
    g_autoptr(Run) format = run_plugmap("watch", "--follow", "--format=plugmap", path, NULL);
    g_autoptr(Run) speed = run_plugmap("watch", "--follow", "--speed=2x", path, NULL);
    g_autoptr(Run) missing = run_plugmap("watch", "--follow", "/nonexistent", NULL);

    (void)state;
    scratch_remove(folder);
    assert_int_equal(run->status, 2);
    assert_has(run->err, "/log:1: --follow reads QEMU's log or a DMA log");
    assert_int_equal(format->status, 2);
    assert_int_equal(speed->status, 2);
    assert_has(speed->err, "--speed is of a recording");
    assert_int_equal(missing->status, 2);
}

static void a_block_size_is_a_power_of_two(void **state)
{
    static const char *const sizes[] = {"0", "1K", "3M", "x"};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autofree char *option = g_strconcat("--block-size=", sizes[i], NULL);
        g_autoptr(Run) run = run_plugmap("watch", "--follow", option, "/dev/null", NULL);

        assert_int_equal(run->status, 2);
        assert_has(run->err, "--block-size");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_log_of_a_running_qemu_is_followed),
        cmocka_unit_test(half_a_line_waits_for_the_rest),
        cmocka_unit_test(a_replaced_log_is_read_from_its_beginning),
        cmocka_unit_test(a_truncated_log_is_read_from_its_beginning),
        cmocka_unit_test(damaged_lines_are_warnings),
        cmocka_unit_test(a_damaged_qemu_log_is_read_on),
        cmocka_unit_test(a_trace_cannot_grow),
        cmocka_unit_test(a_block_size_is_a_power_of_two),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
