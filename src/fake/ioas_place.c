/* SPDX-License-Identifier: MIT */
#include "fake/ioas_place.h"

#include <errno.h>

#define MAX_ALIGNMENT (UINT64_C(2) << 20) /* a transparent huge page */

/* What is looked for. */
typedef struct {
    uint64_t length;
    uint64_t alignment;
    uint64_t page_offset;
} Wish;

/* Moves the range's beginning up to where it is as aligned as wished; false if too little is left.
 */
static bool fits(const Wish *wish, PmRangeKey *range)
{
    uint64_t start = (range->first + (wish->alignment - 1)) & -wish->alignment;

    if (start < range->first)
        return false;
    range->first = start | wish->page_offset;
    return range->first <= range->last && range->last - range->first >= wish->length - 1;
}

/* The first addresses at or behind @from that have neither areas nor are reserved; false if there
 * are none. */
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
        uint64_t last = range.last;

        if (range.first > allowed.last)
            return false;
        range.last = MIN(last, allowed.last);
        if (fits(wish, &range)) {
            *iova = range.first;
            return true;
        }
        if (last >= allowed.last)
            return false;
        range.last = last;
    }
    return false;
}

static uint64_t round_up_to_power_of_2(uint64_t length)
{
    return length <= 1 ? 1 : UINT64_C(1) << (64 - __builtin_clzll(length - 1));
}

int pm_ioas_place(const PmIoas *ioas, uint64_t origin, uint64_t length, uint64_t *iova)
{
    const PmRangeKey everything = {PM_FAKE_PAGE, UINT64_MAX - PM_FAKE_PAGE};
    const PmRangeKey *allowed = pm_range_map_find(ioas->allowed, 0);
    Wish wish = {.length = length, .page_offset = origin % PM_FAKE_PAGE};

    if (length >= UINT64_MAX / 2)
        return -EOVERFLOW;
    wish.alignment = MIN(round_up_to_power_of_2(length), MAX_ALIGNMENT);
    if (origin != 0)
        wish.alignment = MIN(wish.alignment, origin & -origin);
    if (wish.alignment < ioas->alignment)
        return -EINVAL;
    if (allowed == NULL)
        return place_in(ioas, &wish, everything, iova) ? 0 : -ENOSPC;
    while (allowed != NULL) {
        PmRangeKey range = {
            MAX(allowed->first, everything.first),
            MIN(allowed->last, everything.last),
        };

        if (range.first <= range.last && place_in(ioas, &wish, range, iova))
            return 0;
        allowed =
            allowed->last < UINT64_MAX ? pm_range_map_find(ioas->allowed, allowed->last + 1) : NULL;
    }
    return -ENOSPC;
}
