/* SPDX-License-Identifier: MIT */
/* A BAR as a region, for peer-to-peer DMA, and skipping it where mapping fails. */
#include "region_world.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "memory/ram_private.h"
#include "util/fork_util.h"
#include "util/source_util.h"

#define BAR_SIZE (2 * BLOCK)

/* --- a BAR --- */

typedef struct {
    char *host;
    PmRam *ram;
} Bar;

/* The fake kernel identifies device memory by the name of its mapping. */
static Bar map_bar(void)
{
    const PmRamAdoption adoption = {
        .struct_size = sizeof(adoption), .size = BAR_SIZE, .device_memory = true};
    PmRamAdoption of_bar = adoption;
    int fd = memfd_create("anon_inode:[vfio-device]", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, BAR_SIZE), 0);
    of_bar.host = mmap(NULL, BAR_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(of_bar.host, MAP_FAILED);
    close(fd);
    return (Bar){.host = of_bar.host, .ram = pm_ram_adopt(&of_bar, NULL)};
}

static void clear_bar(Bar *bar)
{
    assert_non_null(bar->ram);
    pm_ram_unref(bar->ram);
    munmap(bar->host, BAR_SIZE);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Bar, clear_bar)

static bool add_bar(RegionWorld *world, const Bar *bar, uint64_t address, unsigned flags,
                    GError **error)
{
    const PmMapperRegion region = {
        .struct_size = sizeof(region),
        .ram = bar->ram,
        .size = BAR_SIZE,
        .address = address,
        .access = PM_IOMMU_READ_WRITE,
        .flags = flags,
    };

    return pm_mapper_add(world->mappers[0], &region, error);
}

static PmError why_unmapped(const RegionWorld *world, uint64_t address)
{
    g_autoptr(GError) error = NULL;

    assert_false(pm_mapper_check_mapped(world->mappers[0], address, &error));
    return (PmError)error->code;
}

/* --- its properties --- */

static void device_memory_is_never_discarded_or_populated(void **state)
{
    g_auto(Bar) bar = map_bar();
    g_autoptr(GError) error = NULL;
    uint64_t n_bytes = 1;

    (void)state;
    bar.host[0] = 'x';
    assert_int_equal(pm_ram_get_kind(bar.ram), PM_RAM_DEVICE);
    assert_false(pm_ram_discard(bar.ram, 0, BAR_SIZE, &error));
    region_assert_code(&error, PM_ERROR_UNSUPPORTED, "cannot discard device memory");
    assert_false(pm_ram_populate(bar.ram, 0, BAR_SIZE, 1, &error));
    region_assert_code(&error, PM_ERROR_UNSUPPORTED, "cannot populate");
    assert_null(manager_with_source(bar.ram, BLOCK, &error));
    region_assert_code(&error, PM_ERROR_UNSUPPORTED, "cannot manage");
    assert_true(pm_ram_resident(bar.ram, 0, BAR_SIZE, &n_bytes, NULL));
    assert_int_equal(n_bytes, 0);
    assert_int_equal(bar.host[0], 'x');
}

static bool reads_x(void *host)
{
    return *(const char *)host == 'x';
}

static void a_child_keeps_the_memory_of_a_device(void **state)
{
    g_auto(Bar) bar = map_bar();

    (void)state;
    bar.host[0] = 'x';
    assert_child(fork, reads_x, bar.host);
}

static void memory_of_a_device_has_neither_file_nor_large_pages(void **state)
{
    g_auto(Bar) bar = map_bar();
    const PmRamAdoption adoptions[] = {
        {.struct_size = sizeof(PmRamAdoption),
         .host = bar.host,
         .size = BAR_SIZE,
         .device_memory = true,
         .has_fd = true,
         .fd = 0},
        {.struct_size = sizeof(PmRamAdoption),
         .host = bar.host,
         .size = BAR_SIZE,
         .device_memory = true,
         .page_size = 2 * PM_MIB},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(adoptions); i++) {
        g_autoptr(GError) error = NULL;

        assert_null(pm_ram_adopt(&adoptions[i], &error));
        region_assert_code(&error, PM_ERROR_INVALID_ARGUMENT, "has_fd and page_size must be unset");
    }
}

/* --- mapping it --- */

