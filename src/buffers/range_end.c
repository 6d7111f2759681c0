/* SPDX-License-Identifier: MIT */
#include "buffers/range_end.h"

#include "buffers/regions.h"

/* Nobody finds it any more. */
static void take_out(PmBufferRange *range)
{
    PmBufferRegistry *registry = range->registry;

    (void)g_ptr_array_remove(registry->ranges, range);
    registry->hand_range = 0;
    registry->hand_block = 0;
    pm_lease_table_remove(registry->leases, range->leases);
    range->leases = NULL;
    pm_registry_wake(registry);
}

void pm_buffer_range_end(PmBufferRange *range)
{
    PmRegionBackend *backend = range->registry->backend;

    take_out(range);
    backend->ops->end(backend, &range->memory);
}

void pm_buffer_range_abandon(PmBufferRange *range)
{
    PmRegionBackend *backend = range->registry->backend;

    range->is_gone = true;
    take_out(range);
    pm_regions_forget(range, range->unknown_reason != NULL
                                 ? range->unknown_reason
                                 : "its registry was freed while it was registered");
    backend->ops->abandon(backend, &range->memory);
}

static void keep_forever(PmBufferRange *range)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static PmBufferRange *kept;

    pthread_mutex_lock(&lock);
    range->next_kept = kept;
    kept = range;
    pthread_mutex_unlock(&lock);
}

/* The manager may keep the range from now on, so the range must not keep the manager. */
static void leave_to_manager(PmBufferRange *range)
{
    PmDiscardManager *manager = g_steal_pointer(&range->manager);

    if (range->listener != NULL)
        pm_discard_manager_drop(manager, g_steal_pointer(&range->listener));
    pm_discard_manager_unref(manager);
}

void pm_buffer_range_dispose(PmBufferRange *range)
{
    if (range->manager != NULL) {
        leave_to_manager(range);
    } else if (range->is_gone && range->memory.claim == NULL) {
        keep_forever(range);
        return;
    }
    pm_buffer_range_unref(range);
}
