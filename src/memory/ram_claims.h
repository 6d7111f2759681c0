/* SPDX-License-Identifier: MIT */
/* Discard claims on a PmRam, and the discards that they exclude. Any thread. */
#ifndef PLUGMAP_SRC_MEMORY_RAM_CLAIMS_H
#define PLUGMAP_SRC_MEMORY_RAM_CLAIMS_H

#include "memory/discard_claims.h"

/* "OWNER disables all discards of 4K at offset 0x0: WAY OUT"; a new string. */
char *pm_discard_holder_describe(const PmDiscardHolder *holder);

/* Checks what does not depend on the RAM. Errors: PM_ERROR_INVALID_ARGUMENT. */
bool pm_discard_claim_check(PmDiscardClaimKind kind, const char *owner, GError **error);

/* Makes a claim whose owner, kind and range are valid, and waits for running discards that it
 * excludes. Errors: PM_ERROR_BUSY, PM_ERROR_UNSUPPORTED, PM_ERROR_MEMORY, PM_ERROR_PERMISSION (in a
 * forked child). */
bool pm_ram_enter_claim(PmRam *ram, const PmDiscardClaimRequest *request, GError **error);

/*
 * For RAM without a manager, whose user could not follow one: from now on none can be made.
 * @request has excludes_manager; its kind is not used, and it excludes no discards.
 * pm_ram_leave_claim() ends it. Errors: PM_ERROR_BUSY (another thread has just made a manager),
 * PM_ERROR_MEMORY, PM_ERROR_PERMISSION (in a forked child).
 */
bool pm_ram_exclude_manager(PmRam *ram, const PmDiscardClaimRequest *request, GError **error);

/*
 * @refuse: from now on nobody can newly rely on the contents of @ram, because it is being handed
 * over: pm_ram_enter_claim() fails with PM_ERROR_BUSY. Call it as often with false as with true,
 * unless another process owns @ram then. Does nothing in a forked child.
 */
void pm_ram_refuse_claims(PmRam *ram, bool refuse);

/* Releases a claim, whoever made it. Returns whether it was there. */
bool pm_ram_leave_claim(PmRam *ram, uint64_t id);

/* Between these, claims wait that @discard excludes. @discard: next need not be set. Errors:
 * PM_ERROR_BUSY. */
bool pm_ram_begin_discard(PmRam *ram, PmRunningDiscard *discard, GError **error);
void pm_ram_end_discard(PmRam *ram, PmRunningDiscard *discard);

#endif
