/* SPDX-License-Identifier: MIT */
/*
 * PmDmaVector: an I/O vector as a device accesses it.
 *
 *     PmDmaVectorConfig config = {
 *         .struct_size = sizeof(config), .max_segments = 128, .alignment = 4};
 *     PmDmaVector *vector = pm_dma_vector_new(registry, &config, &error);
 *
 *     if (!pm_dma_vector_prepare(vector, iov, n_iov, PM_DMA_FROM_DEVICE, &error))
 *         return false;
 *     segments = pm_dma_vector_get_segments(vector, &n_segments);
 *     read_with_the_device(segments, n_segments);
 *     pm_dma_vector_finish(vector);
 *
 * Elements in registered memory (buffer_registry.h) are leased, and the device accesses them
 * directly. For the others, PmDmaVectorConfig.fallback decides. Only elements that need it bounce:
 * those of which some byte is not registered, or whose segments the device does not take
 * (alignment). Memory that the registry follows is not discarded while a vector has it, bounced or
 * not; other memory must stay mapped.
 *
 * The bounce pool belongs to the registry (PmBufferRegistryConfig.bounce_size): it is registered
 * when first needed, and grows up to a limit. Requests that do not fit wait in the order of their
 * arrival, a large one before later small ones. While it waits, a vector has no leases, so it
 * delays no discard.
 *
 * While memory is about to be discarded or removed, no new leases are granted on it, even to a
 * vector that already holds one, nor on blocks that share a region with it (PM_BUFFER_CAN_REPLACE).
 * prepare then waits until the discard has completed or was abandoned, and decides again; meanwhile
 * it holds no leases and no bounce memory. A discard that waits for leases, also for those of the
 * same thread's other requests, ends after PmBufferRegistryConfig.wait_ms. Threads that must not
 * wait that long use PM_DMA_NO_WAIT, and so does a callback of a PmDiscardListener, for which the
 * discard would wait for ever.
 *
 * Discarded memory does not bounce: copying would allocate it again. Such requests fail with
 * PM_ERROR_NOT_POPULATED.
 *
 * Threads: a vector belongs to one thread at a time; vectors of a registry are used in parallel.
 * Free all before their registry. fork(2): in a child, prepare fails with PM_ERROR_PERMISSION;
 * finish, cancel and free leave the parent's memory alone.
 */
#ifndef PLUGMAP_DMA_VECTOR_H
#define PLUGMAP_DMA_VECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include <plugmap/buffer_registry.h>

G_BEGIN_DECLS

typedef struct PmDmaVector PmDmaVector;

/**
 * PmDmaDirection: what the device does.
 * @PM_DMA_TO_DEVICE: reads the memory. A bounce buffer is filled by prepare.
 * @PM_DMA_FROM_DEVICE: writes all of the memory. A bounce buffer is copied back by finish, all of
 * it: what the device does not write is then undefined.
 * @PM_DMA_BOTH: reads it, or may leave some of it unwritten. Copied both times.
 */
typedef enum {
    PM_DMA_TO_DEVICE = 1,
    PM_DMA_FROM_DEVICE = 2,
    PM_DMA_BOTH = 3,
} PmDmaDirection;

/**
 * PmDmaFallback: what happens to elements that are not registered.
 * @PM_DMA_FALLBACK_BOUNCE: they are copied through the bounce pool.
 * @PM_DMA_FALLBACK_MAP: they are mapped for this request, in whole pages, for reading and writing,
 * at temporary addresses: two system calls per element. Only with a PmIommu. Those in RAM that was
 * added to the registry bounce, because no discard may depend on whether a request was unmapped; so
 * do those that the device does not take (alignment).
 * @PM_DMA_FALLBACK_NONE: prepare fails and says why.
 */
typedef enum {
    PM_DMA_FALLBACK_BOUNCE = 0,
    PM_DMA_FALLBACK_MAP = 1,
    PM_DMA_FALLBACK_NONE = 2,
} PmDmaFallback;

/**
 * PmDmaVectorFlags:
 * @PM_DMA_NO_WAIT: prepare does not wait for other requests to return bounce buffers, nor for a
 * block that is about to be discarded, removed or registered in another way, but fails with
 * PM_ERROR_BUSY.
 */
