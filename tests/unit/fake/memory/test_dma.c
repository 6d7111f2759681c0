/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "fake/memory/dma.h"

#define PAGE 4096UL
#define IOVA UINT64_C(0x40000000)

/* Four pages of host memory, and an empty page table. */
typedef struct {
    uint8_t *host;
    PmPageTable *table;
    PmDmaFaultLog log;
} Setup;

static int make(void **state)
{
    Setup *setup = g_new0(Setup, 1);

    setup->host = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(setup->host, MAP_FAILED);
    setup->table = pm_page_table_new();
    *state = setup;
    return 0;
}

static int drop(void **state)
{
    Setup *setup = *state;

    munmap(setup->host, 4 * PAGE);
    pm_page_table_free(setup->table);
    g_free(setup);
    return 0;
}

static void map(Setup *setup, uint64_t iova, size_t first_page, size_t n_pages,
                PmIommuAccess access)
{
    assert_true(pm_page_table_map(setup->table, iova, (uintptr_t)(setup->host + first_page * PAGE),
                                  n_pages * PAGE, access));
}

static void assert_faults(const Setup *setup, uint64_t n_faults, uint64_t iova, bool write)
{
    assert_int_equal(setup->log.n_faults, n_faults);
    assert_int_equal(setup->log.last.iova, iova);
    assert_int_equal(setup->log.last.write, write);
}

static void writes_and_reads_copy_bytes(void **state)
{
    Setup *setup = *state;
    char copy[6] = "";

    map(setup, IOVA, 1, 1, PM_IOMMU_READ_WRITE);
    pm_dma_write(setup->table, NULL, &setup->log, IOVA + 0x123, "hello", 6);
    assert_string_equal((char *)setup->host + PAGE + 0x123, "hello");
    pm_dma_read(setup->table, NULL, &setup->log, IOVA + 0x123, copy, 6);
    assert_string_equal(copy, "hello");
    assert_int_equal(setup->log.n_faults, 0);
}

static void each_page_is_translated_separately(void **state)
{
    Setup *setup = *state;
    uint8_t pattern[2 * PAGE];
    uint8_t copy[2 * PAGE] = {0};

    for (size_t i = 0; i < sizeof(pattern); i++)
        pattern[i] = (uint8_t)(i / 7);
    map(setup, IOVA, 3, 1, PM_IOMMU_READ_WRITE);
    map(setup, IOVA + PAGE, 0, 1, PM_IOMMU_READ_WRITE);
    map(setup, IOVA + 2 * PAGE, 2, 1, PM_IOMMU_READ_WRITE);
    pm_dma_write(setup->table, NULL, &setup->log, IOVA + 100, pattern, sizeof(pattern));
    assert_memory_equal(setup->host + 3 * PAGE + 100, pattern, PAGE - 100);
    assert_memory_equal(setup->host, pattern + PAGE - 100, PAGE);
    assert_memory_equal(setup->host + 2 * PAGE, pattern + 2 * PAGE - 100, 100);
    pm_dma_read(setup->table, NULL, &setup->log, IOVA + 100, copy, sizeof(copy));
    assert_memory_equal(copy, pattern, sizeof(copy));
    assert_int_equal(setup->log.n_faults, 0);
}

static void access_to_unmapped_addresses_faults_and_reads_zeros(void **state)
{
    Setup *setup = *state;
    uint8_t copy[8];
    const uint8_t zeros[8] = {0};

    map(setup, IOVA, 0, 1, PM_IOMMU_READ_WRITE);
    memset(copy, 0xee, sizeof(copy));
    pm_dma_read(setup->table, NULL, &setup->log, IOVA + 5 * PAGE + 8, copy, sizeof(copy));
    assert_memory_equal(copy, zeros, sizeof(copy));
    assert_faults(setup, 1, IOVA + 5 * PAGE + 8, false);
    pm_dma_write(setup->table, NULL, &setup->log, IOVA - 8, copy, sizeof(copy));
    assert_faults(setup, 2, IOVA - 8, true);
}

static void dma_without_a_page_table_faults(void **state)
{
    Setup *setup = *state;
    uint8_t byte = 0xee;

    pm_dma_read(NULL, NULL, &setup->log, 0, &byte, 1);
    assert_int_equal(byte, 0);
    pm_dma_write(NULL, NULL, &setup->log, PAGE, &byte, 1);
    assert_faults(setup, 2, PAGE, true);
}

