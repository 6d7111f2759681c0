/* SPDX-License-Identifier: MIT */
/* Tests of what valgrind does not know, or counts as an error of the program. Include after cmocka.
 */
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
