/* SPDX-License-Identifier: MIT */
/*
 * Who may discard guest RAM: discard claims, and PmDiscardPolicy, which makes them for all RAM of a
 * VM. docs/discard-policy.md has the whole picture.
 *
 * Memory is discarded by those who coordinate (a virtio-mem device, through a PmDiscardManager that
 * notifies its listeners first) and by those who do not (a balloon, with pm_ram_discard()). Who
 * pins memory suffers from discards that it is not notified of: the device keeps using the old
 * pages, and everybody else gets new ones. So both sides claim ranges of a PmRam, and the second of
 * two claims that conflict fails with PM_ERROR_BUSY, with the name of the first holder and what to
 * do:
 *
 *     new \ held                  disable  disable-unc.  require-unc.  require-coord.
 *     disable                        ok        ok           BUSY           BUSY
 *     disable-uncoordinated          ok        ok           BUSY            ok
 *     require-uncoordinated         BUSY      BUSY           ok             ok
 *     require-coordinated           BUSY       ok            ok             ok
 *
 * Claims of ranges that do not overlap never conflict. RAM with a discard manager counts as wholly
 * claimed with PM_DISCARD_REQUIRE_COORDINATED.
 *
 * Claims are enforced: pm_ram_discard() is an uncoordinated discard and fails while a claim
 * disables it. pm_discard_manager_new() fails while a claim disables all discards of any part.
 *
 * The library makes claims, too: a PmIommuClaim, and so a PmMapper, disables what may be mapped
 * (all discards; only uncoordinated ones if it follows a discard manager) until nothing of it may
 * be mapped any more, and a PmVirtioMem requires coordinated discards.
 *
 * fork(2): in a child, claiming ranges of the parent's RAM, and adding RAM to and claiming with the
 * parent's policy, fails with PM_ERROR_PERMISSION; the child has a copy of the parent's claims, and
 * releasing one only discards the copy.
 *
 * Threads: every function is safe from several threads at once. A claim that disables discards
 * waits for running discards of its range.
 */
#ifndef PLUGMAP_DISCARD_POLICY_H
#define PLUGMAP_DISCARD_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <plugmap/ram.h>

G_BEGIN_DECLS

/**
 * PmDiscardClaimKind: what a claim is for.
 * @PM_DISCARD_DISABLE: nobody may discard: for users that pin memory or rely on its pages, and
 * follow no discard manager.
 * @PM_DISCARD_DISABLE_UNCOORDINATED: only a discard manager may: for its listeners.
 * @PM_DISCARD_REQUIRE_UNCOORDINATED: the owner relies on discarding with pm_ram_discard().
 * @PM_DISCARD_REQUIRE_COORDINATED: the owner relies on discarding through a discard manager.
 */
typedef enum {
    PM_DISCARD_DISABLE = 0,
    PM_DISCARD_DISABLE_UNCOORDINATED = 1,
    PM_DISCARD_REQUIRE_UNCOORDINATED = 2,
    PM_DISCARD_REQUIRE_COORDINATED = 3,
} PmDiscardClaimKind;

/**
 * PmDiscardClaim: a claim that is held.
 * @struct_size: sizeof(PmDiscardClaim) (macros.h).
 * @id: positive, ascending in the order in which claims were made, and never used again in this
 * process.
 * @offset, @size: bytes of the RAM.
 * @kind: what it is for.
 */
typedef struct {
    size_t struct_size;
    uint64_t id;
    uint64_t offset;
    uint64_t size;
    PmDiscardClaimKind kind;
} PmDiscardClaim;

/** "disable", "disable-uncoordinated", "require-uncoordinated" or "require-coordinated"; "unknown"
 * for an invalid kind. A static string. Any thread. */
PM_EXPORT const char *pm_discard_claim_kind_name(PmDiscardClaimKind kind);

