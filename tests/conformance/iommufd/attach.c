/* SPDX-License-Identifier: MIT */
/* ATTACH and DETACH of a device to an address space or a hardware page table, and what lives until
 * when. */
#include "util/iommufd_util.h"

#define IOVA UINT64_C(0x40000000)

static int attach_struct(Kernel *kernel, struct vfio_device_attach_iommufd_pt attach)
{
    return kernel_ioctl(kernel, kernel->device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach);
}

/* Bound, and not attached. */
static void detach(Kernel *kernel)
{
    assert_int_equal(cdev_detach(kernel, kernel->device), 0);
}

static int attach_to(Kernel *kernel, uint32_t pt)
{
    return cdev_attach(kernel, kernel->device, &pt);
}

/* Whether one more page can be mapped there, which is undone. */
static bool can_map_at(Kernel *kernel, uint64_t iova)
{
    return iommufd_map(kernel, iova, kernel->memory, PAGE) == 0 && iommufd_had(kernel, iova, PAGE);
}

static void attach_pins_what_is_mapped_and_detach_gives_it_back(void **state)
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

static void attach_again_to_the_same_is_nothing_new(void **state)
{
    Kernel *kernel = *state;
    uint32_t pt = kernel->ioas;

    assert_int_equal(cdev_attach(kernel, kernel->device, &pt), 0);
    assert_int_equal(pt, kernel->hwpt);
    assert_int_equal(cdev_attach(kernel, kernel->device, &pt), 0);
    assert_int_equal(pt, kernel->hwpt);
}

static void attach_to_another_replaces_and_destroys_the_kernels_own_page_table(void **state)
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

static void attach_to_another_takes_the_reserved_addresses_along(void **state)
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

static void a_page_table_by_hand_survives_its_replacement(void **state)
{
    Kernel *kernel = *state;
    uint32_t hwpt;

    assert_int_equal(iommufd_new_hwpt(kernel, kernel->ioas, &hwpt), 0);
    assert_int_equal(attach_to(kernel, hwpt), 0);
    assert_int_equal(attach_to(kernel, kernel->ioas), 0);
    assert_int_equal(iommufd_destroy(kernel, hwpt), 0);
}

static void a_replacement_that_fails_leaves_the_old_one(void **state)
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

static void detach_twice_is_fine(void **state)
{
    detach(*state);
    detach(*state);
}

static void the_second_device_shares_the_page_table_and_pins_nothing_more(void **state)
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

/* --- refused --- */

static void structs_that_cannot_be_read_are_efault(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_ioctl(kernel, kernel->device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, NULL),
                     -EFAULT);
    assert_int_equal(kernel_ioctl(kernel, kernel->device, VFIO_DEVICE_DETACH_IOMMUFD_PT, NULL),
                     -EFAULT);
}

static void too_short_an_argsz_and_flags_are_einval(void **state)
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

static void an_unknown_page_table_is_enoent_and_a_wrong_one_einval(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(attach_to(kernel, NO_ID), -ENOENT);
    assert_int_equal(attach_to(kernel, kernel->device_id), -EINVAL);
    detach(kernel);
    assert_int_equal(attach_to(kernel, NO_ID), -ENOENT);
    assert_int_equal(attach_to(kernel, kernel->device_id), -EINVAL);
}

/* Refused, and the address space has its area still, no page table, and all its addresses. */
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

static void an_area_in_the_window_of_interrupts_is_eaddrinuse(void **state)
{
    check_area(*state, WINDOW, ((Kernel *)*state)->memory, PAGE, EADDRINUSE);
}

static void an_area_beyond_what_the_hardware_reaches_is_eaddrinuse(void **state)
{
    check_area(*state, LAST_IOVA + 1, ((Kernel *)*state)->memory, PAGE, EADDRINUSE);
}

static void an_area_off_the_page_is_eaddrinuse(void **state)
{
    check_area(*state, IOVA + 1, ((Kernel *)*state)->memory, PAGE, EADDRINUSE);
}

