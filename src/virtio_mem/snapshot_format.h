/* SPDX-License-Identifier: MIT */
/* The bytes of a snapshot (docs/snapshot-format.md): fields to bytes, and bytes to fields. Knows no
 * device. */
#ifndef PLUGMAP_SRC_VIRTIO_MEM_SNAPSHOT_FORMAT_H
#define PLUGMAP_SRC_VIRTIO_MEM_SNAPSHOT_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

/* The version that is written, and the only one that is read. */
#define PM_SNAPSHOT_VERSION 1

#define PM_SNAPSHOT_HEADER_SIZE   80
#define PM_SNAPSHOT_CHECKSUM_SIZE 32 /* SHA-256 */

/* Offsets of the fields. */
enum {
    PM_SNAPSHOT_AT_MAGIC = 0,
    PM_SNAPSHOT_AT_VERSION = 8,
    PM_SNAPSHOT_AT_FLAGS = 12,
    PM_SNAPSHOT_AT_ADDRESS = 16,
    PM_SNAPSHOT_AT_REGION_SIZE = 24,
    PM_SNAPSHOT_AT_BLOCK_SIZE = 32,
    PM_SNAPSHOT_AT_NODE = 40,
    PM_SNAPSHOT_AT_RESERVED = 42,
    PM_SNAPSHOT_AT_PLUGGED_SIZE = 48,
    PM_SNAPSHOT_AT_USABLE_SIZE = 56,
    PM_SNAPSHOT_AT_REQUESTED_SIZE = 64,
    PM_SNAPSHOT_AT_FEATURES = 72,
    PM_SNAPSHOT_AT_BITMAP = PM_SNAPSHOT_HEADER_SIZE,
};

#define PM_SNAPSHOT_BROKEN UINT32_C(1) /* flag */

/* In host byte order. @bitmap: as in the file, owned by whoever owns the bytes. */
typedef struct {
    uint32_t flags;
    uint64_t address;
    uint64_t region_size;
    uint64_t block_size;
    uint16_t node;
    uint64_t plugged_size;
    uint64_t usable_size;
    uint64_t requested_size;
    uint64_t features;
    const uint8_t *bitmap;
    uint64_t n_blocks;
} PmSnapshot;

/* Bytes of a snapshot with @n_blocks blocks. */
uint64_t pm_snapshot_size(uint64_t n_blocks);

/* Writes everything but the bitmap and the checksum to @bytes, of pm_snapshot_size() bytes, all
 * zero. */
void pm_snapshot_put_header(uint8_t *bytes, const PmSnapshot *snapshot);
/* Sets bits of the bitmap. */
void pm_snapshot_put_plugged(uint8_t *bytes, uint64_t first, uint64_t count);
/* Writes the checksum, last. */
void pm_snapshot_put_checksum(uint8_t *bytes, uint64_t size);

/* Reads the header. Checks magic and version only. @size: what there is of the file. Errors:
 * PM_ERROR_BAD_INPUT. */
bool pm_snapshot_get_header(const uint8_t *bytes, uint64_t size, PmSnapshot *snapshot,
                            GError **error);
/* Errors: PM_ERROR_BAD_INPUT. */
bool pm_snapshot_check_reserved(const uint8_t *bytes, GError **error);
/* Errors: PM_ERROR_BAD_INPUT. */
bool pm_snapshot_check_checksum(const uint8_t *bytes, uint64_t size, GError **error);

/* The first run of set bits at or after @from; false if there is none. Searches whole words. */
bool pm_snapshot_next_run(const PmSnapshot *snapshot, uint64_t from, uint64_t *first,
                          uint64_t *count);
uint64_t pm_snapshot_n_set(const PmSnapshot *snapshot);

/* "snapshot: FIELD at offset 0xOFFSET: MESSAGE", PM_ERROR_BAD_INPUT. Returns false. */
bool pm_snapshot_fail(GError **error, const char *field, uint64_t offset, const char *format, ...)
    G_GNUC_PRINTF(4, 5);

#endif
