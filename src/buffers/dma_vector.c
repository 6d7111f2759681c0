/* SPDX-License-Identifier: MIT */
#include <plugmap/dma_vector.h>

#include <inttypes.h>
#include <string.h>

#include <plugmap/size.h>

#include "base/error_text.h"
#include "base/sized.h"
#include "buffers/buffer_lease.h"
#include "buffers/dma_parts.h"
#include "buffers/map_once.h"

#define MAX_ALIGNMENT PM_BOUNCE_UNIT
#define MAX_BYTES     (UINT64_C(1) << 63)

struct PmDmaVector {
    PmBufferRegistry *registry;
    PmDmaVectorConfig config;
    bool is_prepared;
    PmDmaDirection direction;
    PmDmaParts parts;
    GArray *leases; /* of PmLease: of what is registered, or held */
    GArray *maps;   /* of PmMapOnce */
    const void *closed_at;
    PmBounceSlot slot;
};

/* What came of an element, or of a request. */
typedef enum {
    DONE,
    FAILED,      /* the error is set */
    RETRY,       /* once the block at closed_at is not closed any more */
    WANTS_BOUNCE /* an element: bounce it; a request: bounce all of it */
} Outcome;

/* --- creation --- */

static bool check_config(const PmDmaVectorConfig *config, GError **error)
{
    if (config->alignment > MAX_ALIGNMENT || (config->alignment & (config->alignment - 1)) != 0)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "invalid alignment 0x%" PRIx64
                       " of a DMA vector: must be a power of two, at most 4K",
                       config->alignment);
    if (config->max_segment_size % config->alignment != 0)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "invalid max_segment_size 0x%" PRIx64
                       " of a DMA vector: must be a multiple of its alignment 0x%" PRIx64,
                       config->max_segment_size, config->alignment);
    if (config->fallback > PM_DMA_FALLBACK_NONE || (config->flags & ~(uint64_t)PM_DMA_NO_WAIT) != 0)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "invalid fallback %" PRIu64 " or flags 0x%" PRIx64 " of a DMA vector",
                       config->fallback, config->flags);
    return true;
}

static bool check_backend(const PmBufferRegistry *registry, const PmDmaVectorConfig *config,
                          GError **error)
{
    return config->fallback != PM_DMA_FALLBACK_MAP || registry->backend->maps_blocks ||
           pm_fail(error, PM_ERROR_UNSUPPORTED,
                   "%s: PM_DMA_FALLBACK_MAP needs a PmIommu: use PM_DMA_FALLBACK_BOUNCE",
                   registry->name);
}

PmDmaVector *pm_dma_vector_new(PmBufferRegistry *registry, const PmDmaVectorConfig *given,
                               GError **error)
{
    PmDmaVectorConfig config;
    PmDmaVector *vector;

    if (!pm_sized_read("PmDmaVectorConfig", &config, sizeof(config), given, error))
        return NULL;
    config.alignment = MAX(config.alignment, 1);
    if (!check_config(&config, error) || !check_backend(registry, &config, error))
        return NULL;
    vector = g_new0(PmDmaVector, 1);
    vector->registry = registry;
    vector->config = config;
    pm_dma_parts_init(&vector->parts, config.alignment, config.max_segment_size);
    vector->leases = g_array_new(false, false, sizeof(PmLease));
    vector->maps = g_array_new(false, false, sizeof(PmMapOnce));
    return vector;
}

/* --- the end of a request --- */

static void unmap_all(PmDmaVector *vector)
{
    for (guint i = 0; i < vector->maps->len; i++)
        pm_unmap_once(vector->registry, &g_array_index(vector->maps, PmMapOnce, i));
    g_array_set_size(vector->maps, 0);
}

/* All but the slot. */
static void release(PmDmaVector *vector)
{
    unmap_all(vector);
    for (guint i = 0; i < vector->leases->len; i++)
        pm_lease_release(&g_array_index(vector->leases, PmLease, i));
    g_array_set_size(vector->leases, 0);
    pm_dma_parts_clear(&vector->parts);
}

static void put_slot(PmDmaVector *vector)
{
    if (vector->slot.chunk != NULL)
        pm_bounce_pool_put(vector->registry->pool, &vector->slot);
}

