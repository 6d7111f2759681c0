/* SPDX-License-Identifier: MIT */
#include "fake/memory/page_table.h"

#include <string.h>

/*
 * A radix tree like an x86 IOMMU's: 9 address bits per level, from bit 12 to bit 63. An entry is 0,
 * a table of the level below, or a leaf: a host address with permissions and a dirty mark in its
 * low bits.
 */
#define LEVEL_BITS    9
#define PAGE_SHIFT    12
#define N_LEVELS      6 /* 4 KiB, 2 MiB, 1 GiB, 512 GiB, 256 TiB, 128 PiB */
#define N_LEAF_LEVELS 3
#define N_ENTRIES     (1U << LEVEL_BITS)

/* Tables are 16-byte aligned. */
#define LEAF        (UINT64_C(1) << 3)
#define DIRTY       (UINT64_C(1) << 2)
#define ACCESS_MASK ((uint64_t)PM_IOMMU_READ_WRITE)
#define HOST_MASK   (~UINT64_C(0xfff))

typedef struct {
    uint64_t entries[N_ENTRIES];
    unsigned n_used;
} Table;

struct PmPageTable {
    Table *root;
    bool tracks_dirty;
};

static unsigned shift_of(unsigned level)
{
    return PAGE_SHIFT + LEVEL_BITS * level;
}

static uint64_t size_of(unsigned level)
{
    return UINT64_C(1) << shift_of(level);
}

static unsigned index_of(uint64_t iova, unsigned level)
{
    return (unsigned)(iova >> shift_of(level)) % N_ENTRIES;
}

static bool is_leaf(uint64_t entry)
{
    return (entry & LEAF) != 0;
}

static Table *table_of(uint64_t entry)
{
    return (Table *)(uintptr_t)entry;
}

PmPageTable *pm_page_table_new(void)
{
    PmPageTable *table = g_new0(PmPageTable, 1);

    table->root = g_new0(Table, 1);
    return table;
}

static void free_table(Table *table, unsigned level)
{
    for (unsigned i = 0; i < N_ENTRIES && table->n_used > 0; i++) {
        uint64_t entry = table->entries[i];

        if (entry == 0)
            continue;
        if (!is_leaf(entry))
            free_table(table_of(entry), level - 1);
        table->n_used--;
    }
    g_free(table);
}

void pm_page_table_free(PmPageTable *table)
{
    if (table == NULL)
        return;
    free_table(table->root, N_LEVELS - 1);
    g_free(table);
}

/* The largest page that begins at @iova and fits into @size. */
static unsigned leaf_level(uint64_t iova, uint64_t size)
{
    unsigned level = N_LEAF_LEVELS - 1;

    while (level > 0 && (iova % size_of(level) != 0 || size < size_of(level)))
        level--;
    return level;
}

/* The table of @level that covers @iova, created as needed. NULL: out of memory. */
static Table *make_path(Table *table, uint64_t iova, unsigned level)
{
    for (unsigned at = N_LEVELS - 1; at > level; at--) {
        uint64_t *entry = &table->entries[index_of(iova, at)];

        if (*entry == 0) {
            Table *below = g_try_new0(Table, 1);

            if (below == NULL)
                return NULL;
            *entry = (uintptr_t)below;
            table->n_used++;
        }
        table = table_of(*entry);
    }
    return table;
}

bool pm_page_table_map(PmPageTable *table, uint64_t iova, uint64_t host, uint64_t size,
                       PmIommuAccess access)
{
    uint64_t done = 0;

    while (done < size) {
        unsigned level = leaf_level(iova + done, size - done);
        Table *leaves = make_path(table->root, iova + done, level);

        if (leaves == NULL) {
            pm_page_table_unmap(table, iova, size);
            return false;
        }
        leaves->entries[index_of(iova + done, level)] = (host + done) | LEAF | (uint64_t)access;
        leaves->n_used++;
        done += size_of(level);
    }
    return true;
}

/* Clears leaves of [@first, @last] below @table, which begins at @base; frees tables that become
 * empty. */
