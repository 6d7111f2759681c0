/* SPDX-License-Identifier: MIT */
/* Features of iommufd only: mapping by file, more mappings than type1's limit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <unistd.h>

#include <plugmap/fake.h>
#include <plugmap/plugmap.h>

#include "dma/engine.h"
#include "kernel-uapi/iommufd.h"
#include "util/iommu_fixture.h"

#define DEVICE "0000:00:04.0"
#define PAGE   UINT64_C(4096)

typedef struct {
    PmKernel *kernel;
    HookedKernel hooked;
    PmIommu *iommu;
    PmIommuClaim *claim; /* the last one created */
} Fixture;

static Fixture *fixture_new(bool maps_files, PmFakePin pin)
{
    Fixture *fixture = g_new0(Fixture, 1);
    PmIommufdConfig iommufd = {
        .struct_size = sizeof(iommufd), .device = DEVICE, .device_file = "/dev/vfio/devices/vfio0"};
    PmFakeConfig config;

    pm_fake_config_init(&config);
    config.iommufd = true;
    config.pin = pin;
    config.ioas_map_file = maps_files;
    fixture->kernel = pm_fake_kernel_new(&config, NULL);
    hooked_kernel_init(&fixture->hooked, fixture->kernel);
    assert_true(pm_fake_kernel_add_device(fixture->kernel, 2, "0000:00:05.0", "vfio-pci", NULL));
    iommufd.kernel = &fixture->hooked.parent;
    fixture->iommu = pm_iommu_iommufd_new(&iommufd, NULL);
    assert_non_null(fixture->iommu);
    return fixture;
}

static void fixture_free(Fixture *fixture)
{
    pm_iommu_claim_unref(fixture->claim);
    pm_iommu_unref(fixture->iommu);
    assert_int_equal(pm_fake_kernel_get_n_open(fixture->kernel), 0);
    assert_int_equal(pm_fake_kernel_get_pinned(fixture->kernel), 0);
    pm_kernel_unref(&fixture->hooked.parent);
    pm_kernel_unref(fixture->kernel);
    g_free(fixture);
}

static int make(void **state)
{
    *state = fixture_new(true, PM_FAKE_PIN_ACCOUNT);
    return 0;
}

static int make_old(void **state)
{
    *state = fixture_new(false, PM_FAKE_PIN_ACCOUNT);
    return 0;
}

static int make_pinning(void **state)
{
    *state = fixture_new(true, PM_FAKE_PIN_POPULATE);
    return 0;
}

static int make_old_pinning(void **state)
{
    *state = fixture_new(false, PM_FAKE_PIN_POPULATE);
    return 0;
}

static int drop(void **state)
{
    fixture_free(*state);
    return 0;
}

/* Replaces the one before. */
static PmIommuClaim *make_claim(Fixture *fixture, PmRam *ram, uint64_t size, uint64_t block_size)
{
    const PmIommuClaimConfig config = {.struct_size = sizeof(config),
                                       .owner = "the test",
                                       .ram = ram,
                                       .iova = BASE,
                                       .size = size,
                                       .block_size = block_size};

    g_clear_pointer(&fixture->claim, pm_iommu_claim_unref);
    fixture->claim = pm_iommu_claim_new(fixture->iommu, &config, NULL);
    assert_non_null(fixture->claim);
    return fixture->claim;
}

/* From the RAM's page @first on, in a new claim. */
static bool map_pages(Fixture *fixture, PmRam *ram, uint64_t first, uint64_t n_pages,
                      GError **error)
{
    return pm_iommu_claim_map(make_claim(fixture, ram, n_pages * PAGE, PAGE), 0, n_pages * PAGE,
                              first * PAGE, PM_IOMMU_READ_WRITE, error);
}

static bool map_ram(Fixture *fixture, PmRam *ram, uint64_t n_pages, GError **error)
{
    return map_pages(fixture, ram, 0, n_pages, error);
}

/* One letter per page. */
static void spell(PmRam *ram)
{
    char *host = pm_ram_get_host(ram);

    for (uint64_t i = 0; i < pm_ram_get_size(ram) / PAGE; i++)
        memset(host + i * PAGE, (int)('a' + i), PAGE);
}

/* Reads an I/O address by DMA. */
static char seen_at(Fixture *fixture, uint64_t iova)
{
    g_autoptr(PmDmaEngine) engine =
        pm_dma_engine_attach(fixture->iommu, fixture->kernel, DEVICE, BASE, 64 * PAGE, NULL);
    char data[PM_DMA_PAGE];

    assert_non_null(engine);
    assert_true(pm_dma_engine_read(engine, iova, data, NULL));
    return data[0];
}

