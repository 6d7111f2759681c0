/* SPDX-License-Identifier: MIT */
/* I/O vectors: what is accessed directly, what bounces, and what a request leaves. */
#include "dma_device.h"

#include "buffers/registry_private.h"

#define KIB UINT64_C(1024)

static uint64_t n_pool_bytes(const World *world)
{
    return pm_bounce_pool_get_used(world->registry->pool);
}

static bool prepare(PmDmaVector *vector, const struct iovec *iov, size_t n_iov,
                    PmDmaDirection direction)
{
    GError *error = NULL;
    bool prepared = pm_dma_vector_prepare(vector, iov, n_iov, direction, &error);

    if (error != NULL)
        fail_msg("%s", error->message);
    return prepared;
}

static void assert_fails(PmDmaVector *vector, const struct iovec *iov, size_t n_iov, PmError code,
                         const char *words)
{
    GError *error = NULL;

    assert_false(pm_dma_vector_prepare(vector, iov, n_iov, PM_DMA_TO_DEVICE, &error));
    assert_code(&error, code, words);
    assert_int_equal(n_segments_of(vector), 0);
}

/* Nothing is leased, and no bounce memory in use. */
static void assert_idle(World *world)
{
    assert_int_equal(n_pool_bytes(world), 0);
    for (uint64_t block = 0; block < N_BLOCKS; block++)
        if (is_plugged(world, block))
            assert_true(unplug(world, block, 1, NULL));
}

/* --- direct access --- */

static void registered_memory_is_accessed_directly(void **state)
{
    World *world = *state;
    PmDmaVector *vector = vector_new(world, (PmDmaVectorConfig){.max_segments = 1});
    struct iovec iov;
    char data[3 * KIB];

    assert_true(plug(world, 3, 2, NULL));
    iov = (struct iovec){host_of(world, 4) - KIB, sizeof(data)};
    memset(iov.iov_base, 'a', iov.iov_len);
    assert_true(prepare(vector, &iov, 1, PM_DMA_BOTH));
    assert_int_equal(n_pool_bytes(world), 0);
    assert_int_equal(device_access(world, vector, data, false), sizeof(data));
    assert_memory_equal(data, iov.iov_base, sizeof(data));
    memset(data, 'b', sizeof(data));
    (void)device_access(world, vector, data, true);
    assert_memory_equal(data, iov.iov_base, sizeof(data));
    pm_dma_vector_finish(vector);
    assert_memory_equal(data, iov.iov_base, sizeof(data));
    pm_dma_vector_free(vector);
    assert_idle(world);
}

static void blocks_of_a_request_are_not_discarded(void **state)
{
    World *world = *state;
    PmDmaVector *vector = vector_new(world, (PmDmaVectorConfig){0});
    struct iovec iov;

    assert_true(plug(world, 0, 3, NULL));
    iov = (struct iovec){host_of(world, 1), 1};
    assert_true(prepare(vector, &iov, 1, PM_DMA_TO_DEVICE));
    assert_false(unplug(world, 1, 1, NULL));
    assert_true(unplug(world, 2, 1, NULL));
    pm_dma_vector_cancel(vector);
    assert_true(unplug(world, 1, 1, NULL));
    pm_dma_vector_free(vector);
}

static void an_empty_request_has_no_segments(void **state)
{
    World *world = *state;
    PmDmaVector *vector = vector_new(world, (PmDmaVectorConfig){.alignment = 512});
    struct iovec iov[] = {{NULL, 0}, {host_of(world, 0), 0}};

    assert_true(prepare(vector, NULL, 0, PM_DMA_TO_DEVICE));
    assert_int_equal(n_segments_of(vector), 0);
    pm_dma_vector_finish(vector);
    assert_true(prepare(vector, iov, 2, PM_DMA_FROM_DEVICE));
    assert_int_equal(n_segments_of(vector), 0);
    pm_dma_vector_finish(vector);
    pm_dma_vector_finish(vector);
    pm_dma_vector_free(vector);
}

static void an_element_without_bytes_is_skipped(void **state)
{
    World *world = *state;
    PmDmaVector *vector = vector_new(world, (PmDmaVectorConfig){0});
    struct iovec iov[3] = {{0}};
    char data[2 * KIB];

    assert_true(plug(world, 0, 1, NULL));
    iov[0] = (struct iovec){host_of(world, 0), KIB};
    iov[2] = (struct iovec){host_of(world, 0) + 8 * KIB, KIB};
    assert_true(prepare(vector, iov, 3, PM_DMA_TO_DEVICE));
    assert_int_equal(n_segments_of(vector), 2);
    assert_int_equal(device_access(world, vector, data, false), sizeof(data));
    pm_dma_vector_free(vector);
    assert_idle(world);
}

