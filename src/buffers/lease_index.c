/* SPDX-License-Identifier: MIT */
#include "buffers/lease_index.h"

#define FIRST_CAPACITY 8

static PmLeaseIndexArray *current(const PmLeaseIndex *index)
{
    return index->arrays[index->version & 1];
}

/* How many entries begin at or before @host. */
static uint64_t rank(const PmLeaseIndex *index, uint64_t host)
{
    const PmLeaseIndexArray *array = current(index);
    uint64_t low = 0;
    uint64_t high = array->n_entries;

    while (low < high) {
        uint64_t middle = low + (high - low) / 2;

        if (array->entries[middle].host <= host)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static uint64_t array_size(uint64_t capacity)
{
    return sizeof(PmLeaseIndexArray) + capacity * sizeof(PmLeaseIndexEntry);
}

/* The array that is not current, with room for so many entries; or NULL. */
static PmLeaseIndexArray *spare(PmLeaseIndex *index, uint64_t n_needed)
{
    PmLeaseIndexArray **place = &index->arrays[(index->version + 1) & 1];
    uint64_t capacity = (*place)->capacity;
    PmLeaseIndexArray *array;

    if (n_needed <= capacity)
        return *place;
    while (capacity < n_needed)
        capacity *= 2;
    array = g_try_malloc0(array_size(capacity));
    if (array == NULL)
        return NULL;
    array->capacity = capacity;
    array->replaced = *place;
    __atomic_store_n(place, array, __ATOMIC_RELEASE);
    return array;
}

static void put(PmLeaseIndexArray *array, uint64_t at, const PmLeaseIndexEntry *entry)
{
    __atomic_store_n(&array->entries[at].host, entry->host, __ATOMIC_RELEASE);
    __atomic_store_n(&array->entries[at].range, entry->range, __ATOMIC_RELEASE);
}

static void copy(PmLeaseIndexArray *to, uint64_t at, const PmLeaseIndexArray *from, uint64_t first,
                 uint64_t end)
{
    while (first < end)
        put(to, at++, &from->entries[first++]);
}

static void publish(PmLeaseIndex *index, PmLeaseIndexArray *array, uint64_t n)
{
    __atomic_store_n(&array->n_entries, n, __ATOMIC_RELEASE);
    __atomic_store_n(&index->version, index->version + 1, __ATOMIC_RELEASE);
}

void pm_lease_index_init(PmLeaseIndex *index)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(index->arrays); i++) {
        index->arrays[i] = g_malloc0(array_size(FIRST_CAPACITY));
        index->arrays[i]->capacity = FIRST_CAPACITY;
    }
}

void *pm_lease_index_first(const PmLeaseIndex *index)
{
    return current(index)->n_entries > 0 ? current(index)->entries[0].range : NULL;
}

bool pm_lease_index_insert(PmLeaseIndex *index, uint64_t host, void *range)
{
    uint64_t n = current(index)->n_entries;
    uint64_t at = rank(index, host);
    PmLeaseIndexArray *array = spare(index, n + 1);

    if (array == NULL)
        return false;
    copy(array, 0, current(index), 0, at);
    copy(array, at + 1, current(index), at, n);
    put(array, at, &(PmLeaseIndexEntry){host, range});
    publish(index, array, n + 1);
    return true;
}

void pm_lease_index_remove(PmLeaseIndex *index, uint64_t host)
{
    uint64_t n = current(index)->n_entries;
    uint64_t at = rank(index, host) - 1;
    /* It was current before the last change, so it has room for one entry less than now. */
    PmLeaseIndexArray *array = index->arrays[(index->version + 1) & 1];

    copy(array, 0, current(index), 0, at);
    copy(array, at, current(index), at + 1, n);
    publish(index, array, n - 1);
}

void pm_lease_index_clear(PmLeaseIndex *index)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(index->arrays); i++)
        while (index->arrays[i] != NULL) {
            PmLeaseIndexArray *array = index->arrays[i];

            index->arrays[i] = array->replaced;
            g_free(array);
        }
}
