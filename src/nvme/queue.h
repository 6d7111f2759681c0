/* SPDX-License-Identifier: MIT */
/*
 * PmNvmeQueue: an I/O queue pair, with reads and writes in flight.
 *
 * Threads: one at a time; different queue pairs of a controller run in parallel. Free it before its
 * controller.
 */
#ifndef PLUGMAP_SRC_NVME_QUEUE_H
#define PLUGMAP_SRC_NVME_QUEUE_H

#include <plugmap/buffer_registry.h>

#include "nvme/controller.h"

typedef struct PmNvmeQueue PmNvmeQueue;

/*
 * PmNvmeRequest:
 * @opcode: PM_NVME_READ (from the disk) or PM_NVME_WRITE.
 * @offset: on the disk, in bytes, a multiple of the block size.
 * @segments: the data, in I/O addresses that prp.h can express; not needed after the submission.
 * What is there must stay mapped until the request is over. The length of all is a multiple of the
 * block size.
 * @user_data: to find the request when it is over.
 */
typedef struct {
    uint8_t opcode;
    uint64_t offset;
    const PmDmaSegment *segments;
    size_t n_segments;
    void *user_data;
} PmNvmeRequest;

/* Pages of the ring; after them each slot has one for its PRP list. */
#define PM_NVME_RING_PAGES 2

/* Pages that a queue pair with @depth needs. */
#define PM_NVME_QUEUE_PAGES(depth) (PM_NVME_RING_PAGES + (depth))

/*
 * Creates the next queue pair of a controller, for @depth requests in flight.
 * @memory: PM_NVME_QUEUE_PAGES(@depth), mapped for reading and writing until the controller is
 * freed. Errors: those of pm_nvme_controller_create_ring(), for @depth + 1 entries.
 */
PmNvmeQueue *pm_nvme_queue_new(PmNvmeController *controller, PmNvmeMemory memory, unsigned depth,
                               GError **error);
/* Requests in flight continue until the controller is freed. NULL does nothing. */
void pm_nvme_queue_free(PmNvmeQueue *queue);

/* Requests in flight. */
unsigned pm_nvme_queue_get_n_in_flight(const PmNvmeQueue *queue);

/*
 * Submits a request. Errors: PM_ERROR_LIMIT (@depth requests are in flight; more data than the
 * controller takes), PM_ERROR_INVALID_ARGUMENT (past the end of the disk, no data),
 * PM_ERROR_UNALIGNED, PM_ERROR_KERNEL. On failure nothing is in flight.
 */
bool pm_nvme_queue_submit(PmNvmeQueue *queue, const PmNvmeRequest *request, GError **error);

/*
 * Waits until any request is over. @user_data: set to its, or to NULL if none is over.
 * Errors: PM_ERROR_DEVICE (@user_data is set: the request failed; its status), PM_ERROR_DEVICE
 * (none is over in time, or the controller completed what is not in flight), PM_ERROR_KERNEL. After
 * the last two the controller may use the data of what is in flight until it is freed.
 */
bool pm_nvme_queue_wait(PmNvmeQueue *queue, void **user_data, GError **error);

/* Submits a request, and waits for it; nothing else is in flight. */
bool pm_nvme_queue_execute(PmNvmeQueue *queue, const PmNvmeRequest *request, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmNvmeQueue, pm_nvme_queue_free)

#endif
