/* SPDX-License-Identifier: MIT */
/* IOMMU_VFIO_IOAS: the address space that the type1 interface of /dev/iommu works on; and groups
 * that join one. */
#include "util/iommufd_util.h"

static int vfio_ioas(Kernel *kernel, uint16_t op, uint32_t *ioas)
{
    struct iommu_vfio_ioas call = {.size = sizeof(call), .ioas_id = *ioas, .op = op};
    int result = iommufd_ioctl(kernel, IOMMU_VFIO_IOAS, &call);

    *ioas = call.ioas_id;
    return result;
}

static void there_is_none_at_first(void **state)
{
    uint32_t ioas = 0;

    assert_int_equal(vfio_ioas(*state, IOMMU_VFIO_IOAS_GET, &ioas), -ENODEV);
}

static void one_can_be_set_changed_and_cleared(void **state)
{
    Kernel *kernel = *state;
    uint32_t other = iommufd_new_ioas(kernel);
    uint32_t ioas = kernel->ioas;

    assert_int_equal(vfio_ioas(kernel, IOMMU_VFIO_IOAS_SET, &ioas), 0);
    assert_int_equal(vfio_ioas(kernel, IOMMU_VFIO_IOAS_SET, &other), 0);
    ioas = 0;
    assert_int_equal(vfio_ioas(kernel, IOMMU_VFIO_IOAS_GET, &ioas), 0);
    assert_int_equal(ioas, other);
    assert_int_equal(vfio_ioas(kernel, IOMMU_VFIO_IOAS_CLEAR, &ioas), 0);
    assert_int_equal(vfio_ioas(kernel, IOMMU_VFIO_IOAS_GET, &ioas), -ENODEV);
    assert_int_equal(vfio_ioas(kernel, IOMMU_VFIO_IOAS_CLEAR, &ioas), 0);
}

static void what_is_not_there_cannot_be_set(void **state)
{
    Kernel *kernel = *state;
    uint32_t ioas = NO_ID;

    assert_int_equal(vfio_ioas(kernel, IOMMU_VFIO_IOAS_SET, &ioas), -ENOENT);
    assert_int_equal(vfio_ioas(kernel, IOMMU_VFIO_IOAS_GET, &ioas), -ENODEV);
}

static void it_can_be_destroyed_and_is_none_then(void **state)
{
    Kernel *kernel = *state;
    uint32_t ioas = kernel->ioas;

    assert_int_equal(vfio_ioas(kernel, IOMMU_VFIO_IOAS_SET, &ioas), 0);
    assert_int_equal(iommufd_destroy(kernel, kernel->ioas), 0);
    assert_int_equal(vfio_ioas(kernel, IOMMU_VFIO_IOAS_GET, &ioas), -ENODEV);
}

static void other_deeds_and_a_reserved_field_are_eopnotsupp(void **state)
{
    struct iommu_vfio_ioas call = {.size = sizeof(call), .__reserved = 1};
    uint32_t ioas = 0;

    assert_int_equal(vfio_ioas(*state, 3, &ioas), -EOPNOTSUPP);
    assert_int_equal(iommufd_ioctl(*state, IOMMU_VFIO_IOAS, &call), -EOPNOTSUPP);
}

static void a_group_that_joins_makes_one(void **state)
{
    Kernel *kernel = *state;
    uint32_t ioas = 0;

    assert_int_equal(vfio_ioas(kernel, IOMMU_VFIO_IOAS_GET, &ioas), 0);
    assert_int_equal(ioas, 1);
}

static void a_group_that_joins_takes_the_one_that_is_there(void **state)
{
    Kernel *kernel = *state;
    uint32_t ioas = kernel->ioas;
    int group = kernel_open(kernel, GROUP);

    assert_int_equal(vfio_ioas(kernel, IOMMU_VFIO_IOAS_SET, &ioas), 0);
    assert_int_equal(kernel_join(kernel, group, kernel->iommu), 0);
    assert_int_equal(vfio_ioas(kernel, IOMMU_VFIO_IOAS_GET, &ioas), 0);
    assert_int_equal(ioas, kernel->ioas);
    assert_int_equal(iommufd_new_ioas(kernel), kernel->ioas + 1);
}

static void what_the_type1_interface_maps_is_an_area_like_any(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_map(kernel, 0x10000, kernel->memory, 4 * PAGE), 0);
    kernel->ioas = 1;
    assert_int_equal(iommufd_map(kernel, 0x10000, kernel->memory, PAGE), -EEXIST);
    assert_true(iommufd_had(kernel, 0x10000, 4 * PAGE));
}

