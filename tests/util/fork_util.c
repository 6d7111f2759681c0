/* SPDX-License-Identifier: MIT */
#include "util/fork_util.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <plugmap/error.h>

/* The thread sanitizer works only in children created by fork(). */
#ifdef __SANITIZE_THREAD__
pid_t (*const ways_to_fork[])(void) = {fork};
#else
/* As a program may do to avoid fork handlers. */
static pid_t clone_raw(void)
{
    return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

pid_t (*const ways_to_fork[])(void) = {fork, _Fork, clone_raw};
#endif

const unsigned n_ways_to_fork = G_N_ELEMENTS(ways_to_fork);

void assert_child(pid_t (*make_child)(void), ForkBody body, void *user_data)
{
    int status;
    pid_t child = make_child();

    assert_true(child >= 0);
    if (child == 0)
        _exit(body(user_data) ? 0 : 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

bool is_refused(bool done, GError *error)
{
    bool refused = !done && g_error_matches(error, PM_ERROR, PM_ERROR_PERMISSION) &&
                   strstr(error->message, "forked") != NULL;

    if (!refused)
        fprintf(stderr, "not refused because of the fork: %s\n",
                error != NULL ? error->message : "");
    g_clear_error(&error);
    return refused;
}
