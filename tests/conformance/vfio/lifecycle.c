/* SPDX-License-Identifier: MIT */
/* Lifetimes: what closing, leaving and joining does to containers, groups and mappings. */
#include "util/kernel_util.h"

static void the_last_group_to_leave_drops_the_mappings_and_the_iommu_type(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_map(kernel, 0, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(kernel_leave(kernel, kernel->group), 0);
    assert_int_equal(kernel_locked(kernel), 0);
    assert_int_equal(kernel_map(kernel, 0, kernel->memory, PAGE), -EINVAL);
    assert_int_equal(kernel_join(kernel, kernel->group, kernel->container), 0);
    assert_int_equal(kernel_set_iommu(kernel, kernel->container, VFIO_TYPE1_IOMMU), 0);
    assert_int_equal(kernel_n_mappings(kernel), 0);
}

static void closing_the_last_group_leaves_the_container(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_map(kernel, 0, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(kernel_close(kernel, kernel->group), 0);
    assert_int_equal(kernel_locked(kernel), 0);
    assert_int_equal(kernel_map(kernel, 0, kernel->memory, PAGE), -EINVAL);
}

static void a_group_keeps_a_closed_container_alive(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_map(kernel, 0, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(kernel_close(kernel, kernel->container), 0);
    assert_int_equal(kernel_locked(kernel), 4 * PAGE);
    assert_true(kernel_get_device(kernel, kernel->group, DEVICE) >= 0);
}

static void a_device_file_keeps_its_group_open(void **state)
{
    Kernel *kernel = *state;
    int device = kernel_get_device(kernel, kernel->group, DEVICE);
    int group;

    assert_int_equal(kernel_close(kernel, kernel->group), 0);
    assert_int_equal(kernel_open(kernel, GROUP), -EBUSY);
    assert_int_equal(kernel_map(kernel, 0, kernel->memory, PAGE), 0);
    assert_int_equal(kernel_close(kernel, device), 0);
    assert_int_equal(kernel_locked(kernel), 0);
    assert_int_equal(kernel_map(kernel, 0, kernel->memory, PAGE), -EINVAL);
    group = kernel_open(kernel, GROUP);
    assert_true(group >= 0);
    assert_int_equal(kernel_join(kernel, group, kernel->container), 0);
    assert_int_equal(kernel_set_iommu(kernel, kernel->container, VFIO_TYPE1v2_IOMMU), 0);
}

static void the_last_of_two_device_files_keeps_the_group_open(void **state)
{
    Kernel *kernel = *state;
    int first = kernel_get_device(kernel, kernel->group, DEVICE);
    int second = kernel_get_device(kernel, kernel->group, DEVICE);

    assert_int_equal(kernel_close(kernel, first), 0);
    assert_int_equal(kernel_leave(kernel, kernel->group), -EBUSY);
    assert_int_equal(kernel_close(kernel, second), 0);
    assert_int_equal(kernel_leave(kernel, kernel->group), 0);
}

static void a_second_group_shares_the_mappings_and_is_charged_once(void **state)
{
    Kernel *kernel = *state;
    int group = kernel_open(kernel, OTHER_GROUP);

    assert_int_equal(kernel_map(kernel, 0, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(kernel_join(kernel, group, kernel->container), 0);
    assert_int_equal(kernel_locked(kernel), 4 * PAGE);
    assert_int_equal(kernel_n_mappings(kernel), 1);
    assert_true(kernel_get_device(kernel, group, OTHER_DEVICE) >= 0);
}

static void mappings_stay_when_one_of_two_groups_leaves(void **state)
{
    Kernel *kernel = *state;
    int group = kernel_open(kernel, OTHER_GROUP);

    assert_int_equal(kernel_map(kernel, 0, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(kernel_join(kernel, group, kernel->container), 0);
    assert_int_equal(kernel_leave(kernel, kernel->group), 0);
    assert_int_equal(kernel_locked(kernel), 4 * PAGE);
    assert_int_equal(kernel_n_mappings(kernel), 1);
    assert_int_equal(kernel_close(kernel, group), 0);
    assert_int_equal(kernel_locked(kernel), 0);
}

static void two_containers_map_the_same_pages_and_are_charged_twice(void **state)
{
    Kernel *kernel = *state;
    int first = kernel->container;
    int group;

    assert_int_equal(kernel_map(kernel, 0, kernel->memory, PAGE), 0);
    kernel->container = kernel_second_container(kernel, &group);
    assert_int_equal(kernel_n_mappings(kernel), 0);
    assert_int_equal(kernel_map(kernel, 0, kernel->memory, PAGE), 0);
    assert_int_equal(kernel_locked(kernel), 2 * PAGE);
    assert_int_equal(kernel_close(kernel, group), 0);
    assert_int_equal(kernel_locked(kernel), PAGE);
    kernel->container = first;
    assert_int_equal(kernel_n_mappings(kernel), 1);
}

static void a_group_can_change_its_container(void **state)
{
    Kernel *kernel = *state;
    int other = kernel_open(kernel, CONTAINER);

    assert_int_equal(kernel_map(kernel, 0, kernel->memory, PAGE), 0);
    assert_int_equal(kernel_leave(kernel, kernel->group), 0);
    assert_int_equal(kernel_join(kernel, kernel->group, other), 0);
    assert_int_equal(kernel_set_iommu(kernel, other, VFIO_TYPE1v2_IOMMU), 0);
    kernel->container = other;
    assert_int_equal(kernel_n_mappings(kernel), 0);
}

enum {
    CONTAINER_FILE,
    GROUP_FILE,
    DEVICE_FILE,
    N_FILES
};

static void close_in_order(Kernel *kernel, const int *order)
{
    const int files[N_FILES] = {kernel->container, kernel->group,
                                kernel_get_device(kernel, kernel->group, DEVICE)};

    assert_int_equal(kernel_map(kernel, 0, kernel->memory, 4 * PAGE), 0);
    for (size_t i = 0; i < N_FILES; i++) {
        assert_int_equal(kernel_locked(kernel), 4 * PAGE);
        assert_int_equal(kernel_close(kernel, files[order[i]]), 0);
    }
    assert_int_equal(kernel_locked(kernel), 0);
    assert_true(kernel_open(kernel, GROUP) >= 0);
}

static void the_device_closed_last_keeps_the_mappings(void **state)
{
    close_in_order(*state, (const int[]){CONTAINER_FILE, GROUP_FILE, DEVICE_FILE});
}

static void the_group_closed_last_keeps_the_mappings(void **state)
{
    close_in_order(*state, (const int[]){CONTAINER_FILE, DEVICE_FILE, GROUP_FILE});
}

static void an_open_device_alone_keeps_the_mappings(void **state)
{
    close_in_order(*state, (const int[]){GROUP_FILE, CONTAINER_FILE, DEVICE_FILE});
}

static void an_open_group_alone_keeps_the_mappings(void **state)
{
    close_in_order(*state, (const int[]){DEVICE_FILE, CONTAINER_FILE, GROUP_FILE});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_last_group_to_leave_drops_the_mappings_and_the_iommu_type),
        TEST(closing_the_last_group_leaves_the_container),
        TEST(a_group_keeps_a_closed_container_alive),
        TEST(a_device_file_keeps_its_group_open),
        TEST(the_last_of_two_device_files_keeps_the_group_open),
        TEST(a_second_group_shares_the_mappings_and_is_charged_once),
        TEST(mappings_stay_when_one_of_two_groups_leaves),
        TEST(two_containers_map_the_same_pages_and_are_charged_twice),
        TEST(a_group_can_change_its_container),
        TEST(the_device_closed_last_keeps_the_mappings),
        TEST(the_group_closed_last_keeps_the_mappings),
        TEST(an_open_device_alone_keeps_the_mappings),
        TEST(an_open_group_alone_keeps_the_mappings),
    };

    return RUN_TESTS(tests);
}
