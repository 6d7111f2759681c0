/* SPDX-License-Identifier: MIT */
#include "guest_world.h"

#include <stdio.h>
#include <string.h>

#include "util/request_util.h"

static PmIommu *open_device(void *user_data, const char *device, GError **error)
{
    GuestWorld *world = user_data;

    if (world->is_open_refused) {
        g_set_error(error, PM_ERROR, PM_ERROR_BUSY, "refused by the test");
        return NULL;
    }
    world->n_opened++;
    return backend_open_device(world->kernel, device, error);
}

static void make_kernel(GuestWorld *world, const GuestWorldConfig *config)
{
    PmFakeConfig fake;

    pm_fake_config_init(&fake);
    fake.pin = PM_FAKE_PIN_POPULATE;
    if (config->memlock_limit != 0) {
        either_needs_fake("root's locked memory is not limited");
        fake.memlock_limit = config->memlock_limit;
    }
    world->kernel = either_kernel_new(&fake);
    if (!either_is_real())
        assert_true(
            pm_fake_kernel_add_device(world->kernel, 3, either_device(2), "vfio-pci", NULL));
}

static void make_memory(GuestWorld *world)
{
    PmVirtioMemConfig config = {
        .struct_size = sizeof(config),
        .address = MEMORY,
        .block_size = BLOCK,
        .requested_size = N_BLOCKS * BLOCK,
    };

    world->plain = pm_ram_new(PM_RAM_MEMFD, PLAIN_SIZE, 0, NULL);
    world->rom = pm_ram_new(PM_RAM_MEMFD, BLOCK, 0, NULL);
    world->memory = pm_ram_new(PM_RAM_MEMFD, N_BLOCKS * BLOCK, BLOCK, NULL);
    assert_true(world->plain != NULL && world->rom != NULL && world->memory != NULL);
    config.ram = world->memory;
    world->device = pm_virtio_mem_new(&config, NULL);
    assert_non_null(world->device);
}

static void make_table(GuestWorld *world, bool is_bypass)
{
    const PmGuestIommuConfig config = {.struct_size = sizeof(config), .bypass = is_bypass};

    world->table = pm_guest_iommu_new(&config, NULL);
    assert_non_null(world->table);
    for (uint32_t i = 0; i < N_DEVICES; i++) {
        const PmGuestEndpoint endpoint = {
            .struct_size = sizeof(endpoint), .endpoint = i, .device = either_device(i)};

        assert_true(pm_guest_iommu_add_endpoint(world->table, &endpoint, NULL));
    }
}

static void add_region(PmGuestMapper *mapper, PmRam *ram, uint64_t offset, uint64_t size,
                       uint64_t address, PmIommuAccess access)
{
    const PmMapperRegion region = {
        .struct_size = sizeof(region),
        .ram = ram,
        .ram_offset = offset,
        .size = size,
        .address = address,
        .access = access,
    };

    assert_true(pm_guest_mapper_add(mapper, &region, NULL));
}

PmGuestMapper *guest_world_make_mapper(GuestWorld *world, const GuestWorldConfig *given)
{
    const PmGuestMapperConfig config = {
        .struct_size = sizeof(config),
        .open = open_device,
        .user_data = world,
        .unplug = given->unplug,
        .max_mappings = given->max_mappings,
    };
    PmGuestMapper *mapper = pm_guest_mapper_new(&config, NULL);
    uint64_t half = N_BLOCKS / 2 * BLOCK;

    assert_non_null(mapper);
    add_region(mapper, world->memory, half, half, MEMORY + half, PM_IOMMU_READ_WRITE);
    add_region(mapper, world->plain, 0, PLAIN_SIZE, PLAIN, PM_IOMMU_READ_WRITE);
    add_region(mapper, world->memory, 0, half, MEMORY, PM_IOMMU_READ_WRITE);
    add_region(mapper, world->rom, 0, BLOCK, ROM, PM_IOMMU_READ);
    return mapper;
}

GuestWorld *guest_world_new_without(const GuestWorldConfig *config)
{
    GuestWorld *world = g_new0(GuestWorld, 1);

    make_kernel(world, config);
    make_memory(world);
    make_table(world, config->is_bypass);
    return world;
}

GuestWorld *guest_world_new(const GuestWorldConfig *config)
{
    GuestWorld *world = guest_world_new_without(config);

    world->mapper = guest_world_make_mapper(world, config);
    assert_true(pm_guest_mapper_follow(world->mapper, world->table, NULL));
    return world;
}

void guest_world_free(GuestWorld *world)
{
    either_clear_faults(world->kernel);
    pm_guest_mapper_free(world->mapper);
    pm_guest_iommu_unref(world->table);
    either_assert_nothing_left(world->kernel);
    assert_int_equal(pm_discard_manager_get_quarantined(pm_virtio_mem_get_manager(world->device)),
                     0);
    pm_virtio_mem_free(world->device);
    pm_ram_unref(world->memory);
    pm_ram_unref(world->rom);
    pm_ram_unref(world->plain);
    pm_kernel_unref(world->kernel);
    g_free(world);
}

