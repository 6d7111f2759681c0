/* SPDX-License-Identifier: MIT */
#include "virtio_mem/snapshot_check.h"

#include <inttypes.h>

#include <plugmap/size.h>

#include "base/error_text.h"
#include "kernel-uapi/virtio_mem.h"

static uint64_t n_blocks_of(const PmVirtioMem *device)
{
    return device->region_size / device->block_size;
}

uint64_t pm_snapshot_size_for(const PmVirtioMem *device)
{
    return pm_snapshot_size(n_blocks_of(device));
}

/* --- geometry: the same as the device's --- */

static bool check_same_size(const char *field, uint64_t offset, uint64_t size, uint64_t own,
                            GError **error)
{
    g_autofree char *size_text = pm_size_format(size);
    g_autofree char *own_text = pm_size_format(own);

    return size == own ||
           pm_snapshot_fail(error, field, offset, "%s: the device has %s: create it with the same",
                            size_text, own_text);
}

static bool check_geometry(const PmVirtioMem *device, const PmSnapshot *snapshot, GError **error)
{
    if (snapshot->address != device->address)
        return pm_snapshot_fail(error, "address", PM_SNAPSHOT_AT_ADDRESS,
                                "0x%" PRIx64 ": the device has 0x%" PRIx64
                                ": create it with the same",
                                snapshot->address, device->address);
    if (!check_same_size("region_size", PM_SNAPSHOT_AT_REGION_SIZE, snapshot->region_size,
                         device->region_size, error) ||
        !check_same_size("block_size", PM_SNAPSHOT_AT_BLOCK_SIZE, snapshot->block_size,
                         device->block_size, error))
        return false;
    return snapshot->node == device->node ||
           pm_snapshot_fail(error, "node", PM_SNAPSHOT_AT_NODE,
                            "%u: the device has %u: create it with the same", snapshot->node,
                            device->node);
}

/* --- the length of the file --- */

static bool check_file_size(const PmVirtioMem *device, const PmSnapshot *snapshot, uint64_t size,
                            GError **error)
{
    uint64_t wanted = pm_snapshot_size_for(device);
    uint64_t checksum_at = wanted - PM_SNAPSHOT_CHECKSUM_SIZE;

    if (size == wanted)
        return true;
    /* Says more than the length of the bitmap. */
    if (!check_geometry(device, snapshot, error))
        return false;
    if (size > wanted)
        return pm_snapshot_fail(error, "trailing bytes", wanted,
                                "the file must end here, after %" PRIu64 " bytes", wanted);
    return pm_snapshot_fail(error, size < checksum_at ? "bitmap" : "checksum",
                            size < checksum_at ? PM_SNAPSHOT_AT_BITMAP : checksum_at,
                            "truncated: the file has %" PRIu64 " of %" PRIu64 " bytes", size,
                            wanted);
}

/* --- sizes --- */

static bool check_block_multiple(const PmVirtioMem *device, const char *field, uint64_t offset,
                                 uint64_t size, GError **error)
{
    g_autofree char *block_text = pm_size_format(device->block_size);
    g_autofree char *region_text = pm_size_format(device->region_size);

    if (size % device->block_size != 0)
        return pm_snapshot_fail(error, field, offset,
                                "0x%" PRIx64 ": must be a multiple of block_size %s", size,
                                block_text);
    if (size > device->region_size)
        return pm_snapshot_fail(error, field, offset,
                                "0x%" PRIx64 ": must be at most region_size, %s", size,
                                region_text);
    return true;
}

static bool check_sizes(const PmVirtioMem *device, const PmSnapshot *snapshot, GError **error)
{
    uint64_t wanted = pm_virtio_mem_wanted_usable_size(device, snapshot->requested_size);
    g_autofree char *usable_text = pm_size_format(snapshot->usable_size);
    g_autofree char *wanted_text = pm_size_format(wanted);

    if (!check_block_multiple(device, "requested_size", PM_SNAPSHOT_AT_REQUESTED_SIZE,
                              snapshot->requested_size, error) ||
        !check_block_multiple(device, "usable_size", PM_SNAPSHOT_AT_USABLE_SIZE,
                              snapshot->usable_size, error))
        return false;
    return snapshot->usable_size >= wanted ||
           pm_snapshot_fail(error, "usable_size", PM_SNAPSHOT_AT_USABLE_SIZE,
                            "%s: must be at least %s, for requested_size and the device's "
                            "usable_extent",
                            usable_text, wanted_text);
}

