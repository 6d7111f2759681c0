/* SPDX-License-Identifier: MIT */
#include "fake/memory/vma.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Linux 6.11's ioctl on /proc/PID/maps: the mapping that contains an address, or the next one. */
struct procmap_query {
    uint64_t size;
    uint64_t query_flags;
    uint64_t query_addr;
    uint64_t vma_start;
    uint64_t vma_end;
    uint64_t vma_flags;
    uint64_t vma_page_size;
    uint64_t vma_offset;
    uint64_t inode;
    uint32_t dev_major;
    uint32_t dev_minor;
    uint32_t vma_name_size;
    uint32_t build_id_size;
    uint64_t vma_name_addr;
    uint64_t build_id_addr;
};
#define PROCMAP_QUERY          _IOWR('f', 17, struct procmap_query)
#define QUERY_READABLE         (1 << 0)
#define QUERY_WRITABLE         (1 << 1)
#define QUERY_SHARED           (1 << 3)
#define QUERY_COVERING_OR_NEXT (1 << 4)

/* The name of a mapped VFIO device region. */
#define DEVICE_NAME "anon_inode:[vfio-device]"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int maps_fd = -1;

/* The descriptor shows the process that opened it, so a child needs its own. */
static void reopen_maps(void)
{
    if (maps_fd >= 0)
        close(maps_fd);
    maps_fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
}

static void open_maps(void)
{
    reopen_maps();
    (void)pthread_atfork(NULL, NULL, reopen_maps);
}

static bool is_of_a_device(uint64_t start)
{
    char name[PATH_MAX] = ""; /* unchanged if the mapping has just been removed */
    struct procmap_query query = {
        .size = sizeof(query),
        .query_addr = start,
        .vma_name_size = sizeof(name),
        .vma_name_addr = (uintptr_t)name,
    };

    return ioctl(maps_fd, PROCMAP_QUERY, &query) == 0 && strstr(name, DEVICE_NAME) != NULL;
}

bool pm_vma_find(uint64_t address, PmVma *vma)
{
    struct procmap_query query = {
        .size = sizeof(query),
        .query_flags = QUERY_COVERING_OR_NEXT,
        .query_addr = address,
    };

    (void)pthread_once(&once, open_maps);
    if (ioctl(maps_fd, PROCMAP_QUERY, &query) < 0)
        return errno != ENOENT && pm_vma_find_in_text(address, vma);
    *vma = (PmVma){
        .start = query.vma_start,
        .end = query.vma_end,
        .readable = query.vma_flags & QUERY_READABLE,
        .writable = query.vma_flags & QUERY_WRITABLE,
        .shared = query.vma_flags & QUERY_SHARED,
        .anonymous = query.inode == 0,
    };
    vma->device_registers = vma->shared && !vma->anonymous && is_of_a_device(vma->start);
    return true;
}

bool pm_vma_find_in_text(uint64_t address, PmVma *vma)
{
    FILE *file = fopen("/proc/self/maps", "re");
    char *line = NULL;
    size_t room = 0;
    bool found = false;

    if (file == NULL)
        return false;
    while (!found && getline(&line, &room, file) > 0) {
        char flags[5];
        uint64_t inode;

        /* The kernel's own numbers in the kernel's format, so they fit.
         * NOLINTNEXTLINE(cert-err34-c) */
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*s %*s %" SCNu64, &vma->start, &vma->end,
                   flags, &inode) != 4)
            continue;
        found = vma->end > address;
        vma->readable = flags[0] == 'r';
        vma->writable = flags[1] == 'w';
        vma->shared = flags[3] == 's';
        vma->anonymous = inode == 0;
        vma->device_registers = strstr(line, DEVICE_NAME) != NULL;
    }
    free(line);
    fclose(file);
    return found;
}
