/* SPDX-License-Identifier: MIT */
#include "generate/driver_state.h"

#include <plugmap/size.h>

#define REQUEST_NS     20000
#define ADD_NS_PER_MIB 100000 /* add and online */
#define OFF_NS_PER_MIB 100000 /* move pages, offline and remove */

static void pass(PmGuestDriver *driver, int64_t ns)
{
    driver->port.sleep(driver->port.user_data, ns);
}

static PmWork check_change(const PmGuestDriver *driver)
{
    if (driver->is_stopped)
        return PM_WORK_STOPPED;
    return driver->config_changed ? PM_WORK_AGAIN : PM_WORK_DONE;
}

static PmVirtioMemAnswer ask(PmGuestDriver *driver, PmVirtioMemRequestType type, uint64_t address,
                             uint64_t size)
{
    uint16_t n_blocks = (uint16_t)(size / driver->geometry->block_size);
    PmVirtioMemAnswer answer = driver->port.send(driver->port.user_data, type, address, n_blocks);

    pass(driver, REQUEST_NS);
    return answer;
}

PmWork pm_driver_send(PmGuestDriver *driver, PmVirtioMemRequestType type, uint64_t address,
                      uint64_t size)
{
    PmWork change = check_change(driver);

    if (change != PM_WORK_DONE)
        return change;
    switch (ask(driver, type, address, size)) {
    case PM_VIRTIO_MEM_ACK:
        driver->state.plugged_size += type == PM_VIRTIO_MEM_PLUG ? size : -size;
        return PM_WORK_DONE;
    case PM_VIRTIO_MEM_NACK:
        return type == PM_VIRTIO_MEM_PLUG ? PM_WORK_AGAIN : PM_WORK_HOST_BUSY;
    case PM_VIRTIO_MEM_ERROR:
        return PM_WORK_BROKEN;
    case PM_VIRTIO_MEM_BUSY:
    default:
        return PM_WORK_HOST_BUSY;
    }
}

PmWork pm_driver_unplug_all(PmGuestDriver *driver)
{
    if (driver->is_stopped)
        return PM_WORK_STOPPED;
    if (ask(driver, PM_VIRTIO_MEM_UNPLUG_ALL, 0, 0) != PM_VIRTIO_MEM_ACK)
        return PM_WORK_HOST_BUSY;
    driver->needs_unplug_all = false;
    driver->state.plugged_size = 0;
    driver->config_changed = true; /* the usable region may have shrunk */
    return PM_WORK_DONE;
}

PmWork pm_driver_vacate(PmGuestDriver *driver, uint64_t unit, uint64_t n_units)
{
    PmWork change = check_change(driver);
    uint64_t size = n_units * driver->geometry->unit_size;

    if (change != PM_WORK_DONE)
        return change;
    pass(driver, (int64_t)(size / PM_MIB * OFF_NS_PER_MIB));
    return pm_guest_memory_vacate(driver->memory, unit, n_units) ? PM_WORK_DONE
                                                                 : PM_WORK_PAGES_BUSY;
}

static uint64_t offline_size(const PmGuestDriver *driver)
{
    return (driver->chunks.n_in[PM_CHUNK_OFFLINE] + driver->chunks.n_in[PM_CHUNK_OFFLINE_PARTIAL]) *
           driver->geometry->chunk_size;
}

bool pm_driver_can_add(const PmGuestDriver *driver)
{
    return offline_size(driver) + driver->geometry->chunk_size <= driver->offline_threshold;
}

static void use_units(PmGuestDriver *driver, uint64_t chunk)
{
    uint64_t unit = chunk * driver->geometry->units_per_chunk;
    uint64_t end = unit + driver->geometry->units_per_chunk;

    if (driver->geometry->has_big_blocks) {
        pm_guest_memory_use(driver->memory, unit, end - unit);
        return;
    }
    for (unit = pm_bitmap_next_set(driver->plugged, unit, end); unit < end;
         unit = pm_bitmap_next_set(driver->plugged, unit + 1, end))
        pm_guest_memory_use(driver->memory, unit, 1);
}

static void online(PmGuestDriver *driver, uint64_t chunk)
{
    bool is_partial = pm_chunks_get(&driver->chunks, chunk) == PM_CHUNK_OFFLINE_PARTIAL;
    bool is_movable = pm_guest_memory_picks_movable(driver->memory);
    int state = is_movable ? PM_CHUNK_MOVABLE : PM_CHUNK_KERNEL;

    pm_chunks_set(&driver->chunks, chunk, (PmChunkState)(state + is_partial));
    if (!is_movable)
        use_units(driver, chunk);
}

void pm_driver_add(PmGuestDriver *driver, uint64_t chunk)
{
    int64_t now = driver->port.now(driver->port.user_data);

    if (pm_guest_memory_add(driver->memory, chunk, now))
        online(driver, chunk);
    pass(driver, (int64_t)(driver->geometry->chunk_size / PM_MIB * ADD_NS_PER_MIB));
    pm_driver_online(driver);
}

void pm_driver_remove(PmGuestDriver *driver, uint64_t chunk, PmChunkState state)
{
    pm_guest_memory_remove(driver->memory, chunk);
    pm_chunks_set(&driver->chunks, chunk, state);
    driver->has_work = true; /* that may have freed memory which can be unplugged now */
}

void pm_driver_online(PmGuestDriver *driver)
{
    int64_t now = driver->port.now(driver->port.user_data);
    uint64_t chunk;

    while (pm_guest_memory_take_online(driver->memory, now, &chunk)) {
        online(driver, chunk);
        if (!driver->is_active && offline_size(driver) <= driver->offline_threshold / 2)
            driver->has_work = true;
    }
}
