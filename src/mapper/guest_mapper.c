/* SPDX-License-Identifier: MIT */
#include <plugmap/guest_mapper.h>

#include <inttypes.h>

#include "base/error_text.h"
#include "base/log.h"
#include "base/sized.h"
#include "guest_iommu/follower.h"
#include "mapper/audit.h"
#include "mapper/guest_audit.h"
#include "mapper/guest_domain.h"
#include "mapper/guest_split.h"
#include "mapper/region_check.h"

#define DEFAULT_MAX_MAPPINGS 65535

/* No IOMMU has smaller ones. */
#define SMALLEST_PAGE 4096

struct PmGuestMapper {
    PmGuestMapperConfig config;
    GPtrArray *regions;     /* of PmGuestRegion, by address */
    PmIntervalIndex *index; /* of the pieces of all domains, by guest address */
    GHashTable *domains;    /* translated ones, by number */
    PmGuestDomain *bypass;  /* NULL: no endpoint is in bypass */
    GHashTable *endpoints;  /* number to domain */
    PmGuestIommu *guest_iommu;
};

static void *key_of(uint32_t number)
{
    return GUINT_TO_POINTER(number);
}

PmGuestMapper *pm_guest_mapper_new(const PmGuestMapperConfig *config, GError **error)
{
    PmGuestMapperConfig known;
    PmGuestMapper *mapper;

    if (!pm_sized_read("PmGuestMapperConfig", &known, sizeof(known), config, error))
        return NULL;
    if (known.open == NULL || (unsigned)known.unplug > PM_GUEST_UNPLUG_REFUSE) {
        (void)pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                      known.open == NULL
                          ? "PmGuestMapperConfig.open is missing: it opens address spaces"
                          : "invalid PmGuestMapperConfig.unplug: must be PM_GUEST_UNPLUG_REVOKE "
                            "or PM_GUEST_UNPLUG_REFUSE");
        return NULL;
    }
    mapper = g_new0(PmGuestMapper, 1);
    mapper->config = known;
    if (known.max_mappings == 0)
        mapper->config.max_mappings = DEFAULT_MAX_MAPPINGS;
    mapper->regions = g_ptr_array_new();
    mapper->index = pm_interval_index_new();
    mapper->domains = g_hash_table_new(NULL, NULL);
    mapper->endpoints = g_hash_table_new(NULL, NULL);
    return mapper;
}

static void end(PmGuestMapper *mapper, PmGuestDomain *domain)
{
    if (domain == mapper->bypass)
        mapper->bypass = NULL;
    else
        (void)g_hash_table_remove(mapper->domains, key_of(domain->id));
    pm_guest_domain_end(domain, mapper->index);
}

/* Those from which an endpoint failed to be detached. */
static void end_all(PmGuestMapper *mapper)
{
    GHashTableIter iterator;
    void *domain;

    g_hash_table_iter_init(&iterator, mapper->domains);
    while (g_hash_table_iter_next(&iterator, NULL, &domain)) {
        g_hash_table_iter_steal(&iterator);
        pm_guest_domain_end(domain, mapper->index);
    }
    if (mapper->bypass != NULL)
        end(mapper, mapper->bypass);
    g_hash_table_remove_all(mapper->endpoints);
}

static void free_region(PmGuestRegion *region)
{
    g_autoptr(GError) error = NULL;

    if (!pm_guest_region_settle(region, &error))
        pm_log(G_LOG_LEVEL_WARNING, "freeing the mapper of a guest IOMMU: %s", error->message);
    pm_guest_region_end(region);
}

void pm_guest_mapper_free(PmGuestMapper *mapper)
{
    if (mapper == NULL)
        return;
    if (mapper->guest_iommu != NULL && pm_follower_is(mapper->guest_iommu, mapper))
        (void)pm_guest_iommu_set_follower(mapper->guest_iommu, NULL, NULL, NULL);
    end_all(mapper);
    for (guint i = 0; i < mapper->regions->len; i++)
        free_region(g_ptr_array_index(mapper->regions, i));
    g_ptr_array_unref(mapper->regions);
    g_hash_table_unref(mapper->endpoints);
    g_hash_table_unref(mapper->domains);
    pm_interval_index_free(mapper->index);
    pm_guest_iommu_unref(mapper->guest_iommu);
    g_free(mapper);
}

/* --- regions --- */

static bool check_apart(const PmGuestMapper *mapper, const PmMapperRegion *config, GError **error)
{
    const PmGuestRegion *other = pm_guest_find_region(mapper->regions, config->address, NULL);

    return other == NULL || pm_region_check_apart(config, &other->config, error);
}

