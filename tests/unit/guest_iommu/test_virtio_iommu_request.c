/* SPDX-License-Identifier: MIT */
/* The status of ATTACH, DETACH, MAP, UNMAP and PROBE, and the reason that the host can read. */
#include "wire_util.h"

#define LAST UINT64_MAX

static void a_mapping_reaches_the_follower_with_all_its_fields(void **state)
{
    World *world = *state;
    PmGuestMapping mapping;

    assert_int_equal(send_attach(world->iommu, 1, 8, 0), OK);
    assert_int_equal(send_map(world->iommu, 1, 0x123456789000, 0x123456789fff, 0xabcdef000, READ),
                     OK);
    assert_follows(world->iommu, &world->follower);
    assert_calls(&world->follower, "attach 1 8; map 1 0x123456789000; ");
    assert_true(pm_guest_iommu_next_mapping(world->iommu, 1, 0, &mapping));
    assert_int_equal(mapping.iova, 0x123456789000);
    assert_int_equal(mapping.last, 0x123456789fff);
    assert_int_equal(mapping.address, 0xabcdef000);
    assert_int_equal(mapping.access, PM_IOMMU_READ);
    assert_int_equal(mapping.flags, 0);
    assert_int_equal(send_unmap(world->iommu, 1, 0, LAST), OK);
    assert_int_equal(send_detach(world->iommu, 1, 8), OK);
    assert_calls(&world->follower, "unmap 1 0x123456789000; detach 1 8; ");
}

static void write_is_write_and_both_are_both(void **state)
{
    World *world = *state;
    PmGuestMapping mapping;

    assert_int_equal(send_attach(world->iommu, 1, 8, 0), OK);
    assert_int_equal(send_map(world->iommu, 1, 0, 0xfff, 0, WRITE), OK);
    assert_int_equal(send_map(world->iommu, 1, 0x1000, 0x1fff, 0, READ | WRITE), OK);
    assert_true(pm_guest_iommu_next_mapping(world->iommu, 1, 0, &mapping));
    assert_int_equal(mapping.access, PM_IOMMU_WRITE);
    assert_true(pm_guest_iommu_next_mapping(world->iommu, 1, 0x1000, &mapping));
    assert_int_equal(mapping.access, PM_IOMMU_READ_WRITE);
}

static void attach_with_bypass_makes_a_bypass_domain(void **state)
{
    World *world = *state;
    PmGuestEndpointInfo info = {.struct_size = sizeof(info)};

    assert_int_equal(send_attach(world->iommu, 1, 8, BYPASS), OK);
    assert_true(pm_guest_iommu_next_endpoint(world->iommu, 8, &info));
    assert_int_equal(info.domain, 1);
    assert_true(info.bypass);
    assert_follows(world->iommu, &world->follower);
}

/* --- statuses, in the order of the checks --- */

static void attach_of_the_wrong_kind_is_inval(void **state)
{
    World *world = *state;

    assert_int_equal(send_attach(world->iommu, 1, 8, BYPASS), OK);
    assert_int_equal(send_attach(world->iommu, 2, 9, 0), OK);
    assert_int_equal(send_attach(world->iommu, 1, 10, 0), INVAL);
    assert_refusal(world->iommu, INVAL, PM_ERROR_INVALID_ARGUMENT,
                   "ATTACH of endpoint 0xa to domain 1, flags 0x0 refused: domain 1 exists, and is "
                   "bypass");
    assert_int_equal(send_attach(world->iommu, 2, 10, BYPASS), INVAL);
    assert_follows(world->iommu, &world->follower);
}

static void attach_outside_the_domain_range_is_range(void **state)
{
    const PmGuestIommuConfig config = {
        .struct_size = sizeof(config), .first_domain = 3, .last_domain = 4};
    g_autoptr(PmGuestIommu) iommu = new_iommu(&config);

    (void)state;
    add_endpoint(iommu, 8);
    accept_features(iommu);
    assert_int_equal(send_attach(iommu, 2, 8, 0), RANGE);
    assert_int_equal(send_attach(iommu, 5, 8, 0), RANGE);
    assert_refusal(iommu, RANGE, PM_ERROR_INVALID_ARGUMENT,
                   "domain 5 is outside the domain range 3-4");
    assert_int_equal(send_attach(iommu, 5, 9, 0), NOENT);
    assert_int_equal(send_attach(iommu, 3, 8, 0), OK);
    assert_int_equal(send_attach(iommu, 4, 8, 0), OK);
}

