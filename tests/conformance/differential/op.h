/* SPDX-License-Identifier: MIT */
/* One operation of a random sequence. It is self-contained, so that a sequence can be shortened and
 * run again. */
#ifndef PLUGMAP_TESTS_CONFORMANCE_DIFFERENTIAL_OP_H
#define PLUGMAP_TESTS_CONFORMANCE_DIFFERENTIAL_OP_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

typedef enum {
    /* In a container with an IOMMU and a device. */
    OP_MAP,
    OP_UNMAP,
    OP_INFO,
    OP_DIRTY,
    OP_DMA,
    OP_MEMORY,
    OP_MEMLOCK,
    OP_FORK,
    /* On files. */
    OP_OPEN,
    OP_CLOSE,
    OP_JOIN,
    OP_LEAVE,
    OP_SET_IOMMU,
    OP_CHECK_EXTENSION,
    OP_STATUS,
    OP_GET_DEVICE,
    OP_DEVICE_INFO,
    OP_REGION_INFO,
    OP_IRQ_INFO,
    OP_SET_IRQS,
    OP_RESET,
    OP_REGION,
    OP_UNKNOWN,
    /* On iommufd. */
    OP_IOAS_ALLOC,
    OP_DESTROY,
    OP_IOAS_MAP,
    OP_IOAS_UNMAP,
    OP_IOAS_COPY,
    OP_RANGES,
    OP_ALLOW,
    OP_OPTION,
    OP_VFIO_IOAS,
    OP_HWPT,
    OP_HW_INFO,
    OP_INVALIDATE,
    OP_HWPT_DIRTY,
    OP_CDEV_OPEN,
    OP_BIND,
    OP_ATTACH,
    OP_DETACH,
    OP_IOMMU_DMA,
    OP_RESTORE, /* reopens and attaches the device that does DMA */
    N_OPS,
} OpKind;

/* Where the argument of an ioctl is. */
typedef enum {
    PLACE_NORMAL,
    PLACE_NULL,
    PLACE_READ_ONLY,
    PLACE_CUT
} Place;

/* What OP_MEMORY does to pages of an area. */
typedef enum {
    MEMORY_UNMAP,
    MEMORY_FRESH,
    MEMORY_READ_ONLY,
    MEMORY_READ_WRITE,
    MEMORY_NO_ACCESS,
    MEMORY_DISCARD,
    MEMORY_WRITE,
    MEMORY_READ,
    N_MEMORY_ACTIONS,
} MemoryAction;

/* Unused fields are 0. */
typedef struct {
    OpKind kind;
    Place place;
    uint32_t place_bytes; /* PLACE_CUT: how many are accessible */
    uint32_t argsz;
    uint32_t flags;
    unsigned slot;  /* a file */
    unsigned other; /* another file, object, action or type */
    bool then_dma;  /* iommufd: attach the device to the changed IOAS and do DMA there */
    uint64_t iova;
    uint64_t size;
    uint64_t host;
    /* A dirty bitmap. */
    uint64_t page_size;
    uint64_t bitmap_size;
    uint64_t bitmap;
} Op;

/* What a sequence operates on. */
typedef enum {
    SEQUENCE_MAPPINGS,
    SEQUENCE_FILES,
    SEQUENCE_DEVICE,
    SEQUENCE_IOMMUFD,
} SequenceKind;

void op_make(Op *op, SequenceKind kind, GRand *random);

/* Fill in operations that only iommufd sequences have, and those of any sequence. @op has a kind,
 * slot and other. */
void op_make_iommufd(Op *op, GRand *random);
void op_make_common(Op *op, SequenceKind kind, GRand *random);

/* A one-line description; the caller frees it. */
char *op_describe(const Op *op);

#endif
