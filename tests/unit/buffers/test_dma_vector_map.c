/* SPDX-License-Identifier: MIT */
/* I/O vectors that are mapped for a request, and what is left when mapping and unmapping fail; and
 * requests that wait, and that allocate nothing. */
#include "dma_device.h"

#include <errno.h>
#include <sys/mman.h>

#include "buffers/registry_private.h"
#include "util/valgrind_util.h"

#define PAGE UINT64_C(4096)

/* Counts allocations, of GLib's too, by being the malloc() of the program. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(__clang__)
#define COUNTS_ALLOCATIONS
static uint64_t n_allocations;

void *__libc_malloc(size_t size);
void *__libc_realloc(void *memory, size_t size);
PM_EXPORT void *malloc(size_t size);
PM_EXPORT void *realloc(void *memory, size_t size);

void *malloc(size_t size)
{
    __atomic_fetch_add(&n_allocations, 1, __ATOMIC_RELAXED);
    return __libc_malloc(size);
}

void *realloc(void *memory, size_t size)
{
    __atomic_fetch_add(&n_allocations, 1, __ATOMIC_RELAXED);
    return __libc_realloc(memory, size);
}
#endif

static void a_direct_request_allocates_nothing_after_the_first(void **state)
{
#ifdef COUNTS_ALLOCATIONS
    World *world = *state;
    PmDmaVector *vector;
    struct iovec iov[4];
    uint64_t n_before;

    skip_under_valgrind(); /* it has its own malloc() */
    vector = vector_new(world, (PmDmaVectorConfig){.max_segments = 8});
    assert_true(plug(world, 0, N_BLOCKS, NULL));
    for (unsigned i = 0; i < 4; i++)
        iov[i] = (struct iovec){host_of(world, i) + BLOCK / 2, BLOCK};
    assert_true(pm_dma_vector_prepare(vector, iov, 4, PM_DMA_BOTH, NULL));
    pm_dma_vector_finish(vector);
    n_before = n_allocations;
    assert_true(n_before > 0);
    for (unsigned i = 0; i < 100; i++) {
        assert_true(pm_dma_vector_prepare(vector, iov, 4, PM_DMA_BOTH, NULL));
        pm_dma_vector_finish(vector);
    }
    assert_int_equal(n_allocations, n_before);
    pm_dma_vector_free(vector);
#else
    (void)state;
    skip();
#endif
}

/* --- mapping --- */

