/* SPDX-License-Identifier: MIT */
#include "virtio_mem/refusal.h"

void pm_refusal_clear(PmVirtioMem *device)
{
    pm_refusal_set(device, PM_REFUSAL_NONE, NULL);
}

void pm_refusal_set(PmVirtioMem *device, PmRefusal cause, char *message)
{
    g_free(device->refusal_message);
    device->refusal = cause;
    device->refusal_message = message;
}

PmRefusal pm_refusal_of_error(const GError *error)
{
    /* A listener may use a domain of its own, whose numbers mean nothing here. */
    if (error->domain != PM_ERROR)
        return PM_REFUSAL_LISTENER;
    switch ((PmError)error->code) {
    case PM_ERROR_LIMIT:
        return PM_REFUSAL_LIMIT;
    case PM_ERROR_LOCKED_MEMORY:
        return PM_REFUSAL_LOCKED_MEMORY;
    case PM_ERROR_MEMORY:
        return PM_REFUSAL_MEMORY;
    case PM_ERROR_QUARANTINED:
    case PM_ERROR_UNMAP_MISMATCH:
        return PM_REFUSAL_QUARANTINE;
    default:
        return PM_REFUSAL_LISTENER;
    }
}

PmRefusal pm_virtio_mem_last_refusal(const PmVirtioMem *device, const char **message)
{
    if (message != NULL)
        *message = device->refusal_message;
    return device->refusal;
}
