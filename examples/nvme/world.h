/* SPDX-License-Identifier: MIT */
/* What the example opens: an NVMe controller, and a virtio-mem device whose plugged memory is
 * registered for it. */
#ifndef PLUGMAP_EXAMPLES_NVME_WORLD_H
#define PLUGMAP_EXAMPLES_NVME_WORLD_H

#include <plugmap/plugmap.h>

#include "nvme/queue.h"
#include "pci/config.h"

#define BLOCK         PM_MIB
#define N_BLOCKS      UINT64_C(64)
#define SIZE          (N_BLOCKS * BLOCK)
#define MAX_IN_FLIGHT 16
#define ADDRESS       (4 * PM_GIB) /* the guest's */

typedef struct {
    char *device;
    char *backend;
    gboolean poll;
    gboolean rates;
    int n_requests;
    int n_threads;
    int depth; /* requests in flight per thread */
    int seed;
} Options;

typedef struct {
    PmKernel *kernel;
    PmIommu *iommu;
    PmRam *ram;
    PmVirtioMem *memory;
    PmBufferRegistry *registry;
    void *control; /* memory of the controller's queues; registered and leased */
    uint64_t control_size;
    PmBufferLease control_lease;
    PmPciConfig config;
    PmPciRegion registers;
    PmPciInterrupts interrupts;
    PmNvmeController *controller;
    PmNvmeQueue **queues; /* one per thread */
    unsigned n_queues;
} World;

/* Prints the error, and exits. */
G_GNUC_NORETURN void die(const char *what, const GError *error);

/* Opens everything, or exits. Nothing is plugged. */
void world_open(World *world, const Options *options);
void world_close(World *world);

/* A request of the guest's driver for @n_blocks blocks. One thread at a time. */
PmVirtioMemAnswer world_request(World *world, PmVirtioMemRequestType type, uint64_t block,
                                uint64_t n_blocks);

#endif
