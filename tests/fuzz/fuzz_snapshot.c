/* SPDX-License-Identifier: MIT */
/*
 * Snapshots: what loads saves to the same bytes, and what does not changes nothing. The first four
 * bytes choose the device, a call of its listener that fails, and whether the plugged size and the
 * checksum of the rest, the snapshot, are corrected: they would keep the fuzzer away from the
 * checks that follow.
 */
#include "fuzz.h"

#include <plugmap/plugmap.h>

#define BLOCK      UINT64_C(4096)
#define MAX_BLOCKS 80
#define ADDRESS    UINT64_C(0x100000000)
#define SUM_SIZE   32

/* docs/snapshot-format.md */
#define AT_PLUGGED_SIZE 0x30
#define AT_BITMAP       0x50

typedef struct {
    bool has[MAX_BLOCKS];
    unsigned n_calls;
    unsigned fails_at;
} Listener;

static bool populate(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    Listener *listener = user_data;

    if (++listener->n_calls == listener->fails_at) {
        g_set_error_literal(error, PM_ERROR, PM_ERROR_LIMIT, "the listener fails");
        return false;
    }
    for (uint64_t i = offset / BLOCK; i < (offset + size) / BLOCK; i++) {
        FUZZ_CHECK(i < MAX_BLOCKS && !listener->has[i]);
        listener->has[i] = true;
    }
    return true;
}

static bool discard(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    Listener *listener = user_data;

    (void)error;
    for (uint64_t i = offset / BLOCK; i < (offset + size) / BLOCK; i++) {
        FUZZ_CHECK(listener->has[i]);
        listener->has[i] = false;
    }
    return true;
}

static const PmDiscardListenerOps listener_ops = {
    .struct_size = sizeof(listener_ops), .populate = populate, .discard = discard};

static PmVirtioMem *make_device(FuzzInput *input)
{
    uint64_t n_blocks = 1 + fuzz_u8(input) % MAX_BLOCKS;
    uint8_t flags = fuzz_u8(input);
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_ANONYMOUS, n_blocks * BLOCK, 0, NULL);
    const PmVirtioMemConfig config = {
        .struct_size = sizeof(config),
        .ram = ram,
        .address = ADDRESS,
        .block_size = BLOCK,
        .usable_extent = BLOCK * (1 + (flags >> 4)),
        .has_node = (flags & 1) != 0,
        .node = 3,
        .no_unplugged_inaccessible = (flags & 2) != 0,
        .persistent_suspend = (flags & 4) != 0,
    };
    PmVirtioMem *device = pm_virtio_mem_new(&config, NULL);

    FUZZ_CHECK(device != NULL);
    return device;
}

static void correct_plugged_size(uint8_t *bytes, size_t covered)
{
    uint64_t plugged = 0;

    for (size_t i = AT_BITMAP; i < covered; i++)
        plugged += BLOCK * (unsigned)__builtin_popcount(bytes[i]);
    for (unsigned i = 0; i < 8; i++)
        bytes[AT_PLUGGED_SIZE + i] = (uint8_t)(plugged >> (8 * i));
}

static void correct_checksum(uint8_t *bytes, size_t covered)
{
    GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA256);
    gsize length = SUM_SIZE;

    g_checksum_update(sum, bytes, (gssize)covered);
    g_checksum_get_digest(sum, bytes + covered, &length);
    g_checksum_free(sum);
}

static GBytes *make_snapshot(FuzzInput *input)
{
    uint8_t flags = fuzz_u8(input);
    size_t size = input->size;
    uint8_t *bytes = g_malloc(size);

    (void)fuzz_take(input, bytes, size);
    if (size >= AT_BITMAP + SUM_SIZE && (flags & 8) != 0)
        correct_plugged_size(bytes, size - SUM_SIZE);
    if (size >= SUM_SIZE && flags % 8 != 0)
        correct_checksum(bytes, size - SUM_SIZE);
    return g_bytes_new_take(bytes, size);
}

static void check_blocks(const PmVirtioMem *device, const Listener *listener)
{
    PmDiscardManager *manager = pm_virtio_mem_get_manager(device);
    uint64_t n_blocks = pm_virtio_mem_get_region_size(device) / BLOCK;
    uint64_t usable = pm_virtio_mem_get_usable_size(device);
    uint64_t plugged = 0;

    for (uint64_t i = 0; i < n_blocks; i++) {
        bool is_plugged = pm_discard_manager_is_populated(manager, i * BLOCK, BLOCK);

        FUZZ_CHECK(listener->has[i] == is_plugged);
        FUZZ_CHECK(!is_plugged || (i + 1) * BLOCK <= usable);
        plugged += is_plugged ? BLOCK : 0;
    }
    FUZZ_CHECK(pm_virtio_mem_get_plugged_size(device) == plugged);
    FUZZ_CHECK(pm_discard_manager_get_quarantined(manager) == 0);
    FUZZ_CHECK(usable <= pm_virtio_mem_get_region_size(device));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput input = {data, size};
    g_autoptr(PmVirtioMem) device = make_device(&input);
    Listener listener = {.fails_at = fuzz_u8(&input)};
    g_autoptr(GBytes) snapshot = make_snapshot(&input);
    g_autoptr(GBytes) before = pm_virtio_mem_save(device, NULL);
    g_autoptr(GBytes) after = NULL;
    g_autoptr(GError) error = NULL;
    PmDiscardManager *manager = pm_virtio_mem_get_manager(device);
    PmDiscardListener *registration =
        pm_discard_manager_register(manager, &listener_ops, &listener, "listener", 0,
                                    pm_virtio_mem_get_region_size(device), NULL);
    bool loaded;

    FUZZ_CHECK(registration != NULL);
    loaded = pm_virtio_mem_load(device, snapshot, &error);
    FUZZ_CHECK_RESULT(loaded, error);
    FUZZ_CHECK(loaded || error->code == PM_ERROR_BAD_INPUT || error->code == PM_ERROR_LIMIT);
    after = pm_virtio_mem_save(device, NULL);
    FUZZ_CHECK(g_bytes_equal(after, loaded ? snapshot : before));
    check_blocks(device, &listener);
    FUZZ_CHECK(pm_discard_manager_unregister(manager, registration, NULL));
    return 0;
}
