/* SPDX-License-Identifier: MIT */
#include "base/range_map.h"

#include <string.h>

#define CHUNK_RECORDS 128

/* @first is the first record's, kept here so that a search touches no chunk but the right one. */
typedef struct {
    uint64_t first;
    guint n_records;
    uint8_t *records;
} Chunk;

struct PmRangeMap {
    size_t record_size;
    uint64_t n_records;
    Chunk *chunks; /* ascending; none is empty */
    guint n_chunks;
    guint n_chunks_allocated;
    guint recent; /* the chunk of the last search: the next one is mostly there, or in the one
                     behind */
};

PmRangeMap *pm_range_map_new(size_t record_size)
{
    PmRangeMap *map = g_new0(PmRangeMap, 1);

    map->record_size = record_size;
    return map;
}

void pm_range_map_free(PmRangeMap *map)
{
    if (map == NULL)
        return;
    for (guint i = 0; i < map->n_chunks; i++)
        g_free(map->chunks[i].records);
    g_free(map->chunks);
    g_free(map);
}

uint64_t pm_range_map_n_records(const PmRangeMap *map)
{
    return map->n_records;
}

static uint8_t *record_at(const PmRangeMap *map, const Chunk *chunk, guint index)
{
    return chunk->records + index * map->record_size;
}

static const PmRangeKey *key_at(const PmRangeMap *map, const Chunk *chunk, guint index)
{
    return (const PmRangeKey *)(const void *)record_at(map, chunk, index);
}

/* Whether @address belongs into the chunk: not before it, unless it is the first, and before the
 * next. */
static bool chunk_is_for(const PmRangeMap *map, guint index, uint64_t address)
{
    return index < map->n_chunks && (index == 0 || map->chunks[index].first <= address) &&
           (index + 1 == map->n_chunks || address < map->chunks[index + 1].first);
}

/* The chunk that @address belongs into; the map has one. */
static guint find_chunk(PmRangeMap *map, uint64_t address)
{
    guint low = 0;
    guint high = map->n_chunks;

    if (chunk_is_for(map, map->recent, address))
        return map->recent;
    if (chunk_is_for(map, map->recent + 1, address))
        return ++map->recent;
    while (high - low > 1) {
        guint middle = low + (high - low) / 2;

        if (map->chunks[middle].first <= address)
            low = middle;
        else
            high = middle;
    }
    map->recent = low;
    return low;
}

/* The first record of the chunk that ends at or behind @address; the number of records if there is
 * none. */
