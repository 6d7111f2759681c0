/* SPDX-License-Identifier: MIT */
/* The process's memory: copies that fail with EFAULT, without a signal, and checks for pinning. */
#ifndef PLUGMAP_SRC_FAKE_MEMORY_USER_MEMORY_H
#define PLUGMAP_SRC_FAKE_MEMORY_USER_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <plugmap/iova.h>

/* Copy, or return -EFAULT after a partial copy. Never raise a signal. */
int pm_user_read(void *to, const void *user, size_t size);
int pm_user_write(void *user, const void *from, size_t size);

/* The caller's @user may be any address, also NULL, on which C allows no arithmetic. */
static inline void *pm_user_at(const void *user, uint64_t offset)
{
    return (void *)((uintptr_t)user + (uintptr_t)offset);
}

/*
 * How many bytes from @address on (at most @size) can be pinned for @access: mapped, with the VMA
 * permissions that get_user_pages() requires: to write if @access has WRITE, else to read. Page
 * aligned. @populate faults the pages in, and stops at one that fails; without it, pages past the
 * end of a mapped file count as memory.
 */
uint64_t pm_user_pin(uint64_t address, uint64_t size, PmIommuAccess access, bool populate);

#endif
