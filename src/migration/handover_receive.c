/* SPDX-License-Identifier: MIT */
/* The new owner's side of a handover. */
#include <plugmap/handover.h>

#include <errno.h>

#include "base/error_text.h"
#include "kernel/kernel_calls.h"
#include "migration/handover_state.h"

#define PEER "the sender of the handover"

struct PmHandover {
    PmKernel *kernel;
    int socket;
    PmMessage offer; /* owns the descriptors that nobody has taken yet */
    PmHandoverState state;
    GPtrArray *rams; /* of PmRam */
    bool decided;    /* the old process has an answer */
};

/* --- descriptors --- */

/* Its new owner closes it. */
static void take_fd(PmHandover *handover, int fd)
{
    for (size_t i = 0; i < handover->offer.n_fds; i++)
        if (handover->offer.fds[i] == fd)
            handover->offer.fds[i] = -1;
}

/* Those of the address space belong to the kernel of VFIO. */
static void close_fds(PmHandover *handover)
{
    for (size_t i = 0; i < handover->offer.n_fds; i++) {
        /* Others are left to pm_message_clear(). */
        if (handover->offer.fds[i] >= 0 &&
            pm_kernel_close(handover->kernel, handover->offer.fds[i]) != -EBADF)
            handover->offer.fds[i] = -1;
    }
}

/* --- the offer --- */

static bool map_rams(PmHandover *handover, GError **error)
{
    const PmHandoverState *state = &handover->state;

    for (guint i = 0; i < state->rams->len; i++) {
        int fd = g_array_index(state->ram_fds, int, i);
        PmRam *ram = pm_ram_map_file(&g_array_index(state->rams, PmRamFile, i), fd, error);

        if (ram == NULL)
            return false;
        take_fd(handover, fd);
        g_ptr_array_add(handover->rams, ram);
    }
    for (guint i = 0; i < state->regions->len; i++) {
        PmHandoverRegion *region = &g_array_index(state->regions, PmHandoverRegion, i);

        region->config.ram = handover->rams->pdata[region->ram];
    }
    return true;
}

static bool receive_offer(PmHandover *handover, GError **error)
{
    if (!pm_channel_receive(handover->socket, &handover->offer, error))
        return false;
    if (handover->offer.type != PM_CHANNEL_OFFER) {
        handover->decided = true;
        return pm_channel_fail(&handover->offer, PEER, error);
    }
    return pm_handover_state_read(&handover->state, &handover->offer, error) &&
           map_rams(handover, error);
}

static void unref_ram(void *ram)
{
    pm_ram_unref(ram);
}

/* Sends the last word, unless it was sent. */
static void refuse(PmHandover *handover, const GError *failure)
{
    if (!handover->decided)
        pm_channel_send_failure(handover->socket, PM_CHANNEL_REFUSE, failure);
    handover->decided = true;
}

PmHandover *pm_handover_receive(PmKernel *kernel, int socket, GError **error)
{
    PmHandover *handover;
    GError *failure = NULL;

    if (!pm_channel_check(socket, error))
        return NULL;
    handover = g_new0(PmHandover, 1);
    handover->kernel = kernel != NULL ? pm_kernel_ref(kernel) : pm_kernel_host_new();
    handover->socket = socket;
    pm_handover_state_init(&handover->state);
    handover->rams = g_ptr_array_new_with_free_func(unref_ram);
    if (receive_offer(handover, &failure))
        return handover;
    refuse(handover, failure);
    pm_handover_free(handover);
    g_propagate_error(error, failure);
    return NULL;
}

size_t pm_handover_get_n_regions(const PmHandover *handover)
{
    return handover->state.regions->len;
}

const PmMapperRegion *pm_handover_get_region(const PmHandover *handover, size_t index)
{
    if (index >= handover->state.regions->len)
        return NULL;
    return &g_array_index(handover->state.regions, PmHandoverRegion, index).config;
}

/* --- taking over --- */

static PmIommu *make_iommu(PmHandover *handover, GError **error)
{
    const PmIommuFiles *files = &handover->state.files;
    PmIommu *iommu = files->backend == PM_IOMMU_IOMMUFD
                         ? pm_iommufd_adopt(handover->kernel, files, error)
                         : pm_type1_adopt(handover->kernel, files, error);

    if (iommu == NULL)
        return NULL;
    take_fd(handover, files->fd);
    for (guint i = 0; i < files->files->len; i++)
        take_fd(handover, g_array_index(files->files, PmIommuFile, i).fd);
    return iommu;
}

static bool adopt_regions(PmHandover *handover, PmMapper *mapper, GError **error)
{
    const GArray *regions = handover->state.regions;

    for (guint i = 0; i < regions->len; i++) {
        const PmHandoverRegion *region = &g_array_index(regions, PmHandoverRegion, i);

        if (!pm_mapper_adopt(mapper, &region->config, region->runs, region->n_runs, error))
            return false;
    }
    return true;
}

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
           pm_channel_fail(&message, PEER, error);
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

/* Once COMMIT is sent, this process owns everything. */
static bool negotiate(PmHandover *handover, PmIommu *iommu, GError **error)
{
    bool ended;

    if (!await_frozen(handover, error) || !pm_iommu_handover_take(iommu, error) ||
        !send_or_outlive(handover, PM_CHANNEL_COMMIT, &ended, error))
        return false;
    handover->decided = true;
    pm_iommu_handover_own(iommu);
    if (!ended)
        await_done(handover);
    return true;
}

/* The mapper holds a reference to the address space. */
static bool take_over(PmHandover *handover, PmIommu *iommu, PmMapper *mapper, GError **error)
{
    GError *failure = NULL;

    if (adopt_regions(handover, mapper, &failure) && negotiate(handover, iommu, &failure))
        return true;
    /* Before REFUSE: from then on the old process continues. */
    pm_iommu_handover_let_go(iommu);
    refuse(handover, failure);
    g_propagate_error(error, failure);
    return false;
}

bool pm_handover_take_over(PmHandover *handover, PmIommu **iommu, PmMapper **mapper, GError **error)
{
    GError *failure = NULL;

    if (handover->decided)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "this handover has been taken over, or has failed: receive another one");
    *iommu = make_iommu(handover, &failure);
    if (*iommu == NULL) {
        refuse(handover, failure);
        g_propagate_error(error, failure);
        return false;
    }
    *mapper = pm_mapper_new(*iommu);
    if (take_over(handover, *iommu, *mapper, error))
        return true;
    g_clear_pointer(mapper, pm_mapper_free);
    g_clear_pointer(iommu, pm_iommu_unref);
    return false;
}

void pm_handover_free(PmHandover *handover)
{
    g_autoptr(GError) dropped = NULL;

    if (handover == NULL)
        return;
    (void)pm_fail(&dropped, PM_ERROR_BUSY, "it dropped the offer");
    close_fds(handover);
    pm_message_clear(&handover->offer);
    refuse(handover, dropped);
    g_ptr_array_unref(handover->rams);
    pm_handover_state_clear(&handover->state);
    pm_kernel_unref(handover->kernel);
    g_free(handover);
}