/* In a forked child, everything is the parent's, and a lock may be held for ever. */
static void forget(PmDmaVector *vector)
{
    g_array_set_size(vector->maps, 0);
    g_array_set_size(vector->leases, 0);
    pm_dma_parts_clear(&vector->parts);
    vector->slot.chunk = NULL;
}

static void end(PmDmaVector *vector, bool copies_back)
{
    if (!vector->is_prepared)
        return;
    vector->is_prepared = false;
    if (!pm_registry_check_process(vector->registry, NULL)) {
        forget(vector);
        return;
    }
    if (copies_back && (vector->direction & PM_DMA_FROM_DEVICE) != 0)
        pm_dma_parts_copy_out(&vector->parts, vector->slot.host);
    release(vector);
    put_slot(vector);
}

void pm_dma_vector_finish(PmDmaVector *vector)
{
    end(vector, true);
}

void pm_dma_vector_cancel(PmDmaVector *vector)
{
    end(vector, false);
}

void pm_dma_vector_free(PmDmaVector *vector)
{
    if (vector == NULL)
        return;
    pm_dma_vector_cancel(vector);
    pm_dma_parts_free(&vector->parts);
    g_array_unref(vector->leases);
    g_array_unref(vector->maps);
    g_free(vector);
}

/* --- elements --- */

static Outcome fail_lease(const PmDmaVector *vector, PmLeaseResult result, const void *host,
                          uint64_t failed_at, GError **error)
{
    (void)pm_registry_fail_lease(vector->registry, result, host, failed_at, error);
    return FAILED;
}

static void add_lease(PmDmaVector *vector, const PmLease *lease)
{
    g_array_append_vals(vector->leases, lease, 1);
}

static Outcome add_leased(PmDmaVector *vector, const PmLease *lease)
{
    PmLeaseRun run;

    for (uint64_t at = 0; pm_lease_next(lease, at, &run); at += run.size)
        if (!pm_dma_parts_add_direct(&vector->parts, run.address, run.size))
            return WANTS_BOUNCE;
    return DONE;
}

static uint64_t to_page_end(const char *host)
{
    return PM_BOUNCE_UNIT - (uintptr_t)host % PM_BOUNCE_UNIT;
}

static Outcome retry_at(PmDmaVector *vector, const char *host, uint64_t failed_at)
{
    vector->closed_at = host + failed_at;
    return RETRY;
}

/* Keeps those parts of an element from being discarded that are in RAM of the registry. */
static PmLeaseResult hold(PmDmaVector *vector, const char *host, uint64_t size, uint64_t *failed_at)
{
    const char *at = host;

    while (at < host + size) {
        uint64_t left = (uint64_t)(host + size - at);
        uint64_t known;
        PmLease lease;
        PmLeaseResult result = pm_lease_hold(vector->registry->leases, &lease, at, left, &known);

        if (result == PM_LEASE_UNKNOWN && known == 0) {
            at += MIN(left, to_page_end(at));
            continue;
        }
        if (result == PM_LEASE_UNKNOWN) {
            left = known;
            result = pm_lease_hold(vector->registry->leases, &lease, at, left, &known);
        }
        if (result != PM_LEASE_GRANTED) {
            *failed_at = (uint64_t)(at - host) + known;
            return result;
        }
        add_lease(vector, &lease);
        at += left;
    }
    return PM_LEASE_GRANTED;
}

static Outcome add_mapped(PmDmaVector *vector, char *host, uint64_t size, GError **error)
{
    PmMapOnce map;

    if (!pm_map_once(vector->registry, host, size, &map, error))
        return FAILED;
    g_array_append_val(vector->maps, map);
    return pm_dma_parts_add_direct(&vector->parts, map.address, size) ? DONE : WANTS_BOUNCE;
}

static Outcome add_missing(PmDmaVector *vector, char *host, uint64_t size, GError **error)
{
    guint n_before = vector->leases->len;
    uint64_t failed_at;
    PmLeaseResult result = hold(vector, host, size, &failed_at);
    bool is_added = vector->leases->len > n_before;

    if (result == PM_LEASE_CLOSED)
        return retry_at(vector, host, failed_at);
    if (result != PM_LEASE_GRANTED)
        return fail_lease(vector, result, host, failed_at, error);
    return vector->config.fallback == PM_DMA_FALLBACK_MAP && !is_added
               ? add_mapped(vector, host, size, error)
               : WANTS_BOUNCE;
}

