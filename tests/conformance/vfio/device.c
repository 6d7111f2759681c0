/* SPDX-License-Identifier: MIT */
/* A device file's ioctls: device, region and interrupt information. */
#include "util/device_util.h"

static int get_info(Kernel *kernel, struct vfio_device_info *info)
{
    return kernel_ioctl(kernel, device_open(kernel), VFIO_DEVICE_GET_INFO, info);
}

static int get_region(Kernel *kernel, int device, struct vfio_region_info *info)
{
    return kernel_ioctl(kernel, device, VFIO_DEVICE_GET_REGION_INFO, info);
}

static int get_irq(Kernel *kernel, int device, struct vfio_irq_info *info)
{
    return kernel_ioctl(kernel, device, VFIO_DEVICE_GET_IRQ_INFO, info);
}

static void info_reports_a_pci_device_with_9_regions_and_5_irqs(void **state)
{
    struct vfio_device_info info = {.argsz = sizeof(info), .flags = 77, .cap_offset = 77};

    assert_int_equal(get_info(*state, &info), 0);
    assert_int_equal(info.argsz, sizeof(info));
    assert_int_equal(info.flags, VFIO_DEVICE_FLAGS_PCI);
    assert_int_equal(info.num_regions, 9);
    assert_int_equal(info.num_irqs, 5);
    assert_int_equal(info.cap_offset, 0);
}

static void short_info_fails_with_einval(void **state)
{
    struct vfio_device_info info = {.argsz = 15, .flags = 77};

    assert_int_equal(get_info(*state, &info), -EINVAL);
    assert_int_equal(info.flags, 77);
}

static void info_writes_no_more_than_argsz(void **state)
{
    struct vfio_device_info info = {.argsz = 16, .cap_offset = 77, .pad = 77};

    assert_int_equal(get_info(*state, &info), 0);
    assert_int_equal(info.num_irqs, 5);
    assert_int_equal(info.cap_offset, 77);
    assert_int_equal(info.pad, 77);
}

/* 6.1's struct ends before the padding. */
static void info_writes_no_more_than_the_struct(void **state)
{
    const Kernel *kernel = *state;
    struct {
        struct vfio_device_info info;
        uint64_t past_end;
    } longer = {.info = {.argsz = 1000, .cap_offset = 77, .pad = 77}, .past_end = 77};

    assert_int_equal(get_info(*state, &longer.info), 0);
    assert_int_equal(longer.info.argsz, 1000);
    assert_int_equal(longer.info.cap_offset, 0);
    assert_int_equal(longer.info.pad, kernel->is_linux_6_1 ? 77 : 0);
    assert_int_equal(longer.past_end, 77);
}

static void reset_is_not_supported(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_ioctl(kernel, device_open(kernel), VFIO_DEVICE_RESET, NULL), -EINVAL);
}

static void regions_are_a_bar_and_config_space(void **state)
{
    const uint32_t flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
    Kernel *kernel = *state;
    int device = device_open(kernel);

    for (uint32_t index = 0; index < VFIO_PCI_VGA_REGION_INDEX; index++) {
        struct vfio_region_info info = {.argsz = sizeof(info), .index = index, .cap_offset = 77};
        uint64_t size = index == VFIO_PCI_BAR0_REGION_INDEX     ? BAR0_SIZE
                        : index == VFIO_PCI_CONFIG_REGION_INDEX ? 0x100
                                                                : 0;

        assert_int_equal(get_region(kernel, device, &info), 0);
        assert_int_equal(info.argsz, sizeof(info));
        assert_int_equal(info.size, size);
        assert_int_equal(info.flags & ~(uint32_t)VFIO_REGION_INFO_FLAG_MMAP, size > 0 ? flags : 0);
        assert_int_equal(info.offset, REGION(index));
        assert_int_equal(info.cap_offset, 77); /* not written without capabilities */
    }
}

static void there_are_no_regions_from_vga_on(void **state)
{
    Kernel *kernel = *state;
    int device = device_open(kernel);

    for (uint32_t index = VFIO_PCI_VGA_REGION_INDEX; index < 12; index++) {
        struct vfio_region_info info = {.argsz = sizeof(info), .index = index};

        assert_int_equal(get_region(kernel, device, &info), -EINVAL);
    }
}

static void short_region_info_fails_with_einval(void **state)
{
    Kernel *kernel = *state;
    struct vfio_region_info info = {.argsz = sizeof(info) - 1};

    assert_int_equal(get_region(kernel, device_open(kernel), &info), -EINVAL);
}

static void irqs_are_those_of_a_plain_pci_device(void **state)
{
    static const struct {
        int result;
        uint32_t count;
        uint32_t flags;
    } expected[] = {{0, 1, 7}, {0, 1, 9}, {0, 0, 9}, {-EINVAL, 0, 0}, {0, 1, 9}, {-EINVAL, 0, 0}};
    Kernel *kernel = *state;
    int device = device_open(kernel);

    for (uint32_t index = 0; index < G_N_ELEMENTS(expected); index++) {
        struct vfio_irq_info info = {.argsz = sizeof(info), .index = index};

        assert_int_equal(get_irq(kernel, device, &info), expected[index].result);
        assert_int_equal(info.count, expected[index].count);
        assert_int_equal(info.flags, expected[index].flags);
    }
}

static void short_irq_info_fails_with_einval(void **state)
{
    Kernel *kernel = *state;
    struct vfio_irq_info info = {.argsz = sizeof(info) - 1};

    assert_int_equal(get_irq(kernel, device_open(kernel), &info), -EINVAL);
}

static void null_struct_fails_with_efault(void **state)
{
    static const unsigned long requests[] = {VFIO_DEVICE_GET_INFO, VFIO_DEVICE_GET_REGION_INFO,
                                             VFIO_DEVICE_GET_IRQ_INFO};
    Kernel *kernel = *state;
    int device = device_open(kernel);

    for (size_t i = 0; i < G_N_ELEMENTS(requests); i++)
        assert_int_equal(kernel_ioctl(kernel, device, requests[i], NULL), -EFAULT);
}

static void unknown_ioctls_fail_with_enotty(void **state)
{
    static const unsigned long unknown[] = {12345, VFIO_GET_API_VERSION, VFIO_GROUP_GET_STATUS,
                                            VFIO_DEVICE_ATTACH_IOMMUFD_PT,
                                            VFIO_DEVICE_DETACH_IOMMUFD_PT};
    Kernel *kernel = *state;
    int device = device_open(kernel);

    for (size_t i = 0; i < G_N_ELEMENTS(unknown); i++)
        assert_int_equal(kernel_ioctl(kernel, device, unknown[i], NULL), -ENOTTY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(info_reports_a_pci_device_with_9_regions_and_5_irqs),
        TEST(short_info_fails_with_einval),
        TEST(info_writes_no_more_than_argsz),
        TEST(info_writes_no_more_than_the_struct),
        TEST(reset_is_not_supported),
        TEST(regions_are_a_bar_and_config_space),
        TEST(there_are_no_regions_from_vga_on),
        TEST(short_region_info_fails_with_einval),
        TEST(irqs_are_those_of_a_plain_pci_device),
        TEST(short_irq_info_fails_with_einval),
        TEST(null_struct_fails_with_efault),
        TEST(unknown_ioctls_fail_with_enotty),
    };

    return RUN_TESTS(tests);
}
