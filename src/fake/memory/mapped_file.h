/* SPDX-License-Identifier: MIT */
/*
 * Files mapped for devices, whether or not the process maps them. The fake kernel maps each file
 * once, because a process has a limited number of mappings.
 */
#ifndef PLUGMAP_SRC_FAKE_MEMORY_MAPPED_FILE_H
#define PLUGMAP_SRC_FAKE_MEMORY_MAPPED_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

typedef struct PmMappedFile PmMappedFile;

/*
 * Returns in @file a reference to the file of @fd, mapped up to @end at least. @files: cache of all
 * files. Returns 0, -EBADF or -ENOMEM (no address space). A file of the wrong kind fails only when
 * pinned.
 */
int pm_mapped_file_get(GPtrArray *files, int fd, uint64_t end, PmMappedFile **file);
void pm_mapped_file_put(GPtrArray *files, PmMappedFile *file);

/* The address of byte 0. */
uint64_t pm_mapped_file_address(const PmMappedFile *file);

/* Returns 0 if the file is a memfd or in hugetlbfs, and @end is not past its end, else -EINVAL. */
int pm_mapped_file_check(const PmMappedFile *file, uint64_t end);

/* Whether devices may write to it. */
bool pm_mapped_file_is_writable(const PmMappedFile *file);

#endif
