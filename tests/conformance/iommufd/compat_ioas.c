/* SPDX-License-Identifier: MIT */
/* IOMMU_VFIO_IOAS: the IOAS that the type1 interface of /dev/iommu uses, and groups that join it.
 */
#include "util/iommufd_util.h"

static int vfio_ioas(Kernel *kernel, uint16_t op, uint32_t *ioas)
{
    struct iommu_vfio_ioas call = {.size = sizeof(call), .ioas_id = *ioas, .op = op};
    int result = iommufd_ioctl(kernel, IOMMU_VFIO_IOAS, &call);

    *ioas = call.ioas_id;
    return result;
}

static void there_is_no_compat_ioas_at_first(void **state)
{
    uint32_t ioas = 0;

    assert_int_equal(vfio_ioas(*state, IOMMU_VFIO_IOAS_GET, &ioas), -ENODEV);
}

static void the_compat_ioas_can_be_set_changed_and_cleared(void **state)
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

static void setting_an_unknown_ioas_fails(void **state)
{
    Kernel *kernel = *state;
    uint32_t ioas = NO_ID;

    assert_int_equal(vfio_ioas(kernel, IOMMU_VFIO_IOAS_SET, &ioas), -ENOENT);
    assert_int_equal(vfio_ioas(kernel, IOMMU_VFIO_IOAS_GET, &ioas), -ENODEV);
}

static void destroying_the_compat_ioas_clears_it(void **state)
{
    Kernel *kernel = *state;
    uint32_t ioas = kernel->ioas;

    assert_int_equal(vfio_ioas(kernel, IOMMU_VFIO_IOAS_SET, &ioas), 0);
    assert_int_equal(iommufd_destroy(kernel, kernel->ioas), 0);
    assert_int_equal(vfio_ioas(kernel, IOMMU_VFIO_IOAS_GET, &ioas), -ENODEV);
}

static void unknown_ops_and_reserved_fields_fail_with_eopnotsupp(void **state)
{
    struct iommu_vfio_ioas call = {.size = sizeof(call), .__reserved = 1};
    uint32_t ioas = 0;

    assert_int_equal(vfio_ioas(*state, 3, &ioas), -EOPNOTSUPP);
    assert_int_equal(iommufd_ioctl(*state, IOMMU_VFIO_IOAS, &call), -EOPNOTSUPP);
}

static void set_container_creates_the_compat_ioas(void **state)
{
    Kernel *kernel = *state;
    uint32_t ioas = 0;

    assert_int_equal(vfio_ioas(kernel, IOMMU_VFIO_IOAS_GET, &ioas), 0);
    assert_int_equal(ioas, 1);
}

static void set_container_uses_an_existing_compat_ioas(void **state)
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

static void vfio_compat_maps_ordinary_areas(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_map(kernel, 0x10000, kernel->memory, 4 * PAGE), 0);
    kernel->ioas = 1;
    assert_int_equal(iommufd_map(kernel, 0x10000, kernel->memory, PAGE), -EEXIST);
    assert_true(iommufd_had(kernel, 0x10000, 4 * PAGE));
}

static void set_container_twice_fails(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_join(kernel, kernel->group, kernel->container), -EINVAL);
    assert_int_equal(kernel_join(kernel, kernel->group, kernel_open(kernel, CONTAINER)), -EINVAL);
}

static void group_status_reports_the_container(void **state)
{
    Kernel *kernel = *state;
    struct vfio_group_status status = {.argsz = sizeof(status)};

    assert_int_equal(kernel_ioctl(kernel, kernel->group, VFIO_GROUP_GET_STATUS, &status), 0);
    assert_int_equal(status.flags, VFIO_GROUP_FLAGS_VIABLE | VFIO_GROUP_FLAGS_CONTAINER_SET);
}

static void areas_stay_after_unset_container(void **state)
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

