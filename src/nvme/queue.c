/* SPDX-License-Identifier: MIT */
#include "nvme/queue.h"

#include <inttypes.h>

#include "nvme/prp.h"
#include "pci/fail.h"

typedef struct {
    void *user_data;
    uint8_t opcode;
    bool in_flight;
} Slot;

struct PmNvmeQueue {
    const PmNvmeController *controller;
    PmNvmeMemory memory;
    PmNvmeRing ring;
    unsigned depth;
    Slot slots[]; /* by command ID */
};

PmNvmeQueue *pm_nvme_queue_new(PmNvmeController *controller, PmNvmeMemory memory, unsigned depth,
                               GError **error)
{
    PmNvmeRing ring;
    PmNvmeQueue *queue;

    if (!pm_nvme_controller_create_ring(controller, memory, depth + 1, &ring, error))
        return NULL;
    queue = g_malloc0(sizeof *queue + depth * sizeof(Slot));
    queue->controller = controller;
    queue->memory = memory;
    queue->ring = ring;
    queue->depth = depth;
    return queue;
}

void pm_nvme_queue_free(PmNvmeQueue *queue)
{
    g_free(queue);
}

unsigned pm_nvme_queue_get_n_in_flight(const PmNvmeQueue *queue)
{
    return queue->ring.n_in_flight;
}

static bool find_slot(const PmNvmeQueue *queue, unsigned *slot, GError **error)
{
    for (*slot = 0; *slot < queue->depth; ++*slot)
        if (!queue->slots[*slot].in_flight)
            return true;
    return pm_pci_fail(error, PM_ERROR_LIMIT, "queue %u has all of %u requests in flight",
                       queue->ring.number, queue->depth);
}

static bool check_place(const PmNvmeQueue *queue, uint64_t offset, uint64_t size, GError **error)
{
    const PmNvmeIdentity *identity = pm_nvme_controller_get_identity(queue->controller);
    uint64_t disk_size = identity->n_blocks * identity->block_size;

    if (size > identity->max_transfer)
        return pm_pci_fail(error, PM_ERROR_LIMIT,
                           "request of 0x%" PRIx64 " bytes: the controller takes 0x%" PRIx64
                           ": split it",
                           size, identity->max_transfer);
    if ((offset | size) % identity->block_size != 0)
        return pm_pci_fail(error, PM_ERROR_UNALIGNED,
                           "request of 0x%" PRIx64 " bytes at 0x%" PRIx64
                           ": must be whole blocks of %" PRIu64,
                           size, offset, identity->block_size);
    return (offset <= disk_size && size <= disk_size - offset) ||
           pm_pci_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "request of 0x%" PRIx64 " bytes at 0x%" PRIx64
                       " is past the end of the disk, 0x%" PRIx64,
                       size, offset, disk_size);
}

/* UINT64_MAX if that is too much. */
static uint64_t size_of(const PmNvmeRequest *request)
{
    uint64_t size = 0;

    for (size_t i = 0; i < request->n_segments; i++) {
        uint64_t length = request->segments[i].length;

        size = length > UINT64_MAX - size ? UINT64_MAX : size + length;
    }
    return size;
}

static bool make_command(const PmNvmeQueue *queue, const PmNvmeRequest *request, unsigned slot,
                         PmNvmeCommand *command, GError **error)
{
    const PmNvmeIdentity *identity = pm_nvme_controller_get_identity(queue->controller);
    uint64_t list = (PM_NVME_RING_PAGES + slot) * PM_NVME_PAGE;
    uint64_t size = size_of(request);
    uint64_t prp[2];
    uint64_t first;

    if (!check_place(queue, request->offset, size, error) ||
        !pm_nvme_prp_build(request->segments, request->n_segments,
                           (uint64_t *)(void *)((char *)queue->memory.host + list),
                           queue->memory.address + list, prp, error))
        return false;
    first = request->offset / identity->block_size;
    *command = (PmNvmeCommand){
        .opcode = request->opcode,
        .id = GUINT16_TO_LE((uint16_t)slot),
        .namespace_id = GUINT32_TO_LE(pm_nvme_controller_get_namespace_id(queue->controller)),
        .prp = {prp[0], prp[1]},
        .arguments = {GUINT32_TO_LE((uint32_t)first), GUINT32_TO_LE((uint32_t)(first >> 32)),
                      GUINT32_TO_LE((uint32_t)(size / identity->block_size - 1))},
    };
    return true;
}

bool pm_nvme_queue_submit(PmNvmeQueue *queue, const PmNvmeRequest *request, GError **error)
{
    PmNvmeCommand command;
    unsigned slot;

    if (!find_slot(queue, &slot, error) || !make_command(queue, request, slot, &command, error) ||
        !pm_nvme_ring_submit(&queue->ring, &command, error))
        return false;
    queue->slots[slot] = (Slot){request->user_data, request->opcode, true};
    return true;
}

bool pm_nvme_queue_wait(PmNvmeQueue *queue, void **user_data, GError **error)
{
    PmNvmeCompletion completion;
    Slot *slot;

    *user_data = NULL;
    if (!pm_nvme_ring_wait(&queue->ring, &completion, error))
        return false;
    slot = &queue->slots[MIN(completion.id, queue->depth - 1)];
    if (completion.id >= queue->depth || !slot->in_flight)
        return pm_pci_fail(error, PM_ERROR_DEVICE,
                           "%s: queue %u completed command %u, which is not in flight",
                           queue->ring.registers->device, queue->ring.number, completion.id);
    slot->in_flight = false;
    *user_data = slot->user_data;
    return pm_nvme_ring_check_status(&queue->ring, slot->opcode, completion.status, error);
}

bool pm_nvme_queue_execute(PmNvmeQueue *queue, const PmNvmeRequest *request, GError **error)
{
    void *user_data;

    return pm_nvme_queue_submit(queue, request, error) &&
           pm_nvme_queue_wait(queue, &user_data, error);
}
