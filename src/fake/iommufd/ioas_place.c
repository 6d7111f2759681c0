/* SPDX-License-Identifier: MIT */
#include "fake/iommufd/ioas_place.h"

#include <errno.h>

#define MAX_ALIGNMENT (UINT64_C(2) << 20) /* the size of a transparent huge page */

/* Requirements for the place. */
typedef struct {
    uint64_t length;
    uint64_t alignment;
    uint64_t page_offset;
} Wish;

/* Moves the start of the range up to the required alignment; false if too little is left (never
 * if a single byte is left). */
static bool fits(const Wish *wish, PmRangeKey *range)
{
    uint64_t start = (range->first + (wish->alignment - 1)) & -wish->alignment;

    if (start < range->first)
        return false;
    range->first = start | wish->page_offset;
    return range->first < range->last && range->last - range->first >= wish->length - 1;
}

/* The first range at or after @from without areas and not reserved; false if there is none. */
static bool next_free(const PmIoas *ioas, uint64_t from, PmRangeKey *range)
{
    const PmArea *area;

    while (pm_ioas_next_valid(ioas, from, range)) {
        area = pm_range_map_find(ioas->areas, range->first);
        if (area == NULL || area->key.first > range->last)
            return true;
        if (area->key.first > range->first) {
            range->last = area->key.first - 1;
            return true;
        }
        if (area->key.last == UINT64_MAX)
            return false;
        from = area->key.last + 1;
    }
    return false;
}

static bool place_in(const PmIoas *ioas, const Wish *wish, PmRangeKey allowed, uint64_t *iova)
{
    uint64_t from;
    PmRangeKey range;

    if (!fits(wish, &allowed))
        return false;
    for (from = allowed.first; next_free(ioas, from, &range); from = range.last + 1) {
        if (range.first > allowed.last)
            return false;
        range.last = MIN(range.last, allowed.last);
        if (fits(wish, &range)) {
            *iova = range.first;
            return true;
        }
        if (range.last == allowed.last)
            return false;
    }
    return false;
}

static uint64_t round_up_to_power_of_2(uint64_t length)
{
    return length <= 1 ? 1 : UINT64_C(1) << (64 - __builtin_clzll(length - 1));
}

/* The first allowed range at or after @from, with adjacent ones joined; false if there is none. */
static bool next_allowed(const PmIoas *ioas, uint64_t from, PmRangeKey *range)
{
    const PmRangeKey *allowed = pm_range_map_find(ioas->allowed, from);

    if (allowed == NULL)
        return false;
    *range = *allowed;
    while (range->last < UINT64_MAX) {
        allowed = pm_range_map_find(ioas->allowed, range->last + 1);
        if (allowed == NULL || allowed->first > range->last + 1)
            break;
        range->last = allowed->last;
    }
    return true;
}

int pm_ioas_place(const PmIoas *ioas, uint64_t origin, uint64_t length, uint64_t *iova)
{
    const uint64_t last = UINT64_MAX - PM_FAKE_PAGE;
    PmRangeKey allowed = {PM_FAKE_PAGE, last};
    Wish wish = {.length = length, .page_offset = origin % PM_FAKE_PAGE};

    if (length >= UINT64_MAX / 2)
        return -EOVERFLOW;
    wish.alignment = MIN(round_up_to_power_of_2(length), MAX_ALIGNMENT);
    if (origin != 0)
        wish.alignment = MIN(wish.alignment, origin & -origin);
    if (wish.alignment < ioas->alignment)
        return -EINVAL;
    if (pm_range_map_find(ioas->allowed, 0) == NULL)
        return place_in(ioas, &wish, allowed, iova) ? 0 : -ENOSPC;
    for (uint64_t from = PM_FAKE_PAGE; next_allowed(ioas, from, &allowed);
         from = allowed.last + 1) {
        PmRangeKey range = {MAX(allowed.first, PM_FAKE_PAGE), MIN(allowed.last, last)};

        if (range.first <= last && place_in(ioas, &wish, range, iova))
            return 0;
        if (allowed.last >= last)
            break;
    }
    return -ENOSPC;
}
