/* SPDX-License-Identifier: MIT */
/* Regions of a caller's PmBufferBackend. */
#include <inttypes.h>

#include "base/error_text.h"
#include "base/process.h"
#include "base/sized.h"
#include "buffers/region_backend.h"
#include "memory/discard_claims.h"
#include "memory/ram_claims.h"

#define ALL_FLAGS                                                                                  \
    ((uint64_t)PM_BUFFER_NEEDS_FD | PM_BUFFER_MAY_PIN | PM_BUFFER_CAN_REPLACE |                    \
     PM_BUFFER_KEEPS_MEMORY)

typedef struct {
    PmRegionBackend parent;
    PmBufferBackend caller;
    void *user_data;
    uint64_t process;
} CallerRegions;

static CallerRegions *of(PmRegionBackend *backend)
{
    return (CallerRegions *)backend;
}

/* Whether this is a copy in a forked child. */
static bool is_inherited(const CallerRegions *regions)
{
    return regions->process != pm_process_token();
}

static PmDiscardClaimRequest make_request(const PmRegionMemory *memory)
{
    return (PmDiscardClaimRequest){
        .id = pm_discard_claim_new_id(),
        .kind = memory->follows_manager ? PM_DISCARD_DISABLE_UNCOORDINATED : PM_DISCARD_DISABLE,
        .owner = memory->owner,
        .offset = memory->offset,
        .size = memory->size,
        .way_out = "remove it from the buffers first (pm_buffer_registry_remove_ram(), "
                   "pm_buffer_registry_unregister())",
        .follows_manager = memory->follows_manager,
    };
}

/* Even a back end that does not mind discards must follow a manager, and cannot later. */
static bool enter_claim(const PmRegionBackend *backend, const PmRegionMemory *memory,
                        PmDiscardClaimRequest *request, GError **error)
{
    if ((backend->flags & (PM_BUFFER_KEEPS_MEMORY | PM_BUFFER_MAY_PIN)) != 0)
        return pm_ram_enter_claim(memory->ram, request, error);
    request->excludes_manager = true;
    return pm_ram_exclude_manager(memory->ram, request, error);
}

static bool begin(PmRegionBackend *backend, PmRegionMemory *memory, GError **error)
{
    PmDiscardClaimRequest request = make_request(memory);

    if ((backend->flags & PM_BUFFER_KEEPS_MEMORY) != 0 && memory->follows_manager)
        return pm_fail(error, PM_ERROR_BUSY,
                       "%s disables all discards, because its back end keeps memory registered "
                       "(PM_BUFFER_KEEPS_MEMORY), so RAM with a discard manager is not added: use "
                       "bounce buffers for it, or a back end that can unmap",
                       memory->owner);
    if ((backend->flags & (PM_BUFFER_KEEPS_MEMORY | PM_BUFFER_MAY_PIN)) == 0 &&
        memory->follows_manager)
        return true;
    if (!enter_claim(backend, memory, &request, error))
        return false;
    memory->discard_claim = request.id;
    return true;
}

static void end(PmRegionBackend *backend G_GNUC_UNUSED, PmRegionMemory *memory)
{
    if (memory->discard_claim != 0)
        (void)pm_ram_leave_claim(memory->ram, memory->discard_claim);
    memory->discard_claim = 0;
}

/* Keeps the discard claim: the device may still access the memory. */
static void abandon(PmRegionBackend *backend G_GNUC_UNUSED, PmRegionMemory *memory G_GNUC_UNUSED)
{
}

static uint64_t get_limit(const PmRegionBackend *backend)
{
    const CallerRegions *regions = (const CallerRegions *)backend;

    return regions->caller.max_regions != 0 ? regions->caller.max_regions : UINT64_MAX;
}

static uint64_t get_room(PmRegionBackend *backend, const PmRegionMemory *memory G_GNUC_UNUSED,
                         uint64_t n_blocks, uint64_t n_regions)
{
    uint64_t limit = get_limit(backend);
    uint64_t n_left = limit - MIN(limit, n_regions);

    if ((backend->flags & PM_BUFFER_CAN_REPLACE) != 0)
        return n_left > 0 ? n_blocks : 0;
    return MIN(n_left, 1);
}

