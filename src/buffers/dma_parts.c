/* SPDX-License-Identifier: MIT */
#include "buffers/dma_parts.h"

#include <string.h>

/* @address: the device's; of a bounced part, an offset in the bounce buffer. */
typedef struct {
    uint64_t address;
    uint64_t size;
    bool is_bounced;
} Part;

typedef struct {
    void *host;
    uint64_t size;
    uint64_t offset; /* in the bounce buffer */
} Copy;

void pm_dma_parts_init(PmDmaParts *parts, uint64_t alignment, uint64_t max_segment_size)
{
    *parts = (PmDmaParts){
        .alignment = alignment,
        .max_segment_size = max_segment_size != 0 ? max_segment_size : UINT64_MAX,
        .parts = g_array_new(false, false, sizeof(Part)),
        .copies = g_array_new(false, false, sizeof(Copy)),
        .segments = g_array_new(false, false, sizeof(PmDmaSegment)),
    };
}

void pm_dma_parts_free(PmDmaParts *parts)
{
    g_array_unref(parts->parts);
    g_array_unref(parts->copies);
    g_array_unref(parts->segments);
}

void pm_dma_parts_clear(PmDmaParts *parts)
{
    g_array_set_size(parts->parts, 0);
    g_array_set_size(parts->copies, 0);
    g_array_set_size(parts->segments, 0);
    parts->n_bounced = 0;
}

guint pm_dma_parts_n(const PmDmaParts *parts)
{
    return parts->parts->len;
}

static Part *part_at(const PmDmaParts *parts, guint index)
{
    return &g_array_index(parts->parts, Part, index);
}

bool pm_dma_parts_add_direct(PmDmaParts *parts, uint64_t address, uint64_t size)
{
    const Part part = {address, size, false};

    if (((address | size) & (parts->alignment - 1)) != 0)
        return false;
    g_array_append_val(parts->parts, part);
    return true;
}

/* Elements that bounce one after the other share a part. */
static void add_bounced(PmDmaParts *parts, uint64_t size)
{
    guint n = parts->parts->len;
    uint64_t mask = parts->alignment - 1;

    if (n > 0 && part_at(parts, n - 1)->is_bounced) {
        part_at(parts, n - 1)->size += size;
    } else {
        Part part = {(parts->n_bounced + mask) & ~mask, size, true};

        parts->n_bounced = part.address;
        g_array_append_val(parts->parts, part);
    }
}

void pm_dma_parts_replace(PmDmaParts *parts, guint n, void *host, uint64_t size)
{
    Copy copy = {.host = host, .size = size};

    g_array_set_size(parts->parts, n);
    add_bounced(parts, size);
    copy.offset = parts->n_bounced;
    g_array_append_val(parts->copies, copy);
    parts->n_bounced += size;
}

bool pm_dma_parts_are_aligned(const PmDmaParts *parts)
{
    for (guint i = 0; i < parts->parts->len; i++)
        if ((part_at(parts, i)->size & (parts->alignment - 1)) != 0)
            return false;
    return true;
}

uint64_t pm_dma_parts_n_segments(const PmDmaParts *parts)
{
    uint64_t n_segments = 0;

    for (guint i = 0; i < parts->parts->len; i++)
        n_segments += (part_at(parts, i)->size - 1) / parts->max_segment_size + 1;
    return n_segments;
}

uint64_t pm_dma_parts_n_bounced(const PmDmaParts *parts)
{
    return parts->n_bounced;
}

void pm_dma_parts_copy_in(const PmDmaParts *parts, void *bounce)
{
    for (guint i = 0; i < parts->copies->len; i++) {
        const Copy *copy = &g_array_index(parts->copies, Copy, i);

        memcpy((char *)bounce + copy->offset, copy->host, copy->size);
    }
}

void pm_dma_parts_copy_out(const PmDmaParts *parts, const void *bounce)
{
    for (guint i = 0; i < parts->copies->len; i++) {
        const Copy *copy = &g_array_index(parts->copies, Copy, i);

        memcpy(copy->host, (const char *)bounce + copy->offset, copy->size);
    }
}

void pm_dma_parts_make_segments(PmDmaParts *parts, uint64_t bounce)
{
    for (guint i = 0; i < parts->parts->len; i++) {
        const Part *part = part_at(parts, i);
        uint64_t address = part->is_bounced ? bounce + part->address : part->address;

        for (uint64_t at = 0; at < part->size; at += parts->max_segment_size) {
            PmDmaSegment segment = {address + at, MIN(part->size - at, parts->max_segment_size)};

            g_array_append_val(parts->segments, segment);
            if (part->size - at <= parts->max_segment_size)
                break;
        }
    }
}
