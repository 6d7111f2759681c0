/* SPDX-License-Identifier: MIT */
/* The fake kernel's view of its process's memory: copies that fail with EFAULT instead of a signal,
 * and pinning. */
#ifndef PLUGMAP_SRC_FAKE_MEMORY_USER_MEMORY_H
#define PLUGMAP_SRC_FAKE_MEMORY_USER_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <plugmap/iova.h>

/* Copy, or return -EFAULT with an unknown part copied. Never raises a signal. */
int pm_user_read(void *to, const void *user, size_t size);
int pm_user_write(void *user, const void *from, size_t size);

/*
 * How many bytes from @address up (at most @size) could be pinned for @access: mapped, with the VMA
 * permissions that get_user_pages() wants, which are those to write if @access has WRITE, else to
 * read. Page aligned. With @populate they are faulted in as well, and pages that cannot be do not
 * count; without it, pages beyond the end of a mapped file are taken for good.
 */
uint64_t pm_user_pin(uint64_t address, uint64_t size, PmIommuAccess access, bool populate);

#endif
