/* SPDX-License-Identifier: MIT */
/*
 * Errors of plugmap.
 *
 * Every function that can fail returns false (or NULL) and sets a GError of the domain PM_ERROR,
 * with one code for each cause that a caller may want to handle differently. The message has the
 * object, the numbers and what to do. Success does not touch the GError. After a failure everything
 * is as before the call, unless the code is PM_ERROR_QUARANTINED or PM_ERROR_UNMAP_MISMATCH: then
 * undoing failed, and the message has what is known. Functions whose failures can leave something
 * else document it.
 *
 * Beside the code, programs can get what the message says to people: the errno of the refused
 * system call (pm_error_get_errno()), the listener that objected (pm_error_get_listener()), and the
 * listener's own error, if it is of another domain (pm_error_get_cause()). g_error_copy(),
 * g_propagate_prefixed_error() and the like keep all of it.
 */
#ifndef PLUGMAP_ERROR_H
#define PLUGMAP_ERROR_H

#include <glib.h>
#include <plugmap/macros.h>

G_BEGIN_DECLS

/** The error domain of all plugmap functions. */
#define PM_ERROR (pm_error_quark())

/**
 * PmError: what went wrong, by cause.
 * @PM_ERROR_INVALID_ARGUMENT: a parameter is out of its documented range.
 * @PM_ERROR_UNALIGNED: an address or size is not a multiple of the required block or page size.
 * @PM_ERROR_LIMIT: a limit on a number: the container has no mapping left (type1's
 * dma_entry_limit; the kernel's ENOSPC); descriptors of a handover.
 * @PM_ERROR_LOCKED_MEMORY: over RLIMIT_MEMLOCK (also the kernel's ENOMEM, unless the limit is known
 * to have room).
 * @PM_ERROR_OVERLAP: the range overlaps a mapping or region (the kernel's EEXIST).
 * @PM_ERROR_IOVA_RANGE: the range is not inside one of the IOMMU's valid IOVA ranges.
 * @PM_ERROR_NO_MAPPING: unmap of a range that is not, or not wholly, mapped.
 * @PM_ERROR_CUTS_MAPPING: a dirty page query, or an unmap of a guest IOMMU, whose range would split
 * a mapping.
 * @PM_ERROR_UNMAP_MISMATCH: the kernel unmapped another number of bytes than requested: what is
 * mapped is unknown.
 * @PM_ERROR_BAD_ADDRESS: the kernel cannot pin the host memory (EFAULT): not mapped, or without the
 * required permission.
 * @PM_ERROR_MEMORY: allocating, discarding or querying host memory failed (also ENOMEM of the
 * kernel's own memory).
 * @PM_ERROR_BUSY: the object is in use, was already added, or already has its one owner; or what
 * somebody else claims excludes it (discard_policy.h).
 * @PM_ERROR_NOT_FOUND: no such file, device or group; or an object has no such part: a listener, a
 * source, a region, a claim, an endpoint, a domain, a RAM.
 * @PM_ERROR_PERMISSION: the file or object exists, but this process may not use it: its rights, a
 * forked child, or what was handed to another process.
 * @PM_ERROR_NOT_VIABLE: another device of the IOMMU group is bound to a host driver.
 * @PM_ERROR_UNSUPPORTED: this kernel, IOMMU or kind of memory does not support it; or a struct has
 * members that this library does not know (macros.h).
 * @PM_ERROR_BAD_REQUEST: a guest's request violates the protocol; there is no response to it.
 * @PM_ERROR_BAD_INPUT: a file, text or message does not parse, or reading or writing it failed.
 * @PM_ERROR_QUARANTINED: a range could be neither undone nor redone, or is still in quarantine for
 * that reason; or memory was discarded in part.
 * @PM_ERROR_AUDIT: two views that must be equal differ.
 * @PM_ERROR_DEVICE: a device does not do what it was programmed to do.
 * @PM_ERROR_KERNEL: the kernel refused for a reason without a code of its own: see
 * pm_error_get_errno().
 * @PM_ERROR_LISTENER: a discard listener failed with an error of another domain
 * (pm_error_get_cause()), without one, or with PM_ERROR_QUARANTINED when nothing is in quarantine
 * (pm_discard_source_discard_all()). Likewise the follower of a guest IOMMU for the first two.
 * @PM_ERROR_NOT_POPULATED: guest memory that is not plugged, or guest addresses without memory.
 * @PM_ERROR_GUEST_LIMIT: a limit that was set for the guest: mappings or domains of its IOMMU. The
 * host may have room.
 */
typedef enum {
    PM_ERROR_INVALID_ARGUMENT = 0,
    PM_ERROR_UNALIGNED = 1,
    PM_ERROR_LIMIT = 2,
    PM_ERROR_LOCKED_MEMORY = 3,
    PM_ERROR_OVERLAP = 4,
    PM_ERROR_IOVA_RANGE = 5,
    PM_ERROR_NO_MAPPING = 6,
    PM_ERROR_CUTS_MAPPING = 7,
    PM_ERROR_UNMAP_MISMATCH = 8,
    PM_ERROR_BAD_ADDRESS = 9,
    PM_ERROR_MEMORY = 10,
    PM_ERROR_BUSY = 11,
    PM_ERROR_NOT_FOUND = 12,
    PM_ERROR_PERMISSION = 13,
    PM_ERROR_NOT_VIABLE = 14,
    PM_ERROR_UNSUPPORTED = 15,
    PM_ERROR_BAD_REQUEST = 16,
    PM_ERROR_BAD_INPUT = 17,
    PM_ERROR_QUARANTINED = 18,
    PM_ERROR_AUDIT = 19,
    PM_ERROR_DEVICE = 20,
    PM_ERROR_KERNEL = 21,
    PM_ERROR_LISTENER = 22,
    PM_ERROR_NOT_POPULATED = 23,
    PM_ERROR_GUEST_LIMIT = 24,
} PmError;

/** The quark of PM_ERROR. Any thread. */
PM_EXPORT GQuark pm_error_quark(void);

/**
 * The name of a code, for logs and machine-readable output: the enumerator in lower case, such as
 * "locked-memory", except for PM_ERROR_LIMIT, which is "entry-limit". Names do not change between
 * releases. "unknown" for an invalid code. A static string. Any thread.
 */
PM_EXPORT const char *pm_error_code_name(PmError code);

/**
 * The errno, positive, of the first system call that the kernel refused. 0 if it refused none, for
 * other domains and for NULL. Any thread.
 */
PM_EXPORT int pm_error_get_errno(const GError *error);

/**
 * For listeners and kernels that make errors of PM_ERROR: sets what pm_error_get_errno() returns.
 * Ignored for other domains and for NULL.
 */
PM_EXPORT void pm_error_set_errno(GError *error, int error_number);

/**
 * The name, as registered, of the discard listener that objected, failed, or caused the quarantine;
 * owned by @error. NULL if there is none, for other domains and for NULL. Any thread.
 */
PM_EXPORT const char *pm_error_get_listener(const GError *error);

/**
 * The cause of PM_ERROR_LISTENER: the error, of another domain, that the listener set; owned by
 * @error. NULL for other codes and domains, if the listener set no error, and for NULL. Any thread.
 */
PM_EXPORT const GError *pm_error_get_cause(const GError *error);

G_END_DECLS

#endif
