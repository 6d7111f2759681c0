/* SPDX-License-Identifier: MIT */
#include "buffers/iova_allocator.h"

#include <inttypes.h>
#include <pthread.h>

#include <plugmap/size.h>

#include "base/error_text.h"
#include "buffers/iova_holes.h"
#include "iommu/claim.h"

#define N_CLASSES 2

/* @hidden: free, but of no use when last looked at; of PmIovaRange. */
typedef struct {
    PmIovaHoles *holes;
    GArray *hidden;
} Arena;

struct PmIovaAllocator {
    pthread_mutex_t lock; /* not GMutex, which the thread sanitizer misses */
    PmIommu *iommu;
    uint64_t page_size;
    uint64_t n_taken;
    Arena arenas[N_CLASSES];
};

/* --- creation --- */

/* Only whole pages, and not the first. */
static void add_valid(PmIovaAllocator *allocator, const PmIovaRange *range, PmIovaRange window)
{
    uint64_t page = allocator->page_size;
    uint64_t first = MAX(MAX(range->start, window.start), page);
    uint64_t last = MIN(range->last, window.last);

    if (first > UINT64_MAX - (page - 1) || last < page - 1)
        return;
    first = (first + page - 1) & ~(page - 1);
    /* The last byte of the last whole page. */
    last = last % page == page - 1 ? last : (last & ~(page - 1)) - 1;
    if (first < last)
        pm_iova_holes_add(allocator->arenas[PM_IOVA_FIXED].holes, first, last);
}

/* Takes the pages away that it touches. */
static void remove_pages(const PmIovaAllocator *allocator, Arena *arena, const PmIovaRange *range,
                         GArray *removed)
{
    uint64_t mask = allocator->page_size - 1;

    pm_iova_holes_remove(arena->holes, range->start & ~mask, range->last | mask, removed);
}

static void set_temporaries_apart(PmIovaAllocator *allocator, uint64_t size)
{
    Arena *fixed = &allocator->arenas[PM_IOVA_FIXED];
    Arena *temporary = &allocator->arenas[PM_IOVA_TEMPORARY];
    PmIovaRange range;

    size = MIN(size, pm_iova_holes_n_bytes(fixed->holes) / 2) & ~(allocator->page_size - 1);
    while (size > 0 && pm_iova_holes_find_last(fixed->holes, &range)) {
        if (range.last - range.start >= size)
            range.start = range.last - (size - 1);
        pm_iova_holes_remove(fixed->holes, range.start, range.last, NULL);
        pm_iova_holes_add(temporary->holes, range.start, range.last);
        size -= range.last - range.start + 1;
    }
}

PmIovaAllocator *pm_iova_allocator_new(const PmIovaAllocatorConfig *config)
{
    PmIovaAllocator *allocator = g_new0(PmIovaAllocator, 1);
    PmIovaRange window = config->window;
    const PmIovaRange *valid = config->valid;
    size_t n_valid = config->n_valid;

    if (window.start == 0 && window.last == 0)
        window.last = UINT64_MAX;
    if (config->iommu != NULL)
        valid = pm_iommu_get_iova_ranges(config->iommu, &n_valid);
    allocator->iommu = config->iommu;
    allocator->page_size = config->page_size;
    pthread_mutex_init(&allocator->lock, NULL);
    for (unsigned i = 0; i < N_CLASSES; i++) {
        allocator->arenas[i].holes = pm_iova_holes_new(config->page_size);
        allocator->arenas[i].hidden = g_array_new(false, false, sizeof(PmIovaRange));
    }
    for (size_t i = 0; i < n_valid; i++)
        add_valid(allocator, &valid[i], window);
    for (size_t i = 0; i < config->n_avoid; i++)
        remove_pages(allocator, &allocator->arenas[PM_IOVA_FIXED], &config->avoid[i], NULL);
    set_temporaries_apart(allocator, config->temporary_size);
    return allocator;
}

void pm_iova_allocator_free(PmIovaAllocator *allocator)
{
    if (allocator == NULL)
        return;
    for (unsigned i = 0; i < N_CLASSES; i++) {
        pm_iova_holes_free(allocator->arenas[i].holes);
        g_array_unref(allocator->arenas[i].hidden);
    }
    pthread_mutex_destroy(&allocator->lock);
    g_free(allocator);
}

/* --- taking --- */

/* The first part of @range that is not valid, now that devices were attached. */
static bool find_gap(PmIommu *iommu, const PmIovaRange *range, PmIovaRange *gap)
{
    size_t n_valid;
    const PmIovaRange *valid = pm_iommu_get_iova_ranges(iommu, &n_valid);

    *gap = *range;
    for (size_t i = 0; i < n_valid; i++) {
        if (valid[i].last < gap->start)
            continue;
        if (valid[i].start > gap->start) {
            gap->last = MIN(gap->last, valid[i].start - 1);
            return true;
        }
        if (valid[i].last >= range->last)
            return false;
        gap->start = valid[i].last + 1;
    }
    return true;
}

