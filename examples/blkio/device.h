/* SPDX-License-Identifier: MIT */
/* A libblkio device with a buffer registry. Errors end the program. */
#ifndef PLUGMAP_EXAMPLES_BLKIO_DEVICE_H
#define PLUGMAP_EXAMPLES_BLKIO_DEVICE_H

#include <blkio.h>
#include <plugmap/dma_vector.h>
#include <plugmap/plugmap.h>

/*
 * @max_segments: of a request; 0: not known.
 * @request_alignment: of the offset and size of a request.
 */
typedef struct {
    struct blkio *blkio;
    struct blkioq *queue;
    PmBufferRegistry *registry;
    uint64_t capacity;
    uint64_t max_segments;
    uint64_t request_alignment;
} Device;

/* @error may be NULL. */
G_NORETURN void die(const char *what, const GError *error);

/* @driver and @path: for example "virtio-blk-vhost-user" and a socket, or "virtio-blk-vfio-pci" and
 * /sys/bus/pci/devices/0000:00:06.0. @max_regions: fewer than the device has; 0: as many as that.
 * Registers nothing yet. */
void device_open(Device *device, const char *driver, const char *path, uint64_t max_regions);

/* Unregister all before. */
void device_close(Device *device);

/* Reads or writes, and waits for it. */
void device_execute(Device *device, bool reads, uint64_t offset, const PmDmaSegment *segments,
                    size_t n_segments);

#endif
