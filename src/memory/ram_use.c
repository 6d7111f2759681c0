/* SPDX-License-Identifier: MIT */
/* The discard manager of a PmRam: one at a time, and only while nobody disables its discards. */
#include <plugmap/size.h>

#include "base/error_text.h"
#include "memory/ram_claims.h"
#include "memory/ram_private.h"

/* Mappings made for an earlier manager may hold any page; the new one knows nothing of them. The
 * lock is held. */
static const PmDiscardHolder *find_obstacle(const PmRam *ram)
{
    const PmDiscardHolder *holder =
        pm_discard_claims_find_conflict(&ram->claims, PM_DISCARD_REQUIRE_COORDINATED, 0, ram->size);

    if (holder == NULL)
        holder = pm_discard_claims_find_follower(&ram->claims);
    return holder != NULL ? holder : pm_discard_claims_find_unmanaged(&ram->claims);
}

/* The lock is held. */
static bool check_managers(const PmRam *ram, GError **error)
{
    const PmDiscardHolder *obstacle;
    g_autofree char *why = NULL;

    if (ram->manager != NULL)
        return pm_fail(
            error, PM_ERROR_BUSY,
            "the RAM at host address %p already has a discard manager: remove it from its "
            "mappers (pm_mapper_remove()) and free its device (pm_virtio_mem_free()) "
            "first",
            (void *)ram->host);
    obstacle = find_obstacle(ram);
    if (obstacle == NULL)
        return true;
    why = pm_discard_holder_describe(obstacle);
    return pm_fail(error, PM_ERROR_BUSY,
                   "cannot make a discard manager for the RAM at host address %p: %s",
                   (void *)ram->host, why);
}

bool pm_ram_take_manager(PmRam *ram, PmDiscardManager *manager, GError **error)
{
    bool allowed;

    if (!pm_ram_check_is_ram(ram, "manage", error))
        return false;
    pm_ram_lock(ram);
    allowed = check_managers(ram, error);
    if (allowed)
        g_atomic_pointer_set(&ram->manager, manager);
    pm_ram_unlock(ram);
    return allowed;
}

void pm_ram_release_manager(PmRam *ram)
{
    pm_ram_lock(ram);
    g_atomic_pointer_set(&ram->manager, NULL);
    pm_ram_unlock(ram);
}

PmDiscardManager *pm_ram_get_discard_manager(const PmRam *ram)
{
    return g_atomic_pointer_get(&((PmRam *)ram)->manager);
}

bool pm_ram_is_hugetlb(const PmRam *ram)
{
    return ram->page_size > pm_base_page_size();
}