static Outcome add_element(PmDmaVector *vector, char *host, uint64_t size, GError **error)
{
    uint64_t failed_at;
    PmLease lease;
    PmLeaseResult result = pm_registry_lease(vector->registry, &lease, host, size, &failed_at);

    if (result == PM_LEASE_GRANTED) {
        add_lease(vector, &lease);
        return add_leased(vector, &lease);
    }
    if (result == PM_LEASE_CLOSED)
        return retry_at(vector, host, failed_at);
    if (result == PM_LEASE_DISCARDED || vector->config.fallback == PM_DMA_FALLBACK_NONE)
        return fail_lease(vector, result, host, failed_at, error);
    return add_missing(vector, host, size, error);
}

static Outcome fail_alignment(const PmDmaVector *vector, const void *host, GError **error)
{
    (void)pm_fail(
        error, PM_ERROR_UNALIGNED,
        "%s: the segments of the buffer at host address %p are not multiples of 0x%" PRIx64
        ": align the buffer, or allow bouncing (PmDmaVectorConfig.fallback)",
        vector->registry->name, host, vector->config.alignment);
    return FAILED;
}

/* Leases, maps, or notes to bounce. */
static Outcome add_elements(PmDmaVector *vector, const struct iovec *iov, size_t n_iov,
                            GError **error)
{
    for (size_t i = 0; i < n_iov; i++) {
        guint n_before = pm_dma_parts_n(&vector->parts);
        Outcome outcome = DONE;

        if (iov[i].iov_len > 0)
            outcome = add_element(vector, iov[i].iov_base, iov[i].iov_len, error);
        if (outcome == WANTS_BOUNCE && vector->config.fallback == PM_DMA_FALLBACK_NONE)
            return fail_alignment(vector, iov[i].iov_base, error);
        if (outcome == WANTS_BOUNCE)
            pm_dma_parts_replace(&vector->parts, n_before, iov[i].iov_base, iov[i].iov_len);
        else if (outcome != DONE)
            return outcome;
    }
    return DONE;
}

/* --- the request --- */

static bool check_request(const PmDmaVector *vector, const struct iovec *iov, size_t n_iov,
                          PmDmaDirection direction, GError **error)
{
    uint64_t n_bytes = 0;

    if (vector->is_prepared)
        return pm_fail(error, PM_ERROR_BUSY,
                       "%s: a DMA vector already has a request: finish or cancel it first",
                       vector->registry->name);
    if (direction < PM_DMA_TO_DEVICE || direction > PM_DMA_BOTH)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT, "invalid direction %d of a DMA vector",
                       (int)direction);
    for (size_t i = 0; i < n_iov; i++) {
        if (iov[i].iov_len > MAX_BYTES - n_bytes ||
            iov[i].iov_len > UINTPTR_MAX - (uintptr_t)iov[i].iov_base)
            return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                           "invalid element %zu of a DMA vector: 0x%zx bytes at host address %p", i,
                           iov[i].iov_len, iov[i].iov_base);
        n_bytes += iov[i].iov_len;
    }
    return true;
}

static bool has_too_many(const PmDmaVector *vector)
{
    return vector->config.max_segments != 0 &&
           pm_dma_parts_n_segments(&vector->parts) > vector->config.max_segments;
}

static Outcome fail_segments(const PmDmaVector *vector, GError **error)
{
    g_autofree char *n_segments = pm_counted(pm_dma_parts_n_segments(&vector->parts), "segment");

    (void)pm_fail(error, PM_ERROR_LIMIT,
                  "%s: the request has %s, and the device takes %" PRIu64
                  ": use smaller requests or larger contiguous buffers%s",
                  vector->registry->name, n_segments, vector->config.max_segments,
                  vector->config.fallback == PM_DMA_FALLBACK_NONE
                      ? ", or allow bouncing (PmDmaVectorConfig.fallback)"
                      : "");
    return FAILED;
}

