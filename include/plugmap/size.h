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
 * Parses a size or an address in bytes.
 * @text: a decimal or 0x-prefixed number, then optionally K, M, G, T, P or E (powers of 1024),
 * optionally followed by "i", "iB" or "B"; case-insensitive. No sign, no
 * fraction, nothing else. In a 0x number E is a digit: 0x1E is 30.
 * @value: set on success only.
 *
 * Errors: PM_ERROR_BAD_INPUT (invalid, or more than 2^64-1; the message quotes @text). Any thread.
 */
PM_EXPORT bool pm_size_parse(const char *text, uint64_t *value, GError **error);

/**
 * Formats a size in the largest binary unit that divides it: 2097152 is "2M", 4097 is "4097", 0 is
 * "0". pm_size_parse() returns the same number for the result. Any thread.
 *
 * Returns: a new string; free with g_free().
 */
PM_EXPORT char *pm_size_format(uint64_t value);

G_END_DECLS

#endif
