/* SPDX-License-Identifier: MIT */
/*
 * QEMU's nvme (hw/nvme/ctrl.c), with one polled queue pair; NVM Express Base Specification 1.4.
 * Copies through the first blocks of the disk: Write reads memory, Read writes it. QEMU reports
 * success for DMA that the IOMMU blocks.
 */
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "base/error_text.h"
#include "dma/engine.h"

#define REGISTER_CAPABILITIES   0x00
#define REGISTER_CONFIGURATION  0x14
#define REGISTER_STATUS         0x1c
#define REGISTER_ADMIN_SIZES    0x24
#define REGISTER_ADMIN_REQUESTS 0x28
#define REGISTER_ADMIN_ANSWERS  0x30
#define REGISTER_DOORBELLS      0x1000
#define CONFIGURATION_ENABLE    0x1
#define CONFIGURATION_ENTRIES                                                                      \
    0x460000 /* submission entries of 64 bytes, completion entries of 16 */
#define STATUS_READY 0x1
#define STATUS_FATAL 0x2

#define ADMIN_CREATE_REQUESTS 0x01
#define ADMIN_CREATE_ANSWERS  0x05
#define ADMIN_IDENTIFY        0x06
#define IO_WRITE              0x01
#define IO_READ               0x02

#define N_ENTRIES 4 /* per queue; one is in use at a time */
#define NAMESPACE 1

#define TIMEOUT_NS 5000000000

/* The pages after the data page of the scratch. */
enum {
    DATA_PAGE,
    ADMIN_REQUESTS_PAGE,
    ADMIN_ANSWERS_PAGE,
    IO_REQUESTS_PAGE,
    IO_ANSWERS_PAGE
};

typedef struct {
    uint8_t opcode;
    uint8_t flags;
    uint16_t id;
    uint32_t namespace;
    uint64_t reserved;
    uint64_t metadata;
    uint64_t data[2]; /* I/O addresses of the first and the second page */
    uint32_t arguments[6];
} Request;

G_STATIC_ASSERT(sizeof(Request) == 64);

typedef struct {
    uint32_t result;
    uint32_t reserved;
    uint16_t requests_head;
    uint16_t queue;
    uint16_t id;
    uint16_t status; /* bit 0 is the phase tag */
} Answer;

G_STATIC_ASSERT(sizeof(Answer) == 16);

typedef struct {
    unsigned number;
    Request *requests;
    Answer *answers;
    unsigned next; /* index of the next submission and completion entry */
    unsigned round;
} Queue;

typedef struct {
    PmDmaEngine parent;
    Queue admin;
    Queue io;
    unsigned doorbell_step;
    uint32_t n_blocks; /* per transfer */
} Nvme;

static char *scratch_page(const PmDmaEngine *engine, unsigned page)
{
    return engine->scratch + (size_t)page * PM_DMA_PAGE;
}

static uint64_t scratch_iova(const PmDmaEngine *engine, unsigned page)
{
    return engine->scratch_iova + (uint64_t)page * PM_DMA_PAGE;
}

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static bool wait_for_ready(PmDmaEngine *engine, bool ready, GError **error)
{
    uint64_t end = now_ns() + TIMEOUT_NS;
    uint64_t status;

    do {
        if (!pm_dma_region_read(&engine->registers, REGISTER_STATUS, 4, &status, error))
            return false;
        if (((status & STATUS_READY) != 0) == ready)
            return true;
    } while (now_ns() < end && (status & STATUS_FATAL) == 0);
    return pm_fail(error, PM_ERROR_DEVICE, "nvme: controller does not %s: CSTS 0x%x",
                   ready ? "become ready" : "stop", (unsigned)status);
}

static bool set_enabled(PmDmaEngine *engine, bool enabled, GError **error)
{
    uint32_t configuration = enabled ? CONFIGURATION_ENTRIES | CONFIGURATION_ENABLE : 0;

    return pm_dma_region_write(&engine->registers, REGISTER_CONFIGURATION, 4, configuration,
                               error) &&
           wait_for_ready(engine, enabled, error);
}

/* @side: 0 for submission, 1 for completion. */
static bool ring(const Nvme *nvme, const Queue *queue, unsigned side, unsigned value,
                 GError **error)
{
    uint64_t doorbell =
        REGISTER_DOORBELLS + (uint64_t)(2 * queue->number + side) * nvme->doorbell_step;

    return pm_dma_region_write(&nvme->parent.registers, doorbell, 4, value, error);
}

static bool wait_for_answer(const Queue *queue, uint16_t *status, GError **error)
{
    const volatile uint16_t *answered = &queue->answers[queue->next].status;
    uint64_t end = now_ns() + TIMEOUT_NS;
    unsigned fresh = queue->round % 2 == 0 ? 1 : 0;

    do {
        *status = GUINT16_FROM_LE(*answered);
        if ((*status & 1) == fresh) {
            atomic_thread_fence(memory_order_acquire);
            return true;
        }
    } while (now_ns() < end);
    return pm_fail(error, PM_ERROR_DEVICE, "nvme: command timed out after %u s",
                   (unsigned)(TIMEOUT_NS / 1000000000));
}

