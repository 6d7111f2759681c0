/* SPDX-License-Identifier: MIT */
#include "migration/handover_party.h"

#include <inttypes.h>
#include <string.h>

#include "base/error_text.h"
#include "mapper/mapper_private.h"
#include "memory/ram_claims.h"

/* --- the set --- */

static void add_claims(PmHandoverParty *party, const PmMapper *mapper)
{
    const GPtrArray *regions = pm_mapper_get_regions(mapper);

    for (guint i = 0; i < regions->len; i++) {
        PmIommuClaim *claim = ((const PmRegion *)regions->pdata[i])->claim;

        if (claim != NULL)
            g_hash_table_add(party->claims, claim);
    }
}

static bool is_twice(const PmHandoverParty *party, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (party->mappers[i] == party->mappers[index])
            return true;
    return false;
}

static bool add_mapper(PmHandoverParty *party, size_t index, GError **error)
{
    PmMapper *mapper = party->mappers[index];
    PmIommu *iommu;

    if (mapper == NULL || is_twice(party, index))
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "mapper %zu of the handover is %s: pass each mapper once", index,
                       mapper == NULL ? "NULL" : "one of those before it");
    iommu = pm_mapper_get_iommu(mapper);
    if (!g_ptr_array_find(party->iommus, iommu, NULL))
        g_ptr_array_add(party->iommus, iommu);
    add_claims(party, mapper);
    return true;
}

bool pm_handover_party_init(PmHandoverParty *party, PmMapper *const *mappers, size_t n_mappers,
                            GError **error)
{
    *party = (PmHandoverParty){.mappers = mappers, .n_mappers = n_mappers};
    party->iommus = g_ptr_array_new();
    party->claims = g_hash_table_new(NULL, NULL);
    if (n_mappers == 0 || n_mappers > PM_HANDOVER_MAX_MAPPERS)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "invalid number of mappers of a handover: %zu: must be 1 to %d", n_mappers,
                       PM_HANDOVER_MAX_MAPPERS);
    for (size_t i = 0; i < n_mappers; i++)
        if (!add_mapper(party, i, error))
            return false;
    return true;
}

void pm_handover_party_clear(PmHandoverParty *party)
{
    g_clear_pointer(&party->iommus, g_ptr_array_unref);
    g_clear_pointer(&party->claims, g_hash_table_unref);
}

/* --- what is checked before anything changes --- */

bool pm_handover_party_check(const PmHandoverParty *party, GError **error)
{
    for (guint i = 0; i < party->iommus->len; i++)
        if (!pm_iommu_handover_check(party->iommus->pdata[i], party->claims, error))
            return false;
    return true;
}

/* Whoever maps the RAM elsewhere meanwhile would keep it pinned when the new owner discards it. */
static void refuse_claims(const PmHandoverParty *party, bool refuse)
{
    GHashTableIter iterator;
    void *claim;

    g_hash_table_iter_init(&iterator, party->claims);
    while (g_hash_table_iter_next(&iterator, &claim, NULL))
        pm_ram_refuse_claims(((const PmIommuClaim *)claim)->ram, refuse);
}

static bool begin_all(const PmHandoverParty *party, GError **error)
{
    for (guint i = 0; i < party->iommus->len; i++) {
        if (pm_iommu_handover_begin(party->iommus->pdata[i], party->claims, error))
            continue;
        while (i-- > 0)
            pm_iommu_handover_cancel(party->iommus->pdata[i]);
        return false;
    }
    return true;
}

bool pm_handover_party_begin(const PmHandoverParty *party, GError **error)
{
    refuse_claims(party, true);
    if (begin_all(party, error))
        return true;
    refuse_claims(party, false);
    return false;
}

void pm_handover_party_cancel(const PmHandoverParty *party)
{
    refuse_claims(party, false);
}

/* --- the description --- */

