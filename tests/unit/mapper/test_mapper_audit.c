/* SPDX-License-Identifier: MIT */
/* Inconsistencies that pm_mapper_audit() must find. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include <plugmap/fake.h>
#include <plugmap/plugmap.h>

#include "iommu/claim.h"
#include "util/backend_util.h"
#include "util/mapper_util.h"
#include "util/source_util.h"

#define BLOCK    (64 * PM_KIB)
#define N_BLOCKS 8
#define ADDRESS  (4 * PM_GIB)

/* Two regions, with a manager each. */
typedef struct {
    PmKernel *fake;
    PmIommu *iommu;
    PmMapper *mapper;
    PmRam *rams[2];
    PmDiscardManager *managers[2];
} Fixture;

static uint64_t address_of(unsigned region)
{
    return ADDRESS + region * PM_GIB;
}

static int make(void **state)
{
    Fixture *fixture = g_new0(Fixture, 1);

    fixture->fake = backend_fake_new(NULL, NULL);
    fixture->iommu = backend_open(fixture->fake, 0, NULL);
    fixture->mapper = pm_mapper_new(fixture->iommu);
    for (unsigned i = 0; i < 2; i++) {
        fixture->rams[i] = pm_ram_new(PM_RAM_ANONYMOUS, N_BLOCKS * BLOCK, BLOCK, NULL);
        fixture->managers[i] = manager_with_source(fixture->rams[i], BLOCK, NULL);
        assert_true(mapper_add_all(fixture->mapper, address_of(i),
                                   pm_discard_manager_get_ram(fixture->managers[i]),
                                   PM_MAPPER_STRICT, NULL));
    }
    *state = fixture;
    return 0;
}

static int drop(void **state)
{
    Fixture *fixture = *state;

    pm_fake_kernel_clear_faults(fixture->fake);
    pm_mapper_free(fixture->mapper);
    for (unsigned i = 0; i < 2; i++) {
        pm_discard_manager_unref(fixture->managers[i]);
        pm_ram_unref(fixture->rams[i]);
    }
    pm_iommu_unref(fixture->iommu);
    assert_int_equal(pm_fake_kernel_get_n_open(fixture->fake), 0);
    pm_kernel_unref(fixture->fake);
    g_free(fixture);
    return 0;
}

static void plug(Fixture *fixture, unsigned region, uint64_t first, uint64_t n_blocks)
{
    assert_true(
        source_populate(fixture->managers[region], first * BLOCK, n_blocks * BLOCK, 0, NULL));
}

static PmError audit(Fixture *fixture, PmMapperAudit *counts)
{
    g_autoptr(GError) error = NULL;

    assert_false(pm_mapper_audit(fixture->mapper, NULL, counts, &error));
    return (PmError)error->code;
}

static void an_audit_looks_at_every_region(void **state)
{
    Fixture *fixture = *state;
    PmIommuClaim *claim = pm_claim_find(fixture->iommu, address_of(1));
    PmMapperAudit counts = {.struct_size = sizeof(counts)};

    plug(fixture, 0, 0, 2);
    plug(fixture, 1, 0, 3);
    assert_true(pm_mapper_audit(fixture->mapper, NULL, &counts, NULL));
    assert_int_equal(counts.n_populated, 5);
    assert_int_equal(counts.n_mapped, 5);
    assert_true(pm_iommu_claim_unmap(claim, BLOCK, BLOCK, NULL));
    assert_int_equal(audit(fixture, &counts), PM_ERROR_AUDIT);
    assert_int_equal(counts.n_mapped, 4);
    assert_int_equal(counts.n_mismatches, 1);
    assert_true(pm_iommu_claim_map(claim, BLOCK, BLOCK, BLOCK, PM_IOMMU_READ_WRITE, NULL));
}