static void attach_with_mapped_reserved_addresses_is_unsupp(void **state)
{
    World *world = *state;
    const PmGuestReserved msi = {0x2000, 0x2fff, PM_GUEST_RESERVED_MSI};

    add_endpoint_with(world->iommu, 7, &msi, 1);
    assert_int_equal(send_attach(world->iommu, 1, 8, 0), OK);
    assert_int_equal(send_map(world->iommu, 1, 0x1000, 0x2fff, 0, READ), OK);
    assert_int_equal(send_attach(world->iommu, 1, 7, 0), UNSUPP);
    assert_refusal(world->iommu, UNSUPP, PM_ERROR_UNSUPPORTED,
                   "domain 1 maps 0x1000-0x2fff, which overlaps 0x2000-0x2fff reserved by endpoint "
                   "0x7 (0000:00:07.0)");
    assert_int_equal(send_unmap(world->iommu, 1, 0x1000, 0x2fff), OK);
    assert_int_equal(send_map(world->iommu, 1, 0x1000, 0x1fff, 0, READ), OK);
    assert_int_equal(send_map(world->iommu, 1, 0x3000, 0x3fff, 0, READ), OK);
    assert_int_equal(send_attach(world->iommu, 1, 7, 0), OK);
}

static void attach_beyond_the_limit_of_domains_is_nomem(void **state)
{
    const PmGuestIommuConfig config = {.struct_size = sizeof(config), .max_domains = 1};
    g_autoptr(PmGuestIommu) iommu = new_iommu(&config);

    (void)state;
    add_endpoint(iommu, 8);
    add_endpoint(iommu, 9);
    accept_features(iommu);
    assert_int_equal(send_attach(iommu, 1, 8, 0), OK);
    assert_int_equal(send_attach(iommu, 2, 9, 0), NOMEM);
    assert_refusal(iommu, NOMEM, PM_ERROR_GUEST_LIMIT,
                   "domain 2 would exceed the limit of 1 domains");
    /* A move that ends a domain needs no more. */
    assert_int_equal(send_attach(iommu, 2, 8, 0), OK);
    assert_int_equal(send_attach(iommu, 2, 9, 0), OK);
}

static void detach_from_another_domain_is_inval(void **state)
{
    World *world = *state;

    assert_int_equal(send_detach(world->iommu, 1, 8), INVAL);
    assert_int_equal(send_attach(world->iommu, 1, 8, 0), OK);
    assert_int_equal(send_attach(world->iommu, 2, 9, 0), OK);
    assert_int_equal(send_detach(world->iommu, 2, 8), INVAL);
    assert_int_equal(send_detach(world->iommu, NO_DOMAIN, 10), INVAL);
    assert_refusal(world->iommu, INVAL, PM_ERROR_INVALID_ARGUMENT,
                   "DETACH of endpoint 0xa from domain 4294967295 refused: endpoint 0xa "
                   "(0000:00:0a.0) is not attached");
    assert_follows(world->iommu, &world->follower);
}

static void detach_from_bypass_without_a_domain_is_inval(void **state)
{
    World *world = *state;

    assert_true(pm_guest_iommu_set_bypass(world->iommu, true, NULL));
    assert_int_equal(send_detach(world->iommu, NO_DOMAIN, 8), INVAL);
    assert_follows(world->iommu, &world->follower);
}

