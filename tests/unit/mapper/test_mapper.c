/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <plugmap/fake.h>
#include <plugmap/plugmap.h>

#include "iommu/claim.h"
#include "util/mapper_util.h"
#include "util/source_util.h"

#define BLOCK   PM_MIB
#define ADDRESS (4 * PM_GIB)

typedef struct {
    PmKernel *fake;
    PmIommu *iommu;
    PmMapper *mapper;
} Fixture;

static Fixture make(uint32_t entry_limit, uint64_t memlock_limit)
{
    PmFakeConfig config;
    Fixture fixture;
    PmType1Config type1 = {.struct_size = sizeof(type1), .has_group = true, .group = 1};

    pm_fake_config_init(&config);
    config.entry_limit = entry_limit;
    config.memlock_limit = memlock_limit;
    fixture.fake = pm_fake_kernel_new(&config, NULL);
    type1.kernel = fixture.fake;
    fixture.iommu = pm_iommu_type1_new(&type1, NULL);
    assert_non_null(fixture.iommu);
    fixture.mapper = pm_mapper_new(fixture.iommu);
    return fixture;
}

static void clear(Fixture *fixture)
{
    pm_mapper_free(fixture->mapper);
    assert_int_equal(pm_iommu_get_n_mappings(fixture->iommu), 0);
    assert_int_equal(pm_fake_kernel_get_n_mappings(fixture->fake, 1), 0);
    pm_iommu_unref(fixture->iommu);
    pm_kernel_unref(fixture->fake);
}

static PmRam *make_ram(uint64_t size)
{
    PmRam *ram = pm_ram_new(PM_RAM_ANONYMOUS, size, BLOCK, NULL);

    assert_non_null(ram);
    return ram;
}

static PmDiscardManager *make_manager(uint64_t size, uint64_t block_size)
{
    g_autoptr(PmRam) ram = make_ram(size);
    PmDiscardManager *manager = manager_with_source(ram, block_size, NULL);

    assert_non_null(manager);
    return manager;
}

static void assert_code(GError *error, PmError code)
{
    assert_non_null(error);
    assert_int_equal(error->code, code);
    g_error_free(error);
}

static void plain_ram_is_mapped_whole_with_one_call(void **state)
{
    Fixture fixture = make(10, UINT64_MAX);
    g_autoptr(PmRam) ram = make_ram(64 * BLOCK);
    PmIommuRun run;

    (void)state;
    assert_true(mapper_add_all(fixture.mapper, 0, ram, PM_MAPPER_STRICT, NULL));
    assert_int_equal(pm_fake_kernel_get_n_calls(fixture.fake, PM_FAKE_CALL_MAP), 1);
    assert_true(pm_iommu_next_run(fixture.iommu, 0, &run));
    assert_int_equal(run.block_size, 64 * BLOCK);
    assert_int_equal(run.n_blocks, 1);
    assert_true(pm_mapper_remove(fixture.mapper, 0, NULL));
    assert_int_equal(pm_iommu_get_n_mappings(fixture.iommu), 0);
    clear(&fixture);
}

static void a_hundred_mebibytes_are_a_hundred_maps_and_one_unmap(void **state)
{
    Fixture fixture = make(65535, UINT64_MAX);
    g_autoptr(PmDiscardManager) manager = make_manager(128 * BLOCK, BLOCK);

    (void)state;
    assert_true(mapper_add_all(fixture.mapper, ADDRESS, pm_discard_manager_get_ram(manager),
                               PM_MAPPER_STRICT, NULL));
    assert_true(source_populate(manager, 0, 100 * BLOCK, 0, NULL));
    assert_int_equal(pm_fake_kernel_get_n_calls(fixture.fake, PM_FAKE_CALL_MAP), 100);
    assert_true(source_discard(manager, 0, 100 * BLOCK, NULL));
    assert_int_equal(pm_fake_kernel_get_n_calls(fixture.fake, PM_FAKE_CALL_UNMAP), 1);
    clear(&fixture);
}

