/* SPDX-License-Identifier: MIT */
/*
 * Random requests, of which several are in flight, on plugged, unplugged and foreign memory, while
 * blocks are plugged and unplugged, with more blocks than regions: a device reads and writes the
 * data of a model, and what a request uses is not unplugged.
 */
#include "dma_device.h"

#include "util/random_util.h"

#define FOREIGN_SIZE (4 * BLOCK)
#define N_VECTORS    5
#define MAX_ELEMENTS 5

typedef struct {
    PmDmaVector *vector;
    PmDmaVectorConfig config;
    struct iovec iov[MAX_ELEMENTS];
    size_t n_iov;
    PmDmaDirection direction;
    bool is_busy;
} Request;

typedef struct {
    World *world;
    GRand *random;
    char *foreign;
    char *ram_model;
    char *foreign_model;
    char *data;
    Request requests[N_VECTORS];
    unsigned n_done;
    bool shares_regions;
} Test;

static uint32_t below(Test *test, uint32_t limit)
{
    return g_rand_int(test->random) % limit;
}

static bool is_in_ram(const Test *test, const struct iovec *element)
{
    const char *ram = host_of(test->world, 0);
    const char *host = element->iov_base;

    return host >= ram && host < ram + SIZE;
}

static char *model_of(const Test *test, const struct iovec *element)
{
    const char *host = element->iov_base;

    return is_in_ram(test, element) ? test->ram_model + (host - host_of(test->world, 0))
                                    : test->foreign_model + (host - test->foreign);
}

static bool touches_blocks(const Test *test, const struct iovec *element, uint64_t first,
                           uint64_t n_blocks)
{
    const char *start = host_of(test->world, first);
    const char *host = element->iov_base;

    return element->iov_len > 0 && host < start + n_blocks * BLOCK &&
           host + element->iov_len > start;
}

static bool is_used(const Test *test, uint64_t first, uint64_t n_blocks)
{
    for (unsigned i = 0; i < N_VECTORS; i++)
        for (size_t j = 0; test->requests[i].is_busy && j < test->requests[i].n_iov; j++)
            if (touches_blocks(test, &test->requests[i].iov[j], first, n_blocks))
                return true;
    return false;
}

/* A request delays the discard of all blocks that share a region with its own. */
static void unplug_block(Test *test, uint64_t block)
{
    uint64_t n_neighbors = test->shares_regions ? N_BLOCKS : 0;
    uint64_t first = block - MIN(block, n_neighbors);
    g_autoptr(GError) error = NULL;

    if (unplug(test->world, block, 1, &error)) {
        assert_false(is_used(test, block, 1));
        memset(test->ram_model + block * BLOCK, 0, BLOCK);
    } else {
        assert_true(is_used(test, first, block + 1 + n_neighbors - first));
        assert_code(&error, PM_ERROR_BUSY, "");
    }
}

static void plug_or_unplug(Test *test)
{
    uint64_t first = below(test, N_BLOCKS);
    uint64_t n_blocks = 1 + below(test, 3);

    n_blocks = MIN(n_blocks, N_BLOCKS - first);
    for (uint64_t block = first; block < first + n_blocks; block++) {
        if (is_plugged(test->world, block))
            unplug_block(test, block);
        else
            assert_true(plug(test->world, block, 1, NULL));
    }
}

static bool overlap(const struct iovec *a, const struct iovec *b)
{
    return (char *)a->iov_base < (char *)b->iov_base + b->iov_len &&
           (char *)b->iov_base < (char *)a->iov_base + a->iov_len;
}

/* What two requests, or two elements that the device writes, have in common has no defined data. */
static bool is_ambiguous(const Test *test, const Request *request)
{
    for (size_t i = 0; i < request->n_iov; i++) {
        for (size_t j = 0; j < i && request->direction != PM_DMA_TO_DEVICE; j++)
            if (overlap(&request->iov[i], &request->iov[j]))
                return true;
        for (unsigned k = 0; k < N_VECTORS; k++)
            for (size_t j = 0; test->requests[k].is_busy && j < test->requests[k].n_iov; j++)
                if (overlap(&request->iov[i], &test->requests[k].iov[j]))
                    return true;
    }
    return false;
}

