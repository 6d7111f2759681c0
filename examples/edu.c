/* SPDX-License-Identifier: MIT */
#include "edu.h"

#include <linux/vfio.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE            4096
#define EDU_SOURCE      0x80
#define EDU_DESTINATION 0x88
#define EDU_COUNT       0x90
#define EDU_COMMAND     0x98
#define EDU_START       1
#define EDU_TO_MEMORY   2
#define EDU_BUFFER      0x40000
#define PCI_COMMAND     4
#define PCI_MASTER      4

static struct vfio_region_info find_region(const Edu *edu, uint32_t index)
{
    struct vfio_region_info info = {.argsz = sizeof(info), .index = index};

    (void)pm_kernel_ioctl(edu->kernel, edu->fd, VFIO_DEVICE_GET_REGION_INFO, &info);
    return info;
}

static void set_bus_master(const Edu *edu, bool enabled)
{
    uint16_t command = 0;

    (void)pm_kernel_pread(edu->kernel, edu->fd, &command, sizeof(command),
                          edu->config + PCI_COMMAND);
    command = (uint16_t)(enabled ? command | PCI_MASTER : command & ~PCI_MASTER);
    (void)pm_kernel_pwrite(edu->kernel, edu->fd, &command, sizeof(command),
                           edu->config + PCI_COMMAND);
}

bool edu_start(Edu *edu, PmKernel *kernel, PmIommu *iommu, const char *pci, GError **error)
{
    struct vfio_region_info bar;
    void *registers = NULL;

    *edu = (Edu){.kernel = kernel};
    edu->fd = pm_iommu_open_device(iommu, pci, error);
    if (edu->fd < 0)
        return false;
    bar = find_region(edu, VFIO_PCI_BAR0_REGION_INDEX);
    edu->bar = bar.offset;
    edu->config = find_region(edu, VFIO_PCI_CONFIG_REGION_INDEX).offset;
    if ((bar.flags & VFIO_REGION_INFO_FLAG_MMAP) != 0 &&
        pm_kernel_mmap(edu->kernel, edu->fd, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, bar.offset,
                       &registers) == 0)
        edu->registers = registers;
    set_bus_master(edu, true);
    return true;
}

void edu_drop(Edu *edu)
{
    if (edu->registers != NULL)
        (void)pm_kernel_munmap(edu->kernel, (void *)(uintptr_t)edu->registers, PAGE);
    edu->registers = NULL;
}

void edu_stop(Edu *edu)
{
    set_bus_master(edu, false);
    edu_drop(edu);
}

/* In one access, which edu needs for addresses above 4 GiB; pwrite() may make two. */
static void set_register(const Edu *edu, unsigned offset, uint64_t value)
{
    if (edu->registers != NULL)
        edu->registers[offset / sizeof(value)] = value;
    else
        (void)pm_kernel_pwrite(edu->kernel, edu->fd, &value, sizeof(value), edu->bar + offset);
}

static void begin(const Edu *edu, uint64_t from, uint64_t to, uint64_t command)
{
    set_register(edu, EDU_SOURCE, from);
    set_register(edu, EDU_DESTINATION, to);
    set_register(edu, EDU_COUNT, EDU_SIZE);
    set_register(edu, EDU_COMMAND, EDU_START | command);
}

void edu_begin_read(const Edu *edu, uint64_t address)
{
    begin(edu, address, EDU_BUFFER, 0);
}

void edu_begin_write(const Edu *edu, uint64_t address)
{
    begin(edu, EDU_BUFFER, address, EDU_TO_MEMORY);
}

void edu_wait(const Edu *edu)
{
    uint64_t running = EDU_START;

    while (running & EDU_START) {
        (void)pm_kernel_pread(edu->kernel, edu->fd, &running, 4, edu->bar + EDU_COMMAND);
        if (running & EDU_START)
            (void)usleep(1000);
    }
}
