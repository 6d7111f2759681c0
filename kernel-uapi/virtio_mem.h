/* SPDX-License-Identifier: MIT */
/*
 * The virtio-mem device's configuration space and requests (virtio 1.3, section 5.15; Linux
 * include/uapi/linux/virtio_mem.h). All integers are little endian; sizes are in bytes.
 * tests/unit/kernel/test_uapi.c compares numbers and layouts with the installed header.
 */
#ifndef PLUGMAP_UAPI_VIRTIO_MEM_H
#define PLUGMAP_UAPI_VIRTIO_MEM_H

#include <stdint.h>

/* Feature bits. */
#define VIRTIO_MEM_F_ACPI_PXM               0
#define VIRTIO_MEM_F_UNPLUGGED_INACCESSIBLE 1
#define VIRTIO_MEM_F_PERSISTENT_SUSPEND     2

/* Request types. */
#define VIRTIO_MEM_REQ_PLUG       0
#define VIRTIO_MEM_REQ_UNPLUG     1
#define VIRTIO_MEM_REQ_UNPLUG_ALL 2
#define VIRTIO_MEM_REQ_STATE      3

/* Response types. */
#define VIRTIO_MEM_RESP_ACK   0
#define VIRTIO_MEM_RESP_NACK  1
#define VIRTIO_MEM_RESP_BUSY  2
#define VIRTIO_MEM_RESP_ERROR 3

/* States, in the response to STATE. */
#define VIRTIO_MEM_STATE_PLUGGED   0
#define VIRTIO_MEM_STATE_UNPLUGGED 1
#define VIRTIO_MEM_STATE_MIXED     2

struct virtio_mem_req_plug {
    uint64_t addr;
    uint16_t nb_blocks;
    uint16_t padding[3];
};

struct virtio_mem_req_unplug {
    uint64_t addr;
    uint16_t nb_blocks;
    uint16_t padding[3];
};

struct virtio_mem_req_state {
    uint64_t addr;
    uint16_t nb_blocks;
    uint16_t padding[3];
};

struct virtio_mem_req {
    uint16_t type;
    uint16_t padding[3];
    union {
        struct virtio_mem_req_plug plug;
        struct virtio_mem_req_unplug unplug;
        struct virtio_mem_req_state state;
    } u;
};

struct virtio_mem_resp_state {
    uint16_t state;
};

struct virtio_mem_resp {
    uint16_t type;
    uint16_t padding[3];
    union {
        struct virtio_mem_resp_state state;
    } u;
};

struct virtio_mem_config {
    uint64_t block_size;
    uint16_t node_id;
    uint8_t padding[6];
    uint64_t addr;
    uint64_t region_size;
    uint64_t usable_region_size;
    uint64_t plugged_size;
    uint64_t requested_size;
};

#endif
