/* SPDX-License-Identifier: MIT */
/* The fake kernel as its parts see it: one lock, the open files, the groups, and what is counted.
 */
#ifndef PLUGMAP_SRC_FAKE_FAKE_KERNEL_H
#define PLUGMAP_SRC_FAKE_FAKE_KERNEL_H

#include <pthread.h>

#include <plugmap/fake.h>

#include "fake/machine/fault_plan.h"
#include "fake/machine/file_table.h"
#include "fake/memory/dma.h"
#include "fake/vfio/group.h"

#define PM_FAKE_PAGE UINT64_C(4096)

typedef struct PmFakeKernel {
    PmKernel kernel;
    pthread_mutex_t
        lock; /* of everything below; not GLib's, which the thread sanitizer cannot see */
    PmFakeConfig config;
    PmFileTable files;
    PmFaultPlan plan;
    GPtrArray *groups; /* of PmGroup */
    unsigned n_vfio_devices;
    uint64_t locked_bytes;      /* charged to the process: VmLck */
    uint64_t user_locked_bytes; /* charged to the user */
    uint64_t pinned_bytes;      /* by iommufds: VmPin */
    PmHeldPages *held;          /* NULL unless PM_FAKE_PIN_HOLD */
    GPtrArray *mapped_files;    /* of PmMappedFile */
    PmDmaFaultLog dma_faults;
} PmFakeKernel;

PmFakeKernel *pm_fake_kernel_of(PmKernel *kernel);

/* The smallest page of the IOMMU. */
uint64_t pm_fake_kernel_page_size(const PmFakeKernel *fake);

/* NULL if there is no such group. */
PmGroup *pm_fake_kernel_find_group(const PmFakeKernel *fake, unsigned number);

#endif
