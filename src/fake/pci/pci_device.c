/* SPDX-License-Identifier: MIT */
#include "fake/pci/pci_device.h"

#include "fake/memory/dma.h"
#include "fake/pci/device_file.h"
#include "kernel-uapi/vfio.h"

#define VFIO_DRIVER "vfio-pci"

static void device_dma_read(void *user_data, uint64_t iova, void *buffer, uint64_t size)
{
    PmPciDevice *device = user_data;
    PmFakeMemory *memory = device->memory;

    pm_dma_read(device->page_table(device->user_data), memory->held, &memory->machine->dma_faults,
                iova, buffer, size);
}

static void device_dma_write(void *user_data, uint64_t iova, const void *buffer, uint64_t size)
{
    PmPciDevice *device = user_data;
    PmFakeMemory *memory = device->memory;

    pm_dma_write(device->page_table(device->user_data), memory->held, &memory->machine->dma_faults,
                 iova, buffer, size);
}

static void device_set_intx(void *user_data, bool asserted, bool disabled)
{
    PmPciDevice *device = user_data;

    pm_irqs_set_intx(&device->irqs, asserted, disabled);
}

static void device_send_message(void *user_data)
{
    PmPciDevice *device = user_data;

    pm_irqs_send_message(&device->irqs);
}

static const PmEduBus device_bus = {
    .read = device_dma_read,
    .write = device_dma_write,
    .set_intx = device_set_intx,
    .send_message = device_send_message,
};

PmPciDevice *pm_pci_device_new(PmFakeMemory *memory, const char *address, const char *driver,
                               PmPciPageTableFunc page_table, void *user_data)
{
    PmPciDevice *device = g_new0(PmPciDevice, 1);

    device->memory = memory;
    device->page_table = page_table;
    device->user_data = user_data;
    device->address = g_strdup(address);
    device->driver = g_strdup(driver);
    pm_irqs_init(&device->irqs);
    if (g_strcmp0(driver, VFIO_DRIVER) == 0)
        device->edu = pm_edu_new(&device_bus, device);
    return device;
}

void pm_pci_device_free(void *data)
{
    PmPciDevice *device = data;

    g_clear_pointer(&device->edu, pm_edu_free);
    g_free(device->address);
    g_free(device->driver);
    g_free(device);
}

void pm_pci_device_use(PmPciDevice *device)
{
    if (device->n_open++ == 0)
        pm_edu_enable(device->edu);
}

void pm_pci_device_unuse(PmPciDevice *device)
{
    if (--device->n_open > 0)
        return;
    pm_irqs_clear(&device->irqs);
    pm_edu_set_up_msi(device->edu, false);
    pm_edu_disable(device->edu);
}

int pm_pci_device_ioctl(PmPciDevice *device, unsigned long request, void *argument)
{
    const PmFakeMemory *memory = device->memory;
    int result;

    if (request == VFIO_DEVICE_SET_IRQS) {
        result = pm_irqs_set(&device->irqs, &memory->machine->files, argument);
        if (device->irqs.msi_tried)
            pm_edu_set_up_msi(device->edu, true);
        device->irqs.msi_tried = false;
        pm_edu_set_up_msi(device->edu, pm_irqs_are_messages(&device->irqs));
        return result;
    }
    return pm_device_file_ioctl(memory->machine->config.linux_version, request, argument);
}

ssize_t pm_pci_device_pread(PmPciDevice *device, void *buffer, size_t size, uint64_t offset)
{
    return pm_device_file_pread(device->edu, device->memory->machine->config.linux_version, buffer,
                                size, offset);
}

ssize_t pm_pci_device_pwrite(PmPciDevice *device, const void *buffer, size_t size, uint64_t offset)
{
    return pm_device_file_pwrite(device->edu, device->memory->machine->config.linux_version, buffer,
                                 size, offset);
}
