/* SPDX-License-Identifier: MIT */
/* A PmRam has one discard manager, or is mapped without one. Each side registers before it checks
 * for the other, so that of two threads not both succeed. */
#include <plugmap/size.h>

#include "base/error_text.h"
#include "memory/ram_private.h"

bool pm_ram_take_manager(PmRam *ram, PmDiscardManager *manager, GError **error)
{
    if (!pm_ram_check_is_ram(ram, "manage", error))
        return false;
    if (!g_atomic_pointer_compare_and_exchange(&ram->manager, NULL, manager))
        return pm_fail(
            error, PM_ERROR_BUSY,
            "the RAM at host address %p already has a discard manager: remove it from its "
            "mappers (pm_mapper_remove()) and free its device (pm_virtio_mem_free()) "
            "first",
            (void *)ram->host);
    if (g_atomic_int_get(&ram->n_mappings) == 0)
        return true;
    pm_ram_release_manager(ram);
    return pm_fail(error, PM_ERROR_BUSY,
                   "the RAM at host address %p is mapped for a device: unmap it "
                   "(pm_mapper_remove(), or pm_iommu_settle() for what a mapper left mapped) "
                   "before it gets a discard manager, which discards its memory",
                   (void *)ram->host);
}

void pm_ram_release_manager(PmRam *ram)
{
    g_atomic_pointer_set(&ram->manager, NULL);
}

PmDiscardManager *pm_ram_get_discard_manager(const PmRam *ram)
{
    return g_atomic_pointer_get(&((PmRam *)ram)->manager);
}

bool pm_ram_take_mapping(PmRam *ram, bool follows_manager, const char *owner, GError **error)
{
    g_atomic_int_inc(&ram->n_mappings);
    if (follows_manager || g_atomic_pointer_get(&ram->manager) == NULL)
        return true;
    pm_ram_release_mapping(ram);
    return pm_fail(
        error, PM_ERROR_BUSY,
        "%s cannot map the RAM at host address %p: it has a discard manager, which discards "
        "unpopulated memory; use a mapper (pm_mapper_add())",
        owner, (void *)ram->host);
}

void pm_ram_release_mapping(PmRam *ram)
{
    (void)g_atomic_int_dec_and_test(&ram->n_mappings);
}

bool pm_ram_is_hugetlb(const PmRam *ram)
{
    return ram->page_size > pm_base_page_size();
}
