/* SPDX-License-Identifier: MIT */
/* How much memory this process can allocate before the OOM killer runs, and which limit applies. */
#ifndef PLUGMAP_SRC_HOST_MEMORY_ROOM_H
#define PLUGMAP_SRC_HOST_MEMORY_ROOM_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

/*
 * @n_bytes: UINT64_MAX if unknown.
 * @why: "the host has 3G available ..."; NULL if unknown.
 * @file: the cgroup's limit, "/sys/fs/cgroup/a/memory.max"; NULL: another limit applies.
 */
typedef struct {
    uint64_t n_bytes;
    char *why;
    char *file;
} PmMemoryRoom;

void pm_memory_room_clear(PmMemoryRoom *room);

/* "3G": rounded down to whole MiB; a new string. */
char *pm_memory_room_format(uint64_t n_bytes);

/* Reads a file with a single number; returns false if it is missing or has anything else. */
bool pm_memory_room_read(const char *folder, const char *name, uint64_t *number);

/* A line of /proc/meminfo, in bytes. @key: "MemTotal:". Returns false, and leaves @n_bytes alone,
 * if it is missing or malformed. */
bool pm_memory_room_read_meminfo(const char *root, const char *key, uint64_t *n_bytes);

/* Lowers the room to the new value if that is smaller. Takes @why and @file, which may be NULL. */
void pm_memory_room_narrow(PmMemoryRoom *room, uint64_t n_bytes, char *why, char *file);

/* The minimum of the host's MemAvailable and the limits of this process's memory cgroups (v1 and
 * v2). Ignores files that are missing or malformed. @root: prefix of all paths; "" for the host. */
void pm_memory_room_ask_host(PmMemoryRoom *room, const char *root);
void pm_memory_room_ask_cgroups(PmMemoryRoom *room, const char *root);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PmMemoryRoom, pm_memory_room_clear)

#endif
