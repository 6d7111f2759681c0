/* SPDX-License-Identifier: MIT */
#include "memory/discard_claims.h"

#include <string.h>

/* A bit for each kind that excludes the kind. */
static const unsigned conflicts[PM_DISCARD_N_KINDS] = {
    [PM_DISCARD_DISABLE] =
        1U << PM_DISCARD_REQUIRE_UNCOORDINATED | 1U << PM_DISCARD_REQUIRE_COORDINATED,
    [PM_DISCARD_DISABLE_UNCOORDINATED] = 1U << PM_DISCARD_REQUIRE_UNCOORDINATED,
    [PM_DISCARD_REQUIRE_UNCOORDINATED] =
        1U << PM_DISCARD_DISABLE | 1U << PM_DISCARD_DISABLE_UNCOORDINATED,
    [PM_DISCARD_REQUIRE_COORDINATED] = 1U << PM_DISCARD_DISABLE,
};

uint64_t pm_discard_claim_new_id(void)
{
    static uint64_t last;

    return __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED);
}

const char *pm_discard_claim_kind_name(PmDiscardClaimKind kind)
{
    switch (kind) {
    case PM_DISCARD_DISABLE:
        return "disable";
    case PM_DISCARD_DISABLE_UNCOORDINATED:
        return "disable-uncoordinated";
    case PM_DISCARD_REQUIRE_UNCOORDINATED:
        return "require-uncoordinated";
    case PM_DISCARD_REQUIRE_COORDINATED:
        return "require-coordinated";
    }
    return "unknown";
}

bool pm_discard_kinds_conflict(PmDiscardClaimKind one, PmDiscardClaimKind other)
{
    return (conflicts[one] & 1U << other) != 0;
}

bool pm_discard_ranges_overlap(uint64_t offset, uint64_t size, uint64_t other_offset,
                               uint64_t other_size)
{
    return offset < other_offset + other_size && other_offset < offset + size;
}

/* --- the claims of one kind --- */

/* The index of the first whose id is at least @id. */
static size_t position(const PmDiscardHolders *list, uint64_t id)
{
    size_t low = 0;
    size_t high = list->n_holders;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (list->holders[middle]->request.id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool make_room(PmDiscardHolders *list)
{
    size_t n_allocated = MAX(2 * list->n_allocated, 4);
    PmDiscardHolder **holders;

    if (list->n_holders < list->n_allocated)
        return true;
    holders = g_try_realloc_n(list->holders, n_allocated, sizeof(PmDiscardHolder *));
    if (holders == NULL)
        return false;
    list->holders = holders;
    list->n_allocated = n_allocated;
    return true;
}

static const PmDiscardHolder *find_overlap(const PmDiscardHolders *list, uint64_t offset,
                                           uint64_t size)
{
    for (size_t i = 0; i < list->n_holders; i++) {
        const PmDiscardClaimRequest *request = &list->holders[i]->request;

        if (pm_discard_ranges_overlap(offset, size, request->offset, request->size))
            return list->holders[i];
    }
    return NULL;
}

static const PmDiscardHolder *older(const PmDiscardHolder *one, const PmDiscardHolder *other)
{
    if (one == NULL || other == NULL)
        return one != NULL ? one : other;
    return one->request.id < other->request.id ? one : other;
}

/* --- all claims --- */

static PmDiscardHolder *new_holder(const PmDiscardClaimRequest *request)
{
    size_t length = strlen(request->owner);
    PmDiscardHolder *holder = g_try_malloc_n(1, sizeof(*holder) + length + 1);

    if (holder == NULL)
        return NULL;
    holder->request = *request;
    memcpy(holder->owner, request->owner, length + 1);
    holder->request.owner = holder->owner;
    return holder;
}

/* The claims of a policy on RAM that was added later are older than others on it. */
bool pm_discard_claims_add(PmDiscardClaims *claims, const PmDiscardClaimRequest *request)
{
    PmDiscardHolders *list = &claims->of_kind[request->kind];
    PmDiscardHolder *holder;
    size_t at;

    if (!make_room(list))
        return false;
    holder = new_holder(request);
    if (holder == NULL)
        return false;
    at = position(list, request->id);
    memmove(&list->holders[at + 1], &list->holders[at],
            (list->n_holders - at) * sizeof(PmDiscardHolder *));
    list->holders[at] = holder;
    list->n_holders++;
    return true;
}

const PmDiscardHolder *pm_discard_claims_next(const PmDiscardClaims *claims, uint64_t after)
{
    const PmDiscardHolder *first = NULL;

    if (after == UINT64_MAX)
        return NULL;
    for (size_t kind = 0; kind < PM_DISCARD_N_KINDS; kind++) {
        const PmDiscardHolders *list = &claims->of_kind[kind];
        size_t at = position(list, after + 1);

        if (at < list->n_holders)
            first = older(first, list->holders[at]);
    }
    return first;
}

const PmDiscardHolder *pm_discard_claims_find(const PmDiscardClaims *claims, uint64_t id)
{
    const PmDiscardHolder *holder = id > 0 ? pm_discard_claims_next(claims, id - 1) : NULL;

    return holder != NULL && holder->request.id == id ? holder : NULL;
}

const PmDiscardHolder *pm_discard_claims_find_conflict(const PmDiscardClaims *claims,
                                                       PmDiscardClaimKind kind, uint64_t offset,
                                                       uint64_t size)
{
    const PmDiscardHolder *first = NULL;

    for (unsigned held = 0; held < PM_DISCARD_N_KINDS; held++)
        if (pm_discard_kinds_conflict(kind, held))
            first = older(first, find_overlap(&claims->of_kind[held], offset, size));
    return first;
}

const PmDiscardHolder *pm_discard_claims_find_follower(const PmDiscardClaims *claims)
{
    const PmDiscardHolders *list = &claims->of_kind[PM_DISCARD_DISABLE_UNCOORDINATED];

    for (size_t i = 0; i < list->n_holders; i++)
        if (list->holders[i]->request.follows_manager)
            return list->holders[i];
    return NULL;
}

bool pm_discard_claims_remove(PmDiscardClaims *claims, uint64_t id)
{
    const PmDiscardHolder *holder = pm_discard_claims_find(claims, id);
    PmDiscardHolders *list;
    size_t at;

    if (holder == NULL)
        return false;
    list = &claims->of_kind[holder->request.kind];
    at = position(list, id);
    g_free(list->holders[at]);
    list->n_holders--;
    memmove(&list->holders[at], &list->holders[at + 1],
            (list->n_holders - at) * sizeof(PmDiscardHolder *));
    return true;
}

void pm_discard_claims_clear(PmDiscardClaims *claims)
{
    for (size_t kind = 0; kind < PM_DISCARD_N_KINDS; kind++) {
        PmDiscardHolders *list = &claims->of_kind[kind];

        for (size_t i = 0; i < list->n_holders; i++)
            g_free(list->holders[i]);
        g_free(list->holders);
        *list = (PmDiscardHolders){0};
    }
}
