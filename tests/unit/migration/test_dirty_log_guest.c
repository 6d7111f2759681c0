/* SPDX-License-Identifier: MIT */
/* A dirty log of memory that devices reach through a guest IOMMU, whose domains are opened and
 * closed while the log runs. */
#include "dirty_world.h"

#define DOMAIN 1
#define GUEST  PM_GIB
#define IOVA   UINT64_C(0x100000)
/* The guest maps these pages of the RAM. */
#define FIRST  UINT64_C(3)
#define COUNT  UINT64_C(20)

typedef struct {
    PmKernel *kernel;
    PmRam *ram;
    PmGuestIommu *table;
    PmGuestMapper *mapper;
    PmDmaEngine *engine;
    PmDirtyLog *log;
} Guest;

static PmIommu *open_domain(void *user_data, const char *device, GError **error)
{
    Guest *guest = user_data;
    PmIommu *iommu = backend_open_device(guest->kernel, device, error);

    assert_true(pm_dirty_log_add_iommu(guest->log, iommu, NULL));
    return iommu;
}

static void attach(Guest *guest)
{
    const PmGuestMapping mapping = {.iova = IOVA,
                                    .last = IOVA + COUNT * PAGE - 1,
                                    .address = GUEST + FIRST * PAGE,
                                    .access = PM_IOMMU_READ_WRITE};

    assert_true(pm_guest_iommu_attach(guest->table, DOMAIN, false, 0, NULL));
    assert_true(pm_guest_iommu_map(guest->table, DOMAIN, &mapping, NULL));
    guest->engine = pm_dma_engine_attach(pm_guest_mapper_get_iommu(guest->mapper, 0), guest->kernel,
                                         either_device(0), IOVA, PM_GIB, NULL);
    assert_non_null(guest->engine);
}

static void detach(Guest *guest)
{
    g_clear_pointer(&guest->engine, pm_dma_engine_free);
    assert_true(pm_guest_iommu_detach(guest->table, DOMAIN, 0, NULL));
}

static int make(void **state)
{
    Guest *guest = g_new0(Guest, 1);
    const PmGuestIommuConfig table = {.struct_size = sizeof(table)};
    const PmGuestEndpoint endpoint = {.struct_size = sizeof(endpoint), .device = either_device(0)};
    const PmGuestMapperConfig mapper = {
        .struct_size = sizeof(mapper), .open = open_domain, .user_data = guest};
    PmMapperRegion region;
    PmFakeConfig config;

    pm_fake_config_init(&config);
    config.dirty_tracking = true;
    guest->kernel = either_kernel_new(&config);
    guest->log = pm_dirty_log_new();
    guest->ram = pm_ram_new(PM_RAM_MEMFD, 64 * PAGE, 0, NULL);
    assert_true(pm_dirty_log_add_ram(guest->log, guest->ram, NULL));
    guest->table = pm_guest_iommu_new(&table, NULL);
    assert_true(pm_guest_iommu_add_endpoint(guest->table, &endpoint, NULL));
    guest->mapper = pm_guest_mapper_new(&mapper, NULL);
    region = dirty_world_region(guest->ram, 0, 64 * PAGE, GUEST);
    assert_true(pm_guest_mapper_add(guest->mapper, &region, NULL));
    assert_true(pm_guest_mapper_follow(guest->mapper, guest->table, NULL));
    attach(guest);
    *state = guest;
    return 0;
}

static int drop(void **state)
{
    Guest *guest = *state;

    g_clear_pointer(&guest->engine, pm_dma_engine_free);
    pm_guest_mapper_free(guest->mapper);
    pm_guest_iommu_unref(guest->table);
    pm_dirty_log_free(guest->log);
    pm_ram_unref(guest->ram);
    assert_int_equal(either_n_open(guest->kernel), 0);
    pm_kernel_unref(guest->kernel);
    g_free(guest);
    return 0;
}

/* Pages of the RAM from @first on; without tracking all that are mapped are dirty. */
static void assert_dirty(Guest *guest, const char *tracked, const char *pinned)
{
    uint64_t bitmap[N_WORDS] = {0};

    assert_true(pm_dirty_log_read(guest->log, guest->ram, PAGE, bitmap, NULL, NULL));
    dirty_world_assert_pages(bitmap, dirty_world_can_track() ? tracked : pinned);
}

static void write_page(Guest *guest, uint64_t page)
{
    char data[PM_DMA_PAGE] = "written";

    assert_true(pm_dma_engine_write(guest->engine, IOVA + page * PAGE, data, NULL));
}

static void pages_are_found_by_their_place_in_the_ram(void **state)
{
    Guest *guest = *state;

    assert_dirty(guest, "0-63", "0-63");
    write_page(guest, 0);
    write_page(guest, 19);
    assert_dirty(guest, "3 22", "3-22");
    assert_dirty(guest, "", "3-22");
}

static void mapping_that_the_guest_removes_leaves_its_dirty_pages(void **state)
{
    Guest *guest = *state;

    assert_dirty(guest, "0-63", "0-63");
    write_page(guest, 5);
    assert_true(pm_guest_iommu_unmap(guest->table, DOMAIN, IOVA, IOVA + COUNT * PAGE - 1, NULL));
    assert_dirty(guest, "3-22", "3-22");
    assert_dirty(guest, "", "");
}

static void domain_that_ends_leaves_its_dirty_pages(void **state)
{
    Guest *guest = *state;

    assert_dirty(guest, "0-63", "0-63");
    write_page(guest, 5);
    detach(guest);
    assert_int_equal(either_n_open(guest->kernel), 0);
    assert_dirty(guest, "3-22", "3-22");
    assert_dirty(guest, "", "");
}

static void domain_that_begins_is_read(void **state)
{
    Guest *guest = *state;

    detach(guest);
    assert_dirty(guest, "0-63", "0-63");
    attach(guest);
    write_page(guest, 7);
    assert_dirty(guest, "10", "3-22");
}

#define GUEST_TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        GUEST_TEST(pages_are_found_by_their_place_in_the_ram),
        GUEST_TEST(mapping_that_the_guest_removes_leaves_its_dirty_pages),
        GUEST_TEST(domain_that_ends_leaves_its_dirty_pages),
        GUEST_TEST(domain_that_begins_is_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
