/* SPDX-License-Identifier: MIT */
/* Objects may be freed in any order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/mman.h>

#include <plugmap/fake.h>
#include <plugmap/plugmap.h>

#include "util/backend_util.h"
#include "util/permutation.h"
#include "util/request_util.h"

#define BLOCK   PM_MIB
#define SIZE    (8 * BLOCK)
#define ADDRESS (4 * PM_GIB)
#define BUFFER  (8 * PM_GIB)

/* Objects that a program can own or reference; all orders of the first five are tested. */
enum {
    IOMMU,
    RAM,
    MANAGER,
    DEVICE,
    MAPPER,
    N_PERMUTED,
    KERNEL = N_PERMUTED,
    CLAIM,
    N_OBJECTS
};

typedef struct {
    PmKernel *kernel;
    PmIommu *iommu;
    PmRam *ram;
    PmDiscardManager *manager;
    PmVirtioMem *device;
    PmMapper *mapper;
    PmIommuClaim *claim;
    PmKernel *fake; /* to inspect it */
    void *host;
    unsigned n_destroyed;
} World;

static void note_destroyed(void *user_data)
{
    World *world = user_data;

    /* The buffer's mapping may still exist. */
    assert_true(pm_fake_kernel_get_n_mappings(world->fake, 1) <= 1);
    assert_int_equal(munmap(world->host, SIZE), 0);
    world->n_destroyed++;
}

static void make_memory(World *world)
{
    PmRamAdoption adoption = {
        .struct_size = sizeof(adoption),
        .size = SIZE,
        .shared = true,
        .destroy = note_destroyed,
        .user_data = world,
    };

    world->host = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(world->host, MAP_FAILED);
    adoption.host = world->host;
    world->ram = pm_ram_adopt(&adoption, NULL);
    assert_non_null(world->ram);
}

/* A buffer outside guest memory. */
static void make_claim(World *world)
{
    g_autoptr(PmRam) buffer = pm_ram_new(PM_RAM_MEMFD, BLOCK, 0, NULL);
    const PmIommuClaimConfig config = {
        .struct_size = sizeof(config),
        .owner = "a buffer",
        .ram = buffer,
        .iova = BUFFER,
        .size = BLOCK,
        .block_size = BLOCK,
    };

    world->claim = pm_iommu_claim_new(world->iommu, &config, NULL);
    assert_true(pm_iommu_claim_map(world->claim, 0, BLOCK, 0, PM_IOMMU_READ_WRITE, NULL));
}

static void plug(World *world)
{
    assert_int_equal(send_request(world->device, PM_VIRTIO_MEM_PLUG, ADDRESS, SIZE / BLOCK, NULL),
                     PM_VIRTIO_MEM_ACK);
}

static void make(World *world)
{
    PmVirtioMemConfig config = {
        .struct_size = sizeof(config),
        .address = ADDRESS,
        .block_size = BLOCK,
        .requested_size = SIZE,
    };
    PmMapperRegion region = {
        .struct_size = sizeof(region),
        .size = SIZE,
        .address = ADDRESS,
        .access = PM_IOMMU_READ_WRITE,
    };

    world->kernel = backend_fake_new(NULL, NULL);
    world->fake = pm_kernel_ref(world->kernel);
    world->iommu = backend_open(world->kernel, 0, NULL);
    make_memory(world);
    make_claim(world);
    config.ram = world->ram;
    world->device = pm_virtio_mem_new(&config, NULL);
    world->manager = pm_discard_manager_ref(pm_virtio_mem_get_manager(world->device));
    world->mapper = pm_mapper_new(world->iommu);
    region.ram = world->ram;
    assert_true(pm_mapper_add(world->mapper, &region, NULL));
    plug(world);
}

static void drop(World *world, unsigned object)
{
    switch (object) {
    case KERNEL:
        pm_kernel_unref(world->kernel);
        break;
    case IOMMU:
        pm_iommu_unref(world->iommu);
        break;
    case RAM:
        pm_ram_unref(world->ram);
        break;
    case MANAGER:
        pm_discard_manager_unref(world->manager);
        break;
    case DEVICE:
        pm_virtio_mem_free(world->device);
        break;
    case MAPPER:
        pm_mapper_free(world->mapper);
        break;
    default:
        pm_iommu_claim_unref(world->claim);
    }
}

static void drop_in_order(const unsigned order[N_OBJECTS])
{
    World world = {0};

    make(&world);
    for (unsigned i = 0; i < N_OBJECTS; i++)
        drop(&world, order[i]);
    assert_int_equal(world.n_destroyed, 1);
    assert_int_equal(pm_fake_kernel_get_n_open(world.fake), 0);
    assert_int_equal(backend_get_pinned(world.fake), 0);
    pm_kernel_unref(world.fake);
}

/* Frees the kernel and the claim before or after @permuted. */
static void drop_around(const unsigned *permuted)
{
    for (unsigned ends = 0; ends < 4; ends++) {
        unsigned order[N_OBJECTS];
        unsigned n = 0;

        if ((ends & 1) != 0)
            order[n++] = KERNEL;
        if ((ends & 2) != 0)
            order[n++] = CLAIM;
        for (unsigned i = 0; i < N_PERMUTED; i++)
            order[n++] = permuted[i];
        if ((ends & 2) == 0)
            order[n++] = CLAIM;
        if ((ends & 1) == 0)
            order[n++] = KERNEL;
        drop_in_order(order);
    }
}

static void objects_can_be_freed_in_any_order(void **state)
{
    (void)state;
    for_each_permutation(N_PERMUTED, drop_around);
}

/* tests/build/abi checks that all unref and free functions of the headers are called here. */
static void free_accepts_null(void **state)
{
    (void)state;
    pm_buffer_registry_free(NULL);
    pm_dirty_log_free(NULL);
    pm_discard_manager_unref(NULL);
    pm_discard_policy_unref(NULL);
    pm_dma_vector_free(NULL);
    pm_guest_iommu_unref(NULL);
    pm_guest_mapper_free(NULL);
    pm_handover_free(NULL);
    pm_iommu_claim_unref(NULL);
    pm_iommu_unref(NULL);
    pm_kernel_unref(NULL);
    pm_mapper_free(NULL);
    pm_ram_unref(NULL);
    pm_virtio_mem_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_can_be_freed_in_any_order),
        cmocka_unit_test(free_accepts_null),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