static void unaligned_map_is_range(void **state)
{
    World *world = *state;

    assert_int_equal(send_attach(world->iommu, 1, 8, 0), OK);
    assert_int_equal(send_map(world->iommu, 1, 0x800, 0x1fff, 0, READ), RANGE);
    assert_int_equal(send_map(world->iommu, 1, 0x1000, 0x1ffe, 0, READ), RANGE);
    assert_int_equal(send_map(world->iommu, 1, 0x1000, 0x1fff, 1, READ), RANGE);
    assert_refusal(world->iommu, RANGE, PM_ERROR_UNALIGNED,
                   "MAP of 0x1000-0x1fff to 0x1 in domain 1, flags 0x1 refused: ");
    assert_int_equal(send_map(world->iommu, 7, 0x1000, 0x1fff, 1, READ), RANGE);
}

static void map_of_an_empty_range_is_inval(void **state)
{
    World *world = *state;

    assert_int_equal(send_attach(world->iommu, 1, 8, 0), OK);
    assert_int_equal(send_map(world->iommu, 1, 0x2000, 0x1fff, 0, READ), INVAL);
    assert_int_equal(send_map(world->iommu, 1, 0x2000, 0xfff, 0, READ), INVAL);
    assert_refusal(world->iommu, INVAL, PM_ERROR_INVALID_ARGUMENT, "below the first");
}

static void map_outside_the_input_range_is_range(void **state)
{
    const PmGuestIommuConfig config = {.struct_size = sizeof(config),
                                       .input_range = {0x10000, 0x1ffff}};
    g_autoptr(PmGuestIommu) iommu = new_iommu(&config);

    (void)state;
    add_endpoint(iommu, 8);
    accept_features(iommu);
    assert_int_equal(send_attach(iommu, 1, 8, 0), OK);
    assert_int_equal(send_map(iommu, 1, 0xf000, 0x10fff, 0, READ), RANGE);
    assert_int_equal(send_map(iommu, 1, 0x1f000, 0x20fff, 0, READ), RANGE);
    assert_refusal(iommu, RANGE, PM_ERROR_IOVA_RANGE, "outside the input range 0x10000-0x1ffff");
    assert_int_equal(send_map(iommu, 1, 0x10000, 0x1ffff, 0, READ), OK);
    assert_int_equal(send_unmap(iommu, 1, 0, LAST), OK);
}

static void map_of_physical_addresses_that_wrap_is_range(void **state)
{
    World *world = *state;

    assert_int_equal(send_attach(world->iommu, 1, 8, 0), OK);
    assert_int_equal(send_map(world->iommu, 1, 0, 0x1fff, LAST - 0xfff, READ), RANGE);
    assert_refusal(world->iommu, RANGE, PM_ERROR_IOVA_RANGE, "end past 2^64");
    assert_int_equal(send_map(world->iommu, 1, 0, 0xfff, LAST - 0xfff, READ), OK);
    assert_int_equal(send_map(world->iommu, 1, LAST - 0xfff, LAST, 0, READ), OK);
    assert_int_equal(send_map(world->iommu, 1, 0, LAST, 0, READ), INVAL);
    assert_int_equal(send_unmap(world->iommu, 1, 0, LAST), OK);
    assert_int_equal(send_map(world->iommu, 1, 0, LAST, 0, READ), OK);
}

static void map_without_access_is_inval(void **state)
{
    World *world = *state;

    assert_int_equal(send_attach(world->iommu, 1, 8, 0), OK);
    assert_int_equal(send_map(world->iommu, 1, 0, 0xfff, 0, 0), INVAL);
    assert_refusal(world->iommu, INVAL, PM_ERROR_INVALID_ARGUMENT, "must be read, write, or both");
}

static void map_and_unmap_of_no_domain_are_noent(void **state)
{
    World *world = *state;

    assert_int_equal(send_map(world->iommu, 1, 0, 0xfff, 0, READ), NOENT);
    assert_refusal(world->iommu, NOENT, PM_ERROR_NOT_FOUND, "no domain 1");
    assert_int_equal(send_unmap(world->iommu, 1, 0, 0xfff), NOENT);
    assert_refusal(world->iommu, NOENT, PM_ERROR_NOT_FOUND,
                   "UNMAP of 0x0-0xfff in domain 1 refused: no domain 1");
    assert_true(pm_guest_iommu_set_bypass(world->iommu, true, NULL));
    assert_int_equal(send_map(world->iommu, NO_DOMAIN, 0, 0xfff, 0, READ), NOENT);
}

