/* SPDX-License-Identifier: MIT */
/* VFIO_IOMMU_GET_INFO on the fake kernel, byte for byte as Linux 6.1 and 6.12 write it. */
#include "fake_util.h"

#define FILL 0xa5

typedef union {
    struct vfio_iommu_type1_info info;
    uint8_t bytes[512];
} Answer;

static Fake *with_version(PmFakeLinux version)
{
    PmFakeConfig config;

    pm_fake_config_init(&config);
    config.linux_version = version;
    return fake_with_iommu(&config, VFIO_TYPE1v2_IOMMU);
}

static int get_info(Fake *fake, Answer *answer, uint32_t argsz)
{
    memset(answer, FILL, sizeof(*answer));
    answer->info.argsz = argsz;
    return fake_ioctl(fake, fake->container, VFIO_IOMMU_GET_INFO, answer);
}

/* How many bytes from the start are not as they were. */
static size_t n_written(const Answer *answer)
{
    size_t n = sizeof(*answer);

    while (n > 0 && answer->bytes[n - 1] == FILL)
        n--;
    return n;
}

static uint32_t get_u32(const Answer *answer, size_t offset)
{
    uint32_t value;

    memcpy(&value, answer->bytes + offset, sizeof(value));
    return value;
}

static uint64_t get_u64(const Answer *answer, size_t offset)
{
    uint64_t value;

    memcpy(&value, answer->bytes + offset, sizeof(value));
    return value;
}

static void too_small_an_argsz_is_einval(void **state)
{
    g_autoptr(Fake) fake = with_version(PM_FAKE_LINUX_6_12);
    Answer answer;

    (void)state;
    for (uint32_t argsz = 0; argsz < 16; argsz++) {
        assert_int_equal(get_info(fake, &answer, argsz), -EINVAL);
        assert_int_equal(answer.info.argsz, argsz);
        assert_int_equal(answer.info.flags, 0xa5a5a5a5);
    }
}

static void linux_6_12_writes_as_many_bytes_as_asked(void **state)
{
    g_autoptr(Fake) fake = with_version(PM_FAKE_LINUX_6_12);
    Answer answer;

    (void)state;
    for (uint32_t argsz = 16; argsz < 120; argsz++) {
        assert_int_equal(get_info(fake, &answer, argsz), 0);
        assert_int_equal(n_written(&answer), MIN(argsz, 24));
        assert_int_equal(answer.info.argsz, 120);
        assert_int_equal(answer.info.flags, 3);
        assert_int_equal(answer.info.iova_pgsizes, 0x40201000);
        if (argsz >= 20)
            assert_int_equal(answer.info.cap_offset, 0);
    }
}

static void linux_6_1_writes_cap_offset_whole_or_not_at_all(void **state)
{
    g_autoptr(Fake) fake = with_version(PM_FAKE_LINUX_6_1);
    Answer answer;

    (void)state;
    for (uint32_t argsz = 16; argsz < 116; argsz++) {
        assert_int_equal(get_info(fake, &answer, argsz), 0);
        assert_int_equal(n_written(&answer), argsz < 20 ? 16 : 20);
        assert_int_equal(answer.info.argsz, 116);
    }
}

static void check_chain(PmFakeLinux version, uint32_t size, size_t ranges_at)
{
    g_autoptr(Fake) fake = with_version(version);
    Answer answer;

    assert_int_equal(fake_map(fake, 0, fake->memory, PAGE), 0);
    assert_int_equal(get_info(fake, &answer, size), 0);
    assert_int_equal(answer.info.argsz, size);
    assert_int_equal(answer.info.cap_offset, 24);
    assert_int_equal(n_written(&answer), size);
    /* migration: id and version, next, flags, page sizes, largest bitmap */
    assert_int_equal(get_u32(&answer, 24), 0x10002);
    assert_int_equal(get_u32(&answer, 28), 56);
    assert_int_equal(get_u32(&answer, 32), 0);
    assert_int_equal(get_u64(&answer, 40), 0x1000);
    assert_int_equal(get_u64(&answer, 48), 0x10000000);
    /* dma_avail */
    assert_int_equal(get_u32(&answer, 56), 0x10003);
    assert_int_equal(get_u32(&answer, 60), ranges_at);
    assert_int_equal(get_u32(&answer, 64), 65534);
    /* IOVA ranges */
    assert_int_equal(get_u32(&answer, ranges_at), 0x10001);
    assert_int_equal(get_u32(&answer, ranges_at + 4), 0);
    assert_int_equal(get_u32(&answer, ranges_at + 8), 2);
    assert_int_equal(get_u32(&answer, ranges_at + 12), 0);
    assert_int_equal(get_u64(&answer, ranges_at + 16), 0);
    assert_int_equal(get_u64(&answer, ranges_at + 24), 0xfedfffff);
    assert_int_equal(get_u64(&answer, ranges_at + 32), 0xfef00000);
    assert_int_equal(get_u64(&answer, ranges_at + 40), 0x7fffffffff);
}

