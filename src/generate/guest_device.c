/* SPDX-License-Identifier: MIT */
#include "generate/guest_device.h"

#include "base/error_text.h"

struct PmGuestDevice {
    PmVirtioMem *device;
    PmDiscardListener *mappings;
    uint64_t block_size;
    uint64_t entry_limit;
};

/* Stands for a mapper: one mapping per block. */
static bool can_populate(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    const PmGuestDevice *host = user_data;
    uint64_t n_mapped = pm_virtio_mem_get_plugged_size(host->device) / host->block_size;

    (void)offset;
    return size / host->block_size <= host->entry_limit - MIN(n_mapped, host->entry_limit) ||
           pm_fail(error, PM_ERROR_LIMIT, "no mapping left");
}

static bool change(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    (void)user_data;
    (void)offset;
    (void)size;
    (void)error;
    return true;
}

static bool limit_mappings(PmGuestDevice *host, GError **error)
{
    static const PmDiscardListenerOps ops = {
        .struct_size = sizeof(ops),
        .can_populate = can_populate,
        .populate = change,
        .discard = change,
    };

    host->mappings =
        pm_discard_manager_register(pm_virtio_mem_get_manager(host->device), &ops, host, "mapper",
                                    0, pm_virtio_mem_get_region_size(host->device), error);
    return host->mappings != NULL;
}

PmGuestDevice *pm_guest_device_new(const PmTraceRegion *region, uint64_t entry_limit,
                                   GError **error)
{
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_ANONYMOUS, region->size, region->block_size, error);
    g_autoptr(PmGuestDevice) host = g_new0(PmGuestDevice, 1);
    const PmVirtioMemConfig config = {
        .struct_size = sizeof(config),
        .ram = ram,
        .address = region->address,
        .block_size = region->block_size,
        .requested_size = region->requested_size,
    };

    host->block_size = region->block_size;
    host->entry_limit = entry_limit;
    if (ram == NULL)
        return NULL;
    host->device = pm_virtio_mem_new(&config, error);
    if (host->device == NULL || !limit_mappings(host, error))
        return NULL;
    return g_steal_pointer(&host);
}

void pm_guest_device_free(PmGuestDevice *host)
{
    if (host == NULL)
        return;
    if (host->mappings != NULL)
        (void)pm_discard_manager_unregister(pm_virtio_mem_get_manager(host->device), host->mappings,
                                            NULL);
    pm_virtio_mem_free(host->device);
    g_free(host);
}

PmVirtioMem *pm_guest_device_get(const PmGuestDevice *host)
{
    return host->device;
}

PmVirtioMemAnswer pm_guest_device_send(PmGuestDevice *host, PmVirtioMemRequestType type,
                                       uint64_t address, uint16_t n_blocks)
{
    PmVirtioMemRequest request;
    PmVirtioMemResponse response;
    PmVirtioMemAnswer answer = PM_VIRTIO_MEM_ERROR;

    pm_virtio_mem_request_init(&request, type, address, n_blocks);
    if (pm_virtio_mem_handle(host->device, &request, sizeof(request), &response, sizeof(response),
                             NULL))
        (void)pm_virtio_mem_response_decode(&response, &answer, NULL, NULL);
    return answer;
}
