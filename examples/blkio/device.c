/* SPDX-License-Identifier: MIT */
#include "device.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>

#define MAX_SEGMENTS 16

void die(const char *what, const GError *error)
{
    (void)fprintf(stderr, "%s%s%s\n", what, error != NULL ? ": " : "",
                  error != NULL ? error->message : "");
    exit(1);
}

static void check(const char *what, int result)
{
    if (result < 0) {
        (void)fprintf(stderr, "%s: %s\n", what, blkio_get_error_msg());
        exit(1);
    }
}

/* --- the back end of the registry: the device's addresses are those of the host --- */

static struct blkio_mem_region describe(const PmBufferRegion *region)
{
    return (struct blkio_mem_region){
        .addr = region->host,
        .len = region->size,
        .fd = region->fd,
        .fd_offset = (int64_t)region->fd_offset,
    };
}

static bool map(void *user_data, PmBufferRegion *region, GError **error)
{
    const Device *device = user_data;
    struct blkio_mem_region memory = describe(region);

    if (blkio_map_mem_region(device->blkio, &memory) == 0)
        return true;
    g_set_error(error, PM_ERROR, PM_ERROR_KERNEL, "libblkio does not map a region of %zu bytes: %s",
                memory.len, blkio_get_error_msg());
    return false;
}

/* libblkio has no failure here. */
static bool unmap(void *user_data, const PmBufferRegion *region, GError **error)
{
    const Device *device = user_data;
    struct blkio_mem_region memory = describe(region);

    (void)error;
    blkio_unmap_mem_region(device->blkio, &memory);
    return true;
}

static bool get_bool(Device *device, const char *name)
{
    bool value = false;

    check(name, blkio_get_bool(device->blkio, name, &value));
    return value;
}

static uint64_t get_uint64(Device *device, const char *name)
{
    uint64_t value = 0;

    check(name, blkio_get_uint64(device->blkio, name, &value));
    return value;
}

static uint64_t get_int(Device *device, const char *name)
{
    int value = 0;

    check(name, blkio_get_int(device->blkio, name, &value));
    return (uint64_t)MAX(0, value);
}

static void make_registry(Device *device, uint64_t max_regions)
{
    uint64_t flags = PM_BUFFER_CAN_REPLACE;
    PmBufferBackend backend = {
        .struct_size = sizeof(backend),
        .max_regions = get_uint64(device, "max-mem-regions"),
        .alignment = get_uint64(device, "mem-region-alignment"),
        .map = map,
        .unmap = unmap,
    };
    const PmBufferRegistryConfig config = {
        .struct_size = sizeof(config),
        .name = "the example's buffers",
        .backend = &backend,
        .user_data = device,
        .wait_ms = 10000, /* an unplug waits for the requests that use the block */
    };
    g_autoptr(GError) error = NULL;

    if (max_regions != 0)
        backend.max_regions = MIN(backend.max_regions, max_regions);
    if (get_bool(device, "needs-mem-region-fd"))
        flags |= PM_BUFFER_NEEDS_FD;
    if (get_bool(device, "may-pin-mem-regions"))
        flags |= PM_BUFFER_MAY_PIN;
    backend.flags = flags;
    device->registry = pm_buffer_registry_new(&config, &error);
    if (device->registry == NULL)
        die("making a registry", error);
}

void device_open(Device *device, const char *driver, const char *path, uint64_t max_regions)
{
    *device = (Device){0};
    check(driver, blkio_create(driver, &device->blkio));
    check("setting the path", blkio_set_str(device->blkio, "path", path));
    check(path, blkio_connect(device->blkio));
    check("setting the number of queues", blkio_set_int(device->blkio, "num-queues", 1));
    check("starting", blkio_start(device->blkio));
    device->queue = blkio_get_queue(device->blkio, 0);
    device->capacity = get_uint64(device, "capacity");
    device->max_segments = MIN(get_int(device, "max-segments"), MAX_SEGMENTS);
    device->request_alignment = get_int(device, "request-alignment");
    make_registry(device, max_regions);
}

void device_close(Device *device)
{
    pm_buffer_registry_free(device->registry);
    blkio_destroy(&device->blkio);
}

void device_execute(Device *device, bool reads, uint64_t offset, const PmDmaSegment *segments,
                    size_t n_segments)
{
    struct iovec iov[MAX_SEGMENTS];
    struct blkio_completion completion;

    if (n_segments > MAX_SEGMENTS)
        die("too many segments", NULL);
    for (size_t i = 0; i < n_segments; i++)
        iov[i] = (struct iovec){(void *)(uintptr_t)segments[i].address, segments[i].length};
    if (reads)
        blkioq_readv(device->queue, offset, iov, (int)n_segments, NULL, 0);
    else
        blkioq_writev(device->queue, offset, iov, (int)n_segments, NULL, 0);
    check("waiting for a request", blkioq_do_io(device->queue, &completion, 1, 1, NULL));
    if (completion.ret != 0)
        die(completion.error_msg != NULL ? completion.error_msg : "a request failed", NULL);
}