static void writes_to_a_read_only_mapping_fault(void **state)
{
    Setup *setup = *state;
    uint8_t byte = 0xee;

    map(setup, IOVA, 0, 1, PM_IOMMU_READ);
    setup->host[0] = 0x11;
    pm_dma_write(setup->table, NULL, &setup->log, IOVA, &byte, 1);
    assert_int_equal(setup->host[0], 0x11);
    assert_faults(setup, 1, IOVA, true);
    pm_dma_read(setup->table, NULL, &setup->log, IOVA, &byte, 1);
    assert_int_equal(byte, 0x11);
    assert_int_equal(setup->log.n_faults, 1);
}

/* Intel's IOMMUs allow all reads of present pages. */
static void write_only_mapping_can_be_read(void **state)
{
    Setup *setup = *state;
    uint8_t byte = 0;

    map(setup, IOVA, 0, 1, PM_IOMMU_WRITE);
    setup->host[7] = 0x77;
    pm_dma_read(setup->table, NULL, &setup->log, IOVA + 7, &byte, 1);
    assert_int_equal(byte, 0x77);
    assert_int_equal(setup->log.n_faults, 0);
}

static void transfer_past_the_end_of_a_mapping_stops_there(void **state)
{
    Setup *setup = *state;
    uint8_t copy[200];

    map(setup, IOVA, 0, 1, PM_IOMMU_READ_WRITE);
    memset(copy, 0x5a, sizeof(copy));
    pm_dma_write(setup->table, NULL, &setup->log, IOVA + PAGE - 100, copy, sizeof(copy));
    assert_int_equal(setup->host[PAGE - 101], 0);
    assert_int_equal(setup->host[PAGE - 100], 0x5a);
    assert_int_equal(setup->host[PAGE - 1], 0x5a);
    assert_int_equal(setup->host[PAGE], 0);
    assert_faults(setup, 1, IOVA + PAGE, true);
    pm_dma_read(setup->table, NULL, &setup->log, IOVA + PAGE - 100, copy, sizeof(copy));
    assert_int_equal(copy[99], 0x5a);
    assert_int_equal(copy[100], 0);
    assert_int_equal(copy[199], 0);
    assert_faults(setup, 2, IOVA + PAGE, false);
}

static void transfer_continues_after_a_faulting_page(void **state)
{
    Setup *setup = *state;
    uint8_t pattern[3 * PAGE];

    map(setup, IOVA, 0, 1, PM_IOMMU_READ_WRITE);
    map(setup, IOVA + 2 * PAGE, 2, 1, PM_IOMMU_READ_WRITE);
    memset(pattern, 0x5a, sizeof(pattern));
    pm_dma_write(setup->table, NULL, &setup->log, IOVA, pattern, sizeof(pattern));
    assert_int_equal(setup->host[PAGE - 1], 0x5a);
    assert_int_equal(setup->host[PAGE], 0);
    assert_int_equal(setup->host[3 * PAGE - 1], 0x5a);
    assert_faults(setup, 1, IOVA + PAGE, true);
}

static void dma_to_memory_the_process_unmapped_faults(void **state)
{
    Setup *setup = *state;
    uint8_t byte = 0xee;

    map(setup, IOVA, 0, 1, PM_IOMMU_READ_WRITE);
    assert_int_equal(munmap(setup->host, PAGE), 0);
    pm_dma_read(setup->table, NULL, &setup->log, IOVA, &byte, 1);
    assert_int_equal(byte, 0);
    pm_dma_write(setup->table, NULL, &setup->log, IOVA, &byte, 1);
    assert_faults(setup, 2, IOVA, true);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(writes_and_reads_copy_bytes),
        TEST(each_page_is_translated_separately),
        TEST(access_to_unmapped_addresses_faults_and_reads_zeros),
        TEST(dma_without_a_page_table_faults),
        TEST(writes_to_a_read_only_mapping_fault),
        TEST(write_only_mapping_can_be_read),
        TEST(transfer_past_the_end_of_a_mapping_stops_there),
        TEST(transfer_continues_after_a_faulting_page),
        TEST(dma_to_memory_the_process_unmapped_faults),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