static guint find_record(const PmRangeMap *map, const Chunk *chunk, uint64_t address)
{
    guint low = 0;
    guint high = chunk->n_records;

    if (high > 0 && key_at(map, chunk, high - 1)->last < address)
        return high;
    while (low < high) {
        guint middle = low + (high - low) / 2;

        if (key_at(map, chunk, middle)->last < address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void *pm_range_map_find(PmRangeMap *map, uint64_t address)
{
    guint index;
    guint record;

    if (map->n_chunks == 0)
        return NULL;
    index = find_chunk(map, address);
    record = find_record(map, &map->chunks[index], address);
    if (record < map->chunks[index].n_records)
        return record_at(map, &map->chunks[index], record);
    if (index + 1 < map->n_chunks)
        return record_at(map, &map->chunks[index + 1], 0);
    return NULL;
}

/* Makes an empty chunk at @index. */
static bool add_chunk(PmRangeMap *map, guint index)
{
    uint8_t *records = g_try_malloc_n(CHUNK_RECORDS, map->record_size);

    if (records == NULL)
        return false;
    if (map->n_chunks == map->n_chunks_allocated) {
        guint n_allocated = MAX(16, 2 * map->n_chunks_allocated);
        Chunk *chunks = g_try_renew(Chunk, map->chunks, n_allocated);

        if (chunks == NULL) {
            g_free(records);
            return false;
        }
        map->chunks = chunks;
        map->n_chunks_allocated = n_allocated;
    }
    memmove(&map->chunks[index + 1], &map->chunks[index], (map->n_chunks - index) * sizeof(Chunk));
    map->chunks[index] = (Chunk){.records = records};
    map->n_chunks++;
    return true;
}

/*
 * Makes room in a full chunk for a record at @record. Appending to the last chunk starts a new one,
 * so that ascending order leaves full chunks behind; else the chunk is halved.
 */
static bool split_chunk(PmRangeMap *map, guint *index, guint *record)
{
    guint n_kept = *record == CHUNK_RECORDS ? CHUNK_RECORDS : CHUNK_RECORDS / 2;
    Chunk *chunk;
    Chunk *behind;

    if (!add_chunk(map, *index + 1))
        return false;
    chunk = &map->chunks[*index];
    behind = &map->chunks[*index + 1];
    behind->n_records = CHUNK_RECORDS - n_kept;
    memcpy(behind->records, record_at(map, chunk, n_kept), behind->n_records * map->record_size);
    chunk->n_records = n_kept;
    if (behind->n_records > 0)
        behind->first = key_at(map, behind, 0)->first;
    if (*record >= n_kept) {
        *index += 1;
        *record -= n_kept;
    }
    return true;
}

bool pm_range_map_insert(PmRangeMap *map, const void *record)
{
    const PmRangeKey *key = record;
    guint index = 0;
    guint place = 0;
    Chunk *chunk;

    if (map->n_chunks == 0) {
        if (!add_chunk(map, 0))
            return false;
    } else {
        index = find_chunk(map, key->first);
        place = find_record(map, &map->chunks[index], key->first);
        if (map->chunks[index].n_records == CHUNK_RECORDS && !split_chunk(map, &index, &place))
            return false;
    }
    chunk = &map->chunks[index];
    memmove(record_at(map, chunk, place + 1), record_at(map, chunk, place),
            (chunk->n_records - place) * map->record_size);
    memcpy(record_at(map, chunk, place), record, map->record_size);
    chunk->n_records++;
    chunk->first = key_at(map, chunk, 0)->first;
    map->n_records++;
    map->recent = index;
    return true;
}

/* Removes @count records from @place on in one chunk, which may be empty afterwards. */
static void remove_records(PmRangeMap *map, Chunk *chunk, guint place, guint count)
{
    memmove(record_at(map, chunk, place), record_at(map, chunk, place + count),
            (chunk->n_records - place - count) * map->record_size);
    chunk->n_records -= count;
    map->n_records -= count;
    if (chunk->n_records > 0)
        chunk->first = key_at(map, chunk, 0)->first;
}

/* Drops empty chunks of [@from, @end). */
static void drop_empty_chunks(PmRangeMap *map, guint from, guint end)
{
    guint kept = from;

    for (guint i = from; i < end; i++) {
        if (map->chunks[i].n_records > 0)
            map->chunks[kept++] = map->chunks[i];
        else
            g_free(map->chunks[i].records);
    }
    memmove(&map->chunks[kept], &map->chunks[end], (map->n_chunks - end) * sizeof(Chunk));
    map->n_chunks -= end - kept;
    map->recent = from < map->n_chunks ? from : 0;
}

uint64_t pm_range_map_remove(PmRangeMap *map, uint64_t first, uint64_t last)
{
    uint64_t n_before = map->n_records;
    guint from;
    guint index;

    if (map->n_chunks == 0)
        return 0;
    from = find_chunk(map, first);
    for (index = from; index < map->n_chunks; index++) {
        Chunk *chunk = &map->chunks[index];
        guint place = find_record(map, chunk, first);
        guint end = last == UINT64_MAX ? chunk->n_records : find_record(map, chunk, last + 1);

        if (chunk->first > last)
            break;
        if (end > place)
            remove_records(map, chunk, place, end - place);
    }
    drop_empty_chunks(map, from, index);
    return n_before - map->n_records;
}