static void a_page_can_be_in_a_request_twice(void **state)
{
    World *world = *state;
    PmDmaVector *vector = vector_new(world, (PmDmaVectorConfig){0});
    struct iovec iov[2];
    char data[4 * KIB];

    assert_true(plug(world, 0, 1, NULL));
    memset(host_of(world, 0), 'x', 4 * KIB);
    iov[0] = (struct iovec){host_of(world, 0), 3 * KIB};
    iov[1] = (struct iovec){host_of(world, 0) + 2 * KIB, KIB};
    assert_true(prepare(vector, iov, 2, PM_DMA_TO_DEVICE));
    assert_int_equal(device_access(world, vector, data, false), sizeof(data));
    assert_memory_equal(data, host_of(world, 0), sizeof(data));
    pm_dma_vector_finish(vector);
    pm_dma_vector_free(vector);
    assert_idle(world);
}

static void segments_have_at_most_the_maximum_size(void **state)
{
    World *world = *state;
    PmDmaVector *vector = vector_new(world, (PmDmaVectorConfig){.max_segment_size = 4 * KIB});
    struct iovec iov;
    size_t n_segments;
    const PmDmaSegment *segments;

    assert_true(plug(world, 0, 1, NULL));
    iov = (struct iovec){host_of(world, 0), 9 * KIB};
    assert_true(prepare(vector, &iov, 1, PM_DMA_TO_DEVICE));
    segments = pm_dma_vector_get_segments(vector, &n_segments);
    assert_int_equal(n_segments, 3);
    assert_int_equal(segments[1].address, segments[0].address + 4 * KIB);
    assert_int_equal(segments[2].length, KIB);
    pm_dma_vector_free(vector);
    assert_idle(world);
}

/* --- bouncing --- */

static void a_request_bounces_only_in_its_direction(void **state)
{
    World *world = *state;
    PmDmaVector *vector = vector_new(world, (PmDmaVectorConfig){0});
    char buffer[100];
    char data[100];
    const struct iovec iov = {buffer, sizeof(buffer)};

    memset(buffer, 'a', sizeof(buffer));
    assert_true(prepare(vector, &iov, 1, PM_DMA_TO_DEVICE));
    memset(buffer, 'b', sizeof(buffer));
    (void)device_access(world, vector, data, false);
    assert_int_equal(data[99], 'a');
    pm_dma_vector_finish(vector);
    assert_int_equal(buffer[99], 'b');
    assert_true(prepare(vector, &iov, 1, PM_DMA_FROM_DEVICE));
    (void)device_access(world, vector, data, false);
    assert_int_equal(data[0], 'a'); /* of the request before: it was not copied in */
    memset(data, 'c', sizeof(data));
    (void)device_access(world, vector, data, true);
    assert_int_equal(buffer[0], 'b');
    pm_dma_vector_finish(vector);
    assert_memory_equal(buffer, data, sizeof(data));
    pm_dma_vector_free(vector);
    assert_idle(world);
}

static void a_request_in_both_directions_keeps_what_the_device_does_not_write(void **state)
{
    World *world = *state;
    PmDmaVector *vector = vector_new(world, (PmDmaVectorConfig){0});
    char buffer[] = "what was there";
    const struct iovec iov = {buffer, sizeof(buffer)};

    assert_true(prepare(vector, &iov, 1, PM_DMA_BOTH));
    pm_dma_vector_finish(vector);
    assert_string_equal(buffer, "what was there");
    pm_dma_vector_free(vector);
}

static void a_cancelled_request_is_not_copied_back(void **state)
{
    World *world = *state;
    PmDmaVector *vector = vector_new(world, (PmDmaVectorConfig){0});
    char buffer[16] = "old";
    char data[16] = "new";
    const struct iovec iov = {buffer, sizeof(buffer)};

    assert_true(prepare(vector, &iov, 1, PM_DMA_FROM_DEVICE));
    (void)device_access(world, vector, data, true);
    pm_dma_vector_cancel(vector);
    assert_string_equal(buffer, "old");
    assert_int_equal(n_pool_bytes(world), 0);
    pm_dma_vector_free(vector);
}

/* Its unaligned head and tail share an element with the rest. */
static void only_elements_that_need_it_bounce(void **state)
{
    World *world = *state;
    PmDmaVector *vector = vector_new(world, (PmDmaVectorConfig){.alignment = 512});
    struct iovec iov[3];
    size_t n_segments;
    const PmDmaSegment *segments;

    assert_true(plug(world, 0, 1, NULL));
    iov[0] = (struct iovec){host_of(world, 0), 16 * KIB};
    iov[1] = (struct iovec){host_of(world, 0) + 20 * KIB + 1, 512};
    iov[2] = (struct iovec){host_of(world, 0) + 32 * KIB, 16 * KIB};
    assert_true(prepare(vector, iov, 3, PM_DMA_TO_DEVICE));
    segments = pm_dma_vector_get_segments(vector, &n_segments);
    assert_int_equal(n_segments, 3);
    assert_int_equal(segments[2].address, segments[0].address + 32 * KIB);
    assert_int_equal(n_pool_bytes(world), PM_BOUNCE_UNIT);
    pm_dma_vector_free(vector);
    assert_idle(world);
}

