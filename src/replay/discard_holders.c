/* SPDX-License-Identifier: MIT */
#include "replay/discard_holders.h"

#include <inttypes.h>

#include "base/error_text.h"

static void holder_free(void *data)
{
    PmReplayHolder *holder = data;

    g_free(holder->owner);
    g_free(holder);
}

static PmReplayHolder *find(const GPtrArray *holders, PmDiscardClaimKind kind, const char *owner)
{
    for (guint i = 0; i < holders->len; i++) {
        PmReplayHolder *holder = g_ptr_array_index(holders, i);

        if (holder->kind == kind && g_str_equal(holder->owner, owner))
            return holder;
    }
    return NULL;
}

GPtrArray *pm_replay_holders_of(const PmRam *ram)
{
    GPtrArray *holders = g_ptr_array_new_with_free_func(holder_free);
    PmDiscardClaim claim = {.struct_size = sizeof(claim)};
    char *owner = NULL;

    while (pm_ram_next_discard_claim(ram, claim.id, &claim, &owner)) {
        PmReplayHolder *holder = find(holders, claim.kind, owner);

        if (holder == NULL) {
            holder = g_new0(PmReplayHolder, 1);
            holder->owner = g_strdup(owner);
            holder->kind = claim.kind;
            g_ptr_array_add(holders, holder);
        }
        holder->n_claims++;
        holder->n_bytes += claim.size;
        g_free(owner);
    }
    return holders;
}

static const char *describe_kind(PmDiscardClaimKind kind)
{
    static const char *const texts[] = {
        [PM_DISCARD_DISABLE] = "disables all",
        [PM_DISCARD_DISABLE_UNCOORDINATED] = "disables uncoordinated",
        [PM_DISCARD_REQUIRE_UNCOORDINATED] = "requires uncoordinated",
        [PM_DISCARD_REQUIRE_COORDINATED] = "requires coordinated",
    };

    return texts[kind];
}

char *pm_replay_holders_describe(const GPtrArray *holders, guint max)
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < MIN(holders->len, max); i++) {
        const PmReplayHolder *holder = g_ptr_array_index(holders, i);
        g_autofree char *claims = pm_counted(holder->n_claims, "claim");

        g_string_append_printf(text, "%s%s %s", i > 0 ? ", " : "", holder->owner,
                               describe_kind(holder->kind));
        if (holder->n_claims > 1)
            g_string_append_printf(text, " (%s)", claims);
    }
    if (holders->len > max)
        g_string_append_printf(text, ", %u more (--json lists all)", holders->len - max);
    if (holders->len == 0)
        g_string_append(text, "nobody disables or requires any");
    return g_string_free(text, FALSE);
}
