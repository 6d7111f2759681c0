/* SPDX-License-Identifier: MIT */
/* On a real kernel and a real IOMMU: unplugged memory returns to the host, to the byte, while a
 * device keeps its mappings of the memory around it. Run in the VM by ctest
 * vm/unplugged_memory_is_freed_by_*. */
#include "vm_stack.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <plugmap/iommu_claim.h>

static const Memory anonymous = {PM_RAM_ANONYMOUS, 2 * PM_MIB};
static const Memory memfd = {PM_RAM_MEMFD, 2 * PM_MIB};
static const Memory memfd_of_single_pages = {PM_RAM_MEMFD, 4 * PM_KIB};
static const Memory hugetlb = {PM_RAM_HUGETLB_2M, 2 * PM_MIB};

static uint64_t resident_bytes(const PmRam *ram)
{
    uint64_t size = pm_ram_get_size(ram);
    uint64_t page_size = (uint64_t)sysconf(_SC_PAGESIZE);
    g_autofree unsigned char *pages = g_malloc(size / page_size);
    uint64_t n_resident = 0;

    assert_int_equal(mincore(pm_ram_get_host(ram), size, pages), 0);
    for (uint64_t i = 0; i < size / page_size; i++)
        n_resident += pages[i] & 1;
    return n_resident * page_size;
}

/* Memory that the host holds: resident pages, or allocated blocks of the file. */
static uint64_t held_bytes(const PmRam *ram)
{
    uint64_t offset;
    int fd = pm_ram_get_fd(ram, &offset);
    struct stat status;

    if (fd < 0)
        return resident_bytes(ram);
    assert_int_equal(fstat(fd, &status), 0);
    return (uint64_t)status.st_blocks * 512;
}

/* Every counter agrees on @n_plugged blocks. */
static void assert_held(Stack *stack, unsigned n_plugged)
{
    uint64_t expected = n_plugged * stack->memory->block_size;
    PmLockedMemory locked = {.struct_size = sizeof(locked)};
    uint64_t resident;

    assert_int_equal(held_bytes(stack->ram), expected);
    assert_int_equal(resident_bytes(stack->ram), expected);
    assert_true(pm_ram_resident(stack->ram, 0, pm_ram_get_size(stack->ram), &resident, NULL));
    assert_int_equal(resident, expected);
    assert_int_equal(pm_iommu_get_n_mappings(stack->iommu), n_plugged);
    assert_true(pm_iommu_query_locked_memory(stack->iommu, &locked, NULL));
    assert_int_equal(locked.used, expected);
    if (stack->memory->kind == PM_RAM_HUGETLB_2M)
        assert_int_equal(vm_meminfo("HugePages_Free"), stack->n_pool_free - n_plugged);
}

static void unplugged_runs_are_freed_to_the_byte(void **state)
{
    static const Step steps[] = {
        {VIRTIO_MEM_REQ_PLUG, 0, 40},    {VIRTIO_MEM_REQ_PLUG, 48, 40},
        {VIRTIO_MEM_REQ_PLUG, 100, 28},  {VIRTIO_MEM_REQ_UNPLUG, 8, 24}, /* inside a run */
        {VIRTIO_MEM_REQ_UNPLUG, 48, 1},  {VIRTIO_MEM_REQ_UNPLUG, 60, 20},
        {VIRTIO_MEM_REQ_UNPLUG, 127, 1}, {VIRTIO_MEM_REQ_PLUG, 10, 4},
        {VIRTIO_MEM_REQ_UNPLUG, 12, 1},  {VIRTIO_MEM_REQ_UNPLUG, 0, 8},
        {VIRTIO_MEM_REQ_PLUG, 40, 8},    {VIRTIO_MEM_REQ_UNPLUG, 32, 16}, /* of two requests */
    };
    const Step unplug_all = {.request = VIRTIO_MEM_REQ_UNPLUG_ALL};
    unsigned n_plugged = 0;
    Stack stack;

    vm_stack_set_up(&stack, *state);
    assert_held(&stack, 0);
    for (size_t i = 0; i < G_N_ELEMENTS(steps); i++) {
        vm_request(&stack, &steps[i]);
        if (steps[i].request == VIRTIO_MEM_REQ_PLUG)
            n_plugged += steps[i].n_blocks;
        else
            n_plugged -= steps[i].n_blocks;
        assert_held(&stack, n_plugged);
    }
    vm_request(&stack, &unplug_all);
    assert_held(&stack, 0);
    vm_stack_tear_down(&stack);
}

static void plugged_blocks_keep_their_contents_and_replugged_blocks_are_zero(void **state)
{
    const Step plug = {VIRTIO_MEM_REQ_PLUG, 0, 3};
    const Step unplug = {VIRTIO_MEM_REQ_UNPLUG, 1, 1};
    const Step plug_again = {VIRTIO_MEM_REQ_PLUG, 1, 1};
    uint64_t block_size;
    uint8_t *host;
    Stack stack;

    vm_stack_set_up(&stack, *state);
    block_size = stack.memory->block_size;
    host = pm_ram_get_host(stack.ram);
    vm_request(&stack, &plug);
    memset(host, 0x5a, 3 * block_size);
    vm_request(&stack, &unplug);
    vm_request(&stack, &plug_again);
    for (uint64_t i = 0; i < 3 * block_size; i++)
        if (host[i] != (i / block_size == 1 ? 0 : 0x5a))
            fail_msg("byte %" G_GUINT64_FORMAT " is 0x%02x", i, host[i]);
    vm_stack_tear_down(&stack);
}

