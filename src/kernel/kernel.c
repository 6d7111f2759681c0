/* SPDX-License-Identifier: MIT */
#include <plugmap/kernel.h>

#include "base/process.h"
#include "base/sized.h"
#include "kernel/kernel_private.h"

bool pm_kernel_init(PmKernel *kernel, const PmKernelOps *ops, PmKernel *next, GError **error)
{
    PmKernelOps known;
    PmKernelPrivate *data;

    if (!pm_sized_read("PmKernelOps", &known, sizeof(known), ops, error))
        return false;
    data = g_new0(PmKernelPrivate, 1);
    data->ops = known;
    data->process = pm_process_token();
    data->next = next;
    data->root = next != NULL ? next->data->root : data;
    (void)pthread_mutex_init(&data->lock, NULL);
    g_atomic_ref_count_init(&data->references);
    kernel->ops = &data->ops;
    kernel->data = data;
    return true;
}

PmKernel *pm_kernel_ref(PmKernel *kernel)
{
    g_atomic_ref_count_inc(&kernel->data->references);
    return kernel;
}

void pm_kernel_unref(PmKernel *kernel)
{
    PmKernelPrivate *data;

    if (kernel == NULL || !g_atomic_ref_count_dec(&kernel->data->references))
        return;
    data = kernel->data;
    if (data->ops.free != NULL)
        data->ops.free(kernel);
    (void)pthread_mutex_destroy(&data->lock);
    g_free(data);
}
