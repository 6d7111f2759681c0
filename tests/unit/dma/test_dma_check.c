/* SPDX-License-Identifier: MIT */
/* The DMA check finds every kind of difference between plugged memory and what a device reaches.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <plugmap/fake.h>
#include <plugmap/plugmap.h>

#include "dma/check.h"
#include "kernel-uapi/vfio.h"
#include "kernel-uapi/virtio_mem.h"
#include "util/iommu_fixture.h"
#include "util/mapper_util.h"
#include "util/request_util.h"

#define REGION_BLOCK    (64 * PM_KIB)
#define REGION_N_BLOCKS 32
#define REGION_ADDRESS  (4 * PM_GIB)

/* Faults of a kernel that reports success. */
typedef enum {
    HONEST,
    MAPS_NOTHING,
    MAPS_FOR_READING,
    MAPS_FOR_WRITING,
    MAPS_OTHER_MEMORY,
    UNMAPS_NOTHING,
    FORGETS_FIRST_PAGE,
    FORGETS_LAST_PAGE,
    MAPS_LAST_PAGE_ELSEWHERE,
    MAPS_PAGE_BEFORE,
    MAPS_PAGE_BEHIND
} Lie;

static Lie lie;
static uint64_t lie_address; /* address of the block for faults of single pages */
static const PmKernelOps *honest_ops;

/* Maps pages [@first, @end), relative to the block of @map. */
static int map_pages(PmKernel *kernel, int fd, struct vfio_iommu_type1_dma_map map, int64_t first,
                     int64_t end, int64_t host_offset)
{
    map.iova += (uint64_t)(first * PM_DMA_PAGE);
    map.vaddr += (uint64_t)((first + host_offset) * PM_DMA_PAGE);
    map.size = (uint64_t)(end - first) * PM_DMA_PAGE;
    return honest_ops->ioctl(kernel, fd, VFIO_IOMMU_MAP_DMA, &map);
}

static int lie_about_pages(PmKernel *kernel, int fd, const struct vfio_iommu_type1_dma_map *map)
{
    int64_t n_pages = REGION_BLOCK / PM_DMA_PAGE;

    switch (lie) {
    case FORGETS_FIRST_PAGE:
        return map_pages(kernel, fd, *map, 1, n_pages, 0);
    case FORGETS_LAST_PAGE:
        return map_pages(kernel, fd, *map, 0, n_pages - 1, 0);
    case MAPS_LAST_PAGE_ELSEWHERE:
        assert_int_equal(map_pages(kernel, fd, *map, n_pages - 1, n_pages, -1), 0);
        return map_pages(kernel, fd, *map, 0, n_pages - 1, 0);
    case MAPS_PAGE_BEFORE:
        return map_pages(kernel, fd, *map, -1, n_pages, 0);
    case MAPS_PAGE_BEHIND:
    default:
        return map_pages(kernel, fd, *map, 0, n_pages + 1, 0);
    }
}

static int lying_ioctl(PmKernel *kernel, int fd, unsigned long request, void *argument)
{
    if (request == VFIO_IOMMU_MAP_DMA) {
        struct vfio_iommu_type1_dma_map map = *(struct vfio_iommu_type1_dma_map *)argument;

        if (lie == MAPS_NOTHING)
            return 0;
        if (lie == MAPS_FOR_READING)
            map.flags &= ~(uint32_t)VFIO_DMA_MAP_FLAG_WRITE;
        if (lie == MAPS_FOR_WRITING)
            map.flags |= VFIO_DMA_MAP_FLAG_WRITE;
        if (lie == MAPS_OTHER_MEMORY)
            map.vaddr += REGION_BLOCK;
        if (map.iova == lie_address)
            return lie_about_pages(kernel, fd, &map);
        return honest_ops->ioctl(kernel, fd, request, &map);
    }
    if (request == VFIO_IOMMU_UNMAP_DMA && lie == UNMAPS_NOTHING)
        return 0;
    return honest_ops->ioctl(kernel, fd, request, argument);
}