/* --- by file --- */

/* The device does not see what the process has mapped in place of the file's pages. */
static void pages_of_the_file_are_mapped_not_those_of_the_process(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_MEMFD, 4 * PAGE, 0, NULL);
    char *host = pm_ram_get_host(ram);

    memset(host, 'f', 4 * PAGE);
    assert_true(map_ram(fixture, ram, 4, NULL));
    assert_ptr_equal(mmap(host + PAGE, PAGE, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
                     host + PAGE);
    assert_int_equal(seen_at(fixture, BASE), 'f');
    assert_int_equal(seen_at(fixture, BASE + PAGE), 'f');
    assert_true(pm_iommu_claim_unmap(fixture->claim, 0, 4 * PAGE, NULL));
}

static void kernel_without_map_file_maps_by_address(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_MEMFD, 4 * PAGE, 0, NULL);

    memset(pm_ram_get_host(ram), 'a', 4 * PAGE);
    assert_true(map_ram(fixture, ram, 4, NULL));
    assert_int_equal(seen_at(fixture, BASE + 3 * PAGE), 'a');
    assert_int_equal(pm_iommu_get_n_mappings(fixture->iommu), 4);
}

/* Errors caused by the file alone: type and seals for EINVAL, EBADF and EPERM. */
static const int files_errors[] = {EINVAL, EBADF, EPERM, EOPNOTSUPP, ENOMEM};

static void file_that_fails_by_file_is_mapped_by_address(void **state)
{
    Fixture *fixture = *state;

    fixture->hooked.request = IOMMU_IOAS_MAP_FILE;
    for (size_t i = 0; i < G_N_ELEMENTS(files_errors); i++) {
        g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_MEMFD, 2 * PAGE, 0, NULL);

        fixture->hooked.result = -files_errors[i];
        memset(pm_ram_get_host(ram), 'b', 2 * PAGE);
        assert_true(map_ram(fixture, ram, 2, NULL));
        assert_int_equal(seen_at(fixture, BASE + PAGE), 'b');
    }
}

/* A block that fails by file does not keep the others from it. */
static void any_block_that_fails_by_file_is_mapped_by_address(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_MEMFD, 4 * PAGE, 0, NULL);
    char *host = pm_ram_get_host(ram);

    memset(host, 'f', 4 * PAGE);
    assert_ptr_equal(mmap(host, 4 * PAGE, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
                     host);
    memset(host, 'p', 4 * PAGE);
    for (uint64_t nth = 0; nth < 4; nth++) {
        for (size_t i = 0; i < G_N_ELEMENTS(files_errors); i++) {
            pm_fake_kernel_fail(fixture->kernel, PM_FAKE_CALL_MAP, nth + 1, files_errors[i]);
            assert_true(map_ram(fixture, ram, 4, NULL));
            for (uint64_t block = 0; block < 4; block++)
                assert_int_equal(seen_at(fixture, BASE + block * PAGE), block == nth ? 'p' : 'f');
        }
    }
}

static void assert_nothing_mapped(Fixture *fixture)
{
    assert_int_equal(pm_iommu_get_n_mappings(fixture->iommu), 0);
    assert_int_equal(pm_fake_kernel_get_n_mappings(fixture->kernel, 1), 0);
    assert_int_equal(pm_fake_kernel_get_pinned(fixture->kernel), 0);
}

/* Mapping by address would hit them again, or hide them. */
static void errors_not_caused_by_the_file_are_not_retried_by_address(void **state)
{
    static const struct {
        int error_number;
        PmError code;
    } rows[] = {
        {EFAULT, PM_ERROR_BAD_ADDRESS}, {EEXIST, PM_ERROR_OVERLAP}, {ENOSPC, PM_ERROR_LIMIT},
        {ENOENT, PM_ERROR_NOT_FOUND},   {EINTR, PM_ERROR_KERNEL},   {EIO, PM_ERROR_KERNEL},
    };
    Fixture *fixture = *state;
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_MEMFD, 4 * PAGE, 0, NULL);

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        for (uint64_t nth = 1; nth <= 4; nth++) {
            uint64_t n_maps = pm_fake_kernel_get_n_calls(fixture->kernel, PM_FAKE_CALL_MAP);
            g_autoptr(GError) error = NULL;

            pm_fake_kernel_fail(fixture->kernel, PM_FAKE_CALL_MAP, nth, rows[i].error_number);
            assert_false(map_ram(fixture, ram, 4, &error));
            assert_error(&error, rows[i].code, "mapping 4K at I/O address");
            assert_int_equal(pm_fake_kernel_get_n_calls(fixture->kernel, PM_FAKE_CALL_MAP),
                             n_maps + nth);
            assert_nothing_mapped(fixture);
        }
    }
}

