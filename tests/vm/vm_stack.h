/* SPDX-License-Identifier: MIT */
/* The whole stack on the VM's kernel and one of its devices: virtio-mem, a mapper, and the back end
 * that PLUGMAP_BACKEND names (default: type1). */
#ifndef PLUGMAP_TESTS_VM_VM_STACK_H
#define PLUGMAP_TESTS_VM_VM_STACK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <plugmap/iommu.h>
#include <plugmap/mapper.h>
#include <plugmap/size.h>
#include <plugmap/virtio_mem.h>

#include "kernel-uapi/virtio_mem.h"

#define DEVICE   "0000:00:04.0"
#define ADDRESS  UINT64_C(0x100000000)
#define N_BLOCKS 128

typedef struct {
    PmRamKind kind;
    uint64_t block_size;
} Memory;

typedef struct {
    const Memory *memory;
    PmRam *ram;
    PmIommu *iommu;
    PmVirtioMem *device;
    PmMapper *mapper;
    uint64_t n_pool_free; /* hugetlb pages before anything was plugged */
} Stack;

typedef struct {
    uint16_t request;
    unsigned first;
    unsigned n_blocks;
} Step;

/* Fails the test with the error's message unless @right. */
void vm_check(bool right, const GError *error);

/* A field of /proc/meminfo, in its unit. */
uint64_t vm_meminfo(const char *name);

PmIommu *vm_open_iommu(void);
PmRam *vm_make_ram(const Memory *memory);

void vm_stack_set_up(Stack *stack, const Memory *memory);
void vm_stack_tear_down(Stack *stack);

/* Sends a request as the guest's driver would, and expects an ACK. */
void vm_request(Stack *stack, const Step *step);

#endif
