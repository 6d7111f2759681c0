/* SPDX-License-Identifier: MIT */
/* Making a guest IOMMU, its endpoints, and the getters. */
#include "follower_util.h"

static void assert_config_refused(const PmGuestIommuConfig *config, const char *part)
{
    GError *error = NULL;

    assert_null(pm_guest_iommu_new(config, &error));
    assert_error(&error, PM_ERROR_INVALID_ARGUMENT, part);
}

#define CONFIG(...)                                                                                \
    (&(const PmGuestIommuConfig){.struct_size = sizeof(PmGuestIommuConfig), __VA_ARGS__})

static void invalid_limits_are_refused(void **state)
{
    (void)state;
    assert_config_refused(NULL, "PmGuestIommuConfig is NULL");
    assert_config_refused(CONFIG(.input_range = {0x2000, 0xfff}), "input_range 0x2000-0xfff");
    assert_config_refused(CONFIG(.input_range = {0x800, 0xffff}), "aligned to the granularity");
    assert_config_refused(CONFIG(.input_range = {0, 0xfffe}), "aligned to the granularity");
    assert_config_refused(CONFIG(.page_size_mask = 0x10000, .input_range = {0x1000, 0xffff}),
                          "aligned to the granularity 0x10000");
    assert_config_refused(CONFIG(.first_domain = 2, .last_domain = 1), "domain range 2-1");
    assert_config_refused(CONFIG(.last_domain = UINT32_MAX), "end below 4294967295");
    assert_config_refused(CONFIG(.first_domain = UINT32_MAX), "domain range");
    assert_config_refused(CONFIG(.probe_size = 4), "probe_size 4: must be a multiple of 8");
    assert_config_refused(CONFIG(.probe_size = 4104), "at most 4096");
    pm_guest_iommu_unref(new_iommu(CONFIG(.first_domain = 1, .last_domain = 1, .probe_size = 4096,
                                          .input_range = {0x1000, 0x1fff})));
}

static void assert_endpoint_refused(PmGuestIommu *iommu, const PmGuestEndpoint *endpoint, int code,
                                    const char *part)
{
    GError *error = NULL;

    assert_false(pm_guest_iommu_add_endpoint(iommu, endpoint, &error));
    assert_error(&error, code, part);
    assert_false(pm_guest_iommu_next_endpoint(iommu, 0, NULL));
}

static void assert_reserved_refused(PmGuestIommu *iommu, const PmGuestReserved *reserved,
                                    size_t n_reserved, const char *part)
{
    const PmGuestEndpoint endpoint = {.struct_size = sizeof(endpoint),
                                      .endpoint = 8,
                                      .device = "0000:00:08.0",
                                      .reserved = reserved,
                                      .n_reserved = n_reserved};

    assert_endpoint_refused(iommu, &endpoint, PM_ERROR_INVALID_ARGUMENT, part);
}

static void invalid_endpoints_are_refused(void **state)
{
    g_autoptr(PmGuestIommu) iommu = new_iommu(NULL);
    PmGuestEndpoint endpoint = {.struct_size = sizeof(endpoint), .endpoint = 8};
    const PmGuestReserved inverted = {0x2000, 0x1fff, PM_GUEST_RESERVED};
    const PmGuestReserved other_kind = {0x2000, 0x2fff, (PmGuestReservedKind)2};
    const PmGuestReserved overlapping[] = {{0x3000, 0x3fff, PM_GUEST_RESERVED},
                                           {0x1000, 0x3000, PM_GUEST_RESERVED}};
    const PmGuestReserved doorbells[] = {{0x3000, 0x3fff, PM_GUEST_RESERVED_MSI},
                                         {0x1000, 0x1fff, PM_GUEST_RESERVED_MSI}};
    PmGuestReserved many[22];

    (void)state;
    assert_endpoint_refused(iommu, NULL, PM_ERROR_INVALID_ARGUMENT, "PmGuestEndpoint is NULL");
    assert_endpoint_refused(iommu, &endpoint, PM_ERROR_INVALID_ARGUMENT,
                            "endpoint 0x8 has no device");
    for (size_t i = 0; i < G_N_ELEMENTS(many); i++)
        many[i] = (PmGuestReserved){i << 12, (i << 12) + 0xfff, PM_GUEST_RESERVED};
    assert_reserved_refused(iommu, NULL, 1, "endpoint 0x8 has no reserved ranges");
    assert_reserved_refused(iommu, &inverted, 1, "0x2000-0x1fff: the last address is below");
    assert_reserved_refused(iommu, &other_kind, 1, "invalid kind 2");
    assert_reserved_refused(iommu, overlapping, 2, "0x1000-0x3000 and 0x3000-0x3fff overlap");
    assert_reserved_refused(iommu, doorbells, 2, "2 reserved ranges for MSI");
    assert_reserved_refused(iommu, many, 22, "22 reserved ranges of endpoint 0x8 exceed the 21");
    add_endpoint_with(iommu, 8, many, 21);
}

