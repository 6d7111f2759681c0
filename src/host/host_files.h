/* SPDX-License-Identifier: MIT */
/*
 * Reads the host's files (/sys, /proc, /lib/modules). Paths are absolute; @root precedes them: ""
 * on the host, a directory in tests. Nothing here opens a file that is not a regular one, so that
 * no device becomes busy.
 */
#ifndef PLUGMAP_SRC_HOST_HOST_FILES_H
#define PLUGMAP_SRC_HOST_HOST_FILES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include <plugmap/error.h>

/*
 * Each names the file in its errors: PM_ERROR_NOT_FOUND (missing), PM_ERROR_PERMISSION,
 * PM_ERROR_BAD_INPUT (damaged: not a regular file, too large, not what it should contain),
 * PM_ERROR_KERNEL (another errno).
 */

/* The content, without white space at the end; a new string. NULL: failed. */
char *pm_host_read(const char *root, const char *path, GError **error);

/* A number in @base (16 with or without 0x), and nothing else. */
bool pm_host_read_number(const char *root, const char *path, unsigned base, uint64_t *number,
                         GError **error);

/* "Y", "N", 1 or 0: a boolean module parameter. */
bool pm_host_read_flag(const char *root, const char *path, bool *flag, GError **error);

/* The names in a directory, ascending; NULL: failed. */
GStrv pm_host_list(const char *root, const char *path, GError **error);

/* The base name of what a link refers to, a new string; NULL: there is no such link. */
char *pm_host_link_name(const char *root, const char *path);

/* stat(2). */
bool pm_host_stat(const char *root, const char *path, struct stat *status);
bool pm_host_exists(const char *root, const char *path);

/* The rest of the first line that begins with @prefix, without white space around it; a new string,
 * or NULL. */
char *pm_host_find_line(const char *text, const char *prefix);

#endif