static void a_region_added_late_maps_what_is_populated(void **state)
{
    Fixture fixture = make(65535, UINT64_MAX);
    g_autoptr(PmDiscardManager) manager = make_manager(16 * BLOCK, BLOCK);
    PmMapperAudit audit = {.struct_size = sizeof(audit)};

    (void)state;
    assert_true(source_populate(manager, 2 * BLOCK, 3 * BLOCK, 0, NULL));
    assert_true(source_populate(manager, 8 * BLOCK, BLOCK, 0, NULL));
    assert_true(mapper_add_all(fixture.mapper, ADDRESS, pm_discard_manager_get_ram(manager),
                               PM_MAPPER_STRICT, NULL));
    assert_true(pm_mapper_audit(fixture.mapper, NULL, &audit, NULL));
    assert_int_equal(audit.n_populated, 4);
    assert_int_equal(audit.n_mapped, 4);
    assert_true(pm_mapper_remove(fixture.mapper, ADDRESS, NULL));
    assert_int_equal(pm_fake_kernel_get_n_mappings(fixture.fake, 1), 0);
    clear(&fixture);
}

static void regions_may_not_overlap(void **state)
{
    Fixture fixture = make(65535, UINT64_MAX);
    g_autoptr(PmRam) ram = make_ram(16 * BLOCK);
    g_autoptr(PmDiscardManager) manager = make_manager(16 * BLOCK, BLOCK);
    GError *error = NULL;

    (void)state;
    assert_true(mapper_add_all(fixture.mapper, ADDRESS, ram, PM_MAPPER_STRICT, NULL));
    assert_false(mapper_add_all(fixture.mapper, ADDRESS + 15 * BLOCK,
                                pm_discard_manager_get_ram(manager), PM_MAPPER_STRICT, &error));
    assert_code(error, PM_ERROR_OVERLAP);
    assert_true(mapper_add_all(fixture.mapper, ADDRESS + 16 * BLOCK,
                               pm_discard_manager_get_ram(manager), PM_MAPPER_STRICT, NULL));
    clear(&fixture);
}

static void a_region_across_a_reserved_window_is_refused_before_the_first_call(void **state)
{
    Fixture fixture = make(65535, UINT64_MAX);
    g_autoptr(PmDiscardManager) manager = make_manager(16 * BLOCK, 4 * BLOCK);
    GError *error = NULL;

    (void)state;
    assert_false(mapper_add_all(fixture.mapper, 0xfe800000, pm_discard_manager_get_ram(manager),
                                PM_MAPPER_STRICT, &error));
    assert_non_null(strstr(error->message, "0xfedfffff"));
    /* The next range begins at 0xfef00000, where no block does. */
    assert_non_null(strstr(error->message, "the nearest address with room for it is 0xff000000"));
    assert_code(error, PM_ERROR_IOVA_RANGE);
    assert_int_equal(pm_fake_kernel_get_n_calls(fixture.fake, PM_FAKE_CALL_MAP), 0);
    clear(&fixture);
}

static void an_address_off_the_block_is_refused(void **state)
{
    Fixture fixture = make(65535, UINT64_MAX);
    g_autoptr(PmDiscardManager) manager = make_manager(16 * BLOCK, BLOCK);
    GError *error = NULL;

    (void)state;
    assert_false(mapper_add_all(fixture.mapper, ADDRESS + 4096, pm_discard_manager_get_ram(manager),
                                PM_MAPPER_STRICT, &error));
    assert_code(error, PM_ERROR_UNALIGNED);
    clear(&fixture);
}

static void a_strict_region_beyond_the_limit_is_refused_with_the_block_size_that_fits(void **state)
{
    Fixture fixture = make(7, UINT64_MAX);
    g_autoptr(PmDiscardManager) manager = make_manager(16 * BLOCK, BLOCK);
    GError *error = NULL;

    (void)state;
    assert_false(mapper_add_all(fixture.mapper, ADDRESS, pm_discard_manager_get_ram(manager),
                                PM_MAPPER_STRICT, &error));
    assert_non_null(strstr(error->message, "4M"));
    assert_code(error, PM_ERROR_LIMIT);
    assert_int_equal(pm_fake_kernel_get_n_calls(fixture.fake, PM_FAKE_CALL_MAP), 0);
    clear(&fixture);
}