int guest_world_setup(void **state)
{
    *state = guest_world_new(&(GuestWorldConfig){0});
    return 0;
}

int guest_world_setup_refusing(void **state)
{
    *state = guest_world_new(&(GuestWorldConfig){.unplug = PM_GUEST_UNPLUG_REFUSE});
    return 0;
}

int guest_world_teardown(void **state)
{
    if (*state != NULL) /* NULL: skipped */
        guest_world_free(*state);
    return 0;
}

/* --- requests --- */

bool guest_attach(GuestWorld *world, uint32_t domain, uint32_t endpoint, GError **error)
{
    return pm_guest_iommu_attach(world->table, domain, false, endpoint, error);
}

bool guest_map(GuestWorld *world, uint32_t domain, uint64_t iova, uint64_t address, uint64_t size,
               PmIommuAccess access, GError **error)
{
    const PmGuestMapping mapping = {
        .iova = iova, .last = iova + size - 1, .address = address, .access = access};

    return pm_guest_iommu_map(world->table, domain, &mapping, error);
}

bool guest_unmap(GuestWorld *world, uint32_t domain, uint64_t iova, uint64_t size, GError **error)
{
    return pm_guest_iommu_unmap(world->table, domain, iova, iova + size - 1, error);
}

unsigned guest_send_map(GuestWorld *world, uint32_t domain, uint64_t iova, uint64_t address,
                        uint64_t size)
{
    const PmGuestMapping mapping = {
        .iova = iova, .last = iova + size - 1, .address = address, .access = PM_IOMMU_READ};
    uint64_t features = pm_virtio_iommu_get_features(world->table);
    uint8_t tail[PM_VIRTIO_IOMMU_TAIL_SIZE];
    PmVirtioIommuRequest request;

    assert_true(pm_virtio_iommu_set_features(world->table, features, NULL));
    pm_virtio_iommu_request_map(&request, domain, &mapping);
    assert_int_equal(
        pm_virtio_iommu_handle(world->table, request.bytes, request.size, tail, sizeof(tail)),
        sizeof(tail));
    return tail[0];
}

int guest_request(GuestWorld *world, unsigned type, uint64_t first, uint64_t n_blocks)
{
    int answer = send_request(world->device, type, MEMORY + first * BLOCK, n_blocks, NULL);

    assert_true(answer >= 0);
    return answer;
}

void guest_plug(GuestWorld *world, uint64_t first, uint64_t n_blocks)
{
    assert_int_equal(guest_request(world, PM_VIRTIO_MEM_PLUG, first, n_blocks), PM_VIRTIO_MEM_ACK);
}

void guest_unplug(GuestWorld *world, uint64_t first, uint64_t n_blocks)
{
    assert_int_equal(guest_request(world, PM_VIRTIO_MEM_UNPLUG, first, n_blocks),
                     PM_VIRTIO_MEM_ACK);
}

/* --- checks --- */

/* The host address of a guest address; NULL: not memory, or not plugged. */
static const char *guest_host(const GuestWorld *world, uint64_t address)
{
    PmDiscardManager *manager = pm_virtio_mem_get_manager(world->device);

    if (address >= PLAIN && address < ROM)
        return (const char *)pm_ram_get_host(world->plain) + (address - PLAIN);
    if (address >= ROM && address < MEMORY)
        return (const char *)pm_ram_get_host(world->rom) + (address - ROM);
    if (address < MEMORY || !pm_discard_manager_is_populated(manager, address - MEMORY, 1))
        return NULL;
    return (const char *)pm_ram_get_host(world->memory) + (address - MEMORY);
}

const char *guest_expected_at(GuestWorld *world, const PmGuestEndpointInfo *endpoint, uint64_t iova,
                              PmIommuAccess *access)
{
    uint64_t address = iova;
    const char *host;

    *access = PM_IOMMU_READ_WRITE;
    if (!endpoint->bypass) {
        PmGuestMapping mapping;

        if (endpoint->domain == PM_GUEST_IOMMU_NO_DOMAIN ||
            !pm_guest_iommu_next_mapping(world->table, endpoint->domain, iova, &mapping) ||
            mapping.iova > iova)
            return NULL;
        address = mapping.address + (iova - mapping.iova);
        *access = mapping.access;
    }
    host = guest_host(world, address);
    if (address >= ROM && address < MEMORY)
        *access &= PM_IOMMU_READ;
    return host;
}

typedef struct {
    GuestWorld *world;
    PmGuestEndpointInfo endpoint;
    uint64_t n_pages;
} Check;