static void parts_whose_sum_is_aligned_bounce_together(void **state)
{
    World *world = *state;
    PmDmaVector *vector = vector_new(world, (PmDmaVectorConfig){.alignment = 512});
    struct iovec iov[3];

    assert_true(plug(world, 0, 1, NULL));
    iov[0] = (struct iovec){host_of(world, 0) + 4096 - 100, 100};
    iov[1] = (struct iovec){host_of(world, 0) + 4096, 512};
    iov[2] = (struct iovec){host_of(world, 0) + 8192, 412};
    assert_true(prepare(vector, iov, 3, PM_DMA_TO_DEVICE));
    assert_int_equal(n_segments_of(vector), 1);
    pm_dma_vector_cancel(vector);
    iov[2].iov_len = 411;
    assert_fails(vector, iov, 3, PM_ERROR_UNALIGNED, "must be a multiple of 0x200");
    pm_dma_vector_free(vector);
    assert_idle(world);
}

static void a_request_with_too_many_segments_bounces_as_one(void **state)
{
    World *world = *state;
    PmDmaVector *vector = vector_new(world, (PmDmaVectorConfig){.max_segments = 2});
    struct iovec iov[3];
    char data[3];

    assert_true(plug(world, 0, 1, NULL));
    for (unsigned i = 0; i < 3; i++) {
        iov[i] = (struct iovec){host_of(world, 0) + 8 * KIB * i, 1};
        *(char *)iov[i].iov_base = (char)('a' + i);
    }
    assert_true(prepare(vector, iov, 3, PM_DMA_TO_DEVICE));
    assert_int_equal(n_segments_of(vector), 1);
    (void)device_access(world, vector, data, false);
    assert_memory_equal(data, "abc", 3);
    assert_false(unplug(world, 0, 1, NULL));
    pm_dma_vector_free(vector);
    assert_idle(world);
}

static void a_request_that_the_device_does_not_take_fails(void **state)
{
    World *world = *state;
    PmDmaVector *vector =
        vector_new(world, (PmDmaVectorConfig){.max_segments = 2, .max_segment_size = KIB});
    struct iovec iov;

    assert_true(plug(world, 0, 1, NULL));
    iov = (struct iovec){host_of(world, 0), 3 * KIB};
    assert_fails(vector, &iov, 1, PM_ERROR_LIMIT, "has 3 segments, and the device takes 2");
    pm_dma_vector_free(vector);
    assert_idle(world);
}

static void a_request_larger_than_the_pool_fails(void **state)
{
    World *world = *state;
    PmDmaVector *vector = vector_new(world, (PmDmaVectorConfig){0});
    g_autofree char *buffer = g_malloc0(65 * PM_MIB);
    const struct iovec iov = {buffer, 65 * PM_MIB};

    assert_fails(vector, &iov, 1, PM_ERROR_LIMIT, "a request of 65M does not fit");
    pm_dma_vector_free(vector);
    assert_idle(world);
}

static void discarded_memory_does_not_bounce(void **state)
{
    World *world = *state;
    PmDmaVector *vector = vector_new(world, (PmDmaVectorConfig){.max_segments = 1});
    char byte = 0;
    struct iovec iov[2];

    assert_true(plug(world, 0, 1, NULL));
    iov[0] = (struct iovec){&byte, 1};
    iov[1] = (struct iovec){host_of(world, 0) + BLOCK - 1, 2};
    assert_fails(vector, iov, 2, PM_ERROR_NOT_POPULATED, "is discarded");
    pm_dma_vector_free(vector);
    assert_idle(world);
}

static void failing_to_register_the_pool_leaves_nothing(void **state)
{
    World *world = *state;
    PmDmaVector *vector = vector_new(world, (PmDmaVectorConfig){0});
    char byte = 0;
    struct iovec iov[2];

    assert_true(plug(world, 0, 1, NULL));
    iov[0] = (struct iovec){host_of(world, 0), KIB};
    iov[1] = (struct iovec){&byte, 1};
    pm_fake_kernel_fail(world->fake, PM_FAKE_CALL_MAP, 1, 14);
    assert_fails(vector, iov, 2, PM_ERROR_BAD_ADDRESS, "");
    assert_int_equal(pm_bounce_pool_get_size(world->registry->pool), 0);
    assert_true(prepare(vector, iov, 2, PM_DMA_TO_DEVICE));
    pm_dma_vector_free(vector);
    assert_idle(world);
}

