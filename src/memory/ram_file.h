/* SPDX-License-Identifier: MIT */
/* RAM that another process maps, too: its file, and which of the processes may discard. */
#ifndef PLUGMAP_SRC_MEMORY_RAM_FILE_H
#define PLUGMAP_SRC_MEMORY_RAM_FILE_H

#include <plugmap/ram.h>

/*
 * PmRamFile: what another process needs to map the same memory, and to verify that it does.
 * @alignment: of the host address.
 * @device, @inode, @file_size: fstat(2). @seals: F_GET_SEALS; -1: none.
 */
typedef struct {
    PmRamKind kind;
    uint64_t size;
    uint64_t page_size;
    uint64_t alignment;
    uint64_t fd_offset;
    uint64_t device;
    uint64_t inode;
    uint64_t file_size;
    int32_t seals;
} PmRamFile;

/* Whether another process can map the memory. @owner: what mapped it for a device, for messages.
 * Errors: PM_ERROR_UNSUPPORTED (device memory, private, or without a file). */
bool pm_ram_check_file(const PmRam *ram, const char *owner, GError **error);

/* Errors: PM_ERROR_MEMORY (fstat(2) failed). */
bool pm_ram_describe_file(const PmRam *ram, PmRamFile *file, GError **error);

/* Maps another process's memory. On success the PmRam owns @fd; it is PM_RAM_AWAITED. NULL on
 * failure: PM_ERROR_AUDIT (@fd is not that file), PM_ERROR_BAD_INPUT (impossible sizes),
 * PM_ERROR_MEMORY. */
PmRam *pm_ram_map_file(const PmRamFile *file, int fd, GError **error);

/*
 * Who decides about the memory.
 * @PM_RAM_AWAITED: another process, until it hands it over: discarding fails, and freeing a device
 * discards nothing.
 * @PM_RAM_THEIRS: another process: all but dropping it fails.
 */
typedef enum {
    PM_RAM_OURS,
    PM_RAM_AWAITED,
    PM_RAM_THEIRS,
} PmRamOwner;

void pm_ram_set_owner(PmRam *ram, PmRamOwner owner);

/* Neither another process's nor inherited by fork. */
bool pm_ram_is_ours(const PmRam *ram);

#endif
