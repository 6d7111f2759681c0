/* SPDX-License-Identifier: MIT */
/* The fake kernel: a machine, its memory, and IOMMU groups. */
#ifndef PLUGMAP_SRC_FAKE_FAKE_KERNEL_H
#define PLUGMAP_SRC_FAKE_FAKE_KERNEL_H

#include "fake/machine/machine.h"
#include "fake/memory/memory.h"
#include "fake/vfio/group.h"

typedef struct PmFakeKernel {
    PmKernel kernel;
    uint64_t process;      /* that created it */
    PmFakeMachine machine; /* its lock protects the members below, too */
    PmFakeMemory memory;
    GPtrArray *groups; /* of PmGroup */
    unsigned n_vfio_devices;
} PmFakeKernel;

/* @kernel must be a fake kernel. */
PmFakeKernel *pm_fake_kernel_of(PmKernel *kernel);

/* Accepts NULL. */
bool pm_fake_kernel_is_fake(const PmKernel *kernel);

/* NULL if there is no such group. */
PmGroup *pm_fake_kernel_find_group(const PmFakeKernel *fake, unsigned number);

#endif