static void the_chain_of_linux_6_12_is_padded(void **state)
{
    g_autoptr(Fake) fake = with_version(PM_FAKE_LINUX_6_12);
    Answer answer;

    (void)state;
    check_chain(PM_FAKE_LINUX_6_12, 120, 72);
    assert_int_equal(get_info(fake, &answer, 200), 0);
    assert_int_equal(answer.info.argsz, 200);
    assert_int_equal(get_u32(&answer, 68), 0);
    assert_int_equal(n_written(&answer), 120);
}

static void the_chain_of_linux_6_1_is_not_padded(void **state)
{
    (void)state;
    check_chain(PM_FAKE_LINUX_6_1, 116, 68);
}

static void a_struct_that_cannot_be_written_is_efault(void **state)
{
    g_autoptr(Fake) fake = with_version(PM_FAKE_LINUX_6_12);
    struct vfio_iommu_type1_info *info = (struct vfio_iommu_type1_info *)(void *)fake->memory;

    (void)state;
    info->argsz = sizeof(*info);
    mprotect(fake->memory, PAGE, PROT_READ);
    assert_int_equal(fake_ioctl(fake, fake->container, VFIO_IOMMU_GET_INFO, info), -EFAULT);
    assert_int_equal(fake_ioctl(fake, fake->container, VFIO_IOMMU_GET_INFO, NULL), -EFAULT);
}

static void ranges_and_page_sizes_are_as_configured(void **state)
{
    static const PmIovaRange ranges[] = {{0x1000, 0xffff}, {0x20000, 0x2ffff}, {0x40000, 0x7ffff}};
    PmFakeConfig config;
    g_autoptr(Fake) fake = NULL;
    Answer answer;

    (void)state;
    pm_fake_config_init(&config);
    config.iova_ranges = ranges;
    config.n_iova_ranges = 3;
    config.page_sizes = 0x1000;
    fake = fake_with_iommu(&config, VFIO_TYPE1v2_IOMMU);
    assert_int_equal(get_info(fake, &answer, sizeof(answer)), 0);
    assert_int_equal(answer.info.iova_pgsizes, 0x1000);
    assert_int_equal(get_u32(&answer, 80), 3);
    assert_int_equal(get_u64(&answer, 72 + 16 + 32), 0x40000);
    assert_int_equal(fake_map(fake, 0, fake->memory, PAGE), -EINVAL);
    assert_int_equal(fake_map(fake, 0x1000, fake->memory, PAGE), 0);
}

static void configurations_that_cannot_be_are_refused(void **state)
{
    static const PmIovaRange backwards[] = {{0x2000, 0x1fff}};
    static const PmIovaRange touching[] = {{0, 0xfff}, {0xfff, 0x1fff}};
    PmFakeConfig config;

    (void)state;
    pm_fake_config_init(&config);
    config.page_sizes = 0x800;
    assert_null(pm_fake_kernel_new(&config, NULL));
    pm_fake_config_init(&config);
    config.n_iova_ranges = 0;
    assert_null(pm_fake_kernel_new(&config, NULL));
    config.n_iova_ranges = 1;
    config.iova_ranges = backwards;
    assert_null(pm_fake_kernel_new(&config, NULL));
    config.n_iova_ranges = 2;
    config.iova_ranges = touching;
    assert_null(pm_fake_kernel_new(&config, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(too_small_an_argsz_is_einval),
        cmocka_unit_test(linux_6_12_writes_as_many_bytes_as_asked),
        cmocka_unit_test(linux_6_1_writes_cap_offset_whole_or_not_at_all),
        cmocka_unit_test(the_chain_of_linux_6_12_is_padded),
        cmocka_unit_test(the_chain_of_linux_6_1_is_not_padded),
        cmocka_unit_test(a_struct_that_cannot_be_written_is_efault),
        cmocka_unit_test(ranges_and_page_sizes_are_as_configured),
        cmocka_unit_test(configurations_that_cannot_be_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