static void other_devices_reach_a_bar(void **state)
{
    RegionWorld *world = *state;
    g_autoptr(PmDmaEngine) engine = region_engine(world);
    g_auto(Bar) bar = map_bar();
    char data[PM_DMA_PAGE];
    size_t size = pm_dma_engine_transfer_size(engine);

    assert_true(add_bar(world, &bar, LOW, 0, NULL));
    assert_true(pm_mapper_check_mapped(world->mappers[0], LOW, NULL));
    memset(data, 'w', sizeof(data));
    assert_true(pm_dma_engine_write(engine, LOW + BLOCK, data, NULL));
    assert_memory_equal(bar.host + BLOCK, data, size);
    memset(bar.host, 'r', BLOCK);
    assert_true(pm_dma_engine_read(engine, LOW, data, NULL));
    assert_memory_equal(data, bar.host, size);
    assert_true(pm_mapper_remove(world->mappers[0], LOW, NULL));
}

static void a_bar_locks_no_memory(void **state)
{
    RegionWorld *world = *state;
    g_auto(Bar) bar = map_bar();

    either_set_memlock(world->kernel, SIZE, false);
    assert_true(add_bar(world, &bar, LOW, 0, NULL));
    assert_int_equal(region_n_mappings(world, 0), 1);
    assert_int_equal(either_pinned(world->kernel), 0);
    assert_int_equal(pm_iommu_get_pinned_bytes(world->iommus[0]), 0);
    assert_true(pm_mapper_audit(world->mappers[0], NULL, NULL, NULL));
    assert_true(pm_iommu_audit(world->iommus[0], NULL, PM_IOMMU_AUDIT_SOLE_LOCKER, NULL));
    assert_true(region_add(world, 0, N_BLOCKS, HIGH));
    assert_true(pm_iommu_audit(world->iommus[0], NULL, PM_IOMMU_AUDIT_SOLE_LOCKER, NULL));
    assert_true(pm_mapper_remove(world->mappers[0], LOW, NULL));
}

/* The process had locked more when its limit was lowered. */
static void a_bar_is_mapped_beyond_the_locked_memory_limit(void **state)
{
    RegionWorld *world = *state;
    g_auto(Bar) bar = map_bar();

    assert_true(region_add(world, 0, N_BLOCKS, HIGH));
    either_set_memlock(world->kernel, BLOCK, false);
    assert_true(add_bar(world, &bar, LOW, 0, NULL));
    assert_true(pm_mapper_remove(world->mappers[0], LOW, NULL));
}

static void iommufd_refuses_a_bar(void **state)
{
    RegionWorld *world = *state;
    g_auto(Bar) bar = map_bar();
    g_autoptr(GError) error = NULL;

    assert_false(add_bar(world, &bar, LOW, 0, &error));
    assert_int_equal(pm_error_get_errno(error), EFAULT);
    region_assert_code(&error, PM_ERROR_UNSUPPORTED, "use type1");
    region_assert_nothing_left(world);
    assert_null(pm_discard_claims_next(&bar.ram->claims, 0));
}

/* --- skipping it --- */

static void keep_message(GLogLevelFlags level, const char *message, void *user_data)
{
    GPtrArray *messages = user_data;

    assert_int_equal(level, G_LOG_LEVEL_WARNING);
    g_ptr_array_add(messages, g_strdup(message));
}

static void iommufd_skips_an_optional_bar(void **state)
{
    RegionWorld *world = *state;
    g_autoptr(GPtrArray) messages = g_ptr_array_new_with_free_func(g_free);
    g_auto(Bar) bar = map_bar();
    PmMapperAudit audit = {.struct_size = sizeof(audit)};

    pm_log_set_func(keep_message, messages);
    assert_true(add_bar(world, &bar, LOW, PM_MAPPER_OPTIONAL, NULL));
    pm_log_set_func(NULL, NULL);
    assert_int_equal(messages->len, 1);
    assert_non_null(strstr(messages->pdata[0], "the region at 0x40000000 is not mapped"));
    assert_non_null(strstr(messages->pdata[0], "use type1"));
    assert_int_equal(why_unmapped(world, LOW), PM_ERROR_UNSUPPORTED);
    region_assert_nothing_left(world);
    assert_true(pm_mapper_audit(world->mappers[0], NULL, &audit, NULL));
    assert_int_equal(audit.n_populated, 0);
    assert_true(pm_mapper_remove(world->mappers[0], LOW, NULL));
    assert_int_equal(why_unmapped(world, LOW), PM_ERROR_NOT_FOUND);
}

