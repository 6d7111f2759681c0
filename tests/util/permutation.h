/* SPDX-License-Identifier: MIT */
#ifndef PLUGMAP_TESTS_UTIL_PERMUTATION_H
#define PLUGMAP_TESTS_UTIL_PERMUTATION_H

/* Calls @visit with all orders of the numbers from 0 to @n - 1. @n: at most 8. */
void for_each_permutation(unsigned n, void (*visit)(const unsigned *order));

#endif