static void an_overcommitted_region_is_refused_only_when_the_limit_is_met(void **state)
{
    Fixture fixture = make(7, UINT64_MAX);
    g_autoptr(PmDiscardManager) manager = make_manager(16 * BLOCK, BLOCK);
    GError *error = NULL;

    (void)state;
    assert_true(mapper_add_all(fixture.mapper, ADDRESS, pm_discard_manager_get_ram(manager),
                               PM_MAPPER_OVERCOMMIT, NULL));
    assert_true(source_populate(manager, 0, 7 * BLOCK, 0, NULL));
    assert_false(source_populate(manager, 7 * BLOCK, BLOCK, 0, &error));
    assert_code(error, PM_ERROR_LIMIT);
    assert_int_equal(pm_fake_kernel_get_n_calls(fixture.fake, PM_FAKE_CALL_MAP), 7);
    assert_true(source_discard(manager, 0, BLOCK, NULL));
    assert_true(source_populate(manager, 7 * BLOCK, BLOCK, 0, NULL));
    clear(&fixture);
}

static void an_overcommitted_region_is_refused_if_what_is_populated_does_not_fit(void **state)
{
    Fixture fixture = make(7, UINT64_MAX);
    g_autoptr(PmDiscardManager) manager = make_manager(16 * BLOCK, BLOCK);
    GError *error = NULL;

    (void)state;
    assert_true(source_populate(manager, 0, 8 * BLOCK, 0, NULL));
    assert_false(mapper_add_all(fixture.mapper, ADDRESS, pm_discard_manager_get_ram(manager),
                                PM_MAPPER_OVERCOMMIT, &error));
    assert_code(error, PM_ERROR_LIMIT);
    assert_int_equal(pm_fake_kernel_get_n_calls(fixture.fake, PM_FAKE_CALL_MAP), 0);
    clear(&fixture);
}

/* The first of its runs would fit. */
static void nothing_is_mapped_of_an_overcommitted_region_that_does_not_fit(void **state)
{
    Fixture fixture = make(7, UINT64_MAX);
    g_autoptr(PmDiscardManager) manager = make_manager(16 * BLOCK, BLOCK);
    GError *error = NULL;

    (void)state;
    assert_true(source_populate(manager, 0, 4 * BLOCK, 0, NULL));
    assert_true(source_populate(manager, 8 * BLOCK, 4 * BLOCK, 0, NULL));
    assert_false(mapper_add_all(fixture.mapper, ADDRESS, pm_discard_manager_get_ram(manager),
                                PM_MAPPER_OVERCOMMIT, &error));
    assert_code(error, PM_ERROR_LIMIT);
    assert_int_equal(pm_fake_kernel_get_n_calls(fixture.fake, PM_FAKE_CALL_MAP), 0);
    clear(&fixture);
}

static void a_plug_beyond_the_locked_memory_limit_is_refused_before_the_first_call(void **state)
{
    Fixture fixture = make(65535, 7 * BLOCK);
    g_autoptr(PmDiscardManager) manager = make_manager(16 * BLOCK, BLOCK);
    GError *error = NULL;

    (void)state;
    assert_true(mapper_add_all(fixture.mapper, ADDRESS, pm_discard_manager_get_ram(manager),
                               PM_MAPPER_OVERCOMMIT, NULL));
    assert_true(source_populate(manager, 0, 4 * BLOCK, 0, NULL));
    assert_false(source_populate(manager, 8 * BLOCK, 4 * BLOCK, 0, &error));
    assert_code(error, PM_ERROR_LOCKED_MEMORY);
    assert_int_equal(pm_fake_kernel_get_n_calls(fixture.fake, PM_FAKE_CALL_MAP), 4);
    clear(&fixture);
}