static void a_request_that_must_not_wait_for_the_pool_fails(void **state)
{
    World *world = *state;
    PmDmaVector *first = vector_new(world, (PmDmaVectorConfig){0});
    PmDmaVector *second = vector_new(world, (PmDmaVectorConfig){.flags = PM_DMA_NO_WAIT});
    g_autofree char *buffer = g_malloc0(64 * PM_MIB);
    const struct iovec iov = {buffer, 64 * PM_MIB};
    const struct iovec byte = {buffer, 1};

    assert_true(prepare(first, &iov, 1, PM_DMA_FROM_DEVICE));
    assert_fails(second, &byte, 1, PM_ERROR_BUSY, "bounce pool");
    pm_dma_vector_cancel(first);
    assert_true(prepare(second, &byte, 1, PM_DMA_FROM_DEVICE));
    pm_dma_vector_free(first);
    pm_dma_vector_free(second);
    assert_idle(world);
}

/* --- no fallback, and invalid requests --- */

static void without_a_fallback_the_error_says_why(void **state)
{
    World *world = *state;
    PmDmaVector *vector =
        vector_new(world, (PmDmaVectorConfig){.fallback = PM_DMA_FALLBACK_NONE, .alignment = 512});
    char byte = 0;
    struct iovec iov = {&byte, 1};

    assert_true(plug(world, 0, 1, NULL));
    assert_fails(vector, &iov, 1, PM_ERROR_NOT_FOUND, "is not in memory that was added");
    iov = (struct iovec){host_of(world, 1), 512};
    assert_fails(vector, &iov, 1, PM_ERROR_NOT_POPULATED, "is discarded");
    iov = (struct iovec){host_of(world, 0) + 1, 512};
    assert_fails(vector, &iov, 1, PM_ERROR_UNALIGNED, "are not multiples of 0x200");
    pm_fake_kernel_fail(world->fake, PM_FAKE_CALL_MAP, 1, 28);
    assert_true(plug(world, 2, 1, NULL));
    iov = (struct iovec){host_of(world, 2), 512};
    assert_fails(vector, &iov, 1, PM_ERROR_LIMIT, "is not registered now");
    pm_dma_vector_free(vector);
    assert_idle(world);
}

static void invalid_requests_fail(void **state)
{
    World *world = *state;
    PmDmaVector *vector = vector_new(world, (PmDmaVectorConfig){0});
    struct iovec iov = {(void *)UINTPTR_MAX, 2};
    GError *error = NULL;

    assert_fails(vector, &iov, 1, PM_ERROR_INVALID_ARGUMENT, "invalid element 0");
    assert_false(pm_dma_vector_prepare(vector, NULL, 0, 4, &error));
    assert_code(&error, PM_ERROR_INVALID_ARGUMENT, "invalid direction 4");
    assert_true(prepare(vector, NULL, 0, PM_DMA_BOTH));
    assert_fails(vector, NULL, 0, PM_ERROR_BUSY, "already has a request");
    pm_dma_vector_free(vector);
    pm_dma_vector_free(NULL);
}

static void invalid_configurations_fail(void **state)
{
    World *world = *state;
    const PmDmaVectorConfig configs[] = {
        {.alignment = 3}, {.alignment = 8192}, {.alignment = 512, .max_segment_size = 513},
        {.fallback = 3},  {.flags = 2},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(configs); i++) {
        PmDmaVectorConfig config = configs[i];
        GError *error = NULL;

        config.struct_size = sizeof(config);
        assert_null(pm_dma_vector_new(world->registry, &config, &error));
        assert_code(&error, PM_ERROR_INVALID_ARGUMENT, "of a DMA vector");
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup_iommu, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(registered_memory_is_accessed_directly),
        TEST(blocks_of_a_request_are_not_discarded),
        TEST(an_empty_request_has_no_segments),
        TEST(an_element_without_bytes_is_skipped),
        TEST(a_page_can_be_in_a_request_twice),
        TEST(segments_have_at_most_the_maximum_size),
        TEST(a_request_bounces_only_in_its_direction),
        TEST(a_request_in_both_directions_keeps_what_the_device_does_not_write),
        TEST(a_cancelled_request_is_not_copied_back),
        TEST(only_elements_that_need_it_bounce),
        TEST(parts_whose_sum_is_aligned_bounce_together),
        TEST(a_request_with_too_many_segments_bounces_as_one),
        TEST(a_request_that_the_device_does_not_take_fails),
        TEST(a_request_larger_than_the_pool_fails),
        TEST(discarded_memory_does_not_bounce),
        TEST(failing_to_register_the_pool_leaves_nothing),
        TEST(a_request_that_must_not_wait_for_the_pool_fails),
        TEST(without_a_fallback_the_error_says_why),
        TEST(invalid_requests_fail),
        TEST(invalid_configurations_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
