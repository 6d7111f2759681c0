/* SPDX-License-Identifier: MIT */
/* A device file's ioctls: what it is, its regions, its interrupts. */
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

static void info_tells_a_pci_device_with_9_regions_and_5_irqs(void **state)
{
    struct vfio_device_info info = {.argsz = sizeof(info), .flags = 77, .cap_offset = 77};

    assert_int_equal(get_info(*state, &info), 0);
    assert_int_equal(info.argsz, sizeof(info));
    assert_int_equal(info.flags, VFIO_DEVICE_FLAGS_PCI);
    assert_int_equal(info.num_regions, 9);
    assert_int_equal(info.num_irqs, 5);
    assert_int_equal(info.cap_offset, 0);
}

static void too_short_an_info_is_einval(void **state)
{
    struct vfio_device_info info = {.argsz = 15, .flags = 77};

    assert_int_equal(get_info(*state, &info), -EINVAL);
    assert_int_equal(info.flags, 77);
}

static void info_writes_no_more_than_asked(void **state)
{
    struct vfio_device_info info = {.argsz = 16, .cap_offset = 77, .pad = 77};

    assert_int_equal(get_info(*state, &info), 0);
    assert_int_equal(info.num_irqs, 5);
    assert_int_equal(info.cap_offset, 77);
    assert_int_equal(info.pad, 77);
}

/* 6.1's struct ends before the padding. */
static void info_writes_no_more_than_is_known(void **state)
{
    const Kernel *kernel = *state;
    struct {
        struct vfio_device_info info;
        uint64_t behind;
    } longer = {.info = {.argsz = 1000, .cap_offset = 77, .pad = 77}, .behind = 77};

    assert_int_equal(get_info(*state, &longer.info), 0);
    assert_int_equal(longer.info.argsz, 1000);
    assert_int_equal(longer.info.cap_offset, 0);
    assert_int_equal(longer.info.pad, kernel->is_linux_6_1 ? 77 : 0);
    assert_int_equal(longer.behind, 77);
}

static void it_cannot_be_reset(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_ioctl(kernel, device_open(kernel), VFIO_DEVICE_RESET, NULL), -EINVAL);
}

static void regions_are_a_bar_and_the_configuration_space(void **state)
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

static void there_is_no_region_from_vga_on(void **state)
{
    Kernel *kernel = *state;
    int device = device_open(kernel);

    for (uint32_t index = VFIO_PCI_VGA_REGION_INDEX; index < 12; index++) {
        struct vfio_region_info info = {.argsz = sizeof(info), .index = index};

        assert_int_equal(get_region(kernel, device, &info), -EINVAL);
    }
}

static void too_short_a_region_info_is_einval(void **state)
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

static void too_short_an_irq_info_is_einval(void **state)
{
    Kernel *kernel = *state;
    struct vfio_irq_info info = {.argsz = sizeof(info) - 1};

    assert_int_equal(get_irq(kernel, device_open(kernel), &info), -EINVAL);
}

static void null_for_a_struct_is_efault(void **state)
{
    static const unsigned long requests[] = {VFIO_DEVICE_GET_INFO, VFIO_DEVICE_GET_REGION_INFO,
                                             VFIO_DEVICE_GET_IRQ_INFO};
    Kernel *kernel = *state;
    int device = device_open(kernel);

    for (size_t i = 0; i < G_N_ELEMENTS(requests); i++)
        assert_int_equal(kernel_ioctl(kernel, device, requests[i], NULL), -EFAULT);
}

static void unknown_requests_are_enotty(void **state)
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
        TEST(info_tells_a_pci_device_with_9_regions_and_5_irqs),
        TEST(too_short_an_info_is_einval),
        TEST(info_writes_no_more_than_asked),
        TEST(info_writes_no_more_than_is_known),
        TEST(it_cannot_be_reset),
        TEST(regions_are_a_bar_and_the_configuration_space),
        TEST(there_is_no_region_from_vga_on),
        TEST(too_short_a_region_info_is_einval),
        TEST(irqs_are_those_of_a_plain_pci_device),
        TEST(too_short_an_irq_info_is_einval),
        TEST(null_for_a_struct_is_efault),
        TEST(unknown_requests_are_enotty),
    };

    return RUN_TESTS(tests);
}