static void an_endpoint_has_one_device(void **state)
{
    g_autoptr(PmGuestIommu) iommu = new_iommu(NULL);
    const PmGuestEndpoint endpoint = {
        .struct_size = sizeof(endpoint), .endpoint = 8, .device = "0000:00:09.0"};
    GError *error = NULL;

    (void)state;
    add_endpoint(iommu, 8);
    assert_false(pm_guest_iommu_add_endpoint(iommu, &endpoint, &error));
    assert_error(&error, PM_ERROR_BUSY, "endpoint 0x8 exists already, for 0000:00:08.0");
    assert_true(pm_guest_iommu_remove_endpoint(iommu, 8, NULL));
    assert_true(pm_guest_iommu_add_endpoint(iommu, &endpoint, NULL));
}

static void endpoints_and_domains_are_found_in_ascending_order(void **state)
{
    static const uint32_t ids[] = {UINT32_MAX, 0, 300, 0x8000};
    static const uint32_t sorted[] = {0, 300, 0x8000, UINT32_MAX};
    g_autoptr(PmGuestIommu) iommu = new_iommu(NULL);
    PmGuestEndpointInfo endpoint = {.struct_size = sizeof(endpoint)};
    PmGuestDomainInfo domain = {.struct_size = sizeof(domain)};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(ids); i++) {
        add_endpoint(iommu, ids[i]);
        attach(iommu, ids[i] == UINT32_MAX ? UINT32_MAX - 1 : ids[i], ids[i]);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(sorted); i++) {
        uint32_t from = i == 0 ? 0 : sorted[i - 1] + 1;

        assert_true(pm_guest_iommu_next_endpoint(iommu, from, &endpoint));
        assert_int_equal(endpoint.endpoint, sorted[i]);
        assert_true(pm_guest_iommu_next_domain(iommu, from, &domain));
        assert_int_equal(domain.domain, endpoint.domain);
    }
    assert_false(pm_guest_iommu_next_domain(iommu, NO_DOMAIN, &domain));
}

static void an_info_of_an_invalid_size_is_refused(void **state)
{
    g_autoptr(PmGuestIommu) iommu = new_iommu(NULL);
    PmGuestEndpointInfo endpoint = {0};
    PmGuestDomainInfo domain = {0};

    (void)state;
    add_endpoint(iommu, 8);
    attach(iommu, 1, 8);
    assert_false(pm_guest_iommu_next_endpoint(iommu, 0, &endpoint));
    assert_false(pm_guest_iommu_next_domain(iommu, 0, &domain));
    assert_true(pm_guest_iommu_next_endpoint(iommu, 0, NULL));
    assert_true(pm_guest_iommu_next_domain(iommu, 0, NULL));
}

static void the_last_reference_ends_the_follower(void **state)
{
    PmGuestIommu *iommu = new_iommu(NULL);
    Follower follower;

    (void)state;
    follower_init(&follower);
    add_endpoint(iommu, 8);
    attach(iommu, 1, 8);
    assert_true(pm_guest_iommu_set_follower(iommu, &follower_ops, &follower, NULL));
    assert_ptr_equal(pm_guest_iommu_ref(iommu), iommu);
    pm_guest_iommu_unref(iommu);
    assert_calls(&follower, "attach 1 8; ");
    pm_guest_iommu_unref(iommu);
    assert_calls(&follower, "detach 1 8; ");
    follower_clear(&follower);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(invalid_limits_are_refused),
        cmocka_unit_test(invalid_endpoints_are_refused),
        cmocka_unit_test(an_endpoint_has_one_device),
        cmocka_unit_test(endpoints_and_domains_are_found_in_ascending_order),
        cmocka_unit_test(an_info_of_an_invalid_size_is_refused),
        cmocka_unit_test(the_last_reference_ends_the_follower),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
