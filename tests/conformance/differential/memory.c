/* SPDX-License-Identifier: MIT */
#include "memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake/memory/user_memory.h"
#include "fake/memory/vma.h"

#define ARENA        UINT64_C(0x100000000000)
/* Registers of QEMU's nvme. */
#define DEVICE_PAGES 4
#define STRIDE       (4 * AREA_SIZE)
#define BITMAPS      (ARENA + N_AREAS * STRIDE)

uint64_t area_address(Area area)
{
    return ARENA + (uint64_t)area * STRIDE;
}

uint64_t bitmap_address(void)
{
    return BITMAPS;
}

static void *pointer(uint64_t address)
{
    return (void *)(uintptr_t)address;
}

static void map_at(uint64_t address, uint64_t size, int protection, int flags, int fd,
                   uint64_t offset)
{
    if (mmap(pointer(address), size, protection, flags | MAP_FIXED, fd, (off_t)offset) ==
        MAP_FAILED) {
        perror("mmap of an area");
        exit(2);
    }
}

static void map_anonymous(uint64_t address, uint64_t size, int protection)
{
    map_at(address, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

static int make_file(unsigned flags, uint64_t size)
{
    int fd = memfd_create("plugmap-differential", flags);

    if (fd < 0 || ftruncate(fd, (off_t)size) != 0) {
        perror("memfd of an area");
        exit(2);
    }
    return fd;
}

static void map_file(uint64_t address, unsigned memfd_flags, uint64_t file_size, int flags)
{
    int fd = make_file(memfd_flags, file_size);

    map_at(address, AREA_SIZE, PROT_READ | PROT_WRITE, flags, fd, 0);
    (void)close(fd);
}

static void make_area(Area area)
{
    uint64_t address = area_address(area);

    switch (area) {
    case AREA_SHARED:
        map_file(address, 0, AREA_SIZE, MAP_SHARED);
        break;
    case AREA_PRIVATE_FILE:
        map_file(address, 0, AREA_SIZE, MAP_PRIVATE);
        break;
    case AREA_SHORT_FILE:
        map_file(address, 0, 4 * PAGE, MAP_SHARED);
        break;
    case AREA_HUGETLB:
        map_file(address, MFD_HUGETLB, AREA_SIZE, MAP_SHARED);
        break;
    case AREA_READ_ONLY:
        map_anonymous(address, AREA_SIZE, PROT_READ);
        break;
    case AREA_WRITE_ONLY:
        map_anonymous(address, AREA_SIZE, PROT_WRITE);
        break;
    case AREA_EXECUTE_ONLY:
        map_anonymous(address, AREA_SIZE, PROT_EXEC);
        break;
    case AREA_NO_ACCESS:
        map_anonymous(address, AREA_SIZE, PROT_NONE);
        break;
    case AREA_HOLES:
        map_anonymous(address, AREA_SIZE, PROT_READ | PROT_WRITE);
        for (uint64_t page = 3; page < AREA_PAGES; page += 4)
            (void)munmap(pointer(address + page * PAGE), PAGE);
        break;
    case AREA_DEVICE:
    case AREA_MISSING:
        (void)munmap(pointer(address), AREA_SIZE);
        break;
    default:
        map_anonymous(address, AREA_SIZE, PROT_READ | PROT_WRITE);
        break;
    }
    (void)madvise(pointer(address), AREA_SIZE,
                  area == AREA_TRANSPARENT_HUGE ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}

void memory_make(int device, uint64_t device_offset)
{
    for (int area = 0; area < N_AREAS; area++)
        make_area((Area)area);
    if (device >= 0)
        map_at(area_address(AREA_DEVICE), DEVICE_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
               device, device_offset);
    map_anonymous(BITMAPS, BITMAP_SIZE, PROT_READ | PROT_WRITE);
}

/* Never raises a signal for inaccessible memory. */
static void touch(uint64_t address, bool write)
{
    char byte = 't';

    if (write)
        (void)pm_user_write(pointer(address), &byte, 1);
    else
        (void)pm_user_read(&byte, pointer(address), 1);
}

static void protect(uint64_t address, uint64_t size, int protection)
{
    (void)mprotect(pointer(address), size, protection);
}

void memory_do(MemoryAction action, uint64_t address, uint64_t size)
{
    switch (action) {
    case MEMORY_UNMAP:
        (void)munmap(pointer(address), size);
        break;
    case MEMORY_FRESH:
        map_anonymous(address, size, PROT_READ | PROT_WRITE);
        (void)madvise(pointer(address), size, MADV_NOHUGEPAGE);
        break;
    case MEMORY_READ_ONLY:
        protect(address, size, PROT_READ);
        break;
    case MEMORY_READ_WRITE:
        protect(address, size, PROT_READ | PROT_WRITE);
        break;
    case MEMORY_NO_ACCESS:
        protect(address, size, PROT_NONE);
        break;
    case MEMORY_DISCARD:
        (void)madvise(pointer(address), size, MADV_DONTNEED);
        break;
    default:
        for (uint64_t done = 0; done < size; done += PAGE)
            touch(address + done, action == MEMORY_WRITE);
        break;
    }
}

void memory_fork(uint64_t address)
{
    pid_t child = fork();

    if (child == 0) {
        touch(address, true);
        _exit(0);
    }
    (void)waitpid(child, NULL, 0);
}

bool memory_is_registers(uint64_t address, uint64_t size)
{
    uint64_t area = area_address(AREA_DEVICE);

    return address < area + AREA_SIZE && address + size > area;
}

bool memory_can_be_held(uint64_t address, uint64_t size)
{
    uint64_t end = address + size;
    PmVma vma;

    if (address >= area_address(N_CHANGING_AREAS) || end < ARENA)
        return true;
    while (address < end && pm_vma_find(address, &vma) && vma.start < end) {
        if (vma.readable && !vma.writable)
            return false;
        address = vma.end;
    }
    return true;
}