static bool find_obstacle(const PmIovaAllocator *allocator, const PmIovaRange *range,
                          PmIovaRange *obstacle)
{
    if (allocator->iommu == NULL)
        return false;
    if (find_gap(allocator->iommu, range, obstacle))
        return true;
    return pm_iommu_find_claim(allocator->iommu, range->start, obstacle) &&
           obstacle->start <= range->last;
}

/* Claims may have ended. Returns false if nothing is hidden. */
static bool unhide(Arena *arena)
{
    guint n_hidden = arena->hidden->len;

    for (guint i = 0; i < n_hidden; i++) {
        const PmIovaRange *range = &g_array_index(arena->hidden, PmIovaRange, i);

        pm_iova_holes_add(arena->holes, range->start, range->last);
    }
    g_array_set_size(arena->hidden, 0);
    return n_hidden > 0;
}

/* A range of holes without an obstacle. */
static bool find(PmIovaAllocator *allocator, Arena *arena, uint64_t size, uint64_t alignment,
                 PmIovaRange *range)
{
    PmIovaRange obstacle;

    while (pm_iova_holes_find(arena->holes, size, alignment, &range->start)) {
        range->last = range->start + (size - 1);
        if (!find_obstacle(allocator, range, &obstacle))
            return true;
        remove_pages(allocator, arena, &obstacle, arena->hidden);
    }
    return false;
}

static bool fail_full(const Arena *arena, PmIovaClass iova_class, uint64_t size, uint64_t alignment,
                      GError **error)
{
    g_autofree char *wanted = pm_size_format(size);
    g_autofree char *unit = pm_size_format(alignment);
    g_autofree char *largest = pm_size_format(pm_iova_holes_largest(arena->holes));

    return pm_fail(error, PM_ERROR_LIMIT,
                   "no room for %s of %s I/O addresses at a multiple of %s: the largest free range "
                   "has %s; unregister buffers, or allow more addresses",
                   wanted, iova_class == PM_IOVA_FIXED ? "fixed" : "temporary", unit, largest);
}

static bool take(PmIovaAllocator *allocator, PmIovaClass iova_class, uint64_t size,
                 uint64_t alignment, uint64_t *iova, GError **error)
{
    Arena *arena = &allocator->arenas[iova_class];
    PmIovaRange range;

    if (allocator->n_taken >= PM_IOVA_MAX_TAKEN) {
        g_autofree char *limit = pm_counted(PM_IOVA_MAX_TAKEN, "range");

        return pm_fail(error, PM_ERROR_LIMIT, "%s of I/O addresses are in use, the maximum", limit);
    }
    if (!find(allocator, arena, size, alignment, &range) &&
        !(unhide(arena) && find(allocator, arena, size, alignment, &range)))
        return fail_full(arena, iova_class, size, alignment, error);
    pm_iova_holes_remove(arena->holes, range.start, range.last, NULL);
    allocator->n_taken++;
    *iova = range.start;
    return true;
}

bool pm_iova_allocator_take(PmIovaAllocator *allocator, PmIovaClass iova_class, uint64_t size,
                            uint64_t alignment, uint64_t *iova, GError **error)
{
    bool taken;

    pthread_mutex_lock(&allocator->lock);
    taken = take(allocator, iova_class, size, MAX(alignment, allocator->page_size), iova, error);
    pthread_mutex_unlock(&allocator->lock);
    return taken;
}

void pm_iova_allocator_put(PmIovaAllocator *allocator, PmIovaClass iova_class, uint64_t iova,
                           uint64_t size)
{
    pthread_mutex_lock(&allocator->lock);
    pm_iova_holes_add(allocator->arenas[iova_class].holes, iova, iova + (size - 1));
    allocator->n_taken--;
    pthread_mutex_unlock(&allocator->lock);
}

/* --- numbers --- */

uint64_t pm_iova_allocator_get_n_free(PmIovaAllocator *allocator, PmIovaClass iova_class)
{
    uint64_t n_bytes;

    pthread_mutex_lock(&allocator->lock);
    n_bytes = pm_iova_holes_n_bytes(allocator->arenas[iova_class].holes);
    pthread_mutex_unlock(&allocator->lock);
    return n_bytes;
}

uint64_t pm_iova_allocator_get_n_holes(PmIovaAllocator *allocator, PmIovaClass iova_class)
{
    uint64_t n_holes;

    pthread_mutex_lock(&allocator->lock);
    n_holes = pm_iova_holes_n_holes(allocator->arenas[iova_class].holes);
    pthread_mutex_unlock(&allocator->lock);
    return n_holes;
}
