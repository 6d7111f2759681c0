/* SPDX-License-Identifier: MIT */
#include "pci/region.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "kernel-uapi/vfio.h"
#include "pci/fail.h"

static bool map_registers(PmPciRegion *region, GError **error)
{
    void *address;
    int result = pm_kernel_mmap(region->kernel, region->fd, region->size, PROT_READ | PROT_WRITE,
                                MAP_SHARED, region->offset, &address);

    if (result < 0)
        return pm_pci_fail_call(error, -result, "mapping 0x%" PRIx64 " bytes of region %u of %s",
                                region->size, region->index, region->device);
    region->registers = address;
    return true;
}

bool pm_pci_region_open(PmPciRegion *region, PmKernel *kernel, const char *device, int fd,
                        unsigned index, uint64_t min_size, GError **error)
{
    struct vfio_region_info info = {.argsz = sizeof info, .index = index};
    int result = pm_kernel_ioctl(kernel, fd, VFIO_DEVICE_GET_REGION_INFO, &info);

    if (result < 0)
        return pm_pci_fail_call(error, -result, "asking for region %u of %s", index, device);
    if (info.size < min_size)
        return pm_pci_fail(error, PM_ERROR_UNSUPPORTED,
                           "region %u of %s has 0x%" PRIx64 " bytes, must be at least 0x%" PRIx64,
                           index, device, (uint64_t)info.size, min_size);
    *region = (PmPciRegion){kernel, device, fd, index, info.offset, info.size, NULL};
    return (info.flags & VFIO_REGION_INFO_FLAG_MMAP) == 0 || map_registers(region, error);
}

void pm_pci_region_close(PmPciRegion *region)
{
    if (region->registers != NULL)
        (void)pm_kernel_munmap(region->kernel, (void *)region->registers, region->size);
    region->registers = NULL;
}

static uint64_t load(const PmPciRegion *region, uint64_t offset, unsigned width)
{
    const volatile char *address = (const volatile char *)region->registers + offset;

    switch (width) {
    case 2:
        return GUINT16_FROM_LE(*(const volatile uint16_t *)address);
    case 4:
        return GUINT32_FROM_LE(*(const volatile uint32_t *)address);
    default:
        return GUINT64_FROM_LE(*(const volatile uint64_t *)address);
    }
}

static void store(const PmPciRegion *region, uint64_t offset, unsigned width, uint64_t value)
{
    volatile char *address = (volatile char *)region->registers + offset;

    /* Writes to memory must be visible before a doorbell rings. */
    atomic_thread_fence(memory_order_seq_cst);
    switch (width) {
    case 2:
        *(volatile uint16_t *)address = GUINT16_TO_LE((uint16_t)value);
        break;
    case 4:
        *(volatile uint32_t *)address = GUINT32_TO_LE((uint32_t)value);
        break;
    default:
        *(volatile uint64_t *)address = GUINT64_TO_LE(value);
        break;
    }
}

static bool check_transfer(const PmPciRegion *region, const char *what, uint64_t offset,
                           unsigned width, ssize_t result, GError **error)
{
    if (result == (ssize_t)width)
        return true;
    /* A partial access is as bad as none. */
    return pm_pci_fail_call(error, result < 0 ? (int)-result : EIO,
                            "%s %u bytes at 0x%" PRIx64 " of region %u of %s", what, width, offset,
                            region->index, region->device);
}

/* A child made by fork() inherits the mapped registers: send it through the kernel calls, which
 * fail. */
static bool is_mapped_here(const PmPciRegion *region)
{
    return region->registers != NULL && !pm_kernel_is_inherited(region->kernel);
}

bool pm_pci_region_read(const PmPciRegion *region, uint64_t offset, unsigned width, uint64_t *value,
                        GError **error)
{
    uint64_t little_endian = 0;
    ssize_t result;

    if (is_mapped_here(region)) {
        *value = load(region, offset, width);
        return true;
    }
    result =
        pm_kernel_pread(region->kernel, region->fd, &little_endian, width, region->offset + offset);
    *value = GUINT64_FROM_LE(little_endian);
    return check_transfer(region, "reading", offset, width, result, error);
}

bool pm_pci_region_write(const PmPciRegion *region, uint64_t offset, unsigned width, uint64_t value,
                         GError **error)
{
    uint64_t little_endian = GUINT64_TO_LE(value);
    ssize_t result;

    if (is_mapped_here(region)) {
        store(region, offset, width, value);
        return true;
    }
    result = pm_kernel_pwrite(region->kernel, region->fd, &little_endian, width,
                              region->offset + offset);
    return check_transfer(region, "writing", offset, width, result, error);
}
