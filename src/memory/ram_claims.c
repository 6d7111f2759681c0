/* SPDX-License-Identifier: MIT */
#include "memory/ram_claims.h"

#include <inttypes.h>

#include <plugmap/size.h>

#include "base/error_text.h"
#include "base/sized.h"
#include "memory/ram_private.h"

/* --- messages --- */

static const char *wants(PmDiscardClaimKind kind)
{
    static const char *const texts[] = {
        [PM_DISCARD_DISABLE] = "disable all discards",
        [PM_DISCARD_DISABLE_UNCOORDINATED] = "disable uncoordinated discards",
        [PM_DISCARD_REQUIRE_UNCOORDINATED] = "require uncoordinated discards",
        [PM_DISCARD_REQUIRE_COORDINATED] = "require coordinated discards",
    };

    return texts[kind];
}

static const char *has(PmDiscardClaimKind kind)
{
    static const char *const texts[] = {
        [PM_DISCARD_DISABLE] = "disables all discards",
        [PM_DISCARD_DISABLE_UNCOORDINATED] = "disables uncoordinated discards",
        [PM_DISCARD_REQUIRE_UNCOORDINATED] = "requires uncoordinated discards",
        [PM_DISCARD_REQUIRE_COORDINATED] = "requires coordinated discards",
    };

    return texts[kind];
}

char *pm_discard_holder_describe(const PmDiscardHolder *holder)
{
    const PmDiscardClaimRequest *request = &holder->request;
    g_autofree char *size_text = pm_size_format(request->size);

    return g_strdup_printf(
        "%s %s of %s at offset 0x%" PRIx64 ": %s", holder->owner,
        request->excludes_manager ? "does not support a discard manager" : has(request->kind),
        size_text, request->offset,
        request->way_out != NULL ? request->way_out
                                 : "have it release its claim (pm_ram_release_discards()) first");
}

static bool fail_claim(const PmRam *ram, const PmDiscardClaimRequest *request, const char *why,
                       GError **error)
{
    g_autofree char *size_text = pm_size_format(request->size);

    return pm_fail(error, PM_ERROR_BUSY,
                   "%s cannot %s of %s at offset 0x%" PRIx64 " of the RAM at host address %p: %s",
                   request->owner, wants(request->kind), size_text, request->offset,
                   (void *)ram->host, why);
}

/* --- claims --- */

/* The lock is held. */
static bool check_claim(const PmRam *ram, const PmDiscardClaimRequest *request, GError **error)
{
    const PmDiscardHolder *holder = pm_discard_claims_find_conflict(&ram->claims, request->kind,
                                                                    request->offset, request->size);
    g_autofree char *why = NULL;

    if (holder != NULL) {
        why = pm_discard_holder_describe(holder);
        return fail_claim(ram, request, why, error);
    }
    if (ram->n_handovers > 0)
        return fail_claim(ram, request,
                          "it is being handed over to another process: try again after "
                          "pm_handover_send()",
                          error);
    if (request->kind == PM_DISCARD_DISABLE && ram->manager != NULL)
        return fail_claim(ram, request,
                          "its discard manager requires coordinated discards: follow the manager "
                          "(pm_mapper_add() does), and disable only uncoordinated ones",
                          error);
    return true;
}

/* The lock is held. Discards that begin from now on fail, so this ends. */
static void wait_for_discards(PmRam *ram, const PmDiscardClaimRequest *request)
{
    const PmRunningDiscard *discard = ram->discards;

    while (discard != NULL) {
        if (!pm_discard_kinds_conflict(request->kind, discard->kind) ||
            !pm_discard_ranges_overlap(request->offset, request->size, discard->offset,
                                       discard->size)) {
            discard = discard->next;
            continue;
        }
        pthread_cond_wait(&ram->discard_ended, &ram->lock);
        discard = ram->discards;
    }
}

static bool fail_memory(const PmDiscardClaimRequest *request, GError **error)
{
    return pm_fail(error, PM_ERROR_MEMORY, "out of memory for the discard claim of %s",
                   request->owner);
}

/* The lock is held. */
static bool enter(PmRam *ram, const PmDiscardClaimRequest *request, GError **error)
{
    if (!check_claim(ram, request, error))
        return false;
    if (!pm_discard_claims_add(&ram->claims, request))
        return fail_memory(request, error);
    wait_for_discards(ram, request);
    return true;
}

static bool is_requirement(PmDiscardClaimKind kind)
{
    return kind == PM_DISCARD_REQUIRE_UNCOORDINATED || kind == PM_DISCARD_REQUIRE_COORDINATED;
}

bool pm_ram_enter_claim(PmRam *ram, const PmDiscardClaimRequest *request, GError **error)
{
    bool entered;

    if (!pm_ram_check_process(ram, error) ||
        (is_requirement(request->kind) && !pm_ram_check_is_ram(ram, "discard", error)))
        return false;
    pm_ram_lock(ram);
    entered = enter(ram, request, error);
    pm_ram_unlock(ram);
    return entered;
}

void pm_ram_refuse_claims(PmRam *ram, bool refuse)
{
    if (pm_ram_is_inherited(ram))
        return;
    pm_ram_lock(ram);
    if (refuse)
        ram->n_handovers++;
    else
        ram->n_handovers--;
    pm_ram_unlock(ram);
}

bool pm_ram_leave_claim(PmRam *ram, uint64_t id)
{
    bool found;

    pm_ram_lock(ram);
    found = pm_discard_claims_remove(&ram->claims, id);
    pm_ram_unlock(ram);
    return found;
}

