/* SPDX-License-Identifier: MIT */
#include "update_process.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dma/engine.h"
#include "kernel-uapi/virtio_mem.h"
#include "util/backend_util.h"
#include "util/mapper_util.h"
#include "util/request_util.h"

const char *const update_devices[N_SPACES] = {"0000:00:06.0", "0000:00:04.0"};

static bool is_plugged(uint64_t block)
{
    return block % 4 < 2;
}

/* Ends a process that can do nothing useful any more. */
static void must(bool right, const char *what, const GError *error)
{
    if (right)
        return;
    fprintf(stderr, "%s: %s\n", what, error != NULL ? error->message : "failed");
    _exit(1);
}

static void say(const Process *process, char answer)
{
    (void)send(process->control, &answer, 1, MSG_NOSIGNAL);
}

static PmVirtioMem *make_device(PmRam *ram, uint64_t flags)
{
    const PmVirtioMemConfig config = {.struct_size = sizeof(config),
                                      .ram = ram,
                                      .address = MANAGED,
                                      .block_size = BLOCK,
                                      .requested_size = SIZE,
                                      .flags = flags};
    g_autoptr(GError) error = NULL;
    PmVirtioMem *device = pm_virtio_mem_new(&config, &error);

    must(device != NULL, "virtio-mem", error);
    return device;
}

static bool request(const Process *process, unsigned type, uint64_t block)
{
    return send_request(process->device, type, MANAGED + block * BLOCK, 1, NULL) ==
           VIRTIO_MEM_RESP_ACK;
}

static void open_space(Process *process, unsigned space)
{
    const PmType1Config type1 = {.struct_size = sizeof(type1), .device = update_devices[space]};
    const PmIommufdConfig iommufd = {.struct_size = sizeof(iommufd),
                                     .device = update_devices[space]};
    g_autoptr(GError) error = NULL;
    PmIommu *iommu = backend_is_iommufd() ? pm_iommu_iommufd_new(&iommufd, &error)
                                          : pm_iommu_type1_new(&type1, &error);
    PmMapper *mapper;

    must(iommu != NULL, "opening", error);
    mapper = pm_mapper_new(iommu);
    must(mapper_add_all(mapper, PLAIN, process->plain, 0, &error), "plain", error);
    must(mapper_add_all(mapper, MANAGED, process->managed, 0, &error), "managed", error);
    process->iommus[space] = iommu;
    process->mappers[space] = mapper;
}

void update_process_open(Process *process)
{
    g_autoptr(GError) error = NULL;

    process->plain = pm_ram_new(PM_RAM_MEMFD, BLOCK, 0, &error);
    process->managed = pm_ram_new(PM_RAM_MEMFD, SIZE, BLOCK, &error);
    must(process->plain != NULL && process->managed != NULL, "RAM", error);
    process->device = make_device(process->managed, 0);
    for (unsigned i = 0; i < N_SPACES; i++)
        open_space(process, i);
    for (uint64_t i = 0; i < N_BLOCKS; i++) {
        if (!is_plugged(i))
            continue;
        must(request(process, VIRTIO_MEM_REQ_PLUG, i), "plug", NULL);
        memset((char *)pm_ram_get_host(process->managed) + i * BLOCK, (int)i + 1, PM_DMA_PAGE);
    }
}

static void send_fds(const Process *process)
{
    int fds[] = {pm_iommu_open_device(process->iommus[0], update_devices[0], NULL),
                 pm_iommu_open_device(process->iommus[1], update_devices[1], NULL),
                 pm_ram_get_fd(process->plain, NULL), pm_ram_get_fd(process->managed, NULL)};
    char control[CMSG_SPACE(sizeof fds)] = {0};
    char byte = AGREES;
    struct iovec data = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {.msg_iov = &data,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);

    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fds);
    memcpy(CMSG_DATA(header), fds, sizeof fds);
    must(sendmsg(process->control, &message, 0) == 1, "sendmsg", NULL);
}