static void an_area_of_less_than_a_page_is_eaddrinuse(void **state)
{
    check_area(*state, IOVA, ((Kernel *)*state)->memory, 100, EADDRINUSE);
}

static void an_area_of_memory_off_the_page_is_eaddrinuse(void **state)
{
    check_area(*state, IOVA, ((Kernel *)*state)->memory + 1, PAGE, EADDRINUSE);
}

static void bad_memory_is_efault(void **state)
{
    check_area(*state, IOVA, NULL, PAGE, EFAULT);
}

static void memory_that_is_bad_in_the_end_is_efault_and_nothing_stays_pinned(void **state)
{
    Kernel *kernel = *state;

    munmap(kernel->memory + 3 * PAGE, PAGE);
    check_area(kernel, IOVA, kernel->memory, 4 * PAGE, EFAULT);
}

static void what_is_allowed_and_reserved_at_once_is_eaddrinuse(void **state)
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

/* --- what lives until when --- */

static void closing_the_device_unpins(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(iommufd_map(kernel, IOVA, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(kernel_close(kernel, kernel->device), 0);
    assert_int_equal(iommufd_pinned(kernel), 0);
    assert_true(iommufd_had(kernel, IOVA, 4 * PAGE));
}

static void closing_the_iommufd_first_changes_nothing_until_the_device_is_closed(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(iommufd_map(kernel, IOVA, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(kernel_close(kernel, kernel->iommu), 0);
    assert_int_equal(iommufd_pinned(kernel), 4 * PAGE);
    assert_int_equal(attach_to(kernel, kernel->ioas), 0);
    assert_int_equal(kernel_close(kernel, kernel->device), 0);
    assert_int_equal(iommufd_pinned(kernel), 0);
}

static void after_detach_the_iommufd_is_held_still(void **state)
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
        TEST_ATTACHED(attach_pins_what_is_mapped_and_detach_gives_it_back),
        TEST_ATTACHED(attach_again_to_the_same_is_nothing_new),
        TEST_ATTACHED(attach_to_another_replaces_and_destroys_the_kernels_own_page_table),
        TEST_ATTACHED(attach_to_another_takes_the_reserved_addresses_along),
        TEST_ATTACHED(a_page_table_by_hand_survives_its_replacement),
        TEST_ATTACHED(a_replacement_that_fails_leaves_the_old_one),
        TEST_ATTACHED(detach_twice_is_fine),
        TEST_ATTACHED(the_second_device_shares_the_page_table_and_pins_nothing_more),
        TEST_ATTACHED(structs_that_cannot_be_read_are_efault),
        TEST_ATTACHED(too_short_an_argsz_and_flags_are_einval),
        TEST_ATTACHED(an_unknown_page_table_is_enoent_and_a_wrong_one_einval),
        TEST_ATTACHED(an_area_in_the_window_of_interrupts_is_eaddrinuse),
        TEST_ATTACHED(an_area_beyond_what_the_hardware_reaches_is_eaddrinuse),
        TEST_ATTACHED(an_area_off_the_page_is_eaddrinuse),
        TEST_ATTACHED(an_area_of_less_than_a_page_is_eaddrinuse),
        TEST_ATTACHED(an_area_of_memory_off_the_page_is_eaddrinuse),
        TEST_ATTACHED(bad_memory_is_efault),
        TEST_ATTACHED(memory_that_is_bad_in_the_end_is_efault_and_nothing_stays_pinned),
        TEST_ATTACHED(what_is_allowed_and_reserved_at_once_is_eaddrinuse),
        TEST_ATTACHED(closing_the_device_unpins),
        TEST_ATTACHED(closing_the_iommufd_first_changes_nothing_until_the_device_is_closed),
        TEST_ATTACHED(after_detach_the_iommufd_is_held_still),
    };

    return RUN_IOMMUFD_TESTS(tests);
}