static void map_and_unmap_of_a_bypass_domain_are_inval(void **state)
{
    World *world = *state;

    assert_int_equal(send_attach(world->iommu, 1, 8, BYPASS), OK);
    assert_int_equal(send_map(world->iommu, 1, 0, 0xfff, 0, READ), INVAL);
    assert_refusal(world->iommu, INVAL, PM_ERROR_INVALID_ARGUMENT, "domain 1 is bypass");
    assert_int_equal(send_unmap(world->iommu, 1, 0, 0xfff), INVAL);
}

static void map_of_mapped_addresses_is_inval(void **state)
{
    World *world = *state;

    assert_int_equal(send_attach(world->iommu, 1, 8, 0), OK);
    assert_int_equal(send_map(world->iommu, 1, 0x2000, 0x3fff, 0, READ), OK);
    assert_int_equal(send_map(world->iommu, 1, 0x1000, 0x2fff, 0, READ), INVAL);
    assert_int_equal(send_map(world->iommu, 1, 0x3000, 0x4fff, 0, READ), INVAL);
    assert_int_equal(send_map(world->iommu, 1, 0x1000, 0x4fff, 0, READ), INVAL);
    assert_int_equal(send_map(world->iommu, 1, 0x2000, 0x2fff, 0, READ), INVAL);
    assert_refusal(world->iommu, INVAL, PM_ERROR_OVERLAP,
                   "0x2000-0x2fff overlaps the mapping 0x2000-0x3fff of domain 1");
    assert_int_equal(send_map(world->iommu, 1, 0x1000, 0x1fff, 0, READ), OK);
    assert_int_equal(send_map(world->iommu, 1, 0x4000, 0x4fff, 0, READ), OK);
    assert_follows(world->iommu, &world->follower);
}

static void map_of_reserved_addresses_is_inval(void **state)
{
    World *world = *state;
    const PmGuestReserved reserved[] = {{0xfee00000, 0xfeefffff, PM_GUEST_RESERVED_MSI},
                                        {0x8000, 0x8fff, PM_GUEST_RESERVED}};

    add_endpoint_with(world->iommu, 7, reserved, G_N_ELEMENTS(reserved));
    assert_int_equal(send_attach(world->iommu, 1, 7, 0), OK);
    assert_int_equal(send_attach(world->iommu, 1, 8, 0), OK);
    assert_int_equal(send_map(world->iommu, 1, 0xfeeff000, 0xfef00fff, 0, READ), INVAL);
    assert_refusal(world->iommu, INVAL, PM_ERROR_OVERLAP,
                   "overlaps 0xfee00000-0xfeefffff reserved by endpoint 0x7 (0000:00:07.0)");
    assert_int_equal(send_map(world->iommu, 1, 0, 0xffffff, 0, READ), INVAL);
    assert_int_equal(send_map(world->iommu, 1, 0, 0x7fff, 0, READ), OK);
    /* Not of a domain without that endpoint. */
    assert_int_equal(send_detach(world->iommu, 1, 7), OK);
    assert_int_equal(send_map(world->iommu, 1, 0x8000, 0x8fff, 0, READ), OK);
}

