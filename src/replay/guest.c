/* SPDX-License-Identifier: MIT */
#include "replay/guest.h"

#include <inttypes.h>

#include <plugmap/fake.h>

#include "base/error_text.h"
#include "kernel-uapi/virtio_iommu.h"

#define DOMAIN   1
#define ENDPOINT 8

/* Pages tried by DMA after an event; a slow engine needs 100 ms for each. */
#define MAX_PAGES      64
#define MAX_PAGES_SLOW 2

struct PmReplayGuest {
    PmReplayOpenFunc open;
    void *user_data;
    PmGuestIommu *table;
    PmGuestMapper *mapper;
    uint64_t next_iova; /* of the next DMA check */
};

static bool is_iommu_event(const PmTraceEvent *event)
{
    return pm_event_type_is_iommu(event->type);
}

bool pm_replay_guest_is_in(const PmTrace *trace)
{
    for (guint i = 0; i < trace->events->len; i++)
        if (is_iommu_event(&g_array_index(trace->events, PmTraceEvent, i)))
            return true;
    return false;
}

void pm_replay_guest_window(const PmTrace *trace, uint64_t *address, uint64_t *size)
{
    uint64_t last = 0;

    *address = UINT64_MAX;
    for (guint i = 0; i < trace->events->len; i++) {
        const PmTraceEvent *event = &g_array_index(trace->events, PmTraceEvent, i);

        if (event->type != PM_EVENT_IOMMU_MAP)
            continue;
        *address = MIN(*address, event->iova);
        last = MAX(last, event->iova + (event->size - 1));
    }
    if (*address > last)
        *address = last = 0;
    *size = MIN(last - *address, UINT64_MAX - 1) + 1;
}

static PmIommu *open_device(void *user_data, const char *device, GError **error)
{
    const PmReplayGuest *guest = user_data;

    (void)device;
    return guest->open(guest->user_data, error);
}

PmReplayGuest *pm_replay_guest_new(PmReplayOpenFunc open, void *user_data, GError **error)
{
    g_autoptr(PmReplayGuest) guest = g_new0(PmReplayGuest, 1);
    const PmGuestIommuConfig table = {.struct_size = sizeof(table), .max_mappings = UINT32_MAX};
    const PmGuestMapperConfig mapper = {
        .struct_size = sizeof(mapper),
        .open = open_device,
        .user_data = guest,
        .max_mappings = UINT64_MAX,
    };

    guest->open = open;
    guest->user_data = user_data;
    guest->table = pm_guest_iommu_new(&table, error);
    if (guest->table == NULL ||
        !pm_virtio_iommu_set_features(guest->table, pm_virtio_iommu_get_features(guest->table),
                                      error))
        return NULL;
    guest->mapper = pm_guest_mapper_new(&mapper, error);
    return guest->mapper != NULL ? g_steal_pointer(&guest) : NULL;
}

void pm_replay_guest_free(PmReplayGuest *guest)
{
    if (guest == NULL)
        return;
    pm_guest_mapper_free(guest->mapper);
    pm_guest_iommu_unref(guest->table);
    g_free(guest);
}

bool pm_replay_guest_add(PmReplayGuest *guest, const PmMapperRegion *region, GError **error)
{
    return pm_guest_mapper_add(guest->mapper, region, error);
}

bool pm_replay_guest_start(PmReplayGuest *guest, GError **error)
{
    const PmGuestEndpoint endpoint = {.struct_size = sizeof(endpoint),
                                      .endpoint = ENDPOINT,
                                      .device = "the device of the replay"};

    return pm_guest_mapper_follow(guest->mapper, guest->table, error) &&
           pm_guest_iommu_add_endpoint(guest->table, &endpoint, error) &&
           pm_guest_iommu_attach(guest->table, DOMAIN, false, ENDPOINT, error);
}

PmIommu *pm_replay_guest_get_iommu(const PmReplayGuest *guest)
{
    return pm_guest_mapper_get_iommu(guest->mapper, ENDPOINT);
}

/* --- requests --- */

/* Requests are little endian. */
static PmVirtioIommuStatus send(PmReplayGuest *guest, const void *request, size_t size,
                                const GError **refusal)
{
    struct virtio_iommu_req_tail tail;

    (void)pm_virtio_iommu_handle(guest->table, request, size - sizeof(tail), &tail, sizeof(tail));
    return pm_virtio_iommu_last_refusal(guest->table, refusal);
}

static PmVirtioIommuStatus map(PmReplayGuest *guest, const PmTraceEvent *event,
                               const GError **refusal)
{
    uint32_t flags = (event->access & PM_IOMMU_READ ? VIRTIO_IOMMU_MAP_F_READ : 0) |
                     (event->access & PM_IOMMU_WRITE ? VIRTIO_IOMMU_MAP_F_WRITE : 0);
    const struct virtio_iommu_req_map request = {
        .head.type = VIRTIO_IOMMU_T_MAP,
        .domain = GUINT32_TO_LE(DOMAIN),
        .virt_start = GUINT64_TO_LE(event->iova),
        .virt_end = GUINT64_TO_LE(event->iova + (event->size - 1)),
        .phys_start = GUINT64_TO_LE(event->address),
        .flags = GUINT32_TO_LE(flags),
    };

    return send(guest, &request, sizeof(request), refusal);
}

static PmVirtioIommuStatus unmap(PmReplayGuest *guest, uint64_t iova, uint64_t last,
                                 const GError **refusal)
{
    const struct virtio_iommu_req_unmap request = {
        .head.type = VIRTIO_IOMMU_T_UNMAP,
        .domain = GUINT32_TO_LE(DOMAIN),
        .virt_start = GUINT64_TO_LE(iova),
        .virt_end = GUINT64_TO_LE(last),
    };

    return send(guest, &request, sizeof(request), refusal);
}

