/* SPDX-License-Identifier: MIT */
#include "memory/ram_claims.h"
#include "memory/ram_private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <plugmap/size.h>

#include "base/error_text.h"
#include "memory/ram_file.h"

/* Base pages per mincore() call: bounds its result on the stack. */
#define MINCORE_PAGES 32768

bool pm_ram_check_process(const PmRam *ram, GError **error)
{
    if (g_atomic_int_get(&ram->owner) == PM_RAM_THEIRS)
        return pm_fail(error, PM_ERROR_PERMISSION,
                       "the RAM at host address %p was handed over to another process",
                       (void *)ram->host);
    if (!pm_ram_is_inherited(ram))
        return true;
    return pm_fail(error, PM_ERROR_PERMISSION,
                   "this process was forked from the one that made the RAM at host address %p: "
                   "make RAM of its own, or map and adopt its backing file",
                   (void *)ram->host);
}

bool pm_ram_check_is_ram(const PmRam *ram, const char *what, GError **error)
{
    if (ram->kind != PM_RAM_DEVICE)
        return true;
    return pm_fail(error, PM_ERROR_UNSUPPORTED,
                   "cannot %s device memory at host address %p: it is not the host's RAM", what,
                   (void *)ram->host);
}

bool pm_ram_check_range(const PmRam *ram, uint64_t offset, uint64_t size, GError **error)
{
    if (!pm_ram_check_process(ram, error))
        return false;
    if ((offset | size) & (ram->page_size - 1))
        return pm_fail(error, PM_ERROR_UNALIGNED,
                       "offset 0x%" PRIx64 " and size 0x%" PRIx64
                       " must be multiples of the RAM's page size 0x%" PRIx64,
                       offset, size, ram->page_size);
    if (offset > ram->size || size > ram->size - offset)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "0x%" PRIx64 " bytes at offset 0x%" PRIx64
                       " are not inside the RAM of 0x%" PRIx64 " bytes",
                       size, offset, ram->size);
    return true;
}

bool pm_ram_fail_range(const PmRam *ram, PmError code, const char *what, uint64_t offset,
                       uint64_t size, int error_number, const char *advice, GError **error)
{
    g_autofree char *size_text = pm_size_format(size);
    g_autofree char *errno_text = pm_errno_text(error_number);

    (void)pm_fail(error, code,
                  "cannot %s %s at offset 0x%" PRIx64 " of the RAM at host address %p: %s: %s",
                  what, size_text, offset, (void *)ram->host, errno_text, advice);
    return pm_note_errno(error, error_number);
}

static bool punch(const PmRam *ram, uint64_t offset, uint64_t size)
{
    int result;

    do
        result = fallocate(ram->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                           (off_t)(ram->fd_offset + offset), (off_t)size);
    while (result != 0 && errno == EINTR);
    return result == 0;
}

bool pm_ram_advise(const PmRam *ram, int advice, uint64_t offset, uint64_t size)
{
    int result;

    do
        result = madvise(ram->host + offset, size, advice);
    while (result != 0 && errno == EINTR);
    return result == 0;
}

/* Errors that fallocate() returns before it changes anything. */
static bool refuses_at_once(int error_number)
{
    static const int refusals[] = {EACCES, EBADF,      EFBIG, EINVAL, ENODEV, ENOSYS,
                                   EPERM,  EOPNOTSUPP, EROFS, ESPIPE, ETXTBSY};

    for (size_t i = 0; i < G_N_ELEMENTS(refusals); i++)
        if (refusals[i] == error_number)
            return true;
    return false;
}

static bool fail_discard(const PmRam *ram, uint64_t offset, uint64_t size, int error_number,
                         bool maybe_gone, const char *advice, GError **error)
{
    g_autofree char *warning = g_strdup_printf("its contents may be lost; %s", advice);

    return pm_ram_fail_range(ram, maybe_gone ? PM_ERROR_QUARANTINED : PM_ERROR_MEMORY, "discard",
                             offset, size, error_number, maybe_gone ? warning : advice, error);
}

static bool fail_punch(const PmRam *ram, uint64_t offset, uint64_t size, int error_number,
                       GError **error)
{
    return fail_discard(ram, offset, size, error_number, !refuses_at_once(error_number),
                        "the file must be writable, not sealed against writing, and on a file "
                        "system that supports punching holes",
                        error);
}

static bool fail_advice(const PmRam *ram, uint64_t offset, uint64_t size, int error_number,
                        bool maybe_gone, GError **error)
{
    return fail_discard(ram, offset, size, error_number, maybe_gone,
                        "the memory must be mapped as described, and must not be locked (mlock)",
                        error);
}