static bool check_mapping(uint64_t iova, uint64_t size, const void *host, PmIommuAccess access,
                          void *user_data)
{
    Check *check = user_data;
    const char *memory = pm_ram_get_host(check->world->memory);
    uint64_t offset = (uintptr_t)host - (uintptr_t)memory;

    for (uint64_t at = 0; at < size; at += PAGE) {
        PmIommuAccess expected_access;
        const char *expected =
            guest_expected_at(check->world, &check->endpoint, iova + at, &expected_access);

        if (expected != (const char *)host + at || access != expected_access)
            fail_msg("endpoint %u, I/O address 0x%lx: %p with access %d, expected %p with %d",
                     check->endpoint.endpoint, iova + at, (void *)((char *)host + at), (int)access,
                     (const void *)expected, (int)expected_access);
    }
    if (offset < N_BLOCKS * BLOCK)
        assert_int_equal(offset / BLOCK, (offset + size - 1) / BLOCK);
    check->n_pages += size / PAGE;
    return true;
}

static uint64_t count_pages(GuestWorld *world, const PmGuestEndpointInfo *endpoint, uint64_t first,
                            uint64_t last)
{
    uint64_t n_pages = 0;
    PmIommuAccess access;

    for (uint64_t at = first; at < last; at += PAGE)
        n_pages += guest_expected_at(world, endpoint, at, &access) != NULL;
    return n_pages;
}

static uint64_t count_expected(GuestWorld *world, const PmGuestEndpointInfo *endpoint)
{
    PmGuestMapping mapping = {0};
    uint64_t n_pages = 0;
    uint64_t at = 0;

    if (endpoint->bypass)
        return count_pages(world, endpoint, PLAIN, MEMORY + N_BLOCKS * BLOCK);
    while (endpoint->domain != PM_GUEST_IOMMU_NO_DOMAIN &&
           pm_guest_iommu_next_mapping(world->table, endpoint->domain, at, &mapping)) {
        n_pages += count_pages(world, endpoint, mapping.iova, mapping.last);
        at = mapping.last + 1;
    }
    return n_pages;
}

static void check_endpoints(GuestWorld *world, bool is_complete)
{
    Check check = {.world = world, .endpoint = {.struct_size = sizeof(check.endpoint)}};

    for (uint32_t i = 0; i < N_DEVICES; i++) {
        assert_true(pm_guest_iommu_next_endpoint(world->table, i, &check.endpoint));
        check.n_pages = 0;
        if (either_is_real()) {
            guest_check_real(world, &check.endpoint, is_complete);
            continue;
        }
        assert_true(pm_fake_kernel_foreach_mapping(world->kernel, i + 1, check_mapping, &check));
        if (is_complete)
            assert_int_equal(check.n_pages, count_expected(world, &check.endpoint));
    }
}

void guest_check_safe(GuestWorld *world)
{
    check_endpoints(world, false);
}

void guest_check(GuestWorld *world)
{
    PmGuestMapperAudit audit = {.struct_size = sizeof(audit)};
    g_autoptr(GError) error = NULL;

    check_endpoints(world, true);
    if (!pm_guest_mapper_audit(world->mapper, &audit, &error))
        fail_msg("%s", error->message);
    assert_int_equal(audit.n_populated, audit.n_mapped);
    assert_int_equal(audit.n_mismatches, 0);
    assert_int_equal(audit.n_others, 0);
}

char *guest_describe(GuestWorld *world)
{
    GString *text = g_string_new(NULL);
    PmGuestEndpointInfo info = {.struct_size = sizeof(info)};
    PmGuestDomainInfo domain = {.struct_size = sizeof(domain)};

    for (uint32_t i = 0; i < N_DEVICES; i++) {
        assert_true(pm_guest_iommu_next_endpoint(world->table, i, &info));
        g_string_append_printf(text, "endpoint %u: %u %d; ", i, info.domain, info.bypass);
    }
    for (uint32_t i = 0; pm_guest_iommu_next_domain(world->table, i, &domain);
         i = domain.domain + 1) {
        PmGuestMapping mapping = {0};

        g_string_append_printf(text, "domain %u: ", domain.domain);
        for (uint64_t at = 0;
             pm_guest_iommu_next_mapping(world->table, domain.domain, at, &mapping);
             at = mapping.last + 1)
            g_string_append_printf(text, "0x%lx-0x%lx ", mapping.iova, mapping.last);
    }
    g_string_append_printf(text, "plugged: 0x%lx", pm_virtio_mem_get_plugged_size(world->device));
    return g_string_free(text, FALSE);
}

uint64_t guest_n_mappings(const GuestWorld *world, uint32_t endpoint)
{
    PmIommu *iommu = pm_guest_mapper_get_iommu(world->mapper, endpoint);

    if (either_is_real() && iommu == NULL)
        return 0;
    return either_n_mappings(world->kernel, endpoint, iommu);
}

void guest_assert_error(GError **error, PmError code, const char *words)
{
    assert_non_null(*error);
    if (!g_error_matches(*error, PM_ERROR, (gint)code) || strstr((*error)->message, words) == NULL)
        fail_msg("code %d, '%s'; expected code %d, '%s'", (*error)->code, (*error)->message,
                 (int)code, words);
    g_clear_error(error);
}