typedef struct {
    PmKernel *fake;
    PmKernelOps ops;
    PmIommu *iommu;
    PmVirtioMem *device;
    PmMapper *mapper;
    PmDmaEngine *engine; /* owned by the check */
    PmDmaCheck *check;
} Fixture;

static PmVirtioMem *make_device(void)
{
    g_autoptr(PmRam) ram =
        pm_ram_new(PM_RAM_MEMFD, REGION_N_BLOCKS * REGION_BLOCK, REGION_BLOCK, NULL);
    const PmVirtioMemConfig config = {
        .struct_size = sizeof(config),
        .ram = ram,
        .address = REGION_ADDRESS,
        .block_size = REGION_BLOCK,
        .requested_size = REGION_N_BLOCKS * REGION_BLOCK,
    };

    return pm_virtio_mem_new(&config, NULL);
}

static int make_with_access(void **state, PmIommuAccess access)
{
    Fixture *fixture = g_new0(Fixture, 1);
    PmMapperRegion region = {
        .struct_size = sizeof(region),
        .size = REGION_N_BLOCKS * REGION_BLOCK,
        .address = REGION_ADDRESS,
        .access = access,
    };
    PmType1Config config = {.struct_size = sizeof(config), .has_group = true, .group = GROUP};

    lie = HONEST;
    lie_address = UINT64_MAX;
    fixture->fake = pm_fake_kernel_new(NULL, NULL);
    honest_ops = fixture->fake->ops;
    fixture->ops = *honest_ops;
    fixture->ops.ioctl = lying_ioctl;
    fixture->fake->ops = &fixture->ops;
    config.kernel = fixture->fake;
    fixture->iommu = pm_iommu_type1_new(&config, NULL);
    fixture->device = make_device();
    fixture->engine = pm_dma_engine_attach(fixture->iommu, fixture->fake, "0000:00:04.0",
                                           REGION_ADDRESS, REGION_N_BLOCKS * REGION_BLOCK, NULL);
    assert_non_null(fixture->engine);
    fixture->check = pm_dma_check_new(fixture->engine, fixture->device, access);
    fixture->mapper = pm_mapper_new(fixture->iommu);
    region.ram = pm_discard_manager_get_ram(pm_virtio_mem_get_manager(fixture->device));
    assert_true(pm_mapper_add(fixture->mapper, &region, NULL));
    *state = fixture;
    return 0;
}

static int make(void **state)
{
    return make_with_access(state, PM_IOMMU_READ_WRITE);
}

static int make_read_only(void **state)
{
    return make_with_access(state, PM_IOMMU_READ);
}

static int drop(void **state)
{
    Fixture *fixture = *state;

    lie = HONEST;
    pm_dma_check_free(fixture->check);
    pm_mapper_free(fixture->mapper);
    pm_virtio_mem_free(fixture->device);
    pm_iommu_unref(fixture->iommu);
    assert_int_equal(pm_fake_kernel_get_n_open(fixture->fake), 0);
    fixture->fake->ops = honest_ops;
    pm_kernel_unref(fixture->fake);
    g_free(fixture);
    return 0;
}

static void request(Fixture *fixture, uint16_t type, uint64_t first, uint16_t n_blocks)
{
    assert_int_equal(
        send_request(fixture->device, type, REGION_ADDRESS + first * REGION_BLOCK, n_blocks, NULL),
        VIRTIO_MEM_RESP_ACK);
}

static void assert_found(Fixture *fixture, PmError code, const char *words)
{
    g_autoptr(GError) error = NULL;

    assert_false(pm_dma_check_run(fixture->check, NULL, &error));
    assert_error(&error, code, words);
}

static void ends_of_runs_and_samples_are_tried(void **state)
{
    Fixture *fixture = *state;
    PmDmaCheckCounts counts;

    request(fixture, VIRTIO_MEM_REQ_PLUG, 2, 3);
    request(fixture, VIRTIO_MEM_REQ_PLUG, 9, 1);
    assert_true(pm_dma_check_run(fixture->check, NULL, NULL));
    counts = pm_dma_check_get_counts(fixture->check);
    /* Both ends of two plugged and three unplugged runs, and five samples of each kind. */
    assert_int_equal(counts.n_plugged_pages, 2 * 2 + 5);
    assert_int_equal(counts.n_unplugged_pages, 2 * 3 + 5);
    assert_int_equal(counts.n_transfers, 2 * (9 + 11));
}

