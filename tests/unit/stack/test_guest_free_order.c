/* SPDX-License-Identifier: MIT */
/* A guest IOMMU, its mapper and the memory may be freed in any order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <plugmap/fake.h>
#include <plugmap/plugmap.h>

#include "util/backend_util.h"
#include "util/permutation.h"
#include "util/request_util.h"

#define BLOCK   PM_MIB
#define SIZE    (8 * BLOCK)
#define ADDRESS (4 * PM_GIB)

enum {
    RAM,
    DEVICE,
    TABLE,
    MAPPER,
    N_OBJECTS
};

typedef struct {
    PmKernel *fake;
    PmRam *ram;
    PmVirtioMem *device;
    PmGuestIommu *table;
    PmGuestMapper *mapper;
} World;

static PmIommu *open_device(void *user_data, const char *device, GError **error)
{
    World *world = user_data;

    return backend_open_device(world->fake, device, error);
}

static void make_table(World *world)
{
    const PmGuestIommuConfig config = {.struct_size = sizeof(config)};
    const PmGuestEndpoint endpoint = {
        .struct_size = sizeof(endpoint), .endpoint = 4, .device = "0000:00:04.0"};

    world->table = pm_guest_iommu_new(&config, NULL);
    assert_true(pm_guest_iommu_add_endpoint(world->table, &endpoint, NULL));
}

static void make_memory(World *world)
{
    PmVirtioMemConfig config = {
        .struct_size = sizeof(config),
        .address = ADDRESS,
        .block_size = BLOCK,
        .requested_size = SIZE,
    };

    world->ram = pm_ram_new(PM_RAM_MEMFD, SIZE, BLOCK, NULL);
    config.ram = world->ram;
    world->device = pm_virtio_mem_new(&config, NULL);
    assert_non_null(world->device);
}

static void make_mapper(World *world)
{
    const PmGuestMapperConfig config = {
        .struct_size = sizeof(config), .open = open_device, .user_data = world};
    const PmMapperRegion region = {
        .struct_size = sizeof(region),
        .ram = world->ram,
        .size = SIZE,
        .address = ADDRESS,
        .access = PM_IOMMU_READ_WRITE,
    };

    world->mapper = pm_guest_mapper_new(&config, NULL);
    assert_true(pm_guest_mapper_add(world->mapper, &region, NULL));
    assert_true(pm_guest_mapper_follow(world->mapper, world->table, NULL));
}

static void plug_and_map(World *world)
{
    const PmGuestMapping mapping = {
        .last = SIZE - 1, .address = ADDRESS, .access = PM_IOMMU_READ_WRITE};

    assert_int_equal(send_request(world->device, PM_VIRTIO_MEM_PLUG, ADDRESS, SIZE / BLOCK, NULL),
                     PM_VIRTIO_MEM_ACK);
    assert_true(pm_guest_iommu_attach(world->table, 1, false, 4, NULL));
    assert_true(pm_guest_iommu_map(world->table, 1, &mapping, NULL));
    assert_int_equal(backend_get_pinned(world->fake), SIZE);
}

static void drop(World *world, unsigned object)
{
    switch (object) {
    case RAM:
        pm_ram_unref(world->ram);
        break;
    case DEVICE:
        pm_virtio_mem_free(world->device);
        break;
    case TABLE:
        pm_guest_iommu_unref(world->table);
        break;
    default:
        pm_guest_mapper_free(world->mapper);
    }
}

static void drop_in_order(const unsigned *order)
{
    World world = {.fake = backend_fake_new(NULL, NULL)};

    make_table(&world);
    make_memory(&world);
    make_mapper(&world);
    plug_and_map(&world);
    for (unsigned i = 0; i < N_OBJECTS; i++)
        drop(&world, order[i]);
    assert_int_equal(pm_fake_kernel_get_n_open(world.fake), 0);
    assert_int_equal(backend_get_pinned(world.fake), 0);
    pm_kernel_unref(world.fake);
}

static void objects_of_a_guest_iommu_can_be_freed_in_any_order(void **state)
{
    (void)state;
    for_each_permutation(N_OBJECTS, drop_in_order);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_of_a_guest_iommu_can_be_freed_in_any_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
