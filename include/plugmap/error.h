/* SPDX-License-Identifier: MIT */
/*
 * Errors of plugmap.
 *
 * Every function that can fail returns false (or NULL) and sets a GError of the domain PM_ERROR,
 * with one code for each cause that a caller would treat differently. The message names the object,
 * the numbers and what to do. On success the GError is left alone. After a failure everything is as
 * it was before the call, unless the code is PM_ERROR_QUARANTINED or PM_ERROR_UNMAP_MISMATCH: those
 * say that it could not be brought back, and what is known. Functions whose failures can leave
 * something else say so themselves.
 *
 * Beside the code, programs can ask for what the message says to people: the errno of the system
 * call that the kernel refused (pm_error_get_errno()), the listener that objected
 * (pm_error_get_listener()), and its own error, if that is of another domain
 * (pm_error_get_cause()). g_error_copy(), g_propagate_prefixed_error() and the like keep all of it.
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
 * @PM_ERROR_INVALID_ARGUMENT: a parameter of the caller is out of its documented range.
 * @PM_ERROR_UNALIGNED: an address or size is not a multiple of the block or page size it has to be.
 * @PM_ERROR_LIMIT: no mapping is left in the container (type1's dma_entry_limit; ENOSPC from the
 * kernel).
 * @PM_ERROR_LOCKED_MEMORY: RLIMIT_MEMLOCK would be exceeded (also ENOMEM from the kernel, unless
 * the limit is known to have room).
 * @PM_ERROR_OVERLAP: the range overlaps an existing mapping or region (EEXIST from the kernel).
 * @PM_ERROR_IOVA_RANGE: the range is not inside one of the IOMMU's valid I/O address ranges.
 * @PM_ERROR_NO_MAPPING: unmap of a range that is not, or not wholly, mapped.
 * @PM_ERROR_CUTS_MAPPING: reading dirty pages of a range that would cut a mapping in two.
 * @PM_ERROR_UNMAP_MISMATCH: the kernel removed another number of bytes than was asked: what is
 * mapped is not known.
 * @PM_ERROR_BAD_ADDRESS: the kernel cannot pin the host memory (EFAULT): not mapped, or not with
 * that permission.
 * @PM_ERROR_MEMORY: host memory could not be had, given back or asked about (also ENOMEM from a
 * kernel that has none itself).
 * @PM_ERROR_BUSY: the object is in use by somebody else, or already has its one owner.
 * @PM_ERROR_NOT_FOUND: no such file, device, group or listener.
 * @PM_ERROR_PERMISSION: the file or object exists, but this process may not use it.
 * @PM_ERROR_NOT_VIABLE: another device of the IOMMU group has a host driver.
 * @PM_ERROR_UNSUPPORTED: this kernel or IOMMU cannot do it.
 * @PM_ERROR_BAD_REQUEST: a guest's request breaks the protocol; there is no answer to it.
 * @PM_ERROR_BAD_INPUT: a file or a text cannot be read as what it should be.
 * @PM_ERROR_QUARANTINED: a range could be neither undone nor redone, or is still out of use because
 * of that; or memory was given back in part.
 * @PM_ERROR_AUDIT: two views that must be equal differ.
 * @PM_ERROR_DEVICE: a device does not do what it is told.
 * @PM_ERROR_KERNEL: the kernel refused for a reason that has no code of its own: see
 * pm_error_get_errno().
 * @PM_ERROR_LISTENER: a discard listener failed with an error of another domain
 * (pm_error_get_cause()), or without one.
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
} PmError;

/** The quark behind PM_ERROR. Any thread. */
PM_EXPORT GQuark pm_error_quark(void);

/**
 * The name of a code, for logs and machine-readable output: that of the enumerator in lower case,
 * such as "locked-memory", except for PM_ERROR_LIMIT, which is "entry-limit". Names do not change
 * between releases. "unknown" for a number that is no code. A static string. Any thread.
 */
PM_EXPORT const char *pm_error_code_name(PmError code);

/**
 * The errno, positive, with which the kernel refused the system call that @error is about; of
 * several, the first. 0 if no call was refused, for other domains and for NULL. Any thread.
 */
PM_EXPORT int pm_error_get_errno(const GError *error);

/**
 * For authors of listeners and kernels who make errors of PM_ERROR themselves: sets what
 * pm_error_get_errno() returns. Ignored for other domains and for NULL.
 */
PM_EXPORT void pm_error_set_errno(GError *error, int error_number);

/**
 * The name of the discard listener that objected or failed, as it was registered, or because of
 * which blocks are in quarantine; owned by @error. NULL if there is none, for other domains and for
 * NULL. Any thread.
 */
PM_EXPORT const char *pm_error_get_listener(const GError *error);

/**
 * What is behind PM_ERROR_LISTENER: the error that the listener set, of a domain of its own; owned
 * by @error. NULL for other codes and domains, if the listener set no error, and for NULL. Any
 * thread.
 */
PM_EXPORT const GError *pm_error_get_cause(const GError *error);

G_END_DECLS

#endif
