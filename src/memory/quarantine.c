/* SPDX-License-Identifier: MIT */
#include "memory/quarantine.h"

#include "base/bitmap.h"

typedef struct {
    uint64_t offset;
    uint64_t end;
    const void *owner;
    char *listener;
    char *reason;
} Record;

struct PmQuarantine {
    uint64_t size;
    uint64_t granularity;
    PmBitmap *blocks;
    GPtrArray *records;
    uint64_t n_added;
};

static void record_free(void *data)
{
    Record *record = data;

    g_free(record->listener);
    g_free(record->reason);
    g_free(record);
}

PmQuarantine *pm_quarantine_new(uint64_t size, uint64_t granularity)
{
    PmBitmap *blocks = pm_bitmap_new(size / granularity);
    PmQuarantine *quarantine;

    if (blocks == NULL)
        return NULL;
    quarantine = g_new0(PmQuarantine, 1);
    quarantine->size = size;
    quarantine->granularity = granularity;
    quarantine->blocks = blocks;
    quarantine->records = g_ptr_array_new_with_free_func(record_free);
    return quarantine;
}

void pm_quarantine_free(PmQuarantine *quarantine)
{
    if (quarantine == NULL)
        return;
    pm_bitmap_free(quarantine->blocks);
    g_ptr_array_unref(quarantine->records);
    g_free(quarantine);
}

static void add_record(PmQuarantine *quarantine, uint64_t offset, uint64_t end, const void *owner,
                       const char *listener, const char *reason)
{
    Record *record;

    if (quarantine->records->len == PM_QUARANTINE_MAX_RECORDS) {
        record = g_ptr_array_index(quarantine->records, PM_QUARANTINE_MAX_RECORDS - 1);
        record->offset = MIN(record->offset, offset);
        record->end = MAX(record->end, end);
        record->owner = NULL;
        return;
    }
    record = g_new0(Record, 1);
    record->offset = offset;
    record->end = end;
    record->owner = owner;
    record->listener = g_strdup(listener);
    record->reason = g_strdup(reason);
    g_ptr_array_add(quarantine->records, record);
}

static void set_blocks(PmQuarantine *quarantine, uint64_t offset, uint64_t size)
{
    pm_bitmap_set(quarantine->blocks, offset / quarantine->granularity,
                  size / quarantine->granularity);
}

void pm_quarantine_add(PmQuarantine *quarantine, uint64_t offset, uint64_t size, const void *owner,
                       const char *listener, const char *reason)
{
    set_blocks(quarantine, offset, size);
    add_record(quarantine, offset, offset + size, owner, listener, reason);
    quarantine->n_added++;
}

uint64_t pm_quarantine_n_added(const PmQuarantine *quarantine)
{
    return quarantine->n_added;
}

void pm_quarantine_clear(PmQuarantine *quarantine)
{
    if (quarantine->records->len == 0)
        return;
    pm_bitmap_clear(quarantine->blocks, 0, pm_bitmap_n_bits(quarantine->blocks));
    g_ptr_array_set_size(quarantine->records, 0);
}

/* Cuts a record down to its first and last block in quarantine. False if it has none: an empty
 * record would use up one of the records, and give its reason to blocks that are added later. Looks
 * from both ends only: a record may have many holes, and be cut at each of them. */
static bool trim(const PmQuarantine *quarantine, Record *record)
{
    uint64_t first = record->offset / quarantine->granularity;
    uint64_t end = record->end / quarantine->granularity;

    end = pm_bitmap_previous_set(quarantine->blocks, first, end);
    first = pm_bitmap_next_set(quarantine->blocks, first, end);
    record->offset = first * quarantine->granularity;
    record->end = end * quarantine->granularity;
    return first < end;
}

/* A record may still include blocks that have left quarantine: the bitmap decides. */
void pm_quarantine_remove(PmQuarantine *quarantine, uint64_t offset, uint64_t size)
{
    pm_bitmap_clear(quarantine->blocks, offset / quarantine->granularity,
                    size / quarantine->granularity);
    for (guint i = quarantine->records->len; i-- > 0;) {
        Record *record = g_ptr_array_index(quarantine->records, i);

        if (record->offset < offset + size && offset < record->end && !trim(quarantine, record))
            g_ptr_array_remove_index(quarantine->records, i);
    }
}

