/* SPDX-License-Identifier: MIT */
#include "memory/ram_private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <plugmap/size.h>

#include "base/error_text.h"

/* Base pages that one mincore() is asked about: bounds the answer on the stack. */
#define MINCORE_PAGES 32768

bool pm_ram_check_process(const PmRam *ram, GError **error)
{
    if (!pm_ram_is_inherited(ram))
        return true;
    return pm_fail(error, PM_ERROR_PERMISSION,
                   "the RAM at host address %p belongs to the process that this one was forked "
                   "from: make RAM of its own, or map and adopt the file behind it",
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

bool pm_ram_fail_range(const PmRam *ram, const char *what, uint64_t offset, uint64_t size,
                       int error_number, const char *advice, GError **error)
{
    g_autofree char *size_text = pm_size_format(size);
    g_autofree char *errno_text = pm_errno_text(error_number);

    return pm_fail(error, PM_ERROR_MEMORY,
                   "cannot %s %s at offset 0x%" PRIx64 " of the RAM at host address %p: %s: %s",
                   what, size_text, offset, (void *)ram->host, errno_text, advice);
}

bool pm_ram_change_file(const PmRam *ram, int mode, uint64_t offset, uint64_t size)
{
    int result;

    do
        result = fallocate(ram->fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)(ram->fd_offset + offset),
                           (off_t)size);
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

bool pm_ram_discard(PmRam *ram, uint64_t offset, uint64_t size, GError **error)
{
    if (!pm_ram_check_range(ram, offset, size, error))
        return false;
    if (size == 0)
        return true;
    if (ram->fd >= 0 && !pm_ram_change_file(ram, FALLOC_FL_PUNCH_HOLE, offset, size))
        return pm_ram_fail_range(
            ram, "give back", offset, size, errno,
            "the file must be writable, not sealed against writing, and of a file "
            "system that can punch holes",
            error);
    /* A private mapping of a file has copies of its own beside the file's pages. */
    if ((!ram->shared && !pm_ram_advise(ram, MADV_DONTNEED, offset, size)) ||
        (ram->shared && ram->fd < 0 && !pm_ram_advise(ram, MADV_REMOVE, offset, size)))
        return pm_ram_fail_range(
            ram, "give back", offset, size, errno,
            "the memory must be mapped as it was described, and must not be locked "
            "(mlock)",
            error);
    return true;
}

static bool ask_file(const PmRam *ram, uint64_t *bytes, GError **error)
{
    struct stat status;

    if (fstat(ram->fd, &status) != 0)
        return pm_ram_fail_range(ram, "ask about", 0, ram->size, errno, "the file must stay open",
                                 error);
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
            return pm_ram_fail_range(ram, "ask about", offset, length, errno, "it must stay mapped",
                                     error);
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
    if (size == ram->size && ram->fd >= 0 && ram->kind != PM_RAM_ADOPTED)
        return ask_file(ram, bytes, error);
    return ask_pages(ram, offset, size, bytes, error);
}
