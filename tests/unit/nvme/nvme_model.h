/* SPDX-License-Identifier: MIT */
/* A small model of a controller, as a PmKernel: registers by pread and pwrite, queues and a disk in
 * memory. An I/O address is a host address. Commands complete when their doorbell rings. */
#ifndef PLUGMAP_TESTS_UNIT_NVME_NVME_MODEL_H
#define PLUGMAP_TESTS_UNIT_NVME_NVME_MODEL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "nvme/queue.h"

#define MODEL_DISK_SIZE   (UINT64_C(4) * 1024 * 1024)
#define MODEL_N_QUEUES    3
#define MODEL_N_REGISTERS 0x2000

typedef struct {
    uint64_t commands;    /* host address */
    uint64_t completions; /* host address */
    unsigned n_entries;
    unsigned head; /* of the submission queue */
    unsigned tail; /* of the completion queue */
    unsigned phase;
    int event; /* -1: none */
    bool has_completions;
    bool has_commands;
} ModelQueue;

typedef struct {
    PmKernel parent;
    PmPciRegion registers;
    uint64_t capabilities;
    unsigned block_shift;
    unsigned max_transfer_shift;
    unsigned n_granted_queues;
    uint32_t configuration;
    uint32_t status;
    uint32_t admin_sizes;
    ModelQueue queues[MODEL_N_QUEUES]; /* 0: admin */
    uint8_t *disk;
    const int *events; /* of the interrupts */

    /* Failures: */
    bool never_ready;
    bool ready_fails;     /* with a fatal status */
    int fail_access;      /* countdown to an access of a register that fails; 0: none */
    unsigned fail_opcode; /* with @fail_queue: commands that fail with status 0x4 */
    unsigned fail_queue;
    bool drop;        /* does not complete commands of I/O queues */
    bool wrong_id;    /* completes another command than was submitted */
    bool reverse;     /* completes pairs of commands in reverse order */
    ModelQueue *held; /* @reverse: the queue with a command held back */
    PmNvmeCommand held_command;
} Model;

/* Also opens @registers. */
void model_init(Model *model);
void model_clear(Model *model);

/* Page-aligned memory that the controller can access; free() it. */
PmNvmeMemory model_memory(unsigned n_pages);

#endif