static void a_range_limits_the_ends_but_not_the_samples(void **state)
{
    Fixture *fixture = *state;
    uint64_t address = pm_virtio_mem_get_address(fixture->device);
    uint64_t block_size = pm_virtio_mem_get_block_size(fixture->device);
    const PmIovaRange range = {address + 3 * block_size, address + 7 * block_size - 1};
    PmDmaCheckCounts counts;

    request(fixture, VIRTIO_MEM_REQ_PLUG, 2, 3);
    request(fixture, VIRTIO_MEM_REQ_PLUG, 9, 1);
    assert_true(pm_dma_check_run(fixture->check, &range, NULL));
    counts = pm_dma_check_get_counts(fixture->check);
    assert_int_equal(counts.n_plugged_pages, 2 * 1 + 5);
    assert_int_equal(counts.n_unplugged_pages, 2 * 1 + 5);
}

static void empty_and_full_regions_pass(void **state)
{
    Fixture *fixture = *state;

    assert_true(pm_dma_check_run(fixture->check, NULL, NULL));
    assert_int_equal(pm_dma_check_get_counts(fixture->check).n_plugged_pages, 0);
    request(fixture, VIRTIO_MEM_REQ_PLUG, 0, REGION_N_BLOCKS);
    assert_true(pm_dma_check_run(fixture->check, NULL, NULL));
    assert_true(pm_dma_check_get_counts(fixture->check).n_plugged_pages > 0);
}

static void a_read_only_region_passes_if_writes_are_blocked(void **state)
{
    Fixture *fixture = *state;

    request(fixture, VIRTIO_MEM_REQ_PLUG, 2, 3);
    assert_true(pm_dma_check_run(fixture->check, NULL, NULL));
    assert_true(pm_fake_kernel_get_n_dma_faults(fixture->fake) > 0);
}

static void write_to_a_read_only_region_is_found(void **state)
{
    Fixture *fixture = *state;

    lie = MAPS_FOR_WRITING;
    request(fixture, VIRTIO_MEM_REQ_PLUG, 2, 3);
    assert_found(fixture, PM_ERROR_AUDIT, "write reaches read-only memory");
}

/* All unplugged pages were tried without allocating memory. */
static void check_allocates_no_unplugged_memory(void **state)
{
    Fixture *fixture = *state;
    PmRam *ram = pm_discard_manager_get_ram(pm_virtio_mem_get_manager(fixture->device));
    uint64_t resident = 1;

    assert_true(pm_dma_check_run(fixture->check, NULL, NULL));
    assert_true(pm_ram_resident(ram, 0, pm_ram_get_size(ram), &resident, NULL));
    assert_int_equal(resident, 0);
    assert_true(pm_fake_kernel_get_n_dma_faults(fixture->fake) > 0);
}

static void plugged_block_that_is_not_mapped_is_found(void **state)
{
    lie = MAPS_NOTHING;
    request(*state, VIRTIO_MEM_REQ_PLUG, 2, 3);
    assert_found(*state, PM_ERROR_AUDIT, "DMA by edu: read does not return plugged memory");
}

static void plugged_block_that_is_not_writable_is_found(void **state)
{
    lie = MAPS_FOR_READING;
    request(*state, VIRTIO_MEM_REQ_PLUG, 2, 3);
    assert_found(*state, PM_ERROR_AUDIT, "write does not reach plugged memory");
}

static void plugged_block_that_is_mapped_to_other_memory_is_found(void **state)
{
    lie = MAPS_OTHER_MEMORY;
    request(*state, VIRTIO_MEM_REQ_PLUG, 2, 1);
    assert_found(*state, PM_ERROR_AUDIT,
                 "read does not return plugged memory at I/O address 0x10002");
}

