/* SPDX-License-Identifier: MIT */
/* Identifies the process, so that objects can detect that they are copies in a child made by
 * fork(2), which must not act on the parent's resources. */
#ifndef PLUGMAP_SRC_BASE_PROCESS_H
#define PLUGMAP_SRC_BASE_PROCESS_H

#include <stdint.h>

/*
 * A non-zero number that is constant in a process and differs in every child with a copy of its
 * memory, however it was forked. (A child that shares the memory, as with vfork(2), has the same.)
 * Just a load, except for the first call in a process. Any thread.
 */
uint64_t pm_process_token(void);

#endif
