/* SPDX-License-Identifier: MIT */
/*
 * The guest's memory manager, as far as a virtio-mem driver notices it: when memory blocks are
 * onlined, to which zone, and which units of them (geometry.h) hold pages that do not move.
 */
#ifndef PLUGMAP_SRC_GENERATE_GUEST_MEMORY_H
#define PLUGMAP_SRC_GENERATE_GUEST_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#define PM_ONLINE_NEVER (-1)

/*
 * @pressure: of a hundred units onlined to a kernel zone, how many hold pages that do not move.
 * @release: of a hundred failed attempts to move them, after how many they can be moved next time.
 * @movable: of a hundred chunks, how many are onlined to ZONE_MOVABLE.
 * @online_ns: how long after a chunk was added it is onlined; 0: at once; or PM_ONLINE_NEVER.
 */
typedef struct {
    unsigned pressure;
    unsigned release;
    unsigned movable;
    int64_t online_ns;
    uint32_t seed;
} PmGuestMemoryConfig;

typedef struct PmGuestMemory PmGuestMemory;

/* NULL: out of memory. */
PmGuestMemory *pm_guest_memory_new(const PmGuestMemoryConfig *config, uint64_t n_units);
void pm_guest_memory_free(PmGuestMemory *memory);

/* The machine or the kernel starts again: nothing is online or pinned. */
void pm_guest_memory_reset(PmGuestMemory *memory);

/* The driver adds a chunk. True: it is onlined at once. */
bool pm_guest_memory_add(PmGuestMemory *memory, uint64_t chunk, int64_t now);

/* The driver removes a chunk. */
void pm_guest_memory_remove(PmGuestMemory *memory, uint64_t chunk);

/* When the next chunk is onlined; INT64_MAX: never. */
int64_t pm_guest_memory_next_online(const PmGuestMemory *memory);

/* Takes the next chunk to online, if it is due. */
bool pm_guest_memory_take_online(PmGuestMemory *memory, int64_t now, uint64_t *chunk);

/* To which zone the next chunk is onlined. */
bool pm_guest_memory_picks_movable(PmGuestMemory *memory);

/* The kernel uses units that were onlined to a kernel zone. */
void pm_guest_memory_use(PmGuestMemory *memory, uint64_t unit, uint64_t n_units);

/* Whether all pages of the units can be moved away. An attempt that fails may change that. */
bool pm_guest_memory_vacate(PmGuestMemory *memory, uint64_t unit, uint64_t n_units);

/* Units whose pages do not move. */
void pm_guest_memory_pin(PmGuestMemory *memory, uint64_t unit, uint64_t n_units);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmGuestMemory, pm_guest_memory_free)

#endif
