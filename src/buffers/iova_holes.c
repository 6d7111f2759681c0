/* SPDX-License-Identifier: MIT */
#include "buffers/iova_holes.h"

/* How many of the smallest holes are tried before one that has room wherever it starts. */
#define N_TRIES 16

struct PmIovaHoles {
    uint64_t page_size;
    uint64_t n_bytes;
    GTree *by_address; /* of PmIovaRange, owned */
    GTree *by_size;    /* the same ranges */
};

static int compare(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

static int compare_addresses(const void *a, const void *b, void *user_data)
{
    (void)user_data;
    return compare(((const PmIovaRange *)a)->start, ((const PmIovaRange *)b)->start);
}

/* Less one, so that it cannot overflow. */
static uint64_t size_of(const PmIovaRange *hole)
{
    return hole->last - hole->start;
}

static int compare_sizes(const void *a, const void *b, void *user_data)
{
    int order = compare(size_of(a), size_of(b));

    return order != 0 ? order : compare_addresses(a, b, user_data);
}

PmIovaHoles *pm_iova_holes_new(uint64_t page_size)
{
    PmIovaHoles *holes = g_new0(PmIovaHoles, 1);

    holes->page_size = page_size;
    holes->by_address = g_tree_new_full(compare_addresses, NULL, g_free, NULL);
    holes->by_size = g_tree_new_full(compare_sizes, NULL, NULL, NULL);
    return holes;
}

void pm_iova_holes_free(PmIovaHoles *holes)
{
    if (holes == NULL)
        return;
    g_tree_unref(holes->by_size);
    g_tree_unref(holes->by_address);
    g_free(holes);
}

static void insert(PmIovaHoles *holes, uint64_t first, uint64_t last)
{
    PmIovaRange *hole = g_new(PmIovaRange, 1);

    *hole = (PmIovaRange){first, last};
    g_tree_insert(holes->by_address, hole, hole);
    g_tree_insert(holes->by_size, hole, hole);
    holes->n_bytes += last - first + 1;
}

static void drop(PmIovaHoles *holes, PmIovaRange *hole)
{
    holes->n_bytes -= hole->last - hole->start + 1;
    g_tree_remove(holes->by_size, hole);
    g_tree_remove(holes->by_address, hole);
}

/* The hole that contains @address, else the next one. */
static PmIovaRange *find_at(const PmIovaHoles *holes, uint64_t address)
{
    const PmIovaRange probe = {address, address};
    GTreeNode *after = g_tree_upper_bound(holes->by_address, &probe);
    GTreeNode *before =
        after != NULL ? g_tree_node_previous(after) : g_tree_node_last(holes->by_address);
    PmIovaRange *hole = before != NULL ? g_tree_node_value(before) : NULL;

    if (hole != NULL && hole->last >= address)
        return hole;
    return after != NULL ? g_tree_node_value(after) : NULL;
}

void pm_iova_holes_add(PmIovaHoles *holes, uint64_t first, uint64_t last)
{
    PmIovaRange *before = first > 0 ? find_at(holes, first - 1) : NULL;
    PmIovaRange *after = last < UINT64_MAX ? find_at(holes, last + 1) : NULL;

    if (before != NULL && before->last == first - 1) {
        first = before->start;
        drop(holes, before);
    }
    if (after != NULL && after->start == last + 1) {
        last = after->last;
        drop(holes, after);
    }
    insert(holes, first, last);
}

static void cut(PmIovaHoles *holes, PmIovaRange *hole, uint64_t first, uint64_t last)
{
    const PmIovaRange whole = *hole;

    drop(holes, hole);
    if (whole.start < first)
        insert(holes, whole.start, first - 1);
    if (whole.last > last)
        insert(holes, last + 1, whole.last);
}

void pm_iova_holes_remove(PmIovaHoles *holes, uint64_t first, uint64_t last, GArray *removed)
{
    PmIovaRange *hole;

    while ((hole = find_at(holes, first)) != NULL && hole->start <= last) {
        const PmIovaRange piece = {MAX(first, hole->start), MIN(last, hole->last)};

        cut(holes, hole, piece.start, piece.last);
        if (removed != NULL)
            g_array_append_val(removed, piece);
    }
}

static bool has_room(const PmIovaRange *hole, uint64_t size, uint64_t alignment, uint64_t *iova)
{
    uint64_t skip = -hole->start & (alignment - 1);

    if (skip > size_of(hole) || size_of(hole) - skip < size - 1)
        return false;
    *iova = hole->start + skip;
    return true;
}

/* The smallest hole of at least @size bytes. */
static GTreeNode *find_size(const PmIovaHoles *holes, uint64_t size)
{
    const PmIovaRange probe = {0, size - 1};

    return g_tree_lower_bound(holes->by_size, &probe);
}

bool pm_iova_holes_find(const PmIovaHoles *holes, uint64_t size, uint64_t alignment, uint64_t *iova)
{
    uint64_t spare = alignment - holes->page_size;
    GTreeNode *node = find_size(holes, size);
    GTreeNode *sure;

    for (unsigned i = 0; node != NULL && i < N_TRIES; i++, node = g_tree_node_next(node)) {
        if (has_room(g_tree_node_value(node), size, alignment, iova))
            return true;
    }
    sure = spare <= UINT64_MAX - size ? find_size(holes, size + spare) : NULL;
    if (sure != NULL)
        return has_room(g_tree_node_value(sure), size, alignment, iova);
    for (; node != NULL; node = g_tree_node_next(node)) {
        if (has_room(g_tree_node_value(node), size, alignment, iova))
            return true;
    }
    return false;
}

bool pm_iova_holes_find_last(const PmIovaHoles *holes, PmIovaRange *range)
{
    GTreeNode *last = g_tree_node_last(holes->by_address);

    if (last == NULL)
        return false;
    *range = *(const PmIovaRange *)g_tree_node_value(last);
    return true;
}

uint64_t pm_iova_holes_n_bytes(const PmIovaHoles *holes)
{
    return holes->n_bytes;
}

uint64_t pm_iova_holes_n_holes(const PmIovaHoles *holes)
{
    return (uint64_t)g_tree_nnodes(holes->by_address);
}

uint64_t pm_iova_holes_largest(const PmIovaHoles *holes)
{
    GTreeNode *last = g_tree_node_last(holes->by_size);

    return last != NULL ? size_of(g_tree_node_value(last)) + 1 : 0;
}