/* The lock is held. The caller has found no manager, but did not hold it. */
static bool exclude_manager(PmRam *ram, const PmDiscardClaimRequest *request, GError **error)
{
    if (ram->manager != NULL)
        return pm_fail(error, PM_ERROR_BUSY,
                       "%s cannot exclude a discard manager of the RAM at host address %p, which "
                       "was made meanwhile: try again, to follow it",
                       request->owner, (void *)ram->host);
    return pm_discard_claims_add(&ram->claims, request) || fail_memory(request, error);
}

bool pm_ram_exclude_manager(PmRam *ram, const PmDiscardClaimRequest *request, GError **error)
{
    bool excluded;

    if (!pm_ram_check_process(ram, error))
        return false;
    pm_ram_lock(ram);
    excluded = exclude_manager(ram, request, error);
    pm_ram_unlock(ram);
    return excluded;
}

/* --- discards --- */

/* The lock is held. */
static bool check_discard(const PmRam *ram, const PmRunningDiscard *discard, GError **error)
{
    const PmDiscardHolder *holder = pm_discard_claims_find_conflict(&ram->claims, discard->kind,
                                                                    discard->offset, discard->size);
    g_autofree char *size_text = NULL;
    g_autofree char *why = NULL;

    if (holder == NULL)
        return true;
    size_text = pm_size_format(discard->size);
    why = pm_discard_holder_describe(holder);
    return pm_fail(error, PM_ERROR_BUSY,
                   "cannot discard %s at offset 0x%" PRIx64 " of the RAM at host address %p: %s",
                   size_text, discard->offset, (void *)ram->host, why);
}

bool pm_ram_begin_discard(PmRam *ram, PmRunningDiscard *discard, GError **error)
{
    bool allowed;

    pm_ram_lock(ram);
    allowed = check_discard(ram, discard, error);
    if (allowed) {
        discard->next = ram->discards;
        ram->discards = discard;
    }
    pm_ram_unlock(ram);
    return allowed;
}

void pm_ram_end_discard(PmRam *ram, PmRunningDiscard *discard)
{
    PmRunningDiscard **link = &ram->discards;

    pm_ram_lock(ram);
    while (*link != discard)
        link = &(*link)->next;
    *link = discard->next;
    pthread_cond_broadcast(&ram->discard_ended);
    pm_ram_unlock(ram);
}

/* --- public --- */

bool pm_discard_claim_check(PmDiscardClaimKind kind, const char *owner, GError **error)
{
    if ((unsigned)kind >= PM_DISCARD_N_KINDS)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "invalid kind %d of discard claim: must be one of PmDiscardClaimKind",
                       (int)kind);
    if (owner == NULL || *owner == '\0')
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT, "a discard claim needs an owner's name");
    return true;
}

static bool check_range(const PmRam *ram, const char *owner, uint64_t offset, uint64_t size,
                        GError **error)
{
    if (size != 0 && offset < ram->size && size <= ram->size - offset)
        return true;
    return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                   "invalid discard claim of %s: 0x%" PRIx64 " bytes at offset 0x%" PRIx64
                   " are not a range inside the RAM of 0x%" PRIx64 " bytes",
                   owner, size, offset, ram->size);
}

uint64_t pm_ram_claim_discards(PmRam *ram, PmDiscardClaimKind kind, const char *owner,
                               uint64_t offset, uint64_t size, GError **error)
{
    PmDiscardClaimRequest request = {.kind = kind, .owner = owner, .offset = offset, .size = size};

    if (!pm_discard_claim_check(kind, owner, error) ||
        !check_range(ram, owner, offset, size, error))
        return 0;
    request.id = pm_discard_claim_new_id();
    return pm_ram_enter_claim(ram, &request, error) ? request.id : 0;
}

/* The lock is held. */
static bool release(PmRam *ram, uint64_t id, GError **error)
{
    const PmDiscardHolder *holder = pm_discard_claims_find(&ram->claims, id);

    if (holder == NULL)
        return pm_fail(error, PM_ERROR_NOT_FOUND,
                       "the RAM at host address %p has no discard claim %" PRIu64
                       ": it was released before, or made on other RAM",
                       (void *)ram->host, id);
    if (holder->request.way_out != NULL)
        return pm_fail(error, PM_ERROR_PERMISSION,
                       "discard claim %" PRIu64 " on the RAM at host address %p belongs to %s: %s",
                       id, (void *)ram->host, holder->owner, holder->request.way_out);
    return pm_discard_claims_remove(&ram->claims, id);
}

bool pm_ram_release_discards(PmRam *ram, uint64_t id, GError **error)
{
    bool released;

    pm_ram_lock(ram);
    released = release(ram, id, error);
    pm_ram_unlock(ram);
    return released;
}

static void describe(const PmDiscardHolder *holder, PmDiscardClaim *claim, char **owner)
{
    const PmDiscardClaim found = {
        .struct_size = sizeof(found),
        .id = holder->request.id,
        .offset = holder->request.offset,
        .size = holder->request.size,
        .kind = holder->request.kind,
    };

    pm_sized_write(claim, &found, sizeof(found));
    if (owner != NULL)
        *owner = g_strdup(holder->owner);
}

bool pm_ram_next_discard_claim(const PmRam *constant, uint64_t after, PmDiscardClaim *claim,
                               char **owner)
{
    PmRam *ram = (PmRam *)constant; /* only for its lock */
    const PmDiscardHolder *holder;

    if (!pm_sized_check("PmDiscardClaim", claim, NULL))
        return false;
    pm_ram_lock(ram);
    holder = pm_discard_claims_next(&ram->claims, after);
    if (holder != NULL)
        describe(holder, claim, owner);
    pm_ram_unlock(ram);
    return holder != NULL;
}
