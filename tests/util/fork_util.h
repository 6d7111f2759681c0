/* SPDX-License-Identifier: MIT */
/* Children: all ways to make them, and how they tell what they have found. */
#ifndef PLUGMAP_TESTS_UTIL_FORK_UTIL_H
#define PLUGMAP_TESTS_UTIL_FORK_UTIL_H

#include <stdbool.h>
#include <sys/types.h>

#include <glib.h>

extern pid_t (*const ways_to_fork[])(void);
extern const unsigned n_ways_to_fork;

/* What a child does; whether all was well. */
typedef bool (*ForkBody)(void *user_data);

/* What a child does has to be told by its exit status: cmocka would go on with the next test. */
void assert_child(pid_t (*make_child)(void), ForkBody body, void *user_data);

/* Refused because of the fork; says so on standard error if not. Takes @error. */
bool is_refused(bool done, GError *error);

#endif
