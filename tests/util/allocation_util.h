/* SPDX-License-Identifier: MIT */
/* Makes allocations fail: fallible ones in the program's own objects, which CMake has linked
 * with plugmap_wrap_allocations(). */
#ifndef PLUGMAP_TESTS_UTIL_ALLOCATION_UTIL_H
#define PLUGMAP_TESTS_UTIL_ALLOCATION_UTIL_H

/* The next @n_left allocations succeed, later ones fail. */
void allocations_end_after(unsigned n_left);

/* All allocations succeed again. */
void allocations_go_on(void);

#endif
