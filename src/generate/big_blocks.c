/* SPDX-License-Identifier: MIT */
#include "generate/big_blocks.h"

static PmWork send(PmGuestDriver *driver, PmVirtioMemRequestType type, uint64_t chunk)
{
    uint64_t size = driver->geometry->chunk_size;

    return pm_driver_send(driver, type, driver->geometry->address + chunk * size, size);
}

static PmWork plug_and_add(PmGuestDriver *driver, uint64_t chunk)
{
    PmWork work;

    if (!pm_driver_can_add(driver))
        return PM_WORK_NO_ROOM;
    work = send(driver, PM_VIRTIO_MEM_PLUG, chunk);
    if (work != PM_WORK_DONE)
        return work;
    pm_chunks_set(&driver->chunks, chunk, PM_CHUNK_OFFLINE);
    pm_driver_add(driver, chunk);
    return PM_WORK_DONE;
}

PmWork pm_big_blocks_plug(PmGuestDriver *driver, uint64_t size)
{
    uint64_t n_left = size / driver->geometry->chunk_size;
    PmChunks *chunks = &driver->chunks;
    PmWork work = PM_WORK_DONE;

    for (uint64_t chunk = pm_chunks_next(chunks, PM_CHUNK_UNUSED, 0);
         chunk != PM_NO_CHUNK && n_left > 0 && work == PM_WORK_DONE;
         chunk = pm_chunks_next(chunks, PM_CHUNK_UNUSED, chunk + 1), n_left--)
        work = plug_and_add(driver, chunk);
    for (; n_left > 0 && work == PM_WORK_DONE; n_left--) {
        if (!pm_driver_can_add(driver) || chunks->n_known >= driver->state.usable_chunks)
            return PM_WORK_NO_ROOM;
        work = plug_and_add(driver, pm_chunks_know_next(chunks));
    }
    return work;
}

/* One memory block after the other. */
static PmWork vacate(PmGuestDriver *driver, uint64_t chunk)
{
    uint64_t first = chunk * driver->geometry->units_per_chunk;
    PmWork work = PM_WORK_DONE;

    if (pm_chunks_get(&driver->chunks, chunk) == PM_CHUNK_OFFLINE)
        return PM_WORK_DONE;
    for (uint64_t i = 0; i < driver->geometry->units_per_chunk && work == PM_WORK_DONE; i++)
        work = pm_driver_vacate(driver, first + i, 1);
    return work;
}

/* Unlike in sub-block mode, Linux no longer has it when the host is asked. */
static PmWork remove_and_unplug(PmGuestDriver *driver, uint64_t chunk)
{
    PmWork work = vacate(driver, chunk);

    if (work != PM_WORK_DONE)
        return work;
    pm_driver_remove(driver, chunk, PM_CHUNK_PLUGGED);
    work = send(driver, PM_VIRTIO_MEM_UNPLUG, chunk);
    if (work == PM_WORK_DONE)
        pm_chunks_set(&driver->chunks, chunk, PM_CHUNK_UNUSED);
    return work;
}

static PmWork unplug_in_state(PmGuestDriver *driver, PmChunkState state, uint64_t *n_left)
{
    PmChunks *chunks = &driver->chunks;

    for (uint64_t chunk = pm_chunks_previous(chunks, state, chunks->n_known);
         chunk != PM_NO_CHUNK && *n_left > 0; chunk = pm_chunks_previous(chunks, state, chunk)) {
        PmWork work = remove_and_unplug(driver, chunk);

        pm_driver_online(driver);
        if (work == PM_WORK_DONE)
            (*n_left)--;
        else if (work != PM_WORK_PAGES_BUSY)
            return work;
    }
    return PM_WORK_DONE;
}

PmWork pm_big_blocks_unplug(PmGuestDriver *driver, uint64_t size)
{
    static const PmChunkState order[] = {PM_CHUNK_OFFLINE, PM_CHUNK_MOVABLE, PM_CHUNK_KERNEL};
    uint64_t n_left = size / driver->geometry->chunk_size;
    PmWork work = PM_WORK_DONE;

    for (unsigned i = 0; i < G_N_ELEMENTS(order) && work == PM_WORK_DONE; i++)
        work = unplug_in_state(driver, order[i], &n_left);
    return work == PM_WORK_DONE && n_left > 0 ? PM_WORK_PAGES_BUSY : work;
}

PmWork pm_big_blocks_clean_up(PmGuestDriver *driver)
{
    PmChunks *chunks = &driver->chunks;

    for (uint64_t chunk = pm_chunks_next(chunks, PM_CHUNK_PLUGGED, 0); chunk != PM_NO_CHUNK;
         chunk = pm_chunks_next(chunks, PM_CHUNK_PLUGGED, chunk + 1)) {
        PmWork work = send(driver, PM_VIRTIO_MEM_UNPLUG, chunk);

        if (work != PM_WORK_DONE)
            return work;
        pm_chunks_set(chunks, chunk, PM_CHUNK_UNUSED);
    }
    return PM_WORK_DONE;
}
