/* SPDX-License-Identifier: MIT */
/* Which process this is: objects that hold something of the system belong to the one they were made
 * in, and a child made by fork(2) has copies of them that must not act for it. */
#ifndef PLUGMAP_SRC_BASE_PROCESS_H
#define PLUGMAP_SRC_BASE_PROCESS_H

#include <stdint.h>

/*
 * A number, not 0, that stays the same in a process and differs in every child that has a copy of
 * its memory, however it was forked. (A child that shares the memory, as of vfork(2), is no other
 * process here.) A load, but for the first call in a process. Any thread.
 */
uint64_t pm_process_token(void);

#endif