/* Mapping by file and by address both fail: the second error is reported. */
static void block_that_fails_by_file_and_by_address_is_an_error(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_MEMFD, 4 * PAGE, 0, NULL);
    g_autoptr(GError) error = NULL;

    pm_fake_kernel_fail(fixture->kernel, PM_FAKE_CALL_MAP, 3, EINVAL);
    pm_fake_kernel_fail(fixture->kernel, PM_FAKE_CALL_MAP, 4, ENOMEM);
    assert_false(map_ram(fixture, ram, 4, &error));
    assert_error(&error, PM_ERROR_MEMORY, "mapping 4K at I/O address 0x100002000");
    assert_nothing_mapped(fixture);
}

static void failure_of_any_block_of_a_file_leaves_all_as_before(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_MEMFD, 8 * PAGE, 0, NULL);

    for (uint64_t nth = 1; nth <= 8; nth++) {
        g_autoptr(GError) error = NULL;

        pm_fake_kernel_fail(fixture->kernel, PM_FAKE_CALL_MAP, nth, EFAULT);
        assert_false(map_ram(fixture, ram, 8, &error));
        assert_error(&error, PM_ERROR_BAD_ADDRESS, "EFAULT");
        assert_int_equal(pm_iommu_get_n_mappings(fixture->iommu), 0);
        assert_int_equal(pm_fake_kernel_get_n_mappings(fixture->kernel, 1), 0);
        assert_int_equal(pm_fake_kernel_get_pinned(fixture->kernel), 0);
    }
    assert_true(map_ram(fixture, ram, 8, NULL));
}

static void each_block_shows_its_own_page_of_the_file(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_MEMFD, 8 * PAGE, 0, NULL);

    spell(ram);
    assert_true(map_pages(fixture, ram, 3, 4, NULL));
    for (uint64_t i = 0; i < 4; i++)
        assert_int_equal(seen_at(fixture, BASE + i * PAGE), 'd' + i);
}

/* The RAM is the middle of a file. */
static void adopted_file_is_mapped_from_its_offset_on(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(PmRam) file = pm_ram_new(PM_RAM_MEMFD, 8 * PAGE, 0, NULL);
    PmRamAdoption adoption = {
        .struct_size = sizeof(adoption),
        .host = (char *)pm_ram_get_host(file) + 2 * PAGE,
        .size = 4 * PAGE,
        .has_fd = true,
        .fd = pm_ram_get_fd(file, NULL),
        .fd_offset = 2 * PAGE,
        .shared = true,
    };
    g_autoptr(PmRam) ram = pm_ram_adopt(&adoption, NULL);

    spell(file);
    assert_true(map_pages(fixture, ram, 1, 3, NULL));
    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(seen_at(fixture, BASE + i * PAGE), 'd' + i);
    g_clear_pointer(&fixture->claim, pm_iommu_claim_unref);
}

/* RAM whose file can be truncated, unlike that of pm_ram_new(). */
typedef struct {
    int fd;
    PmRam *ram;
} Cuttable;

