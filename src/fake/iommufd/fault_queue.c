/* SPDX-License-Identifier: MIT */
#include "fake/iommufd/fault_queue.h"

#include <errno.h>
#include <fcntl.h>

#include "fake/memory/user_memory.h"

/* Size in bytes of a fault and of a response. */
#define FAULT_SIZE    40
#define RESPONSE_SIZE 8

/* Referenced by its file and the iommufd. */
typedef struct {
    PmObject object;
    PmFakeIommufd *iommufd;
} PmFaultQueue;

static void release_queue(void *object)
{
    PmFaultQueue *queue = object;

    queue->object.n_users--;
    pm_fake_iommufd_unref(queue->iommufd);
}

static int queue_ioctl(void *object, unsigned long request, void *argument)
{
    (void)object;
    (void)request;
    (void)argument;
    return -ENOTTY;
}

static ssize_t queue_pread(void *object, void *buffer, size_t size, uint64_t offset)
{
    (void)object;
    (void)buffer;
    return offset != 0 || size % FAULT_SIZE != 0 ? -ESPIPE : 0;
}

static ssize_t queue_pwrite(void *object, const void *buffer, size_t size, uint64_t offset)
{
    uint8_t response[RESPONSE_SIZE];

    (void)object;
    if (offset != 0 || size % RESPONSE_SIZE != 0)
        return -ESPIPE;
    if (size == 0)
        return 0;
    /* There was no fault to respond to. */
    return pm_user_read(response, buffer, sizeof(response)) < 0 ? -EFAULT : -EINVAL;
}

static const PmFileOps queue_file_ops = {
    .release = release_queue,
    .ioctl = queue_ioctl,
    .pread = queue_pread,
    .pwrite = queue_pwrite,
    .mmap_error = ENODEV,
};

/* Its file is closed. */
static void free_queue(PmObject *object)
{
    PmFaultQueue *queue = (PmFaultQueue *)object;

    pm_fake_iommufd_remove(queue->iommufd, object);
    g_free(queue);
}

int pm_fault_queue_alloc(PmFakeIommufdRequest *request)
{
    PmFakeIommufd *iommufd = request->iommufd;
    PmFileTable *files = &iommufd->machine->files;
    PmFaultQueue *queue;
    int fd;

    if (request->fault_alloc.flags != 0)
        return -EOPNOTSUPP;
    queue = g_new0(PmFaultQueue, 1);
    queue->iommufd = iommufd;
    pm_fake_iommufd_add(iommufd, &queue->object, PM_OBJECT_FAULT_QUEUE, free_queue);
    fd = pm_file_table_open(files, &queue_file_ops, queue, O_CLOEXEC);
    if (fd < 0) {
        free_queue(&queue->object);
        return fd;
    }
    queue->object.n_users++;
    (void)pm_fake_iommufd_ref(iommufd);
    request->fault_alloc.out_fault_id = queue->object.id;
    request->fault_alloc.out_fault_fd = (uint32_t)fd;
    if (pm_fake_iommufd_respond(request, sizeof(request->fault_alloc)) == 0)
        return 0;
    (void)pm_file_table_close(files, fd);
    free_queue(&queue->object);
    return -EFAULT;
}
