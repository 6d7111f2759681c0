/* SPDX-License-Identifier: MIT */
/* A child that has a copy of all objects: whatever it does with them, its parent's mappings and
 * memory stay as they are. */
#include "fork_util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>

#include "backend_util.h"
#include "valgrind_util.h"
#include "vfio/region.h"

#define FREE_IOVA (UINT64_C(1) << 20)

/* --- children that free --- */

static void count_message(GLogLevelFlags level G_GNUC_UNUSED, const char *message G_GNUC_UNUSED,
                          void *user_data)
{
    (*(unsigned *)user_data)++;
}

static bool free_iommu(ForkWorld *world)
{
    unsigned n_messages = 0;

    pm_mapper_free(world->mapper);
    pm_log_set_func(count_message, &n_messages);
    pm_iommu_unref(world->iommu);
    return n_messages == 0 && pm_fake_kernel_get_n_open(world->fake) == 0;
}

static void child_that_frees_an_address_space_ends_no_mapping_and_says_nothing(void **state)
{
    fork_check_children(*state, free_iommu);
}

static bool free_device(ForkWorld *world)
{
    unsigned n_messages = 0;

    pm_log_set_func(count_message, &n_messages);
    pm_virtio_mem_free(world->device);
    return n_messages == 0;
}

static void child_that_frees_a_device_discards_nothing_and_says_nothing(void **state)
{
    fork_check_children(*state, free_device);
}

static bool free_mapper(ForkWorld *world)
{
    pm_mapper_free(world->mapper);
    return true;
}

static void child_that_frees_a_mapper_unmaps_nothing(void **state)
{
    fork_check_children(*state, free_mapper);
}

