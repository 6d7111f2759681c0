/* SPDX-License-Identifier: MIT */
/*
 * virtio-iommu requests of a guest, valid or not, with a follower that keeps a table of its own and
 * fails on demand: both tables are equal after every request, whatever its status.
 */
#include "fuzz.h"

#include <plugmap/virtio_iommu.h>

#define PAGE         UINT64_C(4096)
#define N_ENDPOINTS  3
#define MAX_STEPS    200
#define MAX_MAPPINGS 12

/* The follower's view of an endpoint. */
typedef struct {
    bool attached;
    uint32_t domain;
    bool bypass;
} Place;

typedef struct {
    PmGuestIommu *iommu;
    Place places[N_ENDPOINTS];
    GArray *mappings;  /* of Mapping */
    unsigned fails_in; /* the n-th call from now; 0: none */
} World;

typedef struct {
    uint32_t domain;
    PmGuestMapping mapping;
} Mapping;

/* --- the follower --- */

static bool call_fails(World *world, GError **error)
{
    if (world->fails_in == 0 || --world->fails_in > 0)
        return false;
    g_set_error_literal(error, PM_ERROR, PM_ERROR_LIMIT, "the follower fails");
    return true;
}

static bool has_endpoint(const World *world, uint32_t domain)
{
    for (unsigned i = 0; i < N_ENDPOINTS; i++)
        if (world->places[i].attached && world->places[i].domain == domain)
            return true;
    return false;
}

static bool attach(void *user_data, uint32_t domain, bool bypass, uint32_t endpoint,
                   const char *device, GError **error)
{
    World *world = user_data;

    FUZZ_CHECK(endpoint < N_ENDPOINTS && device != NULL && !world->places[endpoint].attached);
    if (call_fails(world, error))
        return false;
    world->places[endpoint] = (Place){true, domain, bypass};
    return true;
}

/* The last endpoint takes all mappings of the domain with it. */
static bool detach(void *user_data, uint32_t domain, bool bypass, uint32_t endpoint,
                   const char *device, GError **error)
{
    World *world = user_data;
    Place *place = &world->places[endpoint];

    FUZZ_CHECK(device != NULL && place->attached && place->domain == domain &&
               place->bypass == bypass);
    if (call_fails(world, error))
        return false;
    place->attached = false;
    for (guint i = world->mappings->len; i-- > 0 && !has_endpoint(world, domain);)
        if (g_array_index(world->mappings, Mapping, i).domain == domain)
            g_array_remove_index_fast(world->mappings, i);
    return true;
}

static bool map(void *user_data, uint32_t domain, const PmGuestMapping *mapping, GError **error)
{
    World *world = user_data;
    const Mapping added = {domain, *mapping};

    FUZZ_CHECK(has_endpoint(world, domain) && mapping->iova <= mapping->last);
    FUZZ_CHECK(mapping->iova % PAGE == 0 && (mapping->last + 1) % PAGE == 0);
    for (guint i = 0; i < world->mappings->len; i++) {
        const Mapping *other = &g_array_index(world->mappings, Mapping, i);

        FUZZ_CHECK(other->domain != domain || other->mapping.last < mapping->iova ||
                   other->mapping.iova > mapping->last);
    }
    if (call_fails(world, error))
        return false;
    g_array_append_val(world->mappings, added);
    return true;
}

static bool unmap(void *user_data, uint32_t domain, const PmGuestMapping *mapping, GError **error)
{
    World *world = user_data;

    if (call_fails(world, error))
        return false;
    for (guint i = 0; i < world->mappings->len; i++) {
        const Mapping *other = &g_array_index(world->mappings, Mapping, i);

        if (other->domain != domain || other->mapping.iova != mapping->iova)
            continue;
        FUZZ_CHECK(other->mapping.last == mapping->last);
        g_array_remove_index_fast(world->mappings, i);
        return true;
    }
    FUZZ_CHECK(false); /* not mapped */
    return false;
}

static const PmGuestIommuOps follower_ops = {
    .struct_size = sizeof(follower_ops),
    .attach = attach,
    .detach = detach,
    .map = map,
    .unmap = unmap,
};

/* --- comparing --- */

