/* SPDX-License-Identifier: MIT */
/* I/O vectors when any call of the kernel, of the caller's back end, or any allocation fails: the
 * error is a documented one, nothing is lost, and the same request succeeds afterwards. */
#include "dma_request.h"

#include <errno.h>

#include "buffers/registry_private.h"
#include "iommu/claim.h"
#include "util/allocation_util.h"

#define MAX_CALLS 200

/* What fails: an allocation and all later ones, or one call. */
typedef enum {
    ALLOCATION,
    KERNEL_CALL,
    KERNEL_UNMAPS_HALF,
    BACK_END_MAP,
    BACK_END_UNMAP,
} FaultKind;

/* @has_effect: the back end's call did what it should before it failed. */
typedef struct {
    FaultKind kind;
    PmFakeCall call;
    int error_number;
    PmError code;
    bool has_effect;
} Fault;

static const Fault iommu_faults[] = {
    {.kind = ALLOCATION},
    {.kind = KERNEL_CALL, .call = PM_FAKE_CALL_IOCTL, .error_number = EIO},
    {.kind = KERNEL_CALL, .call = PM_FAKE_CALL_MAP, .error_number = ENOMEM},
    {.kind = KERNEL_CALL, .call = PM_FAKE_CALL_MAP, .error_number = EFAULT},
    {.kind = KERNEL_CALL, .call = PM_FAKE_CALL_UNMAP, .error_number = EIO},
    {.kind = KERNEL_UNMAPS_HALF, .call = PM_FAKE_CALL_UNMAP},
};

static const Fault back_end_faults[] = {
    {.kind = ALLOCATION},
    {.kind = BACK_END_MAP, .code = PM_ERROR_KERNEL},
    {.kind = BACK_END_MAP, .code = PM_ERROR_QUARANTINED},
    {.kind = BACK_END_MAP, .code = PM_ERROR_QUARANTINED, .has_effect = true},
    {.kind = BACK_END_UNMAP, .code = PM_ERROR_KERNEL},
    {.kind = BACK_END_UNMAP, .code = PM_ERROR_QUARANTINED},
    {.kind = BACK_END_UNMAP, .code = PM_ERROR_QUARANTINED, .has_effect = true},
};

static void ignore_log(GLogLevelFlags level, const char *message, void *user_data)
{
    (void)level;
    (void)message;
    (void)user_data;
}

/* --- faults --- */

static void arm(Request *request, const Fault *fault, unsigned nth)
{
    World *world = request->world;

    if (fault->kind == KERNEL_CALL)
        pm_fake_kernel_fail(world->fake, fault->call, nth, fault->error_number);
    else if (fault->kind == KERNEL_UNMAPS_HALF)
        pm_fake_kernel_shorten_unmap(world->fake, nth);
    if (world->fake != NULL)
        request->n_calls = pm_fake_kernel_get_n_calls(world->fake, fault->call);
    world->model.failure = g_error_new(PM_ERROR, (gint)fault->code, "the device is gone");
    world->model.fail_map_in = fault->kind == BACK_END_MAP ? nth : 0;
    world->model.fail_unmap_in = fault->kind == BACK_END_UNMAP ? nth : 0;
    world->model.failed_map_leaves_it = world->model.failed_unmap_ends_it = fault->has_effect;
    if (fault->kind == ALLOCATION)
        allocations_end_after(nth - 1);
}

/* Whether there were so many calls that one failed. */
static bool disarm(Request *request, const Fault *fault, unsigned nth)
{
    World *world = request->world;
    g_autofree void *probe = g_try_malloc(1);
    bool has_failed = probe == NULL;

    allocations_go_on();
    if (fault->kind == KERNEL_CALL || fault->kind == KERNEL_UNMAPS_HALF)
        has_failed = pm_fake_kernel_get_n_calls(world->fake, fault->call) - request->n_calls >= nth;
    else if (fault->kind != ALLOCATION)
        has_failed = world->model.fail_map_in == 0 && world->model.fail_unmap_in == 0;
    if (world->fake != NULL)
        pm_fake_kernel_clear_faults(world->fake);
    world->model.fail_map_in = world->model.fail_unmap_in = 0;
    return has_failed;
}

/* Of dma_vector.h, for requests that are valid, and of mapping and unmapping. */
static void assert_documented(const GError *error)
{
    static const PmError codes[] = {
        PM_ERROR_LIMIT,  PM_ERROR_MEMORY,      PM_ERROR_LOCKED_MEMORY,  PM_ERROR_BAD_ADDRESS,
        PM_ERROR_KERNEL, PM_ERROR_QUARANTINED, PM_ERROR_UNMAP_MISMATCH,
    };

    assert_non_null(error);
    for (size_t i = 0; i < G_N_ELEMENTS(codes); i++)
        if (g_error_matches(error, PM_ERROR, (gint)codes[i]))
            return;
    fail_msg("code %d: %s", error->code, error->message);
}

