/* SPDX-License-Identifier: MIT */
/* Private data of a PmKernel. */
#ifndef PLUGMAP_SRC_KERNEL_KERNEL_PRIVATE_H
#define PLUGMAP_SRC_KERNEL_KERNEL_PRIVATE_H

#include <pthread.h>

#include <plugmap/kernel.h>

/* PmKernelLocked: locked memory of one kind, as claims (iommu_claim.h) account for it. */
typedef struct {
    uint64_t mapped;
    uint64_t committed;
    uint64_t reserved;
    uint64_t before;
    uint64_t others;
    unsigned n_iommus;
    unsigned n_calls;
} PmKernelLocked;

struct PmKernelPrivate {
    PmKernelOps ops;
    gatomicrefcount references;
    uint64_t process;      /* that created it */
    PmKernel *next;        /* forwards to this one; NULL: none */
    PmKernelPrivate *root; /* that holds the account */
    pthread_mutex_t lock;
    PmKernelLocked locked[2];
};

#endif
