/* SPDX-License-Identifier: MIT */
/* The inside of PmGuestDriver (guest_driver.h), and what both modes need of it. */
#ifndef PLUGMAP_SRC_GENERATE_DRIVER_STATE_H
#define PLUGMAP_SRC_GENERATE_DRIVER_STATE_H

#include "base/bitmap.h"
#include "generate/chunks.h"
#include "generate/geometry.h"
#include "generate/guest_memory.h"
#include "generate/guest_port.h"

/* Why a step of the driver's work ended. */
typedef enum {
    PM_WORK_DONE,
    PM_WORK_AGAIN,      /* the configuration has changed: start again at once */
    PM_WORK_NO_ROOM,    /* no more chunks, or too many are offline: wait for a change */
    PM_WORK_PAGES_BUSY, /* pages do not move: try again later */
    PM_WORK_HOST_BUSY,  /* the host cannot do it now: try again later */
    PM_WORK_BROKEN,
    PM_WORK_STOPPED,
} PmWork;

typedef struct PmGuestDriver {
    const PmGuestGeometry *geometry;
    PmGuestMemory *memory;
    PmGuestPort port;
    PmGuestDeviceState state; /* as last read */
    PmChunks chunks;
    PmBitmap *plugged; /* by unit; sub-block mode only */
    uint64_t offline_threshold;
    int64_t timer; /* INT64_MAX: not set */
    int64_t timer_ns;
    bool has_work;
    bool is_active;
    bool needs_unplug_all;
    bool config_changed;
    bool is_broken;
    bool is_stopped;
} PmGuestDriver;

/* Sends a PLUG or UNPLUG of @size bytes, unless the configuration has changed. */
PmWork pm_driver_send(PmGuestDriver *driver, PmVirtioMemRequestType type, uint64_t address,
                      uint64_t size);

/* Takes @n_units units from the kernel, unless the configuration has changed. */
PmWork pm_driver_vacate(PmGuestDriver *driver, uint64_t unit, uint64_t n_units);

/* Whether a chunk can be added: Linux runs out of memory if it adds much and onlines little. */
bool pm_driver_can_add(const PmGuestDriver *driver);

/* Adds an OFFLINE chunk to Linux, which may online it at once. */
void pm_driver_add(PmGuestDriver *driver, uint64_t chunk);

/* Removes a chunk from Linux. */
void pm_driver_remove(PmGuestDriver *driver, uint64_t chunk, PmChunkState state);

/* Onlines memory that is due. */
void pm_driver_online(PmGuestDriver *driver);

/* Sends UNPLUG_ALL. */
PmWork pm_driver_unplug_all(PmGuestDriver *driver);

#endif