/* As one contiguous piece. What is leased stays, so that it is not discarded. */
static Outcome bounce_all(PmDmaVector *vector, const struct iovec *iov, size_t n_iov,
                          GError **error)
{
    unmap_all(vector);
    pm_dma_parts_clear(&vector->parts);
    for (size_t i = 0; i < n_iov; i++)
        if (iov[i].iov_len > 0)
            pm_dma_parts_replace(&vector->parts, pm_dma_parts_n(&vector->parts), iov[i].iov_base,
                                 iov[i].iov_len);
    if (!pm_dma_parts_are_aligned(&vector->parts)) {
        (void)pm_fail(error, PM_ERROR_UNALIGNED,
                      "%s: the length of the request must be a multiple of 0x%" PRIx64,
                      vector->registry->name, vector->config.alignment);
        return FAILED;
    }
    return has_too_many(vector) ? fail_segments(vector, error) : DONE;
}

static Outcome add_all(PmDmaVector *vector, const struct iovec *iov, size_t n_iov, GError **error)
{
    Outcome outcome = add_elements(vector, iov, n_iov, error);

    if (outcome != DONE)
        return outcome;
    if (pm_dma_parts_are_aligned(&vector->parts) && !has_too_many(vector))
        return DONE;
    if (vector->config.fallback == PM_DMA_FALLBACK_NONE)
        return fail_segments(vector, error);
    return bounce_all(vector, iov, n_iov, error);
}

/* Without leases or a slot, so that nobody waits for those meanwhile. */
static bool wait_until_open(PmDmaVector *vector, GError **error)
{
    release(vector);
    put_slot(vector);
    if ((vector->config.flags & PM_DMA_NO_WAIT) != 0)
        return pm_fail(error, PM_ERROR_BUSY,
                       "%s: a buffer is about to be discarded, or to be registered in another way: "
                       "try again later",
                       vector->registry->name);
    pm_registry_wait_until_open(vector->registry, vector->closed_at);
    return true;
}

/* The same. */
static bool wait_for_slot(PmDmaVector *vector, uint64_t size, GError **error)
{
    PmBounceEffort effort =
        (vector->config.flags & PM_DMA_NO_WAIT) != 0 ? PM_BOUNCE_GROW : PM_BOUNCE_WAIT;

    release(vector);
    put_slot(vector);
    return pm_bounce_pool_take(vector->registry->pool, size, effort, &vector->slot, error);
}

static bool has_slot(PmDmaVector *vector, uint64_t size)
{
    if (size == 0 || (vector->slot.chunk != NULL && vector->slot.size >= size))
        return true;
    put_slot(vector);
    return pm_bounce_pool_take(vector->registry->pool, size, PM_BOUNCE_NOW, &vector->slot, NULL);
}

static bool prepare(PmDmaVector *vector, const struct iovec *iov, size_t n_iov, GError **error)
{
    for (;;) {
        Outcome outcome = add_all(vector, iov, n_iov, error);
        uint64_t bounced = pm_dma_parts_n_bounced(&vector->parts);

        if (outcome == FAILED)
            return false;
        if (outcome == RETRY) {
            if (!wait_until_open(vector, error))
                return false;
        } else if (has_slot(vector, bounced)) {
            return true;
        } else if (!wait_for_slot(vector, bounced, error)) {
            return false;
        }
    }
}

bool pm_dma_vector_prepare(PmDmaVector *vector, const struct iovec *iov, size_t n_iov,
                           PmDmaDirection direction, GError **error)
{
    if (!pm_registry_check_process(vector->registry, error) ||
        !check_request(vector, iov, n_iov, direction, error))
        return false;
    if (!prepare(vector, iov, n_iov, error)) {
        release(vector);
        put_slot(vector);
        return false;
    }
    if ((direction & PM_DMA_TO_DEVICE) != 0)
        pm_dma_parts_copy_in(&vector->parts, vector->slot.host);
    pm_dma_parts_make_segments(&vector->parts, vector->slot.address);
    vector->direction = direction;
    vector->is_prepared = true;
    return true;
}

const PmDmaSegment *pm_dma_vector_get_segments(const PmDmaVector *vector, size_t *n_segments)
{
    *n_segments = vector->is_prepared ? vector->parts.segments->len : 0;
    return (const PmDmaSegment *)(const void *)vector->parts.segments->data;
}
