/* SPDX-License-Identifier: MIT */
/* VFIO_IOMMU_GET_INFO, byte for byte as Linux 6.1 and 6.12 write it. */
#include "util/kernel_util.h"

#define FILL 0xa5

typedef union {
    struct vfio_iommu_type1_info info;
    uint8_t bytes[512];
} Answer;

static int get_info(Kernel *kernel, Answer *answer, uint32_t argsz)
{
    memset(answer, FILL, sizeof(*answer));
    answer->info.argsz = argsz;
    return kernel_ioctl(kernel, kernel->container, VFIO_IOMMU_GET_INFO, answer);
}

/* Length of the prefix that was written. */
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

static void short_argsz_fails_with_einval(void **state)
{
    Kernel *kernel = *state;
    Answer answer;

    for (uint32_t argsz = 0; argsz < 16; argsz++) {
        assert_int_equal(get_info(kernel, &answer, argsz), -EINVAL);
        assert_int_equal(answer.info.argsz, argsz);
        assert_int_equal(answer.info.flags, 0xa5a5a5a5);
    }
}

/* 6.1 writes cap_offset whole or not at all, and never the padding after it. */
static size_t expected_n_written(const Kernel *kernel, uint32_t argsz)
{
    if (kernel->is_linux_6_1)
        return argsz < 20 ? 16 : 20;
    return MIN(argsz, 24);
}

static uint32_t needed(const Kernel *kernel)
{
    return kernel->is_linux_6_1 ? 116 : 120;
}

static void argsz_without_room_for_capabilities_returns_the_size_needed(void **state)
{
    Kernel *kernel = *state;
    Answer answer;

    for (uint32_t argsz = 16; argsz < needed(kernel); argsz++) {
        assert_int_equal(get_info(kernel, &answer, argsz), 0);
        assert_int_equal(n_written(&answer), expected_n_written(kernel, argsz));
        assert_int_equal(answer.info.argsz, needed(kernel));
        assert_int_equal(answer.info.flags, 3);
        assert_int_equal(answer.info.iova_pgsizes, 0x40201000);
        if (argsz >= 20)
            assert_int_equal(answer.info.cap_offset, 0);
    }
}

static void capabilities_follow_the_struct(void **state)
{
    Kernel *kernel = *state;
    const uint32_t sizes[] = {needed(kernel), 200};
    Answer answer;

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        assert_int_equal(get_info(kernel, &answer, sizes[i]), 0);
        assert_int_equal(answer.info.argsz, sizes[i]);
        assert_int_equal(answer.info.flags, 3);
        assert_int_equal(answer.info.cap_offset, 24);
        assert_int_equal(n_written(&answer), needed(kernel));
    }
}

static void the_first_capability_is_migration(void **state)
{
    Answer answer;

    assert_int_equal(get_info(*state, &answer, sizeof(answer)), 0);
    assert_int_equal(get_u32(&answer, 24), 0x10002);
    assert_int_equal(get_u32(&answer, 28), 56);
    assert_int_equal(get_u32(&answer, 32), 0);
    assert_int_equal(get_u64(&answer, 40), 0x1000);
    assert_int_equal(get_u64(&answer, 48), 0x10000000);
}

/* 6.12 pads it to 8 bytes, with zeros. */
static void the_second_capability_is_dma_avail(void **state)
{
    Kernel *kernel = *state;
    Answer answer;

    assert_int_equal(kernel_map(kernel, 0, kernel->memory, PAGE), 0);
    assert_int_equal(get_info(kernel, &answer, sizeof(answer)), 0);
    assert_int_equal(get_u32(&answer, 56), 0x10003);
    assert_int_equal(get_u32(&answer, 60), kernel->is_linux_6_1 ? 68 : 72);
    assert_int_equal(get_u32(&answer, 64), ENTRY_LIMIT - 1);
    if (!kernel->is_linux_6_1)
        assert_int_equal(get_u32(&answer, 68), 0);
}

