/* SPDX-License-Identifier: MIT */
#include <plugmap/kernel.h>

#include "base/process.h"

void pm_kernel_init(PmKernel *kernel, const PmKernelOps *ops, PmKernel *next)
{
    *kernel = (PmKernel){
        .ops = ops,
        .process = pm_process_token(),
        .next = next,
        .root = next != NULL ? next->root : kernel,
        .lock = PTHREAD_MUTEX_INITIALIZER,
    };
    g_atomic_ref_count_init(&kernel->references);
}

PmKernel *pm_kernel_ref(PmKernel *kernel)
{
    g_atomic_ref_count_inc(&kernel->references);
    return kernel;
}

void pm_kernel_unref(PmKernel *kernel)
{
    if (g_atomic_ref_count_dec(&kernel->references)) {
        kernel->ops->free(kernel);
    }
}
