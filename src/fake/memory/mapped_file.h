/* SPDX-License-Identifier: MIT */
/*
 * Files whose pages are mapped for devices without the process having to map them. The fake kernel
 * maps them itself, each once however many mappings there are of it, because a process can have
 * only so many.
 */
#ifndef PLUGMAP_SRC_FAKE_MEMORY_MAPPED_FILE_H
#define PLUGMAP_SRC_FAKE_MEMORY_MAPPED_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

typedef struct PmMappedFile PmMappedFile;

/*
 * A reference to the file behind @fd, in a mapping of at least @end bytes. @files: all of them,
 * where it is looked up and added. Returns 0 or -errno: -EBADF; -ENOMEM (no room to map it); and a
 * file that cannot be mapped at all is fine until it is pinned.
 */
int pm_mapped_file_get(GPtrArray *files, int fd, uint64_t end, PmMappedFile **file);
void pm_mapped_file_put(GPtrArray *files, PmMappedFile *file);

/* Where its byte 0 is. */
uint64_t pm_mapped_file_address(const PmMappedFile *file);

/* Whether pages up to @end can be pinned now: of a memfd or of hugetlbfs, and in the file. 0 or
 * -EINVAL. */
int pm_mapped_file_check(const PmMappedFile *file, uint64_t end);

/* Whether devices can write it. */
bool pm_mapped_file_is_writable(const PmMappedFile *file);

#endif