/* There may be something of the child's own by then. */
static bool free_ram(ForkWorld *world)
{
    uint64_t size = pm_ram_get_size(world->ram);
    int fd = pm_ram_get_fd(world->ram, NULL);
    char *here = mmap(pm_ram_get_host(world->ram), size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

    if (here != pm_ram_get_host(world->ram))
        return false;
    here[0] = 1;
    pm_ram_unref(world->ram); /* of the test, of the device's manager, of the mapper */
    pm_virtio_mem_free(world->device);
    pm_mapper_free(world->mapper);
    here[size - 1] = 1;
    return here[0] == 1 && fcntl(fd, F_GETFD) < 0 && errno == EBADF;
}

static void child_that_frees_ram_only_closes_its_file(void **state)
{
#ifdef __SANITIZE_THREAD__
    fprintf(stderr, "skipped: the thread sanitizer has memory of its own there, in a child\n");
    skip();
#endif
    skip_under_valgrind(); /* it takes the memory to be there still */
    fork_check_children(*state, free_ram);
}

static bool free_all(ForkWorld *world)
{
    pm_mapper_free(world->mapper);
    pm_virtio_mem_free(world->device);
    pm_iommu_unref(world->iommu);
    pm_ram_unref(world->ram);
    pm_kernel_unref(world->fake);
    return true;
}

static void child_that_frees_all_changes_nothing(void **state)
{
    fork_check_children(*state, free_all);
}

/* --- children that use --- */

static bool try_to_map(ForkWorld *world)
{
    GError *error = NULL;
    bool mapped = pm_iommu_map(world->iommu, FREE_IOVA, world->kernel.shared->registers, FORK_PAGE,
                               1, PM_IOMMU_READ_WRITE, &error);

    return fork_is_refused(mapped, error) &&
           pm_iommu_get_n_mappings(world->iommu) == FORK_N_PLUGGED;
}

static void child_cannot_map(void **state)
{
    fork_check_children(*state, try_to_map);
}

static bool try_to_unmap(ForkWorld *world)
{
    GError *errors[3] = {NULL};
    bool unmapped = pm_iommu_unmap(world->iommu, STACK_ADDRESS, STACK_BLOCK, &errors[0]);
    bool purged = pm_iommu_purge(world->iommu, STACK_ADDRESS, STACK_BLOCK, &errors[1]);
    bool unmapped_all = pm_iommu_unmap_all(world->iommu, &errors[2]);

    return fork_is_refused(unmapped, errors[0]) && fork_is_refused(purged, errors[1]) &&
           fork_is_refused(unmapped_all, errors[2]) &&
           pm_iommu_get_n_mappings(world->iommu) == FORK_N_PLUGGED;
}

static void child_cannot_unmap(void **state)
{
    fork_check_children(*state, try_to_unmap);
}

static bool try_requests(ForkWorld *world)
{
    GError *errors[3] = {NULL};
    bool plugged = fork_request(world, VIRTIO_MEM_REQ_PLUG, FORK_N_PLUGGED, 1, &errors[0]);
    bool unplugged = fork_request(world, VIRTIO_MEM_REQ_UNPLUG, 0, 1, &errors[1]);
    bool reset = pm_virtio_mem_system_reset(world->device, &errors[2]);

    return fork_is_refused(plugged, errors[0]) && fork_is_refused(unplugged, errors[1]) &&
           fork_is_refused(reset, errors[2]) &&
           pm_virtio_mem_get_plugged_size(world->device) == FORK_N_PLUGGED * STACK_BLOCK;
}

static void child_cannot_plug_or_unplug(void **state)
{
    fork_check_children(*state, try_requests);
}

static bool try_ranges(ForkWorld *world)
{
    GError *errors[3] = {NULL};
    uint64_t n_bytes;
    bool discarded = pm_ram_discard(world->ram, 0, STACK_BLOCK, &errors[0]);
    bool populated = pm_ram_populate(world->ram, 0, STACK_BLOCK, 1, &errors[1]);
    bool asked = pm_ram_resident(world->ram, 0, STACK_BLOCK, &n_bytes, &errors[2]);

    return fork_is_refused(discarded, errors[0]) && fork_is_refused(populated, errors[1]) &&
           fork_is_refused(asked, errors[2]);
}

static void child_can_neither_discard_nor_populate(void **state)
{
    fork_check_children(*state, try_ranges);
}

static bool try_to_open(ForkWorld *world)
{
    GError *error = NULL;
    PmIommu *iommu = backend_open(&world->kernel.parent, 0, &error);

    return fork_is_refused(iommu != NULL, error);
}

static void child_opens_nothing_with_the_kernel_of_its_parent(void **state)
{
    fork_check_children(*state, try_to_open);
}

static bool open_one_of_its_own(ForkWorld *world)
{
    PmKernel *kernel = backend_fake_new(NULL, NULL);
    PmIommu *iommu = backend_open(kernel, 0, NULL);
    bool mapped = pm_iommu_map(iommu, FREE_IOVA, world->kernel.shared->registers, FORK_PAGE, 1,
                               PM_IOMMU_READ_WRITE, NULL);

    pm_iommu_unref(iommu);
    pm_kernel_unref(kernel);
    return mapped;
}

static void child_can_have_an_address_space_of_its_own(void **state)
{
    fork_check_children(*state, open_one_of_its_own);
}

/* Stores to registers are no calls that the kernel could refuse. */
static bool try_registers(ForkWorld *world)
{
    PmVfioRegion region = {.kernel = &world->kernel.parent,
                           .device = "a device",
                           .fd = -1,
                           .size = FORK_PAGE,
                           .registers = world->kernel.shared->registers};
    GError *errors[2] = {NULL};
    uint64_t value;
    bool written = pm_vfio_region_write(&region, 8, 4, 0xdead, &errors[0]);
    bool read = pm_vfio_region_read(&region, 8, 4, &value, &errors[1]);

    return fork_is_refused(written, errors[0]) && fork_is_refused(read, errors[1]) &&
           world->kernel.shared->registers[8] == 0;
}

static void child_does_not_reach_the_registers_of_its_parent(void **state)
{
    fork_check_children(*state, try_registers);
}

#define FORK_TEST(name)                                                                            \
    cmocka_unit_test_setup_teardown(name, fork_world_set_up, fork_world_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FORK_TEST(child_that_frees_an_address_space_ends_no_mapping_and_says_nothing),
        FORK_TEST(child_that_frees_a_device_discards_nothing_and_says_nothing),
        FORK_TEST(child_that_frees_a_mapper_unmaps_nothing),
        FORK_TEST(child_that_frees_ram_only_closes_its_file),
        FORK_TEST(child_that_frees_all_changes_nothing),
        FORK_TEST(child_cannot_map),
        FORK_TEST(child_cannot_unmap),
        FORK_TEST(child_cannot_plug_or_unplug),
        FORK_TEST(child_can_neither_discard_nor_populate),
        FORK_TEST(child_opens_nothing_with_the_kernel_of_its_parent),
        FORK_TEST(child_can_have_an_address_space_of_its_own),
        FORK_TEST(child_does_not_reach_the_registers_of_its_parent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
