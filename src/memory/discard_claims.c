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

/* The index of the first entry whose id is at least @id. */
static size_t position(const PmDiscardList *list, uint64_t id)
{
    size_t low = 0;
    size_t high = list->n_entries;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (list->entries[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Drops the entries of released claims. */
static void compact(PmDiscardList *list)
{
    size_t n_kept = 0;

    for (size_t i = 0; i < list->n_entries; i++)
        if (list->entries[i].holder != NULL)
            list->entries[n_kept++] = list->entries[i];
    list->n_entries = n_kept;
}

static bool make_room(PmDiscardList *list)
{
    size_t n_allocated = MAX(2 * list->n_allocated, 4);
    PmDiscardEntry *entries;

    if (list->n_entries < list->n_allocated)
        return true;
    entries = g_try_realloc_n(list->entries, n_allocated, sizeof(*entries));
    if (entries == NULL)
        return false;
    list->entries = entries;
    list->n_allocated = n_allocated;
    return true;
}

static const PmDiscardHolder *find_overlap(const PmDiscardList *list, uint64_t offset,
                                           uint64_t size)
{
    for (size_t i = 0; i < list->n_entries; i++) {
        const PmDiscardEntry *entry = &list->entries[i];

        if (entry->holder != NULL &&
            pm_discard_ranges_overlap(offset, size, entry->offset, entry->size))
            return entry->holder;
    }
    return NULL;
}

static const PmDiscardHolder *next_in(const PmDiscardList *list, uint64_t after)
{
    for (size_t i = position(list, after + 1); i < list->n_entries; i++)
        if (list->entries[i].holder != NULL)
            return list->entries[i].holder;
    return NULL;
}

/* NULL if the claim is not in the list. */
static PmDiscardEntry *entry_of(const PmDiscardList *list, uint64_t id)
{
    size_t at = position(list, id);

    if (at == list->n_entries || list->entries[at].id != id || list->entries[at].holder == NULL)
        return NULL;
    return &list->entries[at];
}

static const PmDiscardHolder *older(const PmDiscardHolder *one, const PmDiscardHolder *other)
{
    if (one == NULL || other == NULL)
        return one != NULL ? one : other;
    return one->request.id < other->request.id ? one : other;
}

static void clear(PmDiscardList *list)
{
    for (size_t i = 0; i < list->n_entries; i++)
        g_free(list->entries[i].holder);
    g_free(list->entries);
    *list = (PmDiscardList){0};
}

/* --- all claims --- */

static PmDiscardList *list_for(PmDiscardClaims *claims, const PmDiscardClaimRequest *request)
{
    return request->excludes_manager ? &claims->of_unmanaged : &claims->of_kind[request->kind];
}

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

/* The claims of a policy on RAM that was added later are older than others on it. If the RAM had
 * the claim before, it is inserted before the entry that was released. */
static void insert(PmDiscardList *list, PmDiscardHolder *holder)
{
    const PmDiscardClaimRequest *request = &holder->request;
    size_t at = position(list, request->id);

    memmove(&list->entries[at + 1], &list->entries[at],
            (list->n_entries - at) * sizeof(*list->entries));
    list->entries[at] = (PmDiscardEntry){request->id, request->offset, request->size, holder};
    list->n_entries++;
    list->n_held++;
}

bool pm_discard_claims_add(PmDiscardClaims *claims, const PmDiscardClaimRequest *request)
{
    PmDiscardList *list = list_for(claims, request);
    PmDiscardHolder *holder;

    if (!make_room(list))
        return false;
    holder = new_holder(request);
    if (holder == NULL)
        return false;
    insert(list, holder);
    return true;
}

const PmDiscardHolder *pm_discard_claims_next(const PmDiscardClaims *claims, uint64_t after)
{
    const PmDiscardHolder *first = NULL;

    for (size_t kind = 0; after < UINT64_MAX && kind < PM_DISCARD_N_KINDS; kind++)
        first = older(first, next_in(&claims->of_kind[kind], after));
    return first;
}

const PmDiscardHolder *pm_discard_claims_find(const PmDiscardClaims *claims, uint64_t id)
{
    const PmDiscardEntry *entry = entry_of(&claims->of_unmanaged, id);

    for (size_t kind = 0; entry == NULL && kind < PM_DISCARD_N_KINDS; kind++)
        entry = entry_of(&claims->of_kind[kind], id);
    return entry != NULL ? entry->holder : NULL;
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
    const PmDiscardList *list = &claims->of_kind[PM_DISCARD_DISABLE_UNCOORDINATED];
    const PmDiscardHolder *holder = next_in(list, 0);

    while (holder != NULL && !holder->request.follows_manager)
        holder = next_in(list, holder->request.id);
    return holder;
}

const PmDiscardHolder *pm_discard_claims_find_unmanaged(const PmDiscardClaims *claims)
{
    return next_in(&claims->of_unmanaged, 0);
}

bool pm_discard_claims_remove(PmDiscardClaims *claims, uint64_t id)
{
    const PmDiscardHolder *holder = pm_discard_claims_find(claims, id);
    PmDiscardList *list;

    if (holder == NULL)
        return false;
    list = list_for(claims, &holder->request);
    g_clear_pointer(&entry_of(list, id)->holder, g_free);
    list->n_held--;
    if (list->n_held <= list->n_entries / 2)
        compact(list);
    return true;
}

void pm_discard_claims_clear(PmDiscardClaims *claims)
{
    for (size_t kind = 0; kind < PM_DISCARD_N_KINDS; kind++)
        clear(&claims->of_kind[kind]);
    clear(&claims->of_unmanaged);
}