/* --- what is left --- */

static void assert_claims_are_ranges(World *world)
{
    PmIovaRange range;
    uint64_t n_claims = 0;

    for (uint64_t at = 0; pm_iommu_find_claim(world->iommu, at, &range); at = range.last + 1)
        n_claims++;
    assert_int_equal(n_claims, stats_of(world).n_ranges);
}

/* What the failure left in doubt ends first. */
static void assert_only_pool_is_left(const Request *request)
{
    World *world = request->world;
    uint64_t n_blocks;

    assert_int_equal(pm_bounce_pool_get_used(world->registry->pool), 0);
    if (world->iommu != NULL)
        assert_true(pm_iommu_settle(world->iommu, NULL));
    if (stats_of(world).unknown_bytes > 0)
        assert_true(pm_buffer_registry_retry(world->registry, NULL));
    assert_int_equal(request_n_mapped(request), stats_of(world).n_regions);
    if (world->iommu != NULL)
        assert_claims_are_ranges(world);
    assert_int_equal(stats_of(world).unknown_bytes, 0);
    n_blocks = request->n_regions + (stats_of(world).refused_bytes == 0);
    assert_int_equal(stats_of(world).registered_bytes,
                     n_blocks * BLOCK + pm_bounce_pool_get_size(world->registry->pool));
}

static void assert_same_request_succeeds(Request *request)
{
    GError *error = NULL;

    (void)pm_dma_vector_prepare(request->vector, request->iov, request->n_iov, PM_DMA_BOTH, &error);
    if (error != NULL)
        fail_msg("%s", error->message);
    assert_false(unplug(request->world, 0, 1, NULL));
    assert_false(unplug(request->world, 2, 1, NULL));
    assert_false(unplug(request->world, N_ADDED - 1, 1, NULL));
    request_complete(request);
}

static void assert_pool_has_its_size(Request *request)
{
    const struct iovec iov = {request->foreign + 1, POOL_LIMIT};

    assert_true(pm_dma_vector_prepare(request->vector, &iov, 1, PM_DMA_TO_DEVICE, NULL));
    assert_int_equal(pm_bounce_pool_get_used(request->world->registry->pool), POOL_LIMIT);
    pm_dma_vector_cancel(request->vector);
}

/* --- every call --- */

static bool run_with_failure(const Scenario *scenario, const Fault *fault, unsigned nth)
{
    Request *request = request_new(scenario);
    GError *error = NULL;
    bool has_failed;
    bool prepared;

    arm(request, fault, nth);
    prepared =
        pm_dma_vector_prepare(request->vector, request->iov, request->n_iov, PM_DMA_BOTH, &error);
    if (prepared)
        request_complete(request);
    else
        assert_documented(error);
    assert_true(prepared == (error == NULL));
    g_clear_error(&error);
    assert_int_equal(n_segments_of(request->vector), 0);
    assert_int_equal(pm_bounce_pool_get_used(request->world->registry->pool), 0);
    has_failed = disarm(request, fault, nth);
    assert_true(prepared || has_failed);
    request_bounce_sector(request);
    assert_only_pool_is_left(request);
    assert_same_request_succeeds(request);
    assert_pool_has_its_size(request);
    assert_only_pool_is_left(request);
    request_assert_all_unplugs(request);
    request_free(request);
    return has_failed;
}

/* Returns how many calls there are. */
static unsigned fail_each(const Scenario *scenario, const Fault *fault)
{
    unsigned nth = 1;

    while (run_with_failure(scenario, fault, nth))
        assert_true(++nth < MAX_CALLS);
    return nth - 1;
}

static void any_call_may_fail(const Scenario *given, const Fault *faults, size_t n_faults)
{
    Scenario scenario = *given;

    pm_log_set_func(ignore_log, NULL);
    for (unsigned grows = 0; grows < 2; grows++) {
        unsigned n_calls = 0;

        scenario.grows = grows == 1;
        for (size_t i = 0; i < n_faults; i++)
            n_calls += fail_each(&scenario, &faults[i]);
        assert_true(n_calls > 0);
    }
    pm_log_set_func(NULL, NULL);
}