PmVirtioIommuStatus pm_replay_guest_play(PmReplayGuest *guest, const PmTraceEvent *event,
                                         const GError **refusal)
{
    return event->type == PM_EVENT_IOMMU_MAP
               ? map(guest, event, refusal)
               : unmap(guest, event->iova, event->iova + (event->size - 1), refusal);
}

bool pm_replay_guest_next_mapping(const PmReplayGuest *guest, uint64_t iova,
                                  PmGuestMapping *mapping)
{
    return pm_guest_iommu_next_mapping(guest->table, DOMAIN, iova, mapping);
}

PmVirtioIommuStatus pm_replay_guest_reset(PmReplayGuest *guest, const GError **refusal)
{
    return unmap(guest, 0, UINT64_MAX, refusal);
}

/* --- audits --- */

bool pm_replay_guest_check_mapped(PmReplayGuest *guest, uint64_t n_own, GError **error)
{
    PmGuestMapperAudit audit = {.struct_size = sizeof(audit)};

    if (!pm_guest_mapper_audit(guest->mapper, &audit, error))
        return false;
    return audit.n_others == n_own ||
           pm_fail(error, PM_ERROR_AUDIT,
                   "%" PRIu64 " mappings are not of the guest's table, and %" PRIu64
                   " are the replay's own",
                   audit.n_others, n_own);
}

/* A part of a mapping that is in one state. @offset: in the device's memory. */
typedef struct {
    uint64_t iova;
    uint64_t size;
    uint64_t offset;
    bool is_populated;
} Part;

/* The part that begins at @iova of a mapping; false: the mapping is not of this device. */
static bool part_at(PmVirtioMem *device, const PmGuestMapping *mapping, uint64_t iova, Part *part)
{
    const PmDiscardManager *manager = pm_virtio_mem_get_manager(device);
    uint64_t mask = pm_discard_manager_get_granularity(manager) - 1;
    uint64_t offset = mapping->address + (iova - mapping->iova) - pm_virtio_mem_get_address(device);
    uint64_t end = offset + (mapping->last - iova) + 1;
    uint64_t run;
    uint64_t size;

    if (end > pm_virtio_mem_get_region_size(device) || offset >= end)
        return false;
    *part = (Part){.iova = iova, .offset = offset, .size = end - offset};
    if (!pm_discard_manager_next_populated(manager, offset & ~mask, (end + mask) & ~mask, &run,
                                           &size))
        return true;
    part->is_populated = run <= offset;
    part->size = MIN(part->is_populated ? run + size : run, end) - offset;
    return true;
}

static bool check_translated(const Part *part, PmKernel *fake, unsigned group, GError **error)
{
    uint64_t iova = 0;
    uint64_t size = 0;
    bool found = pm_fake_kernel_next_translated(fake, group, part->iova,
                                                part->iova + (part->size - 1), &iova, &size);

    if (part->is_populated ? found && iova == part->iova && size == part->size : !found)
        return true;
    return pm_fail(error, PM_ERROR_AUDIT,
                   "page table maps 0x%" PRIx64 " bytes at I/O address 0x%" PRIx64
                   ", but of 0x%" PRIx64 " bytes at 0x%" PRIx64 " %s populated",
                   size, iova, part->size, part->iova, part->is_populated ? "all are" : "none is");
}

bool pm_replay_guest_check_page_table(PmReplayGuest *guest, PmVirtioMem *device, PmKernel *fake,
                                      unsigned group, GError **error)
{
    PmGuestMapping mapping;
    uint64_t iova = 0;
    Part part;

    while (pm_guest_iommu_next_mapping(guest->table, DOMAIN, iova, &mapping)) {
        for (iova = mapping.iova; iova <= mapping.last && part_at(device, &mapping, iova, &part);
             iova += part.size)
            if (!check_translated(&part, fake, group, error))
                return false;
        iova = mapping.last + 1;
    }
    return true;
}

static bool check_part(const Part *part, const PmGuestMapping *mapping, PmDmaCheck *check,
                       GError **error)
{
    uint64_t last_page = part->size - PM_DMA_PAGE;

    return pm_dma_check_page(check, part->iova, part->offset, mapping->access, error) &&
           (last_page == 0 || pm_dma_check_is_slow(check) ||
            pm_dma_check_page(check, part->iova + last_page, part->offset + last_page,
                              mapping->access, error));
}

/* Returns to the first mapping after the last one. */
static bool next_mapping(PmReplayGuest *guest, PmGuestMapping *mapping)
{
    if (pm_guest_iommu_next_mapping(guest->table, DOMAIN, guest->next_iova, mapping))
        return true;
    guest->next_iova = 0;
    return pm_guest_iommu_next_mapping(guest->table, DOMAIN, 0, mapping);
}

bool pm_replay_guest_check_dma(PmReplayGuest *guest, PmVirtioMem *device, PmDmaCheck *check,
                               GError **error)
{
    PmGuestDomainInfo domain = {.struct_size = sizeof(domain)};
    unsigned n_pages = 0;
    PmGuestMapping mapping;
    Part part;

    (void)pm_guest_iommu_next_domain(guest->table, DOMAIN, &domain);
    for (uint64_t i = 0; i < domain.n_mappings && next_mapping(guest, &mapping); i++) {
        for (uint64_t at = mapping.iova; at <= mapping.last && part_at(device, &mapping, at, &part);
             at += part.size) {
            if (!check_part(&part, &mapping, check, error))
                return false;
            n_pages += 2;
        }
        guest->next_iova = mapping.last + 1;
        if (n_pages >= (pm_dma_check_is_slow(check) ? MAX_PAGES_SLOW : MAX_PAGES))
            break;
    }
    return true;
}
