/* SPDX-License-Identifier: MIT */
#include "nvme/ring.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "pci/fail.h"

#define US_PER_MS INT64_C(1000)

void pm_nvme_ring_init(PmNvmeRing *ring, const PmPciRegion *registers, unsigned number,
                       PmNvmeMemory memory, uint64_t doorbell_size, unsigned n_entries,
                       unsigned timeout_ms)
{
    *ring = (PmNvmeRing){
        .registers = registers,
        .commands = memory.host,
        .completions = (void *)((char *)memory.host + PM_NVME_PAGE),
        .doorbells = PM_NVME_DOORBELLS + 2 * doorbell_size * number,
        .doorbell_size = doorbell_size,
        .number = number,
        .n_entries = n_entries,
        .phase = 1,
        .timeout_ms = timeout_ms,
        .event = -1,
    };
    /* A phase tag that was left there would be a completion. */
    memset(memory.host, 0, 2 * PM_NVME_PAGE);
}

bool pm_nvme_ring_submit(PmNvmeRing *ring, const PmNvmeCommand *command, GError **error)
{
    unsigned next = (ring->tail + 1) % ring->n_entries;

    ring->commands[ring->tail] = *command;
    if (!pm_pci_region_write(ring->registers, ring->doorbells, 4, next, error))
        return false;
    ring->tail = next;
    ring->n_in_flight++;
    return true;
}

static bool is_new(const PmNvmeRing *ring)
{
    const volatile uint16_t *status = &ring->completions[ring->head].status;
    bool found = (GUINT16_FROM_LE(*status) & 1) == ring->phase;

    /* The rest of the entry, and the data, must be read after the phase tag. */
    atomic_thread_fence(memory_order_acquire);
    return found;
}

/* Another thread of this processor may have to run before the controller can complete. */
static void wait_a_little(const PmNvmeRing *ring, int64_t left_us)
{
    struct pollfd event = {.fd = ring->event, .events = POLLIN};
    uint64_t n_interrupts;

    if (ring->event < 0)
        (void)sched_yield();
    else if (poll(&event, 1, (int)(left_us / US_PER_MS) + 1) > 0)
        (void)!read(ring->event, &n_interrupts, sizeof n_interrupts);
}

static bool fail_late(const PmNvmeRing *ring, GError **error)
{
    uint64_t status = 0;

    if (!pm_pci_region_read(ring->registers, PM_NVME_STATUS, 4, &status, error))
        return false;
    return pm_pci_fail(error, PM_ERROR_DEVICE,
                       "%s: queue %u completed none of %u commands in %u ms: CSTS 0x%x",
                       ring->registers->device, ring->number, ring->n_in_flight, ring->timeout_ms,
                       (unsigned)status);
}

static bool wait_until_new(const PmNvmeRing *ring, GError **error)
{
    int64_t end = g_get_monotonic_time() + ring->timeout_ms * US_PER_MS;
    int64_t left;

    while (!is_new(ring)) {
        left = end - g_get_monotonic_time();
        if (left <= 0)
            return is_new(ring) || fail_late(ring, error);
        wait_a_little(ring, left);
    }
    return true;
}

bool pm_nvme_ring_wait(PmNvmeRing *ring, PmNvmeCompletion *completion, GError **error)
{
    const PmNvmeCompletion *entry = &ring->completions[ring->head];
    unsigned next = (ring->head + 1) % ring->n_entries;

    if (!wait_until_new(ring, error))
        return false;
    *completion = (PmNvmeCompletion){
        .result = GUINT32_FROM_LE(entry->result),
        .submission_head = GUINT16_FROM_LE(entry->submission_head),
        .queue = GUINT16_FROM_LE(entry->queue),
        .id = GUINT16_FROM_LE(entry->id),
        .status = (uint16_t)(GUINT16_FROM_LE(entry->status) >> 1),
    };
    if (!pm_pci_region_write(ring->registers, ring->doorbells + ring->doorbell_size, 4, next,
                             error))
        return false;
    ring->head = next;
    ring->phase ^= next == 0;
    ring->n_in_flight--;
    return true;
}

bool pm_nvme_ring_check_status(const PmNvmeRing *ring, unsigned opcode, unsigned status,
                               GError **error)
{
    return status == 0 ||
           pm_pci_fail(error, PM_ERROR_DEVICE, "%s: command 0x%02x of queue %u failed: status 0x%x",
                       ring->registers->device, opcode, ring->number, status);
}

bool pm_nvme_ring_execute(PmNvmeRing *ring, const PmNvmeCommand *command, uint32_t *result,
                          GError **error)
{
    PmNvmeCompletion completion;

    if (!pm_nvme_ring_submit(ring, command, error) || !pm_nvme_ring_wait(ring, &completion, error))
        return false;
    if (result != NULL)
        *result = completion.result;
    return pm_nvme_ring_check_status(ring, command->opcode, completion.status, error);
}