static void unset_container_works_with_an_open_device_which_keeps_working(void **state)
{
    Kernel *kernel = *state;
    struct vfio_device_info info = {.argsz = sizeof(info)};

    assert_int_equal(kernel_map(kernel, 0x10000, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(kernel_leave(kernel, kernel->group), 0);
    assert_int_equal(kernel_ioctl(kernel, kernel->device, VFIO_DEVICE_GET_INFO, &info), 0);
    assert_int_equal(iommufd_pinned(kernel), 4 * PAGE);
}

static void an_open_device_has_an_object_and_an_hwpt(void **state)
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

static void closing_the_device_unpins_and_keeps_the_areas(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_map(kernel, 0x10000, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(iommufd_pinned(kernel), 4 * PAGE);
    assert_int_equal(kernel_close(kernel, kernel->device), 0);
    assert_int_equal(iommufd_pinned(kernel), 0);
    assert_true(kernel_get_device(kernel, kernel->group, DEVICE) >= 0);
    assert_int_equal(iommufd_pinned(kernel), 4 * PAGE);
}

static void the_iommufd_can_be_closed_while_a_device_is_open(void **state)
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

static void a_device_opens_without_set_iommu(void **state)
{
    Kernel *kernel = *state;

    assert_true(kernel_get_device(kernel, kernel->group, DEVICE) >= 0);
}

/* With a container, an open device keeps its group open and in the container. */
static void a_group_can_be_reopened_while_its_device_is_open(void **state)
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

static void a_device_on_iommufd_keeps_its_group_out_of_containers(void **state)
{
    Kernel *kernel = *state;
    int container = kernel_open(kernel, CONTAINER);

    assert_int_equal(kernel_leave(kernel, kernel->group), 0);
    assert_int_equal(kernel_join(kernel, kernel->group, container), -EPERM);
    assert_int_equal(kernel_close(kernel, kernel->device), 0);
    assert_int_equal(kernel_join(kernel, kernel->group, container), 0);
}

static void an_open_group_device_keeps_its_cdev_from_binding(void **state)
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

/* Joining does not claim DMA ownership; opening a device does. */
static void a_group_shared_with_a_host_driver_joins_but_opens_no_device(void **state)
{
    Kernel *kernel = *state;
    int group = kernel_open(kernel, SHARED_GROUP);

    assert_int_equal(kernel_join(kernel, group, kernel->iommu), 0);
    assert_int_equal(kernel_get_device(kernel, group, SHARED_DEVICE), -EPERM);
    assert_int_equal(kernel_leave(kernel, group), 0);
}

static void a_second_group_shares_the_areas(void **state)
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
        TEST_IOMMU(there_is_no_compat_ioas_at_first),
        TEST_IOAS(the_compat_ioas_can_be_set_changed_and_cleared),
        TEST_IOAS(setting_an_unknown_ioas_fails),
        TEST_IOAS(destroying_the_compat_ioas_clears_it),
        TEST_IOAS(unknown_ops_and_reserved_fields_fail_with_eopnotsupp),
        TEST_COMPAT(set_container_creates_the_compat_ioas),
        TEST_IOAS(set_container_uses_an_existing_compat_ioas),
        TEST_COMPAT(vfio_compat_maps_ordinary_areas),
        TEST_COMPAT(set_container_twice_fails),
        TEST_COMPAT(group_status_reports_the_container),
        TEST_COMPAT(areas_stay_after_unset_container),
        TEST_COMPAT_DEVICE(unset_container_works_with_an_open_device_which_keeps_working),
        TEST_COMPAT_DEVICE(an_open_device_has_an_object_and_an_hwpt),
        TEST_COMPAT_DEVICE(closing_the_device_unpins_and_keeps_the_areas),
        TEST_COMPAT_DEVICE(the_iommufd_can_be_closed_while_a_device_is_open),
        TEST_COMPAT(a_device_opens_without_set_iommu),
        TEST_COMPAT_DEVICE(a_group_can_be_reopened_while_its_device_is_open),
        TEST_COMPAT_DEVICE(a_device_on_iommufd_keeps_its_group_out_of_containers),
        TEST_COMPAT_DEVICE(an_open_group_device_keeps_its_cdev_from_binding),
        TEST_IOMMU(a_group_shared_with_a_host_driver_joins_but_opens_no_device),
        TEST_COMPAT_DEVICE(a_second_group_shares_the_areas),
    };

    return RUN_IOMMUFD_TESTS(tests);
}
