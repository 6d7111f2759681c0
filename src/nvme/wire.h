/* SPDX-License-Identifier: MIT */
/* Registers, commands and completions of a controller, as far as the driver uses them: NVM Express
 * Base Specification 1.4. Fields in memory are little endian. */
#ifndef PLUGMAP_SRC_NVME_WIRE_H
#define PLUGMAP_SRC_NVME_WIRE_H

#include <glib.h>
#include <stdint.h>

#define PM_NVME_PAGE UINT64_C(4096) /* the controller's, as the driver configures it */

#define PM_NVME_CAPABILITIES      0x00
#define PM_NVME_CONFIGURATION     0x14
#define PM_NVME_STATUS            0x1c
#define PM_NVME_ADMIN_SIZES       0x24
#define PM_NVME_ADMIN_COMMANDS    0x28
#define PM_NVME_ADMIN_COMPLETIONS 0x30
#define PM_NVME_DOORBELLS         0x1000

#define PM_NVME_CONFIGURATION_ENABLE  0x1
/* Entries of 2^6 bytes in submission queues and of 2^4 in completion queues. */
#define PM_NVME_CONFIGURATION_ENTRIES 0x460000
#define PM_NVME_STATUS_READY          0x1
#define PM_NVME_STATUS_FATAL          0x2

#define PM_NVME_ADMIN_CREATE_SUBMISSION 0x01
#define PM_NVME_ADMIN_DELETE_COMPLETION 0x04
#define PM_NVME_ADMIN_CREATE_COMPLETION 0x05
#define PM_NVME_ADMIN_IDENTIFY          0x06
#define PM_NVME_ADMIN_SET_FEATURES      0x09
#define PM_NVME_WRITE                   0x01
#define PM_NVME_READ                    0x02

#define PM_NVME_FEATURE_QUEUES 0x07

/* The first argument of Identify. */
#define PM_NVME_IDENTIFY_NAMESPACE  0
#define PM_NVME_IDENTIFY_CONTROLLER 1

/* The second argument of commands that create queues. */
#define PM_NVME_QUEUE_CONTIGUOUS 0x1
#define PM_NVME_QUEUE_INTERRUPT  0x2 /* of completion queues; the vector is in bits 16-31 */

typedef struct {
    uint8_t opcode;
    uint8_t flags;
    uint16_t id;
    uint32_t namespace_id;
    uint64_t reserved;
    uint64_t metadata;
    uint64_t prp[2];       /* physical region pages (prp.h) */
    uint32_t arguments[6]; /* CDW10 to CDW15 */
} PmNvmeCommand;

G_STATIC_ASSERT(sizeof(PmNvmeCommand) == 64);

typedef struct {
    uint32_t result;
    uint32_t reserved;
    uint16_t submission_head;
    uint16_t queue;
    uint16_t id;
    uint16_t status; /* bit 0 is the phase tag */
} PmNvmeCompletion;

G_STATIC_ASSERT(sizeof(PmNvmeCompletion) == 16);

#endif