static bool add(PmGuestMapper *mapper, const PmMapperRegion *config, GError **error)
{
    PmGuestRegion *region;
    guint place;

    if (!pm_region_check_fields(config, error) || !check_apart(mapper, config, error) ||
        !pm_region_check_blocks(SMALLEST_PAGE, config, error))
        return false;
    /* What an earlier failure has left; if that fails, so does the rest. */
    if (mapper->bypass != NULL)
        (void)pm_iommu_settle(mapper->bypass->iommu, NULL);
    region = pm_guest_region_new(config, mapper->config.unplug, mapper->index, error);
    if (region == NULL)
        return false;
    /* Last, because undoing it can fail. */
    if (mapper->bypass != NULL && !pm_mapper_add(mapper->bypass->bypass, config, error)) {
        pm_guest_region_end(region);
        return false;
    }
    (void)pm_guest_find_region(mapper->regions, config->address, &place);
    g_ptr_array_insert(mapper->regions, (gint)place, region);
    return true;
}

bool pm_guest_mapper_add(PmGuestMapper *mapper, const PmMapperRegion *config, GError **error)
{
    PmMapperRegion known;

    return pm_sized_read("PmMapperRegion", &known, sizeof(known), config, error) &&
           add(mapper, &known, error);
}

static bool object(PmInterval *interval, void *user_data)
{
    const PmGuestPiece *piece = (const PmGuestPiece *)interval;

    return pm_fail(user_data, PM_ERROR_BUSY,
                   "domain %" PRIu32 " maps guest address 0x%" PRIx64 " at I/O address 0x%" PRIx64
                   ": the guest must unmap it before the region at 0x%" PRIx64 " is removed",
                   piece->domain, interval->first, pm_iommu_claim_get_iova(piece->claim),
                   piece->region->config.address);
}

bool pm_guest_mapper_remove(PmGuestMapper *mapper, uint64_t address, GError **error)
{
    PmGuestRegion *region = pm_guest_find_region(mapper->regions, address, NULL);

    if (region == NULL || region->config.address != address)
        return pm_fail(error, PM_ERROR_NOT_FOUND, "no region begins at 0x%" PRIx64, address);
    if (!pm_interval_index_foreach(mapper->index, address, pm_guest_region_last(region), object,
                                   error) ||
        !pm_guest_region_settle(region, error))
        return false;
    if (mapper->bypass != NULL && !pm_mapper_remove(mapper->bypass->bypass, address, error))
        return false;
    (void)g_ptr_array_remove(mapper->regions, region);
    pm_guest_region_end(region);
    return true;
}

/* --- the follower; errors are described at pm_guest_mapper_follow() --- */

static PmIommu *open_address_space(const PmGuestMapper *mapper, const char *device, GError **error)
{
    GError *cause = NULL;
    PmIommu *iommu = mapper->config.open(mapper->config.user_data, device, &cause);

    if (iommu != NULL)
        return iommu;
    if (cause != NULL)
        g_propagate_error(error, cause);
    else
        (void)pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                      "PmGuestMapperConfig.open failed for device %s without an error", device);
    return NULL;
}

static PmGuestDomain *begin(PmGuestMapper *mapper, uint32_t id, bool bypass, const char *device,
                            GError **error)
{
    PmIommu *iommu = open_address_space(mapper, device, error);

    if (iommu == NULL)
        return NULL;
    if (bypass) {
        mapper->bypass = pm_guest_domain_new_bypass(iommu, mapper->regions, error);
        return mapper->bypass;
    }
    g_hash_table_insert(mapper->domains, key_of(id), pm_guest_domain_new(id, iommu));
    return g_hash_table_lookup(mapper->domains, key_of(id));
}

static PmGuestDomain *find_domain(const PmGuestMapper *mapper, uint32_t id, bool bypass)
{
    return bypass ? mapper->bypass : g_hash_table_lookup(mapper->domains, key_of(id));
}

static bool attach(void *user_data, uint32_t id, bool bypass, uint32_t endpoint, const char *device,
                   GError **error)
{
    PmGuestMapper *mapper = user_data;
    PmGuestDomain *domain = find_domain(mapper, id, bypass);

    if (domain == NULL)
        domain = begin(mapper, id, bypass, device, error);
    else if (pm_iommu_attach(domain->iommu, device, error))
        domain->n_endpoints++;
    else
        return false;
    if (domain == NULL)
        return false;
    g_hash_table_insert(mapper->endpoints, key_of(endpoint), domain);
    return true;
}

