/* SPDX-License-Identifier: MIT */
/* Requests of the virtio-iommu driver. */
#include <inttypes.h>
#include <string.h>

#include "base/error_text.h"
#include "guest_iommu/endpoint.h"
#include "guest_iommu/probe.h"
#include "guest_iommu/refusal.h"
#include "kernel-uapi/virtio_iommu.h"

/* A request, copied from the guest. */
typedef union {
    struct virtio_iommu_req_head head;
    struct virtio_iommu_req_attach attach;
    struct virtio_iommu_req_detach detach;
    struct virtio_iommu_req_map map;
    struct virtio_iommu_req_unmap unmap;
    struct virtio_iommu_req_probe probe;
} Request;

/* What the device writes; the tail is written after it. */
typedef struct {
    uint8_t *properties;
    size_t size;
} Response;

static bool is_accepted(const PmGuestIommu *iommu, unsigned feature)
{
    return (iommu->accepted_features >> feature & 1) != 0;
}

static bool is_zero(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != 0)
            return false;
    }
    return true;
}

static bool invalid(PmGuestIommu *iommu, GError **error, const char *why)
{
    return pm_guest_refuse(iommu, error, VIRTIO_IOMMU_S_INVAL, PM_ERROR_BAD_REQUEST, "%s", why);
}

static bool needs_feature(PmGuestIommu *iommu, unsigned feature, const char *name, GError **error)
{
    return is_accepted(iommu, feature) ||
           pm_guest_refuse(iommu, error, VIRTIO_IOMMU_S_UNSUPP, PM_ERROR_BAD_REQUEST,
                           "the driver did not accept the feature %s", name);
}

static bool handle_attach(PmGuestIommu *iommu, const Request *request,
                          const Response *response G_GNUC_UNUSED, GError **error)
{
    const struct virtio_iommu_req_attach *wire = &request->attach;
    uint32_t flags = GUINT32_FROM_LE(wire->flags);
    uint32_t known =
        is_accepted(iommu, VIRTIO_IOMMU_F_BYPASS_CONFIG) ? VIRTIO_IOMMU_ATTACH_F_BYPASS : 0;

    if (!is_zero(wire->reserved, sizeof(wire->reserved)))
        return invalid(iommu, error, "reserved bytes are not zero");
    if ((flags & ~known) != 0)
        return invalid(iommu, error, "unknown flags");
    return pm_guest_iommu_attach(iommu, GUINT32_FROM_LE(wire->domain),
                                 (flags & VIRTIO_IOMMU_ATTACH_F_BYPASS) != 0,
                                 GUINT32_FROM_LE(wire->endpoint), error);
}

static bool handle_detach(PmGuestIommu *iommu, const Request *request,
                          const Response *response G_GNUC_UNUSED, GError **error)
{
    return pm_guest_iommu_detach(iommu, GUINT32_FROM_LE(request->detach.domain),
                                 GUINT32_FROM_LE(request->detach.endpoint), error);
}

static bool handle_map(PmGuestIommu *iommu, const Request *request,
                       const Response *response G_GNUC_UNUSED, GError **error)
{
    const struct virtio_iommu_req_map *wire = &request->map;
    uint32_t flags = GUINT32_FROM_LE(wire->flags);
    uint32_t known = VIRTIO_IOMMU_MAP_F_READ | VIRTIO_IOMMU_MAP_F_WRITE;
    PmGuestMapping mapping = {
        .iova = GUINT64_FROM_LE(wire->virt_start),
        .last = GUINT64_FROM_LE(wire->virt_end),
        .address = GUINT64_FROM_LE(wire->phys_start),
    };

    if (!needs_feature(iommu, VIRTIO_IOMMU_F_MAP_UNMAP, "MAP_UNMAP", error))
        return false;
    if (is_accepted(iommu, VIRTIO_IOMMU_F_MMIO))
        known |= VIRTIO_IOMMU_MAP_F_MMIO;
    if ((flags & ~known) != 0)
        return invalid(iommu, error, "unknown flags");
    mapping.access =
        (PmIommuAccess)(((flags & VIRTIO_IOMMU_MAP_F_READ) != 0 ? PM_IOMMU_READ : 0) |
                        ((flags & VIRTIO_IOMMU_MAP_F_WRITE) != 0 ? PM_IOMMU_WRITE : 0));
    if ((flags & VIRTIO_IOMMU_MAP_F_MMIO) != 0)
        mapping.flags |= PM_GUEST_MAPPING_MMIO;
    return pm_guest_iommu_map(iommu, GUINT32_FROM_LE(wire->domain), &mapping, error);
}

static bool handle_unmap(PmGuestIommu *iommu, const Request *request,
                         const Response *response G_GNUC_UNUSED, GError **error)
{
    const struct virtio_iommu_req_unmap *wire = &request->unmap;

    if (!needs_feature(iommu, VIRTIO_IOMMU_F_MAP_UNMAP, "MAP_UNMAP", error))
        return false;
    if (!is_zero(wire->reserved, sizeof(wire->reserved)))
        return invalid(iommu, error, "reserved bytes are not zero");
    return pm_guest_iommu_unmap(iommu, GUINT32_FROM_LE(wire->domain),
                                GUINT64_FROM_LE(wire->virt_start), GUINT64_FROM_LE(wire->virt_end),
                                error);
}

static bool handle_probe(PmGuestIommu *iommu, const Request *request, const Response *response,
                         GError **error)
{
    const PmEndpoint *endpoint;

    if (!needs_feature(iommu, VIRTIO_IOMMU_F_PROBE, "PROBE", error))
        return false;
    endpoint = pm_endpoint_find(iommu, GUINT32_FROM_LE(request->probe.endpoint), error);
    if (endpoint == NULL)
        return false;
    if (response->size < iommu->config.probe_size)
        return invalid(iommu, error, "no room for the properties, probe_size bytes");
    pm_probe_write(endpoint, response->properties);
    return true;
}

