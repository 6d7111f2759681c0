/* SPDX-License-Identifier: MIT */
/* For tests of what valgrind does not support or reports as an error. Include after cmocka. */
#ifndef PLUGMAP_TESTS_UTIL_VALGRIND_UTIL_H
#define PLUGMAP_TESTS_UTIL_VALGRIND_UTIL_H

#include <stdbool.h>
#include <string.h>

#include <glib.h>

static inline bool is_under_valgrind(void)
{
    const char *preload = g_getenv("LD_PRELOAD");

    return preload != NULL && strstr(preload, "vgpreload") != NULL;
}

static inline void skip_under_valgrind(void)
{
    if (is_under_valgrind()) {
        print_message("needs to run without valgrind\n");
        skip();
    }
}

#endif