static void plain_ram_does_not_take_the_room_of_a_strict_region(void **state)
{
    Fixture fixture = make(16, 17 * BLOCK);
    g_autoptr(PmDiscardManager) strict = make_manager(15 * BLOCK, BLOCK);
    g_autoptr(PmRam) large = make_ram(3 * BLOCK);
    g_autoptr(PmRam) small = make_ram(2 * BLOCK);
    g_autoptr(PmRam) last = make_ram(BLOCK);
    GError *error = NULL;

    (void)state;
    assert_true(mapper_add_all(fixture.mapper, ADDRESS, pm_discard_manager_get_ram(strict),
                               PM_MAPPER_STRICT, NULL));
    assert_false(mapper_add_all(fixture.mapper, 0, large, PM_MAPPER_STRICT, &error));
    assert_code(error, PM_ERROR_LOCKED_MEMORY);
    assert_true(mapper_add_all(fixture.mapper, 0, small, PM_MAPPER_STRICT, NULL));
    error = NULL;
    assert_false(mapper_add_all(fixture.mapper, 8 * BLOCK, last, PM_MAPPER_STRICT, &error));
    assert_code(error, PM_ERROR_LIMIT);
    assert_true(source_populate(strict, 0, 15 * BLOCK, 0, NULL));
    clear(&fixture);
}

static void the_room_of_a_strict_region_is_kept_free(void **state)
{
    Fixture fixture = make(20, UINT64_MAX);
    g_autoptr(PmDiscardManager) strict = make_manager(16 * BLOCK, BLOCK);
    g_autoptr(PmDiscardManager) other = make_manager(16 * BLOCK, BLOCK);
    GError *error = NULL;

    (void)state;
    assert_true(mapper_add_all(fixture.mapper, ADDRESS, pm_discard_manager_get_ram(strict),
                               PM_MAPPER_STRICT, NULL));
    assert_true(mapper_add_all(fixture.mapper, 2 * ADDRESS, pm_discard_manager_get_ram(other),
                               PM_MAPPER_OVERCOMMIT, NULL));
    assert_true(source_populate(other, 0, 4 * BLOCK, 0, NULL));
    assert_false(source_populate(other, 4 * BLOCK, BLOCK, 0, &error));
    assert_code(error, PM_ERROR_LIMIT);
    assert_true(source_populate(strict, 0, 16 * BLOCK, 0, NULL));
    clear(&fixture);
}

static void locked_memory_is_checked_before_the_first_call(void **state)
{
    Fixture fixture = make(65535, 15 * BLOCK);
    g_autoptr(PmDiscardManager) manager = make_manager(16 * BLOCK, BLOCK);
    GError *error = NULL;

    (void)state;
    assert_false(mapper_add_all(fixture.mapper, ADDRESS, pm_discard_manager_get_ram(manager),
                                PM_MAPPER_STRICT, &error));
    assert_code(error, PM_ERROR_LOCKED_MEMORY);
    assert_int_equal(pm_fake_kernel_get_n_calls(fixture.fake, PM_FAKE_CALL_MAP), 0);
    pm_fake_kernel_set_memlock(fixture.fake, 15 * BLOCK, true);
    assert_true(mapper_add_all(fixture.mapper, ADDRESS, pm_discard_manager_get_ram(manager),
                               PM_MAPPER_STRICT, NULL));
    clear(&fixture);
}

/* Changes through internals what only the mapper's claim can change. */
static PmIommuClaim *claim_at(const Fixture *fixture, uint64_t iova)
{
    return pm_claim_find(fixture->iommu, iova);
}

