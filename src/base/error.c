/* SPDX-License-Identifier: MIT */
#include "base/error_private.h"

static const char *const code_names[] = {
    [PM_ERROR_INVALID_ARGUMENT] = "invalid-argument",
    [PM_ERROR_UNALIGNED] = "unaligned",
    [PM_ERROR_LIMIT] = "entry-limit",
    [PM_ERROR_LOCKED_MEMORY] = "locked-memory",
    [PM_ERROR_OVERLAP] = "overlap",
    [PM_ERROR_IOVA_RANGE] = "iova-range",
    [PM_ERROR_NO_MAPPING] = "no-mapping",
    [PM_ERROR_CUTS_MAPPING] = "cuts-mapping",
    [PM_ERROR_UNMAP_MISMATCH] = "unmap-mismatch",
    [PM_ERROR_BAD_ADDRESS] = "bad-address",
    [PM_ERROR_MEMORY] = "memory",
    [PM_ERROR_BUSY] = "busy",
    [PM_ERROR_NOT_FOUND] = "not-found",
    [PM_ERROR_PERMISSION] = "permission",
    [PM_ERROR_NOT_VIABLE] = "not-viable",
    [PM_ERROR_UNSUPPORTED] = "unsupported",
    [PM_ERROR_BAD_REQUEST] = "bad-request",
    [PM_ERROR_BAD_INPUT] = "bad-input",
    [PM_ERROR_QUARANTINED] = "quarantined",
    [PM_ERROR_AUDIT] = "audit",
    [PM_ERROR_DEVICE] = "device",
    [PM_ERROR_KERNEL] = "kernel",
    [PM_ERROR_LISTENER] = "listener",
    [PM_ERROR_NOT_POPULATED] = "not-populated",
    [PM_ERROR_GUEST_LIMIT] = "guest-limit",
};

/* GLib zeroes it, and copies it with the error. */
typedef struct {
    int error_number;
    char *listener;
    GError *cause;
} PmErrorPrivate;

static void pm_error_private_init(PmErrorPrivate *extra G_GNUC_UNUSED)
{
}

static void pm_error_private_copy(const PmErrorPrivate *from, PmErrorPrivate *to)
{
    to->error_number = from->error_number;
    to->listener = g_strdup(from->listener);
    to->cause = from->cause != NULL ? g_error_copy(from->cause) : NULL;
}

static void pm_error_private_clear(PmErrorPrivate *extra)
{
    g_free(extra->listener);
    g_clear_error(&extra->cause);
}

G_DEFINE_EXTENDED_ERROR(PmError, pm_error)

const char *pm_error_code_name(PmError code)
{
    return (guint)code < G_N_ELEMENTS(code_names) ? code_names[code] : "unknown";
}

static PmErrorPrivate *extra_of(const GError *error)
{
    return error != NULL && error->domain == PM_ERROR ? pm_error_get_private(error) : NULL;
}

int pm_error_get_errno(const GError *error)
{
    const PmErrorPrivate *extra = extra_of(error);

    return extra != NULL ? extra->error_number : 0;
}

void pm_error_set_errno(GError *error, int error_number)
{
    PmErrorPrivate *extra = extra_of(error);

    if (extra != NULL)
        extra->error_number = error_number;
}

const char *pm_error_get_listener(const GError *error)
{
    const PmErrorPrivate *extra = extra_of(error);

    return extra != NULL ? extra->listener : NULL;
}

void pm_error_set_listener(GError *error, const char *listener)
{
    PmErrorPrivate *extra = extra_of(error);

    if (extra == NULL)
        return;
    g_free(extra->listener);
    extra->listener = g_strdup(listener);
}

const GError *pm_error_get_cause(const GError *error)
{
    const PmErrorPrivate *extra = extra_of(error);

    return extra != NULL ? extra->cause : NULL;
}

GError *pm_error_new_caused(PmError code, GError *cause)
{
    GError *error = g_error_new_literal(PM_ERROR, (gint)code, cause->message);

    extra_of(error)->cause = cause;
    return error;
}