typedef enum {
    PM_DMA_NO_WAIT = 1 << 0,
} PmDmaVectorFlags;

/**
 * PmDmaVectorConfig: what the device takes.
 * @struct_size: sizeof(PmDmaVectorConfig) (macros.h).
 * @max_segments: of a request; 0: any number. A request that has more bounces as a whole, because
 * its bounce buffer is contiguous.
 * @max_segment_size: bytes; longer segments are split. A multiple of @alignment; 0: any size.
 * @alignment: of the address and length of each segment: a power of two, at most 4096; 0: 1. An
 * element whose segments are not aligned bounces. Bounced elements that follow each other share a
 * segment, whose length is the sum: if that is not a multiple, the request fails.
 * @fallback: of PmDmaFallback.
 * @flags: of PmDmaVectorFlags.
 */
typedef struct {
    size_t struct_size;
    uint64_t max_segments;
    uint64_t max_segment_size;
    uint64_t alignment;
    uint64_t fallback;
    uint64_t flags;
} PmDmaVectorConfig;

/**
 * Makes a vector for requests of one kind, one after the other. Once it has had a request, those
 * with as many elements and segments allocate nothing.
 * @registry: must outlive it.
 * Returns: the vector, or NULL. Errors: PM_ERROR_INVALID_ARGUMENT (alignment, size, fallback,
 * flags), PM_ERROR_UNSUPPORTED (PM_DMA_FALLBACK_MAP without a PmIommu; members that this
 * library does not know).
 */
PM_EXPORT PmDmaVector *pm_dma_vector_new(PmBufferRegistry *registry,
                                         const PmDmaVectorConfig *config, GError **error);

/** Frees a vector, after cancelling its request. NULL does nothing. */
PM_EXPORT void pm_dma_vector_free(PmDmaVector *vector);

/**
 * Prepares a request: leases, bounces or maps its elements.
 * @iov, @n_iov: the elements, in order; not used after the call. Empty ones are skipped; they may
 * overlap. A request without bytes has no segments.
 * @direction: a PmDmaDirection.
 *
 * Errors, with nothing leased, mapped or used up: PM_ERROR_INVALID_ARGUMENT (direction; more than
 * 2^63 bytes; an element past the end of the address space), PM_ERROR_BUSY (not finished yet; a
 * block has 2^20 - 1 leases; with PM_DMA_NO_WAIT also that it would wait), PM_ERROR_NOT_POPULATED
 * (discarded, also meanwhile), PM_ERROR_LIMIT (more segments than the device takes, or a larger
 * bounce buffer than the pool can have; with PM_DMA_FALLBACK_NONE: populated, but not registered),
 * PM_ERROR_UNALIGNED (length), PM_ERROR_NOT_FOUND (with PM_DMA_FALLBACK_NONE: memory that was not
 * added), PM_ERROR_MEMORY, PM_ERROR_PERMISSION (in a forked child), those of registering the bounce
 * pool, of unregistering a part of it that is too small, or, with PM_DMA_FALLBACK_MAP, of mapping.
 */
PM_EXPORT bool pm_dma_vector_prepare(PmDmaVector *vector, const struct iovec *iov, size_t n_iov,
                                     PmDmaDirection direction, GError **error);

/** The segments of the prepared request, @n_segments of them, in the order of its bytes; owned by
 * the vector and valid until it is finished. */
PM_EXPORT const PmDmaSegment *pm_dma_vector_get_segments(const PmDmaVector *vector,
                                                         size_t *n_segments);

/**
 * Ends a request after the device has completed it: copies bounce buffers back (unless
 * PM_DMA_TO_DEVICE), and releases all. Nothing happens without a request. With PM_DMA_FALLBACK_MAP,
 * what fails to unmap is logged, stays referenced and, with a PmIommu, is left to
 * pm_iommu_settle().
 */
PM_EXPORT void pm_dma_vector_finish(PmDmaVector *vector);

/** Ends a request that the device does not access any more, without copying back: it failed, or was
 * never submitted. */
PM_EXPORT void pm_dma_vector_cancel(PmDmaVector *vector);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmDmaVector, pm_dma_vector_free)

G_END_DECLS

#endif