static struct iovec random_element(Test *test, uint64_t alignment)
{
    bool in_ram = below(test, 4) != 0;
    uint64_t size = in_ram ? SIZE : FOREIGN_SIZE;
    uint64_t unit = below(test, 4) == 0 ? 1 : MAX(alignment, 512);
    uint64_t offset = below(test, (uint32_t)(size / unit)) * unit;
    uint64_t length =
        below(test, (uint32_t)((below(test, 6) == 0 ? 2 * BLOCK : 8192) / unit)) * unit;

    return (struct iovec){(in_ram ? host_of(test->world, 0) : test->foreign) + offset,
                          MIN(length, size - offset)};
}

static uint64_t n_bytes_of(const Request *request)
{
    uint64_t n_bytes = 0;

    for (size_t i = 0; i < request->n_iov; i++)
        n_bytes += request->iov[i].iov_len;
    return n_bytes;
}

static bool is_in_unplugged_memory(const Test *test, const Request *request)
{
    for (size_t i = 0; i < request->n_iov; i++)
        for (uint64_t block = 0; block < N_BLOCKS; block++)
            if (touches_blocks(test, &request->iov[i], block, 1) && !is_plugged(test->world, block))
                return true;
    return false;
}

/* Everything that can fail has a reason, which the request has. */
static void check_failure(const Test *test, const Request *request, const GError *error)
{
    bool is_none = request->config.fallback == PM_DMA_FALLBACK_NONE;

    assert_int_equal(error->domain, PM_ERROR);
    switch (error->code) {
    case PM_ERROR_NOT_POPULATED:
        assert_true(is_in_unplugged_memory(test, request));
        break;
    case PM_ERROR_NOT_FOUND:
        assert_true(is_none);
        break;
    case PM_ERROR_UNALIGNED:
        assert_true(is_none || n_bytes_of(request) % MAX(request->config.alignment, 1) != 0);
        break;
    case PM_ERROR_BUSY: /* for others in the bounce pool */
        assert_false(is_none);
        break;
    case PM_ERROR_LIMIT: /* regions, segments, or the pool */
        break;
    default:
        fail_msg("%s", error->message);
    }
}

static void check_segments(const Request *request)
{
    size_t n_segments;
    const PmDmaSegment *segments = pm_dma_vector_get_segments(request->vector, &n_segments);
    uint64_t alignment = MAX(request->config.alignment, 1);

    assert_true(request->config.max_segments == 0 || n_segments <= request->config.max_segments);
    for (size_t i = 0; i < n_segments; i++) {
        assert_true(segments[i].length > 0);
        assert_int_equal((segments[i].address | segments[i].length) % alignment, 0);
        assert_true(request->config.max_segment_size == 0 ||
                    segments[i].length <= request->config.max_segment_size);
    }
}

static void check_sent(Test *test, const Request *request)
{
    uint64_t at = 0;

    assert_int_equal(device_access(test->world, request->vector, test->data, false),
                     n_bytes_of(request));
    for (size_t i = 0; i < request->n_iov; i++) {
        assert_memory_equal(test->data + at, model_of(test, &request->iov[i]),
                            request->iov[i].iov_len);
        at += request->iov[i].iov_len;
    }
}

static void submit(Test *test, Request *request)
{
    GError *error = NULL;

    request->n_iov = below(test, MAX_ELEMENTS + 1);
    for (size_t i = 0; i < request->n_iov; i++)
        request->iov[i] = random_element(test, request->config.alignment);
    request->direction = 1 + below(test, 3);
    if (is_ambiguous(test, request))
        return;
    if (!pm_dma_vector_prepare(request->vector, request->iov, request->n_iov, request->direction,
                               &error)) {
        check_failure(test, request, error);
        g_error_free(error);
        return;
    }
    assert_false(is_in_unplugged_memory(test, request));
    check_segments(request);
    if ((request->direction & PM_DMA_TO_DEVICE) != 0)
        check_sent(test, request);
    request->is_busy = true;
    test->n_done++;
}

static void write_by_device(Test *test, const Request *request)
{
    uint64_t n_bytes = n_bytes_of(request);
    uint64_t at = 0;

    memset(test->data, (int)below(test, 256), n_bytes);
    for (uint64_t i = 0; i < n_bytes; i += 61)
        test->data[i] = (char)below(test, 256);
    assert_int_equal(device_access(test->world, request->vector, test->data, true), n_bytes);
    for (size_t i = 0; i < request->n_iov; i++) {
        memcpy(model_of(test, &request->iov[i]), test->data + at, request->iov[i].iov_len);
        at += request->iov[i].iov_len;
    }
}