/*
 * Pages of this kind on the whole host: taken from the hugetlb pool, or on the LRU lists of
 * anonymous and shared memory, which a page leaves when its last reference is dropped. (MemFree
 * is less exact: it excludes the per-CPU lists.)
 */
static uint64_t existing_bytes(const Memory *memory)
{
    if (memory->kind == PM_RAM_HUGETLB_2M)
        return (vm_meminfo("HugePages_Total") - vm_meminfo("HugePages_Free")) * memory->block_size;
    return (vm_meminfo("Active(anon)") + vm_meminfo("Inactive(anon)") + vm_meminfo("Unevictable")) *
           PM_KIB;
}

/* Other processes use little memory meanwhile, and no hugetlb pages. */
static void assert_fallen(const Memory *memory, uint64_t before, uint64_t n_bytes)
{
    uint64_t noise = memory->kind == PM_RAM_HUGETLB_2M ? 0 : 2 * PM_MIB;
    uint64_t fallen = before + noise - existing_bytes(memory);

    assert_in_range(fallen, n_bytes, n_bytes + 2 * noise);
}

/* File blocks and resident pages count what the process sees, not what a device still pins, so
 * this test reads the host's counters. */
static void unplugged_memory_returns_to_the_host(void **state)
{
    const Step plug = {VIRTIO_MEM_REQ_PLUG, 0, N_BLOCKS};
    const Step unplug = {VIRTIO_MEM_REQ_UNPLUG, 32, 64};
    uint64_t before;
    Stack stack;

    vm_stack_set_up(&stack, *state);
    vm_request(&stack, &plug);
    before = existing_bytes(stack.memory);
    vm_request(&stack, &unplug);
    assert_fallen(stack.memory, before, 64 * stack.memory->block_size);
    vm_stack_tear_down(&stack);
}

/* What pm_ram_discard() refuses to do. */
static void discard_regardless(const PmRam *ram)
{
    uint64_t size = pm_ram_get_size(ram);
    uint64_t offset;
    int fd = pm_ram_get_fd(ram, &offset);

    if (fd < 0)
        assert_int_equal(madvise(pm_ram_get_host(ram), size, MADV_DONTNEED), 0);
    else
        assert_int_equal(
            fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)size),
            0);
}

static void mapped_memory_is_not_freed_by_discard(void **state)
{
    const Memory *memory = *state;
    g_autoptr(PmRam) ram = vm_make_ram(memory);
    g_autoptr(PmIommu) iommu = vm_open_iommu();
    g_autoptr(GError) error = NULL;
    uint64_t size = pm_ram_get_size(ram);
    const PmIommuClaimConfig config = {
        .struct_size = sizeof(config),
        .owner = "the test",
        .ram = ram,
        .iova = ADDRESS,
        .size = size,
        .block_size = memory->block_size,
    };
    g_autoptr(PmIommuClaim) claim = pm_iommu_claim_new(iommu, &config, &error);
    uint64_t before;

    vm_check(claim != NULL, error);
    vm_check(pm_iommu_claim_map(claim, 0, size, 0, PM_IOMMU_READ_WRITE, &error), error);
    before = existing_bytes(memory);
    assert_false(pm_ram_discard(ram, 0, size, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_BUSY));
    g_clear_error(&error);
    discard_regardless(ram);
    assert_int_equal(held_bytes(ram), 0);
    assert_fallen(memory, before, 0);
    vm_check(pm_iommu_claim_unmap(claim, 0, size, &error), error);
    assert_fallen(memory, before, size);
}

#define MEMORY_TEST(test, memory)                                                                  \
    {                                                                                              \
        .name = #test "/" #memory, .test_func = test, .initial_state = (void *)(uintptr_t)&memory  \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        MEMORY_TEST(unplugged_runs_are_freed_to_the_byte, anonymous),
        MEMORY_TEST(unplugged_runs_are_freed_to_the_byte, memfd),
        MEMORY_TEST(unplugged_runs_are_freed_to_the_byte, memfd_of_single_pages),
        MEMORY_TEST(unplugged_runs_are_freed_to_the_byte, hugetlb),
        MEMORY_TEST(plugged_blocks_keep_their_contents_and_replugged_blocks_are_zero, anonymous),
        MEMORY_TEST(plugged_blocks_keep_their_contents_and_replugged_blocks_are_zero, memfd),
        MEMORY_TEST(plugged_blocks_keep_their_contents_and_replugged_blocks_are_zero, hugetlb),
        MEMORY_TEST(unplugged_memory_returns_to_the_host, anonymous),
        MEMORY_TEST(unplugged_memory_returns_to_the_host, memfd),
        MEMORY_TEST(unplugged_memory_returns_to_the_host, hugetlb),
        MEMORY_TEST(mapped_memory_is_not_freed_by_discard, anonymous),
        MEMORY_TEST(mapped_memory_is_not_freed_by_discard, memfd),
        MEMORY_TEST(mapped_memory_is_not_freed_by_discard, hugetlb),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