static void map_beyond_the_limit_of_mappings_is_nomem(void **state)
{
    const PmGuestIommuConfig config = {.struct_size = sizeof(config), .max_mappings = 2};
    g_autoptr(PmGuestIommu) iommu = new_iommu(&config);

    (void)state;
    add_endpoint(iommu, 8);
    add_endpoint(iommu, 9);
    accept_features(iommu);
    assert_int_equal(send_attach(iommu, 1, 8, 0), OK);
    assert_int_equal(send_map(iommu, 1, 0x0000, 0x0fff, 0, READ), OK);
    assert_int_equal(send_map(iommu, 1, 0x1000, 0x1fff, 0, READ), OK);
    assert_int_equal(send_map(iommu, 1, 0x2000, 0x2fff, 0, READ), NOMEM);
    assert_refusal(iommu, NOMEM, PM_ERROR_GUEST_LIMIT,
                   "domain 1 has reached its limit of 2 mappings");
    assert_int_equal(send_map(iommu, 1, 0x1000, 0x2fff, 0, READ), INVAL);
    /* Each domain has its own limit. */
    assert_int_equal(send_attach(iommu, 2, 9, 0), OK);
    assert_int_equal(send_map(iommu, 2, 0x2000, 0x2fff, 0, READ), OK);
    assert_int_equal(send_unmap(iommu, 1, 0, 0xfff), OK);
    assert_int_equal(send_map(iommu, 1, 0x2000, 0x2fff, 0, READ), OK);
}

static void mmio_is_unknown_without_its_feature(void **state)
{
    const PmGuestIommuConfig config = {.struct_size = sizeof(config), .mmio = true};
    g_autoptr(PmGuestIommu) iommu = new_iommu(&config);
    PmGuestMapping mapping;

    (void)state;
    add_endpoint(iommu, 8);
    assert_true(pm_virtio_iommu_set_features(iommu, MAP_UNMAP, NULL));
    assert_int_equal(send_attach(iommu, 1, 8, 0), OK);
    assert_int_equal(send_map(iommu, 1, 0, 0xfff, 0, READ | MMIO), INVAL);
    accept_features(iommu);
    assert_int_equal(send_map(iommu, 1, 0, 0xfff, 0, READ | MMIO), OK);
    assert_true(pm_guest_iommu_next_mapping(iommu, 1, 0, &mapping));
    assert_int_equal(mapping.flags, PM_GUEST_MAPPING_MMIO);
}

static void map_and_unmap_without_their_feature_are_unsupp(void **state)
{
    World *world = *state;

    assert_true(pm_virtio_iommu_set_features(world->iommu, BYPASS_CONFIG, NULL));
    assert_int_equal(send_attach(world->iommu, 1, 8, 0), OK);
    assert_int_equal(send_map(world->iommu, 1, 0, 0xfff, 0, READ), UNSUPP);
    assert_refusal(world->iommu, UNSUPP, PM_ERROR_BAD_REQUEST,
                   "the driver did not accept the feature MAP_UNMAP");
    assert_int_equal(send_unmap(world->iommu, 1, 0, 0xfff), UNSUPP);
}

static void bypass_is_an_unknown_flag_without_its_feature(void **state)
{
    World *world = *state;

    assert_true(pm_virtio_iommu_set_features(world->iommu, MAP_UNMAP, NULL));
    assert_int_equal(send_attach(world->iommu, 1, 8, BYPASS), INVAL);
    assert_refusal(world->iommu, INVAL, PM_ERROR_BAD_REQUEST, "flags 0x1 refused: unknown flags");
}

static void unmap_with_reserved_bytes_is_inval_and_unmaps_nothing(void **state)
{
    World *world = *state;
    Wire request = unmap_request(1, 0, 0xfff);

    assert_int_equal(send_attach(world->iommu, 1, 8, 0), OK);
    assert_int_equal(send_map(world->iommu, 1, 0, 0xfff, 0, READ), OK);
    for (size_t i = 0; i < 4; i++) {
        request.bytes[UNMAP_RESERVED + i] = 1;
        assert_int_equal(send_request(world->iommu, &request), INVAL);
        request.bytes[UNMAP_RESERVED + i] = 0;
    }
    assert_follows(world->iommu, &world->follower);
    assert_int_equal(send_request(world->iommu, &request), OK);
}

static void unmap_of_an_empty_range_is_inval(void **state)
{
    World *world = *state;

    assert_int_equal(send_attach(world->iommu, 1, 8, 0), OK);
    assert_int_equal(send_unmap(world->iommu, 1, 0x1000, 0xfff), INVAL);
}

