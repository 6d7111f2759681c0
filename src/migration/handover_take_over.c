/* SPDX-License-Identifier: MIT */
/* The new owner's side of a handover: taking over. */
#include <errno.h>

#include "base/error_text.h"
#include "mapper/mapper_private.h"
#include "migration/handover_private.h"

/* What is taken over. */
typedef struct {
    GPtrArray *iommus;  /* of PmIommu */
    GPtrArray *mappers; /* of PmMapper */
} Taking;

static void unref_iommu(void *iommu)
{
    pm_iommu_unref(iommu);
}

static void free_mapper(void *mapper)
{
    pm_mapper_free(mapper);
}

static void taking_init(Taking *taking)
{
    taking->iommus = g_ptr_array_new_with_free_func(unref_iommu);
    taking->mappers = g_ptr_array_new_with_free_func(free_mapper);
}

/* Mappers have references to the address spaces. */
static void taking_clear(Taking *taking)
{
    g_ptr_array_unref(taking->mappers);
    g_ptr_array_unref(taking->iommus);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Taking, taking_clear)

/* --- adopting what the old process has described --- */

static PmIommu *make_iommu(PmHandover *handover, const PmIommuFiles *files, GError **error)
{
    PmIommu *iommu;

    if (!pm_iommu_check_files(handover->kernel, files, error))
        return NULL;
    iommu = files->backend == PM_IOMMU_IOMMUFD ? pm_iommufd_adopt(handover->kernel, files, error)
                                               : pm_type1_adopt(handover->kernel, files, error);
    if (iommu == NULL)
        return NULL;
    pm_handover_take_fd(handover, files->fd);
    for (guint i = 0; i < files->files->len; i++)
        pm_handover_take_fd(handover, g_array_index(files->files, PmIommuFile, i).fd);
    return iommu;
}

static bool make_iommus(PmHandover *handover, Taking *taking, GError **error)
{
    const GArray *spaces = handover->state.spaces;

    for (guint i = 0; i < spaces->len; i++) {
        PmIommu *iommu = make_iommu(handover, &g_array_index(spaces, PmIommuFiles, i), error);

        if (iommu == NULL)
            return false;
        g_ptr_array_add(taking->iommus, iommu);
    }
    return true;
}

static bool adopt_regions(PmMapper *mapper, const PmHandoverMapper *theirs, GError **error)
{
    for (guint i = 0; i < theirs->regions->len; i++) {
        const PmHandoverRegion *region = pm_handover_mapper_region(theirs, i);

        if (!pm_mapper_adopt(mapper, &region->config, region->runs, region->n_runs, error))
            return false;
    }
    return true;
}

static bool adopt_mappers(const PmHandover *handover, Taking *taking, GError **error)
{
    for (guint i = 0; i < handover->state.mappers->len; i++) {
        const PmHandoverMapper *theirs = pm_handover_state_mapper(&handover->state, i);
        PmMapper *mapper = pm_mapper_new(taking->iommus->pdata[theirs->space]);

        g_ptr_array_add(taking->mappers, mapper);
        if (!adopt_regions(mapper, theirs, error))
            return false;
    }
    return true;
}

/* --- the protocol --- */

static bool is_closed(const GError *failure)
{
    int error_number = pm_error_get_errno(failure);

    return error_number == EPIPE || error_number == ECONNRESET;
}

/* The old process has aborted, if it has sent so before it closed its end. */
static bool check_not_aborted(int socket, GError **error)
{
    g_auto(PmMessage) message = {0};

    if (!pm_channel_receive(socket, &message, error))
        return false;
    return message.type == PM_CHANNEL_CLOSED || message.type == PM_CHANNEL_FROZEN ||
           pm_channel_fail(&message, PM_HANDOVER_SENDER, error);
}

/* A failure to send because the old process has ended is none. */
static bool send_or_outlive(PmHandover *handover, PmChannelType type, bool *ended, GError **error)
{
    GError *failure = NULL;

    *ended = false;
    if (pm_channel_send(handover->socket, type, NULL, 0, NULL, 0, &failure))
        return true;
    *ended = is_closed(failure);
    if (*ended) {
        g_clear_error(&failure);
        return check_not_aborted(handover->socket, error);
    }
    g_propagate_error(error, failure);
    return false;
}

/* FROZEN, or the old process has ended, after which this one is the only one left. */
static bool await_frozen(PmHandover *handover, GError **error)
{
    bool ended;

    return send_or_outlive(handover, PM_CHANNEL_ACCEPT, &ended, error) &&
           (ended || check_not_aborted(handover->socket, error));
}

static void await_done(const PmHandover *handover)
{
    g_auto(PmMessage) message = {0};

    (void)pm_channel_receive(handover->socket, &message, NULL);
}

static bool take_all(const Taking *taking, GError **error)
{
    for (guint i = 0; i < taking->iommus->len; i++)
        if (!pm_iommu_handover_take(taking->iommus->pdata[i], error))
            return false;
    return true;
}

static void own_all(const Taking *taking)
{
    for (guint i = 0; i < taking->iommus->len; i++)
        pm_iommu_handover_own(taking->iommus->pdata[i]);
}

/* Once COMMIT is sent, this process owns everything. */
static bool negotiate(PmHandover *handover, const Taking *taking, GError **error)
{
    bool ended;

    if (!await_frozen(handover, error) || !take_all(taking, error) ||
        !send_or_outlive(handover, PM_CHANNEL_COMMIT, &ended, error))
        return false;
    handover->decided = true;
    own_all(taking);
    if (!ended)
        await_done(handover);
    return true;
}

/* The caller's are references of their own. */
static void give(const PmHandover *handover, Taking *taking, PmIommu **iommus, PmMapper **mappers)
{
    for (guint i = 0; i < taking->mappers->len; i++) {
        uint32_t space = pm_handover_state_mapper(&handover->state, i)->space;

        iommus[i] = pm_iommu_ref(taking->iommus->pdata[space]);
        mappers[i] = taking->mappers->pdata[i];
    }
    g_ptr_array_set_free_func(taking->mappers, NULL);
}

/* Before REFUSE: from then on the old process continues. */
static void let_go(const Taking *taking)
{
    for (guint i = 0; i < taking->iommus->len; i++)
        pm_iommu_handover_let_go(taking->iommus->pdata[i]);
}

bool pm_handover_take_over(PmHandover *handover, PmIommu **iommus, PmMapper **mappers,
                           GError **error)
{
    g_auto(Taking) taking;
    GError *failure = NULL;

    taking_init(&taking);
    if (handover->decided)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "this handover has been taken over, or has failed: receive another one");
    if (make_iommus(handover, &taking, &failure) && adopt_mappers(handover, &taking, &failure) &&
        negotiate(handover, &taking, &failure)) {
        give(handover, &taking, iommus, mappers);
        return true;
    }
    let_go(&taking);
    pm_handover_refuse(handover, failure);
    g_propagate_error(error, failure);
    return false;
}
