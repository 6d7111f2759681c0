/* SPDX-License-Identifier: MIT */
/* The scope of audits: faults found by the audit of the event, and faults found by the next full
 * audit. */
#include "replay/replay_audit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <plugmap/fake.h>

#include "iommu/claim.h"
#include "kernel-uapi/virtio_mem.h"
#include "util/backend_util.h"
#include "util/mapper_util.h"
#include "util/request_util.h"
#include "util/valgrind_util.h"

#define ADDRESS     (4 * PM_GIB)
#define BLOCK       (2 * PM_MIB)
#define REGION_SIZE (64 * PM_GIB)
#define N_BLOCKS    (REGION_SIZE / BLOCK)

/* Events until a full audit, if they touch nothing. */
#define N_EVENTS (REGION_SIZE / PM_AUDIT_SCOPE_EXTRA)

typedef struct {
    PmKernel *fake;
    PmIommu *iommu;
    PmRam *ram;
    PmVirtioMem *device;
    PmMapper *mapper;
    PmAuditScope *scope;
    bool all_resident;
} Fixture;

static int make(void **state)
{
    Fixture *fixture = g_new0(Fixture, 1);
    PmVirtioMemConfig config = {.struct_size = sizeof(config),
                                .address = ADDRESS,
                                .block_size = BLOCK,
                                .requested_size = REGION_SIZE};

    fixture->fake = backend_fake_new(NULL, NULL);
    fixture->iommu = backend_open(fixture->fake, 0, NULL);
    fixture->ram = config.ram = pm_ram_new(PM_RAM_ANONYMOUS, REGION_SIZE, BLOCK, NULL);
    fixture->device = pm_virtio_mem_new(&config, NULL);
    fixture->mapper = pm_mapper_new(fixture->iommu);
    assert_true(mapper_add_all(fixture->mapper, ADDRESS, fixture->ram, PM_MAPPER_STRICT, NULL));
    fixture->scope = pm_audit_scope_new(fixture->device);
    *state = fixture;
    return 0;
}

static int drop(void **state)
{
    Fixture *fixture = *state;

    g_free(fixture->scope);
    pm_mapper_free(fixture->mapper);
    pm_virtio_mem_free(fixture->device);
    pm_ram_unref(fixture->ram);
    pm_iommu_unref(fixture->iommu);
    pm_kernel_unref(fixture->fake);
    g_free(fixture);
    return 0;
}

/* --- events --- */

static uint64_t address_of(uint64_t block)
{
    return ADDRESS + block * BLOCK;
}

static void begin(Fixture *fixture, PmEventType type, uint64_t block, uint16_t n_blocks)
{
    const PmTraceEvent event = {.type = type, .address = address_of(block), .n_blocks = n_blocks};

    pm_audit_scope_begin(fixture->scope, &event);
}

static void request(Fixture *fixture, uint16_t type, uint64_t block, uint16_t n_blocks)
{
    assert_int_equal(send_request(fixture->device, type, address_of(block), n_blocks, NULL),
                     VIRTIO_MEM_RESP_ACK);
}

static void plug(Fixture *fixture, uint64_t block, uint16_t n_blocks)
{
    begin(fixture, PM_EVENT_PLUG, block, n_blocks);
    request(fixture, VIRTIO_MEM_REQ_PLUG, block, n_blocks);
}

static void unplug(Fixture *fixture, uint64_t block, uint16_t n_blocks)
{
    begin(fixture, PM_EVENT_UNPLUG, block, n_blocks);
    request(fixture, VIRTIO_MEM_REQ_UNPLUG, block, n_blocks);
}

/* Whether all audits pass; else sets *@message to that of the first failure. */
static bool audit(Fixture *fixture, bool last, char **message)
{
    const PmReplayAuditSubject subject = {
        .scope = fixture->scope,
        .device = fixture->device,
        .iommu = fixture->iommu,
        .mapper = fixture->mapper,
        .fake = fixture->fake,
        .group = 1,
        .all_resident = fixture->all_resident,
    };

    pm_audit_scope_conclude(fixture->scope, last);
    for (size_t i = 0; i < PM_REPLAY_N_AUDITS; i++) {
        g_autoptr(GError) error = NULL;

        if (!pm_replay_audits[i].applies(&subject) || pm_replay_audits[i].check(&subject, &error))
            continue;
        if (message != NULL)
            *message = g_strdup(error->message);
        return false;
    }
    return true;
}