/* @known: of PmRam, in the order of PmHandoverState.rams. */
static bool add_ram(PmHandoverState *state, GPtrArray *known, PmRam *ram, uint32_t *index,
                    GError **error)
{
    int fd = pm_ram_get_fd(ram, NULL);
    PmRamFile file;
    guint found;

    if (!g_ptr_array_find(known, ram, &found)) {
        if (!pm_ram_describe_file(ram, &file, error))
            return false;
        found = known->len;
        g_ptr_array_add(known, ram);
        g_array_append_val(state->rams, file);
        g_array_append_val(state->ram_fds, fd);
    }
    *index = found;
    return true;
}

static bool describe_region(PmHandoverState *state, GPtrArray *known, const PmRegion *region,
                            PmHandoverMapper *mapper, GError **error)
{
    PmHandoverRegion added = {.config = region->config};

    if (region->claim == NULL)
        return pm_fail(error, PM_ERROR_BUSY,
                       "cannot hand over the optional region at 0x%" PRIx64
                       ", which is not mapped: remove it first (pm_mapper_remove())",
                       region->config.address);
    if (!add_ram(state, known, region->config.ram, &added.ram, error) ||
        !pm_claim_copy_runs(region->claim, &added.runs, &added.n_runs, error))
        return false;
    added.config.ram = NULL;
    g_array_append_val(mapper->regions, added);
    return true;
}

static bool describe_mapper(const PmHandoverParty *party, PmHandoverState *state, GPtrArray *known,
                            const PmMapper *mapper, GError **error)
{
    const GPtrArray *regions = pm_mapper_get_regions(mapper);
    PmHandoverMapper *added = pm_handover_state_add_mapper(state);

    (void)g_ptr_array_find(party->iommus, pm_mapper_get_iommu(mapper), &added->space);
    for (guint i = 0; i < regions->len; i++)
        if (!describe_region(state, known, regions->pdata[i], added, error))
            return false;
    return true;
}

static size_t count_open(const PmIommuFiles *files)
{
    size_t n_fds = 1;

    for (guint i = 0; i < files->files->len; i++)
        n_fds += g_array_index(files->files, PmIommuFile, i).fd >= 0;
    return n_fds;
}

static bool check_names(const PmIommuFiles *files, GError **error)
{
    for (guint i = 0; i < files->files->len; i++) {
        const PmIommuFile *file = &g_array_index(files->files, PmIommuFile, i);

        if (file->address != NULL && (strlen(file->address) > PM_HANDOVER_MAX_NAME ||
                                      !g_utf8_validate(file->address, -1, NULL)))
            return pm_fail(error, PM_ERROR_LIMIT,
                           "cannot hand over a device whose name is not UTF-8 of at most %d bytes",
                           PM_HANDOVER_MAX_NAME);
    }
    return true;
}

static bool check_limits(const PmHandoverState *state, GError **error)
{
    size_t n_fds = state->ram_fds->len;

    for (guint i = 0; i < state->spaces->len; i++) {
        const PmIommuFiles *files = &g_array_index(state->spaces, PmIommuFiles, i);

        if (!check_names(files, error))
            return false;
        n_fds += count_open(files);
    }
    return n_fds <= PM_CHANNEL_MAX_FDS ||
           pm_fail(error, PM_ERROR_LIMIT,
                   "cannot hand over %zu descriptors: a message on a socket has at most %d", n_fds,
                   PM_CHANNEL_MAX_FDS);
}

bool pm_handover_party_describe(const PmHandoverParty *party, PmHandoverState *state,
                                GError **error)
{
    g_autoptr(GPtrArray) known = g_ptr_array_new();

    for (guint i = 0; i < party->iommus->len; i++)
        pm_iommu_handover_describe(party->iommus->pdata[i], pm_handover_state_add_space(state));
    for (size_t i = 0; i < party->n_mappers; i++)
        if (!describe_mapper(party, state, known, party->mappers[i], error))
            return false;
    return check_limits(state, error);
}
