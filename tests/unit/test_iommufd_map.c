/* SPDX-License-Identifier: MIT */
/* What only iommufd can: mapping by file, more mappings than type1's limit. */
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

#include <plugmap/plugmap.h>

#include "dma/engine.h"
#include "iommu_fixture.h"
#include "kernel-uapi/iommufd.h"

#define DEVICE "0000:00:04.0"
#define PAGE   UINT64_C(4096)

typedef struct {
    PmKernel *kernel;
    HookedKernel hooked;
    PmIommu *iommu;
} Fixture;

static Fixture *fixture_new(bool maps_files, PmFakePin pin)
{
    Fixture *fixture = g_new0(Fixture, 1);
    PmIommufdConfig iommufd = {.device = DEVICE, .device_file = "/dev/vfio/devices/vfio0"};
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
    pm_iommu_unref(fixture->iommu);
    assert_int_equal(pm_fake_kernel_get_n_open(fixture->kernel), 0);
    assert_int_equal(pm_fake_kernel_get_pinned(fixture->kernel), 0);
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

static bool map_ram(Fixture *fixture, PmRam *ram, uint64_t n_blocks, GError **error)
{
    uint64_t offset;
    int fd = pm_ram_get_fd(ram, &offset);

    return pm_iommu_map_file(fixture->iommu, BASE, pm_ram_get_host(ram), fd, offset, PAGE, n_blocks,
                             PM_IOMMU_READ_WRITE, error);
}

/* A letter a page. */
static void spell(PmRam *ram)
{
    char *host = pm_ram_get_host(ram);

    for (uint64_t i = 0; i < pm_ram_get_size(ram) / PAGE; i++)
        memset(host + i * PAGE, (int)('a' + i), PAGE);
}

/* What the device reads by DMA at an I/O address. */
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

/* What the process has mapped in place of the file's pages is not what the device sees. */
static void file_is_mapped_and_not_what_the_process_has_there(void **state)
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
    assert_true(pm_iommu_unmap(fixture->iommu, BASE, 4 * PAGE, NULL));
}

static void kernel_that_knows_no_files_maps_by_address(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_MEMFD, 4 * PAGE, 0, NULL);

    memset(pm_ram_get_host(ram), 'a', 4 * PAGE);
    assert_true(map_ram(fixture, ram, 4, NULL));
    assert_int_equal(seen_at(fixture, BASE + 3 * PAGE), 'a');
    assert_int_equal(pm_iommu_get_n_mappings(fixture->iommu), 4);
}

/* The question at opening is not answered with ENOTTY, but a request is with EINVAL. */
static void file_that_cannot_be_mapped_is_mapped_by_address(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_MEMFD, 2 * PAGE, 0, NULL);

    fixture->hooked.request = IOMMU_IOAS_MAP_FILE;
    fixture->hooked.result = -EINVAL;
    memset(pm_ram_get_host(ram), 'b', 2 * PAGE);
    assert_true(map_ram(fixture, ram, 2, NULL));
    assert_int_equal(seen_at(fixture, BASE + PAGE), 'b');
}

static void failure_of_any_block_of_a_file_leaves_all_as_before(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_MEMFD, 8 * PAGE, 0, NULL);

    for (uint64_t nth = 1; nth <= 8; nth++) {
        g_autoptr(GError) error = NULL;

        pm_fake_kernel_fail(fixture->kernel, PM_FAKE_CALL_MAP, nth, ENOMEM);
        assert_false(map_ram(fixture, ram, 8, &error));
        assert_error(&error, PM_ERROR_MEMORY, "ENOMEM");
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
    uint64_t offset;
    int fd = pm_ram_get_fd(ram, &offset);

    spell(ram);
    assert_true(pm_iommu_map_file(fixture->iommu, BASE, (char *)pm_ram_get_host(ram) + 3 * PAGE, fd,
                                  offset + 3 * PAGE, PAGE, 4, PM_IOMMU_READ_WRITE, NULL));
    for (uint64_t i = 0; i < 4; i++)
        assert_int_equal(seen_at(fixture, BASE + i * PAGE), 'd' + i);
}

static void assert_nothing_mapped(Fixture *fixture)
{
    assert_int_equal(pm_iommu_get_n_mappings(fixture->iommu), 0);
    assert_int_equal(pm_fake_kernel_get_n_mappings(fixture->kernel, 1), 0);
    assert_int_equal(pm_fake_kernel_get_pinned(fixture->kernel), 0);
}

/* Whether its first blocks are there or not, and whether it is mapped by file or by address. */
static void file_that_ends_before_the_last_block_is_not_mapped(void **state)
{
    Fixture *fixture = *state;

    for (uint64_t n_pages = 0; n_pages < 4; n_pages++) {
        g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_MEMFD, 4 * PAGE, 0, NULL);
        g_autofree char *words =
            g_strdup_printf("has 0x%" PRIx64 " bytes, and the block ends at 0x%" PRIx64,
                            n_pages * PAGE, (n_pages + 1) * PAGE);
        g_autoptr(GError) error = NULL;

        assert_int_equal(ftruncate(pm_ram_get_fd(ram, NULL), (off_t)(n_pages * PAGE)), 0);
        assert_false(map_ram(fixture, ram, 4, &error));
        assert_error(&error, PM_ERROR_BAD_ADDRESS, words);
        assert_nothing_mapped(fixture);
    }
}

