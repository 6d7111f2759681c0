/* SPDX-License-Identifier: MIT */
/* I/O vectors with elements of which only a part was added, and in forked children. */
#include "dma_request.h"

#include "buffers/registry_private.h"
#include "util/fork_util.h"

/* --- partly added --- */

static void what_is_partly_added_and_discarded_fails(void **state)
{
    static const uint64_t fallbacks[] = {PM_DMA_FALLBACK_BOUNCE, PM_DMA_FALLBACK_MAP,
                                         PM_DMA_FALLBACK_NONE};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(fallbacks); i++) {
        const Scenario scenario = {.on_iommu = true, .fallback = fallbacks[i]};
        Request *request = request_new(&scenario);
        GError *error = NULL;

        assert_true(unplug(request->world, N_ADDED - 1, 1, NULL));
        assert_false(pm_dma_vector_prepare(request->vector, request->iov + N_ELEMENTS - 1, 1,
                                           PM_DMA_BOTH, &error));
        assert_code(&error, PM_ERROR_NOT_POPULATED, "is discarded");
        assert_int_equal(request_n_mapped(request), stats_of(request->world).n_regions);
        request_assert_all_unplugs(request);
        request_free(request);
    }
}

/* Its first bytes are not added, and its last ones are. */
static void what_begins_before_added_memory_bounces(void **state)
{
    static const uint64_t fallbacks[] = {PM_DMA_FALLBACK_BOUNCE, PM_DMA_FALLBACK_MAP};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(fallbacks); i++) {
        const Scenario scenario = {.on_iommu = true, .fallback = fallbacks[i]};
        Request *request = request_new(&scenario);
        World *world = request->world;

        assert_true(
            pm_buffer_registry_remove_ram(world->registry, world->ram, 0, N_ADDED * BLOCK, NULL));
        assert_true(pm_buffer_registry_add_ram(world->registry, world->ram, BLOCK,
                                               (N_ADDED - 1) * BLOCK, NULL));
        request->n_iov = 0;
        request_add_element(request, host_of(world, 1) - PAGE, 2 * PAGE);
        assert_true(pm_dma_vector_prepare(request->vector, request->iov, 1, PM_DMA_BOTH, NULL));
        assert_int_equal(pm_bounce_pool_get_used(world->registry->pool), 2 * PAGE);
        assert_false(unplug(world, 1, 1, NULL));
        request_complete(request);
        request_assert_all_unplugs(request);
        request_free(request);
    }
}

/* --- forked children --- */

static uint64_t count_calls(const Request *request)
{
    const World *world = request->world;

    return world->fake != NULL ? pm_fake_kernel_get_n_calls(world->fake, PM_FAKE_CALL_ANY)
                               : world->model.n_maps + world->model.n_unmaps;
}

/* The vector of the parent's request, and one without a request. */
static bool is_useless(void *user_data)
{
    Request *request = user_data;
    PmDmaVector *other =
        vector_new(request->world, (PmDmaVectorConfig){.fallback = PM_DMA_FALLBACK_BOUNCE});
    uint64_t n_calls = count_calls(request);
    PmDmaVector *vectors[] = {request->vector, other, request->vector};

    for (unsigned i = 0; i < G_N_ELEMENTS(vectors); i++) {
        GError *error = NULL;
        bool prepared = pm_dma_vector_prepare(vectors[i], request->iov, request->n_iov,
                                              PM_DMA_TO_DEVICE, &error);

        if (!is_refused(prepared, error))
            return false;
        if (i == 1)
            pm_dma_vector_finish(request->vector);
    }
    pm_dma_vector_free(request->vector);
    pm_dma_vector_free(other);
    return count_calls(request) == n_calls;
}

static void a_child_cannot_prepare_and_frees_only_its_copy(void **state)
{
    static const Scenario scenarios[] = {
        {.on_iommu = true, .fallback = PM_DMA_FALLBACK_MAP},
        {.on_iommu = true, .fallback = PM_DMA_FALLBACK_BOUNCE},
        {.fallback = PM_DMA_FALLBACK_BOUNCE},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(scenarios) * n_ways_to_fork; i++) {
        Request *request = request_new(&scenarios[i / n_ways_to_fork]);
        g_autofree char *ours = g_malloc0(FOREIGN_SIZE);
        g_autofree char *left = g_malloc0(FOREIGN_SIZE);
        uint64_t size = request_gather(request, ours);

        assert_true(pm_dma_vector_prepare(request->vector, request->iov, request->n_iov,
                                          PM_DMA_BOTH, NULL));
        memset(request->iov[4].iov_base, 'p', SECTOR); /* bounced; the child shares it */
        (void)request_gather(request, ours);
        assert_child(ways_to_fork[i % n_ways_to_fork], is_useless, request);
        assert_int_equal(request_gather(request, left), size);
        assert_memory_equal(ours, left, size);
        memset(request->iov[4].iov_base, 'a' + 4, SECTOR);
        request_complete(request);
        request_assert_all_unplugs(request);
        request_free(request);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_partly_added_and_discarded_fails),
        cmocka_unit_test(what_begins_before_added_memory_bounces),
        cmocka_unit_test(a_child_cannot_prepare_and_frees_only_its_copy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
