/* SPDX-License-Identifier: MIT */
/* Checks of audits, counters, and the changes made by a step. */
#include "stack_fuzz_check.h"

#include <inttypes.h>
#include <string.h>

#include "util/backend_util.h"

/* --- audits --- */

/* The expected result of pm_mapper_audit(). */
typedef struct {
    uint64_t n_populated;
    uint64_t n_mapped;
    uint64_t n_wrong;       /* blocks plugged but not mapped, or mapped but not plugged */
    uint64_t n_quarantined; /* in quarantine for any reason */
} Expected;

static void expect_of_region(const FuzzWorld *world, const FuzzSpaceView *space,
                             const FuzzRamView *ram, const FuzzRegion *region, Expected *expected)
{
    unsigned page = fuzz_page_of(world, region->address);
    unsigned n_blocks = (unsigned)(region->size / region->block_size);

    for (unsigned i = 0; i < n_blocks; i++, page += (unsigned)(region->block_size / FUZZ_PAGE)) {
        unsigned block = fuzz_ram_block(region, i);
        bool populated = !region->managed || ram->plugged[block];

        expected->n_populated += populated;
        expected->n_mapped += space->ledger[page] == FUZZ_MAPPED;
        expected->n_wrong += space->ledger[page] != (populated ? FUZZ_MAPPED : FUZZ_UNMAPPED);
        expected->n_quarantined += region->managed && ram->quarantined[block];
    }
}

static Expected expect_of_mapper(const FuzzWorld *world, unsigned space, const FuzzMapper *mapper,
                                 const FuzzView *view)
{
    Expected expected = {0};

    for (unsigned i = 0; i < mapper->n_regions; i++)
        expect_of_region(world, &view->spaces[space], &view->rams[mapper->regions[i].ram],
                         &mapper->regions[i], &expected);
    return expected;
}

static void audit_mapper(const FuzzWorld *world, unsigned space, unsigned index,
                         const FuzzView *view)
{
    const FuzzMapper *mapper = &world->spaces[space].mappers[index];
    Expected expected = expect_of_mapper(world, space, mapper, view);
    bool clean =
        expected.n_wrong == 0 && expected.n_quarantined == 0 && view->spaces[space].n_unknown == 0;
    g_autoptr(GError) error = NULL;
    PmMapperAudit audit = {.struct_size = sizeof(audit)};

    if (pm_mapper_audit(mapper->mapper, NULL, &audit, &error) != clean)
        fuzz_fail(world, "the audit of mapper %u of space %u %s", index, space,
                  clean ? error->message : "passes, where something is wrong");
    if (audit.n_populated != expected.n_populated || audit.n_mapped != expected.n_mapped ||
        audit.n_mismatches != expected.n_wrong)
        fuzz_fail(world,
                  "mapper %u of space %u has %" PRIu64 " blocks populated, %" PRIu64
                  " mapped, %" PRIu64 " that differ; its audit reports %" PRIu64 ", %" PRIu64
                  " and %" PRIu64,
                  index, space, expected.n_populated, expected.n_mapped, expected.n_wrong,
                  audit.n_populated, audit.n_mapped, audit.n_mismatches);
}

static void audit_space(const FuzzWorld *world, unsigned space, unsigned flags, bool clean)
{
    g_autoptr(GError) error = NULL;
    bool passed = pm_iommu_audit(world->spaces[space].iommu, NULL, flags, &error);

    if (passed != clean)
        fuzz_fail(world, "the audit of space %u (flags %u) %s: %s", space, flags,
                  clean ? "fails" : "passes, with unknown blocks", clean ? error->message : "");
    if (!passed && !g_error_matches(error, PM_ERROR, PM_ERROR_QUARANTINED))
        fuzz_fail(world, "the audit of space %u fails with code %d: %s", space, error->code,
                  error->message);
}

