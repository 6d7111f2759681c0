/* SPDX-License-Identifier: MIT */
#include "wire_util.h"

void put32(uint8_t *bytes, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
}

void put64(uint8_t *bytes, uint64_t value)
{
    put32(bytes, (uint32_t)value);
    put32(bytes + 4, (uint32_t)(value >> 32));
}

uint32_t get32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
           (uint32_t)bytes[3] << 24;
}

uint64_t get64(const uint8_t *bytes)
{
    return get32(bytes) | (uint64_t)get32(bytes + 4) << 32;
}

static Wire new_request(uint8_t type, size_t size, uint32_t first_field)
{
    Wire request = {.bytes = {type}, .size = size};

    put32(request.bytes + 4, first_field);
    return request;
}

Wire attach_request(uint32_t domain, uint32_t endpoint, uint32_t flags)
{
    Wire request = new_request(ATTACH, ATTACH_SIZE, domain);

    put32(request.bytes + 8, endpoint);
    put32(request.bytes + ATTACH_FLAGS, flags);
    return request;
}

Wire detach_request(uint32_t domain, uint32_t endpoint)
{
    Wire request = new_request(DETACH, DETACH_SIZE, domain);

    put32(request.bytes + 8, endpoint);
    return request;
}

Wire map_request(uint32_t domain, uint64_t start, uint64_t end, uint64_t address, uint32_t flags)
{
    Wire request = new_request(MAP, MAP_SIZE, domain);

    put64(request.bytes + 8, start);
    put64(request.bytes + 16, end);
    put64(request.bytes + 24, address);
    put32(request.bytes + MAP_FLAGS, flags);
    return request;
}

Wire unmap_request(uint32_t domain, uint64_t start, uint64_t end)
{
    Wire request = new_request(UNMAP, UNMAP_SIZE, domain);

    put64(request.bytes + 8, start);
    put64(request.bytes + 16, end);
    return request;
}

Wire probe_request(uint32_t endpoint)
{
    return new_request(PROBE, PROBE_SIZE_READ, endpoint);
}

unsigned send_request(PmGuestIommu *iommu, const Wire *request)
{
    uint8_t tail[4] = {0xaa, 0xaa, 0xaa, 0xaa};

    assert_int_equal(
        pm_virtio_iommu_handle(iommu, request->bytes, request->size, tail, sizeof(tail)), 4);
    assert_int_equal(tail[1] | tail[2] | tail[3], 0);
    assert_int_equal(pm_virtio_iommu_last_refusal(iommu, NULL), tail[0]);
    return tail[0];
}

unsigned send_attach(PmGuestIommu *iommu, uint32_t domain, uint32_t endpoint, uint32_t flags)
{
    const Wire request = attach_request(domain, endpoint, flags);

    return send_request(iommu, &request);
}

unsigned send_detach(PmGuestIommu *iommu, uint32_t domain, uint32_t endpoint)
{
    const Wire request = detach_request(domain, endpoint);

    return send_request(iommu, &request);
}

unsigned send_map(PmGuestIommu *iommu, uint32_t domain, uint64_t start, uint64_t end,
                  uint64_t address, uint32_t flags)
{
    const Wire request = map_request(domain, start, end, address, flags);

    return send_request(iommu, &request);
}

unsigned send_unmap(PmGuestIommu *iommu, uint32_t domain, uint64_t start, uint64_t end)
{
    const Wire request = unmap_request(domain, start, end);

    return send_request(iommu, &request);
}

unsigned send_probe(PmGuestIommu *iommu, uint32_t endpoint, uint8_t *properties)
{
    const Wire request = probe_request(endpoint);
    uint8_t response[PROBE_SIZE + 4];

    memset(response, 0xaa, sizeof(response));
    assert_int_equal(
        pm_virtio_iommu_handle(iommu, request.bytes, request.size, response, sizeof(response)),
        sizeof(response));
    memcpy(properties, response, PROBE_SIZE);
    assert_int_equal(get32(response + PROBE_SIZE) >> 8, 0);
    return response[PROBE_SIZE];
}

void assert_refusal(const PmGuestIommu *iommu, unsigned status, int code, const char *part)
{
    const GError *refusal;

    assert_int_equal(pm_virtio_iommu_last_refusal(iommu, &refusal), status);
    assert_non_null(refusal);
    if (!g_error_matches(refusal, PM_ERROR, code))
        fail_msg("code %d: %s", refusal->code, refusal->message);
    if (strstr(refusal->message, part) == NULL)
        fail_msg("'%s' is not in: %s", part, refusal->message);
}

void accept_features(PmGuestIommu *iommu)
{
    assert_true(pm_virtio_iommu_set_features(iommu, pm_virtio_iommu_get_features(iommu), NULL));
}

int world_setup_driver(void **state)
{
    World *world;

    (void)world_setup_followed(state);
    world = *state;
    accept_features(world->iommu);
    return 0;
}