static PmBufferRegion region_of(const PmRegionMemory *memory, uint64_t offset, uint64_t size)
{
    PmBufferRegion region = {.host = pm_region_memory_host(memory, offset), .size = size};
    uint64_t fd_offset = 0;

    region.fd = pm_ram_get_fd(memory->ram, &fd_offset);
    region.fd_offset = region.fd >= 0 ? fd_offset + memory->offset + offset : 0;
    region.address = (uint64_t)(uintptr_t)region.host;
    return region;
}

/* So that there is an error, of PM_ERROR, after each failure. */
static bool conclude(bool done, const PmRegionMemory *memory, const char *what,
                     const PmBufferRegion *region, GError *failure, GError **error)
{
    if (done)
        return true;
    if (failure == NULL || failure->domain != PM_ERROR) {
        (void)pm_fail(error, PM_ERROR_LISTENER,
                      "the back end of %s failed to %s 0x%" PRIx64 " bytes at host address %p: %s",
                      memory->owner, what, region->size, region->host,
                      failure != NULL ? failure->message : "see its log");
        g_clear_error(&failure);
        return false;
    }
    g_propagate_prefixed_error(error, failure, "%s: ", memory->owner);
    return false;
}

static bool map(PmRegionBackend *backend, const PmRegionMemory *memory, uint64_t offset,
                uint64_t size, uint64_t *address, GError **error)
{
    CallerRegions *regions = of(backend);
    PmBufferRegion region = region_of(memory, offset, size);
    GError *failure = NULL;
    bool mapped = regions->caller.map(regions->user_data, &region, &failure);

    *address = region.address;
    return conclude(mapped, memory, "map", &region, failure, error);
}

static bool unmap(PmRegionBackend *backend, const PmRegionMemory *memory, uint64_t offset,
                  uint64_t size, uint64_t address, GError **error)
{
    CallerRegions *regions = of(backend);
    PmBufferRegion region = region_of(memory, offset, size);
    GError *failure = NULL;
    bool unmapped;

    if (is_inherited(regions))
        return true;
    region.address = address;
    unmapped = regions->caller.unmap(regions->user_data, &region, &failure);
    return conclude(unmapped, memory, "unmap", &region, failure, error);
}

static void free_regions(PmRegionBackend *backend)
{
    CallerRegions *regions = of(backend);

    if (regions->caller.free != NULL && !is_inherited(regions))
        regions->caller.free(regions->user_data);
    g_free(regions);
}

static const PmRegionBackendOps ops = {
    .begin = begin,
    .end = end,
    .abandon = abandon,
    .get_room = get_room,
    .map = map,
    .unmap = unmap,
    .get_limit = get_limit,
    .free = free_regions,
};

static bool check(const PmBufferBackend *caller, GError **error)
{
    if (caller->map == NULL || caller->unmap == NULL)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "invalid PmBufferBackend: must have map and unmap");
    if ((caller->flags & ~ALL_FLAGS) != 0)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "invalid flags 0x%" PRIx64 " of a PmBufferBackend", caller->flags);
    if ((caller->alignment & (caller->alignment - 1)) != 0)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "invalid alignment 0x%" PRIx64 " of a PmBufferBackend: must be a power of "
                       "two, or 0",
                       caller->alignment);
    return true;
}

PmRegionBackend *pm_caller_regions_new(const PmBufferRegistryConfig *config, GError **error)
{
    PmBufferBackend caller;
    CallerRegions *regions;

    if (!pm_sized_read("PmBufferBackend", &caller, sizeof(caller), config->backend, error) ||
        !check(&caller, error))
        return NULL;
    regions = g_new0(CallerRegions, 1);
    regions->parent.ops = &ops;
    regions->parent.alignment = MAX(caller.alignment, 1);
    regions->parent.flags = caller.flags;
    regions->caller = caller;
    regions->user_data = config->user_data;
    regions->process = pm_process_token();
    return &regions->parent;
}