/* A 64-bit BAR may be out of the IOMMU's reach. */
static void optional_region_out_of_the_iommus_reach_is_skipped(void **state)
{
    RegionWorld *world = *state;
    PmMapperRegion region = region_of(world, 0, 2, UINT64_C(1) << 60);
    g_autoptr(GError) error = NULL;

    assert_false(pm_mapper_add(world->mappers[0], &region, &error));
    region_assert_code(&error, PM_ERROR_IOVA_RANGE, "valid ranges");
    region.flags = PM_MAPPER_OPTIONAL;
    assert_true(pm_mapper_add(world->mappers[0], &region, NULL));
    assert_int_equal(why_unmapped(world, region.address), PM_ERROR_IOVA_RANGE);
    assert_true(pm_mapper_remove(world->mappers[0], region.address, NULL));
    region_assert_nothing_left(world);
}

static void optional_region_off_the_iommus_pages_is_skipped(void **state)
{
    RegionWorld *world = *state;
    PmMapperRegion region = region_of(world, 0, 2, LOW + 0x800);

    region.flags = PM_MAPPER_OPTIONAL;
    assert_true(pm_mapper_add(world->mappers[0], &region, NULL));
    assert_int_equal(why_unmapped(world, region.address), PM_ERROR_UNALIGNED);
}

static void optional_region_is_mapped_where_it_can_be(void **state)
{
    RegionWorld *world = *state;
    PmMapperRegion region = region_of(world, 0, 2, LOW);

    region.flags = PM_MAPPER_OPTIONAL;
    assert_true(pm_mapper_add(world->mappers[0], &region, NULL));
    assert_true(pm_mapper_check_mapped(world->mappers[0], LOW, NULL));
    assert_ptr_equal(region_mapped_at(world, LOW), region_host(world, 0));
}

/* Each call of adding it fails once: nothing is kept, and a retry succeeds. */
static void optional_region_is_retried_by_adding_it_again(void **state)
{
    RegionWorld *world = *state;
    PmMapperRegion region = region_of(world, 0, 2, LOW);
    bool mapped = false;

    region.flags = PM_MAPPER_OPTIONAL;
    for (uint64_t nth = 1; !mapped; nth++) {
        either_fail(world->kernel, PM_FAKE_CALL_IOCTL, nth, EIO);
        assert_true(pm_mapper_add(world->mappers[0], &region, NULL));
        either_clear_faults(world->kernel);
        mapped = pm_mapper_check_mapped(world->mappers[0], LOW, NULL);
        assert_int_equal(region_n_mappings(world, 0), mapped);
        assert_true(pm_mapper_audit(world->mappers[0], NULL, NULL, NULL));
        assert_true(pm_mapper_remove(world->mappers[0], LOW, NULL));
        region_assert_nothing_left(world);
    }
}

static void invalid_optional_region_is_refused(void **state)
{
    RegionWorld *world = *state;
    PmMapperRegion region = region_of(world, N_BLOCKS, 1, LOW);
    g_autoptr(GError) error = NULL;

    region.flags = PM_MAPPER_OPTIONAL;
    assert_false(pm_mapper_add(world->mappers[0], &region, &error));
    region_assert_code(&error, PM_ERROR_INVALID_ARGUMENT, "must be inside the RAM");
}

static void region_that_is_not_mapped_keeps_its_addresses(void **state)
{
    RegionWorld *world = *state;
    PmMapperRegion region = region_of(world, 0, 2, LOW);
    g_autoptr(GError) error = NULL;

    region.flags = PM_MAPPER_OPTIONAL;
    either_fail(world->kernel, PM_FAKE_CALL_MAP, 1, EIO);
    assert_true(pm_mapper_add(world->mappers[0], &region, NULL));
    assert_int_equal(why_unmapped(world, LOW), PM_ERROR_KERNEL);
    region.ram_offset = 4 * BLOCK;
    assert_false(pm_mapper_add(world->mappers[0], &region, &error));
    region_assert_code(&error, PM_ERROR_OVERLAP, "overlaps the one at 0x40000000");
}