static bool audit(const Process *process)
{
    bool right = true;

    for (unsigned i = 0; i < N_SPACES && right; i++)
        right = pm_mapper_audit(process->mappers[i], NULL, NULL, NULL);
    return right && pm_iommu_audit(process->iommus[0], NULL,
                                   backend_is_iommufd() ? 0 : PM_IOMMU_AUDIT_SOLE_LOCKER, NULL);
}

bool update_process_works(const Process *process)
{
    return audit(process) && request(process, VIRTIO_MEM_REQ_PLUG, 2) && audit(process) &&
           request(process, VIRTIO_MEM_REQ_UNPLUG, 2) && audit(process);
}

void update_process_drop(Process *process)
{
    for (unsigned i = 0; i < N_SPACES; i++)
        g_clear_pointer(&process->mappers[i], pm_mapper_free);
    g_clear_pointer(&process->device, pm_virtio_mem_free);
    for (unsigned i = 0; i < N_SPACES; i++)
        g_clear_pointer(&process->iommus[i], pm_iommu_unref);
}

/* Nothing works, and dropping it changes nothing. */
static bool is_inert(Process *process)
{
    bool inert = true;

    for (unsigned i = 0; i < N_SPACES && inert; i++)
        inert =
            process->mappers[i] == NULL || !pm_mapper_audit(process->mappers[i], NULL, NULL, NULL);
    inert = inert &&
            (process->mappers[0] == NULL || (!request(process, VIRTIO_MEM_REQ_PLUG, 2) &&
                                             !request(process, VIRTIO_MEM_REQ_UNPLUG, 0) &&
                                             !pm_ram_discard(process->managed, 0, BLOCK, NULL)));
    update_process_drop(process);
    return inert;
}

/* Reports the result, and answers whether it holds, until the test is done. */
static void report(Process *process, bool owns)
{
    char question;

    say(process, owns ? OWNS : OWNS_NOT);
    while (recv(process->control, &question, 1, 0) == 1)
        say(process,
            (owns ? update_process_works(process) : is_inert(process)) ? AGREES : OWNS_NOT);
}

static void await_go(const Process *process)
{
    char go;

    must(recv(process->control, &go, 1, 0) == 1, "go", NULL);
}

static void send_snapshot(const Process *process)
{
    g_autoptr(GBytes) snapshot = pm_virtio_mem_save(process->device, NULL);
    gsize size;
    const void *bytes = g_bytes_get_data(snapshot, &size);
    uint64_t length = size;

    (void)send(process->peer, &length, sizeof length, MSG_NOSIGNAL);
    (void)send(process->peer, bytes, size, MSG_NOSIGNAL);
}

void update_process_be_old(Process *process)
{
    bool gave;

    update_process_open(process);
    send_fds(process);
    await_go(process);
    send_snapshot(process);
    gave = pm_handover_send(process->mappers, N_SPACES, process->peer, NULL);
    report(process, !gave);
}

static GBytes *receive_snapshot(const Process *process)
{
    uint64_t length;
    g_autofree char *bytes = NULL;

    if (recv(process->peer, &length, sizeof length, MSG_WAITALL) != sizeof length)
        return NULL;
    bytes = g_malloc(length);
    if (recv(process->peer, bytes, length, MSG_WAITALL) != (ssize_t)length)
        return NULL;
    return g_bytes_new(bytes, length);
}

static bool take_over(Process *process)
{
    g_autoptr(GBytes) snapshot = receive_snapshot(process);
    g_autoptr(PmHandover) handover =
        snapshot != NULL ? pm_handover_receive(NULL, process->peer, NULL) : NULL;
    g_autoptr(GError) error = NULL;

    if (handover == NULL)
        return false;
    process->managed = pm_ram_ref(pm_handover_get_region(handover, 0, 1)->ram);
    process->device = make_device(process->managed, PM_VIRTIO_MEM_KEEP_MEMORY);
    must(pm_virtio_mem_load(process->device, snapshot, &error), "load", error);
    if (!pm_handover_take_over(handover, process->iommus, process->mappers, NULL))
        return false;
    pm_virtio_mem_set_keep_memory(process->device, false);
    return true;
}

void update_process_be_new(Process *process)
{
    say(process, AGREES);
    await_go(process);
    report(process, take_over(process));
}