void fuzz_check_audits(FuzzWorld *world, const FuzzView *view)
{
    for (unsigned i = 0; i < FUZZ_N_SPACES; i++) {
        bool clean = view->spaces[i].n_unknown == 0;

        audit_space(world, i, 0, clean);
        /* Unknown blocks in other spaces may be locked or not. */
        if (!clean || view->n_unknown == 0)
            audit_space(world, i, PM_IOMMU_AUDIT_SOLE_LOCKER, clean);
        for (unsigned j = 0; j < FUZZ_N_MAPPERS; j++)
            audit_mapper(world, i, j, view);
    }
}

/* --- budgets --- */

typedef struct {
    uint64_t n_mappings;
    uint64_t n_bytes;
} Room;

/* Reservations of strict regions that are not mapped (@at_most: including what may be mapped). */
static Room promised(const FuzzWorld *world, const FuzzView *view, unsigned index, bool at_most)
{
    const FuzzSpace *space = &world->spaces[index];
    const FuzzRegion *region = NULL;
    Room room = {0};

    while ((region = fuzz_next_region(space, region)) != NULL) {
        unsigned page = fuzz_page_of(world, region->address);

        if (!region->managed || !region->strict)
            continue;
        for (unsigned i = 0; i < region->n_blocks; i++) {
            const FuzzSpaceView *now = &view->spaces[index];
            bool used = at_most ? now->ledger[page] != FUZZ_UNMAPPED : now->kernel_sizes[page] != 0;

            room.n_mappings += !used;
            room.n_bytes += used ? 0 : region->block_size;
            page += (unsigned)(region->block_size / FUZZ_PAGE);
        }
    }
    return room;
}

static uint64_t ledger_bytes(const FuzzSpaceView *view)
{
    uint64_t n_bytes = 0;

    for (unsigned page = 0; page < FUZZ_N_PAGES; page++)
        n_bytes += view->ledger_sizes[page];
    return n_bytes;
}

uint64_t fuzz_mappings_in_use(const FuzzWorld *world, const FuzzView *view, unsigned space)
{
    return view->spaces[space].n_mapped + view->spaces[space].n_unknown +
           promised(world, view, space, true).n_mappings;
}

uint64_t fuzz_bytes_in_use(const FuzzWorld *world, const FuzzView *view)
{
    uint64_t n_bytes = 0;

    for (unsigned i = 0; i < FUZZ_N_SPACES; i++)
        n_bytes += ledger_bytes(&view->spaces[i]) + promised(world, view, i, true).n_bytes;
    return n_bytes;
}

static void check_counts(const FuzzWorld *world, unsigned index, const FuzzSpaceView *view)
{
    PmIommu *iommu = world->spaces[index].iommu;
    uint64_t limit = pm_iommu_get_mapping_limit(iommu);
    uint64_t n_mappings = pm_iommu_get_n_mappings(iommu);
    uint64_t n_available = 0;

    if (limit != world->entry_limit || !pm_iommu_query_available(iommu, &n_available, NULL))
        fuzz_fail(world, "space %u reports a limit of %" PRIu64 " mappings", index, limit);
    if (limit != UINT64_MAX && limit - n_available != view->n_kernel)
        fuzz_fail(world,
                  "space %u has %" PRIu64 " mappings, where %" PRIu64 " of %" PRIu64
                  " are available",
                  index, view->n_kernel, n_available, limit);
    if (n_mappings != view->n_mapped + view->n_unknown ||
        pm_iommu_get_pinned_bytes(iommu) != ledger_bytes(view))
        fuzz_fail(world,
                  "space %u has %" PRIu64 " mappings and %" PRIu64
                  " that are unknown, and reports %" PRIu64,
                  index, view->n_mapped, view->n_unknown, n_mappings);
}

void fuzz_check_budgets(FuzzWorld *world, const FuzzView *view)
{
    uint64_t n_bytes = 0;
    uint64_t n_promised = 0;

    for (unsigned i = 0; i < FUZZ_N_SPACES; i++) {
        Room room = promised(world, view, i, false);

        check_counts(world, i, &view->spaces[i]);
        n_bytes += view->spaces[i].kernel_bytes;
        n_promised += room.n_bytes;
        if (view->spaces[i].n_kernel + room.n_mappings > world->entry_limit)
            fuzz_fail(world,
                      "space %u has %" PRIu64 " mappings and promises %" PRIu64 " of %" PRIu64, i,
                      view->spaces[i].n_kernel, room.n_mappings, world->entry_limit);
    }
    if (n_bytes != view->pinned)
        fuzz_fail(world, "0x%" PRIx64 " bytes are pinned where 0x%" PRIx64 " are mapped",
                  view->pinned, n_bytes);
    if (n_promised > 0 && n_bytes + n_promised > world->memlock_limit)
        fuzz_fail(world, "0x%" PRIx64 " bytes are pinned and 0x%" PRIx64 " promised of 0x%" PRIx64,
                  n_bytes, n_promised, world->memlock_limit);
}

