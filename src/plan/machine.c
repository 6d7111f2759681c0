/* SPDX-License-Identifier: MIT */
#include "plan/machine.h"

#include <plugmap/size.h>

#include "base/error_text.h"

#define BASE_PAGE (4 * PM_KIB)

uint64_t pm_plan_memory_page(const PmPlanMachine *machine)
{
    return machine->memory == PM_RAM_HUGETLB_2M ? 2 * PM_MIB : BASE_PAGE;
}

const char *pm_plan_memory_name(const PmPlanMachine *machine)
{
    switch (machine->memory) {
    case PM_RAM_MEMFD:
        return "memfd";
    case PM_RAM_HUGETLB_2M:
        return "hugetlb";
    default:
        return "anon";
    }
}

static bool check_size(const char *option, uint64_t size, uint64_t page, GError **error)
{
    g_autofree char *size_text = pm_size_format(size);
    g_autofree char *page_text = pm_size_format(page);
    g_autofree char *max_text = pm_size_format(PM_PLAN_MAX_SIZE);

    if (size > PM_PLAN_MAX_SIZE)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT, "invalid %s %s: must be at most %s",
                       option, size_text, max_text);
    return size % page == 0 || pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                                       "invalid %s %s: must be a multiple of the page size, %s",
                                       option, size_text, page_text);
}

bool pm_plan_check_boot_memory(const PmPlanMachine *machine, GError **error)
{
    return check_size("--boot-memory", machine->boot_memory, pm_plan_memory_page(machine), error);
}

bool pm_plan_check_machine(const PmPlanMachine *machine, GError **error)
{
    uint64_t page = pm_plan_memory_page(machine);

    if (machine->size == 0)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "invalid --size 0: must be at least one block");
    if (machine->n_devices == 0 || machine->n_devices > PM_PLAN_MAX_DEVICES)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT, "invalid --devices: must be 1 to %d",
                       PM_PLAN_MAX_DEVICES);
    if (machine->guest_mappings > 0 && !machine->guest_iommu)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT, "--guest-mappings requires --guest-iommu");
    return check_size("--size", machine->size, page, error) &&
           pm_plan_check_boot_memory(machine, error);
}

uint64_t pm_plan_n_spaces(const PmPlanMachine *machine)
{
    return machine->guest_iommu ? machine->n_devices : 1;
}
