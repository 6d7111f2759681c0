/* SPDX-License-Identifier: MIT */
/*
 * A model of Linux's virtio_mem driver: which requests it sends, in which order, and when it tries
 * again. docs/generate.md says what it leaves out.
 *
 * Nothing happens by itself: the owner runs the work that an interrupt or the timer has queued.
 */
#ifndef PLUGMAP_SRC_GENERATE_GUEST_DRIVER_H
#define PLUGMAP_SRC_GENERATE_GUEST_DRIVER_H

#include "generate/geometry.h"
#include "generate/guest_memory.h"
#include "generate/guest_port.h"

typedef struct PmGuestDriver PmGuestDriver;

/* Probes the device, which queues work. Keeps the arguments. NULL: out of memory. */
PmGuestDriver *pm_guest_driver_new(const PmGuestGeometry *geometry, PmGuestMemory *memory,
                                   const PmGuestPort *port);
void pm_guest_driver_free(PmGuestDriver *driver);

/* The device sends a configuration interrupt. */
void pm_guest_driver_notify(PmGuestDriver *driver);

/* Memory that is due is onlined. */
void pm_guest_driver_online(PmGuestDriver *driver);

/* The guest stops: the work that runs sends nothing more. */
void pm_guest_driver_stop(PmGuestDriver *driver);

bool pm_guest_driver_has_work(const PmGuestDriver *driver);
void pm_guest_driver_work(PmGuestDriver *driver);

/* When the timer of the next try expires; INT64_MAX: it is not set. */
int64_t pm_guest_driver_get_timer(const PmGuestDriver *driver);
void pm_guest_driver_expire_timer(PmGuestDriver *driver);

/* The device answered ERROR: the driver has given up. */
bool pm_guest_driver_is_broken(const PmGuestDriver *driver);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmGuestDriver, pm_guest_driver_free)

#endif
