/* SPDX-License-Identifier: MIT */
/* A child with a copy of all objects: whatever it does, its parent's mappings and memory stay. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include <plugmap/fake.h>

#include "fork_world.h"
#include "kernel/kernel_calls.h"
#include "kernel/kernel_private.h"
#include "pci/region.h"
#include "util/backend_util.h"
#include "util/fork_util.h"
#include "util/source_util.h"
#include "util/valgrind_util.h"

/* --- children that free --- */

static bool free_iommu(World *world)
{
    pm_iommu_claim_unref(world->claim);
    pm_mapper_free(world->mapper);
    pm_iommu_unref(world->iommu);
    return pm_fake_kernel_get_n_open(world->fake) == 0;
}

static void child_that_frees_an_address_space_ends_no_mapping(void **state)
{
    check_children(*state, free_iommu);
}

static void count_message(GLogLevelFlags level G_GNUC_UNUSED, const char *message G_GNUC_UNUSED,
                          void *user_data)
{
    (*(unsigned *)user_data)++;
}

static bool free_device(World *world)
{
    unsigned n_messages = 0;

    pm_log_set_func(count_message, &n_messages);
    pm_virtio_mem_free(world->device);
    return n_messages == 0;
}

static void child_that_frees_a_device_discards_nothing_and_logs_nothing(void **state)
{
    check_children(*state, free_device);
}

static bool free_mapper(World *world)
{
    pm_mapper_free(world->mapper);
    return true;
}

static void child_that_frees_a_mapper_unmaps_nothing(void **state)
{
    check_children(*state, free_mapper);
}

