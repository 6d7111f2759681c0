/* SPDX-License-Identifier: MIT */
#include "base/interval_index.h"

#define ADDRESS_BITS 64

struct PmIntervalIndex {
    GTree *by_first; /* by center, then first address */
    GTree *by_last;  /* by center, then last address */
    uint64_t n_inserted;
    uint64_t n_at_level[ADDRESS_BITS + 1]; /* by the trailing zeros of the center */
};

static int compare(uint64_t one, uint64_t other)
{
    return (one > other) - (one < other);
}

static int compare_first(const void *one, const void *other, void *user_data)
{
    const PmInterval *a = one;
    const PmInterval *b = other;
    int order = compare(a->center, b->center);

    (void)user_data;
    order = order != 0 ? order : compare(a->first, b->first);
    return order != 0 ? order : compare(a->number, b->number);
}

static int compare_last(const void *one, const void *other, void *user_data)
{
    const PmInterval *a = one;
    const PmInterval *b = other;
    int order = compare(a->center, b->center);

    (void)user_data;
    order = order != 0 ? order : compare(a->last, b->last);
    return order != 0 ? order : compare(a->number, b->number);
}

PmIntervalIndex *pm_interval_index_new(void)
{
    PmIntervalIndex *index = g_new0(PmIntervalIndex, 1);

    index->by_first = g_tree_new_full(compare_first, NULL, NULL, NULL);
    index->by_last = g_tree_new_full(compare_last, NULL, NULL, NULL);
    return index;
}

void pm_interval_index_free(PmIntervalIndex *index)
{
    if (index == NULL)
        return;
    g_tree_unref(index->by_first);
    g_tree_unref(index->by_last);
    g_free(index);
}

uint64_t pm_interval_index_n_intervals(const PmIntervalIndex *index)
{
    return (uint64_t)g_tree_nnodes(index->by_first);
}

/* Of the highest bit in which they differ, the last address has a one and the address before the
 * first a zero. */
static uint64_t center_of(uint64_t first, uint64_t last)
{
    int bit;

    if (first == 0)
        return 0;
    bit = ADDRESS_BITS - 1 - __builtin_clzll((first - 1) ^ last);
    return last >> bit << bit;
}

static unsigned level_of(uint64_t center)
{
    return center == 0 ? ADDRESS_BITS : (unsigned)__builtin_ctzll(center);
}

void pm_interval_index_insert(PmIntervalIndex *index, PmInterval *interval)
{
    interval->center = center_of(interval->first, interval->last);
    interval->number = ++index->n_inserted;
    index->n_at_level[level_of(interval->center)]++;
    g_tree_insert(index->by_first, interval, interval);
    g_tree_insert(index->by_last, interval, interval);
}

void pm_interval_index_remove(PmIntervalIndex *index, PmInterval *interval)
{
    index->n_at_level[level_of(interval->center)]--;
    (void)g_tree_remove(index->by_first, interval);
    (void)g_tree_remove(index->by_last, interval);
}

/* Those with their center in the range. */
static bool visit_inside(const PmIntervalIndex *index, uint64_t first, uint64_t last,
                         PmIntervalFunc func, void *user_data)
{
    const PmInterval probe = {.center = first};
    GTreeNode *node = g_tree_lower_bound(index->by_first, &probe);

    for (; node != NULL; node = g_tree_node_next(node)) {
        PmInterval *interval = g_tree_node_value(node);

        if (interval->center > last)
            return true;
        if (!func(interval, user_data))
            return false;
    }
    return true;
}

/* Those with this center, which is below @first, that end at or after @first. */
static bool visit_below(const PmIntervalIndex *index, uint64_t center, uint64_t first,
                        PmIntervalFunc func, void *user_data)
{
    const PmInterval probe = {.center = center, .last = first};
    GTreeNode *node;

    if (index->n_at_level[level_of(center)] == 0)
        return true;
    node = g_tree_lower_bound(index->by_last, &probe);
    for (; node != NULL; node = g_tree_node_next(node)) {
        PmInterval *interval = g_tree_node_value(node);

        if (interval->center != center)
            return true;
        if (!func(interval, user_data))
            return false;
    }
    return true;
}

/* Those with this center, which is above @last, that begin at or before @last. */
static bool visit_above(const PmIntervalIndex *index, uint64_t center, uint64_t last,
                        PmIntervalFunc func, void *user_data)
{
    const PmInterval probe = {.center = center};
    GTreeNode *node;

    if (index->n_at_level[level_of(center)] == 0)
        return true;
    node = g_tree_lower_bound(index->by_first, &probe);
    for (; node != NULL; node = g_tree_node_next(node)) {
        PmInterval *interval = g_tree_node_value(node);

        if (interval->center != center || interval->first > last)
            return true;
        if (!func(interval, user_data))
            return false;
    }
    return true;
}

/* An interval that reaches the range from a center outside has no address with more trailing zeros
 * on the way. So below there are only the centers that are @first without some of its lowest ones,
 * and above only @last + 1, rounded up to more and more trailing zeros. */
bool pm_interval_index_foreach(const PmIntervalIndex *index, uint64_t first, uint64_t last,
                               PmIntervalFunc func, void *user_data)
{
    uint64_t center;

    if (!visit_inside(index, first, last, func, user_data))
        return false;
    for (center = first; center != 0;) {
        center &= center - 1;
        if (!visit_below(index, center, first, func, user_data))
            return false;
    }
    for (center = last + 1; center != 0; center += center & -center)
        if (!visit_above(index, center, last, func, user_data))
            return false;
    return true;
}
