/* SPDX-License-Identifier: MIT */
/* 'plugmap watch' on a terminal: the screen, keys, its size, and how it is left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <utmp.h>

#include "command_util.h"

#define ENTER "\033[?1049h\033[?25l"
#define LEAVE "\033[?25h\033[?1049l"

/* Only keys play more than the first event while a test runs. */
#define SLOW                                                                                       \
    "plugmap-trace 1\nregion addr=4G size=64M block=2M\n"                                          \
    "@0 plug addr=4G blocks=1 -> ack\n"                                                            \
    "@100000 plug addr=0x100200000 blocks=2 -> ack\n"                                              \
    "@200000 plug addr=0x100600000 blocks=4 -> ack\n"

typedef struct {
    char *folder;
    char *path;
    int master;
    int slave; /* open, so that the terminal outlives the command */
    struct termios before;
    pid_t child;
    GString *shown;
    gsize n_seen; /* of what was shown */
} World;

static void run_child(const World *world, const char *term)
{
    if (login_tty(world->slave) != 0 || chdir(PLUGMAP_SOURCE_DIR) != 0)
        _exit(99);
    setenv("TERM", term, 1);
    execl(PLUGMAP_COMMAND, "plugmap", "watch", "--memlock=none", "--entry-limit=65535", world->path,
          (char *)NULL);
    _exit(99);
}

static World start(const char *text, const char *term)
{
    struct winsize size = {.ws_row = 24, .ws_col = 90};
    World world = {.folder = scratch_new(), .shown = g_string_new(NULL)};

    world.path = scratch_file(world.folder, "slow", text, -1);
    assert_int_equal(openpty(&world.master, &world.slave, NULL, NULL, &size), 0);
    assert_int_equal(tcgetattr(world.slave, &world.before), 0);
    world.child = fork();
    assert_true(world.child >= 0);
    if (world.child == 0)
        run_child(&world, term);
    return world;
}

/* Waits until the command has shown that, after what was waited for before. */
static void wait_for(World *world, const char *text)
{
    char buffer[4096];
    const char *found;

    while ((found = strstr(world->shown->str + world->n_seen, text)) == NULL) {
        ssize_t n_read = read(world->master, buffer, sizeof(buffer));

        assert_true(n_read > 0 || errno == EINTR);
        g_string_append_len(world->shown, buffer, MAX(n_read, 0));
    }
    world->n_seen = (gsize)(found - world->shown->str) + strlen(text);
}

static void press(const World *world, const char *keys)
{
    assert_int_equal(write(world->master, keys, strlen(keys)), (ssize_t)strlen(keys));
}

static bool is_as_before(const World *world)
{
    struct termios now;

    assert_int_equal(tcgetattr(world->slave, &now), 0);
    return now.c_lflag == world->before.c_lflag && now.c_iflag == world->before.c_iflag &&
           now.c_oflag == world->before.c_oflag;
}

/* Also ends the world. */
static void assert_end(World *world, int status)
{
    int wait_status;

    wait_for(world, "verdict ");
    assert_int_equal(waitpid(world->child, &wait_status, 0), world->child);
    assert_true(WIFEXITED(wait_status));
    assert_int_equal(WEXITSTATUS(wait_status), status);
    assert_true(is_as_before(world));
    close(world->master);
    close(world->slave);
    scratch_remove(world->folder);
    g_free(world->path);
    g_free(world->folder);
    g_string_free(world->shown, TRUE);
}

static void q_quits_and_restores_the_terminal(void **state)
{
    World world = start(SLOW, "xterm");

    (void)state;
    wait_for(&world, ENTER);
    wait_for(&world, "1 of 3 events, 0.0 s, 1x");
    assert_false(is_as_before(&world));
    press(&world, "q");
    wait_for(&world, LEAVE);
    wait_for(&world, "watched   slow: trace, 1 event");
    assert_end(&world, 0);
}