static void unplugged_block_that_is_still_mapped_is_found(void **state)
{
    request(*state, VIRTIO_MEM_REQ_PLUG, 0, 1);
    lie = UNMAPS_NOTHING;
    request(*state, VIRTIO_MEM_REQ_UNPLUG, 0, 1);
    lie = HONEST;
    assert_found(*state, PM_ERROR_AUDIT, "device reads back what it wrote to unplugged memory");
}

/* --- ends of runs, which samples hit only by chance --- */

#define RUN_FIRST    1
#define RUN_N_BLOCKS 30

static void assert_page_found(Fixture *fixture, Lie about, uint64_t block, const char *words)
{
    lie = about;
    lie_address = REGION_ADDRESS + block * REGION_BLOCK;
    request(fixture, VIRTIO_MEM_REQ_PLUG, RUN_FIRST, RUN_N_BLOCKS);
    assert_found(fixture, PM_ERROR_AUDIT, words);
}

static void plugged_run_without_its_first_page_is_found(void **state)
{
    assert_page_found(*state, FORGETS_FIRST_PAGE, RUN_FIRST,
                      "does not return plugged memory at I/O address 0x100010000");
}

static void plugged_run_without_its_last_page_is_found(void **state)
{
    assert_page_found(*state, FORGETS_LAST_PAGE, RUN_FIRST + RUN_N_BLOCKS - 1,
                      "does not return plugged memory at I/O address 0x1001ef000");
}

static void plugged_run_with_a_wrong_last_page_is_found(void **state)
{
    assert_page_found(*state, MAPS_LAST_PAGE_ELSEWHERE, RUN_FIRST + RUN_N_BLOCKS - 1,
                      "does not return plugged memory at I/O address 0x1001ef000");
}

static void extra_page_before_a_run_is_found(void **state)
{
    assert_page_found(*state, MAPS_PAGE_BEFORE, RUN_FIRST,
                      "reads back what it wrote to unplugged memory at I/O address 0x10000f000");
}

static void extra_page_after_a_run_is_found(void **state)
{
    assert_page_found(*state, MAPS_PAGE_BEHIND, RUN_FIRST + RUN_N_BLOCKS - 1,
                      "reads back what it wrote to unplugged memory at I/O address 0x1001f0000");
}

/* --- scripted engines --- */

static char *region_memory;

/* Reads return nothing; writes reach the former memory. */
static bool leaking_move(PmDmaEngine *engine, uint64_t from_iova, uint64_t to_iova, GError **error)
{
    (void)error;
    if (from_iova == engine->scratch_iova)
        memcpy(region_memory + (to_iova - REGION_ADDRESS), engine->scratch, PM_DMA_PAGE);
    else
        memset(engine->scratch, 0, PM_DMA_PAGE);
    return true;
}

static bool failing_move(PmDmaEngine *engine, uint64_t from_iova, uint64_t to_iova, GError **error)
{
    (void)engine;
    (void)from_iova;
    (void)to_iova;
    g_set_error_literal(error, PM_ERROR, PM_ERROR_DEVICE, "the device is stuck");
    return false;
}

static const PmDmaEngineKind leaking_engine = {
    .name = "leaking", .transfer_size = PM_DMA_PAGE, .move = leaking_move};
static const PmDmaEngineKind failing_engine = {
    .name = "failing", .transfer_size = PM_DMA_PAGE, .move = failing_move};

/* Space for moves to the scratch page. */
static char scratch_page[PM_DMA_PAGE];

static PmDmaCheck *make_check(Fixture *fixture, const PmDmaEngineKind *kind)
{
    PmDmaEngine *engine = g_new0(PmDmaEngine, 1);

    engine->kind = kind;
    engine->scratch = scratch_page;
    return pm_dma_check_new(engine, fixture->device, PM_IOMMU_READ_WRITE);
}

static void write_that_allocates_unplugged_memory_is_found(void **state)
{
    Fixture *fixture = *state;
    PmRam *ram = pm_discard_manager_get_ram(pm_virtio_mem_get_manager(fixture->device));
    g_autoptr(PmDmaCheck) check = make_check(fixture, &leaking_engine);
    g_autoptr(GError) error = NULL;

    region_memory = pm_ram_get_host(ram);
    assert_false(pm_dma_check_run(check, NULL, &error));
    assert_error(&error, PM_ERROR_AUDIT, "write to unplugged memory allocated memory");
}