static void unmap_that_cuts_a_mapping_is_range_and_unmaps_nothing(void **state)
{
    World *world = *state;

    assert_int_equal(send_attach(world->iommu, 1, 8, 0), OK);
    assert_int_equal(send_map(world->iommu, 1, 0x0000, 0x0fff, 0, READ), OK);
    assert_int_equal(send_map(world->iommu, 1, 0x1000, 0x2fff, 0, READ), OK);
    assert_int_equal(send_unmap(world->iommu, 1, 0, 0x1fff), RANGE);
    assert_refusal(world->iommu, RANGE, PM_ERROR_CUTS_MAPPING,
                   "0x0-0x1fff cuts the mapping 0x1000-0x2fff of domain 1");
    assert_int_equal(send_unmap(world->iommu, 1, 0x2000, 0x4fff), RANGE);
    assert_int_equal(send_unmap(world->iommu, 1, 0x1001, 0x1001), RANGE);
    assert_int_equal(send_unmap(world->iommu, 1, 1, 0x2fff), RANGE);
    assert_calls(&world->follower, "attach 1 8; map 1 0x0; map 1 0x1000; ");
    assert_follows(world->iommu, &world->follower);
}

static void probe_of_no_endpoint_is_noent_without_properties(void **state)
{
    World *world = *state;
    uint8_t properties[PROBE_SIZE];
    const uint8_t zero[PROBE_SIZE] = {0};

    assert_int_equal(send_probe(world->iommu, 99, properties), NOENT);
    assert_memory_equal(properties, zero, PROBE_SIZE);
    assert_refusal(world->iommu, NOENT, PM_ERROR_NOT_FOUND,
                   "PROBE of endpoint 0x63 refused: no endpoint 0x63");
}

static void probe_without_its_feature_is_unsupp(void **state)
{
    World *world = *state;
    uint8_t properties[PROBE_SIZE];

    assert_true(pm_virtio_iommu_set_features(world->iommu, MAP_UNMAP, NULL));
    assert_int_equal(send_probe(world->iommu, 8, properties), UNSUPP);
}

static void probe_reports_reserved_ranges_and_zeroes_the_rest(void **state)
{
    World *world = *state;
    const PmGuestReserved reserved[] = {{0xfee00000, 0xfeefffff, PM_GUEST_RESERVED_MSI},
                                        {0x8000, 0x8fff, PM_GUEST_RESERVED}};
    uint8_t properties[PROBE_SIZE];
    const uint8_t zero[PROBE_SIZE] = {0};

    add_endpoint_with(world->iommu, 7, reserved, G_N_ELEMENTS(reserved));
    assert_int_equal(send_probe(world->iommu, 7, properties), OK);
    assert_int_equal(get32(properties), 1 | 20 << 16);
    assert_int_equal(get32(properties + 4), 0); /* RESERVED */
    assert_int_equal(get64(properties + 8), 0x8000);
    assert_int_equal(get64(properties + 16), 0x8fff);
    assert_int_equal(get32(properties + PROPERTY_SIZE), 1 | 20 << 16);
    assert_int_equal(get32(properties + PROPERTY_SIZE + 4), 1); /* MSI */
    assert_int_equal(get64(properties + PROPERTY_SIZE + 8), 0xfee00000);
    assert_int_equal(get64(properties + PROPERTY_SIZE + 16), 0xfeefffff);
    assert_memory_equal(&properties[2 * PROPERTY_SIZE], zero, PROBE_SIZE - 2 * PROPERTY_SIZE);
}

/* --- statuses of the follower --- */

