/* SPDX-License-Identifier: MIT */
#include "guest_model.h"

uint64_t unit_start(unsigned unit)
{
    if (unit <= HOLE)
        return unit * PAGE;
    return -((N_UNITS - unit) * PAGE);
}

uint64_t unit_last(unsigned unit)
{
    return unit + 1 < N_UNITS ? unit_start(unit + 1) - 1 : UINT64_MAX;
}

/* Addresses begin and end with units, except for those that a test makes unaligned. */
static unsigned unit_of(uint64_t address)
{
    unsigned unit = 0;

    while (unit_last(unit) < address)
        unit++;
    return unit;
}

bool model_reserved(unsigned id, unsigned *first, unsigned *last)
{
    switch (id) {
    case 1:
        *first = *last = 3;
        return true;
    case 2:
        *first = 30;
        *last = 34;
        return true;
    case 3:
        *first = *last = N_UNITS - 1;
        return true;
    default:
        return false;
    }
}

void model_init(Model *model)
{
    memset(model, 0, sizeof(*model));
    for (unsigned id = 0; id < N_ENDPOINTS; id++)
        model->domain_of[id] = -1;
}

static unsigned count_endpoints(const Model *model, unsigned domain)
{
    unsigned n_endpoints = 0;

    for (unsigned id = 0; id < N_ENDPOINTS; id++)
        n_endpoints += model->domain_of[id] == (int)domain;
    return n_endpoints;
}

static unsigned count_domains(const Model *model)
{
    unsigned n_domains = 0;

    for (unsigned id = 0; id < N_DOMAINS; id++)
        n_domains += model->domains[id].exists;
    return n_domains;
}

static unsigned count_mappings(const ModelDomain *domain)
{
    unsigned n_mappings = 0;
    unsigned previous = 0;

    for (unsigned unit = 0; unit < N_UNITS; unit++) {
        n_mappings += domain->units[unit].mapping != 0 && domain->units[unit].mapping != previous;
        previous = domain->units[unit].mapping;
    }
    return n_mappings;
}

static bool is_mapped(const ModelDomain *domain, unsigned first, unsigned last)
{
    for (unsigned unit = first; unit <= last; unit++) {
        if (domain->units[unit].mapping != 0)
            return true;
    }
    return false;
}

static void leave(Model *model, unsigned endpoint)
{
    int domain = model->domain_of[endpoint];

    model->domain_of[endpoint] = -1;
    if (domain >= 0 && count_endpoints(model, (unsigned)domain) == 0)
        memset(&model->domains[domain], 0, sizeof(ModelDomain));
}

unsigned model_attach(Model *model, unsigned domain, unsigned endpoint, uint32_t flags)
{
    bool bypass = (flags & BYPASS) != 0;
    unsigned first;
    unsigned last;

    if ((flags & ~(uint32_t)BYPASS) != 0)
        return INVAL;
    if (endpoint >= N_ENDPOINTS || !model->present[endpoint])
        return NOENT;
    if (domain < FIRST_DOMAIN || domain > LAST_DOMAIN)
        return RANGE;
    if (model->domains[domain].exists && model->domains[domain].bypass != bypass)
        return INVAL;
    if (model->domains[domain].exists && model_reserved(endpoint, &first, &last) &&
        is_mapped(&model->domains[domain], first, last))
        return UNSUPP;
    if (!model->domains[domain].exists) {
        unsigned from_ends = model->domain_of[endpoint] >= 0 &&
                             count_endpoints(model, (unsigned)model->domain_of[endpoint]) == 1;

        if (count_domains(model) - from_ends == MAX_DOMAINS)
            return NOMEM;
    }
    if (model->domain_of[endpoint] == (int)domain)
        return OK;
    leave(model, endpoint);
    model->domain_of[endpoint] = (int)domain;
    model->domains[domain].exists = true;
    model->domains[domain].bypass = bypass;
    return OK;
}

unsigned model_detach(Model *model, unsigned domain, unsigned endpoint)
{
    if (endpoint >= N_ENDPOINTS || !model->present[endpoint])
        return NOENT;
    if (model->domain_of[endpoint] != (int)domain)
        return INVAL;
    leave(model, endpoint);
    return OK;
}

static bool is_reserved(const Model *model, unsigned domain, unsigned first, unsigned last)
{
    for (unsigned id = 0; id < N_ENDPOINTS; id++) {
        unsigned from;
        unsigned to;

        if (model->domain_of[id] == (int)domain && model_reserved(id, &from, &to) && from <= last &&
            first <= to)
            return true;
    }
    return false;
}

