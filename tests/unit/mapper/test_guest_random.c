/* SPDX-License-Identifier: MIT */
/*
 * Random sequences of the guest's and the host's operations, with injected failures, beside a naive
 * model of the table and the plugged blocks. After each step the table is the model's, and each
 * device's page table is what the model says, page by page. PLUGMAP_TEST_SEED repeats a sequence.
 */
#include "guest_world.h"

#include <errno.h>
#include <stdio.h>

#include "util/random_util.h"

#define N_SEQUENCES      30
#define N_SEQUENCES_REAL 4
#define N_STEPS          150
#define N_DOMAINS        3
#define N_SLOTS          24 /* of I/O addresses, of SLOT bytes */
#define SLOT             PM_MIB
#define SPACE            (MEMORY + N_BLOCKS * BLOCK - PLAIN)

typedef struct {
    uint64_t size; /* 0: none */
    uint64_t iova;
    uint64_t address;
    PmIommuAccess access;
} Mapping;

typedef struct {
    bool is_bypass;
    Mapping mappings[N_SLOTS];
} Domain;

/* @places: of the endpoints: a domain, or -1: none. */
typedef struct {
    GuestWorld *world;
    GRand *random;
    bool refuses;
    bool bypass; /* for endpoints in no domain */
    int places[N_DEVICES];
    Domain domains[N_DOMAINS];
    bool is_plugged[N_BLOCKS];
    bool is_faulty; /* this step */
    uint64_t n_done;
} Model;

static uint32_t below(Model *model, uint32_t bound)
{
    return (uint32_t)g_rand_int_range(model->random, 0, (gint32)bound);
}

static bool has_endpoint(const Model *model, int domain)
{
    for (unsigned i = 0; i < N_DEVICES; i++)
        if (model->places[i] == domain)
            return true;
    return false;
}

static bool is_memory(const Model *model, uint64_t address)
{
    if (address >= PLAIN && address < MEMORY)
        return true;
    return address >= MEMORY && address < MEMORY + N_BLOCKS * BLOCK &&
           model->is_plugged[(address - MEMORY) / BLOCK];
}

static bool is_all_memory(const Model *model, uint64_t address, uint64_t size)
{
    for (uint64_t at = 0; at < size; at += PAGE)
        if (!is_memory(model, address + at))
            return false;
    return true;
}

/* --- steps: each has the model do what must have happened, or have failed --- */

/* With an injected failure both outcomes are right, else only the model's. */
static void conclude(Model *model, bool done, bool expected, const GError *error)
{
    if (done != expected && !(model->is_faulty && !done))
        fail_msg("%s, expected %s: %s", done ? "done" : "failed", expected ? "done" : "failed",
                 error != NULL ? error->message : "no error");
    model->n_done += done;
}

static void attach(Model *model)
{
    uint32_t endpoint = below(model, N_DEVICES);
    int domain = (int)below(model, N_DOMAINS);
    Domain *to = &model->domains[domain];
    int from = model->places[endpoint];
    bool exists = has_endpoint(model, domain);
    bool is_bypass = exists ? to->is_bypass : below(model, 4) == 0;
    g_autoptr(GError) error = NULL;
    bool done =
        pm_guest_iommu_attach(model->world->table, (uint32_t)domain, is_bypass, endpoint, &error);

    conclude(model, done, true, error);
    if (!done)
        return;
    model->places[endpoint] = domain;
    if (from >= 0 && !has_endpoint(model, from))
        model->domains[from] = (Domain){0};
    to->is_bypass = is_bypass;
}

static void detach(Model *model)
{
    uint32_t endpoint = below(model, N_DEVICES);
    int from = model->places[endpoint];
    g_autoptr(GError) error = NULL;
    bool done;

    if (from < 0)
        return;
    done = pm_guest_iommu_detach(model->world->table, (uint32_t)from, endpoint, &error);
    conclude(model, done, true, error);
    if (!done)
        return;
    model->places[endpoint] = -1;
    if (!has_endpoint(model, from))
        model->domains[from] = (Domain){0};
}

