/* SPDX-License-Identifier: MIT */
/* The device keeps pinned pages until UNMAP, whatever the process does with its addresses; and how
 * they are charged. */
#include "util/device_util.h"

#define IOVA UINT64_C(0x40000000)

static int map_and_open(Kernel *kernel, uint8_t byte)
{
    int device = device_open(kernel);

    device_enable_dma(kernel, device);
    memset(kernel->memory, byte, PAGE);
    assert_int_equal(kernel_map(kernel, IOVA, kernel->memory, PAGE), 0);
    return device;
}

static uint8_t peek(Kernel *kernel, int device, uint64_t iova)
{
    uint8_t byte;

    device_peek(kernel, device, iova, &byte, 1);
    return byte;
}

static void after_munmap_the_device_still_has_the_page(void **state)
{
    Kernel *kernel = *state;
    int device = map_and_open(kernel, 0x5a);

    assert_int_equal(munmap(kernel->memory, PAGE), 0);
    assert_int_equal(peek(kernel, device, IOVA), 0x5a);
    device_fill(kernel, device, IOVA, 0x22, 1);
    assert_int_equal(peek(kernel, device, IOVA), 0x22);
    assert_int_equal(kernel_locked(kernel), PAGE);
}

static void after_munmap_unmap_works_as_usual(void **state)
{
    Kernel *kernel = *state;
    uint64_t n_bytes;

    assert_int_equal(kernel_map(kernel, IOVA, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(munmap(kernel->memory, 4 * PAGE), 0);
    assert_int_equal(kernel_unmap(kernel, IOVA, 4 * PAGE, &n_bytes), 0);
    assert_int_equal(n_bytes, 4 * PAGE);
    assert_int_equal(kernel_locked(kernel), 0);
}

static void after_dontneed_device_and_process_have_different_pages(void **state)
{
    Kernel *kernel = *state;
    int device = map_and_open(kernel, 0x5a);

    assert_int_equal(madvise(kernel->memory, PAGE, MADV_DONTNEED), 0);
    assert_int_equal(kernel->memory[0], 0);
    assert_int_equal(peek(kernel, device, IOVA), 0x5a);
    device_fill(kernel, device, IOVA, 0x22, 1);
    assert_int_equal(kernel->memory[0], 0);
}

static void after_dontneed_remapping_shares_the_page_again(void **state)
{
    Kernel *kernel = *state;
    int device = map_and_open(kernel, 0x5a);

    assert_int_equal(madvise(kernel->memory, PAGE, MADV_DONTNEED), 0);
    kernel->memory[0] = 0x33;
    assert_int_equal(kernel_unmap(kernel, IOVA, PAGE, NULL), 0);
    assert_int_equal(kernel_map(kernel, IOVA, kernel->memory, PAGE), 0);
    assert_int_equal(peek(kernel, device, IOVA), 0x33);
}

static void after_mprotect_the_device_can_still_write(void **state)
{
    Kernel *kernel = *state;
    int device = map_and_open(kernel, 0x5a);

    assert_int_equal(mprotect(kernel->memory, PAGE, PROT_READ), 0);
    device_fill(kernel, device, IOVA, 0x22, 1);
    assert_int_equal(kernel->memory[0], 0x22);
}

static void after_mprotect_to_none_the_device_can_still_write(void **state)
{
    Kernel *kernel = *state;
    int device = map_and_open(kernel, 0x5a);

    assert_int_equal(mprotect(kernel->memory, PAGE, PROT_NONE), 0);
    assert_int_equal(peek(kernel, device, IOVA), 0x5a);
    device_fill(kernel, device, IOVA, 0x22, 1);
    assert_int_equal(mprotect(kernel->memory, PAGE, PROT_READ), 0);
    assert_int_equal(kernel->memory[0], 0x22);
}

static void after_ftruncate_the_device_keeps_the_page(void **state)
{
    Kernel *kernel = *state;
    int device = device_open(kernel);
    int fd = memfd_create("cut", MFD_CLOEXEC);
    char *memory;

    device_enable_dma(kernel, device);
    assert_int_equal(ftruncate(fd, PAGE), 0);
    memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    memory[0] = 0x5a;
    assert_int_equal(kernel_map(kernel, IOVA, memory, PAGE), 0);
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(peek(kernel, device, IOVA), 0x5a);
    munmap(memory, PAGE);
    close(fd);
}

/* 6.1 pins the shared zero page, which is never charged; 6.12 allocates a page. */
static void untouched_memory_mapped_read_only_is_charged_by_6_12_only(void **state)
{
    Kernel *kernel = *state;

    madvise(kernel->memory, MEMORY_SIZE, MADV_NOHUGEPAGE);
    assert_int_equal(
        kernel_map_flags(kernel, VFIO_DMA_MAP_FLAG_READ, IOVA, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(kernel_locked(kernel), kernel->is_linux_6_1 ? 0 : 4 * PAGE);
    assert_int_equal(kernel_unmap(kernel, IOVA, 4 * PAGE, NULL), 0);
    assert_int_equal(kernel_locked(kernel), 0);
}

static void untouched_memory_mapped_read_only_stays_zero_for_the_device_on_6_1(void **state)
{
    Kernel *kernel = *state;
    int device = device_open(kernel);

    device_enable_dma(kernel, device);
    madvise(kernel->memory, MEMORY_SIZE, MADV_NOHUGEPAGE);
    assert_int_equal(kernel_map_flags(kernel, VFIO_DMA_MAP_FLAG_READ, IOVA, kernel->memory, PAGE),
                     0);
    kernel->memory[0] = 0x5a;
    assert_int_equal(peek(kernel, device, IOVA), kernel->is_linux_6_1 ? 0 : 0x5a);
}

static void part_of_a_huge_page_is_charged_by_small_pages(void **state)
{
    const size_t size = 2 * PM_MIB;
    Kernel *kernel = *state;
    void *memory =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);

    if (memory == MAP_FAILED && kernel->is_fake) {
        print_message("no huge page on this host: reserve some (/proc/sys/vm/nr_hugepages), or "
                      "run it in the VM\n");
        skip();
    }
    assert_ptr_not_equal(memory, MAP_FAILED);
    assert_int_equal(kernel_map(kernel, IOVA, memory, PAGE), 0);
    assert_int_equal(kernel_locked(kernel), PAGE);
    assert_int_equal(kernel_map(kernel, IOVA + PM_GIB, memory, size), 0);
    assert_int_equal(kernel_locked(kernel), PAGE + size);
    munmap(memory, size);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(after_munmap_the_device_still_has_the_page),
        TEST(after_munmap_unmap_works_as_usual),
        TEST(after_dontneed_device_and_process_have_different_pages),
        TEST(after_dontneed_remapping_shares_the_page_again),
        TEST(after_mprotect_the_device_can_still_write),
        TEST(after_mprotect_to_none_the_device_can_still_write),
        TEST(after_ftruncate_the_device_keeps_the_page),
        TEST(untouched_memory_mapped_read_only_is_charged_by_6_12_only),
        TEST(untouched_memory_mapped_read_only_stays_zero_for_the_device_on_6_1),
        TEST(part_of_a_huge_page_is_charged_by_small_pages),
    };

    return cmocka_run_group_tests(tests, kernel_check_pins, NULL);
}
