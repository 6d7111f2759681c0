/* SPDX-License-Identifier: MIT */
/*
 * PmNvmeController: a driver for NVMe controllers, with public headers of plugmap only, so that
 * others can copy it (src/pci and src/nvme). Admin commands are polled.
 *
 * Threads: one at a time; each I/O queue pair (queue.h) has its own thread.
 */
#ifndef PLUGMAP_SRC_NVME_CONTROLLER_H
#define PLUGMAP_SRC_NVME_CONTROLLER_H

#include "nvme/identity.h"
#include "nvme/ring.h"
#include "pci/interrupts.h"

typedef struct PmNvmeController PmNvmeController;

/* Of PmNvmeConfig.memory. */
#define PM_NVME_CONTROLLER_PAGES 3
/* Minimum size of BAR0, which @registers are. */
#define PM_NVME_REGISTERS_SIZE   0x2000
#define PM_NVME_TIMEOUT_MS       5000

/*
 * PmNvmeConfig:
 * @registers: BAR0, open; the device may do DMA. Outlive the controller.
 * @memory: PM_NVME_CONTROLLER_PAGES, mapped for reading and writing until the controller is freed.
 * @namespace_id: of the disk; 0: 1.
 * @n_queues: I/O queue pairs that will be added.
 * @interrupts: number n is for queue pair n, counted from 1; outlive the controller. NULL: poll.
 * @timeout_ms: how long to wait for a completion; 0: PM_NVME_TIMEOUT_MS. To become ready, the
 * controller has the time that it asks for, if that is longer.
 */
typedef struct {
    const PmPciRegion *registers;
    PmNvmeMemory memory;
    uint32_t namespace_id;
    unsigned n_queues;
    const PmPciInterrupts *interrupts;
    unsigned timeout_ms;
} PmNvmeConfig;

/*
 * Resets, enables and identifies the controller. Returns NULL with everything stopped on errors:
 * PM_ERROR_DEVICE (not ready in time; a command failed or timed out), PM_ERROR_UNSUPPORTED (page
 * size, namespace, fewer queues than asked for), PM_ERROR_KERNEL.
 */
PmNvmeController *pm_nvme_controller_new(const PmNvmeConfig *config, GError **error);

/* Stops the controller, which ends all DMA, and frees it and its queue pairs. NULL does nothing. */
void pm_nvme_controller_free(PmNvmeController *controller);

const PmNvmeIdentity *pm_nvme_controller_get_identity(const PmNvmeController *controller);
uint32_t pm_nvme_controller_get_namespace_id(const PmNvmeController *controller);

/*
 * Creates the next I/O queue pair.
 * @memory: two pages, mapped for reading and writing until the controller is freed.
 * @n_entries: as pm_nvme_ring_init().
 * Errors: PM_ERROR_LIMIT (the controller's limit of entries, or PmNvmeConfig.n_queues),
 * PM_ERROR_DEVICE, PM_ERROR_KERNEL.
 */
bool pm_nvme_controller_create_ring(PmNvmeController *controller, PmNvmeMemory memory,
                                    unsigned n_entries, PmNvmeRing *ring, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmNvmeController, pm_nvme_controller_free)

#endif
