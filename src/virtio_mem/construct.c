/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <unistd.h>

#include <plugmap/size.h>

#include "base/error_text.h"
#include "base/log.h"
#include "base/sized.h"
#include "kernel-uapi/virtio_mem.h"
#include "memory/discard_source_restore.h"
#include "memory/ram_claims.h"
#include "memory/ram_file.h"
#include "memory/ram_private.h"
#include "virtio_mem/block_size.h"
#include "virtio_mem/device.h"

/* Linux guests online memory in blocks of 128 MiB (x86) to 512 MiB (arm64 with 64K pages). Two of
 * them past the requested size let a guest skip memory blocks that it cannot use. */
#if defined(__aarch64__) || defined(__arm__)
#define DEFAULT_USABLE_EXTENT (2 * (UINT64_C(512) << 20))
#else
#define DEFAULT_USABLE_EXTENT (2 * (UINT64_C(128) << 20))
#endif

static uint64_t choose_block_size(const PmVirtioMemConfig *config)
{
    if (config->block_size != 0)
        return config->block_size;
    return pm_default_block_size(pm_ram_get_page_size(config->ram), (uint64_t)sysconf(_SC_PAGESIZE),
                                 PM_THP_SIZE_PATH);
}

static bool check_block_size(const PmVirtioMemConfig *config, uint64_t block_size, GError **error)
{
    uint64_t page_size = pm_ram_get_page_size(config->ram);
    g_autofree char *block_text = pm_size_format(block_size);
    g_autofree char *page_text = pm_size_format(page_size);

    if ((block_size & (block_size - 1)) != 0)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "virtio-mem: invalid block_size %s: must be a power of two", block_text);
    if (block_size < page_size)
        return pm_fail(
            error, PM_ERROR_INVALID_ARGUMENT,
            "virtio-mem: invalid block_size %s: must be at least the page size of ram, %s",
            block_text, page_text);
    return true;
}

static bool check_alignment(const char *property, uint64_t value, uint64_t block_size,
                            GError **error)
{
    g_autofree char *block_text = pm_size_format(block_size);

    if (value % block_size == 0)
        return true;
    return pm_fail(error, PM_ERROR_UNALIGNED,
                   "virtio-mem: invalid %s 0x%" PRIx64 ": must be a multiple of block_size %s",
                   property, value, block_text);
}

static bool check_sizes(const PmVirtioMemConfig *config, uint64_t block_size, GError **error)
{
    uint64_t region_size = pm_ram_get_size(config->ram);
    g_autofree char *requested_text = pm_size_format(config->requested_size);
    g_autofree char *region_text = pm_size_format(region_size);
    uint64_t end;

    if (!check_alignment("requested_size", config->requested_size, block_size, error) ||
        !check_alignment("address", config->address, block_size, error) ||
        !check_alignment("ram size", region_size, block_size, error))
        return false;
    if (config->requested_size > region_size)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "virtio-mem: invalid requested_size %s: must be at most the ram size, %s",
                       requested_text, region_text);
    if (__builtin_add_overflow(config->address, region_size, &end))
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "virtio-mem: invalid address 0x%" PRIx64
                       ": the region, %s, exceeds the 64-bit "
                       "address space",
                       config->address, region_text);
    return true;
}

static bool check_flags(const PmVirtioMemConfig *config, GError **error)
{
    if ((config->flags & ~(uint64_t)PM_VIRTIO_MEM_KEEP_MEMORY) == 0)
        return true;
    return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                   "virtio-mem: invalid flags 0x%" PRIx64 ": must be of PmVirtioMemFlags",
                   config->flags);
}

static void warn_of_small_blocks(uint64_t block_size)
{
    g_autofree char *block_text = pm_size_format(block_size);
    g_autofree char *floor_text = pm_size_format(PM_BLOCK_SIZE_FLOOR);

    if (block_size < PM_BLOCK_SIZE_FLOOR)
        pm_log(G_LOG_LEVEL_WARNING,
               "virtio-mem: block_size %s is below %s, the minimum of QEMU: every block requires a "
               "mapping",
               block_text, floor_text);
}

static uint64_t features_on_offer(const PmVirtioMemConfig *config)
{
    uint64_t features = 0;

    if (config->has_node)
        features |= UINT64_C(1) << VIRTIO_MEM_F_ACPI_PXM;
    if (!config->no_unplugged_inaccessible)
        features |= UINT64_C(1) << VIRTIO_MEM_F_UNPLUGGED_INACCESSIBLE;
    if (config->persistent_suspend)
        features |= UINT64_C(1) << VIRTIO_MEM_F_PERSISTENT_SUSPEND;
    return features;
}