typedef struct {
    const char *name;
    size_t size; /* of the part that the device reads */
    bool (*handle)(PmGuestIommu *iommu, const Request *request, const Response *response,
                   GError **error);
} RequestType;

static const RequestType types[] = {
    [VIRTIO_IOMMU_T_ATTACH] = {"ATTACH", offsetof(struct virtio_iommu_req_attach, tail),
                               handle_attach},
    [VIRTIO_IOMMU_T_DETACH] = {"DETACH", offsetof(struct virtio_iommu_req_detach, tail),
                               handle_detach},
    [VIRTIO_IOMMU_T_MAP] = {"MAP", offsetof(struct virtio_iommu_req_map, tail), handle_map},
    [VIRTIO_IOMMU_T_UNMAP] = {"UNMAP", offsetof(struct virtio_iommu_req_unmap, tail), handle_unmap},
    [VIRTIO_IOMMU_T_PROBE] = {"PROBE", offsetof(struct virtio_iommu_req_probe, properties),
                              handle_probe},
};

/* Without a status: there is no request, or nowhere to write it. */
static size_t refuse_silently(PmGuestIommu *iommu, const char *format, ...) G_GNUC_PRINTF(2, 3);

static size_t refuse_silently(PmGuestIommu *iommu, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    pm_guest_refusal_set(iommu, PM_VIRTIO_IOMMU_NO_STATUS,
                         g_error_new_valist(PM_ERROR, PM_ERROR_BAD_REQUEST, format, arguments));
    va_end(arguments);
    return 0;
}

/* What the guest asked for, for messages; a new string. */
static char *request_text(const Request *request)
{
    switch (request->head.type) {
    case VIRTIO_IOMMU_T_ATTACH:
        return g_strdup_printf("ATTACH of endpoint 0x%x to domain %u, flags 0x%x",
                               GUINT32_FROM_LE(request->attach.endpoint),
                               GUINT32_FROM_LE(request->attach.domain),
                               GUINT32_FROM_LE(request->attach.flags));
    case VIRTIO_IOMMU_T_DETACH:
        return g_strdup_printf("DETACH of endpoint 0x%x from domain %u",
                               GUINT32_FROM_LE(request->detach.endpoint),
                               GUINT32_FROM_LE(request->detach.domain));
    case VIRTIO_IOMMU_T_MAP:
        return g_strdup_printf(
            "MAP of 0x%" PRIx64 "-0x%" PRIx64 " to 0x%" PRIx64 " in domain %u, flags 0x%x",
            GUINT64_FROM_LE(request->map.virt_start), GUINT64_FROM_LE(request->map.virt_end),
            GUINT64_FROM_LE(request->map.phys_start), GUINT32_FROM_LE(request->map.domain),
            GUINT32_FROM_LE(request->map.flags));
    case VIRTIO_IOMMU_T_UNMAP:
        return g_strdup_printf("UNMAP of 0x%" PRIx64 "-0x%" PRIx64 " in domain %u",
                               GUINT64_FROM_LE(request->unmap.virt_start),
                               GUINT64_FROM_LE(request->unmap.virt_end),
                               GUINT32_FROM_LE(request->unmap.domain));
    default:
        return g_strdup_printf("PROBE of endpoint 0x%x", GUINT32_FROM_LE(request->probe.endpoint));
    }
}

/* Handles a request of a known type. Returns its status. */
static uint8_t handle(PmGuestIommu *iommu, const Request *request, size_t request_size,
                      const Response *response)
{
    const RequestType *type = &types[request->head.type];
    GError *failure = NULL;
    bool done;

    if (request_size < type->size)
        done = pm_guest_refuse(iommu, &failure, VIRTIO_IOMMU_S_INVAL, PM_ERROR_BAD_REQUEST,
                               "%zu bytes instead of %zu", request_size, type->size);
    else
        done = type->handle(iommu, request, response, &failure);
    if (done)
        return VIRTIO_IOMMU_S_OK;
    if (request_size < type->size)
        g_prefix_error(&failure, "%s refused: ", type->name);
    else {
        g_autofree char *text = request_text(request);

        g_prefix_error(&failure, "%s refused: ", text);
    }
    pm_guest_refusal_set(iommu, (PmVirtioIommuStatus)iommu->status, failure);
    return (uint8_t)iommu->status;
}

size_t pm_virtio_iommu_handle(PmGuestIommu *iommu, const void *bytes, size_t size, void *response,
                              size_t response_size)
{
    struct virtio_iommu_req_tail tail = {0};
    Response properties = {.properties = response};
    Request request = {0};

    pm_guest_refusal_clear(iommu);
    if (size < sizeof(request.head))
        return refuse_silently(iommu, "request of %zu bytes: too short for its head", size);
    memcpy(&request, bytes, MIN(size, sizeof(request)));
    if (request.head.type >= G_N_ELEMENTS(types) || types[request.head.type].handle == NULL)
        return refuse_silently(iommu, "unknown request type %u", request.head.type);
    if (response_size < sizeof(tail))
        return refuse_silently(iommu, "%s has room for %zu bytes of response: too short for a tail",
                               types[request.head.type].name, response_size);
    if (request.head.type == VIRTIO_IOMMU_T_PROBE)
        properties.size = MIN(response_size - sizeof(tail), iommu->config.probe_size);
    memset(response, 0, properties.size);
    tail.status = handle(iommu, &request, size, &properties);
    memcpy((uint8_t *)response + properties.size, &tail, sizeof(tail));
    return properties.size + sizeof(tail);
}