static void complete(Test *test, Request *request)
{
    if (request->direction == PM_DMA_TO_DEVICE && below(test, 2) == 0) {
        pm_dma_vector_cancel(request->vector);
    } else {
        if (request->direction != PM_DMA_TO_DEVICE)
            write_by_device(test, request);
        pm_dma_vector_finish(request->vector);
    }
    request->is_busy = false;
    assert_int_equal(n_segments_of(request->vector), 0);
}

static void check_memory(const Test *test)
{
    assert_memory_equal(test->foreign, test->foreign_model, FOREIGN_SIZE);
    for (uint64_t block = 0; block < N_BLOCKS; block++)
        if (is_plugged(test->world, block))
            assert_memory_equal(host_of(test->world, block), test->ram_model + block * BLOCK,
                                BLOCK);
}

static void test_init(Test *test, World *world)
{
    static const PmDmaVectorConfig configs[N_VECTORS] = {
        {.alignment = 512, .max_segments = 3},
        {.max_segments = 4, .max_segment_size = 3000},
        {.alignment = 4, .fallback = PM_DMA_FALLBACK_MAP, .max_segment_size = 8192},
        {.alignment = 8, .fallback = PM_DMA_FALLBACK_NONE},
        {.fallback = PM_DMA_FALLBACK_MAP},
    };

    test->world = world;
    test->random = random_new("dma_vector");
    test->foreign = g_malloc0(FOREIGN_SIZE);
    test->foreign_model = g_malloc0(FOREIGN_SIZE);
    test->ram_model = g_malloc0(SIZE);
    test->data = g_malloc0(UINT64_C(2) * MAX_ELEMENTS * BLOCK);
    for (unsigned i = 0; i < N_VECTORS; i++) {
        test->requests[i].config = configs[i];
        test->requests[i].config.flags = PM_DMA_NO_WAIT;
        if (world->iommu == NULL && configs[i].fallback == PM_DMA_FALLBACK_MAP)
            test->requests[i].config.fallback = PM_DMA_FALLBACK_BOUNCE;
        test->requests[i].vector = vector_new(world, test->requests[i].config);
    }
}

static void test_clear(Test *test)
{
    for (unsigned i = 0; i < N_VECTORS; i++) {
        if (test->requests[i].is_busy)
            complete(test, &test->requests[i]);
        pm_dma_vector_free(test->requests[i].vector);
    }
    check_memory(test);
    for (uint64_t block = 0; block < N_BLOCKS; block++)
        if (is_plugged(test->world, block))
            assert_true(unplug(test->world, block, 1, NULL));
    g_rand_free(test->random);
    g_free(test->foreign);
    g_free(test->foreign_model);
    g_free(test->ram_model);
    g_free(test->data);
}

static void run(const WorldConfig *config)
{
    World *world = world_new(config);
    unsigned n_steps = random_steps(6000);
    Test test = {.shares_regions = (config->flags & PM_BUFFER_CAN_REPLACE) != 0};

    test_init(&test, world);
    for (unsigned step = 0; step < n_steps; step++) {
        Request *request = &test.requests[below(&test, N_VECTORS)];

        if (below(&test, 5) == 0)
            plug_or_unplug(&test);
        else if (request->is_busy)
            complete(&test, request);
        else
            submit(&test, request);
        if (step % 32 == 0)
            check_memory(&test);
    }
    test_clear(&test);
    assert_true(n_steps < 100 || test.n_done > n_steps / 20);
    world_free(world);
}

static void requests_on_an_iommu_match_a_model(void **state)
{
    const WorldConfig config = {.on_iommu = true};

    (void)state;
    run(&config);
}

static void requests_with_few_mappings_match_a_model(void **state)
{
    const WorldConfig config = {.on_iommu = true, .entry_limit = 10};

    (void)state;
    run(&config);
}

static void requests_on_a_back_end_match_a_model(void **state)
{
    const WorldConfig config = {.max_regions = 8, .ram_kind = PM_RAM_MEMFD};

    (void)state;
    run(&config);
}

static void requests_on_a_back_end_that_replaces_regions_match_a_model(void **state)
{
    const WorldConfig config = {.max_regions = 6, .flags = PM_BUFFER_CAN_REPLACE};

    (void)state;
    run(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_on_an_iommu_match_a_model),
        cmocka_unit_test(requests_with_few_mappings_match_a_model),
        cmocka_unit_test(requests_on_a_back_end_match_a_model),
        cmocka_unit_test(requests_on_a_back_end_that_replaces_regions_match_a_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
