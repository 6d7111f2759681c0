/* SPDX-License-Identifier: MIT */
#include "base/range_map.h"

#include <string.h>

#define CHUNK_RECORDS     128
#define MIN_CHUNK_RECORDS 2

typedef struct {
    uint8_t *records;
    guint n_records;
} Chunk;

/*
 * A gap buffer of chunks, in ascending order. The gap moves to where chunks are added and removed,
 * so that consecutive changes in one place move few of them. No chunk is empty.
 */
struct PmRangeMap {
    size_t record_size;
    guint chunk_records; /* the most of a chunk */
    uint64_t n_records;
    Chunk *chunks;
    guint n_chunks;
    guint gap; /* number of chunks before the gap */
    guint n_allocated;
    GPtrArray *spares; /* records of empty chunks, reserved by pm_range_map_reserve() */
    guint recent; /* result of the last search; the next one is usually this chunk or the next */
};

/* Chunk @index, not counting the gap. */
static Chunk *chunk_at(const PmRangeMap *map, guint index)
{
    return &map->chunks[index < map->gap ? index : index + (map->n_allocated - map->n_chunks)];
}

PmRangeMap *pm_range_map_new(size_t record_size)
{
    return pm_range_map_new_small(record_size, CHUNK_RECORDS);
}

PmRangeMap *pm_range_map_new_small(size_t record_size, uint64_t n_records)
{
    PmRangeMap *map = g_new0(PmRangeMap, 1);

    map->record_size = record_size;
    map->chunk_records = (guint)CLAMP(n_records, MIN_CHUNK_RECORDS, CHUNK_RECORDS);
    map->spares = g_ptr_array_new_with_free_func(g_free);
    return map;
}

void pm_range_map_free(PmRangeMap *map)
{
    if (map == NULL)
        return;
    for (guint i = 0; i < map->n_chunks; i++)
        g_free(chunk_at(map, i)->records);
    g_free(map->chunks);
    g_ptr_array_unref(map->spares);
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

static uint64_t first_of(const PmRangeMap *map, guint index)
{
    return key_at(map, chunk_at(map, index), 0)->first;
}

/* Whether the chunk is the place for @address: it starts at or before @address, or is the first,
 * and the next one starts after @address. */
static bool chunk_is_for(const PmRangeMap *map, guint index, uint64_t address)
{
    return index < map->n_chunks && (index == 0 || first_of(map, index) <= address) &&
           (index + 1 == map->n_chunks || address < first_of(map, index + 1));
}

/* The chunk for @address; the map must not be empty. */
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

        if (first_of(map, middle) <= address)
            low = middle;
        else
            high = middle;
    }
    map->recent = low;
    return low;
}

/* Index of the chunk's first record that ends at or after @address; the number of records if there
 * is none. */
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
    guint place;
    const Chunk *chunk;

    if (map->n_chunks == 0)
        return NULL;
    index = find_chunk(map, address);
    chunk = chunk_at(map, index);
    place = find_record(map, chunk, address);
    if (place < chunk->n_records)
        return record_at(map, chunk, place);
    return index + 1 < map->n_chunks ? record_at(map, chunk_at(map, index + 1), 0) : NULL;
}

static void move_gap(PmRangeMap *map, guint index)
{
    guint gap_size = map->n_allocated - map->n_chunks;

    if (index < map->gap)
        memmove(&map->chunks[index + gap_size], &map->chunks[index],
                (map->gap - index) * sizeof(Chunk));
    else if (index > map->gap)
        memmove(&map->chunks[map->gap], &map->chunks[map->gap + gap_size],
                (index - map->gap) * sizeof(Chunk));
    map->gap = index;
}

static bool grow_directory(PmRangeMap *map)
{
    guint n_allocated = MAX(4, 2 * map->n_allocated);
    Chunk *chunks;

    move_gap(map, map->n_chunks);
    chunks = g_try_renew(Chunk, map->chunks, n_allocated);
    if (chunks == NULL)
        return false;
    map->chunks = chunks;
    map->n_allocated = n_allocated;
    map->gap = map->n_chunks;
    return true;
}