static void the_third_capability_is_the_iova_ranges(void **state)
{
    const Kernel *kernel = *state;
    size_t at = kernel->is_linux_6_1 ? 68 : 72;
    Answer answer;

    assert_int_equal(get_info(*state, &answer, sizeof(answer)), 0);
    assert_int_equal(get_u32(&answer, at), 0x10001);
    assert_int_equal(get_u32(&answer, at + 4), 0);
    assert_int_equal(get_u32(&answer, at + 8), 2);
    assert_int_equal(get_u32(&answer, at + 12), 0);
    assert_int_equal(get_u64(&answer, at + 16), 0);
    assert_int_equal(get_u64(&answer, at + 24), 0xfedfffff);
    assert_int_equal(get_u64(&answer, at + 32), 0xfef00000);
    assert_int_equal(get_u64(&answer, at + 40), 0x7fffffffff);
}

static void dma_avail_follows_every_map_and_unmap(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_available(kernel), ENTRY_LIMIT);
    assert_int_equal(kernel_map(kernel, 0, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(kernel_available(kernel), ENTRY_LIMIT - 1);
    assert_int_equal(kernel_map(kernel, 0, kernel->memory, PAGE), -EEXIST);
    assert_int_equal(kernel_available(kernel), ENTRY_LIMIT - 1);
    assert_int_equal(kernel_map(kernel, 0x10000, NULL, PAGE), -EFAULT);
    assert_int_equal(kernel_available(kernel), ENTRY_LIMIT - 1);
    assert_int_equal(kernel_map(kernel, 0x10000, kernel->memory, PAGE), 0);
    assert_int_equal(kernel_available(kernel), ENTRY_LIMIT - 2);
    assert_int_equal(kernel_unmap(kernel, 0, 0x100000, NULL), 0);
    assert_int_equal(kernel_available(kernel), ENTRY_LIMIT);
}

static void unreadable_struct_fails_with_efault(void **state)
{
    Kernel *kernel = *state;
    struct vfio_iommu_type1_info *info = (void *)(kernel->memory + PAGE - 8);

    info->argsz = sizeof(*info);
    mprotect(kernel->memory + PAGE, PAGE, PROT_NONE);
    assert_int_equal(kernel_ioctl(kernel, kernel->container, VFIO_IOMMU_GET_INFO, info), -EFAULT);
    assert_int_equal(kernel_ioctl(kernel, kernel->container, VFIO_IOMMU_GET_INFO, NULL), -EFAULT);
}

static void unwritable_struct_fails_with_efault(void **state)
{
    Kernel *kernel = *state;
    struct vfio_iommu_type1_info *info = (void *)kernel->memory;

    info->argsz = sizeof(*info);
    mprotect(kernel->memory, PAGE, PROT_READ);
    assert_int_equal(kernel_ioctl(kernel, kernel->container, VFIO_IOMMU_GET_INFO, info), -EFAULT);
}

static void unwritable_capabilities_fail_with_efault(void **state)
{
    Kernel *kernel = *state;
    struct vfio_iommu_type1_info *info = (void *)(kernel->memory + PAGE - sizeof(*info));

    info->argsz = 200;
    mprotect(kernel->memory + PAGE, PAGE, PROT_READ);
    assert_int_equal(kernel_ioctl(kernel, kernel->container, VFIO_IOMMU_GET_INFO, info), -EFAULT);
}

static void version_1_returns_the_same(void **state)
{
    Kernel *kernel = *state;
    Answer answer;

    assert_int_equal(get_info(kernel, &answer, sizeof(answer)), 0);
    assert_int_equal(answer.info.flags, 3);
    assert_int_equal(n_written(&answer), needed(kernel));
    assert_int_equal(kernel_available(kernel), ENTRY_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(short_argsz_fails_with_einval),
        TEST(argsz_without_room_for_capabilities_returns_the_size_needed),
        TEST(capabilities_follow_the_struct),
        TEST(the_first_capability_is_migration),
        TEST(the_second_capability_is_dma_avail),
        TEST(the_third_capability_is_the_iova_ranges),
        TEST(dma_avail_follows_every_map_and_unmap),
        TEST(unreadable_struct_fails_with_efault),
        TEST(unwritable_struct_fails_with_efault),
        TEST(unwritable_capabilities_fail_with_efault),
        TEST_V1(version_1_returns_the_same),
    };

    return RUN_TESTS(tests);
}
