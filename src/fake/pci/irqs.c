/* SPDX-License-Identifier: MIT */
#include "fake/pci/irqs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "fake/memory/user_memory.h"
#include "kernel-uapi/vfio.h"

#define NO_LINE (-1)
#define NO_FD   (-1)

#define DATA_FLAGS (VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_DATA_BOOL | VFIO_IRQ_SET_DATA_EVENTFD)
#define ACTION_FLAGS                                                                               \
    (VFIO_IRQ_SET_ACTION_MASK | VFIO_IRQ_SET_ACTION_UNMASK | VFIO_IRQ_SET_ACTION_TRIGGER)

/* A checked request, for one interrupt or (count 0) none. */
typedef struct {
    uint32_t index;
    uint32_t count;
    uint32_t data;
    uint32_t action;
    bool wanted; /* the action is wanted: always with no data, else as the byte says */
    int32_t fd;
} Request;

uint32_t pm_irqs_count(uint32_t index)
{
    switch (index) {
    case VFIO_PCI_INTX_IRQ_INDEX:
    case VFIO_PCI_MSI_IRQ_INDEX:
    case VFIO_PCI_REQ_IRQ_INDEX:
        return 1;
    default:
        return 0;
    }
}

uint32_t pm_irqs_flags(uint32_t index)
{
    return VFIO_IRQ_INFO_EVENTFD |
           (index == VFIO_PCI_INTX_IRQ_INDEX ? VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED
                                             : VFIO_IRQ_INFO_NORESIZE);
}

void pm_irqs_init(PmIrqs *irqs)
{
    *irqs = (PmIrqs){.line = NO_LINE, .event = NO_FD, .unmask = NO_FD, .requested = NO_FD};
}

bool pm_irqs_are_messages(const PmIrqs *irqs)
{
    return irqs->line == VFIO_PCI_MSI_IRQ_INDEX;
}

static void replace(int *event, int by)
{
    if (*event != NO_FD)
        (void)close(*event);
    *event = by;
}

static void disable_line(PmIrqs *irqs)
{
    replace(&irqs->event, NO_FD);
    replace(&irqs->unmask, NO_FD);
    irqs->line = NO_LINE;
    irqs->had_event = irqs->pending = false;
}

void pm_irqs_clear(PmIrqs *irqs)
{
    disable_line(irqs);
    replace(&irqs->requested, NO_FD);
}

static void signal_event(int event)
{
    const uint64_t one = 1;

    /* A counter that is full has signalled already. */
    if (event != NO_FD && write(event, &one, sizeof(one)) < 0)
        return;
}

static int check(const struct vfio_irq_set *set)
{
    uint32_t n_irqs = pm_irqs_count(set->index);

    if (set->argsz < sizeof(*set) || set->flags & ~(uint32_t)(DATA_FLAGS | ACTION_FLAGS) ||
        set->start >= n_irqs || set->count > n_irqs - set->start)
        return -EINVAL;
    return 0;
}

static int read_data(Request *request, uint32_t argsz, const uint8_t *data)
{
    size_t size;
    uint8_t byte = 0;
    int result = 0;

    switch (request->data) {
    case VFIO_IRQ_SET_DATA_NONE:
        return 0;
    case VFIO_IRQ_SET_DATA_BOOL:
        size = sizeof(byte);
        break;
    case VFIO_IRQ_SET_DATA_EVENTFD:
        size = sizeof(request->fd);
        break;
    default:
        return -EINVAL;
    }
    if (argsz - sizeof(struct vfio_irq_set) < request->count * size)
        return -EINVAL;
    if (request->count == 0)
        return 0;
    if (size == sizeof(byte))
        result = pm_user_read(&byte, data, size);
    else
        result = pm_user_read(&request->fd, data, size);
    request->wanted = byte != 0;
    return result;
}

static int read_request(Request *request, const void *argument)
{
    struct vfio_irq_set set;
    int result;

    if (pm_user_read(&set, argument, sizeof(set)) < 0)
        return -EFAULT;
    result = check(&set);
    if (result < 0)
        return result;
    *request = (Request){
        .index = set.index,
        .count = set.count,
        .data = set.flags & DATA_FLAGS,
        .action = set.flags & ACTION_FLAGS,
        .wanted = true,
        .fd = NO_FD,
    };
    return read_data(request, set.argsz, (const uint8_t *)argument + sizeof(set));
}

/* Duplicates the caller's eventfd into @event; -1 for -1. */
static int dup_event(const PmFileTable *files, int32_t fd, int *event)
{
    g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", fd);
    g_autofree char *what = NULL;

    *event = NO_FD;
    if (fd == NO_FD)
        return 0;
    what = g_file_read_link(link, NULL);
    if (what == NULL)
        return -EBADF;
    if (pm_file_table_find(files, fd) != NULL || strcmp(what, "anon_inode:[eventfd]") != 0)
        return -EINVAL;
    *event = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    return *event < 0 ? -errno : 0;
}

/* An INTx interrupt masks itself. */
static void deliver_intx(PmIrqs *irqs)
{
    if (irqs->line != VFIO_PCI_INTX_IRQ_INDEX || irqs->masked || !irqs->asserted)
        return;
    irqs->masked = true;
    signal_event(irqs->event);
}

static void unmask_intx(PmIrqs *irqs)
{
    if (irqs->disabled)
        return;
    irqs->masked = false;
    deliver_intx(irqs);
}