static const struct {
    int code;
    unsigned status;
} follower_statuses[] = {
    {PM_ERROR_INVALID_ARGUMENT, INVAL},
    {PM_ERROR_UNALIGNED, RANGE},
    {PM_ERROR_LIMIT, DEVERR},
    {PM_ERROR_LOCKED_MEMORY, DEVERR},
    {PM_ERROR_OVERLAP, DEVERR},
    {PM_ERROR_IOVA_RANGE, RANGE},
    {PM_ERROR_NO_MAPPING, DEVERR},
    {PM_ERROR_UNMAP_MISMATCH, DEVERR},
    {PM_ERROR_BAD_ADDRESS, FAULT},
    {PM_ERROR_MEMORY, DEVERR},
    {PM_ERROR_BUSY, DEVERR},
    {PM_ERROR_NOT_FOUND, DEVERR},
    {PM_ERROR_PERMISSION, DEVERR},
    {PM_ERROR_UNSUPPORTED, UNSUPP},
    {PM_ERROR_QUARANTINED, DEVERR},
    {PM_ERROR_KERNEL, DEVERR},
    {PM_ERROR_LISTENER, DEVERR},
    {PM_ERROR_NOT_POPULATED, FAULT},
    {PM_ERROR_GUEST_LIMIT, NOMEM},
};

static void every_error_of_the_follower_has_its_status(void **state)
{
    World *world = *state;

    assert_int_equal(send_attach(world->iommu, 1, 8, 0), OK);
    for (size_t i = 0; i < G_N_ELEMENTS(follower_statuses); i++) {
        const unsigned status = follower_statuses[i].status;
        const int code = follower_statuses[i].code;

        follower_fail(&world->follower, 0, 1, code);
        assert_int_equal(send_map(world->iommu, 1, 0, 0xfff, 0, READ), status);
        assert_refusal(world->iommu, status, code,
                       "MAP of 0x0-0xfff to 0x0 in domain 1, flags 0x1 refused: mapping 0x0-0xfff "
                       "in domain 1 failed: failure 1 of the follower");
        assert_int_equal(send_map(world->iommu, 1, 0, 0xfff, 0, READ), OK);
        follower_fail(&world->follower, 0, 1, code);
        assert_int_equal(send_unmap(world->iommu, 1, 0, 0xfff), status);
        assert_refusal(world->iommu, status, code, "unmapping 0x0-0xfff in domain 1 failed");
        assert_int_equal(send_unmap(world->iommu, 1, 0, 0xfff), OK);
        follower_fail(&world->follower, 0, 1, code);
        assert_int_equal(send_attach(world->iommu, 2, 9, 0), status);
        assert_refusal(world->iommu, status, code,
                       "attaching endpoint 0x9 (0000:00:09.0) to domain 2 failed");
        assert_int_equal(send_attach(world->iommu, 2, 9, BYPASS), OK);
        follower_fail(&world->follower, 0, 1, code);
        assert_int_equal(send_detach(world->iommu, 2, 9), status);
        assert_refusal(world->iommu, status, code,
                       "detaching endpoint 0x9 (0000:00:09.0) from bypass domain 2 failed");
        assert_int_equal(send_detach(world->iommu, 2, 9), OK);
        assert_follows(world->iommu, &world->follower);
    }
}

static void a_failure_to_undo_is_deverr(void **state)
{
    World *world = *state;

    assert_int_equal(send_attach(world->iommu, 1, 8, 0), OK);
    assert_int_equal(send_map(world->iommu, 1, 0, 0xfff, 0, READ), OK);
    assert_int_equal(send_map(world->iommu, 1, 0x1000, 0x1fff, 0, READ), OK);
    follower_fail(&world->follower, 1, 2, PM_ERROR_LIMIT);
    assert_int_equal(send_unmap(world->iommu, 1, 0, 0x1fff), DEVERR);
    assert_refusal(world->iommu, DEVERR, PM_ERROR_QUARANTINED, "1 mapping of domain 1 lost");
    follower_fail(&world->follower, 1, 2, PM_ERROR_LIMIT);
    assert_int_equal(send_attach(world->iommu, 2, 8, 0), DEVERR);
    assert_refusal(world->iommu, DEVERR, PM_ERROR_QUARANTINED, "endpoint 0x8 can do no DMA");
    assert_follows(world->iommu, &world->follower);
}

