/* SPDX-License-Identifier: MIT */
/* The new owner's side of a handover, until it takes over. */
#include <errno.h>

#include "base/error_text.h"
#include "kernel/kernel_calls.h"
#include "migration/handover_private.h"

/* --- descriptors --- */

void pm_handover_take_fd(PmHandover *handover, int fd)
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

static void set_rams(const PmHandover *handover, const PmHandoverMapper *mapper)
{
    for (guint i = 0; i < mapper->regions->len; i++) {
        PmHandoverRegion *region = pm_handover_mapper_region(mapper, i);

        region->config.ram = handover->rams->pdata[region->ram];
    }
}

static bool map_rams(PmHandover *handover, GError **error)
{
    const PmHandoverState *state = &handover->state;

    for (guint i = 0; i < state->rams->len; i++) {
        int fd = g_array_index(state->ram_fds, int, i);
        PmRam *ram = pm_ram_map_file(&g_array_index(state->rams, PmRamFile, i), fd, error);

        if (ram == NULL)
            return false;
        pm_handover_take_fd(handover, fd);
        g_ptr_array_add(handover->rams, ram);
    }
    for (guint i = 0; i < state->mappers->len; i++)
        set_rams(handover, pm_handover_state_mapper(state, i));
    return true;
}

static bool receive_offer(PmHandover *handover, GError **error)
{
    if (!pm_channel_receive(handover->socket, &handover->offer, error))
        return false;
    if (handover->offer.type != PM_CHANNEL_OFFER) {
        handover->decided = true;
        return pm_channel_fail(&handover->offer, PM_HANDOVER_SENDER, error);
    }
    return pm_handover_state_read(&handover->state, &handover->offer, error) &&
           map_rams(handover, error);
}

static void unref_ram(void *ram)
{
    pm_ram_unref(ram);
}

void pm_handover_refuse(PmHandover *handover, const GError *failure)
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
    pm_handover_refuse(handover, failure);
    pm_handover_free(handover);
    g_propagate_error(error, failure);
    return NULL;
}

size_t pm_handover_get_n_mappers(const PmHandover *handover)
{
    return handover->state.mappers->len;
}

size_t pm_handover_get_n_regions(const PmHandover *handover, size_t mapper)
{
    if (mapper >= handover->state.mappers->len)
        return 0;
    return pm_handover_state_mapper(&handover->state, mapper)->regions->len;
}

const PmMapperRegion *pm_handover_get_region(const PmHandover *handover, size_t mapper,
                                             size_t index)
{
    if (index >= pm_handover_get_n_regions(handover, mapper))
        return NULL;
    return &pm_handover_mapper_region(pm_handover_state_mapper(&handover->state, mapper), index)
                ->config;
}

void pm_handover_free(PmHandover *handover)
{
    g_autoptr(GError) dropped = NULL;

    if (handover == NULL)
        return;
    (void)pm_fail(&dropped, PM_ERROR_BUSY, "it dropped the offer");
    close_fds(handover);
    pm_message_clear(&handover->offer);
    pm_handover_refuse(handover, dropped);
    g_ptr_array_unref(handover->rams);
    pm_handover_state_clear(&handover->state);
    pm_kernel_unref(handover->kernel);
    g_free(handover);
}
