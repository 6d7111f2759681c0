/* SPDX-License-Identifier: MIT */
/*
 * PmLeaseIndex: the ranges of a lease table by host address; read without a lock while one thread
 * changes it.
 *
 * There are two arrays. A change writes the one that is not current, then makes it current with a
 * new version. A reader may therefore find anything at all in an array, once the version has
 * changed again; so it uses what it has read only if the version is still the same. Arrays are not
 * freed before the index, and neither are ranges: reading them is harmless at any time.
 */
#ifndef PLUGMAP_SRC_BUFFERS_LEASE_INDEX_H
#define PLUGMAP_SRC_BUFFERS_LEASE_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

typedef struct {
    uint64_t host; /* of the range's first byte */
    void *range;
} PmLeaseIndexEntry;

typedef struct PmLeaseIndexArray PmLeaseIndexArray;
struct PmLeaseIndexArray {
    PmLeaseIndexArray *replaced; /* a smaller one, which readers may still read */
    uint64_t capacity;
    uint64_t n_entries;
    PmLeaseIndexEntry entries[];
};

typedef struct {
    uint64_t version; /* its lowest bit says which array is current */
    PmLeaseIndexArray *arrays[2];
} PmLeaseIndex;

/* Acquire and release order everywhere: whoever reads something of a change sees its version too.
 */
static inline uint64_t pm_lease_index_version(const PmLeaseIndex *index)
{
    return __atomic_load_n(&index->version, __ATOMIC_ACQUIRE);
}

/* The last range of @version that begins at or before @host, or NULL. */
static inline void *pm_lease_index_find(const PmLeaseIndex *index, uint64_t version, uint64_t host)
{
    const PmLeaseIndexArray *array = __atomic_load_n(&index->arrays[version & 1], __ATOMIC_ACQUIRE);
    uint64_t n_left = __atomic_load_n(&array->n_entries, __ATOMIC_ACQUIRE);
    const PmLeaseIndexEntry *first = array->entries;

    if (n_left == 0 || __atomic_load_n(&first->host, __ATOMIC_ACQUIRE) > host)
        return NULL;
    while (n_left > 1) {
        uint64_t half = n_left / 2;

        first += __atomic_load_n(&first[half].host, __ATOMIC_ACQUIRE) <= host ? half : 0;
        n_left -= half;
    }
    return __atomic_load_n(&first->range, __ATOMIC_ACQUIRE);
}

void pm_lease_index_init(PmLeaseIndex *index);

/* The first range, or NULL. For the thread that changes the index. */
void *pm_lease_index_first(const PmLeaseIndex *index);

/* False without memory. No range begins at @host yet. */
bool pm_lease_index_insert(PmLeaseIndex *index, uint64_t host, void *range);

/* A range begins at @host. */
void pm_lease_index_remove(PmLeaseIndex *index, uint64_t host);

/* Frees the arrays. Nobody reads. */
void pm_lease_index_clear(PmLeaseIndex *index);

#endif