/* --- the plugged blocks --- */

static bool check_last_byte(const PmSnapshot *snapshot, GError **error)
{
    uint64_t last = snapshot->n_blocks / 8;
    unsigned n_used = snapshot->n_blocks % 8;

    if (n_used == 0 || snapshot->bitmap[last] >> n_used == 0)
        return true;
    return pm_snapshot_fail(error, "bitmap", PM_SNAPSHOT_AT_BITMAP + last,
                            "0x%02x: bits past block %" PRIu64 ", the last, must be 0",
                            snapshot->bitmap[last], snapshot->n_blocks - 1);
}

static bool check_plugged(const PmVirtioMem *device, const PmSnapshot *snapshot, GError **error)
{
    uint64_t n_usable = snapshot->usable_size / device->block_size;
    uint64_t plugged = pm_snapshot_n_set(snapshot) * device->block_size;
    uint64_t first;
    uint64_t count;

    if (!check_last_byte(snapshot, error))
        return false;
    if (plugged != snapshot->plugged_size)
        return pm_snapshot_fail(error, "plugged_size", PM_SNAPSHOT_AT_PLUGGED_SIZE,
                                "0x%" PRIx64 ": the blocks of the bitmap are 0x%" PRIx64 " bytes",
                                snapshot->plugged_size, plugged);
    if (!pm_snapshot_next_run(snapshot, n_usable, &first, &count))
        return true;
    return pm_snapshot_fail(error, "bitmap", PM_SNAPSHOT_AT_BITMAP + first / 8,
                            "block %" PRIu64 " is plugged: it is outside usable_size, 0x%" PRIx64,
                            first, snapshot->usable_size);
}

/* --- the driver --- */

static bool check_driver(const PmVirtioMem *device, const PmSnapshot *snapshot, GError **error)
{
    uint64_t inaccessible = UINT64_C(1) << VIRTIO_MEM_F_UNPLUGGED_INACCESSIBLE;
    uint64_t offered = device->offered_features;
    uint64_t features = snapshot->features;

    if ((snapshot->flags & ~PM_SNAPSHOT_BROKEN) != 0)
        return pm_snapshot_fail(error, "flags", PM_SNAPSHOT_AT_FLAGS,
                                "0x%" PRIx32 ": bits other than 0x%" PRIx32 " must be 0",
                                snapshot->flags, PM_SNAPSHOT_BROKEN);
    if ((features & ~offered) != 0)
        return pm_snapshot_fail(error, "features", PM_SNAPSHOT_AT_FEATURES,
                                "0x%" PRIx64 ": the device only offers 0x%" PRIx64
                                ": create it with the same features",
                                features, offered);
    /* 0: the driver has not accepted any yet. */
    if (features != 0 && (offered & ~features & inaccessible) != 0)
        return pm_snapshot_fail(error, "features", PM_SNAPSHOT_AT_FEATURES,
                                "0x%" PRIx64 " lacks UNPLUGGED_INACCESSIBLE (0x%" PRIx64
                                "), which the device requires: create it with "
                                "no_unplugged_inaccessible",
                                features, inaccessible);
    return true;
}

bool pm_snapshot_read(const PmVirtioMem *device, const uint8_t *bytes, uint64_t size,
                      PmSnapshot *snapshot, GError **error)
{
    if (!pm_snapshot_get_header(bytes, size, snapshot, error) ||
        !check_file_size(device, snapshot, size, error) ||
        !pm_snapshot_check_checksum(bytes, size, error))
        return false;
    snapshot->n_blocks = n_blocks_of(device);
    return check_geometry(device, snapshot, error) && pm_snapshot_check_reserved(bytes, error) &&
           check_sizes(device, snapshot, error) && check_plugged(device, snapshot, error) &&
           check_driver(device, snapshot, error);
}
