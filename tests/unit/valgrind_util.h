/* SPDX-License-Identifier: MIT */
/* Tests of what valgrind does not know, or counts as an error of the program. Include after cmocka.
 */
#ifndef PLUGMAP_TESTS_VALGRIND_UTIL_H
#define PLUGMAP_TESTS_VALGRIND_UTIL_H

#include <string.h>

#include <glib.h>

static inline void skip_under_valgrind(void)
{
    const char *preload = g_getenv("LD_PRELOAD");

    if (preload != NULL && strstr(preload, "vgpreload") != NULL) {
        print_message("needs to run without valgrind\n");
        skip();
    }
}

#endif
