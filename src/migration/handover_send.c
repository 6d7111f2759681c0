/* SPDX-License-Identifier: MIT */
/* The old owner's side of a handover. */
#include <plugmap/handover.h>

#include "base/error_text.h"
#include "base/log.h"
#include "migration/handover_party.h"

#define PEER "the receiver of the handover"

/* --- what is checked before anything changes --- */

bool pm_handover_check(PmMapper *const *mappers, size_t n_mappers, GError **error)
{
    g_auto(PmHandoverParty) party;
    g_auto(PmHandoverState) state;

    pm_handover_state_init(&state);
    return pm_handover_party_init(&party, mappers, n_mappers, error) &&
           pm_handover_party_check(&party, error) &&
           pm_handover_party_describe(&party, &state, error);
}

/* --- the protocol --- */

static bool send_offer(const PmHandoverParty *party, int socket, GError **error)
{
    g_auto(PmHandoverState) state;
    g_auto(PmWireWriter) writer = {0};
    int fds[PM_CHANNEL_MAX_FDS];
    size_t n_fds;

    pm_handover_state_init(&state);
    if (!pm_handover_party_describe(party, &state, error))
        return false;
    pm_handover_state_write(&state, &writer);
    if (writer.failed)
        return pm_fail(error, PM_ERROR_MEMORY, "out of memory for the state of the mappers");
    if (writer.size > PM_CHANNEL_MAX_SIZE)
        return pm_fail(
            error, PM_ERROR_LIMIT,
            "cannot hand over the mappers: their state has %zu bytes, and a message at most "
            "64M: map fewer, larger runs",
            writer.size);
    n_fds = pm_handover_state_list_fds(&state, fds);
    return pm_channel_send(socket, PM_CHANNEL_OFFER, writer.bytes, writer.size, fds, n_fds, error);
}

/* What the receiver answers: COMMIT, or the reason why there will be none. */
static bool expect(int socket, PmChannelType expected, PmChannelType *answer, GError **error)
{
    g_auto(PmMessage) message = {0};

    *answer = PM_CHANNEL_ABORT;
    if (!pm_channel_receive(socket, &message, error))
        return false;
    *answer = message.type;
    return message.type == expected || pm_channel_fail(&message, PEER, error);
}

static bool is_decision(PmChannelType answer)
{
    return answer == PM_CHANNEL_COMMIT || answer == PM_CHANNEL_REFUSE ||
           answer == PM_CHANNEL_CLOSED;
}

/* The receiver may be taking over, and only it knows: wait until it has committed, refused or
 * closed its end. Returns whether it has committed. */
static bool await_decision(int socket, PmChannelType answer)
{
    while (!is_decision(answer)) {
        g_auto(PmMessage) message = {0};
        g_autoptr(GError) error = NULL;

        if (pm_channel_receive(socket, &message, &error))
            answer = message.type;
        else if (pm_error_get_errno(error) != 0)
            answer = PM_CHANNEL_CLOSED;
    }
    return answer == PM_CHANNEL_COMMIT;
}

static bool invalidate(const PmHandoverParty *party, GError **error)
{
    for (guint i = 0; i < party->iommus->len; i++)
        if (!pm_iommu_handover_invalidate(party->iommus->pdata[i], error))
            return false;
    return true;
}

/* Returns whether the receiver owns the address spaces. @accepted: it may have changed them. */
static bool negotiate(const PmHandoverParty *party, int socket, bool *accepted, GError **error)
{
    PmChannelType answer;
    GError *failure = NULL;

    *accepted = expect(socket, PM_CHANNEL_ACCEPT, &answer, &failure);
    if (!(*accepted && invalidate(party, &failure) &&
          pm_channel_send(socket, PM_CHANNEL_FROZEN, NULL, 0, NULL, 0, &failure) &&
          expect(socket, PM_CHANNEL_COMMIT, &answer, &failure)) &&
        !is_decision(answer))
        pm_channel_send_failure(socket, PM_CHANNEL_ABORT, failure);
    if (await_decision(socket, answer)) {
        g_clear_error(&failure);
        return true;
    }
    g_propagate_error(error, failure);
    return false;
}

static void restore(PmIommu *iommu)
{
    g_autoptr(GError) error = NULL;

    if (!pm_iommu_handover_restore(iommu, &error))
        pm_log(G_LOG_LEVEL_WARNING,
               "the handover failed, and the kernel does not know the host addresses of all "
               "mappings: they work, but no group can be attached before they are unmapped: %s",
               error->message);
}

static void go_on(const PmHandoverParty *party, bool accepted)
{
    for (guint i = 0; i < party->iommus->len; i++)
        if (accepted)
            restore(party->iommus->pdata[i]);
        else
            pm_iommu_handover_cancel(party->iommus->pdata[i]);
}

static void let_go(const PmHandoverParty *party)
{
    for (guint i = 0; i < party->iommus->len; i++)
        pm_iommu_handover_let_go(party->iommus->pdata[i]);
}

static bool hand_over(const PmHandoverParty *party, int socket, GError **error)
{
    bool accepted = false;

    if (send_offer(party, socket, error) && negotiate(party, socket, &accepted, error)) {
        let_go(party);
        (void)pm_channel_send(socket, PM_CHANNEL_DONE, NULL, 0, NULL, 0, NULL);
        return true;
    }
    go_on(party, accepted);
    pm_handover_party_cancel(party);
    return false;
}

bool pm_handover_send(PmMapper *const *mappers, size_t n_mappers, int socket, GError **error)
{
    g_auto(PmHandoverParty) party;

    return pm_handover_party_init(&party, mappers, n_mappers, error) &&
           pm_channel_check(socket, error) && pm_handover_party_begin(&party, error) &&
           hand_over(&party, socket, error);
}
