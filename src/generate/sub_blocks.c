/* SPDX-License-Identifier: MIT */
#include "generate/sub_blocks.h"

static uint64_t first_unit(const PmGuestDriver *driver, uint64_t chunk)
{
    return chunk * driver->geometry->units_per_chunk;
}

static uint64_t end_unit(const PmGuestDriver *driver, uint64_t chunk)
{
    return first_unit(driver, chunk + 1);
}

static bool is_all_plugged(const PmGuestDriver *driver, uint64_t chunk)
{
    uint64_t end = end_unit(driver, chunk);

    return pm_bitmap_next_clear(driver->plugged, first_unit(driver, chunk), end) == end;
}

static bool is_all_unplugged(const PmGuestDriver *driver, uint64_t chunk)
{
    uint64_t end = end_unit(driver, chunk);

    return pm_bitmap_next_set(driver->plugged, first_unit(driver, chunk), end) == end;
}

static bool is_online(PmChunkState state)
{
    return state >= PM_CHUNK_KERNEL;
}

static PmWork send(PmGuestDriver *driver, PmVirtioMemRequestType type, uint64_t unit,
                   uint64_t n_units)
{
    uint64_t address = driver->geometry->address + unit * driver->geometry->unit_size;
    PmWork work = pm_driver_send(driver, type, address, n_units * driver->geometry->unit_size);

    if (work != PM_WORK_DONE)
        return work;
    if (type == PM_VIRTIO_MEM_PLUG)
        pm_bitmap_set(driver->plugged, unit, n_units);
    else
        pm_bitmap_clear(driver->plugged, unit, n_units);
    return work;
}

/* Fills the gaps of a chunk, from its start. */
static PmWork plug_gaps(PmGuestDriver *driver, uint64_t chunk, uint64_t *n_units)
{
    PmChunkState state = pm_chunks_get(&driver->chunks, chunk);
    uint64_t end = end_unit(driver, chunk);

    while (*n_units > 0) {
        uint64_t unit = pm_bitmap_next_clear(driver->plugged, first_unit(driver, chunk), end);
        uint64_t count = pm_bitmap_next_set(driver->plugged, unit, end) - unit;
        PmWork work;

        if (unit == end)
            break;
        count = MIN(count, *n_units);
        work = send(driver, PM_VIRTIO_MEM_PLUG, unit, count);
        if (work != PM_WORK_DONE)
            return work;
        *n_units -= count;
        if (state == PM_CHUNK_KERNEL_PARTIAL)
            pm_guest_memory_use(driver->memory, unit, count);
    }
    if (is_all_plugged(driver, chunk))
        pm_chunks_set(&driver->chunks, chunk, (PmChunkState)(state - 1));
    return PM_WORK_DONE;
}

static PmWork plug_and_add(PmGuestDriver *driver, uint64_t chunk, uint64_t *n_units)
{
    uint64_t count = MIN(*n_units, driver->geometry->units_per_chunk);
    PmWork work;

    if (!pm_driver_can_add(driver))
        return PM_WORK_NO_ROOM;
    work = send(driver, PM_VIRTIO_MEM_PLUG, first_unit(driver, chunk), count);
    if (work != PM_WORK_DONE)
        return work;
    pm_chunks_set(&driver->chunks, chunk,
                  count == driver->geometry->units_per_chunk ? PM_CHUNK_OFFLINE
                                                             : PM_CHUNK_OFFLINE_PARTIAL);
    pm_driver_add(driver, chunk);
    *n_units -= count;
    return PM_WORK_DONE;
}

static PmWork plug_partial_chunks(PmGuestDriver *driver, uint64_t *n_units)
{
    static const PmChunkState order[] = {PM_CHUNK_KERNEL_PARTIAL, PM_CHUNK_MOVABLE_PARTIAL,
                                         PM_CHUNK_OFFLINE_PARTIAL};
    PmChunks *chunks = &driver->chunks;
    PmWork work = PM_WORK_DONE;

    for (unsigned i = 0; i < G_N_ELEMENTS(order); i++) {
        for (uint64_t chunk = pm_chunks_next(chunks, order[i], 0);
             chunk != PM_NO_CHUNK && *n_units > 0 && work == PM_WORK_DONE;
             chunk = pm_chunks_next(chunks, order[i], chunk + 1))
            work = plug_gaps(driver, chunk, n_units);
    }
    return work;
}

PmWork pm_sub_blocks_plug(PmGuestDriver *driver, uint64_t size)
{
    uint64_t n_units = size / driver->geometry->unit_size;
    PmChunks *chunks = &driver->chunks;
    PmWork work = plug_partial_chunks(driver, &n_units);

    for (uint64_t chunk = pm_chunks_next(chunks, PM_CHUNK_UNUSED, 0);
         chunk != PM_NO_CHUNK && n_units > 0 && work == PM_WORK_DONE;
         chunk = pm_chunks_next(chunks, PM_CHUNK_UNUSED, chunk + 1))
        work = plug_and_add(driver, chunk, &n_units);
    while (n_units > 0 && work == PM_WORK_DONE) {
        if (!pm_driver_can_add(driver) || chunks->n_known >= driver->state.usable_chunks)
            return PM_WORK_NO_ROOM;
        work = plug_and_add(driver, pm_chunks_know_next(chunks), &n_units);
    }
    return work;
}

