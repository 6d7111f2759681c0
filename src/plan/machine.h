/* SPDX-License-Identifier: MIT */
/* What a plan is for: a VM with boot memory, a virtio-mem region and passed-through devices; and
 * what limits it. */
#ifndef PLUGMAP_SRC_PLAN_MACHINE_H
#define PLUGMAP_SRC_PLAN_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include <plugmap/plugmap.h>

/* Bounds of what is planned: no sum or product of them overflows. */
#define PM_PLAN_MAX_SIZE    (UINT64_C(1) << 54)
#define PM_PLAN_MAX_DEVICES 256

/*
 * @size: bytes of the virtio-mem region. @boot_memory: bytes of plain RAM.
 * @n_devices: devices that are passed through, at least 1.
 * @guest_iommu: the guest has an IOMMU: each device has an address space of its own. Otherwise all
 * share one.
 * @guest_mappings: of the guest's IOMMU, per device, none of them larger than a block.
 * @memory: what backs all memory.
 */
typedef struct {
    uint64_t size;
    uint64_t boot_memory;
    uint64_t n_devices;
    bool guest_iommu;
    uint64_t guest_mappings;
    PmIommuBackend backend;
    PmRamKind memory;
} PmPlanMachine;

/*
 * @n_mappings: per address space; UINT64_MAX: no limit.
 * @locked: bytes that the VMM can lock; UINT64_MAX: no limit.
 * @page_size: smallest page of the IOMMU.
 * @ranges, @n_ranges: valid I/O addresses, ascending.
 */
typedef struct {
    uint64_t n_mappings;
    uint64_t locked;
    uint64_t page_size;
    const PmIovaRange *ranges;
    size_t n_ranges;
} PmPlanLimits;

/* Bytes of a page of the memory's backing. */
uint64_t pm_plan_memory_page(const PmPlanMachine *machine);

/* As --memory calls it. */
const char *pm_plan_memory_name(const PmPlanMachine *machine);

/* Errors: PM_ERROR_INVALID_ARGUMENT; the message names the options of the command. */
bool pm_plan_check_machine(const PmPlanMachine *machine, GError **error);
bool pm_plan_check_boot_memory(const PmPlanMachine *machine, GError **error);

/* 1, or one per device. */
uint64_t pm_plan_n_spaces(const PmPlanMachine *machine);

#endif