/* --- changes made by a step --- */

/* Marks blocks that a failed step may change: unknown or in quarantine before or after it. */
static void mark_lost(const FuzzWorld *world, const FuzzView *view, unsigned index, bool *lost)
{
    const FuzzSpace *space = &world->spaces[index];
    const FuzzRegion *region = NULL;

    for (unsigned page = 0; page < FUZZ_N_PAGES; page++)
        lost[page] |= view->spaces[index].ledger[page] == FUZZ_UNKNOWN;
    while ((region = fuzz_next_region(space, region)) != NULL) {
        unsigned page = fuzz_page_of(world, region->address);
        size_t n_pages = region->block_size / FUZZ_PAGE;

        for (unsigned i = 0; region->managed && i < region->n_blocks; i++)
            if (view->rams[region->ram].quarantined[region->first + i])
                memset(&lost[page + i * n_pages], true, n_pages);
    }
}

static void check_page(const FuzzWorld *world, unsigned space, unsigned page,
                       const FuzzSpaceView *before, const FuzzSpaceView *after)
{
    if (before->ledger[page] != after->ledger[page] ||
        before->translated[page] != after->translated[page] ||
        before->ledger_sizes[page] != after->ledger_sizes[page] ||
        (!world->maps_files && before->hosts[page] != after->hosts[page]))
        fuzz_fail(world, "it failed, and changed 0x%" PRIx64 " of space %u",
                  FUZZ_BASE + page * FUZZ_PAGE, space);
}

void fuzz_check_unchanged(FuzzWorld *world, const FuzzView *before, const FuzzView *after)
{
    bool all_known = true;

    for (unsigned i = 0; i < FUZZ_N_SPACES; i++) {
        bool lost[FUZZ_N_PAGES] = {false};

        mark_lost(world, before, i, lost);
        mark_lost(world, after, i, lost);
        for (unsigned page = 0; page < FUZZ_N_PAGES; page++)
            if (!lost[page])
                check_page(world, i, page, &before->spaces[i], &after->spaces[i]);
        all_known = all_known && memchr(lost, true, sizeof(lost)) == NULL;
    }
    for (unsigned i = 0; i < FUZZ_N_RAMS; i++)
        if (memcmp(before->rams[i].plugged, after->rams[i].plugged,
                   sizeof(before->rams[i].plugged)) != 0)
            fuzz_fail(world, "it failed, and changed what is plugged in RAM %u", i);
    if (before->n_open != after->n_open || (all_known && before->pinned != after->pinned))
        fuzz_fail(world, "it failed, and changed the number of files or of pinned bytes");
}

void fuzz_check_nothing_lost(FuzzWorld *world, const FuzzView *before, const FuzzView *after)
{
    for (unsigned i = 0; i < FUZZ_N_SPACES; i++)
        for (unsigned page = 0; page < FUZZ_N_PAGES; page++)
            if (after->spaces[i].ledger[page] == FUZZ_UNKNOWN &&
                before->spaces[i].ledger[page] != FUZZ_UNKNOWN)
                fuzz_fail(world, "0x%" PRIx64 " of space %u has become unknown",
                          FUZZ_BASE + page * FUZZ_PAGE, i);
    for (unsigned i = 0; i < FUZZ_N_RAMS; i++)
        for (unsigned block = 0; block < FUZZ_N_BLOCKS; block++)
            if (after->rams[i].quarantined[block] && !before->rams[i].quarantined[block])
                fuzz_fail(world, "block %u of RAM %u has come into quarantine", block, i);
}