static bool execute(Nvme *nvme, Queue *queue, const Request *request, GError **error)
{
    unsigned next = (queue->next + 1) % N_ENTRIES;
    uint16_t status;

    queue->requests[queue->next] = *request;
    if (!ring(nvme, queue, 0, next, error) || !wait_for_answer(queue, &status, error))
        return false;
    queue->next = next;
    queue->round += next == 0;
    if (!ring(nvme, queue, 1, next, error))
        return false;
    if (status >> 1 == 0)
        return true;
    return pm_fail(error, PM_ERROR_DEVICE, "nvme: command 0x%02x of queue %u failed: status 0x%x",
                   request->opcode, queue->number, status >> 1);
}

static Request make_request(uint8_t opcode, uint64_t data)
{
    return (Request){
        .opcode = opcode,
        .namespace = GUINT32_TO_LE(NAMESPACE),
        .data = {GUINT64_TO_LE(data), 0},
    };
}

static bool create_queue(Nvme *nvme, uint8_t opcode, unsigned page, uint32_t flags, GError **error)
{
    Request request = make_request(opcode, scratch_iova(&nvme->parent, page));

    request.namespace = 0;
    request.arguments[0] = GUINT32_TO_LE((N_ENTRIES - 1) << 16 | nvme->io.number);
    request.arguments[1] = GUINT32_TO_LE(flags);
    return execute(nvme, &nvme->admin, &request, error);
}

/* Blocks per page, from the LBA format of the namespace. */
static bool read_block_size(Nvme *nvme, GError **error)
{
    const uint8_t *identity = (const uint8_t *)scratch_page(&nvme->parent, DATA_PAGE);
    Request request = make_request(ADMIN_IDENTIFY, scratch_iova(&nvme->parent, DATA_PAGE));
    unsigned shift;

    if (!execute(nvme, &nvme->admin, &request, error))
        return false;
    shift = identity[128 + 4 * (identity[26] & 0xf) + 2];
    if (shift < 9 || shift > 12)
        return pm_fail(error, PM_ERROR_UNSUPPORTED,
                       "nvme: unsupported block size 2^%u: must be 2^9 to 2^12", shift);
    nvme->n_blocks = PM_DMA_PAGE >> shift;
    return true;
}

static Queue make_queue(const PmDmaEngine *engine, unsigned number, unsigned requests_page)
{
    return (Queue){
        .number = number,
        .requests = (Request *)(void *)scratch_page(engine, requests_page),
        .answers = (Answer *)(void *)scratch_page(engine, requests_page + 1),
    };
}

static bool start_admin_queue(PmDmaEngine *engine, GError **error)
{
    const PmDmaRegion *registers = &engine->registers;

    return set_enabled(engine, false, error) &&
           pm_dma_region_write(registers, REGISTER_ADMIN_SIZES, 4,
                               (N_ENTRIES - 1) << 16 | (N_ENTRIES - 1), error) &&
           pm_dma_region_write(registers, REGISTER_ADMIN_REQUESTS, 8,
                               scratch_iova(engine, ADMIN_REQUESTS_PAGE), error) &&
           pm_dma_region_write(registers, REGISTER_ADMIN_ANSWERS, 8,
                               scratch_iova(engine, ADMIN_ANSWERS_PAGE), error) &&
           set_enabled(engine, true, error);
}

static bool nvme_start(PmDmaEngine *engine, GError **error)
{
    Nvme *nvme = (Nvme *)engine;
    uint64_t capabilities;

    if (!pm_dma_region_read(&engine->registers, REGISTER_CAPABILITIES, 8, &capabilities, error))
        return false;
    nvme->doorbell_step = 4U << (capabilities >> 32 & 0xf);
    nvme->admin = make_queue(engine, 0, ADMIN_REQUESTS_PAGE);
    nvme->io = make_queue(engine, 1, IO_REQUESTS_PAGE);
    return start_admin_queue(engine, error) &&
           create_queue(nvme, ADMIN_CREATE_ANSWERS, IO_ANSWERS_PAGE, 1, error) &&
           create_queue(nvme, ADMIN_CREATE_REQUESTS, IO_REQUESTS_PAGE, nvme->io.number << 16 | 1,
                        error) &&
           read_block_size(nvme, error);
}

static bool transfer(Nvme *nvme, uint8_t opcode, uint64_t iova, GError **error)
{
    Request request = make_request(opcode, iova);

    request.arguments[2] = GUINT32_TO_LE(nvme->n_blocks - 1);
    return execute(nvme, &nvme->io, &request, error);
}

static bool nvme_move(PmDmaEngine *engine, uint64_t from_iova, uint64_t to_iova, GError **error)
{
    Nvme *nvme = (Nvme *)engine;

    return transfer(nvme, IO_WRITE, from_iova, error) && transfer(nvme, IO_READ, to_iova, error);
}

static void nvme_stop(PmDmaEngine *engine)
{
    (void)set_enabled(engine, false, NULL);
}

const PmDmaEngineKind pm_nvme_engine = {
    .name = "nvme",
    .pci_id = 0x00101b36,
    .transfer_size = PM_DMA_PAGE,
    .registers_size = 0x2000,
    .size = sizeof(Nvme),
    .start = nvme_start,
    .move = nvme_move,
    .stop = nvme_stop,
};