static void any_call_may_fail_while_elements_bounce(void **state)
{
    const Scenario scenario = {.on_iommu = true, .fallback = PM_DMA_FALLBACK_BOUNCE};

    (void)state;
    any_call_may_fail(&scenario, iommu_faults, G_N_ELEMENTS(iommu_faults));
}

static void any_call_may_fail_while_elements_are_mapped(void **state)
{
    const Scenario scenario = {.on_iommu = true, .fallback = PM_DMA_FALLBACK_MAP};

    (void)state;
    any_call_may_fail(&scenario, iommu_faults, G_N_ELEMENTS(iommu_faults));
}

static void any_call_of_the_back_end_may_fail(void **state)
{
    const Scenario scenario = {.fallback = PM_DMA_FALLBACK_BOUNCE};

    (void)state;
    any_call_may_fail(&scenario, back_end_faults, G_N_ELEMENTS(back_end_faults));
}

/* A device may not reach it any more, so nobody gets a slot of it. */
static void a_part_of_the_pool_that_stays_unknown_is_not_used(void **state)
{
    static const Fault fault = {
        .kind = BACK_END_UNMAP, .code = PM_ERROR_QUARANTINED, .has_effect = true};
    const Scenario scenario = {.fallback = PM_DMA_FALLBACK_BOUNCE, .grows = true};
    Request *request = request_new(&scenario);

    (void)state;
    request->world->model.fails_for_ever = true;
    arm(request, &fault, 1);
    for (unsigned i = 0; i < 3; i++) {
        GError *error = NULL;

        assert_false(pm_dma_vector_prepare(request->vector, request->iov, request->n_iov,
                                           PM_DMA_BOTH, &error));
        assert_code(&error, PM_ERROR_QUARANTINED, "the device is gone");
        request_bounce_sector(request);
    }
    (void)disarm(request, &fault, 1);
    assert_same_request_succeeds(request);
    assert_only_pool_is_left(request);
    assert_pool_has_its_size(request);
    request_assert_all_unplugs(request);
    request_free(request);
}

/* --- no fallback --- */

static void fails_with(Request *request, size_t element, PmError code, const char *words)
{
    struct iovec iov[] = {request->iov[0], request->iov[element], request->iov[3]};
    GError *error = NULL;

    assert_false(pm_dma_vector_prepare(request->vector, iov, 3, PM_DMA_BOTH, &error));
    assert_code(&error, code, words);
    assert_int_equal(n_segments_of(request->vector), 0);
}

/* A block without a region may get one at any request for it. */
static bool run_without_fallback(const Scenario *scenario, const Fault *fault, unsigned nth)
{
    Request *request = request_new(scenario);
    struct iovec registered[] = {request->iov[0], request->iov[3]};
    bool has_failed;

    arm(request, fault, nth);
    fails_with(request, 1, PM_ERROR_NOT_FOUND, "is not in memory that was added");
    fails_with(request, 2, PM_ERROR_UNALIGNED, "are not multiples of 0x200");
    fails_with(request, 4, PM_ERROR_LIMIT, "is not registered now");
    fails_with(request, 6, PM_ERROR_NOT_FOUND, "is not in memory that was added");
    assert_true(pm_dma_vector_prepare(request->vector, registered, 2, PM_DMA_BOTH, NULL));
    pm_dma_vector_finish(request->vector);
    has_failed = disarm(request, fault, nth);
    assert_false(request_has_pool(request));
    assert_only_pool_is_left(request);
    request_assert_all_unplugs(request);
    request_free(request);
    return has_failed;
}

static void any_call_may_fail_without_a_fallback(void **state)
{
    const Scenario on_iommu = {.on_iommu = true, .fallback = PM_DMA_FALLBACK_NONE};
    const Scenario on_back_end = {.fallback = PM_DMA_FALLBACK_NONE};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(iommu_faults); i++)
        for (unsigned nth = 1; run_without_fallback(&on_iommu, &iommu_faults[i], nth); nth++)
            assert_true(nth < MAX_CALLS);
    for (size_t i = 0; i < G_N_ELEMENTS(back_end_faults); i++)
        for (unsigned nth = 1; run_without_fallback(&on_back_end, &back_end_faults[i], nth); nth++)
            assert_true(nth < MAX_CALLS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_call_may_fail_while_elements_bounce),
        cmocka_unit_test(any_call_may_fail_while_elements_are_mapped),
        cmocka_unit_test(any_call_of_the_back_end_may_fail),
        cmocka_unit_test(a_part_of_the_pool_that_stays_unknown_is_not_used),
        cmocka_unit_test(any_call_may_fail_without_a_fallback),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