static void assert_passes(Fixture *fixture)
{
    g_autofree char *message = NULL;

    if (!audit(fixture, false, &message))
        fail_msg("%s", message);
    assert_false(fixture->scope->everything);
}

static void assert_finds(Fixture *fixture, const char *words)
{
    g_autofree char *message = NULL;

    assert_false(audit(fixture, false, &message));
    assert_false(fixture->scope->everything);
    if (strstr(message, words) == NULL)
        fail_msg("expected '%s' in: %s", words, message);
}

/* --- faults --- */

static PmIommuClaim *claim_of(Fixture *fixture)
{
    return pm_claim_find(fixture->iommu, ADDRESS);
}

static void unmap(Fixture *fixture, uint64_t block)
{
    assert_true(pm_iommu_claim_unmap(claim_of(fixture), block * BLOCK, BLOCK, NULL));
}

static void map(Fixture *fixture, uint64_t block, uint64_t ram_block)
{
    assert_true(pm_iommu_claim_map(claim_of(fixture), block * BLOCK, BLOCK, ram_block * BLOCK,
                                   PM_IOMMU_READ_WRITE, NULL));
}

/* The kernel loses the mapping without the claim noticing. */
static void lose_mapping(Fixture *fixture, uint64_t block)
{
    PmIommuClaim *claim = claim_of(fixture);

    unmap(fixture, block);
    pm_claim_note(claim, address_of(block), BLOCK, PM_LEDGER_MAPPED, block * BLOCK);
}

static char *memory_of(Fixture *fixture, uint64_t block)
{
    return (char *)pm_ram_get_host(fixture->ram) + block * BLOCK;
}

/* --- found by the audit of the event --- */

static void correct_requests_pass(void **state)
{
    Fixture *fixture = *state;

    plug(fixture, 100, 8);
    assert_passes(fixture);
    unplug(fixture, 102, 3);
    assert_passes(fixture);
    begin(fixture, PM_EVENT_STATE, 98, 12);
    assert_passes(fixture);
    begin(fixture, PM_EVENT_RESIZE, 0, 0);
    assert_passes(fixture);
    begin(fixture, PM_EVENT_UNPLUG_ALL, 0, 0);
    request(fixture, VIRTIO_MEM_REQ_UNPLUG_ALL, 0, 0);
    assert_passes(fixture);
}

static void block_that_plug_did_not_map_is_found(void **state)
{
    Fixture *fixture = *state;

    plug(fixture, 100, 8);
    unmap(fixture, 104);
    assert_finds(fixture, "1 block at guest address 0x10d000000: populated, not mapped");
    map(fixture, 104, 104);
}

static void block_that_unplug_left_mapped_is_found(void **state)
{
    Fixture *fixture = *state;

    plug(fixture, 100, 8);
    unplug(fixture, 100, 8);
    map(fixture, 107, 107);
    assert_finds(fixture, "1 block at guest address 0x10d600000: not populated, mapped");
    unmap(fixture, 107);
}

static void block_that_plug_mapped_elsewhere_is_found(void **state)
{
    Fixture *fixture = *state;

    plug(fixture, 100, 8);
    unmap(fixture, 100);
    map(fixture, 100, 101);
    assert_finds(fixture,
                 "1 block at guest address 0x10c800000: populated, mapped to another part");
    unmap(fixture, 100);
    map(fixture, 100, 100);
}

static void memory_that_unplug_did_not_discard_is_found(void **state)
{
    Fixture *fixture = *state;

    plug(fixture, 100, 8);
    unplug(fixture, 103, 2);
    /* Not compensated by adjacent plugged blocks that are not resident. */
    *memory_of(fixture, 104) = 1;
    assert_finds(fixture, "0x10ce00000-0x10d1fffff: ");
}

