/* SPDX-License-Identifier: MIT */
/* Sizes and addresses as people write them: "2M", "1GiB", "0x100000000". */
#ifndef PLUGMAP_SIZE_H
#define PLUGMAP_SIZE_H

#include <stdbool.h>
#include <stdint.h>

#include <plugmap/error.h>

G_BEGIN_DECLS

/** Binary units, in bytes. */
#define PM_KIB (UINT64_C(1) << 10)
#define PM_MIB (UINT64_C(1) << 20)
#define PM_GIB (UINT64_C(1) << 30)
#define PM_TIB (UINT64_C(1) << 40)

/**
 * Reads a size or an address in bytes.
 * @text: a decimal or 0x-prefixed number, then optionally K, M, G, T, P or E (powers of 1024), with
 * or without "i", "iB" or "B" behind it; case does not matter. No sign, no fraction, nothing else
 * around it. In a 0x number E is a digit: 0x1E is 30.
 * @value: set on success; left alone on failure.
 *
 * Errors: PM_ERROR_BAD_INPUT (not such a text, or more than 2^64-1; the message quotes it). Any
 * thread.
 */
PM_EXPORT bool pm_size_parse(const char *text, uint64_t *value, GError **error);

/**
 * Prints a size in the largest binary unit that divides it: 2097152 is "2M", 4097 is "4097", 0 is
 * "0". pm_size_parse() reads the result back to the same number. Any thread.
 *
 * Returns: a new string; free with g_free().
 */
PM_EXPORT char *pm_size_format(uint64_t value);

G_END_DECLS

#endif
