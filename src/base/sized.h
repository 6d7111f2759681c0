/* SPDX-License-Identifier: MIT */
/* Extensible public structs: each begins with its size at compile time of the program (macros.h has
 * the rules). */
#ifndef PLUGMAP_SRC_BASE_SIZED_H
#define PLUGMAP_SRC_BASE_SIZED_H

#include <stdbool.h>
#include <stddef.h>

#include <plugmap/error.h>

/*
 * Copies the members that both caller and library know to @known, and zeroes the rest.
 * @name: of the struct, for messages. @known_size: its size in this library.
 * Errors: PM_ERROR_INVALID_ARGUMENT (NULL, or an invalid size), PM_ERROR_UNSUPPORTED (members that
 * this library does not know are not zero).
 */
bool pm_sized_read(const char *name, void *known, size_t known_size, const void *caller,
                   GError **error);

/* Whether pm_sized_write() can fill @caller. Errors: PM_ERROR_INVALID_ARGUMENT. */
bool pm_sized_check(const char *name, const void *caller, GError **error);

/* Copies the members that both know from @known to @caller, except for the size. */
void pm_sized_write(void *caller, const void *known, size_t known_size);

#endif
