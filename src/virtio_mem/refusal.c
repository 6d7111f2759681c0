/* SPDX-License-Identifier: MIT */
#include "virtio_mem/refusal.h"

#include "base/log.h"

static const char *const names[] = {
    [PM_REFUSAL_NONE] = "none",
    [PM_REFUSAL_BAD_RANGE] = "bad-range",
    [PM_REFUSAL_BLOCK_STATE] = "block-state",
    [PM_REFUSAL_REQUESTED_SIZE] = "requested-size",
    [PM_REFUSAL_LIMIT] = "entry-limit",
    [PM_REFUSAL_LOCKED_MEMORY] = "locked-memory",
    [PM_REFUSAL_LISTENER] = "listener",
    [PM_REFUSAL_MEMORY] = "memory",
    [PM_REFUSAL_MIGRATION] = "migration",
    [PM_REFUSAL_QUARANTINE] = "quarantine",
    [PM_REFUSAL_PROTOCOL] = "protocol",
};

const char *pm_refusal_code_name(PmRefusal refusal)
{
    return (guint)refusal < G_N_ELEMENTS(names) ? names[refusal] : "unknown";
}

typedef struct {
    GError *cause;
} PmRefusalPrivate;

static void pm_refusal_private_init(PmRefusalPrivate *extra G_GNUC_UNUSED)
{
}

static void pm_refusal_private_copy(const PmRefusalPrivate *from, PmRefusalPrivate *to)
{
    to->cause = from->cause != NULL ? g_error_copy(from->cause) : NULL;
}

static void pm_refusal_private_clear(PmRefusalPrivate *extra)
{
    g_clear_error(&extra->cause);
}

G_DEFINE_EXTENDED_ERROR(PmRefusal, pm_refusal)

const GError *pm_refusal_get_cause(const GError *refusal)
{
    return refusal != NULL && refusal->domain == PM_REFUSAL ? pm_refusal_get_private(refusal)->cause
                                                            : NULL;
}

void pm_refusal_clear(PmVirtioMem *device)
{
    g_clear_error(&device->refusal);
}

void pm_refusal_set(PmVirtioMem *device, PmRefusal refusal, const char *message,
                    const GError *cause)
{
    pm_refusal_clear(device);
    pm_log(G_LOG_LEVEL_INFO, "%s", message);
    device->refusal = g_error_new_literal(PM_REFUSAL, (gint)refusal, message);
    if (cause != NULL)
        pm_refusal_get_private(device->refusal)->cause = g_error_copy(cause);
}

PmRefusal pm_refusal_of_error(const GError *error)
{
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

PmRefusal pm_virtio_mem_last_refusal(const PmVirtioMem *device, const GError **refusal)
{
    if (refusal != NULL)
        *refusal = device->refusal;
    return device->refusal != NULL ? (PmRefusal)device->refusal->code : PM_REFUSAL_NONE;
}
