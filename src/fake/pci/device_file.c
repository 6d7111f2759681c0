/* SPDX-License-Identifier: MIT */
/*
 * Linux: drivers/vfio/pci/vfio_pci_core.c, vfio_pci_rdwr.c and vfio_pci_config.c, for a device
 * without reset, ROM and PCI Express.
 */
#include "fake/pci/device_file.h"

#include <errno.h>
#include <string.h>

#include "fake/memory/user_memory.h"
#include "fake/pci/irqs.h"
#include "kernel-uapi/vfio.h"

/* A region's offset in the file is its index, shifted. */
#define REGION_SHIFT 40
#define BAR0_SIZE    0x100000
#define CONFIG_SIZE  0x100

static uint64_t region_size(uint64_t index)
{
    if (index == VFIO_PCI_BAR0_REGION_INDEX)
        return BAR0_SIZE;
    return index == VFIO_PCI_CONFIG_REGION_INDEX ? CONFIG_SIZE : 0;
}

/* 6.1's struct ends before the padding that 6.6 named. */
static int get_info(PmFakeLinux version, void *argument)
{
    const size_t min_size = offsetof(struct vfio_device_info, cap_offset);
    const size_t full_size = version == PM_FAKE_LINUX_6_1 ? offsetof(struct vfio_device_info, pad)
                                                          : sizeof(struct vfio_device_info);
    struct vfio_device_info info = {0};

    if (pm_user_read(&info, argument, min_size) < 0)
        return -EFAULT;
    if (info.argsz < min_size)
        return -EINVAL;
    info.flags = VFIO_DEVICE_FLAGS_PCI;
    info.num_regions = VFIO_PCI_NUM_REGIONS;
    info.num_irqs = VFIO_PCI_NUM_IRQS;
    return pm_user_write(argument, &info, MIN(info.argsz, full_size));
}

static int get_region_info(void *argument)
{
    struct vfio_region_info info;

    if (pm_user_read(&info, argument, sizeof(info)) < 0)
        return -EFAULT;
    if (info.argsz < sizeof(info) || info.index >= VFIO_PCI_VGA_REGION_INDEX)
        return -EINVAL;
    info.size = region_size(info.index);
    info.flags = info.size > 0 ? VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE : 0;
    info.offset = (uint64_t)info.index << REGION_SHIFT;
    return pm_user_write(argument, &info, sizeof(info));
}

static int get_irq_info(void *argument)
{
    struct vfio_irq_info info;

    if (pm_user_read(&info, argument, sizeof(info)) < 0)
        return -EFAULT;
    /* Only PCI Express devices report errors. */
    if (info.argsz < sizeof(info) || info.index >= VFIO_PCI_NUM_IRQS ||
        info.index == VFIO_PCI_ERR_IRQ_INDEX)
        return -EINVAL;
    info.count = pm_irqs_count(info.index);
    info.flags = pm_irqs_flags(info.index);
    return pm_user_write(argument, &info, sizeof(info));
}

int pm_device_file_ioctl(PmFakeLinux version, unsigned long request, void *argument)
{
    switch (request) {
    case VFIO_DEVICE_GET_INFO:
        return get_info(version, argument);
    case VFIO_DEVICE_GET_REGION_INFO:
        return get_region_info(argument);
    case VFIO_DEVICE_GET_IRQ_INFO:
        return get_irq_info(argument);
    case VFIO_DEVICE_RESET:
        return -EINVAL;
    default:
        return -ENOTTY;
    }
}

/*
 * The region at @file_offset, or a negative errno. Truncates the range at the end of a BAR; an
 * access to configuration space must lie in it completely.
 */
static int find_region(const PmEdu *edu, uint64_t file_offset, size_t *size, uint32_t *offset)
{
    uint64_t index = file_offset >> REGION_SHIFT;
    uint64_t in_region = file_offset & ((UINT64_C(1) << REGION_SHIFT) - 1);

    *offset = (uint32_t)in_region;
    if (index == VFIO_PCI_CONFIG_REGION_INDEX)
        return in_region < CONFIG_SIZE && *size <= CONFIG_SIZE - in_region ? (int)index : -EFAULT;
    if (in_region >= region_size(index))
        return -EINVAL;
    *size = MIN(*size, region_size(index) - in_region);
    return pm_edu_memory_enabled(edu) ? (int)index : -EIO;
}

/* The largest naturally aligned access at @offset that fits into @left bytes. */
static unsigned access_size(uint32_t offset, size_t left, unsigned largest)
{
    unsigned size = largest;

    while (offset % size != 0 || size > left)
        size /= 2;
    return size;
}

/* 6.12's vfio-pci accesses BARs in 8-byte units where it can; configuration space never. */
static unsigned largest_access(int region, PmFakeLinux version)
{
    return region == VFIO_PCI_CONFIG_REGION_INDEX || version == PM_FAKE_LINUX_6_1 ? 4 : 8;
}

ssize_t pm_device_file_pread(PmEdu *edu, PmFakeLinux version, void *buffer, size_t size,
                             uint64_t offset)
{
    uint32_t at;
    int region;

    if (size == 0)
        return 0;
    region = find_region(edu, offset, &size, &at);
    if (region < 0)
        return region;
    for (size_t done = 0; done < size;) {
        unsigned width = access_size(at, size - done, largest_access(region, version));
        uint64_t value = region == VFIO_PCI_CONFIG_REGION_INDEX ? pm_edu_config_read(edu, at, width)
                                                                : pm_edu_bar_read(edu, at, width);

        value = GUINT64_TO_LE(value);
        if (pm_user_write(pm_user_at(buffer, done), &value, width) < 0)
            return -EFAULT;
        done += width;
        at += width;
    }
    return (ssize_t)size;
}

ssize_t pm_device_file_pwrite(PmEdu *edu, PmFakeLinux version, const void *buffer, size_t size,
                              uint64_t offset)
{
    uint32_t at;
    int region;

    if (size == 0)
        return 0;
    region = find_region(edu, offset, &size, &at);
    if (region < 0)
        return region;
    for (size_t done = 0; done < size;) {
        unsigned width = access_size(at, size - done, largest_access(region, version));
        uint64_t value = 0;

        if (pm_user_read(&value, pm_user_at(buffer, done), width) < 0)
            return -EFAULT;
        value = GUINT64_FROM_LE(value);
        if (region == VFIO_PCI_CONFIG_REGION_INDEX)
            pm_edu_config_write(edu, at, value, width);
        else
            pm_edu_bar_write(edu, at, value, width);
        done += width;
        at += width;
    }
    return (ssize_t)size;
}