static Cuttable make_cuttable(uint64_t size, uint64_t page_size)
{
    Cuttable made = {.fd = memfd_create("cuttable", MFD_CLOEXEC)};
    PmRamAdoption adoption = {.struct_size = sizeof(adoption),
                              .size = size,
                              .page_size = page_size,
                              .has_fd = true,
                              .fd = made.fd,
                              .shared = true};
    char *reserved;

    assert_int_equal(ftruncate(made.fd, (off_t)size), 0);
    reserved = mmap(NULL, 2 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    adoption.host = reserved + (-(uintptr_t)reserved & (page_size - 1));
    assert_ptr_equal(
        mmap(adoption.host, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, made.fd, 0),
        adoption.host);
    made.ram = pm_ram_adopt(&adoption, NULL);
    assert_non_null(made.ram);
    return made;
}

static void drop_cuttable(Cuttable *cuttable)
{
    (void)munmap(pm_ram_get_host(cuttable->ram), pm_ram_get_size(cuttable->ram));
    pm_ram_unref(cuttable->ram);
    (void)close(cuttable->fd);
}

/* Whether or not its first blocks exist, mapped by file or by address. */
static void file_that_ends_before_the_last_block_is_not_mapped(void **state)
{
    Fixture *fixture = *state;

    for (uint64_t n_pages = 0; n_pages < 4; n_pages++) {
        Cuttable file = make_cuttable(4 * PAGE, PAGE);
        g_autofree char *words =
            g_strdup_printf("has 0x%" PRIx64 " bytes, and the block ends at offset 0x%" PRIx64,
                            n_pages * PAGE, (n_pages + 1) * PAGE);
        g_autoptr(GError) error = NULL;

        assert_int_equal(ftruncate(file.fd, (off_t)(n_pages * PAGE)), 0);
        assert_false(map_ram(fixture, file.ram, 4, &error));
        assert_error(&error, PM_ERROR_BAD_ADDRESS, words);
        assert_nothing_mapped(fixture);
        drop_cuttable(&file);
    }
}

/* A private mapping has pages that the file does not have. */
static void private_memory_of_a_file_is_mapped_by_address(void **state)
{
    Fixture *fixture = *state;
    int fd = memfd_create("private", MFD_CLOEXEC);
    PmRamAdoption adoption = {
        .struct_size = sizeof(adoption), .size = PAGE, .has_fd = true, .fd = fd};
    g_autoptr(PmRam) ram = NULL;

    assert_int_equal(ftruncate(fd, (off_t)PAGE), 0);
    adoption.host = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    memset(adoption.host, 'p', PAGE);
    ram = pm_ram_adopt(&adoption, NULL);
    assert_true(map_ram(fixture, ram, 1, NULL));
    assert_int_equal(seen_at(fixture, BASE), 'p');
    g_clear_pointer(&fixture->claim, pm_iommu_claim_unref);
    (void)munmap(adoption.host, PAGE);
    (void)close(fd);
}

/* --- hugetlb --- */

static uint64_t resident(PmRam *ram)
{
    uint64_t n_bytes = 0;

    assert_true(pm_ram_resident(ram, 0, pm_ram_get_size(ram), &n_bytes, NULL));
    return n_bytes;
}

/* Memory declared as 2 MiB pages, without a pool: the RAM's page size decides. */
static PmRam *adopt_as_hugetlb(PmRam *file)
{
    const PmRamAdoption adoption = {
        .struct_size = sizeof(adoption),
        .host = pm_ram_get_host(file),
        .size = pm_ram_get_size(file),
        .page_size = BLOCK,
        .has_fd = true,
        .fd = pm_ram_get_fd(file, NULL),
        .shared = true,
    };

    return pm_ram_adopt(&adoption, NULL);
}

/* Two of four blocks, with a kernel that faults nothing in by mapping. */
static void check_populated(Fixture *fixture, PmRam *file, PmRam *ram, uint64_t expected)
{
    make_claim(fixture, ram, 4 * BLOCK, BLOCK);
    assert_int_equal(resident(file), 0);
    assert_true(pm_iommu_claim_map(fixture->claim, 0, 2 * BLOCK, BLOCK, PM_IOMMU_READ, NULL));
    assert_int_equal(resident(file), expected);
    g_clear_pointer(&fixture->claim, pm_iommu_claim_unref);
}

static PmRam *make_file(void)
{
    return pm_ram_new(PM_RAM_MEMFD, 4 * BLOCK, BLOCK, NULL);
}

static void hugetlb_memory_is_populated_before_it_is_mapped_by_file(void **state)
{
    g_autoptr(PmRam) file = make_file();
    g_autoptr(PmRam) ram = adopt_as_hugetlb(file);

    check_populated(*state, file, ram, 2 * BLOCK);
}

static void hugetlb_memory_is_not_populated_where_it_is_mapped_by_address(void **state)
{
    g_autoptr(PmRam) file = make_file();
    g_autoptr(PmRam) ram = adopt_as_hugetlb(file);

    check_populated(*state, file, ram, 0);
}

static void other_memory_is_not_populated_by_mapping(void **state)
{
    g_autoptr(PmRam) file = make_file();

    check_populated(*state, file, file, 0);
}

static void failure_to_populate_hugetlb_memory_maps_nothing(void **state)
{
    Fixture *fixture = *state;
    Cuttable file = make_cuttable(4 * BLOCK, BLOCK);
    uint64_t n_maps;
    g_autoptr(GError) error = NULL;

    make_claim(fixture, file.ram, 4 * BLOCK, BLOCK);
    n_maps = pm_fake_kernel_get_n_calls(fixture->kernel, PM_FAKE_CALL_MAP);
    assert_int_equal(ftruncate(file.fd, (off_t)BLOCK), 0);
    assert_false(pm_iommu_claim_map(fixture->claim, 0, 2 * BLOCK, 0, PM_IOMMU_READ, &error));
    assert_non_null(error);
    assert_int_equal(pm_fake_kernel_get_n_calls(fixture->kernel, PM_FAKE_CALL_MAP), n_maps);
    assert_nothing_mapped(fixture);
    g_clear_pointer(&fixture->claim, pm_iommu_claim_unref);
    drop_cuttable(&file);
}

/* With a pool, uses real hugetlb pages. */
static void pages_of_a_pool_are_there_when_they_are_mapped(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(GError) error = NULL;
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_HUGETLB_2M, 2 * BLOCK, 0, &error);

    if (ram == NULL || !pm_ram_populate(ram, 0, BLOCK, 1, &error)) {
        print_message("%s\n", error->message);
        g_clear_error(&error);
        g_clear_pointer(&ram, pm_ram_unref);
        skip();
    }
    assert_true(pm_ram_discard(ram, 0, BLOCK, NULL));
    make_claim(fixture, ram, BLOCK, BLOCK);
    assert_true(pm_iommu_claim_map(fixture->claim, 0, BLOCK, 0, PM_IOMMU_READ, NULL));
    assert_int_equal(resident(ram), BLOCK);
}

