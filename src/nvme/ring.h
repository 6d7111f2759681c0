/* SPDX-License-Identifier: MIT */
/* PmNvmeRing: a submission queue and its completion queue, in memory and at their doorbells. */
#ifndef PLUGMAP_SRC_NVME_RING_H
#define PLUGMAP_SRC_NVME_RING_H

#include "nvme/wire.h"
#include "pci/region.h"

/* A submission queue fits one page with this many entries. */
#define PM_NVME_RING_MAX_ENTRIES 64

/* PmNvmeMemory: page-aligned memory that is mapped for the controller. */
typedef struct {
    void *host;
    uint64_t address; /* its I/O address */
} PmNvmeMemory;

/* Private fields. */
typedef struct {
    const PmPciRegion *registers; /* outlive the ring */
    PmNvmeCommand *commands;
    PmNvmeCompletion *completions;
    uint64_t doorbells; /* offset in @registers */
    uint64_t doorbell_size;
    unsigned number;
    unsigned n_entries;
    unsigned tail;  /* of the submission queue */
    unsigned head;  /* of the completion queue */
    unsigned phase; /* of new completions */
    unsigned n_in_flight;
    unsigned timeout_ms;
    int event; /* eventfd of the interrupt; -1: poll */
} PmNvmeRing;

/*
 * @number: 0 for the admin queues. @memory: two pages; overwritten. @doorbell_size: of the
 * controller's. @n_entries: 2 to PM_NVME_RING_MAX_ENTRIES; one fewer can be in flight.
 * @timeout_ms: of pm_nvme_ring_wait(). Polls until @event is set.
 */
void pm_nvme_ring_init(PmNvmeRing *ring, const PmPciRegion *registers, unsigned number,
                       PmNvmeMemory memory, uint64_t doorbell_size, unsigned n_entries,
                       unsigned timeout_ms);

/* Submits a command. The caller keeps fewer than the number of entries in flight. Errors:
 * PM_ERROR_KERNEL (the controller has not seen it). */
bool pm_nvme_ring_submit(PmNvmeRing *ring, const PmNvmeCommand *command, GError **error);

/*
 * Waits for the next completion. @completion: its fields in the processor's byte order, the status
 * without phase tag. Errors: PM_ERROR_DEVICE (nothing completed in time; the controller may still
 * use the data of what is in flight), PM_ERROR_KERNEL.
 */
bool pm_nvme_ring_wait(PmNvmeRing *ring, PmNvmeCompletion *completion, GError **error);

/* Submits a command, and waits for it; nothing else is in flight. @result: may be NULL. Errors:
 * also PM_ERROR_DEVICE (the command failed; its status). */
bool pm_nvme_ring_execute(PmNvmeRing *ring, const PmNvmeCommand *command, uint32_t *result,
                          GError **error);

/* PM_ERROR_DEVICE unless @status is 0. */
bool pm_nvme_ring_check_status(const PmNvmeRing *ring, unsigned opcode, unsigned status,
                               GError **error);

#endif
