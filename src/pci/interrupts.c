/* SPDX-License-Identifier: MIT */
#include "pci/interrupts.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kernel-uapi/vfio.h"
#include "pci/fail.h"

static bool count(const PmPciInterrupts *interrupts, unsigned index, const char *device,
                  unsigned *n, GError **error)
{
    struct vfio_irq_info info = {.argsz = sizeof info, .index = index};
    int result =
        pm_kernel_ioctl(interrupts->kernel, interrupts->fd, VFIO_DEVICE_GET_IRQ_INFO, &info);

    if (result < 0)
        return pm_pci_fail_call(error, -result, "asking for the interrupts of %s", device);
    *n = info.count;
    return true;
}

static bool find_index(PmPciInterrupts *interrupts, const char *device, unsigned n, GError **error)
{
    unsigned n_msix = 0;
    unsigned n_msi = 0;

    if (!count(interrupts, VFIO_PCI_MSIX_IRQ_INDEX, device, &n_msix, error) ||
        !count(interrupts, VFIO_PCI_MSI_IRQ_INDEX, device, &n_msi, error))
        return false;
    interrupts->index = n_msix >= n ? VFIO_PCI_MSIX_IRQ_INDEX : VFIO_PCI_MSI_IRQ_INDEX;
    return MAX(n_msix, n_msi) >= n ||
           pm_pci_fail(error, PM_ERROR_UNSUPPORTED,
                       "%s has %u MSI-X and %u MSI interrupts, must have %u: use fewer queues, or "
                       "poll",
                       device, n_msix, n_msi, n);
}

static bool make_events(PmPciInterrupts *interrupts, unsigned n, GError **error)
{
    interrupts->events = g_new(int, n);
    for (interrupts->n = 0; interrupts->n < n; interrupts->n++) {
        int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

        if (event < 0)
            return pm_pci_fail(error, PM_ERROR_KERNEL, "creating an eventfd failed: %s",
                               g_strerror(errno));
        interrupts->events[interrupts->n] = event;
    }
    return true;
}

/* No events: disables all. */
static int set(const PmPciInterrupts *interrupts, const int *events, unsigned n)
{
    size_t size = sizeof(struct vfio_irq_set) + n * sizeof(int32_t);
    g_autofree struct vfio_irq_set *argument = g_malloc0(size);

    *argument = (struct vfio_irq_set){
        .argsz = (uint32_t)size,
        .flags = VFIO_IRQ_SET_ACTION_TRIGGER |
                 (n > 0 ? VFIO_IRQ_SET_DATA_EVENTFD : VFIO_IRQ_SET_DATA_NONE),
        .index = interrupts->index,
        .count = n,
    };
    if (n > 0)
        memcpy(argument->data, events, n * sizeof(int32_t));
    return pm_kernel_ioctl(interrupts->kernel, interrupts->fd, VFIO_DEVICE_SET_IRQS, argument);
}

static void close_events(PmPciInterrupts *interrupts)
{
    for (unsigned i = 0; i < interrupts->n; i++)
        (void)close(interrupts->events[i]);
    g_clear_pointer(&interrupts->events, g_free);
    interrupts->n = 0;
}

bool pm_pci_interrupts_enable(PmPciInterrupts *interrupts, PmKernel *kernel, const char *device,
                              int fd, unsigned n, GError **error)
{
    int result;

    *interrupts = (PmPciInterrupts){.kernel = kernel, .fd = fd};
    if (!find_index(interrupts, device, n, error))
        return false;
    if (!make_events(interrupts, n, error)) {
        close_events(interrupts);
        return false;
    }
    result = set(interrupts, interrupts->events, n);
    if (result >= 0)
        return true;
    close_events(interrupts);
    return pm_pci_fail_call(error, -result, "enabling %u interrupts of %s", n, device);
}

void pm_pci_interrupts_disable(PmPciInterrupts *interrupts)
{
    if (interrupts->n == 0)
        return;
    (void)set(interrupts, NULL, 0);
    close_events(interrupts);
}

int pm_pci_interrupts_get_event(const PmPciInterrupts *interrupts, unsigned number)
{
    return interrupts->events[number];
}