static bool detach(void *user_data, uint32_t id, bool bypass, uint32_t endpoint, const char *device,
                   GError **error)
{
    PmGuestMapper *mapper = user_data;
    PmGuestDomain *domain = find_domain(mapper, id, bypass);

    if (domain->n_endpoints > 1) {
        if (!pm_iommu_detach(domain->iommu, device, error))
            return false;
        domain->n_endpoints--;
    } else {
        end(mapper, domain);
    }
    (void)g_hash_table_remove(mapper->endpoints, key_of(endpoint));
    return true;
}

/* What the table has already is being restored: some of its memory may be unplugged by now. */
static bool is_restored(const PmGuestMapper *mapper, uint32_t id, const PmGuestMapping *mapping)
{
    PmGuestMapping known;

    return pm_guest_iommu_next_mapping(mapper->guest_iommu, id, mapping->iova, &known) &&
           known.iova == mapping->iova;
}

static bool map(void *user_data, uint32_t id, const PmGuestMapping *mapping, GError **error)
{
    const PmGuestMapper *mapper = user_data;
    const PmGuestLinkPlace place = {
        .regions = mapper->regions,
        .index = mapper->index,
        .n_max = mapper->config.max_mappings,
        .needs_population = !is_restored(mapper, id, mapping),
    };

    return pm_guest_domain_map(find_domain(mapper, id, false), &place, mapping, error);
}

static bool unmap(void *user_data, uint32_t id, const PmGuestMapping *mapping, GError **error)
{
    const PmGuestMapper *mapper = user_data;

    return pm_guest_domain_unmap(find_domain(mapper, id, false), mapper->index, mapping, error);
}

static const PmGuestIommuOps follower_ops = {
    .struct_size = sizeof(follower_ops),
    .attach = attach,
    .detach = detach,
    .map = map,
    .unmap = unmap,
};

bool pm_guest_mapper_follow(PmGuestMapper *mapper, PmGuestIommu *guest_iommu, GError **error)
{
    if (mapper->guest_iommu != NULL)
        return pm_fail(error, PM_ERROR_BUSY,
                       "the mapper follows a guest IOMMU already: make another mapper");
    mapper->guest_iommu = guest_iommu;
    if (!pm_guest_iommu_set_follower(guest_iommu, &follower_ops, mapper, error)) {
        end_all(mapper);
        mapper->guest_iommu = NULL;
        return false;
    }
    (void)pm_guest_iommu_ref(guest_iommu);
    return true;
}

/* --- getters --- */

PmIommu *pm_guest_mapper_get_iommu(const PmGuestMapper *mapper, uint32_t endpoint)
{
    const PmGuestDomain *domain = g_hash_table_lookup(mapper->endpoints, key_of(endpoint));

    return domain != NULL ? domain->iommu : NULL;
}

static void audit_domains(const PmGuestMapper *mapper, PmGuestMapperAudit *counts, GError **error)
{
    GHashTableIter iterator;
    void *domain;
    uint64_t n_pieces = 0;

    g_hash_table_iter_init(&iterator, mapper->domains);
    while (g_hash_table_iter_next(&iterator, NULL, &domain))
        pm_guest_audit_domain(domain, mapper->guest_iommu, &n_pieces, counts, error);
    if (*error == NULL && n_pieces != pm_interval_index_n_intervals(mapper->index))
        (void)pm_fail(error, PM_ERROR_AUDIT,
                      "the domains map 0x%" PRIx64 " parts, and the index has 0x%" PRIx64, n_pieces,
                      pm_interval_index_n_intervals(mapper->index));
}

bool pm_guest_mapper_audit(PmGuestMapper *mapper, PmGuestMapperAudit *audit, GError **error)
{
    PmGuestMapperAudit counts = {.struct_size = sizeof(counts)};
    GError *first = NULL;

    if (audit != NULL && !pm_sized_check("PmGuestMapperAudit", audit, error))
        return false;
    audit_domains(mapper, &counts, &first);
    for (guint i = 0; i < mapper->regions->len; i++)
        pm_guest_audit_region(g_ptr_array_index(mapper->regions, i), &first);
    if (first == NULL && mapper->bypass != NULL)
        (void)pm_mapper_audit(mapper->bypass->bypass, NULL, NULL, &first);
    return pm_audit_end(audit, &counts, sizeof(counts), first, error);
}