/* --- more than type1's limit --- */

static void a_hundred_thousand_blocks_are_mapped(void **state)
{
    Fixture *fixture = *state;
    const uint64_t n_blocks = 100000;
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_ANONYMOUS, n_blocks * PAGE, 0, NULL);

    assert_true(map_ram(fixture, ram, n_blocks, NULL));
    assert_int_equal(pm_fake_kernel_get_n_mappings(fixture->kernel, 1), n_blocks);
    assert_true(pm_iommu_claim_unmap(fixture->claim, 0, n_blocks * PAGE, NULL));
    assert_int_equal(pm_fake_kernel_get_n_mappings(fixture->kernel, 1), 0);
    g_clear_pointer(&fixture->claim, pm_iommu_claim_unref);
}

/* --- unmap --- */

/* Somebody else has removed it: iommufd returns ENOENT, which is never success. */
static void enoent_of_unmap_is_a_mismatch(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_ANONYMOUS, PAGE, 0, NULL);
    g_autoptr(GError) error = NULL;

    assert_true(map_ram(fixture, ram, 1, NULL));
    pm_fake_kernel_fail(fixture->kernel, PM_FAKE_CALL_UNMAP, 1, ENOENT);
    assert_false(pm_iommu_claim_unmap(fixture->claim, 0, PAGE, &error));
    assert_error(&error, PM_ERROR_UNMAP_MISMATCH, "no area there");
    assert_int_equal(pm_iommu_get_n_mappings(fixture->iommu), 1);
    assert_true(pm_iommu_claim_purge(fixture->claim, NULL));
}

#define MAP_TEST(name)             cmocka_unit_test_setup_teardown(name, make, drop)
#define OLD_TEST(name)             cmocka_unit_test_setup_teardown(name, make_old, drop)
#define PINNING_TEST(name, kernel) cmocka_unit_test_setup_teardown(name, kernel, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MAP_TEST(pages_of_the_file_are_mapped_not_those_of_the_process),
        OLD_TEST(kernel_without_map_file_maps_by_address),
        MAP_TEST(file_that_fails_by_file_is_mapped_by_address),
        MAP_TEST(any_block_that_fails_by_file_is_mapped_by_address),
        MAP_TEST(errors_not_caused_by_the_file_are_not_retried_by_address),
        MAP_TEST(block_that_fails_by_file_and_by_address_is_an_error),
        MAP_TEST(failure_of_any_block_of_a_file_leaves_all_as_before),
        MAP_TEST(each_block_shows_its_own_page_of_the_file),
        PINNING_TEST(file_that_ends_before_the_last_block_is_not_mapped, make_pinning),
        PINNING_TEST(file_that_ends_before_the_last_block_is_not_mapped, make_old_pinning),
        MAP_TEST(adopted_file_is_mapped_from_its_offset_on),
        MAP_TEST(private_memory_of_a_file_is_mapped_by_address),
        MAP_TEST(hugetlb_memory_is_populated_before_it_is_mapped_by_file),
        OLD_TEST(hugetlb_memory_is_not_populated_where_it_is_mapped_by_address),
        MAP_TEST(other_memory_is_not_populated_by_mapping),
        MAP_TEST(failure_to_populate_hugetlb_memory_maps_nothing),
        MAP_TEST(pages_of_a_pool_are_there_when_they_are_mapped),
        MAP_TEST(a_hundred_thousand_blocks_are_mapped),
        MAP_TEST(enoent_of_unmap_is_a_mismatch),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
