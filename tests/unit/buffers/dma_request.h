/* SPDX-License-Identifier: MIT */
/* A request whose elements need all that an I/O vector can do, and what is left of it. */
#ifndef PLUGMAP_TESTS_UNIT_BUFFERS_DMA_REQUEST_H
#define PLUGMAP_TESTS_UNIT_BUFFERS_DMA_REQUEST_H

#include "dma_device.h"

#define PAGE         UINT64_C(4096)
#define SECTOR       UINT64_C(512)
#define POOL_SIZE    (64 * PM_KIB)
#define POOL_LIMIT   (128 * PM_KIB)
#define FOREIGN_SIZE (256 * PM_KIB)
#define N_ADDED      UINT64_C(12) /* blocks; those after them are not added */
#define N_ELEMENTS   7

/* @grows: there is a bounce pool, which must be replaced by a larger one. */
typedef struct {
    bool on_iommu;
    uint64_t fallback;
    bool grows;
} Scenario;

typedef struct {
    World *world;
    PmDmaVector *vector;
    char *foreign;
    struct iovec iov[N_ELEMENTS];
    size_t n_iov;
    uint64_t n_regions; /* without the pool */
    uint64_t n_calls;   /* of the kernel, of the kind that fails */
} Request;

/* In RAM of which the first N_ADDED blocks are added: registered elements, unaligned ones, one
 * without a region, foreign ones, and the last one, half of which is not added. */
Request *request_new(const Scenario *scenario);
void request_free(Request *request);

/* Fills it. */
void request_add_element(Request *request, void *host, uint64_t size);

/* Regions, those of the pool included. */
uint64_t request_n_mapped(const Request *request);
bool request_has_pool(const Request *request);

/* Copies all elements to @data. Returns their size. */
uint64_t request_gather(const Request *request, char *data);

/* The device reads all, and writes something else. */
void request_complete(Request *request);

/* Another request, which bounces. */
void request_bounce_sector(Request *request);

/* Nothing is leased, and nothing mapped but the pool. */
void request_assert_all_unplugs(const Request *request);

#endif
