/* SPDX-License-Identifier: MIT */
#include "tools/exit_status.h"

const PmExitStatus pm_exit_statuses[] = {
    {PM_EXIT_OK, "0", "success: pass, done, or nothing to check"},
    {PM_EXIT_WRONG, "1",
     "the verdict is no: a response differs, an audit or a check failed, something does not fit or "
     "leaks"},
    {PM_EXIT_USAGE, "2", "bad usage, bad input or a write error"},
    {PM_EXIT_NOT_READY, "3", "host not ready: device, driver, permissions or kernel"},
    {PM_EXIT_NO_ROOM, "4", "limit exceeded: mappings, locked memory, IOVA space or host memory"},
    {PM_EXIT_SIGNAL, "130, 143",
     "interrupted (SIGINT), terminated (SIGTERM); the report is partial"},
    {0, NULL, NULL},
};

int pm_exit_status(const GError *error)
{
    if (error->domain != PM_ERROR)
        return PM_EXIT_USAGE;
    switch ((PmError)error->code) {
    case PM_ERROR_INVALID_ARGUMENT:
    case PM_ERROR_OVERLAP:
    case PM_ERROR_BAD_REQUEST:
    case PM_ERROR_BAD_INPUT:
        return PM_EXIT_USAGE;
    case PM_ERROR_NOT_FOUND:
    case PM_ERROR_PERMISSION:
    case PM_ERROR_BUSY:
    case PM_ERROR_NOT_VIABLE:
    case PM_ERROR_UNSUPPORTED:
    case PM_ERROR_BAD_ADDRESS:
    case PM_ERROR_DEVICE:
    case PM_ERROR_KERNEL:
        return PM_EXIT_NOT_READY;
    case PM_ERROR_LIMIT:
    case PM_ERROR_GUEST_LIMIT:
    case PM_ERROR_LOCKED_MEMORY:
    case PM_ERROR_IOVA_RANGE:
    case PM_ERROR_UNALIGNED: /* blocks smaller than the IOMMU's pages */
    case PM_ERROR_MEMORY:
        return PM_EXIT_NO_ROOM;
    case PM_ERROR_NO_MAPPING:
    case PM_ERROR_CUTS_MAPPING:
    case PM_ERROR_UNMAP_MISMATCH:
    case PM_ERROR_QUARANTINED:
    case PM_ERROR_AUDIT:
    case PM_ERROR_LISTENER:
    case PM_ERROR_NOT_POPULATED:
        return PM_EXIT_WRONG;
    }
    return PM_EXIT_WRONG;
}
