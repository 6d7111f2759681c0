/* SPDX-License-Identifier: MIT */
/* What tests control and inspect: limits, fault plan, counters, mappings, page table. */
#include <inttypes.h>

#include "fake/fake_kernel.h"
#include "fake/iommufd/hwpt.h"
#include "fake/iommufd/ioas.h"
#include "fake/vfio/container.h"

/* Locks the fake kernel; NULL for another kernel. */
static PmFakeKernel *enter(PmKernel *kernel)
{
    PmFakeKernel *fake;

    if (!pm_fake_kernel_is_fake(kernel))
        return NULL;
    fake = pm_fake_kernel_of(kernel);
    pthread_mutex_lock(&fake->machine.lock);
    return fake;
}

static void leave(PmFakeKernel *fake)
{
    if (fake != NULL)
        pthread_mutex_unlock(&fake->machine.lock);
}

void pm_fake_kernel_set_entry_limit(PmKernel *kernel, uint32_t limit)
{
    PmFakeKernel *fake = enter(kernel);

    if (fake != NULL)
        fake->machine.config.entry_limit = limit;
    leave(fake);
}

void pm_fake_kernel_set_memlock(PmKernel *kernel, uint64_t limit, bool cap_ipc_lock)
{
    PmFakeKernel *fake = enter(kernel);

    if (fake == NULL)
        return;
    fake->machine.config.memlock_limit = limit;
    fake->machine.config.cap_ipc_lock = cap_ipc_lock;
    leave(fake);
}

void pm_fake_kernel_fail(PmKernel *kernel, PmFakeCall call, uint64_t nth, int error_number)
{
    PmFakeKernel *fake;

    if (call >= PM_FAKE_N_CALLS || error_number <= 0)
        return;
    fake = enter(kernel);
    if (fake != NULL)
        pm_fault_plan_add(&fake->machine.plan, call, nth, error_number);
    leave(fake);
}

void pm_fake_kernel_shorten_unmap(PmKernel *kernel, uint64_t nth)
{
    PmFakeKernel *fake = enter(kernel);

    if (fake != NULL)
        pm_fault_plan_add(&fake->machine.plan, PM_FAKE_CALL_UNMAP, nth, 0);
    leave(fake);
}

void pm_fake_kernel_clear_faults(PmKernel *kernel)
{
    PmFakeKernel *fake = enter(kernel);

    if (fake != NULL)
        pm_fault_plan_drop_all(&fake->machine.plan);
    leave(fake);
}

uint64_t pm_fake_kernel_get_n_calls(PmKernel *kernel, PmFakeCall call)
{
    PmFakeKernel *fake = enter(kernel);
    uint64_t n_calls =
        fake != NULL && call < PM_FAKE_N_CALLS ? fake->machine.plan.n_calls[call] : 0;

    leave(fake);
    return n_calls;
}

uint64_t pm_fake_kernel_get_locked(PmKernel *kernel)
{
    PmFakeKernel *fake = enter(kernel);
    uint64_t locked = fake != NULL ? fake->machine.charges.process_locked : 0;

    leave(fake);
    return locked;
}

uint64_t pm_fake_kernel_get_user_locked(PmKernel *kernel)
{
    PmFakeKernel *fake = enter(kernel);
    uint64_t locked = fake != NULL ? fake->machine.charges.user_locked : 0;

    leave(fake);
    return locked;
}

uint64_t pm_fake_kernel_get_pinned(PmKernel *kernel)
{
    PmFakeKernel *fake = enter(kernel);
    uint64_t pinned = fake != NULL ? fake->machine.charges.pinned : 0;

    leave(fake);
    return pinned;
}

uint64_t pm_fake_kernel_get_n_open(PmKernel *kernel)
{
    PmFakeKernel *fake = enter(kernel);
    uint64_t n_open = fake != NULL ? fake->machine.files.n_open : 0;

    leave(fake);
    return n_open;
}

/* --- mappings of a container or an IOAS --- */

/* NULL if there is no such group. */
static const PmGroup *find_group(const PmFakeKernel *fake, unsigned number)
{
    return fake != NULL ? pm_fake_kernel_find_group(fake, number) : NULL;
}

/* The mappings of a group: type1's, the areas of an IOAS, or none. */
typedef struct {
    const PmFakeType1 *type1;
    const PmIoas *ioas;
} Mappings;

