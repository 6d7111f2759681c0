/* SPDX-License-Identifier: MIT */
/* How much memory this process can take before something is killed, and what says so. */
#ifndef PLUGMAP_SRC_REPLAY_MEMORY_ROOM_H
#define PLUGMAP_SRC_REPLAY_MEMORY_ROOM_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

/* @n_bytes: UINT64_MAX: nothing is known. @why: "the host has 3G available ..."; NULL then. */
typedef struct {
    uint64_t n_bytes;
    char *why;
} PmMemoryRoom;

void pm_memory_room_clear(PmMemoryRoom *room);

/* "3G": rounded down to whole MiB; a new string. */
char *pm_memory_room_format(uint64_t n_bytes);

/* The number that a file consists of; false if there is no such file, or something else in it. */
bool pm_memory_room_read(const char *folder, const char *name, uint64_t *number);

/* Takes the smaller of both, and @why if that is the new one. */
void pm_memory_room_narrow(PmMemoryRoom *room, uint64_t n_bytes, char *why);

/* By the host's MemAvailable, and by each memory cgroup that this process is in, of version 2 and
 * 1. What cannot be read, or not be understood, is left out. @root: where /proc and what it names
 * are; "" is the host. */
void pm_memory_room_ask_host(PmMemoryRoom *room, const char *root);
void pm_memory_room_ask_cgroups(PmMemoryRoom *room, const char *root);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PmMemoryRoom, pm_memory_room_clear)

#endif
