/* SPDX-License-Identifier: MIT */
/*
 * The virtio-iommu device's configuration space, requests and events (virtio 1.2, section 5.13;
 * Linux include/uapi/linux/virtio_iommu.h). All integers are little endian; the last address of a
 * range is inclusive. tests/unit/kernel/test_uapi.c compares numbers and layouts with the installed
 * header.
 */
#ifndef PLUGMAP_UAPI_VIRTIO_IOMMU_H
#define PLUGMAP_UAPI_VIRTIO_IOMMU_H

#include <stdint.h>

/* Feature bits. */
#define VIRTIO_IOMMU_F_INPUT_RANGE   0
#define VIRTIO_IOMMU_F_DOMAIN_RANGE  1
#define VIRTIO_IOMMU_F_MAP_UNMAP     2
#define VIRTIO_IOMMU_F_BYPASS        3
#define VIRTIO_IOMMU_F_PROBE         4
#define VIRTIO_IOMMU_F_MMIO          5
#define VIRTIO_IOMMU_F_BYPASS_CONFIG 6

/* Request types. */
#define VIRTIO_IOMMU_T_ATTACH 1
#define VIRTIO_IOMMU_T_DETACH 2
#define VIRTIO_IOMMU_T_MAP    3
#define VIRTIO_IOMMU_T_UNMAP  4
#define VIRTIO_IOMMU_T_PROBE  5

/* Status, in the tail of a request. */
#define VIRTIO_IOMMU_S_OK     0
#define VIRTIO_IOMMU_S_IOERR  1
#define VIRTIO_IOMMU_S_UNSUPP 2
#define VIRTIO_IOMMU_S_DEVERR 3
#define VIRTIO_IOMMU_S_INVAL  4
#define VIRTIO_IOMMU_S_RANGE  5
#define VIRTIO_IOMMU_S_NOENT  6
#define VIRTIO_IOMMU_S_FAULT  7
#define VIRTIO_IOMMU_S_NOMEM  8

/* Flags of ATTACH. */
#define VIRTIO_IOMMU_ATTACH_F_BYPASS (1 << 0)

/* Flags of MAP. */
#define VIRTIO_IOMMU_MAP_F_READ  (1 << 0)
#define VIRTIO_IOMMU_MAP_F_WRITE (1 << 1)
#define VIRTIO_IOMMU_MAP_F_MMIO  (1 << 2)
#define VIRTIO_IOMMU_MAP_F_MASK                                                                    \
    (VIRTIO_IOMMU_MAP_F_READ | VIRTIO_IOMMU_MAP_F_WRITE | VIRTIO_IOMMU_MAP_F_MMIO)

/* Types of properties, in the response to PROBE: 12 bits. */
#define VIRTIO_IOMMU_PROBE_T_NONE     0
#define VIRTIO_IOMMU_PROBE_T_RESV_MEM 1
#define VIRTIO_IOMMU_PROBE_T_MASK     0xfff

/* Kinds of reserved memory. */
#define VIRTIO_IOMMU_RESV_MEM_T_RESERVED 0
#define VIRTIO_IOMMU_RESV_MEM_T_MSI      1

/* Reasons and flags of faults. */
#define VIRTIO_IOMMU_FAULT_R_UNKNOWN 0
#define VIRTIO_IOMMU_FAULT_R_DOMAIN  1
#define VIRTIO_IOMMU_FAULT_R_MAPPING 2
#define VIRTIO_IOMMU_FAULT_F_READ    (1 << 0)
#define VIRTIO_IOMMU_FAULT_F_WRITE   (1 << 1)
#define VIRTIO_IOMMU_FAULT_F_EXEC    (1 << 2)
#define VIRTIO_IOMMU_FAULT_F_ADDRESS (1 << 8)

struct virtio_iommu_range_64 {
    uint64_t start;
    uint64_t end;
};

struct virtio_iommu_range_32 {
    uint32_t start;
    uint32_t end;
};

struct virtio_iommu_config {
    uint64_t page_size_mask;
    struct virtio_iommu_range_64 input_range;
    struct virtio_iommu_range_32 domain_range;
    uint32_t probe_size;
    uint8_t bypass;
    uint8_t reserved[3];
};

/* Every request begins with a head, which the device reads, and ends with a tail, which it
 * writes. */
struct virtio_iommu_req_head {
    uint8_t type;
    uint8_t reserved[3];
};

struct virtio_iommu_req_tail {
    uint8_t status;
    uint8_t reserved[3];
};

struct virtio_iommu_req_attach {
    struct virtio_iommu_req_head head;
    uint32_t domain;
    uint32_t endpoint;
    uint32_t flags;
    uint8_t reserved[4];
    struct virtio_iommu_req_tail tail;
};

struct virtio_iommu_req_detach {
    struct virtio_iommu_req_head head;
    uint32_t domain;
    uint32_t endpoint;
    uint8_t reserved[8];
    struct virtio_iommu_req_tail tail;
};

struct virtio_iommu_req_map {
    struct virtio_iommu_req_head head;
    uint32_t domain;
    uint64_t virt_start;
    uint64_t virt_end;
    uint64_t phys_start;
    uint32_t flags;
    struct virtio_iommu_req_tail tail;
};

struct virtio_iommu_req_unmap {
    struct virtio_iommu_req_head head;
    uint32_t domain;
    uint64_t virt_start;
    uint64_t virt_end;
    uint8_t reserved[4];
    struct virtio_iommu_req_tail tail;
};

/* A property; @length bytes follow. */
struct virtio_iommu_probe_property {
    uint16_t type;
    uint16_t length;
};

struct virtio_iommu_probe_resv_mem {
    struct virtio_iommu_probe_property head;
    uint8_t subtype;
    uint8_t reserved[3];
    uint64_t start;
    uint64_t end;
};

/* The device writes @properties, as many bytes as the configuration's probe_size, then the
 * tail. */
struct virtio_iommu_req_probe {
    struct virtio_iommu_req_head head;
    uint32_t endpoint;
    uint8_t reserved[64];
    uint8_t properties[];
};

struct virtio_iommu_fault {
    uint8_t reason;
    uint8_t reserved[3];
    uint32_t flags;
    uint32_t endpoint;
    uint8_t reserved2[4];
    uint64_t address;
};

#endif