static uint8_t *make_records(PmRangeMap *map)
{
    if (map->spares->len > 0)
        return g_ptr_array_steal_index_fast(map->spares, map->spares->len - 1);
    return g_try_malloc_n(map->chunk_records, map->record_size);
}

/* An insert adds at most one chunk. */
bool pm_range_map_reserve(PmRangeMap *map, guint n_inserts)
{
    while (map->spares->len < n_inserts) {
        uint8_t *records = g_try_malloc_n(map->chunk_records, map->record_size);

        if (records == NULL)
            return false;
        g_ptr_array_add(map->spares, records);
    }
    while (map->n_allocated - map->n_chunks < n_inserts)
        if (!grow_directory(map))
            return false;
    return true;
}

/* Adds an empty chunk at @index. */
static bool add_chunk(PmRangeMap *map, guint index)
{
    uint8_t *records = make_records(map);

    if (records == NULL)
        return false;
    if (map->n_chunks == map->n_allocated && !grow_directory(map)) {
        g_free(records);
        return false;
    }
    move_gap(map, index);
    map->chunks[map->gap++] = (Chunk){.records = records};
    map->n_chunks++;
    return true;
}

/*
 * Makes room in a full chunk for a record at @place. Appending starts a new chunk, so that inserts
 * in ascending order fill the chunks; other inserts split the chunk in half.
 */
static bool split_chunk(PmRangeMap *map, guint *index, guint *place)
{
    guint n_kept = *place == map->chunk_records ? map->chunk_records : map->chunk_records / 2;
    Chunk *chunk;
    Chunk *after;

    if (!add_chunk(map, *index + 1))
        return false;
    chunk = chunk_at(map, *index);
    after = chunk_at(map, *index + 1);
    after->n_records = map->chunk_records - n_kept;
    memcpy(after->records, record_at(map, chunk, n_kept), after->n_records * map->record_size);
    chunk->n_records = n_kept;
    if (*place >= n_kept) {
        *index += 1;
        *place -= n_kept;
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
        place = find_record(map, chunk_at(map, index), key->first);
        if (chunk_at(map, index)->n_records == map->chunk_records &&
            !split_chunk(map, &index, &place))
            return false;
    }
    chunk = chunk_at(map, index);
    memmove(record_at(map, chunk, place + 1), record_at(map, chunk, place),
            (chunk->n_records - place) * map->record_size);
    memcpy(record_at(map, chunk, place), record, map->record_size);
    chunk->n_records++;
    map->n_records++;
    map->recent = index;
    return true;
}

/* Removes the records in [@first, @last] from one chunk, which may end up empty. */
static void remove_from_chunk(PmRangeMap *map, Chunk *chunk, uint64_t first, uint64_t last)
{
    guint place = find_record(map, chunk, first);
    guint end = last == UINT64_MAX ? chunk->n_records : find_record(map, chunk, last + 1);

    memmove(record_at(map, chunk, place), record_at(map, chunk, end),
            (chunk->n_records - end) * map->record_size);
    chunk->n_records -= end - place;
    map->n_records -= end - place;
}

/* Removes empty chunks among [@from, @end); only the first and the last can have records left. */
static void drop_empty_chunks(PmRangeMap *map, guint from, guint end)
{
    if (from < end && chunk_at(map, from)->n_records > 0)
        from++;
    if (from < end && chunk_at(map, end - 1)->n_records > 0)
        end--;
    if (from < end)
        move_gap(map, end);
    for (; from < end; end--) {
        g_free(map->chunks[--map->gap].records);
        map->n_chunks--;
    }
    map->recent = from < map->n_chunks ? from : 0;
}

uint64_t pm_range_map_remove(PmRangeMap *map, uint64_t first, uint64_t last)
{
    uint64_t n_before = map->n_records;
    guint from;
    guint end;

    if (map->n_chunks == 0)
        return 0;
    from = find_chunk(map, first);
    for (end = from; end < map->n_chunks && (end == from || first_of(map, end) <= last); end++)
        remove_from_chunk(map, chunk_at(map, end), first, last);
    drop_empty_chunks(map, from, end);
    return n_before - map->n_records;
}