static void a_group_joins_once(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_join(kernel, kernel->group, kernel->container), -EINVAL);
    assert_int_equal(kernel_join(kernel, kernel->group, kernel_open(kernel, CONTAINER)), -EINVAL);
}

static void a_group_that_joined_says_so(void **state)
{
    Kernel *kernel = *state;
    struct vfio_group_status status = {.argsz = sizeof(status)};

    assert_int_equal(kernel_ioctl(kernel, kernel->group, VFIO_GROUP_GET_STATUS, &status), 0);
    assert_int_equal(status.flags, VFIO_GROUP_FLAGS_VIABLE | VFIO_GROUP_FLAGS_CONTAINER_SET);
}

static void a_group_can_leave_and_what_is_mapped_stays(void **state)
{
    Kernel *kernel = *state;
    uint64_t n_bytes;

    assert_int_equal(kernel_map(kernel, 0x10000, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(kernel_leave(kernel, kernel->group), 0);
    assert_int_equal(kernel_leave(kernel, kernel->group), -EINVAL);
    assert_int_equal(kernel_join(kernel, kernel->group, kernel->container), 0);
    assert_int_equal(kernel_unmap(kernel, 0x10000, 4 * PAGE, &n_bytes), 0);
    assert_int_equal(n_bytes, 4 * PAGE);
}

static void a_group_leaves_though_its_device_is_open_and_that_works_on(void **state)
{
    Kernel *kernel = *state;
    struct vfio_device_info info = {.argsz = sizeof(info)};

    assert_int_equal(kernel_map(kernel, 0x10000, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(kernel_leave(kernel, kernel->group), 0);
    assert_int_equal(kernel_ioctl(kernel, kernel->device, VFIO_DEVICE_GET_INFO, &info), 0);
    assert_int_equal(iommufd_pinned(kernel), 4 * PAGE);
}

static void a_device_has_an_object_and_a_page_table(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(iommufd_destroy(kernel, 1), -EBUSY);
    assert_int_equal(iommufd_destroy(kernel, 2), -EBUSY);
    assert_int_equal(iommufd_destroy(kernel, 3), -EBUSY);
    assert_int_equal(iommufd_destroy(kernel, 4), -ENOENT);
    assert_int_equal(kernel_close(kernel, kernel->device), 0);
    assert_int_equal(iommufd_destroy(kernel, 3), -ENOENT);
    assert_int_equal(iommufd_destroy(kernel, 2), -ENOENT);
    assert_int_equal(iommufd_destroy(kernel, 1), 0);
}

static void closing_the_device_unpins_and_keeps_what_is_mapped(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_map(kernel, 0x10000, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(iommufd_pinned(kernel), 4 * PAGE);
    assert_int_equal(kernel_close(kernel, kernel->device), 0);
    assert_int_equal(iommufd_pinned(kernel), 0);
    assert_true(kernel_get_device(kernel, kernel->group, DEVICE) >= 0);
    assert_int_equal(iommufd_pinned(kernel), 4 * PAGE);
}

static void the_file_can_be_closed_while_a_device_is_open(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_map(kernel, 0x10000, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(kernel_close(kernel, kernel->container), 0);
    assert_int_equal(iommufd_pinned(kernel), 4 * PAGE);
    assert_int_equal(kernel_close(kernel, kernel->group), 0);
    assert_int_equal(iommufd_pinned(kernel), 4 * PAGE);
    assert_int_equal(kernel_close(kernel, kernel->device), 0);
    assert_int_equal(iommufd_pinned(kernel), 0);
}

static void a_device_needs_no_iommu_to_be_set(void **state)
{
    Kernel *kernel = *state;

    assert_true(kernel_get_device(kernel, kernel->group, DEVICE) >= 0);
}

/* Unlike a container, which a device keeps its group in, and open. */
static void a_group_can_be_closed_and_opened_again_under_its_open_device(void **state)
{
    Kernel *kernel = *state;
    struct vfio_group_status status = {.argsz = sizeof(status)};
    int group;

    assert_int_equal(kernel_close(kernel, kernel->group), 0);
    group = kernel_open(kernel, GROUP);
    assert_true(group >= 0);
    assert_int_equal(kernel_open(kernel, GROUP), -EBUSY);
    assert_int_equal(kernel_ioctl(kernel, group, VFIO_GROUP_GET_STATUS, &status), 0);
    assert_int_equal(status.flags, 0);
    assert_int_equal(kernel_get_device(kernel, group, DEVICE), -EINVAL);
    assert_int_equal(kernel_join(kernel, group, kernel->container), 0);
    assert_true(kernel_get_device(kernel, group, DEVICE) >= 0);
}

static void a_device_that_is_an_iommufds_keeps_its_group_out_of_containers(void **state)
{
    Kernel *kernel = *state;
    int container = kernel_open(kernel, CONTAINER);

    assert_int_equal(kernel_leave(kernel, kernel->group), 0);
    assert_int_equal(kernel_join(kernel, kernel->group, container), -EPERM);
    assert_int_equal(kernel_close(kernel, kernel->device), 0);
    assert_int_equal(kernel_join(kernel, kernel->group, container), 0);
}

static void a_device_of_a_closed_group_cannot_be_bound_meanwhile(void **state)
{
    Kernel *kernel = *state;
    int device = cdev_open(kernel, DEVICE);
    uint32_t id;

    assert_int_equal(cdev_bind(kernel, device, kernel->iommu, &id), -EBUSY);
    assert_int_equal(kernel_close(kernel, kernel->group), 0);
    assert_int_equal(cdev_bind(kernel, device, kernel->iommu, &id), -EINVAL);
    assert_int_equal(kernel_close(kernel, kernel->device), 0);
    assert_int_equal(cdev_bind(kernel, device, kernel->iommu, &id), 0);
}

/* Joining takes no ownership yet; opening does. */
static void a_group_beside_a_hosts_driver_joins_but_its_device_cannot_be_opened(void **state)
{
    Kernel *kernel = *state;
    int group = kernel_open(kernel, SHARED_GROUP);

    assert_int_equal(kernel_join(kernel, group, kernel->iommu), 0);
    assert_int_equal(kernel_get_device(kernel, group, SHARED_DEVICE), -EPERM);
    assert_int_equal(kernel_leave(kernel, group), 0);
}

static void a_second_group_shares_what_is_mapped(void **state)
{
    Kernel *kernel = *state;
    int group = kernel_open(kernel, OTHER_GROUP);

    assert_int_equal(kernel_map(kernel, 0x10000, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(kernel_join(kernel, group, kernel->container), 0);
    assert_true(kernel_get_device(kernel, group, OTHER_DEVICE) >= 0);
    assert_int_equal(iommufd_pinned(kernel), 4 * PAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_IOMMU(there_is_none_at_first),
        TEST_IOAS(one_can_be_set_changed_and_cleared),
        TEST_IOAS(what_is_not_there_cannot_be_set),
        TEST_IOAS(it_can_be_destroyed_and_is_none_then),
        TEST_IOAS(other_deeds_and_a_reserved_field_are_eopnotsupp),
        TEST_COMPAT(a_group_that_joins_makes_one),
        TEST_IOAS(a_group_that_joins_takes_the_one_that_is_there),
        TEST_COMPAT(what_the_type1_interface_maps_is_an_area_like_any),
        TEST_COMPAT(a_group_joins_once),
        TEST_COMPAT(a_group_that_joined_says_so),
        TEST_COMPAT(a_group_can_leave_and_what_is_mapped_stays),
        TEST_COMPAT_DEVICE(a_group_leaves_though_its_device_is_open_and_that_works_on),
        TEST_COMPAT_DEVICE(a_device_has_an_object_and_a_page_table),
        TEST_COMPAT_DEVICE(closing_the_device_unpins_and_keeps_what_is_mapped),
        TEST_COMPAT_DEVICE(the_file_can_be_closed_while_a_device_is_open),
        TEST_COMPAT(a_device_needs_no_iommu_to_be_set),
        TEST_COMPAT_DEVICE(a_group_can_be_closed_and_opened_again_under_its_open_device),
        TEST_COMPAT_DEVICE(a_device_that_is_an_iommufds_keeps_its_group_out_of_containers),
        TEST_COMPAT_DEVICE(a_device_of_a_closed_group_cannot_be_bound_meanwhile),
        TEST_IOMMU(a_group_beside_a_hosts_driver_joins_but_its_device_cannot_be_opened),
        TEST_COMPAT_DEVICE(a_second_group_shares_what_is_mapped),
    };

    return RUN_IOMMUFD_TESTS(tests);
}