static void keys_step_pause_and_change_the_speed(void **state)
{
    World world = start(SLOW, "xterm");

    (void)state;
    wait_for(&world, "1 of 3 events, 0.0 s, 1x");
    press(&world, "s");
    wait_for(&world, "2 of 3 events, 1666:40.0, paused");
    wait_for(&world, "plug of 2 blocks at 0x100200000: ack");
    press(&world, " ");
    wait_for(&world, ", 1x");
    press(&world, "+");
    wait_for(&world, ", 2x");
    press(&world, "--");
    wait_for(&world, ", 0.5x");
    press(&world, " ");
    wait_for(&world, ", paused");
    press(&world, "s");
    wait_for(&world, "7 map, 0 unmap");
    assert_end(&world, 0);
}

static void the_screen_follows_the_size_of_the_terminal(void **state)
{
    const struct winsize size = {.ws_row = 10, .ws_col = 60};
    World world = start(SLOW, "xterm");

    (void)state;
    wait_for(&world, "mappings  [..............................] 1 of 65,535");
    assert_int_equal(ioctl(world.master, TIOCSWINSZ, &size), 0);
    wait_for(&world, "mappings  [....................] 1 of 65,535");
    press(&world, "q");
    assert_end(&world, 0);
}

static void signals_restore_the_terminal(void **state)
{
    static const int numbers[] = {SIGTERM, SIGHUP, SIGQUIT};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
        World world = start(SLOW, "xterm");

        wait_for(&world, ENTER);
        wait_for(&world, "1 of 3 events");
        assert_int_equal(kill(world.child, numbers[i]), 0);
        wait_for(&world, LEAVE);
        assert_end(&world, 128 + numbers[i]);
    }
}

static void control_c_restores_the_terminal(void **state)
{
    World world = start(SLOW, "xterm");

    (void)state;
    wait_for(&world, "1 of 3 events");
    press(&world, "\003");
    wait_for(&world, LEAVE);
    assert_end(&world, 130);
}

static void a_crash_restores_the_terminal(void **state)
{
    World world = start(SLOW, "xterm");
    int wait_status;

    (void)state;
    wait_for(&world, "1 of 3 events");
    assert_int_equal(kill(world.child, SIGABRT), 0);
    wait_for(&world, LEAVE);
    assert_int_equal(waitpid(world.child, &wait_status, 0), world.child);
    assert_true(WIFSIGNALED(wait_status));
    assert_int_equal(WTERMSIG(wait_status), SIGABRT);
    assert_true(is_as_before(&world));
    close(world.master);
    close(world.slave);
    scratch_remove(world.folder);
    g_free(world.path);
    g_free(world.folder);
    g_string_free(world.shown, TRUE);
}

/* The command has no shell that could continue it, so the kernel does not stop it. */
static void a_stopped_command_leaves_and_enters_the_screen(void **state)
{
    World world = start(SLOW, "xterm");

    (void)state;
    wait_for(&world, ENTER);
    wait_for(&world, "1 of 3 events");
    assert_int_equal(kill(world.child, SIGTSTP), 0);
    wait_for(&world, LEAVE);
    wait_for(&world, ENTER);
    wait_for(&world, "1 of 3 events");
    press(&world, "q");
    assert_end(&world, 0);
}

static void a_dumb_terminal_gets_no_control_characters(void **state)
{
    World world = start("map iova=0 size=4K\nend\n", "dumb");

    (void)state;
    wait_for(&world, "watched   slow: DMA log, 2 events");
    wait_for(&world, "verdict   LEAK");
    assert_null(strchr(world.shown->str, '\033'));
    world.n_seen = 0;
    assert_end(&world, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(q_quits_and_restores_the_terminal),
        cmocka_unit_test(keys_step_pause_and_change_the_speed),
        cmocka_unit_test(the_screen_follows_the_size_of_the_terminal),
        cmocka_unit_test(signals_restore_the_terminal),
        cmocka_unit_test(control_c_restores_the_terminal),
        cmocka_unit_test(a_crash_restores_the_terminal),
        cmocka_unit_test(a_stopped_command_leaves_and_enters_the_screen),
        cmocka_unit_test(a_dumb_terminal_gets_no_control_characters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
