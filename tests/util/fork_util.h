/* SPDX-License-Identifier: MIT */
/* Child processes: all ways to create them, and how they report results. */
#ifndef PLUGMAP_TESTS_UTIL_FORK_UTIL_H
#define PLUGMAP_TESTS_UTIL_FORK_UTIL_H

#include <stdbool.h>
#include <sys/types.h>

#include <glib.h>

extern pid_t (*const ways_to_fork[])(void);
extern const unsigned n_ways_to_fork;

/* Runs in the child; returns whether all checks passed. */
typedef bool (*ForkBody)(void *user_data);

/* Reports by the child's exit status: after a failed assertion, cmocka would run the next test
 * in the child. */
void assert_child(pid_t (*make_child)(void), ForkBody body, void *user_data);

/* Whether the call failed because of the fork; if not, reports that on standard error. Takes
 * @error. */
bool is_refused(bool done, GError *error);

#endif