static void errors_of_other_domains_keep_their_cause(void **state)
{
    World *world = *state;
    const GError *refusal;

    world->follower.domain = G_FILE_ERROR;
    follower_fail(&world->follower, 0, 1, G_FILE_ERROR_IO);
    assert_int_equal(send_attach(world->iommu, 1, 8, 0), DEVERR);
    assert_refusal(world->iommu, DEVERR, PM_ERROR_LISTENER, "failure 1 of the follower");
    (void)pm_virtio_iommu_last_refusal(world->iommu, &refusal);
    assert_true(g_error_matches(pm_error_get_cause(refusal), G_FILE_ERROR, G_FILE_ERROR_IO));
}

static void a_failure_without_an_error_is_deverr(void **state)
{
    World *world = *state;

    world->follower.silent = true;
    follower_fail(&world->follower, 0, 1, 0);
    assert_int_equal(send_attach(world->iommu, 1, 8, 0), DEVERR);
    assert_refusal(world->iommu, DEVERR, PM_ERROR_LISTENER, "failed without an error");
}

static void a_refusal_ends_with_the_next_request(void **state)
{
    World *world = *state;
    const GError *refusal;

    assert_int_equal(send_detach(world->iommu, 1, 8), INVAL);
    assert_int_equal(send_attach(world->iommu, 1, 8, 0), OK);
    assert_int_equal(pm_virtio_iommu_last_refusal(world->iommu, &refusal), PM_VIRTIO_IOMMU_OK);
    assert_null(refusal);
}

#define REQUEST_TEST(name) cmocka_unit_test_setup_teardown(name, world_setup_driver, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        REQUEST_TEST(a_mapping_reaches_the_follower_with_all_its_fields),
        REQUEST_TEST(write_is_write_and_both_are_both),
        REQUEST_TEST(attach_with_bypass_makes_a_bypass_domain),
        REQUEST_TEST(attach_of_the_wrong_kind_is_inval),
        REQUEST_TEST(attach_outside_the_domain_range_is_range),
        REQUEST_TEST(attach_with_mapped_reserved_addresses_is_unsupp),
        REQUEST_TEST(attach_beyond_the_limit_of_domains_is_nomem),
        REQUEST_TEST(detach_from_another_domain_is_inval),
        REQUEST_TEST(detach_from_bypass_without_a_domain_is_inval),
        REQUEST_TEST(unaligned_map_is_range),
        REQUEST_TEST(map_of_an_empty_range_is_inval),
        REQUEST_TEST(map_outside_the_input_range_is_range),
        REQUEST_TEST(map_of_physical_addresses_that_wrap_is_range),
        REQUEST_TEST(map_without_access_is_inval),
        REQUEST_TEST(map_and_unmap_of_no_domain_are_noent),
        REQUEST_TEST(map_and_unmap_of_a_bypass_domain_are_inval),
        REQUEST_TEST(map_of_mapped_addresses_is_inval),
        REQUEST_TEST(map_of_reserved_addresses_is_inval),
        REQUEST_TEST(map_beyond_the_limit_of_mappings_is_nomem),
        REQUEST_TEST(mmio_is_unknown_without_its_feature),
        REQUEST_TEST(map_and_unmap_without_their_feature_are_unsupp),
        REQUEST_TEST(bypass_is_an_unknown_flag_without_its_feature),
        REQUEST_TEST(unmap_with_reserved_bytes_is_inval_and_unmaps_nothing),
        REQUEST_TEST(unmap_of_an_empty_range_is_inval),
        REQUEST_TEST(unmap_that_cuts_a_mapping_is_range_and_unmaps_nothing),
        REQUEST_TEST(probe_of_no_endpoint_is_noent_without_properties),
        REQUEST_TEST(probe_without_its_feature_is_unsupp),
        REQUEST_TEST(probe_reports_reserved_ranges_and_zeroes_the_rest),
        REQUEST_TEST(every_error_of_the_follower_has_its_status),
        REQUEST_TEST(a_failure_to_undo_is_deverr),
        REQUEST_TEST(errors_of_other_domains_keep_their_cause),
        REQUEST_TEST(a_failure_without_an_error_is_deverr),
        REQUEST_TEST(a_refusal_ends_with_the_next_request),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
