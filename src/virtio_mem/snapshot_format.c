/* SPDX-License-Identifier: MIT */
#include "virtio_mem/snapshot_format.h"

#include <inttypes.h>
#include <string.h>

#include "base/error_text.h"

#define WORD_BITS UINT64_C(64)

static const uint8_t magic[8] = {'P', 'L', 'U', 'G', 'V', 'M', 'E', 'M'};

bool pm_snapshot_fail(GError **error, const char *field, uint64_t offset, const char *format, ...)
{
    g_autofree char *message = NULL;
    va_list arguments;

    va_start(arguments, format);
    message = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    return pm_fail(error, PM_ERROR_BAD_INPUT, "snapshot: %s at offset 0x%" PRIx64 ": %s", field,
                   offset, message);
}

/* Integers are little endian. */

static void put(uint8_t *bytes, unsigned size, uint64_t value)
{
    for (unsigned i = 0; i < size; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get(const uint8_t *bytes, unsigned size)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)bytes[i] << (8 * i);
    return value;
}

static uint64_t bitmap_size(uint64_t n_blocks)
{
    return n_blocks / 8 + (n_blocks % 8 != 0);
}

uint64_t pm_snapshot_size(uint64_t n_blocks)
{
    return PM_SNAPSHOT_HEADER_SIZE + bitmap_size(n_blocks) + PM_SNAPSHOT_CHECKSUM_SIZE;
}

void pm_snapshot_put_header(uint8_t *bytes, const PmSnapshot *snapshot)
{
    memcpy(bytes + PM_SNAPSHOT_AT_MAGIC, magic, sizeof(magic));
    put(bytes + PM_SNAPSHOT_AT_VERSION, 4, PM_SNAPSHOT_VERSION);
    put(bytes + PM_SNAPSHOT_AT_FLAGS, 4, snapshot->flags);
    put(bytes + PM_SNAPSHOT_AT_ADDRESS, 8, snapshot->address);
    put(bytes + PM_SNAPSHOT_AT_REGION_SIZE, 8, snapshot->region_size);
    put(bytes + PM_SNAPSHOT_AT_BLOCK_SIZE, 8, snapshot->block_size);
    put(bytes + PM_SNAPSHOT_AT_NODE, 2, snapshot->node);
    put(bytes + PM_SNAPSHOT_AT_PLUGGED_SIZE, 8, snapshot->plugged_size);
    put(bytes + PM_SNAPSHOT_AT_USABLE_SIZE, 8, snapshot->usable_size);
    put(bytes + PM_SNAPSHOT_AT_REQUESTED_SIZE, 8, snapshot->requested_size);
    put(bytes + PM_SNAPSHOT_AT_FEATURES, 8, snapshot->features);
}

/* Bit i of byte j is block 8 * j + i. */
void pm_snapshot_put_plugged(uint8_t *bytes, uint64_t first, uint64_t count)
{
    uint8_t *bitmap = bytes + PM_SNAPSHOT_AT_BITMAP;
    uint64_t end = first + count;

    while (first < end) {
        if (first % 8 == 0 && end - first >= 8) {
            memset(bitmap + first / 8, 0xff, (end - first) / 8);
            first += (end - first) / 8 * 8;
        } else {
            bitmap[first / 8] |= (uint8_t)(1U << (first % 8));
            first++;
        }
    }
}

static void compute_checksum(const uint8_t *bytes, uint64_t size,
                             uint8_t checksum[PM_SNAPSHOT_CHECKSUM_SIZE])
{
    GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA256);
    gsize length = PM_SNAPSHOT_CHECKSUM_SIZE;
    uint64_t done = 0;

    /* Its length argument is signed. */
    while (done < size) {
        uint64_t part = MIN(size - done, G_MAXINT32);

        g_checksum_update(sum, bytes + done, (gssize)part);
        done += part;
    }
    g_checksum_get_digest(sum, checksum, &length);
    g_checksum_free(sum);
}

void pm_snapshot_put_checksum(uint8_t *bytes, uint64_t size)
{
    uint64_t covered = size - PM_SNAPSHOT_CHECKSUM_SIZE;

    compute_checksum(bytes, covered, bytes + covered);
}

bool pm_snapshot_check_checksum(const uint8_t *bytes, uint64_t size, GError **error)
{
    uint64_t covered = size - PM_SNAPSHOT_CHECKSUM_SIZE;
    uint8_t checksum[PM_SNAPSHOT_CHECKSUM_SIZE];

    compute_checksum(bytes, covered, checksum);
    if (memcmp(bytes + covered, checksum, sizeof(checksum)) == 0)
        return true;
    return pm_snapshot_fail(error, "checksum", covered,
                            "does not match: the file is corrupt, save it again");
}

static bool check_magic(const uint8_t *bytes, uint64_t size, GError **error)
{
    /* An empty GBytes has no bytes to compare. */
    if (size == 0 || memcmp(bytes, magic, MIN(size, sizeof(magic))) == 0)
        return true;
    return pm_snapshot_fail(error, "magic", PM_SNAPSHOT_AT_MAGIC,
                            "not a snapshot of a virtio-mem device: must be PLUGVMEM");
}

static bool check_version(const uint8_t *bytes, GError **error)
{
    uint64_t version = get(bytes + PM_SNAPSHOT_AT_VERSION, 4);

    if (version == PM_SNAPSHOT_VERSION)
        return true;
    return pm_snapshot_fail(error, "version", PM_SNAPSHOT_AT_VERSION,
                            "%" PRIu64 " is not supported: must be %d%s", version,
                            PM_SNAPSHOT_VERSION,
                            version > PM_SNAPSHOT_VERSION
                                ? ". Load it with the version of plugmap that saved it, or newer"
                                : "");
}