/* Takes runs of sub-blocks, from the end. */
static PmWork unplug_runs(PmGuestDriver *driver, uint64_t chunk, uint64_t *n_units)
{
    uint64_t first = first_unit(driver, chunk);

    while (*n_units > 0) {
        uint64_t end = pm_bitmap_previous_set(driver->plugged, first, end_unit(driver, chunk));
        uint64_t count = end - pm_bitmap_previous_clear(driver->plugged, first, end);
        PmWork work;

        if (end == first)
            break;
        count = MIN(count, *n_units);
        work = send(driver, PM_VIRTIO_MEM_UNPLUG, end - count, count);
        if (work != PM_WORK_DONE)
            return work;
        *n_units -= count;
    }
    return PM_WORK_DONE;
}

static PmWork unplug_offline(PmGuestDriver *driver, uint64_t chunk, uint64_t *n_units)
{
    PmWork work = unplug_runs(driver, chunk, n_units);

    if (!is_all_plugged(driver, chunk))
        pm_chunks_set(&driver->chunks, chunk, PM_CHUNK_OFFLINE_PARTIAL);
    return work;
}

static PmWork unplug_units_online(PmGuestDriver *driver, uint64_t chunk, uint64_t unit,
                                  uint64_t n_units)
{
    PmChunkState state = pm_chunks_get(&driver->chunks, chunk);
    PmWork work = pm_driver_vacate(driver, unit, n_units);

    if (work == PM_WORK_DONE)
        work = send(driver, PM_VIRTIO_MEM_UNPLUG, unit, n_units);
    if (work == PM_WORK_DONE && (state == PM_CHUNK_KERNEL || state == PM_CHUNK_MOVABLE))
        pm_chunks_set(&driver->chunks, chunk, (PmChunkState)(state + 1));
    return work;
}

/* The sub-blocks that are free, one by one, from the end. */
static PmWork unplug_each_online(PmGuestDriver *driver, uint64_t chunk, uint64_t *n_units)
{
    uint64_t first = first_unit(driver, chunk);
    uint64_t end = pm_bitmap_previous_set(driver->plugged, first, end_unit(driver, chunk));

    for (; end > first && *n_units > 0;
         end = pm_bitmap_previous_set(driver->plugged, first, end - 1)) {
        PmWork work = unplug_units_online(driver, chunk, end - 1, 1);

        if (work == PM_WORK_DONE)
            (*n_units)--;
        else if (work != PM_WORK_PAGES_BUSY)
            return work;
    }
    return PM_WORK_DONE;
}

/* As a whole, if nothing of it is in use. */
static PmWork unplug_online(PmGuestDriver *driver, uint64_t chunk, uint64_t *n_units)
{
    uint64_t all = driver->geometry->units_per_chunk;
    PmWork work;

    if (*n_units >= all && is_all_plugged(driver, chunk)) {
        work = unplug_units_online(driver, chunk, first_unit(driver, chunk), all);
        if (work == PM_WORK_DONE)
            *n_units -= all;
        if (work != PM_WORK_PAGES_BUSY)
            return work;
    }
    return unplug_each_online(driver, chunk, n_units);
}

static PmWork unplug_chunk(PmGuestDriver *driver, uint64_t chunk, uint64_t *n_units)
{
    PmWork work = is_online(pm_chunks_get(&driver->chunks, chunk))
                      ? unplug_online(driver, chunk, n_units)
                      : unplug_offline(driver, chunk, n_units);

    if (work == PM_WORK_DONE && is_all_unplugged(driver, chunk))
        pm_driver_remove(driver, chunk, PM_CHUNK_UNUSED);
    return work;
}

PmWork pm_sub_blocks_unplug(PmGuestDriver *driver, uint64_t size)
{
    static const PmChunkState order[] = {PM_CHUNK_OFFLINE_PARTIAL, PM_CHUNK_OFFLINE,
                                         PM_CHUNK_MOVABLE_PARTIAL, PM_CHUNK_KERNEL_PARTIAL,
                                         PM_CHUNK_MOVABLE,         PM_CHUNK_KERNEL};
    uint64_t n_units = size / driver->geometry->unit_size;
    PmChunks *chunks = &driver->chunks;
    PmWork work = PM_WORK_DONE;

    for (unsigned i = 0; i < G_N_ELEMENTS(order); i++) {
        for (uint64_t chunk = pm_chunks_previous(chunks, order[i], chunks->n_known);
             chunk != PM_NO_CHUNK && n_units > 0 && work == PM_WORK_DONE;
             chunk = pm_chunks_previous(chunks, order[i], chunk)) {
            work = unplug_chunk(driver, chunk, &n_units);
            pm_driver_online(driver);
        }
    }
    return work == PM_WORK_DONE && n_units > 0 ? PM_WORK_PAGES_BUSY : work;
}
