/* SPDX-License-Identifier: MIT */
/* What a device reads and writes at I/O addresses. */
#ifndef PLUGMAP_TESTS_UNIT_BUFFERS_DMA_DEVICE_H
#define PLUGMAP_TESTS_UNIT_BUFFERS_DMA_DEVICE_H

#include <string.h>

#include <plugmap/dma_vector.h>

#include "registry_world.h"

typedef struct {
    uint64_t address;
    char *host;    /* of the address; NULL: not mapped */
    uint64_t left; /* bytes that are mapped from there on */
} DmaTarget;

static inline bool look_at_mapping(uint64_t iova, uint64_t size, const void *host,
                                   PmIommuAccess access, void *user_data)
{
    DmaTarget *target = user_data;

    if (target->address - iova >= size || access != PM_IOMMU_READ_WRITE)
        return true;
    target->host = (char *)host + (target->address - iova);
    target->left = size - (target->address - iova);
    return false;
}

static inline DmaTarget find_target(World *world, uint64_t address)
{
    DmaTarget target = {.address = address};

    if (world->fake != NULL)
        (void)pm_fake_kernel_foreach_mapping(world->fake, 1, look_at_mapping, &target);
    for (unsigned i = 0; i < world->model.n_regions; i++) {
        const PmBufferRegion *region = &world->model.regions[i];

        (void)look_at_mapping(region->address, region->size, region->host, PM_IOMMU_READ_WRITE,
                              &target);
    }
    return target;
}

static inline void access_segment(World *world, PmDmaSegment segment, char *data, bool is_write)
{
    while (segment.length > 0) {
        DmaTarget target = find_target(world, segment.address);
        uint64_t size = MIN(target.left, segment.length);

        if (target.host == NULL) {
            fail_msg("I/O address 0x%llx is not mapped", (unsigned long long)segment.address);
            return;
        }
        if (is_write)
            memcpy(target.host, data, size);
        else
            memcpy(data, target.host, size);
        data += size;
        segment.address += size;
        segment.length -= size;
    }
}

/* @data: of the whole request. Returns its size. */
static inline uint64_t device_access(World *world, const PmDmaVector *vector, char *data,
                                     bool is_write)
{
    size_t n_segments;
    const PmDmaSegment *segments = pm_dma_vector_get_segments(vector, &n_segments);
    uint64_t done = 0;

    for (size_t i = 0; i < n_segments; i++) {
        access_segment(world, segments[i], data + done, is_write);
        done += segments[i].length;
    }
    return done;
}

static inline PmDmaVector *vector_new(const World *world, PmDmaVectorConfig config)
{
    PmDmaVector *vector;
    GError *error = NULL;

    config.struct_size = sizeof(config);
    vector = pm_dma_vector_new(world->registry, &config, &error);
    assert_null(error);
    return vector;
}

static inline uint64_t n_segments_of(const PmDmaVector *vector)
{
    size_t n_segments;

    (void)pm_dma_vector_get_segments(vector, &n_segments);
    return n_segments;
}

#endif
