/* SPDX-License-Identifier: MIT */
/* ATTACH and DETACH of a device to an IOAS or an HWPT, and lifetimes. */
#include "util/iommufd_util.h"

#define IOVA UINT64_C(0x40000000)

static int attach_struct(Kernel *kernel, struct vfio_device_attach_iommufd_pt attach)
{
    return kernel_ioctl(kernel, kernel->device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach);
}

/* Bound but not attached. */
static void detach(Kernel *kernel)
{
    assert_int_equal(cdev_detach(kernel, kernel->device), 0);
}

static int attach_to(Kernel *kernel, uint32_t pt)
{
    return cdev_attach(kernel, kernel->device, &pt);
}

/* Whether one more page can be mapped there; unmaps it again. */
static bool can_map_at(Kernel *kernel, uint64_t iova)
{
    return iommufd_map(kernel, iova, kernel->memory, PAGE) == 0 && iommufd_had(kernel, iova, PAGE);
}

static void attach_pins_areas_and_detach_unpins_them(void **state)
{
    Kernel *kernel = *state;

    detach(kernel);
    assert_int_equal(iommufd_map(kernel, IOVA, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(iommufd_pinned(kernel), 0);
    assert_int_equal(attach_to(kernel, kernel->ioas), 0);
    assert_int_equal(iommufd_pinned(kernel), 4 * PAGE);
    detach(kernel);
    assert_int_equal(iommufd_pinned(kernel), 0);
    assert_true(iommufd_had(kernel, IOVA, 4 * PAGE));
}

static void attach_to_the_same_object_again_changes_nothing(void **state)
{
    Kernel *kernel = *state;
    uint32_t pt = kernel->ioas;

    assert_int_equal(cdev_attach(kernel, kernel->device, &pt), 0);
    assert_int_equal(pt, kernel->hwpt);
    assert_int_equal(cdev_attach(kernel, kernel->device, &pt), 0);
    assert_int_equal(pt, kernel->hwpt);
}

static void replacing_destroys_the_automatic_hwpt(void **state)
{
    Kernel *kernel = *state;
    uint32_t other = iommufd_new_ioas(kernel);
    uint32_t pt = other;

    assert_int_equal(iommufd_map(kernel, IOVA, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(cdev_attach(kernel, kernel->device, &pt), 0);
    assert_true(pt != kernel->hwpt && pt != other);
    assert_int_equal(iommufd_destroy(kernel, kernel->hwpt), -ENOENT);
    assert_int_equal(iommufd_pinned(kernel), 0);
    assert_int_equal(iommufd_destroy(kernel, kernel->ioas), 0);
    assert_int_equal(iommufd_destroy(kernel, other), -EBUSY);
}

static void replacing_moves_the_reserved_iovas(void **state)
{
    Kernel *kernel = *state;
    uint32_t other = iommufd_new_ioas(kernel);

    assert_int_equal(attach_to(kernel, other), 0);
    assert_true(can_map_at(kernel, WINDOW));
    assert_true(can_map_at(kernel, LAST_IOVA + 1));
    kernel->ioas = other;
    assert_false(can_map_at(kernel, WINDOW));
    assert_false(can_map_at(kernel, LAST_IOVA + 1));
}

static void an_allocated_hwpt_survives_its_replacement(void **state)
{
    Kernel *kernel = *state;
    uint32_t hwpt;

    assert_int_equal(iommufd_new_hwpt(kernel, kernel->ioas, &hwpt), 0);
    assert_int_equal(attach_to(kernel, hwpt), 0);
    assert_int_equal(attach_to(kernel, kernel->ioas), 0);
    assert_int_equal(iommufd_destroy(kernel, hwpt), 0);
}

static void a_failed_replacement_keeps_the_old_attachment(void **state)
{
    Kernel *kernel = *state;
    uint32_t first = kernel->ioas;

    assert_int_equal(iommufd_map(kernel, IOVA, kernel->memory, 4 * PAGE), 0);
    kernel->ioas = iommufd_new_ioas(kernel);
    assert_int_equal(iommufd_map(kernel, IOVA, NULL, PAGE), 0);
    assert_int_equal(attach_to(kernel, kernel->ioas), -EFAULT);
    assert_int_equal(iommufd_pinned(kernel), 4 * PAGE);
    assert_int_equal(iommufd_destroy(kernel, kernel->hwpt), -EBUSY);
    assert_int_equal(iommufd_destroy(kernel, kernel->ioas), 0);
    assert_int_equal(attach_to(kernel, first), 0);
}

static void detach_twice_succeeds(void **state)
{
    detach(*state);
    detach(*state);
}

static void a_second_device_shares_the_hwpt_and_pins_nothing(void **state)
{
    Kernel *kernel = *state;
    uint32_t id;
    int second = cdev_open_bound(kernel, OTHER_DEVICE, &id);
    uint32_t pt = kernel->ioas;

    assert_int_equal(iommufd_map(kernel, IOVA, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(cdev_attach(kernel, second, &pt), 0);
    assert_int_equal(pt, kernel->hwpt);
    assert_int_equal(iommufd_pinned(kernel), 4 * PAGE);
    detach(kernel);
    assert_int_equal(iommufd_pinned(kernel), 4 * PAGE);
    assert_int_equal(iommufd_destroy(kernel, kernel->hwpt), -EBUSY);
    assert_int_equal(cdev_detach(kernel, second), 0);
    assert_int_equal(iommufd_pinned(kernel), 0);
}

/* --- errors --- */

static void unreadable_structs_fail_with_efault(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_ioctl(kernel, kernel->device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, NULL),
                     -EFAULT);
    assert_int_equal(kernel_ioctl(kernel, kernel->device, VFIO_DEVICE_DETACH_IOMMUFD_PT, NULL),
                     -EFAULT);
}

static void short_argsz_and_flags_fail_with_einval(void **state)
{
    Kernel *kernel = *state;
    struct vfio_device_attach_iommufd_pt attach = {.argsz = 11, .pt_id = kernel->ioas};
    struct vfio_device_detach_iommufd_pt leave = {.argsz = 7};

    assert_int_equal(attach_struct(kernel, attach), -EINVAL);
    attach = (struct vfio_device_attach_iommufd_pt){.argsz = 12, .flags = 1, .pt_id = NO_ID};
    assert_int_equal(attach_struct(kernel, attach), -EINVAL);
    assert_int_equal(kernel_ioctl(kernel, kernel->device, VFIO_DEVICE_DETACH_IOMMUFD_PT, &leave),
                     -EINVAL);
    leave = (struct vfio_device_detach_iommufd_pt){.argsz = 8, .flags = 1};
    assert_int_equal(kernel_ioctl(kernel, kernel->device, VFIO_DEVICE_DETACH_IOMMUFD_PT, &leave),
                     -EINVAL);
    assert_int_equal(iommufd_destroy(kernel, kernel->hwpt), -EBUSY);
}

static void an_unknown_id_fails_with_enoent_and_a_wrong_object_with_einval(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(attach_to(kernel, NO_ID), -ENOENT);
    assert_int_equal(attach_to(kernel, kernel->device_id), -EINVAL);
    detach(kernel);
    assert_int_equal(attach_to(kernel, NO_ID), -ENOENT);
    assert_int_equal(attach_to(kernel, kernel->device_id), -EINVAL);
}

/* Fails; the IOAS still has its area, no HWPT and all its IOVAs. */
static void check_area(Kernel *kernel, uint64_t iova, const void *host, uint64_t length,
                       int error_number)
{
    detach(kernel);
    assert_int_equal(iommufd_map(kernel, iova, host, length), 0);
    assert_int_equal(attach_to(kernel, kernel->ioas), -error_number);
    assert_int_equal(iommufd_pinned(kernel), 0);
    assert_true(iommufd_had(kernel, iova, length));
    assert_true(can_map_at(kernel, WINDOW));
    assert_true(can_map_at(kernel, LAST_IOVA + 1));
    assert_int_equal(iommufd_new_ioas(kernel), kernel->hwpt);
    assert_int_equal(attach_to(kernel, kernel->ioas), 0);
}

static void an_area_in_the_msi_window_fails_with_eaddrinuse(void **state)
{
    check_area(*state, WINDOW, ((Kernel *)*state)->memory, PAGE, EADDRINUSE);
}

static void an_area_beyond_the_aperture_fails_with_eaddrinuse(void **state)
{
    check_area(*state, LAST_IOVA + 1, ((Kernel *)*state)->memory, PAGE, EADDRINUSE);
}

static void an_unaligned_area_fails_with_eaddrinuse(void **state)
{
    check_area(*state, IOVA + 1, ((Kernel *)*state)->memory, PAGE, EADDRINUSE);
}

static void an_area_smaller_than_a_page_fails_with_eaddrinuse(void **state)
{
    check_area(*state, IOVA, ((Kernel *)*state)->memory, 100, EADDRINUSE);
}

static void an_area_of_unaligned_memory_fails_with_eaddrinuse(void **state)
{
    check_area(*state, IOVA, ((Kernel *)*state)->memory + 1, PAGE, EADDRINUSE);
}

static void bad_memory_fails_with_efault(void **state)
{
    check_area(*state, IOVA, NULL, PAGE, EFAULT);
}

static void bad_memory_at_the_end_of_an_area_fails_and_pins_nothing(void **state)
{
    Kernel *kernel = *state;

    munmap(kernel->memory + 3 * PAGE, PAGE);
    check_area(kernel, IOVA, kernel->memory, 4 * PAGE, EFAULT);
}

static void allowed_iovas_that_the_device_reserves_fail_with_eaddrinuse(void **state)
{
    static const struct iommu_iova_range ranges[] = {{WINDOW - PAGE, WINDOW},
                                                     {WINDOW_LAST, WINDOW_LAST + PAGE}};
    Kernel *kernel = *state;
    struct iommu_ioas_allow_iovas allow = {
        .size = sizeof(allow), .ioas_id = kernel->ioas, .num_iovas = 1};

    detach(kernel);
    for (size_t i = 0; i < G_N_ELEMENTS(ranges); i++) {
        allow.allowed_iovas = (uintptr_t)&ranges[i];
        assert_int_equal(iommufd_ioctl(kernel, IOMMU_IOAS_ALLOW_IOVAS, &allow), 0);
        assert_int_equal(attach_to(kernel, kernel->ioas), -EADDRINUSE);
    }
    allow.num_iovas = 0;
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_IOAS_ALLOW_IOVAS, &allow), 0);
    assert_int_equal(attach_to(kernel, kernel->ioas), 0);
}

/* --- lifetimes --- */

static void closing_the_device_unpins(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(iommufd_map(kernel, IOVA, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(kernel_close(kernel, kernel->device), 0);
    assert_int_equal(iommufd_pinned(kernel), 0);
    assert_true(iommufd_had(kernel, IOVA, 4 * PAGE));
}

static void closing_the_iommufd_keeps_the_pins_of_an_open_device(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(iommufd_map(kernel, IOVA, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(kernel_close(kernel, kernel->iommu), 0);
    assert_int_equal(iommufd_pinned(kernel), 4 * PAGE);
    assert_int_equal(attach_to(kernel, kernel->ioas), 0);
    assert_int_equal(kernel_close(kernel, kernel->device), 0);
    assert_int_equal(iommufd_pinned(kernel), 0);
}

static void a_detached_device_still_holds_the_iommufd(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(iommufd_map(kernel, IOVA, kernel->memory, 4 * PAGE), 0);
    detach(kernel);
    assert_int_equal(kernel_close(kernel, kernel->iommu), 0);
    assert_int_equal(attach_to(kernel, kernel->ioas), 0);
    assert_int_equal(iommufd_pinned(kernel), 4 * PAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_ATTACHED(attach_pins_areas_and_detach_unpins_them),
        TEST_ATTACHED(attach_to_the_same_object_again_changes_nothing),
        TEST_ATTACHED(replacing_destroys_the_automatic_hwpt),
        TEST_ATTACHED(replacing_moves_the_reserved_iovas),
        TEST_ATTACHED(an_allocated_hwpt_survives_its_replacement),
        TEST_ATTACHED(a_failed_replacement_keeps_the_old_attachment),
        TEST_ATTACHED(detach_twice_succeeds),
        TEST_ATTACHED(a_second_device_shares_the_hwpt_and_pins_nothing),
        TEST_ATTACHED(unreadable_structs_fail_with_efault),
        TEST_ATTACHED(short_argsz_and_flags_fail_with_einval),
        TEST_ATTACHED(an_unknown_id_fails_with_enoent_and_a_wrong_object_with_einval),
        TEST_ATTACHED(an_area_in_the_msi_window_fails_with_eaddrinuse),
        TEST_ATTACHED(an_area_beyond_the_aperture_fails_with_eaddrinuse),
        TEST_ATTACHED(an_unaligned_area_fails_with_eaddrinuse),
        TEST_ATTACHED(an_area_smaller_than_a_page_fails_with_eaddrinuse),
        TEST_ATTACHED(an_area_of_unaligned_memory_fails_with_eaddrinuse),
        TEST_ATTACHED(bad_memory_fails_with_efault),
        TEST_ATTACHED(bad_memory_at_the_end_of_an_area_fails_and_pins_nothing),
        TEST_ATTACHED(allowed_iovas_that_the_device_reserves_fail_with_eaddrinuse),
        TEST_ATTACHED(closing_the_device_unpins),
        TEST_ATTACHED(closing_the_iommufd_keeps_the_pins_of_an_open_device),
        TEST_ATTACHED(a_detached_device_still_holds_the_iommufd),
    };

    return RUN_IOMMUFD_TESTS(tests);
}
