/* SPDX-License-Identifier: MIT */
#include "generate/guest_memory.h"

#include "base/bitmap.h"

typedef struct {
    uint64_t chunk;
    int64_t due;
} Waiting;

struct PmGuestMemory {
    PmGuestMemoryConfig config;
    PmBitmap *pinned; /* by unit */
    GArray *waiting;  /* of Waiting: chunks to online, the earliest first */
    GRand *random;
};

PmGuestMemory *pm_guest_memory_new(const PmGuestMemoryConfig *config, uint64_t n_units)
{
    PmBitmap *pinned = pm_bitmap_new(MAX(n_units, 1));
    PmGuestMemory *memory;

    if (pinned == NULL)
        return NULL;
    memory = g_new0(PmGuestMemory, 1);
    memory->config = *config;
    memory->pinned = pinned;
    memory->waiting = g_array_new(FALSE, FALSE, sizeof(Waiting));
    memory->random = g_rand_new_with_seed(config->seed);
    return memory;
}

void pm_guest_memory_free(PmGuestMemory *memory)
{
    if (memory == NULL)
        return;
    pm_bitmap_free(memory->pinned);
    g_array_unref(memory->waiting);
    g_rand_free(memory->random);
    g_free(memory);
}

void pm_guest_memory_reset(PmGuestMemory *memory)
{
    pm_bitmap_clear(memory->pinned, 0, pm_bitmap_n_bits(memory->pinned));
    g_array_set_size(memory->waiting, 0);
}

/* Certain outcomes take no number, so that options do not change each other's numbers. */
static bool happens(PmGuestMemory *memory, unsigned percent)
{
    return percent >= 100 ||
           (percent > 0 && g_rand_int_range(memory->random, 0, 100) < (gint32)percent);
}

bool pm_guest_memory_add(PmGuestMemory *memory, uint64_t chunk, int64_t now)
{
    Waiting waiting = {.chunk = chunk, .due = now + memory->config.online_ns};

    if (memory->config.online_ns > 0)
        g_array_append_val(memory->waiting, waiting);
    return memory->config.online_ns == 0;
}

void pm_guest_memory_remove(PmGuestMemory *memory, uint64_t chunk)
{
    for (guint i = 0; i < memory->waiting->len; i++) {
        if (g_array_index(memory->waiting, Waiting, i).chunk == chunk) {
            g_array_remove_index(memory->waiting, i);
            return;
        }
    }
}

int64_t pm_guest_memory_next_online(const PmGuestMemory *memory)
{
    return memory->waiting->len > 0 ? g_array_index(memory->waiting, Waiting, 0).due : INT64_MAX;
}

bool pm_guest_memory_take_online(PmGuestMemory *memory, int64_t now, uint64_t *chunk)
{
    if (pm_guest_memory_next_online(memory) > now)
        return false;
    *chunk = g_array_index(memory->waiting, Waiting, 0).chunk;
    g_array_remove_index(memory->waiting, 0);
    return true;
}

bool pm_guest_memory_picks_movable(PmGuestMemory *memory)
{
    return happens(memory, memory->config.movable);
}

void pm_guest_memory_use(PmGuestMemory *memory, uint64_t unit, uint64_t n_units)
{
    for (uint64_t end = unit + n_units; memory->config.pressure > 0 && unit < end; unit++)
        if (happens(memory, memory->config.pressure))
            pm_bitmap_set(memory->pinned, unit, 1);
}

bool pm_guest_memory_vacate(PmGuestMemory *memory, uint64_t unit, uint64_t n_units)
{
    uint64_t end = unit + n_units;
    uint64_t pinned = pm_bitmap_next_set(memory->pinned, unit, end);

    if (pinned == end)
        return true;
    if (happens(memory, memory->config.release))
        pm_bitmap_clear(memory->pinned, pinned, 1);
    return false;
}

void pm_guest_memory_pin(PmGuestMemory *memory, uint64_t unit, uint64_t n_units)
{
    pm_bitmap_set(memory->pinned, unit, n_units);
}
