/* SPDX-License-Identifier: MIT */
/*
 * Requests of a virtio-mem driver and the device's responses (virtio 1.3, section 5.15), for
 * programs that play the guest: tests, replays. A VMM hands pm_virtio_mem_handle() what the guest
 * sent, and needs none of this.
 *
 *     PmVirtioMemRequest request;
 *     PmVirtioMemResponse response;
 *     PmVirtioMemAnswer answer;
 *
 *     pm_virtio_mem_request_init(&request, PM_VIRTIO_MEM_PLUG, address, n_blocks);
 *     return pm_virtio_mem_handle(device, &request, sizeof(request), &response, sizeof(response),
 *                                 &error) &&
 *            pm_virtio_mem_response_decode(&response, &answer, NULL, &error);
 *
 * Threads: every function is safe from several threads at once.
 */
#ifndef PLUGMAP_VIRTIO_MEM_WIRE_H
#define PLUGMAP_VIRTIO_MEM_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include <plugmap/error.h>

G_BEGIN_DECLS

/**
 * PmVirtioMemRequestType: what the guest wants; the values are VIRTIO_MEM_REQ_*.
 * @PM_VIRTIO_MEM_PLUG: plug blocks.
 * @PM_VIRTIO_MEM_UNPLUG: unplug blocks.
 * @PM_VIRTIO_MEM_UNPLUG_ALL: unplug all blocks.
 * @PM_VIRTIO_MEM_STATE: are these blocks plugged?
 */
typedef enum {
    PM_VIRTIO_MEM_PLUG = 0,
    PM_VIRTIO_MEM_UNPLUG = 1,
    PM_VIRTIO_MEM_UNPLUG_ALL = 2,
    PM_VIRTIO_MEM_STATE = 3,
} PmVirtioMemRequestType;

/**
 * PmVirtioMemAnswer: what the device says to it; the values are VIRTIO_MEM_RESP_*.
 * @PM_VIRTIO_MEM_ACK: done.
 * @PM_VIRTIO_MEM_NACK: not now: the requested size does not allow it.
 * @PM_VIRTIO_MEM_BUSY: not now: try again later.
 * @PM_VIRTIO_MEM_ERROR: the request is invalid.
 */
typedef enum {
    PM_VIRTIO_MEM_ACK = 0,
    PM_VIRTIO_MEM_NACK = 1,
    PM_VIRTIO_MEM_BUSY = 2,
    PM_VIRTIO_MEM_ERROR = 3,
} PmVirtioMemAnswer;

/**
 * PmVirtioMemState: what STATE reports of a range; the values are VIRTIO_MEM_STATE_*.
 * @PM_VIRTIO_MEM_PLUGGED: all blocks are plugged.
 * @PM_VIRTIO_MEM_UNPLUGGED: no block is plugged.
 * @PM_VIRTIO_MEM_MIXED: some blocks are plugged.
 */
typedef enum {
    PM_VIRTIO_MEM_PLUGGED = 0,
    PM_VIRTIO_MEM_UNPLUGGED = 1,
    PM_VIRTIO_MEM_MIXED = 2,
} PmVirtioMemState;

/**
 * PmVirtioMemRequest: struct virtio_mem_req. Frozen: it is the wire format.
 * @bytes: little endian.
 */
typedef struct {
    uint8_t bytes[24];
} PmVirtioMemRequest;

/**
 * PmVirtioMemResponse: struct virtio_mem_resp. Frozen: it is the wire format.
 * @bytes: little endian.
 */
typedef struct {
    uint8_t bytes[10];
} PmVirtioMemResponse;

/**
 * Writes a request.
 * @type: of PmVirtioMemRequestType; others are written as they are, to test devices with.
 * @address, @n_blocks: guest physical address and number of blocks; 0 for UNPLUG_ALL.
 */
PM_EXPORT void pm_virtio_mem_request_init(PmVirtioMemRequest *request, unsigned type,
                                          uint64_t address, uint16_t n_blocks);

/**
 * Reads a response.
 * @answer: set to it.
 * @state: set if @answer is ACK: for a STATE request the state of the range, else
 * PM_VIRTIO_MEM_PLUGGED. May be NULL for other requests.
 * Errors: PM_ERROR_BAD_INPUT (an answer or a state that is none; both are left alone).
 */
PM_EXPORT bool pm_virtio_mem_response_decode(const PmVirtioMemResponse *response,
                                             PmVirtioMemAnswer *answer, PmVirtioMemState *state,
                                             GError **error);

G_END_DECLS

#endif