static void memory_discarded_while_mapped_is_found(void **state)
{
    Fixture *fixture = *state;

    fixture->all_resident = true;
    memset(memory_of(fixture, 100), 1, 2 * BLOCK);
    plug(fixture, 100, 2);
    assert_passes(fixture);
    begin(fixture, PM_EVENT_STATE, 101, 1);
    assert_int_equal(madvise(memory_of(fixture, 101), 4096, MADV_DONTNEED), 0);
    assert_finds(fixture, "2093056 bytes resident, 2097152 populated");
}

static void memory_that_unplug_all_did_not_discard_is_found(void **state)
{
    Fixture *fixture = *state;

    plug(fixture, 100, 2);
    plug(fixture, N_BLOCKS - 1, 1);
    begin(fixture, PM_EVENT_UNPLUG_ALL, 0, 0);
    request(fixture, VIRTIO_MEM_REQ_UNPLUG_ALL, 0, 0);
    *memory_of(fixture, N_BLOCKS - 1) = 1;
    assert_finds(fixture, "bytes resident, 0 plugged");
}

/* Every audit compares totals and kernel counters. */
static void mapping_lost_anywhere_is_found_by_the_counters(void **state)
{
    Fixture *fixture = *state;

    plug(fixture, 100, 2);
    assert_passes(fixture);
    lose_mapping(fixture, 100);
    begin(fixture, PM_EVENT_STATE, 5000, 1);
    assert_finds(fixture, backend_is_iommufd() ? "the kernel has locked" : "the kernel has room");
    pm_claim_note(claim_of(fixture), address_of(100), BLOCK, PM_LEDGER_UNMAPPED, 0);
    map(fixture, 100, 100);
}

/* --- found by the next full audit --- */

/* The event whose audit fails; the events touch a distant block. */
static unsigned count_until_found(Fixture *fixture)
{
    unsigned n_events = 1;

    begin(fixture, PM_EVENT_STATE, 5000, 1);
    while (audit(fixture, false, NULL)) {
        assert_false(fixture->scope->everything);
        assert_true(n_events < 2 * N_EVENTS);
        begin(fixture, PM_EVENT_STATE, 5000, 1);
        n_events++;
    }
    assert_true(fixture->scope->everything);
    return n_events;
}

static void wrong_mapping_elsewhere_is_found_by_a_full_audit(void **state)
{
    Fixture *fixture = *state;

    map(fixture, 9000, 9000);
    assert_in_range(count_until_found(fixture), N_EVENTS / 2, N_EVENTS);
    unmap(fixture, 9000);
}

static void wrong_memory_elsewhere_is_found_by_a_full_audit(void **state)
{
    Fixture *fixture = *state;

    *memory_of(fixture, 9000) = 1;
    assert_in_range(count_until_found(fixture), N_EVENTS / 2, N_EVENTS);
}

static void last_event_has_a_full_audit(void **state)
{
    Fixture *fixture = *state;

    *memory_of(fixture, 9000) = 1;
    begin(fixture, PM_EVENT_STATE, 5000, 1);
    assert_passes(fixture);
    begin(fixture, PM_EVENT_STATE, 5000, 1);
    assert_false(audit(fixture, true, NULL));
    assert_int_equal(fixture->scope->n_events, 2);
}

/* --- cost, in bytes and runs --- */

static void full_audits_are_rare_in_a_large_region(void **state)
{
    Fixture *fixture = *state;
    unsigned n_looks = 0;

    for (unsigned i = 0; i < 10 * N_EVENTS; i++) {
        begin(fixture, PM_EVENT_RESIZE, 0, 0);
        pm_audit_scope_conclude(fixture->scope, false);
        n_looks += fixture->scope->everything;
    }
    assert_in_range(n_looks, 9, 11);
}