static void an_audit_finds_a_block_that_others_unmapped(void **state)
{
    Fixture fixture = make(65535, UINT64_MAX);
    g_autoptr(PmDiscardManager) manager = make_manager(16 * BLOCK, BLOCK);
    PmMapperAudit audit = {.struct_size = sizeof(audit)};
    GError *error = NULL;

    (void)state;
    assert_true(mapper_add_all(fixture.mapper, ADDRESS, pm_discard_manager_get_ram(manager),
                               PM_MAPPER_STRICT, NULL));
    assert_true(source_populate(manager, 0, 8 * BLOCK, 0, NULL));
    assert_true(pm_iommu_claim_unmap(claim_at(&fixture, ADDRESS), 3 * BLOCK, 2 * BLOCK, NULL));
    assert_false(pm_mapper_audit(fixture.mapper, NULL, &audit, &error));
    assert_non_null(strstr(error->message, "0x100300000"));
    assert_code(error, PM_ERROR_AUDIT);
    assert_int_equal(audit.n_populated, 8);
    assert_int_equal(audit.n_mapped, 6);
    assert_int_equal(audit.n_mismatches, 2);
    assert_true(pm_iommu_claim_map(claim_at(&fixture, ADDRESS), 3 * BLOCK, 2 * BLOCK, 3 * BLOCK,
                                   PM_IOMMU_READ_WRITE, NULL));
    assert_true(pm_mapper_audit(fixture.mapper, NULL, NULL, NULL));
    clear(&fixture);
}

static void an_audit_finds_what_is_mapped_but_not_populated(void **state)
{
    Fixture fixture = make(65535, UINT64_MAX);
    g_autoptr(PmDiscardManager) manager = make_manager(16 * BLOCK, BLOCK);
    PmMapperAudit audit = {.struct_size = sizeof(audit)};

    (void)state;
    assert_true(mapper_add_all(fixture.mapper, ADDRESS, pm_discard_manager_get_ram(manager),
                               PM_MAPPER_STRICT, NULL));
    assert_true(pm_iommu_claim_map(claim_at(&fixture, ADDRESS), 5 * BLOCK, BLOCK, 5 * BLOCK,
                                   PM_IOMMU_READ_WRITE, NULL));
    assert_false(pm_mapper_audit(fixture.mapper, NULL, &audit, NULL));
    assert_int_equal(audit.n_populated, 0);
    assert_int_equal(audit.n_mapped, 1);
    assert_int_equal(audit.n_mismatches, 1);
    clear(&fixture);
}

static void an_audit_finds_a_block_that_maps_other_memory(void **state)
{
    Fixture fixture = make(65535, UINT64_MAX);
    g_autoptr(PmDiscardManager) manager = make_manager(16 * BLOCK, BLOCK);
    PmMapperAudit audit = {.struct_size = sizeof(audit)};
    GError *error = NULL;

    (void)state;
    assert_true(mapper_add_all(fixture.mapper, ADDRESS, pm_discard_manager_get_ram(manager),
                               PM_MAPPER_STRICT, NULL));
    assert_true(source_populate(manager, 0, 4 * BLOCK, 0, NULL));
    assert_true(pm_iommu_claim_unmap(claim_at(&fixture, ADDRESS), BLOCK, BLOCK, NULL));
    assert_true(pm_iommu_claim_map(claim_at(&fixture, ADDRESS), BLOCK, BLOCK, 7 * BLOCK,
                                   PM_IOMMU_READ_WRITE, NULL));
    assert_false(pm_mapper_audit(fixture.mapper, NULL, &audit, &error));
    assert_non_null(strstr(error->message, "mapped to another part of the RAM"));
    assert_code(error, PM_ERROR_AUDIT);
    assert_int_equal(audit.n_mismatches, 1);
    clear(&fixture);
}

static void removing_a_missing_region_is_not_found(void **state)
{
    Fixture fixture = make(65535, UINT64_MAX);
    GError *error = NULL;

    (void)state;
    assert_false(pm_mapper_remove(fixture.mapper, ADDRESS, &error));
    assert_code(error, PM_ERROR_NOT_FOUND);
    clear(&fixture);
}

