/* SPDX-License-Identifier: MIT */
/* A policy's claim has the same id on every RAM. */
#include <inttypes.h>
#include <pthread.h>

#include "base/error_text.h"
#include "base/process.h"
#include "memory/ram_claims.h"

struct PmDiscardPolicy {
    gatomicrefcount references;
    uint64_t process; /* that made it */
    pthread_mutex_t lock;
    PmDiscardClaims claims; /* as if on one range that every RAM has */
    PmRam **rams;
    size_t n_rams;
    size_t n_allocated;
};

static bool is_inherited(const PmDiscardPolicy *policy)
{
    return policy->process != pm_process_token();
}

/* Another thread may have held the lock when the process forked. */
static void lock(PmDiscardPolicy *policy)
{
    if (!is_inherited(policy))
        pthread_mutex_lock(&policy->lock);
}

static void unlock(PmDiscardPolicy *policy)
{
    if (!is_inherited(policy))
        pthread_mutex_unlock(&policy->lock);
}

PmDiscardPolicy *pm_discard_policy_new(void)
{
    PmDiscardPolicy *policy = g_new0(PmDiscardPolicy, 1);

    g_atomic_ref_count_init(&policy->references);
    policy->process = pm_process_token();
    pthread_mutex_init(&policy->lock, NULL);
    return policy;
}

PmDiscardPolicy *pm_discard_policy_ref(PmDiscardPolicy *policy)
{
    g_atomic_ref_count_inc(&policy->references);
    return policy;
}

/* --- the claims on one RAM --- */

static bool enter(PmRam *ram, const PmDiscardClaimRequest *own, GError **error)
{
    PmDiscardClaimRequest request = *own;

    request.size = pm_ram_get_size(ram);
    return pm_ram_enter_claim(ram, &request, error);
}

/* Releases the claims before the one with the id @end. */
static void leave_until(const PmDiscardPolicy *policy, PmRam *ram, uint64_t end)
{
    const PmDiscardHolder *holder = pm_discard_claims_next(&policy->claims, 0);

    for (; holder != NULL && holder->request.id < end;
         holder = pm_discard_claims_next(&policy->claims, holder->request.id))
        (void)pm_ram_leave_claim(ram, holder->request.id);
}

static bool enter_all(const PmDiscardPolicy *policy, PmRam *ram, GError **error)
{
    const PmDiscardHolder *holder = pm_discard_claims_next(&policy->claims, 0);

    for (; holder != NULL; holder = pm_discard_claims_next(&policy->claims, holder->request.id))
        if (!enter(ram, &holder->request, error)) {
            leave_until(policy, ram, holder->request.id);
            return false;
        }
    return true;
}

void pm_discard_policy_unref(PmDiscardPolicy *policy)
{
    if (policy == NULL || !g_atomic_ref_count_dec(&policy->references))
        return;
    for (size_t i = 0; i < policy->n_rams; i++) {
        leave_until(policy, policy->rams[i], UINT64_MAX);
        pm_ram_unref(policy->rams[i]);
    }
    pm_discard_claims_clear(&policy->claims);
    if (!is_inherited(policy))
        pthread_mutex_destroy(&policy->lock);
    g_free(policy->rams);
    g_free(policy);
}

/* --- RAM --- */

static bool check_process(const PmDiscardPolicy *policy, GError **error)
{
    if (!is_inherited(policy))
        return true;
    return pm_fail(error, PM_ERROR_PERMISSION,
                   "this process was forked from the one that made the discard policy: make "
                   "another one");
}

/* The index of @ram, or n_rams. */
static size_t find(const PmDiscardPolicy *policy, const PmRam *ram)
{
    size_t i;

    for (i = 0; i < policy->n_rams && policy->rams[i] != ram; i++)
        ;
    return i;
}

static bool make_room(PmDiscardPolicy *policy)
{
    size_t n_allocated = MAX(2 * policy->n_allocated, 4);
    PmRam **rams;

    if (policy->n_rams < policy->n_allocated)
        return true;
    rams = g_try_realloc_n(policy->rams, n_allocated, sizeof(PmRam *));
    if (rams == NULL)
        return false;
    policy->rams = rams;
    policy->n_allocated = n_allocated;
    return true;
}

