/* SPDX-License-Identifier: MIT */
/* Public structs that grow: each begins with its size as the program was compiled with it
 * (macros.h has the rules). */
#ifndef PLUGMAP_SRC_BASE_SIZED_H
#define PLUGMAP_SRC_BASE_SIZED_H

#include <stdbool.h>
#include <stddef.h>

#include <plugmap/error.h>

/*
 * Copies what a caller passed, as far as both know it, to @known, and zeroes the rest.
 * @name: the struct's, for messages. @known_size: bytes of it in this library.
 * Errors: PM_ERROR_INVALID_ARGUMENT (NULL, or no such size), PM_ERROR_UNSUPPORTED (bytes that this
 * library does not know are not zero).
 */
bool pm_sized_read(const char *name, void *known, size_t known_size, const void *caller,
                   GError **error);

/* Whether pm_sized_write() can fill @caller. Errors: PM_ERROR_INVALID_ARGUMENT. */
bool pm_sized_check(const char *name, const void *caller, GError **error);

/* Fills @caller from @known, as far as both know it; its size stays. */
void pm_sized_write(void *caller, const void *known, size_t known_size);

#endif
