/* SPDX-License-Identifier: MIT */
/* VFIO_IOMMU_GET_INFO on /dev/iommu. */
#include "util/iommufd_util.h"

/* Offsets of the capabilities: dma_avail, then after its padding the ranges. */
#define AVAILABLE 24
#define RANGES    40

typedef union {
    struct vfio_iommu_type1_info info;
    uint8_t bytes[128];
} Answer;

static int get(Kernel *kernel, Answer *answer, uint32_t argsz)
{
    memset(answer, 0x77, sizeof(*answer));
    answer->info.argsz = argsz;
    return kernel_ioctl(kernel, kernel->container, VFIO_IOMMU_GET_INFO, answer);
}

/* Checks one range of the answer. */
static uint32_t get_ranges(const Answer *answer, struct vfio_iova_range *ranges)
{
    struct vfio_iommu_type1_info_cap_iova_range capability;

    memcpy(&capability, answer->bytes + RANGES, sizeof(capability));
    assert_int_equal(capability.header.id, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE);
    assert_int_equal(capability.header.version, 1);
    assert_int_equal(capability.header.next, 0);
    assert_in_range(capability.nr_iovas, 1, 2);
    memcpy(ranges, answer->bytes + RANGES + sizeof(capability),
           capability.nr_iovas * sizeof(*ranges));
    return capability.nr_iovas;
}

static void info_reports_the_hardware_page_sizes(void **state)
{
    Answer answer;

    assert_int_equal(get(*state, &answer, sizeof(answer)), 0);
    assert_int_equal(answer.info.flags, VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS);
    assert_int_equal(answer.info.iova_pgsizes, 0x40201000);
    assert_int_equal(answer.info.cap_offset, AVAILABLE);
    assert_int_equal(answer.info.argsz, 88);
}

static void without_a_device_all_page_sizes_are_reported(void **state)
{
    Answer answer;

    assert_int_equal(get(*state, &answer, sizeof(answer)), 0);
    assert_int_equal(answer.info.iova_pgsizes, ~UINT64_C(0xfff));
    assert_int_equal(answer.info.argsz, 72);
}

static void dma_avail_is_u32_max(void **state)
{
    struct vfio_iommu_type1_info_dma_avail available;
    Answer answer;

    assert_int_equal(get(*state, &answer, sizeof(answer)), 0);
    memcpy(&available, answer.bytes + AVAILABLE, sizeof(available));
    assert_int_equal(available.header.id, VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL);
    assert_int_equal(available.header.version, 1);
    assert_int_equal(available.header.next, RANGES);
    assert_int_equal(available.avail, UINT32_MAX);
    /* The kernel does not write the padding. */
    assert_int_equal(answer.bytes[AVAILABLE + sizeof(available)], 0x77);
}

static void with_a_device_info_reports_its_ranges(void **state)
{
    struct vfio_iova_range ranges[2];
    Answer answer;

    assert_int_equal(get(*state, &answer, sizeof(answer)), 0);
    assert_int_equal(get_ranges(&answer, ranges), 2);
    assert_int_equal(ranges[0].start, 0);
    assert_int_equal(ranges[0].end, WINDOW - 1);
    assert_int_equal(ranges[1].start, WINDOW_LAST + 1);
    assert_int_equal(ranges[1].end, LAST_IOVA);
}

static void without_a_device_the_range_is_everything(void **state)
{
    struct vfio_iova_range ranges[2];
    Answer answer;

    assert_int_equal(get(*state, &answer, sizeof(answer)), 0);
    assert_int_equal(get_ranges(&answer, ranges), 1);
    assert_int_equal(ranges[0].start, 0);
    assert_int_equal(ranges[0].end, UINT64_MAX);
}

static void short_argsz_fails_with_einval_and_writes_nothing(void **state)
{
    Answer answer;

    assert_int_equal(get(*state, &answer, 15), -EINVAL);
    assert_int_equal(answer.info.argsz, 15);
    assert_int_equal(answer.info.flags, 0x77777777);
}

static void info_writes_no_more_than_argsz(void **state)
{
    for (uint32_t argsz = 16; argsz <= 24; argsz++) {
        Answer answer;

        assert_int_equal(get(*state, &answer, argsz), 0);
        assert_int_equal(answer.info.argsz, 88);
        assert_int_equal(answer.bytes[argsz], 0x77);
        assert_int_equal(answer.bytes[argsz - 1] == 0x77, false);
    }
}

static void argsz_always_returns_the_full_size(void **state)
{
    Answer answer;

    assert_int_equal(get(*state, &answer, 87), 0);
    assert_int_equal(answer.info.argsz, 88);
    assert_int_equal(answer.info.cap_offset, 0);
    assert_int_equal(get(*state, &answer, 88), 0);
    assert_int_equal(answer.info.argsz, 88);
    assert_int_equal(answer.info.cap_offset, AVAILABLE);
    assert_int_equal(answer.bytes[88], 0x77);
}

static void capabilities_that_fit_are_written_even_if_others_do_not(void **state)
{
    struct vfio_iommu_type1_info_dma_avail available;
    Answer answer;

    assert_int_equal(get(*state, &answer, 36), 0);
    assert_int_equal(answer.info.cap_offset, 0);
    memcpy(&available, answer.bytes + AVAILABLE, sizeof(available));
    assert_int_equal(available.header.id, VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL);
    assert_int_equal(available.avail, UINT32_MAX);
    assert_int_equal(answer.bytes[36], 0x77);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_COMPAT_DEVICE(info_reports_the_hardware_page_sizes),
        TEST_COMPAT(without_a_device_all_page_sizes_are_reported),
        TEST_COMPAT_DEVICE(dma_avail_is_u32_max),
        TEST_COMPAT_DEVICE(with_a_device_info_reports_its_ranges),
        TEST_COMPAT(without_a_device_the_range_is_everything),
        TEST_COMPAT_DEVICE(short_argsz_fails_with_einval_and_writes_nothing),
        TEST_COMPAT_DEVICE(info_writes_no_more_than_argsz),
        TEST_COMPAT_DEVICE(argsz_always_returns_the_full_size),
        TEST_COMPAT_DEVICE(capabilities_that_fit_are_written_even_if_others_do_not),
    };

    return RUN_IOMMUFD_TESTS(tests);
}
