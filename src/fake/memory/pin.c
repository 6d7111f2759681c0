/* SPDX-License-Identifier: MIT */
#include "fake/memory/pin.h"

#include <errno.h>

#include <plugmap/size.h>

#include "fake/memory/dma.h"
#include "fake/memory/user_memory.h"
#include "fake/memory/vma.h"
#include "fake/memory/zero_page.h"

/* A part of a mapping whose pages are of one kind. */
typedef enum {
    PIECE_MEMORY,
    PIECE_ZERO_PAGE,
    PIECE_DEVICE_REGISTERS
} PieceKind;

typedef struct {
    PmFakeMemory *memory;
    PmIommuAccess access;
    PmPageTable *table;
    PmPins *pins;
} Request;

/* Bytes that the process may still lock. */
static uint64_t lockable(const PmFakeMachine *machine)
{
    return pm_charges_left(&machine->charges, &machine->config,
                           machine->config.cap_ipc_lock ? PM_CHARGE_NOBODY : PM_CHARGE_PROCESS);
}

/* For memory that was never written and that the device only reads, Linux 6.1 pins the zero
 * page; 6.12 allocates a page. */
static bool may_be_zero_page(const Request *request, const PmVma *vma)
{
    return request->memory->machine->config.linux_version == PM_FAKE_LINUX_6_1 &&
           request->access == PM_IOMMU_READ && vma->anonymous && !vma->shared && vma->readable;
}

/* If nothing is mapped at @host, pinning reports that. PM_FAKE_PIN_ACCOUNT does not distinguish
 * kinds of pages, which saves the query. */
static uint64_t next_piece(const Request *request, uint64_t host, uint64_t size, PieceKind *kind)
{
    bool is_zero;
    PmVma vma;

    *kind = PIECE_MEMORY;
    if (request->memory->machine->config.pin == PM_FAKE_PIN_ACCOUNT || !pm_vma_find(host, &vma) ||
        vma.start > host)
        return size;
    size = MIN(size, vma.end - host);
    if (vma.device_registers)
        *kind = PIECE_DEVICE_REGISTERS;
    if (!may_be_zero_page(request, &vma))
        return size;
    size = pm_zero_page_run(host, size, &is_zero);
    *kind = is_zero ? PIECE_ZERO_PAGE : PIECE_MEMORY;
    return size;
}

static int charge_memory(const Request *request, uint64_t host, uint64_t size)
{
    PmFakeMachine *machine = request->memory->machine;
    bool populate = machine->config.pin != PM_FAKE_PIN_ACCOUNT;
    uint64_t within_limit = MIN(size, lockable(machine));

    if (within_limit > 0 &&
        pm_user_pin(host, within_limit, request->access, populate) < within_limit)
        return -EFAULT;
    if (within_limit < size)
        return pm_user_pin(host + within_limit, PM_FAKE_PAGE, request->access, populate) == 0
                   ? -EFAULT
                   : -ENOMEM;
    pm_charges_lock(&machine->charges, size);
    request->pins->n_locked += size;
    return 0;
}

/* The address for the page table: the held pages' if they are held, else the process's. */
static uint64_t hold(const PmFakeMemory *memory, uint64_t host, uint64_t size, PmPins *pins)
{
    uint64_t held;

    if (memory->held == NULL)
        return host;
    held = pm_held_pages_hold(memory->held, host, size);
    if (held == 0)
        return host;
    if (pins->held_first == 0)
        pins->held_first = held;
    pins->held_last = held + (size - 1);
    return held;
}

static int pin_piece(const Request *request, PieceKind kind, uint64_t host, uint64_t size,
                     uint64_t iova)
{
    uint64_t address = host;
    int result;

    if (kind == PIECE_ZERO_PAGE)
        address = PM_DMA_ZEROS + iova % PM_GIB;
    if (kind == PIECE_MEMORY) {
        result = charge_memory(request, host, size);
        if (result < 0)
            return result;
        address = hold(request->memory, host, size, request->pins);
    }
    return pm_page_table_map(request->table, iova, address, size, request->access) ? 0 : -ENOMEM;
}

int pm_pin(PmFakeMemory *memory, uint64_t host, uint64_t size, PmIommuAccess access,
           PmPageTable *table, uint64_t iova, PmPins *pins)
{
    const Request request = {memory, access, table, pins};
    uint64_t done = 0;
    int result = 0;

    *pins = (PmPins){0};
    while (done < size && result == 0) {
        PieceKind kind;
        uint64_t piece = next_piece(&request, host + done, size - done, &kind);

        result = pin_piece(&request, kind, host + done, piece, iova + done);
        done += piece;
    }
    if (result == 0)
        return 0;
    pm_page_table_unmap(table, iova, size);
    pm_unpin(memory, pins);
    return result;
}

void pm_unpin(PmFakeMemory *memory, const PmPins *pins)
{
    pm_charges_unlock(&memory->machine->charges, pins->n_locked);
    if (pins->held_first != 0)
        pm_held_pages_release(memory->held, pins->held_first, pins->held_last);
}

/* iommufd pins pages that are present without a check of permissions, so write-only memory can
 * be mapped for reading once it is present. type1 always checks. @size: pinned so far. */
static bool is_present_and_writable(const Request *request, uint64_t host, uint64_t *size)
{
    bool is_zero;
    PmVma vma;

    if (request->access != PM_IOMMU_READ ||
        request->memory->machine->config.pin == PM_FAKE_PIN_ACCOUNT || !pm_vma_find(host, &vma) ||
        vma.start > host || vma.readable || !vma.writable)
        return false;
    *size = pm_zero_page_run(host, MIN(*size, vma.end - host), &is_zero);
    return !is_zero;
}

int64_t pm_pin_piece(PmFakeMemory *memory, uint64_t host, uint64_t size, PmIommuAccess access,
                     uint64_t *address, PmPins *pins)
{
    const Request request = {.memory = memory, .access = access};
    bool populate = memory->machine->config.pin != PM_FAKE_PIN_ACCOUNT;
    PieceKind kind;

    size = next_piece(&request, host, size, &kind);
    size = MIN(size, (uint64_t)INT64_MAX & -PM_FAKE_PAGE);
    if (kind != PIECE_MEMORY)
        return -EFAULT;
    if (!is_present_and_writable(&request, host, &size) &&
        pm_user_pin(host, size, access, populate) < size)
        return -EFAULT;
    *pins = (PmPins){0};
    *address = hold(memory, host, size, pins);
    return (int64_t)size;
}