/* What the kernel maps by file is not mixed with what it maps by address. */
static void later_block_that_is_refused_is_an_error(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_MEMFD, 4 * PAGE, 0, NULL);
    g_autoptr(GError) error = NULL;

    pm_fake_kernel_fail(fixture->kernel, PM_FAKE_CALL_MAP, 3, EINVAL);
    assert_false(map_ram(fixture, ram, 4, &error));
    assert_error(&error, PM_ERROR_KERNEL, "mapping 4K at I/O address 0x100002000");
    assert_nothing_mapped(fixture);
}

static void offset_inside_a_page_is_refused(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_MEMFD, 2 * PAGE, 0, NULL);
    g_autoptr(GError) error = NULL;

    assert_false(pm_iommu_map_file(fixture->iommu, BASE, pm_ram_get_host(ram),
                                   pm_ram_get_fd(ram, NULL), 1, PAGE, 1, PM_IOMMU_READ, &error));
    assert_error(&error, PM_ERROR_UNALIGNED, "file offset 0x1 is not a multiple");
}

static void offset_beyond_any_file_is_refused(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_MEMFD, PAGE, 0, NULL);
    g_autoptr(GError) error = NULL;

    assert_false(pm_iommu_map_file(fixture->iommu, BASE, pm_ram_get_host(ram), 0, -PAGE, PAGE, 1,
                                   PM_IOMMU_READ, &error));
    assert_error(&error, PM_ERROR_INVALID_ARGUMENT, "file offset");
}

/* A mapper maps shared memory by file, and a private copy of one by address. */
static void mapper_maps_private_memory_of_a_file_by_address(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(PmMapper) mapper = pm_mapper_new(fixture->iommu);
    int fd = memfd_create("private", MFD_CLOEXEC);
    PmRamAdoption adoption = {.size = PAGE, .has_fd = true, .fd = fd};
    g_autoptr(PmRam) ram = NULL;

    assert_int_equal(ftruncate(fd, (off_t)PAGE), 0);
    adoption.host = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    memset(adoption.host, 'p', PAGE);
    ram = pm_ram_adopt(&adoption, NULL);
    assert_true(pm_mapper_add_ram(mapper, BASE, ram, NULL));
    assert_int_equal(seen_at(fixture, BASE), 'p');
    g_clear_pointer(&mapper, pm_mapper_free);
    (void)munmap(adoption.host, PAGE);
    (void)close(fd);
}

/* --- more than type1's limit --- */

static void a_hundred_thousand_blocks_are_mapped(void **state)
{
    Fixture *fixture = *state;
    const uint64_t n_blocks = 100000;
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_ANONYMOUS, n_blocks * PAGE, 0, NULL);

    assert_true(pm_iommu_map(fixture->iommu, BASE, pm_ram_get_host(ram), PAGE, n_blocks,
                             PM_IOMMU_READ_WRITE, NULL));
    assert_int_equal(pm_fake_kernel_get_n_mappings(fixture->kernel, 1), n_blocks);
    assert_true(pm_iommu_unmap(fixture->iommu, BASE, n_blocks * PAGE, NULL));
    assert_int_equal(pm_fake_kernel_get_n_mappings(fixture->kernel, 1), 0);
}

/* --- unmap --- */

/* Somebody else has removed it: iommufd says ENOENT, which is never success. */
static void area_that_is_gone_is_an_error_of_its_own(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_ANONYMOUS, PAGE, 0, NULL);
    g_autoptr(GError) error = NULL;

    assert_true(map_ram(fixture, ram, 1, NULL));
    pm_fake_kernel_fail(fixture->kernel, PM_FAKE_CALL_UNMAP, 1, ENOENT);
    assert_false(pm_iommu_unmap(fixture->iommu, BASE, PAGE, &error));
    assert_error(&error, PM_ERROR_UNMAP_MISMATCH, "no area there");
    assert_int_equal(pm_iommu_get_n_mappings(fixture->iommu), 1);
    assert_true(pm_iommu_purge(fixture->iommu, BASE, PAGE, NULL));
}

#define MAP_TEST(name)             cmocka_unit_test_setup_teardown(name, make, drop)
#define OLD_TEST(name)             cmocka_unit_test_setup_teardown(name, make_old, drop)
#define PINNING_TEST(name, kernel) cmocka_unit_test_setup_teardown(name, kernel, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MAP_TEST(file_is_mapped_and_not_what_the_process_has_there),
        OLD_TEST(kernel_that_knows_no_files_maps_by_address),
        MAP_TEST(file_that_cannot_be_mapped_is_mapped_by_address),
        MAP_TEST(failure_of_any_block_of_a_file_leaves_all_as_before),
        MAP_TEST(each_block_shows_its_own_page_of_the_file),
        PINNING_TEST(file_that_ends_before_the_last_block_is_not_mapped, make_pinning),
        PINNING_TEST(file_that_ends_before_the_last_block_is_not_mapped, make_old_pinning),
        MAP_TEST(later_block_that_is_refused_is_an_error),
        MAP_TEST(offset_inside_a_page_is_refused),
        MAP_TEST(offset_beyond_any_file_is_refused),
        MAP_TEST(mapper_maps_private_memory_of_a_file_by_address),
        MAP_TEST(a_hundred_thousand_blocks_are_mapped),
        MAP_TEST(area_that_is_gone_is_an_error_of_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
