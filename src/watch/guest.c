/* SPDX-License-Identifier: MIT */
#include "watch/guest.h"

#include <inttypes.h>

#include <plugmap/size.h>

#include "base/error_text.h"
#include "kernel-uapi/virtio_mem.h"

static bool has_response(const PmTraceEvent *event)
{
    return event->response >= 0 && !pm_event_type_is_iommu(event->type);
}

void pm_watch_guest_add(PmWatchGuest *guest, const PmTraceEvent *event)
{
    guest->n_requests[event->type]++;
    if (has_response(event))
        guest->n_responses[event->response]++;
    if (event->type == PM_EVENT_RESET)
        guest->n_blocks = 0;
    if (!has_response(event) || event->response != VIRTIO_MEM_RESP_ACK)
        return;
    if (event->type == PM_EVENT_PLUG)
        guest->n_blocks += event->n_blocks;
    else if (event->type == PM_EVENT_UNPLUG)
        guest->n_blocks -= MIN(guest->n_blocks, event->n_blocks);
    else if (event->type == PM_EVENT_UNPLUG_ALL)
        guest->n_blocks = 0;
}

bool pm_watch_guest_is_refused(const PmTraceEvent *event)
{
    return event->response > 0;
}

static const char *response_of(const PmTraceEvent *event)
{
    if (event->response < 0)
        return NULL;
    if (pm_event_type_is_iommu(event->type))
        return pm_iommu_status_names[event->response];
    return event->state >= 0 ? pm_state_names[event->state] : pm_response_names[event->response];
}

char *pm_watch_guest_describe(const PmTraceEvent *event)
{
    const char *response = response_of(event);
    GString *text = g_string_new(pm_event_type_name(event->type));
    g_autofree char *blocks = pm_counted(event->n_blocks, "block");
    g_autofree char *size = pm_size_format(event->size);

    if (pm_event_type_has_blocks(event->type))
        g_string_append_printf(text, " of %s at 0x%" PRIx64, blocks, event->address);
    else if (pm_event_type_is_iommu(event->type))
        g_string_append_printf(text, " of %s at 0x%" PRIx64, size, event->iova);
    else if (event->type == PM_EVENT_CONVERT)
        g_string_append_printf(text, " of %s at 0x%" PRIx64, size, event->address);
    else if (event->type == PM_EVENT_RESIZE)
        g_string_append_printf(text, " to %s", size);
    if (response != NULL)
        g_string_append_printf(text, ": %s", response);
    return g_string_free(text, FALSE);
}
