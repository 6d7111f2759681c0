/* SPDX-License-Identifier: MIT */
#include "generate/guest_driver.h"

#include <plugmap/size.h>

#include "generate/big_blocks.h"
#include "generate/sub_blocks.h"

#define NS_PER_MS    INT64_C(1000000)
#define MIN_TIMER_NS (50000 * NS_PER_MS)
#define MAX_TIMER_NS (300000 * NS_PER_MS)
#define MAX_OFFLINE  PM_GIB

PmGuestDriver *pm_guest_driver_new(const PmGuestGeometry *geometry, PmGuestMemory *memory,
                                   const PmGuestPort *port)
{
    PmGuestDriver *driver = g_new0(PmGuestDriver, 1);
    uint64_t n_units = geometry->n_chunks * geometry->units_per_chunk;

    driver->geometry = geometry;
    driver->memory = memory;
    driver->port = *port;
    driver->offline_threshold = MAX(MAX_OFFLINE, 2 * geometry->chunk_size);
    driver->timer = INT64_MAX;
    driver->timer_ns = MIN_TIMER_NS;
    driver->plugged = pm_bitmap_new(geometry->has_big_blocks ? 1 : MAX(n_units, 1));
    if (!pm_chunks_init(&driver->chunks, geometry->n_chunks) || driver->plugged == NULL) {
        pm_guest_driver_free(driver);
        return NULL;
    }
    port->read_state(port->user_data, &driver->state);
    driver->needs_unplug_all = driver->state.plugged_size > 0;
    pm_guest_driver_notify(driver);
    return driver;
}

void pm_guest_driver_free(PmGuestDriver *driver)
{
    if (driver == NULL)
        return;
    pm_chunks_clear(&driver->chunks);
    pm_bitmap_free(driver->plugged);
    g_free(driver);
}

void pm_guest_driver_notify(PmGuestDriver *driver)
{
    driver->config_changed = true;
    driver->has_work = true;
}

void pm_guest_driver_online(PmGuestDriver *driver)
{
    pm_driver_online(driver);
}

void pm_guest_driver_stop(PmGuestDriver *driver)
{
    driver->is_stopped = true;
}

bool pm_guest_driver_has_work(const PmGuestDriver *driver)
{
    return driver->has_work;
}

int64_t pm_guest_driver_get_timer(const PmGuestDriver *driver)
{
    return driver->timer;
}

void pm_guest_driver_expire_timer(PmGuestDriver *driver)
{
    driver->timer = INT64_MAX;
    driver->timer_ns = MIN(2 * driver->timer_ns, MAX_TIMER_NS);
    driver->has_work = true;
}

bool pm_guest_driver_is_broken(const PmGuestDriver *driver)
{
    return driver->is_broken;
}

static void read_changed_state(PmGuestDriver *driver)
{
    if (!driver->config_changed)
        return;
    driver->config_changed = false;
    driver->port.read_state(driver->port.user_data, &driver->state);
}

static PmWork plug(PmGuestDriver *driver, uint64_t size)
{
    return driver->geometry->has_big_blocks ? pm_big_blocks_plug(driver, size)
                                            : pm_sub_blocks_plug(driver, size);
}

static PmWork unplug(PmGuestDriver *driver, uint64_t size)
{
    return driver->geometry->has_big_blocks ? pm_big_blocks_unplug(driver, size)
                                            : pm_sub_blocks_unplug(driver, size);
}

static PmWork work_once(PmGuestDriver *driver)
{
    PmWork work = driver->needs_unplug_all ? pm_driver_unplug_all(driver) : PM_WORK_DONE;

    read_changed_state(driver);
    if (work == PM_WORK_DONE && driver->geometry->has_big_blocks)
        work = pm_big_blocks_clean_up(driver);
    if (work != PM_WORK_DONE)
        return work;
    if (driver->state.requested_size > driver->state.plugged_size)
        return plug(driver, driver->state.requested_size - driver->state.plugged_size);
    return unplug(driver, driver->state.plugged_size - driver->state.requested_size);
}

static void end_work(PmGuestDriver *driver, PmWork work)
{
    switch (work) {
    case PM_WORK_DONE:
        driver->timer_ns = MIN_TIMER_NS;
        break;
    case PM_WORK_PAGES_BUSY:
    case PM_WORK_HOST_BUSY:
        driver->timer = driver->port.now(driver->port.user_data) + driver->timer_ns;
        break;
    case PM_WORK_BROKEN:
        driver->is_broken = true;
        break;
    case PM_WORK_AGAIN:
    case PM_WORK_NO_ROOM:
    case PM_WORK_STOPPED:
    default:
        break;
    }
}

void pm_guest_driver_work(PmGuestDriver *driver)
{
    PmWork work;

    driver->has_work = false;
    driver->timer = INT64_MAX;
    if (driver->is_broken || driver->is_stopped)
        return;
    driver->is_active = true;
    do
        work = work_once(driver);
    while (work == PM_WORK_AGAIN);
    driver->is_active = false;
    end_work(driver, work);
}