/* The lock is held. */
static bool add(PmDiscardPolicy *policy, PmRam *ram, GError **error)
{
    if (find(policy, ram) < policy->n_rams)
        return pm_fail(error, PM_ERROR_BUSY,
                       "the RAM at host address %p was already added to the discard policy",
                       pm_ram_get_host(ram));
    if (!make_room(policy))
        return pm_fail(error, PM_ERROR_MEMORY, "out of memory for the RAM of a discard policy");
    if (!enter_all(policy, ram, error))
        return false;
    policy->rams[policy->n_rams++] = pm_ram_ref(ram);
    return true;
}

bool pm_discard_policy_add(PmDiscardPolicy *policy, PmRam *ram, GError **error)
{
    bool added;

    if (!check_process(policy, error))
        return false;
    lock(policy);
    added = add(policy, ram, error);
    unlock(policy);
    return added;
}

bool pm_discard_policy_remove(PmDiscardPolicy *policy, PmRam *ram, GError **error)
{
    size_t at;
    bool found;

    lock(policy);
    at = find(policy, ram);
    found = at < policy->n_rams;
    if (found) {
        leave_until(policy, ram, UINT64_MAX);
        policy->rams[at] = policy->rams[--policy->n_rams];
    }
    unlock(policy);
    if (!found)
        return pm_fail(error, PM_ERROR_NOT_FOUND,
                       "the RAM at host address %p was not added to the discard policy",
                       pm_ram_get_host(ram));
    /* May call the owner of adopted memory. */
    pm_ram_unref(ram);
    return true;
}

/* --- claims --- */

static bool check_own(const PmDiscardPolicy *policy, const PmDiscardClaimRequest *own,
                      GError **error)
{
    const PmDiscardHolder *holder =
        pm_discard_claims_find_conflict(&policy->claims, own->kind, own->offset, own->size);

    if (holder == NULL)
        return true;
    return pm_fail(error, PM_ERROR_BUSY,
                   "%s cannot claim discards of all RAM (%s): %s has claimed them (%s): %s",
                   own->owner, pm_discard_claim_kind_name(own->kind), holder->owner,
                   pm_discard_claim_kind_name(holder->request.kind), holder->request.way_out);
}

static bool enter_everywhere(const PmDiscardPolicy *policy, const PmDiscardClaimRequest *own,
                             GError **error)
{
    for (size_t i = 0; i < policy->n_rams; i++)
        if (!enter(policy->rams[i], own, error)) {
            while (i-- > 0)
                (void)pm_ram_leave_claim(policy->rams[i], own->id);
            return false;
        }
    return true;
}

/* The lock is held. */
static bool claim(PmDiscardPolicy *policy, const PmDiscardClaimRequest *own, GError **error)
{
    if (!check_own(policy, own, error))
        return false;
    if (!pm_discard_claims_add(&policy->claims, own))
        return pm_fail(error, PM_ERROR_MEMORY, "out of memory for the discard claim of %s",
                       own->owner);
    if (enter_everywhere(policy, own, error))
        return true;
    (void)pm_discard_claims_remove(&policy->claims, own->id);
    return false;
}

uint64_t pm_discard_policy_claim(PmDiscardPolicy *policy, PmDiscardClaimKind kind,
                                 const char *owner, GError **error)
{
    PmDiscardClaimRequest own = {
        .kind = kind,
        .owner = owner,
        .size = 1,
        .way_out = "have it release its claim (pm_discard_policy_release()) first",
    };
    bool claimed;

    if (!pm_discard_claim_check(kind, owner, error) || !check_process(policy, error))
        return 0;
    own.id = pm_discard_claim_new_id();
    lock(policy);
    claimed = claim(policy, &own, error);
    unlock(policy);
    return claimed ? own.id : 0;
}

bool pm_discard_policy_release(PmDiscardPolicy *policy, uint64_t id, GError **error)
{
    bool found;

    lock(policy);
    found = pm_discard_claims_remove(&policy->claims, id);
    for (size_t i = 0; found && i < policy->n_rams; i++)
        (void)pm_ram_leave_claim(policy->rams[i], id);
    unlock(policy);
    return found || pm_fail(error, PM_ERROR_NOT_FOUND,
                            "the discard policy has no claim %" PRIu64
                            ": it was released before, or made by another one",
                            id);
}