/* Discards the memory of the whole RAM, unless it is to keep it. */
static PmDiscardSource *add_source(PmDiscardManager *manager, const PmVirtioMemConfig *config,
                                   uint64_t block_size, GError **error)
{
    bool keep_memory = (config->flags & PM_VIRTIO_MEM_KEEP_MEMORY) != 0;
    g_autofree char *name = g_strdup_printf("virtio-mem at 0x%" PRIx64, config->address);
    const PmDiscardSourceConfig source = {
        .struct_size = sizeof(source),
        .name = name,
        .granularity = block_size,
        .flags = PM_DISCARD_SOURCE_FREES_MEMORY |
                 (keep_memory ? (uint64_t)PM_DISCARD_SOURCE_KEEP_CONTENTS : 0),
    };

    return pm_discard_manager_add_source(manager, &source, error);
}

/* Returns the id of the claim; 0: failed. */
static uint64_t require_discards(const PmVirtioMemConfig *config, GError **error)
{
    g_autofree char *owner = g_strdup_printf("virtio-mem at 0x%" PRIx64, config->address);
    const PmDiscardClaimRequest request = {
        .id = pm_discard_claim_new_id(),
        .kind = PM_DISCARD_REQUIRE_COORDINATED,
        .owner = owner,
        .size = pm_ram_get_size(config->ram),
        .way_out = "free the device first (pm_virtio_mem_free())",
    };

    return pm_ram_enter_claim(config->ram, &request, error) ? request.id : 0;
}

/* Becomes the manager first: until then the memory may belong to another one. */
static bool take_memory(PmVirtioMem *device, const PmVirtioMemConfig *config, uint64_t block_size,
                        GError **error)
{
    g_autoptr(PmDiscardManager) manager = pm_discard_manager_new(config->ram, block_size, error);

    if (manager == NULL)
        return false;
    device->discard_claim = require_discards(config, error);
    if (device->discard_claim == 0)
        return false;
    device->source = add_source(manager, config, block_size, error);
    if (device->source == NULL) {
        (void)pm_ram_leave_claim(config->ram, device->discard_claim);
        return false;
    }
    device->manager = g_steal_pointer(&manager);
    return true;
}

static PmVirtioMem *make_device(const PmVirtioMemConfig *config, GError **error)
{
    PmVirtioMem *device;
    uint64_t block_size;

    if (config->ram == NULL) {
        pm_fail(error, PM_ERROR_INVALID_ARGUMENT, "virtio-mem: ram is not set");
        return NULL;
    }
    block_size = choose_block_size(config);
    if (!check_flags(config, error) || !check_block_size(config, block_size, error) ||
        !check_sizes(config, block_size, error))
        return NULL;
    device = g_new0(PmVirtioMem, 1);
    if (!take_memory(device, config, block_size, error)) {
        g_free(device);
        return NULL;
    }
    warn_of_small_blocks(block_size);

    device->address = config->address;
    device->block_size = block_size;
    device->region_size = pm_ram_get_size(config->ram);
    device->usable_extent =
        config->usable_extent != 0 ? config->usable_extent : DEFAULT_USABLE_EXTENT;
    device->requested_size = config->requested_size;
    device->usable_size = pm_virtio_mem_wanted_usable_size(device, config->requested_size);
    device->offered_features = features_on_offer(config);
    device->node = config->has_node ? config->node : 0;
    device->prefault_threads = config->prefault_threads;
    device->keep_memory = (config->flags & PM_VIRTIO_MEM_KEEP_MEMORY) != 0;
    device->plugged_size_changed = config->plugged_size_changed;
    device->config_changed = config->config_changed;
    device->user_data = config->user_data;
    return device;
}

PmVirtioMem *pm_virtio_mem_new(const PmVirtioMemConfig *config, GError **error)
{
    PmVirtioMemConfig known;

    if (!pm_sized_read("PmVirtioMemConfig", &known, sizeof(known), config, error))
        return NULL;
    return make_device(&known, error);
}

void pm_virtio_mem_free(PmVirtioMem *device)
{
    g_autoptr(GError) error = NULL;

    if (device == NULL)
        return;
    if (device->keep_memory)
        pm_discard_source_keep_memory(device->source);
    if (pm_ram_is_ours(pm_discard_manager_get_ram(device->manager)) &&
        !pm_discard_source_discard_all(device->source, &error))
        pm_log(G_LOG_LEVEL_WARNING,
               "virtio-mem: freed the device at 0x%" PRIx64
               ", but failed to discard all of its memory: "
               "%s",
               device->address, error->message);
    (void)pm_ram_leave_claim(pm_discard_manager_get_ram(device->manager), device->discard_claim);
    pm_discard_manager_unref(device->manager);
    g_clear_error(&device->refusal);
    g_free(device);
}