static bool follower_has(const World *world, uint32_t domain, const PmGuestMapping *mapping)
{
    for (guint i = 0; i < world->mappings->len; i++) {
        const Mapping *other = &g_array_index(world->mappings, Mapping, i);

        if (other->domain == domain && other->mapping.iova == mapping->iova &&
            other->mapping.last == mapping->last && other->mapping.address == mapping->address &&
            other->mapping.access == mapping->access && other->mapping.flags == mapping->flags)
            return true;
    }
    return false;
}

static unsigned check_domain(World *world, const PmGuestDomainInfo *domain)
{
    PmGuestMapping mapping;
    uint64_t iova = 0;
    unsigned n_mappings = 0;

    FUZZ_CHECK(domain->n_endpoints > 0 && has_endpoint(world, domain->domain));
    while (pm_guest_iommu_next_mapping(world->iommu, domain->domain, iova, &mapping)) {
        FUZZ_CHECK(mapping.iova >= iova && follower_has(world, domain->domain, &mapping));
        n_mappings++;
        iova = mapping.last + 1;
        if (iova == 0)
            break;
    }
    FUZZ_CHECK(n_mappings == domain->n_mappings && n_mappings <= MAX_MAPPINGS);
    return n_mappings;
}

static void check_endpoints(World *world)
{
    PmGuestEndpointInfo info = {.struct_size = sizeof(info)};

    for (unsigned i = 0; i < N_ENDPOINTS; i++) {
        const Place *place = &world->places[i];

        FUZZ_CHECK(pm_guest_iommu_next_endpoint(world->iommu, i, &info) && info.endpoint == i);
        if (!place->attached)
            FUZZ_CHECK(info.domain == PM_GUEST_IOMMU_NO_DOMAIN && !info.bypass);
        else
            FUZZ_CHECK(info.domain == place->domain && info.bypass == place->bypass);
    }
}

static void check_tables(World *world)
{
    PmGuestDomainInfo info = {.struct_size = sizeof(info)};
    uint32_t domain = 0;
    unsigned n_mappings = 0;

    while (pm_guest_iommu_next_domain(world->iommu, domain, &info)) {
        n_mappings += check_domain(world, &info);
        domain = info.domain + 1;
        if (domain == 0)
            break;
    }
    FUZZ_CHECK(n_mappings == world->mappings->len);
    check_endpoints(world);
}

/* --- requests --- */

static void put(uint8_t *bytes, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
}

/* ATTACH, DETACH, MAP, UNMAP and PROBE of plausible numbers. Returns the size. */
static size_t build(FuzzInput *input, uint8_t *bytes)
{
    uint8_t type = 1 + fuzz_u8(input) % 5;
    uint64_t iova = fuzz_u8(input) % 32 * PAGE;

    bytes[0] = type;
    put(bytes + 4, fuzz_u8(input) % 4, 4);
    switch (type) {
    case 1: /* endpoint, flags */
    case 2:
        put(bytes + 8, fuzz_u8(input) % (N_ENDPOINTS + 1), 4);
        if (type == 1)
            put(bytes + 12, fuzz_u8(input) % 8 == 0, 4);
        return 20;
    case 3: /* first, last, physical address, flags */
        put(bytes + 8, iova, 8);
        put(bytes + 16, iova + (1 + fuzz_u8(input) % 4) * PAGE - 1, 8);
        put(bytes + 24, fuzz_u8(input) * PAGE, 8);
        put(bytes + 32, fuzz_u8(input) % 8, 4);
        return 36;
    case 4:
        put(bytes + 8, iova, 8);
        put(bytes + 16, iova + (1 + fuzz_u8(input) % 16) * PAGE - 1, 8);
        return 28;
    default: /* endpoint */
        put(bytes + 4, fuzz_u8(input) % (N_ENDPOINTS + 1), 4);
        return 72;
    }
}

/* PROBE has room for the properties. */
static void send(World *world, const uint8_t *bytes, size_t size, size_t room)
{
    uint8_t response[600];
    const GError *refusal = NULL;
    PmVirtioIommuStatus status;
    size_t used;

    memset(response, 0xa5, sizeof(response));
    used = pm_virtio_iommu_handle(world->iommu, bytes, size, response, room);
    status = pm_virtio_iommu_last_refusal(world->iommu, &refusal);
    FUZZ_CHECK(used <= room && response[room] == 0xa5);
    FUZZ_CHECK((used == 0) == (status == PM_VIRTIO_IOMMU_NO_STATUS));
    FUZZ_CHECK(used == 0 || response[used - 4] == (uint8_t)status);
    FUZZ_CHECK((refusal == NULL) == (status == PM_VIRTIO_IOMMU_OK));
}