/* Whatever error the kernel returns; the pool hardly has 256 GiB. */
static void lack_of_hugetlb_pages_is_reported_with_the_command_that_adds_them(void **state)
{
    static const int errors[] = {EFAULT, ENOMEM};
    Fixture fixture = make(UINT16_MAX, UINT64_MAX);
    const uint64_t size = 256 * PM_GIB;
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_HUGETLB_2M, size, 0, NULL);

    (void)state;
    if (ram == NULL) {
        clear(&fixture);
        fprintf(stderr, "skipped: this kernel has no hugetlb pages of 2 MiB (CONFIG_HUGETLBFS)\n");
        skip();
    }
    for (size_t i = 0; i < G_N_ELEMENTS(errors); i++) {
        g_autoptr(GError) error = NULL;

        pm_fake_kernel_fail(fixture.fake, PM_FAKE_CALL_MAP, 1, errors[i]);
        assert_false(mapper_add_all(fixture.mapper, ADDRESS, ram, PM_MAPPER_STRICT, &error));
        assert_int_equal(error->code, PM_ERROR_MEMORY);
        assert_non_null(strstr(error->message,
                               "cannot pin 256G of RAM at guest address 0x100000000: the range "
                               "lacks 131,072 hugetlb pages"));
        assert_non_null(strstr(error->message, "the whole RAM, which lacks 131,072 pages"));
        assert_non_null(strstr(error->message, "kB/nr_hugepages"));
    }
    clear(&fixture);
}

/* It does not hide other errors, and other memory has no pool. */
static void only_hugetlb_memory_can_lack_hugetlb_pages(void **state)
{
    Fixture fixture = make(10, UINT64_MAX);
    g_autoptr(PmRam) ram = make_ram(2 * BLOCK);
    g_autoptr(GError) error = NULL;

    (void)state;
    pm_fake_kernel_fail(fixture.fake, PM_FAKE_CALL_MAP, 1, EFAULT);
    assert_false(mapper_add_all(fixture.mapper, ADDRESS, ram, PM_MAPPER_STRICT, &error));
    assert_int_equal(error->code, PM_ERROR_BAD_ADDRESS);
    assert_null(strstr(error->message, "hugetlb"));
    clear(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_ram_is_mapped_whole_with_one_call),
        cmocka_unit_test(a_hundred_mebibytes_are_a_hundred_maps_and_one_unmap),
        cmocka_unit_test(a_region_added_late_maps_what_is_populated),
        cmocka_unit_test(regions_may_not_overlap),
        cmocka_unit_test(a_region_across_a_reserved_window_is_refused_before_the_first_call),
        cmocka_unit_test(an_address_off_the_block_is_refused),
        cmocka_unit_test(a_strict_region_beyond_the_limit_is_refused_with_the_block_size_that_fits),
        cmocka_unit_test(an_overcommitted_region_is_refused_only_when_the_limit_is_met),
        cmocka_unit_test(an_overcommitted_region_is_refused_if_what_is_populated_does_not_fit),
        cmocka_unit_test(nothing_is_mapped_of_an_overcommitted_region_that_does_not_fit),
        cmocka_unit_test(a_plug_beyond_the_locked_memory_limit_is_refused_before_the_first_call),
        cmocka_unit_test(plain_ram_does_not_take_the_room_of_a_strict_region),
        cmocka_unit_test(the_room_of_a_strict_region_is_kept_free),
        cmocka_unit_test(locked_memory_is_checked_before_the_first_call),
        cmocka_unit_test(an_audit_finds_a_block_that_others_unmapped),
        cmocka_unit_test(an_audit_finds_what_is_mapped_but_not_populated),
        cmocka_unit_test(an_audit_finds_a_block_that_maps_other_memory),
        cmocka_unit_test(removing_a_missing_region_is_not_found),
        cmocka_unit_test(lack_of_hugetlb_pages_is_reported_with_the_command_that_adds_them),
        cmocka_unit_test(only_hugetlb_memory_can_lack_hugetlb_pages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
