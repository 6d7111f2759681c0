/* SPDX-License-Identifier: MIT */
#include "replay/replay_stack.h"

#include "base/error_text.h"

/* The DMA check is of the only region. */
static void add_dma_page(uint64_t offset, void *user_data)
{
    pm_timeline_add_dma(user_data, 0, offset);
}

/* Maps the engine's memory before the region, so that the region's budget accounts for it. */
static bool set_up_dma_check(PmReplay *replay, uint64_t address, uint64_t size, GError **error)
{
    PmDmaEngine *engine;

    if (replay->config->dma_device == NULL)
        return true;
    if (replay->trace->regions->len > 1)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "%s: --dma-check supports one device, the trace has %u", replay->trace->file,
                       replay->trace->regions->len);
    engine = pm_dma_engine_attach(replay->iommu, replay->recorder, replay->config->dma_device,
                                  address, size, error);
    if (engine == NULL)
        return false;
    replay->result->dma_engine = g_strdup(pm_dma_engine_name(engine));
    replay->dma_check = pm_dma_check_new(engine, replay->devices[0].device, PM_IOMMU_READ_WRITE);
    if (replay->config->timeline != NULL)
        pm_dma_check_set_func(replay->dma_check, add_dma_page, replay->config->timeline);
    replay->own.n_mappings = pm_iommu_get_n_mappings(replay->iommu);
    replay->own.n_bytes = pm_iommu_get_pinned_bytes(replay->iommu);
    return true;
}

static PmIommu *open_iommu(const PmReplayConfig *config, PmKernel *kernel, GError **error)
{
    const PmType1Config type1 = {
        .struct_size = sizeof(type1),
        .kernel = kernel,
        .device = config->device,
        .has_group = config->device == NULL,
        .group = config->group,
    };
    const PmIommufdConfig iommufd = {
        .struct_size = sizeof(iommufd), .kernel = kernel, .device = config->device};

    return config->backend == PM_IOMMU_IOMMUFD ? pm_iommu_iommufd_new(&iommufd, error)
                                               : pm_iommu_type1_new(&type1, error);
}

/* The source of conversions between shared and private: everything is shared at first. */
static bool add_shared(PmReplayDevice *made, GError **error)
{
    const PmDiscardSourceConfig config = {
        .struct_size = sizeof(config),
        .name = "the guest's shared memory",
        .granularity = made->region->granularity,
        .flags = PM_DISCARD_SOURCE_POPULATED,
    };

    if (made->region->granularity == 0)
        return true;
    made->shared =
        pm_discard_manager_add_source(pm_virtio_mem_get_manager(made->device), &config, error);
    return made->shared != NULL;
}

static bool make_device(PmReplay *replay, PmReplayDevice *made, GError **error)
{
    const PmTraceRegion *region = made->region;
    g_autoptr(PmRam) ram =
        pm_ram_new(replay->config->memory, region->size, region->block_size, error);
    const PmVirtioMemConfig config = {
        .struct_size = sizeof(config),
        .ram = ram,
        .address = region->address,
        .block_size = region->block_size,
        .requested_size = region->requested_size,
        .usable_extent = region->requested_is_bound ? PM_TRACE_USABLE_EXTENT : 0,
        .prefault_threads = replay->config->prefault_threads,
    };

    if (ram == NULL)
        return false;
    made->device = pm_virtio_mem_new(&config, error);
    if (made->device == NULL || !add_shared(made, error))
        return false;
    if (replay->config->audit)
        made->scope = pm_audit_scope_new(made->device);
    made->judge = pm_replay_judge_new(region, made->device, replay->result, error);
    return made->judge != NULL;
}

/* Names the device if there are several. */
static void prefix_device(const PmReplay *replay, const PmReplayDevice *device, GError **error)
{
    if (replay->trace->regions->len > 1)
        g_prefix_error(error, "device %s: ", device->region->name);
}