static void clear_range(Table *table, unsigned level, uint64_t base, uint64_t first, uint64_t last)
{
    uint64_t entry_size = size_of(level);
    unsigned begin = first > base ? index_of(first, level) : 0;

    for (unsigned i = begin; i < N_ENTRIES; i++) {
        uint64_t entry_base = base + i * entry_size;
        uint64_t *entry = &table->entries[i];

        if (entry_base > last || (level == N_LEVELS - 1 && i >= 1U << (64 - shift_of(level))))
            return;
        if (*entry == 0)
            continue;
        if (!is_leaf(*entry)) {
            Table *below = table_of(*entry);

            clear_range(below, level - 1, entry_base, first, last);
            if (below->n_used > 0)
                continue;
            g_free(below);
        }
        *entry = 0;
        table->n_used--;
    }
}

void pm_page_table_unmap(PmPageTable *table, uint64_t iova, uint64_t size)
{
    if (size > 0)
        clear_range(table->root, N_LEVELS - 1, 0, iova, iova + (size - 1));
}

/* The leaf for @iova, or an empty entry; @level: of the entry. */
static uint64_t *find_place(const PmPageTable *table, uint64_t iova, unsigned *level)
{
    Table *at = table->root;

    for (*level = N_LEVELS - 1;; (*level)--) {
        uint64_t *entry = &at->entries[index_of(iova, *level)];

        if (*entry == 0 || is_leaf(*entry))
            return entry;
        at = table_of(*entry);
    }
}

static uint64_t find_entry(const PmPageTable *table, uint64_t iova, unsigned *level)
{
    return *find_place(table, iova, level);
}

bool pm_page_table_translate(const PmPageTable *table, uint64_t iova, uint64_t *host,
                             PmIommuAccess *access, uint64_t *left)
{
    unsigned level;
    uint64_t entry = find_entry(table, iova, &level);
    uint64_t offset = iova % size_of(level);

    if (entry == 0)
        return false;
    *host = (entry & HOST_MASK) + offset;
    *access = (PmIommuAccess)(entry & ACCESS_MASK);
    *left = size_of(level) - offset;
    return true;
}

/* The first leaf that ends at or after *@iova below @table, which begins at @base; no table is
 * empty. */
static bool find_leaf(const Table *table, unsigned level, uint64_t base, uint64_t *iova)
{
    unsigned begin = *iova > base ? index_of(*iova, level) : 0;
    unsigned end = level == N_LEVELS - 1 ? 1U << (64 - shift_of(level)) : N_ENTRIES;

    for (unsigned i = begin; i < end; i++) {
        uint64_t entry = table->entries[i];
        uint64_t entry_base = base + i * size_of(level);

        if (entry == 0)
            continue;
        if (is_leaf(entry)) {
            *iova = MAX(*iova, entry_base);
            return true;
        }
        if (find_leaf(table_of(entry), level - 1, entry_base, iova))
            return true;
    }
    return false;
}

/* The first untranslated address after @iova, at most @last + 1; 0 is 2^64. */
static uint64_t find_hole(const PmPageTable *table, uint64_t iova, uint64_t last)
{
    unsigned level;

    while (find_entry(table, iova, &level) != 0) {
        uint64_t leaf_last = iova | (size_of(level) - 1);

        if (leaf_last >= last)
            return last + 1;
        iova = leaf_last + 1;
    }
    return iova;
}

bool pm_page_table_next_run(const PmPageTable *table, uint64_t iova, uint64_t last,
                            uint64_t *run_iova, uint64_t *run_size)
{
    if (!find_leaf(table->root, N_LEVELS - 1, 0, &iova) || iova > last)
        return false;
    *run_iova = iova;
    *run_size = find_hole(table, iova, last) - iova;
    return true;
}

void pm_page_table_track_dirty(PmPageTable *table, bool on)
{
    table->tracks_dirty = on;
}

void pm_page_table_mark_dirty(PmPageTable *table, uint64_t iova)
{
    unsigned level;

    if (table->tracks_dirty)
        *find_place(table, iova, &level) |= DIRTY;
}

uint64_t pm_page_table_take_dirty(PmPageTable *table, uint64_t iova, bool clean, bool *dirty)
{
    unsigned level;
    uint64_t *entry = find_place(table, iova, &level);

    *dirty = (*entry & DIRTY) != 0;
    if (*entry == 0)
        return 0;
    *entry &= clean ? ~DIRTY : UINT64_MAX;
    return size_of(level);
}