/* madvise() processes VMA by VMA until one fails. If the first VMA fails, so does its first page;
 * else that page is gone already. */
static bool advise_all(const PmRam *ram, uint64_t offset, uint64_t size, GError **error)
{
    int advice = ram->shared ? MADV_REMOVE : MADV_DONTNEED;
    int error_number;

    if (pm_ram_advise(ram, advice, offset, size))
        return true;
    error_number = errno;
    return fail_advice(ram, offset, size, error_number,
                       ram->fd >= 0 || pm_ram_advise(ram, advice, offset, ram->page_size), error);
}

/* Checks for refusals before anything is lost: msync() detects holes and locked pages and, with
 * this flag alone, does nothing else; a file that does not support holes fails before it gets one.
 */
static bool free_pages(const PmRam *ram, uint64_t offset, uint64_t size, GError **error)
{
    /* A private file mapping has copies of its own in addition to the file's pages. */
    bool by_advice = ram->fd < 0 || !ram->shared;

    if (by_advice && msync(ram->host + offset, size, MS_INVALIDATE) != 0)
        return fail_advice(ram, offset, size, errno, false, error);
    if (ram->fd >= 0 && !punch(ram, offset, size))
        return fail_punch(ram, offset, size, errno, error);
    return !by_advice || advise_all(ram, offset, size, error);
}

static bool discard(PmRam *ram, PmDiscardClaimKind kind, uint64_t offset, uint64_t size,
                    GError **error)
{
    PmRunningDiscard running = {.kind = kind, .offset = offset, .size = size};
    bool discarded;

    if (!pm_ram_check_is_ram(ram, "discard", error) ||
        !pm_ram_check_range(ram, offset, size, error))
        return false;
    if (g_atomic_int_get(&ram->owner) == PM_RAM_AWAITED)
        return pm_fail(error, PM_ERROR_PERMISSION,
                       "cannot discard the RAM at host address %p: another process is still "
                       "handing it over",
                       (void *)ram->host);
    if (size == 0)
        return true;
    if (!pm_ram_begin_discard(ram, &running, error))
        return false;
    discarded = free_pages(ram, offset, size, error);
    pm_ram_end_discard(ram, &running);
    return discarded;
}

bool pm_ram_discard(PmRam *ram, uint64_t offset, uint64_t size, GError **error)
{
    return discard(ram, PM_DISCARD_REQUIRE_UNCOORDINATED, offset, size, error);
}

bool pm_ram_discard_coordinated(PmRam *ram, uint64_t offset, uint64_t size, GError **error)
{
    return discard(ram, PM_DISCARD_REQUIRE_COORDINATED, offset, size, error);
}

static bool ask_file(const PmRam *ram, uint64_t *bytes, GError **error)
{
    struct stat status;

    if (fstat(ram->fd, &status) != 0)
        return pm_ram_fail_range(ram, PM_ERROR_MEMORY, "query", 0, ram->size, errno,
                                 "the file must stay open", error);
    *bytes = (uint64_t)status.st_blocks * 512;
    return true;
}

static bool ask_pages(const PmRam *ram, uint64_t offset, uint64_t size, uint64_t *bytes,
                      GError **error)
{
    unsigned char answer[MINCORE_PAGES];
    uint64_t page_size = pm_base_page_size();
    uint64_t n_resident = 0;
    uint64_t end = offset + size;

    while (offset < end) {
        uint64_t length = MIN(end - offset, MINCORE_PAGES * page_size);
        uint64_t i;

        if (mincore(ram->host + offset, length, answer) != 0) {
            if (errno == EAGAIN)
                continue;
            return pm_ram_fail_range(ram, PM_ERROR_MEMORY, "query", offset, length, errno,
                                     "it must stay mapped", error);
        }
        for (i = 0; i < length / page_size; i++)
            n_resident += answer[i] & 1;
        offset += length;
    }
    *bytes = n_resident * page_size;
    return true;
}

bool pm_ram_resident(PmRam *ram, uint64_t offset, uint64_t size, uint64_t *bytes, GError **error)
{
    if (!pm_ram_check_range(ram, offset, size, error))
        return false;
    if (ram->kind == PM_RAM_DEVICE) {
        *bytes = 0;
        return true;
    }
    if (size == ram->size && ram->fd >= 0 && ram->kind != PM_RAM_ADOPTED)
        return ask_file(ram, bytes, error);
    return ask_pages(ram, offset, size, bytes, error);
}