/* The child may have mapped something of its own there. */
static bool free_ram(World *world)
{
    uint64_t size = pm_ram_get_size(world->ram);
    int fd = pm_ram_get_fd(world->ram, NULL);
    char *here = mmap(pm_ram_get_host(world->ram), size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    bool is_mine = here == pm_ram_get_host(world->ram);

    /* The thread sanitizer may have put a thread's stack there. */
    if (!is_mine && errno != EEXIST)
        return false;
    if (is_mine)
        here[0] = 1;
    pm_ram_unref(world->ram); /* of the test, of the device's manager, of the mapper */
    pm_virtio_mem_free(world->device);
    pm_mapper_free(world->mapper);
    if (is_mine)
        here[size - 1] = 1;
    return (!is_mine || here[0] == 1) && fcntl(fd, F_GETFD) < 0 && errno == EBADF;
}

static void child_that_frees_ram_only_closes_its_file(void **state)
{
    skip_under_valgrind(); /* it takes memory with MADV_DONTFORK to be in a child */
    check_children(*state, free_ram);
}

static bool release_claim(World *world)
{
    bool released = pm_iommu_claim_release(world->claim, NULL);

    pm_iommu_claim_unref(world->claim);
    return released;
}

static void child_that_releases_a_claim_unmaps_nothing(void **state)
{
    check_children(*state, release_claim);
}

static bool abandon_claim(World *world)
{
    pm_iommu_claim_abandon(world->claim);
    return pm_iommu_settle(world->iommu, NULL);
}

static void child_that_abandons_a_claim_unmaps_nothing(void **state)
{
    check_children(*state, abandon_claim);
}

/* Its parent's mappings do not keep memory allocated in the child. */
static bool abandon_and_free_all(World *world)
{
    unsigned n_messages = 0;

    pm_log_set_func(count_message, &n_messages);
    pm_iommu_claim_abandon(world->claim);
    pm_iommu_claim_unref(world->claim);
    pm_mapper_free(world->mapper);
    pm_iommu_unref(world->iommu);
    return n_messages == 0;
}

static void child_that_closes_with_an_abandoned_claim_logs_nothing(void **state)
{
    check_children(*state, abandon_and_free_all);
}

static bool is_same_account(const PmKernelLocked *a, const PmKernelLocked *b)
{
    return a->n_iommus == b->n_iommus && a->mapped == b->mapped && a->committed == b->committed;
}

/* The totals may count what the child itself has opened. */
static bool free_beside_the_account(World *world)
{
    const PmKernelPrivate *root = world->kernel.parent.data->root;
    const PmKernelLocked before[] = {root->locked[0], root->locked[1]};

    pm_iommu_claim_unref(world->claim);
    pm_mapper_free(world->mapper);
    pm_iommu_unref(world->iommu);
    return is_same_account(&before[0], &root->locked[0]) &&
           is_same_account(&before[1], &root->locked[1]);
}

static void child_that_frees_an_address_space_keeps_its_accounting(void **state)
{
    check_children(*state, free_beside_the_account);
}

static bool free_all(World *world)
{
    pm_iommu_claim_unref(world->claim);
    pm_ram_unref(world->page);
    pm_mapper_free(world->mapper);
    pm_virtio_mem_free(world->device);
    pm_iommu_unref(world->iommu);
    pm_ram_unref(world->ram);
    pm_kernel_unref(world->fake);
    return true;
}

static void child_that_frees_all_changes_nothing(void **state)
{
    check_children(*state, free_all);
}

/* --- children that use --- */

static bool try_to_map(World *world)
{
    GError *error = NULL;
    bool mapped = pm_iommu_claim_map(world->claim, PAGE, PAGE, 0, PM_IOMMU_READ_WRITE, &error);

    return is_refused(mapped, error) && pm_iommu_get_n_mappings(world->iommu) == N_MAPPED;
}

static void child_cannot_map(void **state)
{
    check_children(*state, try_to_map);
}

static bool try_to_unmap(World *world)
{
    GError *error = NULL;
    bool unmapped = pm_iommu_claim_unmap(world->claim, 0, PAGE, &error);

    return is_refused(unmapped, error) && pm_iommu_get_n_mappings(world->iommu) == N_MAPPED;
}

static void child_cannot_unmap(void **state)
{
    check_children(*state, try_to_unmap);
}

/* The child has mapped nothing through this claim. */
static bool purge_claim(World *world)
{
    return pm_iommu_claim_purge(world->claim, NULL) &&
           pm_iommu_get_n_mappings(world->iommu) == N_PLUGGED;
}

static void child_that_purges_a_claim_unmaps_nothing(void **state)
{
    check_children(*state, purge_claim);
}

static bool remove_region(World *world)
{
    return pm_mapper_remove(world->mapper, STACK_ADDRESS, NULL) &&
           pm_iommu_get_n_mappings(world->iommu) == 1;
}

static void child_that_removes_a_region_unmaps_nothing(void **state)
{
    check_children(*state, remove_region);
}

static bool try_requests(World *world)
{
    GError *errors[3] = {NULL};
    bool plugged = request(world, VIRTIO_MEM_REQ_PLUG, N_PLUGGED, 1, &errors[0]);
    bool unplugged = request(world, VIRTIO_MEM_REQ_UNPLUG, 0, 1, &errors[1]);
    PmRefusal refusal = pm_virtio_mem_last_refusal(world->device, NULL);
    bool reset = pm_virtio_mem_system_reset(world->device, &errors[2]);

    return refusal == PM_REFUSAL_BLOCK_STATE && is_refused(plugged, errors[0]) &&
           is_refused(unplugged, errors[1]) && is_refused(reset, errors[2]) &&
           pm_virtio_mem_get_plugged_size(world->device) == N_PLUGGED * STACK_BLOCK;
}

/* It does not hide why the parent's last request failed, either. */
static void child_cannot_plug_or_unplug(void **state)
{
    assert_true(request(*state, VIRTIO_MEM_REQ_PLUG, 0, 1, NULL));
    check_children(*state, try_requests);
}

static bool try_manager(World *world)
{
    PmDiscardManager *manager = pm_virtio_mem_get_manager(world->device);
    GError *errors[3] = {NULL};
    unsigned n_messages = 0;
    bool populated;
    bool discarded;
    bool discarded_all;

    pm_log_set_func(count_message, &n_messages);
    populated = source_populate(manager, N_PLUGGED * STACK_BLOCK, STACK_BLOCK, 1, &errors[0]);
    discarded = source_discard(manager, 0, STACK_BLOCK, &errors[1]);
    discarded_all = source_discard_all(manager, &errors[2]);
    return is_refused(populated, errors[0]) && is_refused(discarded, errors[1]) &&
           is_refused(discarded_all, errors[2]) && n_messages == 0 &&
           pm_discard_manager_get_quarantined(manager) == 0;
}

static void child_cannot_change_blocks_without_the_device_either(void **state)
{
    check_children(*state, try_manager);
}

static bool try_ranges(World *world)
{
    GError *errors[3] = {NULL};
    uint64_t n_bytes;
    bool discarded = pm_ram_discard(world->ram, 0, STACK_BLOCK, &errors[0]);
    bool populated = pm_ram_populate(world->ram, 0, STACK_BLOCK, 1, &errors[1]);
    bool asked = pm_ram_resident(world->ram, 0, STACK_BLOCK, &n_bytes, &errors[2]);

    return is_refused(discarded, errors[0]) && is_refused(populated, errors[1]) &&
           is_refused(asked, errors[2]);
}

static void child_can_neither_discard_nor_populate(void **state)
{
    check_children(*state, try_ranges);
}

static bool try_to_open(World *world)
{
    GError *error = NULL;
    PmIommu *iommu = backend_open(&world->kernel.parent, 0, &error);

    return is_refused(iommu != NULL, error);
}

static void child_opens_nothing_with_the_kernel_of_its_parent(void **state)
{
    check_children(*state, try_to_open);
}

static bool open_one_of_its_own(World *world)
{
    PmKernel *kernel = backend_fake_new(NULL, NULL);
    PmIommu *iommu = backend_open(kernel, 0, NULL);
    PmRam *ram = pm_ram_new(PM_RAM_ANONYMOUS, PAGE, 0, NULL);
    PmIommuClaim *claim = claim_pages(iommu, ram, 1);
    bool mapped = claim != NULL &&
                  pm_iommu_claim_map(claim, 0, PAGE, 0, PM_IOMMU_READ_WRITE, NULL) &&
                  pm_iommu_audit(iommu, NULL, PM_IOMMU_AUDIT_SOLE_LOCKER, NULL);

    (void)world;
    pm_iommu_claim_unref(claim);
    pm_ram_unref(ram);
    pm_iommu_unref(iommu);
    pm_kernel_unref(kernel);
    return mapped;
}

static void child_can_have_an_address_space_of_its_own(void **state)
{
    skip_under_valgrind(); /* it takes memory with MADV_DONTFORK to be in a child */
    check_children(*state, open_one_of_its_own);
}

/* The kernel cannot fail a store to a mapped register. */
static bool try_registers(World *world)
{
    PmPciRegion region = {.kernel = &world->kernel.parent,
                          .device = "a device",
                          .fd = -1,
                          .size = PAGE,
                          .registers = world->kernel.shared->registers};
    GError *errors[2] = {NULL};
    uint64_t value;
    bool written = pm_pci_region_write(&region, 8, 4, 0xdead, &errors[0]);
    bool read = pm_pci_region_read(&region, 8, 4, &value, &errors[1]);

    return is_refused(written, errors[0]) && is_refused(read, errors[1]) &&
           world->kernel.shared->registers[8] == 0;
}

static void child_does_not_reach_the_registers_of_its_parent(void **state)
{
    check_children(*state, try_registers);
}

static bool try_calls(World *world)
{
    PmKernel *kernel = &world->kernel.parent;
    void *mapped = NULL;
    uint64_t value = 0;

    return pm_kernel_mmap(kernel, 0, PAGE, PROT_READ, MAP_SHARED, 0, &mapped) == -ECHILD &&
           pm_kernel_pread(kernel, 0, &value, sizeof value, 0) == -ECHILD &&
           pm_kernel_pwrite(kernel, 0, &value, sizeof value, 0) == -ECHILD;
}

static void child_cannot_use_the_files_of_its_parent(void **state)
{
    check_children(*state, try_calls);
}

#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, make_world, drop_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(child_that_frees_an_address_space_ends_no_mapping),
        WORLD_TEST(child_that_frees_a_device_discards_nothing_and_logs_nothing),
        WORLD_TEST(child_that_frees_a_mapper_unmaps_nothing),
        WORLD_TEST(child_that_frees_ram_only_closes_its_file),
        WORLD_TEST(child_that_releases_a_claim_unmaps_nothing),
        WORLD_TEST(child_that_abandons_a_claim_unmaps_nothing),
        WORLD_TEST(child_that_closes_with_an_abandoned_claim_logs_nothing),
        WORLD_TEST(child_that_frees_an_address_space_keeps_its_accounting),
        WORLD_TEST(child_that_frees_all_changes_nothing),
        WORLD_TEST(child_cannot_map),
        WORLD_TEST(child_cannot_unmap),
        WORLD_TEST(child_that_purges_a_claim_unmaps_nothing),
        WORLD_TEST(child_that_removes_a_region_unmaps_nothing),
        WORLD_TEST(child_cannot_plug_or_unplug),
        WORLD_TEST(child_cannot_change_blocks_without_the_device_either),
        WORLD_TEST(child_can_neither_discard_nor_populate),
        WORLD_TEST(child_opens_nothing_with_the_kernel_of_its_parent),
        WORLD_TEST(child_can_have_an_address_space_of_its_own),
        WORLD_TEST(child_does_not_reach_the_registers_of_its_parent),
        WORLD_TEST(child_cannot_use_the_files_of_its_parent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