static void step_request(World *world, FuzzInput *input, bool raw)
{
    uint8_t bytes[80] = {0};
    size_t size;
    size_t room = 516;

    if (raw) {
        size = fuzz_take(input, bytes, fuzz_u8(input) % sizeof(bytes));
        room = fuzz_number(input, 2) % 520;
    } else {
        size = build(input, bytes);
    }
    send(world, bytes, size, room);
}

static void step_config(World *world, FuzzInput *input)
{
    uint8_t bytes[8];
    size_t size = fuzz_u8(input) % sizeof(bytes);
    uint64_t offset = fuzz_u8(input) % 48;
    g_autoptr(GError) error = NULL;
    bool done;

    fuzz_take(input, bytes, size);
    done = pm_virtio_iommu_config_write(world->iommu, offset, bytes, size, &error);
    FUZZ_CHECK_RESULT(done, error);
}

static void step(World *world, FuzzInput *input)
{
    switch (fuzz_u8(input) % 16) {
    case 0:
        step_request(world, input, true);
        break;
    case 1:
        world->fails_in = fuzz_u8(input) % 16;
        break;
    case 2:
        (void)pm_guest_iommu_set_bypass(world->iommu, fuzz_u8(input) % 2 != 0, NULL);
        break;
    case 3:
        step_config(world, input);
        break;
    case 4:
        (void)pm_virtio_iommu_device_reset(world->iommu, NULL);
        (void)pm_virtio_iommu_set_features(world->iommu, pm_virtio_iommu_get_features(world->iommu),
                                           NULL);
        break;
    case 5:
        if (fuzz_u8(input) % 4 == 0)
            (void)pm_virtio_iommu_system_reset(world->iommu, NULL);
        break;
    default:
        step_request(world, input, false);
    }
}

/* --- the world --- */

static void begin(World *world, FuzzInput *input)
{
    static const PmGuestReserved reserved[] = {{0x10000, 0x11fff, PM_GUEST_RESERVED},
                                               {0xfee00000, 0xfeefffff, PM_GUEST_RESERVED_MSI}};
    uint8_t flags = fuzz_u8(input);
    const PmGuestIommuConfig config = {
        .struct_size = sizeof(config),
        .max_mappings = MAX_MAPPINGS,
        .last_domain = (flags & 4) != 0 ? 2 : 0,
        .max_domains = (flags & 8) != 0 ? 2 : 0,
        .bypass = (flags & 1) != 0,
        .mmio = (flags & 2) != 0,
    };

    world->mappings = g_array_new(FALSE, FALSE, sizeof(Mapping));
    world->iommu = pm_guest_iommu_new(&config, NULL);
    FUZZ_CHECK(world->iommu != NULL);
    FUZZ_CHECK(pm_guest_iommu_set_follower(world->iommu, &follower_ops, world, NULL));
    for (unsigned i = 0; i < N_ENDPOINTS; i++) {
        const PmGuestEndpoint endpoint = {
            .struct_size = sizeof(endpoint),
            .endpoint = i,
            .device = "0000:00:04.0",
            .reserved = i == 1 ? reserved : NULL,
            .n_reserved = i == 1 ? 2 : 0,
        };

        FUZZ_CHECK(pm_guest_iommu_add_endpoint(world->iommu, &endpoint, NULL));
    }
    FUZZ_CHECK(pm_virtio_iommu_set_features(world->iommu,
                                            pm_virtio_iommu_get_features(world->iommu), NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput input = {data, size};
    World world = {0};

    begin(&world, &input);
    for (unsigned i = 0; i < MAX_STEPS && input.size > 0; i++) {
        step(&world, &input);
        check_tables(&world);
    }
    world.fails_in = 0;
    pm_guest_iommu_unref(world.iommu);
    for (unsigned i = 0; i < N_ENDPOINTS; i++)
        FUZZ_CHECK(!world.places[i].attached);
    FUZZ_CHECK(world.mappings->len == 0);
    g_array_unref(world.mappings);
    return 0;
}
