/* SPDX-License-Identifier: MIT */
#include "memory/ram_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <plugmap/size.h>

#include "base/error_text.h"
#include "memory/ram_private.h"

/* More than any mapping needs. */
#define MAX_ALIGNMENT PM_GIB

static bool is_made_with_file(PmRamKind kind)
{
    return kind == PM_RAM_MEMFD || kind == PM_RAM_HUGETLB_2M || kind == PM_RAM_HUGETLB_1G;
}

bool pm_ram_check_file(const PmRam *ram, const char *owner, GError **error)
{
    const char *why = "has no file";

    if (ram->kind == PM_RAM_DEVICE)
        why = "is device memory";
    else if (ram->fd >= 0)
        why = ram->shared ? NULL : "is a private mapping of its file";
    return why == NULL ||
           pm_fail(error, PM_ERROR_UNSUPPORTED,
                   "cannot hand over %s: another process cannot map the RAM at host address %p, "
                   "which %s: use PM_RAM_MEMFD or hugetlb memory, or remove the region first",
                   owner, (void *)ram->host, why);
}

static bool fail_file(int error_number, const char *what, GError **error)
{
    g_autofree char *errno_text = pm_errno_text(error_number);

    (void)pm_fail(error, PM_ERROR_MEMORY, "cannot %s the file of the RAM: %s", what, errno_text);
    return pm_note_errno(error, error_number);
}

bool pm_ram_describe_file(const PmRam *ram, PmRamFile *file, GError **error)
{
    uint64_t host = (uintptr_t)ram->host;
    struct stat status;

    if (fstat(ram->fd, &status) != 0)
        return fail_file(errno, "query", error);
    *file = (PmRamFile){
        .kind = ram->kind,
        .size = ram->size,
        .page_size = ram->page_size,
        .alignment = MIN(host & -host, MAX_ALIGNMENT),
        .fd_offset = ram->fd_offset,
        .device = status.st_dev,
        .inode = status.st_ino,
        .file_size = (uint64_t)status.st_size,
        .seals = fcntl(ram->fd, F_GET_SEALS),
    };
    return true;
}

static bool is_power_of_two(uint64_t value)
{
    return value != 0 && (value & (value - 1)) == 0;
}

static bool is_possible(const PmRamFile *file)
{
    return (file->kind == PM_RAM_ADOPTED ||
            (is_made_with_file(file->kind) && file->fd_offset == 0)) &&
           is_power_of_two(file->page_size) && file->page_size >= pm_base_page_size() &&
           file->page_size <= PM_GIB && is_power_of_two(file->alignment) &&
           file->alignment <= MAX_ALIGNMENT && file->size > 0 &&
           (file->size | file->fd_offset) % file->page_size == 0 &&
           file->fd_offset <= file->file_size && file->size <= file->file_size - file->fd_offset &&
           file->file_size <= INT64_MAX - MAX_ALIGNMENT;
}

static bool check_same(const PmRamFile *file, int fd, GError **error)
{
    struct stat status;

    if (!is_possible(file))
        return pm_fail(error, PM_ERROR_BAD_INPUT,
                       "invalid RAM to map: kind %d, 0x%" PRIx64 " bytes at offset 0x%" PRIx64
                       " of a file of 0x%" PRIx64 " bytes, pages of 0x%" PRIx64
                       " bytes, alignment 0x%" PRIx64,
                       (int)file->kind, file->size, file->fd_offset, file->file_size,
                       file->page_size, file->alignment);
    if (fstat(fd, &status) != 0)
        return fail_file(errno, "query", error);
    if ((uint64_t)status.st_dev == file->device && (uint64_t)status.st_ino == file->inode &&
        (uint64_t)status.st_size == file->file_size && fcntl(fd, F_GET_SEALS) == file->seals)
        return true;
    return pm_fail(error, PM_ERROR_AUDIT,
                   "descriptor %d is not the file of the RAM: inode %ju of device 0x%jx, 0x%jx "
                   "bytes; expected inode %" PRIu64 " of device 0x%" PRIx64 ", 0x%" PRIx64
                   " bytes, seals 0x%x",
                   fd, (uintmax_t)status.st_ino, (uintmax_t)status.st_dev,
                   (uintmax_t)status.st_size, file->inode, file->device, file->file_size,
                   (unsigned)file->seals);
}

static void unmap_adopted(void *user_data)
{
    PmRam *ram = user_data;

    (void)munmap(ram->host, ram->size);
    (void)close(ram->fd);
}

PmRam *pm_ram_map_file(const PmRamFile *file, int fd, GError **error)
{
    PmRam *ram;

    if (!check_same(file, fd, error))
        return NULL;
    /* Until it is mapped, dropping it removes what there is. */
    ram = pm_ram_new_empty(PM_RAM_MEMFD, file->size, file->page_size);
    ram->owner = PM_RAM_AWAITED;
    ram->shared = true;
    ram->fd = fd;
    ram->fd_offset = file->fd_offset;
    if (pm_ram_map_memory(ram, MAX(file->alignment, file->page_size), error)) {
        ram->kind = file->kind;
        if (file->kind == PM_RAM_ADOPTED)
            ram->destroy = unmap_adopted;
        ram->user_data = ram;
        return ram;
    }
    ram->fd = -1;
    pm_ram_unref(ram);
    return NULL;
}

void pm_ram_set_owner(PmRam *ram, PmRamOwner owner)
{
    g_atomic_int_set(&ram->owner, (gint)owner);
}

bool pm_ram_is_ours(const PmRam *ram)
{
    return !pm_ram_is_inherited(ram) && g_atomic_int_get(&ram->owner) == PM_RAM_OURS;
}
