/* SPDX-License-Identifier: MIT */
/* Random requests, compared with a naive table after each: several domains and endpoints, edges of
 * the address space, holes, overlaps, and followers that fail. */
#include "guest_model.h"
#include "util/random_util.h"

#define N_STEPS 20000

typedef struct {
    GRand *random;
    PmGuestIommu *iommu;
    Follower follower;
    Model model;
    unsigned n_by_status[NOMEM + 1];
} Run;

static unsigned pick(Run *run, unsigned n)
{
    return (unsigned)g_rand_int_range(run->random, 0, (gint32)n);
}

static bool chance(Run *run, unsigned percent)
{
    return pick(run, 100) < percent;
}

/* A unit near the edges, more often than not. */
static unsigned pick_unit(Run *run)
{
    static const unsigned edges[] = {0, 1, HOLE - 1, HOLE, HOLE + 1, N_UNITS - 2, N_UNITS - 1};

    return chance(run, 30) ? edges[pick(run, G_N_ELEMENTS(edges))] : pick(run, N_UNITS);
}

static void pick_range(Run *run, uint64_t *start, uint64_t *end)
{
    unsigned first = pick_unit(run);
    unsigned last = chance(run, 80) ? MIN(first + pick(run, 4), N_UNITS - 1) : pick_unit(run);

    *start = unit_start(first);
    *end = unit_last(last);
    if (chance(run, 3))
        *start += 1 + pick(run, PAGE - 1);
    if (chance(run, 3))
        *end -= 1 + pick(run, PAGE - 1);
}

/* A request, with its expected status; the model has changed as if it succeeds. */
static Wire pick_request(Run *run, unsigned *expected)
{
    unsigned domain = chance(run, 95) ? FIRST_DOMAIN + pick(run, 4) : pick(run, N_DOMAINS);
    unsigned endpoint = chance(run, 95) ? pick(run, N_ENDPOINTS) : N_ENDPOINTS;
    unsigned kind = pick(run, 100);
    uint64_t address = chance(run, 3) ? UINT64_MAX - 0xfff : (uint64_t)pick(run, 1000) * PAGE;
    uint32_t flags;
    uint64_t start;
    uint64_t end;

    pick_range(run, &start, &end);
    if (kind < 55) {
        flags = chance(run, 5) ? pick(run, 16) : 1 + pick(run, 3);
        *expected = model_map(&run->model, domain, start, end, address, flags);
        return map_request(domain, start, end, address, flags);
    }
    if (kind < 80) {
        *expected = model_unmap(&run->model, domain, start, end);
        return unmap_request(domain, start, end);
    }
    if (kind < 94) {
        flags = chance(run, 5) ? pick(run, 4) : chance(run, 20);
        *expected = model_attach(&run->model, domain, endpoint, flags);
        return attach_request(domain, endpoint, flags);
    }
    *expected = model_detach(&run->model, domain, endpoint);
    return detach_request(domain, endpoint);
}

/* A request of which one call of the follower may fail: then nothing changes. */
static void step_request(Run *run)
{
    Model before = run->model;
    unsigned expected;
    const Wire request = pick_request(run, &expected);
    unsigned status;

    if (chance(run, 10))
        follower_fail(&run->follower, pick(run, 4), 1, PM_ERROR_NOT_POPULATED);
    status = send_request(run->iommu, &request);
    follower_succeed(&run->follower);
    if (status == FAULT && expected == OK)
        run->model = before;
    else
        assert_int_equal(status, expected);
    run->n_by_status[status]++;
}

static void step_bypass(Run *run)
{
    run->model.bypass = chance(run, 50);
    assert_true(pm_guest_iommu_set_bypass(run->iommu, run->model.bypass, NULL));
}

static void step_endpoint(Run *run)
{
    unsigned id = pick(run, N_ENDPOINTS);
    int domain = run->model.domain_of[id];

    if (!run->model.present[id]) {
        unsigned first;
        unsigned last;
        bool reserves = model_reserved(id, &first, &last);
        PmGuestReserved reserved = {.kind = PM_GUEST_RESERVED_MSI};

        if (reserves) {
            reserved.start = unit_start(first);
            reserved.last = unit_last(last);
        }
        add_endpoint_with(run->iommu, id, &reserved, reserves ? 1 : 0);
        run->model.present[id] = true;
        return;
    }
    assert_true(pm_guest_iommu_remove_endpoint(run->iommu, id, NULL));
    if (domain >= 0)
        assert_int_equal(model_detach(&run->model, (unsigned)domain, id), OK);
    run->model.present[id] = false;
}