/* Blocks that the range only partly covers are compared, too. */
static void an_audit_of_a_range_looks_at_its_blocks_alone(void **state)
{
    Fixture *fixture = *state;
    PmIommuClaim *claim = pm_claim_find(fixture->iommu, address_of(1));
    const PmIovaRange range = {address_of(1) + 2 * BLOCK - 1, address_of(1) + 4 * BLOCK};
    const PmIovaRange after = {address_of(1) + 6 * BLOCK, UINT64_MAX};
    const PmIovaRange outside = {address_of(1) + N_BLOCKS * BLOCK, UINT64_MAX};
    PmMapperAudit counts = {.struct_size = sizeof(counts)};

    plug(fixture, 0, 0, 8);
    plug(fixture, 1, 0, 5);
    assert_true(pm_mapper_audit(fixture->mapper, &range, &counts, NULL));
    assert_int_equal(counts.n_populated, 4);
    assert_int_equal(counts.n_mapped, 4);
    assert_true(pm_iommu_claim_map(claim, 5 * BLOCK, BLOCK, 5 * BLOCK, PM_IOMMU_READ_WRITE, NULL));
    assert_true(pm_mapper_audit(fixture->mapper, &range, NULL, NULL));
    assert_true(pm_mapper_audit(fixture->mapper, &after, NULL, NULL));
    assert_true(pm_mapper_audit(fixture->mapper, &outside, &counts, NULL));
    assert_int_equal(counts.n_populated, 0);
    assert_int_equal(audit(fixture, &counts), PM_ERROR_AUDIT);
    assert_true(pm_iommu_claim_unmap(claim, 5 * BLOCK, BLOCK, NULL));
    for (uint64_t block = 1; block <= 4; block++) {
        assert_true(pm_iommu_claim_unmap(claim, block * BLOCK, BLOCK, NULL));
        assert_false(pm_mapper_audit(fixture->mapper, &range, &counts, NULL));
        assert_int_equal(counts.n_mismatches, 1);
        assert_true(pm_iommu_claim_map(claim, block * BLOCK, BLOCK, block * BLOCK,
                                       PM_IOMMU_READ_WRITE, NULL));
    }
}

static void an_audit_of_a_range_finds_quarantine_anywhere(void **state)
{
    Fixture *fixture = *state;
    const PmIovaRange range = {address_of(1), address_of(1) + BLOCK - 1};
    g_autoptr(GError) error = NULL;

    plug(fixture, 0, 0, 4);
    pm_fake_kernel_shorten_unmap(fixture->fake, 1);
    assert_false(source_discard(fixture->managers[0], BLOCK, 2 * BLOCK, NULL));
    assert_false(pm_mapper_audit(fixture->mapper, &range, NULL, &error));
    assert_int_equal(error->code, PM_ERROR_QUARANTINED);
}

/* The kernel has unmapped one of two blocks. */
static void an_audit_does_not_count_unknown_blocks_as_mapped(void **state)
{
    Fixture *fixture = *state;
    PmMapperAudit counts = {.struct_size = sizeof(counts)};

    plug(fixture, 0, 0, 4);
    pm_fake_kernel_shorten_unmap(fixture->fake, 1);
    assert_false(source_discard(fixture->managers[0], BLOCK, 2 * BLOCK, NULL));
    assert_int_equal(audit(fixture, &counts), PM_ERROR_QUARANTINED);
    assert_int_equal(counts.n_populated, 4);
    assert_int_equal(counts.n_mapped, 2);
    assert_int_equal(counts.n_mismatches, 2);
}

/* Memory that fails to be discarded because it is locked is mapped nowhere. */
static void an_audit_reports_memory_that_could_not_be_discarded(void **state)
{
    Fixture *fixture = *state;
    char *memory = pm_ram_get_host(fixture->rams[0]);
    PmMapperAudit counts = {.struct_size = sizeof(counts)};

    /* The sanitizers make mlock() do nothing. */
    if (syscall(SYS_mlock, memory, BLOCK) != 0) {
        fprintf(stderr, "skipped: needs a locked-memory limit of 64 KiB (ulimit -l)\n");
        skip();
    }
    pm_fake_kernel_fail(fixture->fake, PM_FAKE_CALL_MAP, 1, ENOMEM);
    assert_false(source_populate(fixture->managers[0], 0, BLOCK, 0, NULL));
    assert_int_equal(audit(fixture, &counts), PM_ERROR_QUARANTINED);
    assert_int_equal(counts.n_populated, 0);
    assert_int_equal(counts.n_mapped, 0);
    assert_int_equal(counts.n_mismatches, 0);
    assert_int_equal(syscall(SYS_munlock, memory, BLOCK), 0);
    plug(fixture, 0, 0, 1);
    assert_true(pm_mapper_audit(fixture->mapper, NULL, NULL, NULL));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)
    const struct CMUnitTest tests[] = {
        TEST(an_audit_looks_at_every_region),
        TEST(an_audit_of_a_range_looks_at_its_blocks_alone),
        TEST(an_audit_of_a_range_finds_quarantine_anywhere),
        TEST(an_audit_does_not_count_unknown_blocks_as_mapped),
        TEST(an_audit_reports_memory_that_could_not_be_discarded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
