/* SPDX-License-Identifier: MIT */
/* Makes allocations that may fail do so: those of the program's own objects, which CMake has linked
 * with plugmap_wrap_allocations(). */
#ifndef PLUGMAP_TESTS_UTIL_ALLOCATION_UTIL_H
#define PLUGMAP_TESTS_UTIL_ALLOCATION_UTIL_H

/* From now on only the next @n_left succeed. */
void allocations_end_after(unsigned n_left);

/* All succeed again. */
void allocations_go_on(void);

#endif