void pm_quarantine_disown(PmQuarantine *quarantine, const void *owner)
{
    for (guint i = 0; i < quarantine->records->len; i++) {
        Record *record = g_ptr_array_index(quarantine->records, i);

        if (record->owner == owner)
            record->owner = NULL;
    }
}

/* Sets the blocks of [@offset, @end) that records include. */
static void set_recorded(PmQuarantine *quarantine, uint64_t offset, uint64_t end)
{
    for (guint i = 0; i < quarantine->records->len; i++) {
        const Record *record = g_ptr_array_index(quarantine->records, i);
        uint64_t first = MAX(record->offset, offset);
        uint64_t last = MIN(record->end, end);

        if (first < last)
            set_blocks(quarantine, first, last - first);
    }
}

/* A block may be in the records of several owners. */
void pm_quarantine_remove_owner(PmQuarantine *quarantine, const void *owner)
{
    for (guint i = quarantine->records->len; i-- > 0;) {
        const Record *record = g_ptr_array_index(quarantine->records, i);
        uint64_t offset = record->offset;
        uint64_t end = record->end;

        if (record->owner != owner)
            continue;
        g_ptr_array_remove_index(quarantine->records, i);
        pm_bitmap_clear(quarantine->blocks, offset / quarantine->granularity,
                        (end - offset) / quarantine->granularity);
        set_recorded(quarantine, offset, end);
    }
}

uint64_t pm_quarantine_n_bytes(const PmQuarantine *quarantine)
{
    return pm_bitmap_n_set(quarantine->blocks) * quarantine->granularity;
}

uint64_t pm_quarantine_next(const PmQuarantine *quarantine, uint64_t offset, uint64_t end)
{
    /* Fast path: called before every request, and nearly always empty. */
    if (pm_bitmap_n_set(quarantine->blocks) == 0)
        return end;
    return quarantine->granularity * pm_bitmap_next_set(quarantine->blocks,
                                                        offset / quarantine->granularity,
                                                        end / quarantine->granularity);
}

uint64_t pm_quarantine_next_free(const PmQuarantine *quarantine, uint64_t offset, uint64_t end)
{
    if (pm_bitmap_n_set(quarantine->blocks) == 0)
        return offset;
    return quarantine->granularity * pm_bitmap_next_clear(quarantine->blocks,
                                                          offset / quarantine->granularity,
                                                          end / quarantine->granularity);
}

/* The first record that includes @offset; lowers @end to where it ends, or an earlier record
 * begins. */
static const Record *record_at(const PmQuarantine *quarantine, uint64_t offset, uint64_t *end)
{
    guint i;

    for (i = 0; i < quarantine->records->len; i++) {
        const Record *record = g_ptr_array_index(quarantine->records, i);

        if (record->offset <= offset && offset < record->end) {
            *end = MIN(*end, record->end);
            return record;
        }
        if (record->offset > offset)
            *end = MIN(*end, record->offset);
    }
    return NULL;
}

bool pm_quarantine_next_run(const PmQuarantine *quarantine, uint64_t offset, uint64_t *run_offset,
                            uint64_t *run_size, const char **listener, const char **reason)
{
    uint64_t start;
    uint64_t end = quarantine->size;
    const Record *record;

    /* Fast path, as above. */
    if (offset >= quarantine->size || pm_bitmap_n_set(quarantine->blocks) == 0)
        return false;
    start = pm_quarantine_next(quarantine, offset, quarantine->size);
    record = record_at(quarantine, start, &end);
    if (record == NULL)
        return false;
    *run_offset = start;
    *run_size = pm_quarantine_next_free(quarantine, start, end) - start;
    if (listener != NULL)
        *listener = record->listener;
    if (reason != NULL)
        *reason = record->reason;
    return true;
}