static void optional_region_that_overlaps_is_refused(void **state)
{
    RegionWorld *world = *state;
    g_autoptr(PmMapper) other = pm_mapper_new(world->iommus[0]);
    PmMapperRegion region = region_of(world, 0, 2, LOW);
    g_autoptr(GError) error = NULL;

    region.flags = PM_MAPPER_OPTIONAL;
    assert_true(region_add(world, 0, 1, LOW + BLOCK));
    assert_false(pm_mapper_add(other, &region, &error));
    region_assert_code(&error, PM_ERROR_OVERLAP, "those of the region at 0x40010000");
}

/* Devices might access what was there before. */
static void optional_region_over_quarantine_is_refused(void **state)
{
    RegionWorld *world = *state;
    PmMapperRegion region = region_of(world, 4, 2, LOW);
    g_autoptr(GError) error = NULL;

    region.flags = PM_MAPPER_OPTIONAL;
    assert_true(region_add(world, 0, 1, LOW));
    either_fail(world->kernel, PM_FAKE_CALL_UNMAP, 1, EIO);
    pm_mapper_free(world->mappers[0]);
    world->mappers[0] = pm_mapper_new(world->iommus[0]);
    either_fail(world->kernel, PM_FAKE_CALL_UNMAP, 1, EIO);
    assert_false(pm_mapper_add(world->mappers[0], &region, &error));
    region_assert_code(&error, PM_ERROR_QUARANTINED, "abandoned them");
    assert_true(pm_mapper_add(world->mappers[0], &region, NULL));
    assert_true(pm_mapper_check_mapped(world->mappers[0], LOW, NULL));
}

static void ram_with_a_manager_is_never_optional(void **state)
{
    RegionWorld *world = *state;
    PmMapperRegion region = region_of(world, 0, N_BLOCKS, LOW);
    g_autoptr(GError) error = NULL;

    region.flags = PM_MAPPER_OPTIONAL;
    assert_false(pm_mapper_add(world->mappers[0], &region, &error));
    region_assert_code(&error, PM_ERROR_INVALID_ARGUMENT, "PM_MAPPER_OPTIONAL does not support");
    region_assert_nothing_left(world);
}

static void every_region_but_an_optional_one_is_mapped(void **state)
{
    RegionWorld *world = *state;

    assert_true(region_add(world, 0, N_BLOCKS, LOW));
    assert_true(pm_mapper_check_mapped(world->mappers[0], LOW, NULL));
    assert_int_equal(why_unmapped(world, LOW + BLOCK), PM_ERROR_NOT_FOUND);
}

#define PLAIN(test)   cmocka_unit_test_setup_teardown(test, region_world_plain, region_world_free)
#define MANAGED(test) cmocka_unit_test_setup_teardown(test, region_world_managed, region_world_free)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(device_memory_is_never_discarded_or_populated),
        cmocka_unit_test(a_child_keeps_the_memory_of_a_device),
        cmocka_unit_test(memory_of_a_device_has_neither_file_nor_large_pages),
        BACKEND_TYPE1_ONLY(PLAIN(other_devices_reach_a_bar)),
        BACKEND_TYPE1_ONLY(PLAIN(a_bar_locks_no_memory)),
        BACKEND_TYPE1_ONLY(PLAIN(a_bar_is_mapped_beyond_the_locked_memory_limit)),
        BACKEND_IOMMUFD_ONLY(PLAIN(iommufd_refuses_a_bar)),
        BACKEND_IOMMUFD_ONLY(PLAIN(iommufd_skips_an_optional_bar)),
        PLAIN(optional_region_out_of_the_iommus_reach_is_skipped),
        PLAIN(optional_region_off_the_iommus_pages_is_skipped),
        PLAIN(optional_region_is_mapped_where_it_can_be),
        PLAIN(optional_region_is_retried_by_adding_it_again),
        PLAIN(invalid_optional_region_is_refused),
        PLAIN(region_that_is_not_mapped_keeps_its_addresses),
        PLAIN(optional_region_that_overlaps_is_refused),
        PLAIN(optional_region_over_quarantine_is_refused),
        MANAGED(ram_with_a_manager_is_never_optional),
        MANAGED(every_region_but_an_optional_one_is_mapped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
