/* SPDX-License-Identifier: MIT */
/* Small devices with a chosen state, their snapshots, and listeners that fail on demand. */
#ifndef PLUGMAP_TESTS_UNIT_VIRTIO_MEM_SNAPSHOT_UTIL_H
#define PLUGMAP_TESTS_UNIT_VIRTIO_MEM_SNAPSHOT_UTIL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <plugmap/plugmap.h>

#include "util/request_util.h"

#define SMALL_ADDRESS UINT64_C(0x140000000)
#define SMALL_BLOCK   UINT64_C(4096)
#define SMALL_BLOCKS  UINT64_C(21)
#define SMALL_REGION  (SMALL_BLOCKS * SMALL_BLOCK)
#define HEADER_SIZE   80
#define SUM_SIZE      32
#define SMALL_SIZE    (HEADER_SIZE + 3 + SUM_SIZE)

/* Offsets, from docs/snapshot-format.md. */
enum {
    AT_VERSION = 0x08,
    AT_FLAGS = 0x0c,
    AT_ADDRESS = 0x10,
    AT_REGION_SIZE = 0x18,
    AT_BLOCK_SIZE = 0x20,
    AT_NODE = 0x28,
    AT_RESERVED = 0x2a,
    AT_PLUGGED_SIZE = 0x30,
    AT_USABLE_SIZE = 0x38,
    AT_REQUESTED_SIZE = 0x40,
    AT_FEATURES = 0x48,
    AT_BITMAP = 0x50,
};

static inline PmVirtioMemConfig small_config(PmRam *ram)
{
    return (PmVirtioMemConfig){
        .struct_size = sizeof(PmVirtioMemConfig),
        .ram = ram,
        .address = SMALL_ADDRESS,
        .block_size = SMALL_BLOCK,
        .usable_extent = 2 * SMALL_BLOCK,
        .has_node = true,
        .node = 0x0102,
    };
}

static inline PmVirtioMem *device_with(const PmVirtioMemConfig *config)
{
    g_autoptr(GError) error = NULL;
    PmVirtioMem *device = pm_virtio_mem_new(config, &error);

    if (device == NULL)
        fail_msg("%s", error->message);
    return device;
}

/* 21 blocks with nothing plugged; the device keeps the RAM. */
static inline PmVirtioMem *small_device(PmRamKind kind)
{
    g_autoptr(PmRam) ram = pm_ram_new(kind, SMALL_REGION, 0, NULL);
    PmVirtioMemConfig config = small_config(ram);

    return device_with(&config);
}

static inline PmRam *ram_of(const PmVirtioMem *device)
{
    return pm_discard_manager_get_ram(pm_virtio_mem_get_manager(device));
}

static inline void request_size(PmVirtioMem *device, uint64_t n_blocks)
{
    assert_true(pm_virtio_mem_set_requested_size(
        device, n_blocks * pm_virtio_mem_get_block_size(device), NULL));
}

static inline int send_blocks(PmVirtioMem *device, unsigned type, uint64_t first, uint64_t n_blocks)
{
    return send_request(device, type,
                        pm_virtio_mem_get_address(device) +
                            first * pm_virtio_mem_get_block_size(device),
                        n_blocks, NULL);
}

static inline void plug_blocks(PmVirtioMem *device, uint64_t first, uint64_t n_blocks)
{
    assert_int_equal(send_blocks(device, PM_VIRTIO_MEM_PLUG, first, n_blocks), PM_VIRTIO_MEM_ACK);
}

/* Blocks 0, 1, 4 to 9, and 15 of 16 requested; features 3. */
static inline PmVirtioMem *small_source(void)
{
    PmVirtioMem *device = small_device(PM_RAM_ANONYMOUS);

    assert_true(pm_virtio_mem_set_features(device, 3, NULL));
    request_size(device, 16);
    plug_blocks(device, 0, 2);
    plug_blocks(device, 4, 6);
    plug_blocks(device, 15, 1);
    return device;
}

static inline GBytes *save(const PmVirtioMem *device)
{
    g_autoptr(GError) error = NULL;
    GBytes *snapshot = pm_virtio_mem_save(device, &error);

    if (snapshot == NULL)
        fail_msg("%s", error->message);
    return snapshot;
}

static inline GBytes *small_snapshot(void)
{
    g_autoptr(PmVirtioMem) device = small_source();

    return save(device);
}

static inline void assert_loads(PmVirtioMem *device, GBytes *snapshot)
{
    g_autoptr(GError) error = NULL;

    if (!pm_virtio_mem_load(device, snapshot, &error))
        fail_msg("%s", error->message);
    assert_null(error);
}

/* A saved state is all the state. */
static inline void assert_state(const PmVirtioMem *device, GBytes *snapshot)
{
    g_autoptr(GBytes) now = save(device);

    assert_true(g_bytes_equal(now, snapshot));
}

static inline void assert_part(const GError *error, const char *part)
{
    if (strstr(error->message, part) == NULL)
        fail_msg("'%s' is not in '%s'", part, error->message);
}

/* Loading fails with BAD_INPUT and @part, and changes nothing. */
static inline void assert_refused(PmVirtioMem *device, GBytes *snapshot, const char *part)
{
    g_autoptr(GBytes) before = save(device);
    g_autoptr(GError) error = NULL;

    if (pm_virtio_mem_load(device, snapshot, &error))
        fail_msg("loaded, instead of '%s'", part);
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_BAD_INPUT));
    assert_part(error, part);
    assert_state(device, before);
}

static inline uint8_t *copy_of(GBytes *snapshot)
{
    return g_memdup2(g_bytes_get_data(snapshot, NULL), g_bytes_get_size(snapshot));
}

/* By GLib's other interface, independent of the library's code. */
static inline void put_checksum(uint8_t *bytes, size_t size)
{
    g_autofree char *sum = g_compute_checksum_for_data(G_CHECKSUM_SHA256, bytes, size - SUM_SIZE);

    for (size_t i = 0; i < SUM_SIZE; i++)
        bytes[size - SUM_SIZE + i] =
            (uint8_t)(g_ascii_xdigit_value(sum[2 * i]) << 4 | g_ascii_xdigit_value(sum[2 * i + 1]));
}

#endif