static void set_bypass(Model *model)
{
    bool bypass = below(model, 2) == 0;
    g_autoptr(GError) error = NULL;
    bool done = pm_guest_iommu_set_bypass(model->world->table, bypass, &error);

    conclude(model, done, true, error);
    if (done)
        model->bypass = bypass;
}

static void map(Model *model)
{
    uint32_t domain = below(model, N_DOMAINS);
    uint32_t slot = below(model, N_SLOTS);
    Mapping *mapping = &model->domains[domain].mappings[slot];
    const PmIommuAccess accesses[] = {PM_IOMMU_READ, PM_IOMMU_READ_WRITE, PM_IOMMU_READ_WRITE};
    uint64_t max_pages = below(model, 3) == 0 ? SLOT / PAGE / 2 : below(model, 2) == 0 ? 40 : 3;
    Mapping wanted = {.size = (1 + below(model, (uint32_t)max_pages)) * PAGE};
    g_autoptr(GError) error = NULL;
    bool expected;
    bool done;

    wanted.iova = IOVA + slot * SLOT + below(model, 64) * PAGE;
    wanted.address = PLAIN + below(model, (uint32_t)(SPACE / PAGE)) * PAGE;
    wanted.access = accesses[below(model, 3)];
    expected = has_endpoint(model, (int)domain) && !model->domains[domain].is_bypass &&
               mapping->size == 0 && is_all_memory(model, wanted.address, wanted.size);
    if (mapping->size != 0)
        return;
    done = guest_map(model->world, domain, wanted.iova, wanted.address, wanted.size, wanted.access,
                     &error);
    conclude(model, done, expected, error);
    if (done)
        *mapping = wanted;
}

static void unmap(Model *model)
{
    uint32_t domain = below(model, N_DOMAINS);
    uint32_t first = below(model, N_SLOTS);
    uint32_t n_slots = 1 + below(model, 4);
    Domain *of = &model->domains[domain];
    g_autoptr(GError) error = NULL;
    bool done = guest_unmap(model->world, domain, IOVA + first * SLOT, n_slots * SLOT, &error);

    conclude(model, done, has_endpoint(model, (int)domain) && !of->is_bypass, error);
    for (uint32_t i = first; done && i < MIN(first + n_slots, N_SLOTS); i++)
        of->mappings[i].size = 0;
}

static bool is_mapped(const Model *model, uint64_t block)
{
    uint64_t first = MEMORY + block * BLOCK;

    for (unsigned i = 0; i < N_DOMAINS; i++)
        for (unsigned j = 0; j < N_SLOTS; j++) {
            const Mapping *mapping = &model->domains[i].mappings[j];

            if (mapping->size != 0 && mapping->address < first + BLOCK &&
                mapping->address + mapping->size > first)
                return true;
        }
    return false;
}

static void plug_or_unplug(Model *model)
{
    uint64_t first = below(model, N_BLOCKS);
    uint64_t n_blocks = 1 + below(model, (uint32_t)MIN(6, N_BLOCKS - first));
    bool plug = !model->is_plugged[first];
    bool expected = true;
    int answer;

    n_blocks = MIN(n_blocks, N_BLOCKS - first);
    for (uint64_t i = 1; i < n_blocks; i++)
        if (model->is_plugged[first + i] == plug)
            n_blocks = i;
    for (uint64_t i = 0; i < n_blocks; i++)
        expected = expected && (plug || !model->refuses || !is_mapped(model, first + i));
    answer = guest_request(model->world, plug ? PM_VIRTIO_MEM_PLUG : PM_VIRTIO_MEM_UNPLUG, first,
                           n_blocks);
    conclude(model, answer == PM_VIRTIO_MEM_ACK, expected, NULL);
    for (uint64_t i = 0; answer == PM_VIRTIO_MEM_ACK && i < n_blocks; i++)
        model->is_plugged[first + i] = plug;
}