unsigned model_map(Model *model, unsigned domain, uint64_t start, uint64_t end, uint64_t address,
                   uint32_t flags)
{
    unsigned first;
    unsigned last;

    if ((flags & ~(uint32_t)(READ | WRITE)) != 0 || flags == 0)
        return INVAL;
    if (start % PAGE != 0 || end % PAGE != PAGE - 1 || address % PAGE != 0)
        return RANGE;
    if (end < start)
        return INVAL;
    if (address + (end - start) < address)
        return RANGE;
    if (domain >= N_DOMAINS || !model->domains[domain].exists)
        return NOENT;
    first = unit_of(start);
    last = unit_of(end);
    if (model->domains[domain].bypass || is_reserved(model, domain, first, last) ||
        is_mapped(&model->domains[domain], first, last))
        return INVAL;
    if (count_mappings(&model->domains[domain]) == MAX_MAPPINGS)
        return NOMEM;
    model->n_mapped++;
    for (unsigned unit = first; unit <= last; unit++)
        model->domains[domain].units[unit] =
            (ModelUnit){model->n_mapped, address + (unit_start(unit) - start), flags};
    return OK;
}

unsigned model_unmap(Model *model, unsigned domain, uint64_t start, uint64_t end)
{
    ModelUnit *units;
    unsigned first;
    unsigned last;

    if (end < start)
        return INVAL;
    if (domain >= N_DOMAINS || !model->domains[domain].exists)
        return NOENT;
    if (model->domains[domain].bypass)
        return INVAL;
    units = model->domains[domain].units;
    first = unit_of(start);
    last = unit_of(end);
    if (units[first].mapping != 0 &&
        (start != unit_start(first) ||
         (first > 0 && units[first - 1].mapping == units[first].mapping)))
        return RANGE;
    if (units[last].mapping != 0 &&
        (end != unit_last(last) ||
         (last + 1 < N_UNITS && units[last + 1].mapping == units[last].mapping)))
        return RANGE;
    memset(&units[first], 0, (last - first + 1) * sizeof(ModelUnit));
    return OK;
}

/* --- comparison --- */

static void assert_unit(PmGuestIommu *iommu, unsigned id, const ModelDomain *domain, unsigned unit)
{
    const ModelUnit *expected = &domain->units[unit];
    PmGuestMapping mapping;
    bool found = pm_guest_iommu_next_mapping(iommu, id, unit_start(unit), &mapping) &&
                 mapping.iova <= unit_last(unit);

    assert_int_equal(found, expected->mapping != 0);
    if (!found)
        return;
    assert_true(mapping.address + (unit_start(unit) - mapping.iova) == expected->address);
    assert_int_equal(mapping.access, expected->access);
    /* The mapping begins and ends where the model's does. */
    assert_int_equal(mapping.iova == unit_start(unit),
                     unit == 0 || domain->units[unit - 1].mapping != expected->mapping);
    assert_int_equal(mapping.last == unit_last(unit),
                     unit + 1 == N_UNITS || domain->units[unit + 1].mapping != expected->mapping);
}

static void assert_domain(PmGuestIommu *iommu, const Model *model, unsigned id)
{
    const ModelDomain *domain = &model->domains[id];
    PmGuestDomainInfo info = {.struct_size = sizeof(info)};
    bool exists = pm_guest_iommu_next_domain(iommu, id, &info) && info.domain == id;

    assert_int_equal(exists, domain->exists);
    if (!exists)
        return;
    assert_int_equal(info.bypass, domain->bypass);
    assert_int_equal(info.n_endpoints, count_endpoints(model, id));
    assert_int_equal(info.n_mappings, count_mappings(domain));
    for (unsigned unit = 0; unit < N_UNITS; unit++)
        assert_unit(iommu, id, domain, unit);
}

static void assert_endpoint(PmGuestIommu *iommu, const Model *model, unsigned id)
{
    PmGuestEndpointInfo info = {.struct_size = sizeof(info)};
    bool present = pm_guest_iommu_next_endpoint(iommu, id, &info) && info.endpoint == id;
    int domain = model->domain_of[id];

    assert_int_equal(present, model->present[id]);
    if (!present)
        return;
    assert_int_equal(info.domain, domain < 0 ? NO_DOMAIN : (uint32_t)domain);
    assert_int_equal(info.bypass, domain < 0 ? model->bypass : model->domains[domain].bypass);
}

void assert_is_model(PmGuestIommu *iommu, const Model *model)
{
    for (unsigned id = 0; id < N_DOMAINS; id++)
        assert_domain(iommu, model, id);
    for (unsigned id = 0; id < N_ENDPOINTS; id++)
        assert_endpoint(iommu, model, id);
    assert_int_equal(pm_guest_iommu_get_bypass(iommu), model->bypass);
}