static bool make_devices(PmReplay *replay, GError **error)
{
    guint n_devices = replay->trace->regions->len;

    replay->devices = g_new0(PmReplayDevice, n_devices);
    for (guint i = 0; i < n_devices; i++) {
        replay->devices[i].region = pm_trace_region(replay->trace, i);
        if (!make_device(replay, &replay->devices[i], error)) {
            prefix_device(replay, &replay->devices[i], error);
            return false;
        }
    }
    return true;
}

static PmMapperRegion region_of(const PmReplay *replay, const PmReplayDevice *of)
{
    return (PmMapperRegion){
        .struct_size = sizeof(PmMapperRegion),
        .ram = pm_discard_manager_get_ram(pm_virtio_mem_get_manager(of->device)),
        .size = of->region->size,
        .address = of->region->address,
        .access = PM_IOMMU_READ_WRITE,
        .flags = replay->config->overcommit ? PM_MAPPER_OVERCOMMIT : PM_MAPPER_STRICT,
    };
}

/* With the mapper, or the guest's IOMMU. */
static bool map_devices(PmReplay *replay, GError **error)
{
    for (guint i = 0; i < replay->trace->regions->len; i++) {
        const PmReplayDevice *of = &replay->devices[i];
        const PmMapperRegion region = region_of(replay, of);

        if (replay->guest != NULL ? !pm_replay_guest_add(replay->guest, &region, error)
                                  : !pm_mapper_add(replay->mapper, &region, error)) {
            prefix_device(replay, of, error);
            return false;
        }
    }
    return true;
}

static PmIommu *open_for_guest(void *user_data, GError **error)
{
    const PmReplay *replay = user_data;

    return open_iommu(replay->config, replay->recorder, error);
}

/* @address, @size: the I/O addresses that the DMA check's own memory must avoid. */
static bool set_up_guest(PmReplay *replay, uint64_t address, uint64_t size, GError **error)
{
    replay->guest = pm_replay_guest_new(open_for_guest, replay, error);
    if (replay->guest == NULL || !make_devices(replay, error) || !map_devices(replay, error) ||
        !pm_replay_guest_start(replay->guest, error))
        return false;
    replay->iommu = pm_replay_guest_get_iommu(replay->guest);
    return set_up_dma_check(replay, address, size, error);
}

bool pm_replay_set_up(PmReplay *replay, GError **error)
{
    const PmReplayConfig *config = replay->config;
    bool has_guest = pm_replay_guest_is_in(replay->trace);
    uint64_t address;
    uint64_t size;

    if (has_guest)
        pm_replay_guest_window(replay->trace, &address, &size);
    else
        pm_trace_get_window(replay->trace, &address, &size);
    replay->recorder =
        pm_recorder_new(config->kernel, address, size, config->dma_func, config->user_data);
    if (has_guest)
        return set_up_guest(replay, address, size, error);
    replay->iommu = open_iommu(config, replay->recorder, error);
    if (replay->iommu == NULL || !make_devices(replay, error) ||
        !set_up_dma_check(replay, address, size, error))
        return false;
    replay->mapper = pm_mapper_new(replay->iommu);
    return map_devices(replay, error);
}

/* Unmaps during teardown are not part of the trace. */
void pm_replay_tear_down(PmReplay *replay)
{
    if (replay->recorder != NULL)
        pm_recorder_stop(replay->recorder);
    g_clear_pointer(&replay->dma_check, pm_dma_check_free);
    g_clear_pointer(&replay->mapper, pm_mapper_free);
    if (replay->guest != NULL)
        replay->iommu = NULL; /* the guest's */
    g_clear_pointer(&replay->guest, pm_replay_guest_free);
    for (guint i = 0; replay->devices != NULL && i < replay->trace->regions->len; i++) {
        pm_replay_judge_free(replay->devices[i].judge);
        g_free(replay->devices[i].scope);
        g_clear_pointer(&replay->devices[i].device, pm_virtio_mem_free);
    }
    g_clear_pointer(&replay->devices, g_free);
    g_clear_pointer(&replay->iommu, pm_iommu_unref);
    g_clear_pointer(&replay->recorder, pm_kernel_unref);
}