void pm_irqs_set_intx(PmIrqs *irqs, bool asserted, bool disabled)
{
    bool was_disabled = irqs->disabled;

    irqs->asserted = asserted;
    irqs->disabled = disabled;
    if (disabled && !was_disabled)
        irqs->masked = true;
    if (!disabled && was_disabled)
        unmask_intx(irqs);
    deliver_intx(irqs);
}

/* Linux keeps one message sent before the first eventfd is set; later messages without an
 * eventfd are lost. */
void pm_irqs_send_message(PmIrqs *irqs)
{
    if (!pm_irqs_are_messages(irqs))
        return;
    irqs->pending = !irqs->had_event;
    signal_event(irqs->event);
}

static void deliver_pending_message(PmIrqs *irqs)
{
    if (irqs->event == NO_FD)
        return;
    irqs->had_event = true;
    if (irqs->pending)
        signal_event(irqs->event);
    irqs->pending = false;
}

static int set_line(PmIrqs *irqs, const PmFileTable *files, const Request *request)
{
    int event;
    int result;

    /* MSI loses its old eventfd even if the new one is bad. */
    if (request->index == VFIO_PCI_MSI_IRQ_INDEX) {
        replace(&irqs->event, NO_FD);
        irqs->msi_tried = true;
    }
    result = dup_event(files, request->fd, &event);
    if (result < 0)
        return result;
    replace(&irqs->event, event);
    if (irqs->line != request->index)
        irqs->masked = irqs->disabled;
    irqs->line = request->index;
    deliver_intx(irqs);
    deliver_pending_message(irqs);
    return 0;
}

/* Disables the index with DATA_NONE. For MSI, zero vectors are valid as well, but not the first
 * time. */
static int trigger_none(PmIrqs *irqs, const Request *request)
{
    bool is_set_up = irqs->line == request->index;

    if (is_set_up && request->data == VFIO_IRQ_SET_DATA_NONE) {
        disable_line(irqs);
        return 0;
    }
    if (request->index != VFIO_PCI_MSI_IRQ_INDEX)
        return -EINVAL;
    if (is_set_up)
        return 0;
    return request->data == VFIO_IRQ_SET_DATA_EVENTFD ? -ERANGE : -EINVAL;
}

static int trigger_line(PmIrqs *irqs, const PmFileTable *files, const Request *request)
{
    bool is_set_up = irqs->line == request->index;

    if (!is_set_up && irqs->line != NO_LINE)
        return -EINVAL;
    if (request->count == 0)
        return trigger_none(irqs, request);
    if (request->data == VFIO_IRQ_SET_DATA_EVENTFD)
        return set_line(irqs, files, request);
    if (!is_set_up)
        return -EINVAL;
    if (request->wanted && !(irqs->disabled && request->index == VFIO_PCI_INTX_IRQ_INDEX))
        signal_event(irqs->event);
    return 0;
}

static int set_unmask_event(PmIrqs *irqs, const PmFileTable *files, const Request *request)
{
    int event;
    int result = dup_event(files, request->fd, &event);

    if (result < 0)
        return result;
    if (event != NO_FD && irqs->unmask != NO_FD) {
        replace(&event, NO_FD);
        return -EBUSY;
    }
    replace(&irqs->unmask, event);
    return 0;
}

/* INTx only. The eventfd that unmasks must be removed before another can be set. */
static int mask(PmIrqs *irqs, const PmFileTable *files, const Request *request)
{
    bool unmask = request->action == VFIO_IRQ_SET_ACTION_UNMASK;

    if (irqs->line != VFIO_PCI_INTX_IRQ_INDEX || request->count == 0)
        return -EINVAL;
    if (request->data == VFIO_IRQ_SET_DATA_EVENTFD)
        return unmask ? set_unmask_event(irqs, files, request) : -ENOTTY;
    if (request->wanted && unmask)
        unmask_intx(irqs);
    else if (request->wanted)
        irqs->masked = true;
    return 0;
}

static int trigger_request(PmIrqs *irqs, const PmFileTable *files, const Request *request)
{
    int event;
    int result;

    if (request->data == VFIO_IRQ_SET_DATA_EVENTFD && request->count > 0) {
        result = dup_event(files, request->fd, &event);
        if (result == 0)
            replace(&irqs->requested, event);
        return result;
    }
    if (request->data == VFIO_IRQ_SET_DATA_NONE && irqs->requested != NO_FD) {
        if (request->count == 0)
            replace(&irqs->requested, NO_FD);
        signal_event(irqs->requested);
        return 0;
    }
    if (request->data != VFIO_IRQ_SET_DATA_BOOL || request->count == 0)
        return -EINVAL;
    if (request->wanted)
        signal_event(irqs->requested);
    return 0;
}

int pm_irqs_set(PmIrqs *irqs, const PmFileTable *files, const void *argument)
{
    Request request;
    int result = read_request(&request, argument);

    if (result < 0)
        return result;
    if (request.action == VFIO_IRQ_SET_ACTION_TRIGGER)
        return request.index == VFIO_PCI_REQ_IRQ_INDEX ? trigger_request(irqs, files, &request)
                                                       : trigger_line(irqs, files, &request);
    if (request.index == VFIO_PCI_INTX_IRQ_INDEX && (request.action == VFIO_IRQ_SET_ACTION_MASK ||
                                                     request.action == VFIO_IRQ_SET_ACTION_UNMASK))
        return mask(irqs, files, &request);
    return -ENOTTY;
}