static void step_follower(Run *run)
{
    assert_true(pm_guest_iommu_set_follower(run->iommu, NULL, NULL, NULL));
    assert_int_equal(run->follower.lines->len, 0);
    assert_true(pm_guest_iommu_set_follower(run->iommu, &follower_ops, &run->follower, NULL));
}

static void step_reset(Run *run)
{
    assert_true(pm_virtio_iommu_device_reset(run->iommu, NULL));
    accept_features(run->iommu);
    for (unsigned id = 0; id < N_ENDPOINTS; id++) {
        if (run->model.domain_of[id] >= 0)
            (void)model_detach(&run->model, (unsigned)run->model.domain_of[id], id);
    }
}

static void step(Run *run)
{
    unsigned kind = pick(run, 1000);

    if (kind < 5)
        step_follower(run);
    else if (kind < 7)
        step_reset(run);
    else if (kind < 20)
        step_endpoint(run);
    else if (kind < 30)
        step_bypass(run);
    else
        step_request(run);
    assert_is_model(run->iommu, &run->model);
    assert_follows(run->iommu, &run->follower);
    g_string_truncate(run->follower.calls, 0);
}

static void run_init(Run *run, const char *name)
{
    const PmGuestIommuConfig config = {
        .struct_size = sizeof(config),
        .first_domain = FIRST_DOMAIN,
        .last_domain = LAST_DOMAIN,
        .max_domains = MAX_DOMAINS,
        .max_mappings = MAX_MAPPINGS,
    };

    *run = (Run){.random = random_new(name), .iommu = new_iommu(&config)};
    follower_init(&run->follower);
    model_init(&run->model);
    accept_features(run->iommu);
    assert_true(pm_guest_iommu_set_follower(run->iommu, &follower_ops, &run->follower, NULL));
}

static void run_clear(Run *run)
{
    pm_guest_iommu_unref(run->iommu);
    assert_int_equal(run->follower.lines->len, 0);
    follower_clear(&run->follower);
    g_rand_free(run->random);
}

static void random_requests_do_what_a_naive_table_does(void **state)
{
    unsigned n_steps = random_steps(N_STEPS);
    Run run;

    (void)state;
    run_init(&run, "guest_model");
    for (unsigned i = 0; i < n_steps; i++)
        step(&run);
    /* The mix of requests reaches every status. */
    for (unsigned status = 0; status <= NOMEM && n_steps == N_STEPS; status++) {
        if (status != IOERR && status != DEVERR)
            assert_in_range(run.n_by_status[status], 1, n_steps);
    }
    run_clear(&run);
}

/* With failures to undo there is no model; but the follower has what the table has. */
static void random_failures_leave_the_table_as_the_follower_has_it(void **state)
{
    unsigned n_steps = random_steps(N_STEPS);
    unsigned n_lost = 0;
    Run run;

    (void)state;
    run_init(&run, "guest_model, failures");
    for (unsigned id = 0; id < N_ENDPOINTS; id++)
        add_endpoint(run.iommu, id);
    for (unsigned i = 0; i < n_steps; i++) {
        unsigned expected;
        const Wire request = pick_request(&run, &expected);
        const GError *refusal;

        if (chance(&run, 20))
            follower_fail(&run.follower, pick(&run, 4), 1 + pick(&run, 5), PM_ERROR_LIMIT);
        if (chance(&run, 2))
            (void)pm_guest_iommu_set_bypass(run.iommu, chance(&run, 50), NULL);
        (void)send_request(run.iommu, &request);
        (void)pm_virtio_iommu_last_refusal(run.iommu, &refusal);
        if (g_error_matches(refusal, PM_ERROR, PM_ERROR_QUARANTINED))
            n_lost++;
        assert_follows(run.iommu, &run.follower);
        follower_succeed(&run.follower);
        g_string_truncate(run.follower.calls, 0);
        model_init(&run.model);
    }
    assert_true(n_steps < N_STEPS || n_lost > 20);
    run_clear(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_requests_do_what_a_naive_table_does),
        cmocka_unit_test(random_failures_leave_the_table_as_the_follower_has_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