static void device_failure_is_an_error(void **state)
{
    g_autoptr(PmDmaCheck) check = make_check(*state, &failing_engine);
    g_autoptr(GError) error = NULL;

    assert_false(pm_dma_check_run(check, NULL, &error));
    assert_error(&error, PM_ERROR_DEVICE, "the device is stuck");
}

/* Like the fixture's engine, but reports that it is slow. */
static bool slow_move(PmDmaEngine *engine, uint64_t from_iova, uint64_t to_iova, GError **error)
{
    engine->is_slow = true;
    return pm_edu_engine.move(engine, from_iova, to_iova, error);
}

/* Slow without reporting it, as if the thread had not been scheduled. */
static bool late_move(PmDmaEngine *engine, uint64_t from_iova, uint64_t to_iova, GError **error)
{
    g_usleep(20000);
    return pm_edu_engine.move(engine, from_iova, to_iova, error);
}

static void use_move(Fixture *fixture, PmDmaEngineKind *kind,
                     bool (*move)(PmDmaEngine *, uint64_t, uint64_t, GError **))
{
    *kind = pm_edu_engine;
    kind->move = move;
    fixture->engine->kind = kind;
}

static void slow_engine_tries_one_page_of_each_kind(void **state)
{
    static PmDmaEngineKind kind;
    Fixture *fixture = *state;
    PmDmaCheckCounts counts;

    use_move(fixture, &kind, slow_move);
    request(fixture, VIRTIO_MEM_REQ_PLUG, 2, 3);
    assert_true(pm_dma_check_run(fixture->check, NULL, NULL));
    counts = pm_dma_check_get_counts(fixture->check);
    assert_int_equal(counts.n_plugged_pages, 1);
    assert_int_equal(counts.n_unplugged_pages, 1);
}

static void slowness_does_not_depend_on_the_clock(void **state)
{
    static PmDmaEngineKind kind;
    Fixture *fixture = *state;

    use_move(fixture, &kind, late_move);
    request(fixture, VIRTIO_MEM_REQ_PLUG, 2, 3);
    assert_true(pm_dma_check_run(fixture->check, NULL, NULL));
    assert_int_equal(pm_dma_check_get_counts(fixture->check).n_plugged_pages, 2 + 5);
}

#define CHECK_TEST(name)     cmocka_unit_test_setup_teardown(name, make, drop)
#define READ_ONLY_TEST(name) cmocka_unit_test_setup_teardown(name, make_read_only, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(ends_of_runs_and_samples_are_tried),
        CHECK_TEST(a_range_limits_the_ends_but_not_the_samples),
        CHECK_TEST(empty_and_full_regions_pass),
        READ_ONLY_TEST(a_read_only_region_passes_if_writes_are_blocked),
        READ_ONLY_TEST(write_to_a_read_only_region_is_found),
        CHECK_TEST(check_allocates_no_unplugged_memory),
        CHECK_TEST(plugged_block_that_is_not_mapped_is_found),
        CHECK_TEST(plugged_block_that_is_not_writable_is_found),
        CHECK_TEST(plugged_block_that_is_mapped_to_other_memory_is_found),
        CHECK_TEST(unplugged_block_that_is_still_mapped_is_found),
        CHECK_TEST(plugged_run_without_its_first_page_is_found),
        CHECK_TEST(plugged_run_without_its_last_page_is_found),
        CHECK_TEST(plugged_run_with_a_wrong_last_page_is_found),
        CHECK_TEST(extra_page_before_a_run_is_found),
        CHECK_TEST(extra_page_after_a_run_is_found),
        CHECK_TEST(slow_engine_tries_one_page_of_each_kind),
        CHECK_TEST(slowness_does_not_depend_on_the_clock),
        CHECK_TEST(write_that_allocates_unplugged_memory_is_found),
        CHECK_TEST(device_failure_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