/* Names the field that the end of the file cuts. */
static bool check_header_size(uint64_t size, GError **error)
{
    static const struct {
        const char *name;
        uint64_t offset;
    } fields[] = {
        {"magic", PM_SNAPSHOT_AT_MAGIC},
        {"version", PM_SNAPSHOT_AT_VERSION},
        {"flags", PM_SNAPSHOT_AT_FLAGS},
        {"address", PM_SNAPSHOT_AT_ADDRESS},
        {"region_size", PM_SNAPSHOT_AT_REGION_SIZE},
        {"block_size", PM_SNAPSHOT_AT_BLOCK_SIZE},
        {"node", PM_SNAPSHOT_AT_NODE},
        {"reserved bytes", PM_SNAPSHOT_AT_RESERVED},
        {"plugged_size", PM_SNAPSHOT_AT_PLUGGED_SIZE},
        {"usable_size", PM_SNAPSHOT_AT_USABLE_SIZE},
        {"requested_size", PM_SNAPSHOT_AT_REQUESTED_SIZE},
        {"features", PM_SNAPSHOT_AT_FEATURES},
        {"bitmap", PM_SNAPSHOT_AT_BITMAP},
    };

    for (size_t i = 0; i + 1 < G_N_ELEMENTS(fields); i++)
        if (size < fields[i + 1].offset)
            return pm_snapshot_fail(error, fields[i].name, fields[i].offset,
                                    "truncated: the file has %" PRIu64 " bytes", size);
    return true;
}

bool pm_snapshot_get_header(const uint8_t *bytes, uint64_t size, PmSnapshot *snapshot,
                            GError **error)
{
    if (!check_magic(bytes, size, error) ||
        (size >= PM_SNAPSHOT_AT_FLAGS && !check_version(bytes, error)) ||
        !check_header_size(size, error))
        return false;
    *snapshot = (PmSnapshot){
        .flags = (uint32_t)get(bytes + PM_SNAPSHOT_AT_FLAGS, 4),
        .address = get(bytes + PM_SNAPSHOT_AT_ADDRESS, 8),
        .region_size = get(bytes + PM_SNAPSHOT_AT_REGION_SIZE, 8),
        .block_size = get(bytes + PM_SNAPSHOT_AT_BLOCK_SIZE, 8),
        .node = (uint16_t)get(bytes + PM_SNAPSHOT_AT_NODE, 2),
        .plugged_size = get(bytes + PM_SNAPSHOT_AT_PLUGGED_SIZE, 8),
        .usable_size = get(bytes + PM_SNAPSHOT_AT_USABLE_SIZE, 8),
        .requested_size = get(bytes + PM_SNAPSHOT_AT_REQUESTED_SIZE, 8),
        .features = get(bytes + PM_SNAPSHOT_AT_FEATURES, 8),
        .bitmap = bytes + PM_SNAPSHOT_AT_BITMAP,
    };
    return true;
}

bool pm_snapshot_check_reserved(const uint8_t *bytes, GError **error)
{
    for (uint64_t offset = PM_SNAPSHOT_AT_RESERVED; offset < PM_SNAPSHOT_AT_PLUGGED_SIZE; offset++)
        if (bytes[offset] != 0)
            return pm_snapshot_fail(error, "reserved byte", offset, "0x%02x: must be 0",
                                    bytes[offset]);
    return true;
}

/* 64 bits of the bitmap; zero past its last block, so that runs end there. */
static uint64_t word_at(const PmSnapshot *snapshot, uint64_t index)
{
    uint64_t n_bytes = MIN(bitmap_size(snapshot->n_blocks) - 8 * index, 8);
    uint64_t n_bits = snapshot->n_blocks - WORD_BITS * index;
    uint64_t word = 0;

    if (n_bytes == 8) {
        memcpy(&word, snapshot->bitmap + 8 * index, 8);
        word = GUINT64_FROM_LE(word);
    } else {
        word = get(snapshot->bitmap + 8 * index, (unsigned)n_bytes);
    }
    return n_bits < WORD_BITS ? word & ~(UINT64_MAX << n_bits) : word;
}

/* @flip: all ones to search for clear bits. */
static uint64_t next_bit(const PmSnapshot *snapshot, uint64_t from, uint64_t flip)
{
    for (uint64_t bit = from; bit < snapshot->n_blocks; bit += WORD_BITS - bit % WORD_BITS) {
        uint64_t word = word_at(snapshot, bit / WORD_BITS) ^ flip;

        word &= UINT64_MAX << (bit % WORD_BITS);
        if (word != 0)
            return bit - bit % WORD_BITS + (uint64_t)__builtin_ctzll(word);
    }
    return snapshot->n_blocks;
}

bool pm_snapshot_next_run(const PmSnapshot *snapshot, uint64_t from, uint64_t *first,
                          uint64_t *count)
{
    *first = next_bit(snapshot, from, 0);
    *count = next_bit(snapshot, *first, UINT64_MAX) - *first;
    return *count > 0;
}

uint64_t pm_snapshot_n_set(const PmSnapshot *snapshot)
{
    uint64_t n_set = 0;

    for (uint64_t i = 0; i * WORD_BITS < snapshot->n_blocks; i++)
        n_set += (uint64_t)__builtin_popcountll(word_at(snapshot, i));
    return n_set;
}
