/* SPDX-License-Identifier: MIT */
/* Random tests: a seed that is printed and can be set, and a number of steps that can be reduced
 * for valgrind. */
#ifndef PLUGMAP_TESTS_UTIL_RANDOM_UTIL_H
#define PLUGMAP_TESTS_UTIL_RANDOM_UTIL_H

#include <stdio.h>
#include <stdlib.h>

#include <glib.h>

/* PLUGMAP_TEST_SEED, or a new seed. Printed, to reproduce failures. */
static inline guint32 random_seed(const char *test)
{
    const char *given = g_getenv("PLUGMAP_TEST_SEED");
    guint32 seed = given != NULL ? (guint32)strtoul(given, NULL, 0) : g_random_int();

    printf("%s: PLUGMAP_TEST_SEED=%u\n", test, seed);
    fflush(stdout);
    return seed;
}

static inline GRand *random_new(const char *test)
{
    return g_rand_new_with_seed(random_seed(test));
}

/* PLUGMAP_TEST_STEPS, or PLUGMAP_TEST_PERCENT of @n_steps but at least 100 of them, or @n_steps. */
static inline unsigned random_steps(unsigned n_steps)
{
    const char *given = g_getenv("PLUGMAP_TEST_STEPS");
    const char *percent = g_getenv("PLUGMAP_TEST_PERCENT");

    if (given != NULL)
        return (unsigned)strtoul(given, NULL, 0);
    if (percent == NULL)
        return n_steps;
    return MAX(n_steps * (unsigned)strtoul(percent, NULL, 0) / 100, MIN(n_steps, 100));
}

#endif