static char *allocate(uint64_t n_pages)
{
    void *memory =
        mmap(NULL, n_pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_ptr_not_equal(memory, MAP_FAILED);
    memset(memory, 'm', n_pages * PAGE);
    return memory;
}

static PmDmaVector *mapping_vector(World *world)
{
    return vector_new(world, (PmDmaVectorConfig){.fallback = PM_DMA_FALLBACK_MAP});
}

static uint64_t n_mappings(World *world)
{
    return pm_fake_kernel_get_n_mappings(world->fake, 1);
}

static void memory_is_mapped_for_a_request(void **state)
{
    World *world = *state;
    PmDmaVector *vector = mapping_vector(world);
    char *memory = allocate(4);
    struct iovec iov[] = {{memory + 100, 2 * PAGE}, {memory + 3 * PAGE, 10}};
    g_autofree char *data = g_malloc(2 * PAGE + 10);

    assert_true(pm_dma_vector_prepare(vector, iov, 2, PM_DMA_FROM_DEVICE, NULL));
    assert_int_equal(n_mappings(world), 2);
    assert_int_equal(pm_bounce_pool_get_used(world->registry->pool), 0);
    memset(data, 'n', 2 * PAGE + 10);
    assert_int_equal(device_access(world, vector, data, true), 2 * PAGE + 10);
    assert_int_equal(memory[99], 'm');
    assert_memory_equal(memory + 100, data, 2 * PAGE);
    assert_int_equal(memory[100 + 2 * PAGE], 'm');
    pm_dma_vector_finish(vector);
    assert_int_equal(n_mappings(world), 0);
    assert_true(pm_iommu_audit(world->iommu, NULL, 0, NULL));
    pm_dma_vector_free(vector);
    munmap(memory, 4 * PAGE);
}

/* If it were mapped, and failed to unmap, it could be discarded while a device accesses it. */
static void ram_that_is_not_registered_now_bounces_and_is_not_discarded(void **state)
{
    World *world = *state;
    PmDmaVector *vector = mapping_vector(world);
    struct iovec iov;

    pm_fake_kernel_fail(world->fake, PM_FAKE_CALL_MAP, 1, ENOSPC);
    pm_fake_kernel_fail(world->fake, PM_FAKE_CALL_MAP, 3, ENOSPC); /* the retry of the unplug */
    assert_true(plug(world, 2, 1, NULL));
    assert_int_equal(n_mappings(world), 0);
    iov = (struct iovec){host_of(world, 2) + 1, BLOCK - 2};
    assert_true(pm_dma_vector_prepare(vector, &iov, 1, PM_DMA_TO_DEVICE, NULL));
    assert_int_equal(pm_bounce_pool_get_used(world->registry->pool), BLOCK);
    assert_int_equal(n_mappings(world), 1); /* the pool */
    assert_false(unplug(world, 2, 1, NULL));
    pm_dma_vector_finish(vector);
    assert_true(unplug(world, 2, 1, NULL));
    assert_int_equal(n_mappings(world), 1);
    pm_dma_vector_free(vector);
}

/* At each of its steps: three elements, of which one is leased, and so many segments that they
 * bounce in the end. */
static void a_failed_map_leaves_nothing(void **state)
{
    World *world = *state;
    PmDmaVector *vector =
        vector_new(world, (PmDmaVectorConfig){.fallback = PM_DMA_FALLBACK_MAP, .max_segments = 2});
    char *memory = allocate(4);
    struct iovec iov[] = {{memory, PAGE}, {NULL, PAGE}, {memory + 2 * PAGE, PAGE}};

    assert_true(plug(world, 0, 1, NULL));
    iov[1].iov_base = host_of(world, 0);
    for (unsigned nth = 1; nth <= 3; nth++) { /* two for the elements, one for the pool */
        pm_fake_kernel_fail(world->fake, PM_FAKE_CALL_MAP, nth, EFAULT);
        assert_false(pm_dma_vector_prepare(vector, iov, 3, PM_DMA_TO_DEVICE, NULL));
        assert_int_equal(n_mappings(world), 1);
        assert_int_equal(pm_bounce_pool_get_used(world->registry->pool), 0);
        assert_true(unplug(world, 0, 1, NULL));
        assert_true(plug(world, 0, 1, NULL));
    }
    assert_true(pm_dma_vector_prepare(vector, iov, 3, PM_DMA_TO_DEVICE, NULL));
    assert_int_equal(n_segments_of(vector), 1);
    pm_dma_vector_free(vector);
    munmap(memory, 4 * PAGE);
}

static void count_warning(GLogLevelFlags level, const char *message, void *user_data)
{
    if (level == G_LOG_LEVEL_WARNING && strstr(message, "may stay registered") != NULL)
        ++*(unsigned *)user_data;
}

static void what_fails_to_unmap_is_left_to_the_address_space(void **state)
{
    World *world = *state;
    PmDmaVector *vector = mapping_vector(world);
    char *memory = allocate(1);
    const struct iovec iov = {memory, 1};
    unsigned n_warnings = 0;

    assert_true(pm_dma_vector_prepare(vector, &iov, 1, PM_DMA_TO_DEVICE, NULL));
    pm_fake_kernel_fail(world->fake, PM_FAKE_CALL_UNMAP, 1, ENOMEM);
    pm_log_set_func(count_warning, &n_warnings);
    pm_dma_vector_finish(vector);
    pm_log_set_func(NULL, NULL);
    assert_int_equal(n_warnings, 1);
    assert_int_equal(n_mappings(world), 1);
    assert_true(pm_iommu_settle(world->iommu, NULL));
    assert_int_equal(n_mappings(world), 0);
    assert_true(pm_dma_vector_prepare(vector, &iov, 1, PM_DMA_TO_DEVICE, NULL));
    pm_dma_vector_free(vector);
    munmap(memory, PAGE);
}

/* A device may access it until then. */
static void memory_of_the_pool_that_stays_mapped_is_freed_once_it_is_unmapped(void **state)
{
    World *world = *state;
    PmDmaVector *vector = vector_new(world, (PmDmaVectorConfig){0});
    char byte = 0;
    const struct iovec iov = {&byte, 1};
    size_t n_segments;
    unsigned char resident;
    char *bounce;

    assert_true(pm_dma_vector_prepare(vector, &iov, 1, PM_DMA_FROM_DEVICE, NULL));
    bounce = find_target(world, pm_dma_vector_get_segments(vector, &n_segments)->address).host;
    pm_dma_vector_free(vector);
    for (unsigned i = 1; i < 10; i++)
        pm_fake_kernel_fail(world->fake, PM_FAKE_CALL_UNMAP, i, EIO);
    pm_buffer_registry_free(world->registry);
    world->registry = NULL;
    assert_int_equal(n_mappings(world), 1);
    assert_int_equal(mincore(bounce, PAGE, &resident), 0);
    pm_fake_kernel_clear_faults(world->fake);
    assert_true(pm_iommu_settle(world->iommu, NULL));
    assert_int_equal(n_mappings(world), 0);
    assert_int_equal(mincore(bounce, PAGE, &resident), -1);
}

static void a_back_end_of_the_caller_does_not_map_for_a_request(void **state)
{
    const WorldConfig config = {0};
    World *world = world_new(&config);
    const PmDmaVectorConfig vector = {.struct_size = sizeof(vector),
                                      .fallback = PM_DMA_FALLBACK_MAP};
    GError *error = NULL;

    (void)state;
    assert_null(pm_dma_vector_new(world->registry, &vector, &error));
    assert_code(&error, PM_ERROR_UNSUPPORTED, "PM_DMA_FALLBACK_MAP needs a PmIommu");
    world_free(world);
}

/* --- waiting --- */

typedef struct {
    PmDmaVector *vector;
    const struct iovec *iov;
    GError *error;
} Waiter;

static void *wait_for_pool(void *user_data)
{
    Waiter *waiter = user_data;

    (void)pm_dma_vector_prepare(waiter->vector, waiter->iov, 2, PM_DMA_TO_DEVICE, &waiter->error);
    return NULL;
}

static void a_request_that_waits_delays_no_discard(void **state)
{
    World *world = *state;
    PmDmaVector *holder = vector_new(world, (PmDmaVectorConfig){0});
    g_autofree char *buffer = g_malloc0(64 * PM_MIB);
    const struct iovec all = {buffer, 64 * PM_MIB};
    const struct iovec iov[] = {{host_of(world, 0), PAGE}, {buffer, 1}};
    Waiter waiter = {.vector = vector_new(world, (PmDmaVectorConfig){0}), .iov = iov};
    GThread *thread;

    assert_true(plug(world, 0, 1, NULL));
    assert_true(pm_dma_vector_prepare(holder, &all, 1, PM_DMA_FROM_DEVICE, NULL));
    thread = g_thread_new("waiter", wait_for_pool, &waiter);
    while (pm_bounce_pool_get_n_waiting(world->registry->pool) == 0)
        g_thread_yield();
    assert_true(unplug(world, 0, 1, NULL));
    pm_dma_vector_cancel(holder);
    (void)g_thread_join(thread);
    assert_code(&waiter.error, PM_ERROR_NOT_POPULATED, "is discarded");
    assert_int_equal(pm_bounce_pool_get_used(world->registry->pool), 0);
    pm_dma_vector_free(waiter.vector);
    pm_dma_vector_free(holder);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup_iommu, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_direct_request_allocates_nothing_after_the_first),
        TEST(memory_is_mapped_for_a_request),
        TEST(ram_that_is_not_registered_now_bounces_and_is_not_discarded),
        TEST(a_failed_map_leaves_nothing),
        TEST(what_fails_to_unmap_is_left_to_the_address_space),
        TEST(memory_of_the_pool_that_stays_mapped_is_freed_once_it_is_unmapped),
        cmocka_unit_test(a_back_end_of_the_caller_does_not_map_for_a_request),
        TEST(a_request_that_waits_delays_no_discard),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
