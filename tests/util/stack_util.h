/* SPDX-License-Identifier: MIT */
/* The whole stack on a kernel, fake or real (either_kernel.h): a virtio-mem device, whose memory
 * two mappers keep mapped in two address spaces. */
#ifndef PLUGMAP_TESTS_UTIL_STACK_UTIL_H
#define PLUGMAP_TESTS_UTIL_STACK_UTIL_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <plugmap/fake.h>
#include <plugmap/plugmap.h>

#include "kernel-uapi/virtio_mem.h"

#define STACK_BLOCK     (64 * PM_KIB)
#define STACK_N_BLOCKS  32
#define STACK_ADDRESS   (4 * PM_GIB)
#define STACK_N_MAPPERS 2

typedef struct {
    PmKernel *kernel;
    PmIommu *iommus[STACK_N_MAPPERS];
    PmMapper *mappers[STACK_N_MAPPERS];
    PmRam *ram;
    PmVirtioMem *device;
} Stack;

/* State that a failed request must not change. */
typedef struct {
    uint8_t config[56];
    uint64_t populated[STACK_N_BLOCKS];
    uint64_t n_mappings[STACK_N_MAPPERS];
    uint64_t pinned[STACK_N_MAPPERS];
    uint64_t kernel_mappings[STACK_N_MAPPERS];
    uint64_t locked;
    uint64_t resident;
} Snapshot;

/* All blocks may be plugged; MAP faults memory in. @config: of a fake kernel; NULL: the defaults.
 */
Stack *stack_new(const PmFakeConfig *config);
void stack_free(Stack *stack);

/* Sends a request for @n_blocks blocks from block @first on; returns the response type. */
int stack_request(Stack *stack, uint16_t type, uint64_t first, uint16_t n_blocks);

/* Checks that the plugged blocks are mapped: the mappers' audits, the page tables, and memory
 * use, which must not exceed what is plugged. */
void stack_check(Stack *stack);

void stack_snapshot(Stack *stack, Snapshot *snapshot);
void stack_check_unchanged(Stack *stack, const Snapshot *before);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Stack, stack_free)

#endif