static void many_runs_delay_the_next_full_audit(void **state)
{
    Fixture *fixture = *state;
    unsigned n_events = 0;

    for (uint64_t block = 0; block < N_BLOCKS / 4; block += 2)
        request(fixture, VIRTIO_MEM_REQ_PLUG, block, 1);
    begin(fixture, PM_EVENT_RESIZE, 0, 0);
    pm_audit_scope_conclude(fixture->scope, true);
    do {
        begin(fixture, PM_EVENT_RESIZE, 0, 0);
        pm_audit_scope_conclude(fixture->scope, false);
        n_events++;
    } while (!fixture->scope->everything && n_events < 2 * N_EVENTS);
    assert_in_range(n_events, N_EVENTS * 5 / 4 - 10 * N_EVENTS / 100, N_EVENTS * 5 / 4);
}

static void unplug_all_audits_plugged_blocks_only(void **state)
{
    Fixture *fixture = *state;
    const PmAuditScope *scope = fixture->scope;

    plug(fixture, 100, 2);
    plug(fixture, N_BLOCKS - 1, 1);
    begin(fixture, PM_EVENT_UNPLUG_ALL, 0, 0);
    assert_int_equal(scope->n_ranges, 2);
    assert_int_equal(scope->ranges[0].start, address_of(100));
    assert_int_equal(scope->ranges[0].last, address_of(102) - 1);
    assert_int_equal(scope->ranges[1].start, address_of(N_BLOCKS - 1));
    assert_int_equal(scope->ranges[1].last, address_of(N_BLOCKS) - 1);
    begin(fixture, PM_EVENT_RESET, 0, 0);
    assert_int_equal(scope->n_ranges, 2);
}

static void excess_runs_are_audited_as_one(void **state)
{
    Fixture *fixture = *state;
    const PmAuditScope *scope = fixture->scope;
    uint64_t n_runs = PM_AUDIT_SCOPE_MAX_RANGES + 5;

    for (uint64_t run = 0; run < n_runs; run++)
        request(fixture, VIRTIO_MEM_REQ_PLUG, 2 * run, 1);
    begin(fixture, PM_EVENT_UNPLUG_ALL, 0, 0);
    assert_int_equal(scope->n_ranges, PM_AUDIT_SCOPE_MAX_RANGES);
    assert_int_equal(scope->ranges[scope->n_ranges - 1].start,
                     address_of(2 * ((uint64_t)PM_AUDIT_SCOPE_MAX_RANGES - 1)));
    assert_int_equal(scope->ranges[scope->n_ranges - 1].last, address_of(2 * n_runs - 1) - 1);
}

static void range_outside_the_region_is_clipped(void **state)
{
    Fixture *fixture = *state;
    const PmAuditScope *scope = fixture->scope;

    begin(fixture, PM_EVENT_STATE, N_BLOCKS - 1, 8);
    assert_int_equal(scope->ranges[0].start, address_of(N_BLOCKS - 1));
    assert_int_equal(scope->ranges[0].last, address_of(N_BLOCKS) - 1);
    assert_passes(fixture);
    begin(fixture, PM_EVENT_STATE, N_BLOCKS, 8);
    assert_int_equal(scope->ranges[0].start, ADDRESS);
    assert_passes(fixture);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)
    const struct CMUnitTest tests[] = {
        TEST(correct_requests_pass),
        TEST(block_that_plug_did_not_map_is_found),
        TEST(block_that_unplug_left_mapped_is_found),
        TEST(block_that_plug_mapped_elsewhere_is_found),
        TEST(memory_that_unplug_did_not_discard_is_found),
        TEST(memory_discarded_while_mapped_is_found),
        TEST(memory_that_unplug_all_did_not_discard_is_found),
        TEST(mapping_lost_anywhere_is_found_by_the_counters),
        TEST(wrong_mapping_elsewhere_is_found_by_a_full_audit),
        TEST(wrong_memory_elsewhere_is_found_by_a_full_audit),
        TEST(last_event_has_a_full_audit),
        TEST(full_audits_are_rare_in_a_large_region),
        TEST(many_runs_delay_the_next_full_audit),
        TEST(unplug_all_audits_plugged_blocks_only),
        TEST(excess_runs_are_audited_as_one),
        TEST(range_outside_the_region_is_clipped),
    };

    if (is_under_valgrind()) {
        fprintf(stderr,
                "skipped: valgrind has no 64 GiB of address space to reserve; run without it\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