static void unplug_all(Model *model)
{
    bool expected = true;
    int answer;

    for (uint64_t i = 0; i < N_BLOCKS; i++)
        expected = expected && (!model->refuses || !model->is_plugged[i] || !is_mapped(model, i));
    answer = guest_request(model->world, PM_VIRTIO_MEM_UNPLUG_ALL, 0, 0);
    conclude(model, answer == PM_VIRTIO_MEM_ACK, expected, NULL);
    for (uint64_t i = 0; answer == PM_VIRTIO_MEM_ACK && i < N_BLOCKS; i++)
        model->is_plugged[i] = false;
}

static void step(Model *model)
{
    static void (*const steps[])(Model * model) = {
        map,
        map,
        map,
        map,
        map,
        unmap,
        unmap,
        attach,
        attach,
        plug_or_unplug,
        detach,
        plug_or_unplug,
        plug_or_unplug,
        plug_or_unplug,
        plug_or_unplug,
    };
    uint32_t chosen = below(model, 100);

    model->is_faulty = below(model, 4) == 0;
    if (model->is_faulty)
        either_fail(model->world->kernel, PM_FAKE_CALL_ANY, 1 + below(model, 12), ENOMEM);
    if (chosen < 2)
        unplug_all(model);
    else if (chosen < 5)
        set_bypass(model);
    else
        steps[below(model, G_N_ELEMENTS(steps))](model);
    either_clear_faults(model->world->kernel);
}

/* --- what must be --- */

static void check_table(const Model *model)
{
    for (uint32_t i = 0; i < N_DEVICES; i++) {
        PmGuestEndpointInfo info = {.struct_size = sizeof(info)};
        int place = model->places[i];

        assert_true(pm_guest_iommu_next_endpoint(model->world->table, i, &info));
        assert_int_equal(info.domain, place < 0 ? PM_GUEST_IOMMU_NO_DOMAIN : (uint32_t)place);
        assert_int_equal(info.bypass, place < 0 ? model->bypass : model->domains[place].is_bypass);
    }
    for (uint32_t i = 0; i < N_DOMAINS; i++) {
        PmGuestMapping mapping;
        uint64_t at = 0;

        for (unsigned j = 0; j < N_SLOTS; j++) {
            const Mapping *expected = &model->domains[i].mappings[j];

            if (expected->size == 0)
                continue;
            assert_true(pm_guest_iommu_next_mapping(model->world->table, i, at, &mapping));
            assert_int_equal(mapping.iova, expected->iova);
            assert_int_equal(mapping.last, expected->iova + expected->size - 1);
            at = mapping.last + 1;
        }
        assert_false(pm_guest_iommu_next_mapping(model->world->table, i, at, &mapping));
    }
    for (uint64_t i = 0; i < N_BLOCKS; i++)
        assert_int_equal(pm_discard_manager_is_populated(
                             pm_virtio_mem_get_manager(model->world->device), i * BLOCK, BLOCK),
                         model->is_plugged[i]);
}

static uint64_t run_sequence(GRand *random, bool refuses)
{
    Model model = {.random = random, .refuses = refuses, .places = {-1, -1, -1}};
    unsigned n_steps = random_steps(N_STEPS);

    model.world = guest_world_new(
        &(GuestWorldConfig){.unplug = refuses ? PM_GUEST_UNPLUG_REFUSE : PM_GUEST_UNPLUG_REVOKE});
    for (unsigned i = 0; i < n_steps; i++) {
        step(&model);
        check_table(&model);
        guest_check(model.world);
    }
    guest_world_free(model.world);
    return model.n_done;
}

static void page_tables_are_what_the_model_says(void **state)
{
    g_autoptr(GRand) random = random_new("guest_random");
    uint64_t n_done = 0;

    (void)state;
    for (unsigned i = 0; i < (either_is_real() ? N_SEQUENCES_REAL : N_SEQUENCES); i++)
        n_done += run_sequence(random, i % 4 == 3);
    assert_true(n_done > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(page_tables_are_what_the_model_says)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
