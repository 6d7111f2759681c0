/* SPDX-License-Identifier: MIT */
/* What a simulated driver runs on: the device, and the guest's clock. */
#ifndef PLUGMAP_SRC_GENERATE_GUEST_PORT_H
#define PLUGMAP_SRC_GENERATE_GUEST_PORT_H

#include <plugmap/virtio_mem_wire.h>

/* What the driver reads of the device's configuration. */
typedef struct {
    uint64_t usable_chunks; /* pm_guest_geometry_usable_chunks() */
    uint64_t plugged_size;
    uint64_t requested_size;
} PmGuestDeviceState;

/*
 * What the driver runs on.
 * @send: sends a request; returns the device's answer.
 * @read_state: reads the configuration.
 * @now: the guest's clock, in nanoseconds.
 * @sleep: time passes. May change the configuration and notify the driver.
 */
typedef struct {
    PmVirtioMemAnswer (*send)(void *user_data, PmVirtioMemRequestType type, uint64_t address,
                              uint16_t n_blocks);
    void (*read_state)(void *user_data, PmGuestDeviceState *state);
    int64_t (*now)(void *user_data);
    void (*sleep)(void *user_data, int64_t ns);
    void *user_data;
} PmGuestPort;

#endif