/**
 * Makes a claim on a range of @ram.
 * @owner: a name for messages, as in "OWNER disables all discards"; not empty; copied.
 * @offset, @size: bytes, inside the RAM, of any alignment, not empty.
 *
 * Returns: the claim's id, for pm_ram_release_discards(), or 0. Errors: PM_ERROR_INVALID_ARGUMENT
 * (kind, owner, range), PM_ERROR_BUSY (conflicts with a claim, or would disable the discards of the
 * RAM's manager), PM_ERROR_UNSUPPORTED (requires discards of device memory), PM_ERROR_MEMORY,
 * PM_ERROR_PERMISSION (in a forked child).
 */
PM_EXPORT uint64_t pm_ram_claim_discards(PmRam *ram, PmDiscardClaimKind kind, const char *owner,
                                         uint64_t offset, uint64_t size, GError **error);

/**
 * Releases a claim of pm_ram_claim_discards().
 * Errors: PM_ERROR_NOT_FOUND (never made on this RAM, or released before), PM_ERROR_PERMISSION
 * (made by something else, which releases it itself; the message has how).
 */
PM_EXPORT bool pm_ram_release_discards(PmRam *ram, uint64_t id, GError **error);

/**
 * Finds the oldest claim on @ram whose id is above @after. To find all, begin with 0 and continue
 * with the id that was found.
 * @claim: filled in; set its struct_size before. @owner: optional: set to the owner's name; free it
 * with g_free().
 * Returns: false if there is none, or if @claim has no valid struct_size.
 */
PM_EXPORT bool pm_ram_next_discard_claim(const PmRam *ram, uint64_t after, PmDiscardClaim *claim,
                                         char **owner);

/**
 * PmDiscardPolicy: claims on all RAM of a VM, including RAM that is added later. For users that
 * depend on no range in particular: a balloon, or memory encryption that pins what the guest runs
 * on.
 */
typedef struct PmDiscardPolicy PmDiscardPolicy;

/** Creates a policy without RAM and without claims. Cannot fail. */
PM_EXPORT PmDiscardPolicy *pm_discard_policy_new(void);

/** Takes a reference. Returns @policy. */
PM_EXPORT PmDiscardPolicy *pm_discard_policy_ref(PmDiscardPolicy *policy);

/** Drops a reference; NULL does nothing. The last one releases all claims that the policy holds. */
PM_EXPORT void pm_discard_policy_unref(PmDiscardPolicy *policy);

/**
 * Adds a RAM of the VM: makes every claim that the policy holds on it, or none.
 * @ram: a reference is held until pm_discard_policy_remove(), or until the policy is freed.
 * Errors: PM_ERROR_BUSY (already added; or a claim conflicts with one on @ram), those of
 * pm_ram_claim_discards(). Then nothing changes.
 */
PM_EXPORT bool pm_discard_policy_add(PmDiscardPolicy *policy, PmRam *ram, GError **error);

/** Removes a RAM: releases the policy's claims on it. Errors: PM_ERROR_NOT_FOUND (not added). */
PM_EXPORT bool pm_discard_policy_remove(PmDiscardPolicy *policy, PmRam *ram, GError **error);

/**
 * Makes a claim on the whole of every RAM, now and when it is added; or on none. It also conflicts
 * with other claims of the policy, as if there were always RAM.
 * @kind, @owner: as for pm_ram_claim_discards().
 * Returns: the claim's id, the same on every RAM, for pm_discard_policy_release(), or 0. Errors:
 * those of pm_ram_claim_discards().
 */
PM_EXPORT uint64_t pm_discard_policy_claim(PmDiscardPolicy *policy, PmDiscardClaimKind kind,
                                           const char *owner, GError **error);

/** Releases a claim on every RAM. Errors: PM_ERROR_NOT_FOUND (never made, or released before). */
PM_EXPORT bool pm_discard_policy_release(PmDiscardPolicy *policy, uint64_t id, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmDiscardPolicy, pm_discard_policy_unref)

G_END_DECLS

#endif