static Mappings mappings_of(const PmFakeKernel *fake, unsigned number)
{
    const PmGroup *group = find_group(fake, number);

    return (Mappings){
        .type1 = group != NULL && group->container != NULL ? group->container->iommu : NULL,
        .ioas = group != NULL && group->iommufd_group.hwpt != NULL ? group->iommufd_group.hwpt->ioas
                                                                   : NULL,
    };
}

uint64_t pm_fake_kernel_get_n_mappings(PmKernel *kernel, unsigned group)
{
    PmFakeKernel *fake = enter(kernel);
    const Mappings mappings = mappings_of(fake, group);
    uint64_t n_mappings = 0;

    if (mappings.type1 != NULL)
        n_mappings = pm_range_map_n_records(mappings.type1->mappings);
    else if (mappings.ioas != NULL)
        n_mappings = pm_range_map_n_records(mappings.ioas->areas);
    leave(fake);
    return n_mappings;
}

typedef struct {
    uint64_t iova;
    uint64_t size;
    const void *host;
    PmIommuAccess access;
} Listed;

static void list_type1(const PmFakeType1 *type1, GArray *list)
{
    for (const PmMapping *mapping = pm_range_map_find(type1->mappings, 0); mapping != NULL;
         mapping = pm_fake_type1_next_mapping(type1, mapping)) {
        const Listed listed = {
            .iova = mapping->key.first,
            .size = pm_mapping_size(mapping),
            .host = (const void *)(uintptr_t)mapping->host,
            .access = (PmIommuAccess)mapping->access,
        };

        g_array_append_val(list, listed);
    }
}

static void list_areas(const PmIoas *ioas, GArray *list)
{
    for (const PmArea *area = pm_range_map_find(ioas->areas, 0); area != NULL;
         area = pm_ioas_next_area(ioas, area)) {
        const Listed listed = {
            .iova = area->key.first,
            .size = pm_area_size(area),
            .host = (const void *)(uintptr_t)pm_iopt_pages_host(area->pages, area->start),
            .access = area->access,
        };

        g_array_append_val(list, listed);
    }
}

static GArray *list_mappings(PmKernel *kernel, unsigned group)
{
    GArray *list = g_array_new(FALSE, FALSE, sizeof(Listed));
    PmFakeKernel *fake = enter(kernel);
    const Mappings mappings = mappings_of(fake, group);

    if (mappings.type1 != NULL)
        list_type1(mappings.type1, list);
    else if (mappings.ioas != NULL)
        list_areas(mappings.ioas, list);
    leave(fake);
    return list;
}

/* @func runs unlocked: an assertion in it may longjmp out, and teardown then calls the fake
 * kernel. */
bool pm_fake_kernel_foreach_mapping(PmKernel *kernel, unsigned group, PmFakeMappingFunc func,
                                    void *user_data)
{
    g_autoptr(GArray) list = list_mappings(kernel, group);

    for (guint i = 0; i < list->len; i++) {
        const Listed *listed = &g_array_index(list, Listed, i);

        if (!func(listed->iova, listed->size, listed->host, listed->access, user_data))
            return false;
    }
    return true;
}

bool pm_fake_kernel_next_translated(PmKernel *kernel, unsigned number, uint64_t iova, uint64_t last,
                                    uint64_t *run_iova, uint64_t *run_size)
{
    PmFakeKernel *fake = enter(kernel);
    const PmGroup *group = find_group(fake, number);
    const PmPageTable *table = group != NULL ? pm_group_page_table(group) : NULL;
    bool found = table != NULL && pm_page_table_next_run(table, iova, last, run_iova, run_size);

    leave(fake);
    return found;
}

uint64_t pm_fake_kernel_get_n_dma_faults(PmKernel *kernel)
{
    PmFakeKernel *fake = enter(kernel);
    uint64_t n_faults = fake != NULL ? fake->machine.dma_faults.n_faults : 0;

    leave(fake);
    return n_faults;
}

bool pm_fake_kernel_last_dma_fault(PmKernel *kernel, PmFakeDmaFault *fault)
{
    PmFakeKernel *fake = enter(kernel);
    bool found = fake != NULL && fake->machine.dma_faults.n_faults > 0;

    if (found)
        *fault = fake->machine.dma_faults.last;
    leave(fake);
    return found;
}
