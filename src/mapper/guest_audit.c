/* SPDX-License-Identifier: MIT */
#include "mapper/guest_audit.h"

#include <inttypes.h>

#include "base/error_text.h"
#include "mapper/audit.h"

static PmAuditView view_of(const PmGuestPiece *piece)
{
    return (PmAuditView){
        .claim = piece->claim,
        .manager = piece->region->manager,
        .ram_offset = piece->ram_offset,
        .size = piece->size,
        .address = piece->guest.first,
    };
}

static void fail_link(const PmGuestDomain *domain, uint64_t iova, const char *difference,
                      GError **error)
{
    if (*error == NULL)
        (void)pm_fail(error, PM_ERROR_AUDIT, "domain %" PRIu32 ", I/O address 0x%" PRIx64 ": %s",
                      domain->id, iova, difference);
}

/* Adds the blocks that the kernel has mapped to *@n_kernel. */
static void audit_piece(const PmGuestDomain *domain, const PmGuestPiece *piece, uint64_t *n_kernel,
                        PmGuestMapperAudit *audit, GError **error)
{
    const PmAuditView view = view_of(piece);
    bool first = *error == NULL;
    PmMapperAudit counts = {0};
    PmIommuRun run;

    pm_audit_blocks(&view, 0, view.size, &counts, error);
    if (first && *error != NULL)
        g_prefix_error(error, "domain %" PRIu32 ", I/O address 0x%" PRIx64 ": ", domain->id,
                       pm_iommu_claim_get_iova(piece->claim));
    audit->n_populated += counts.n_populated;
    audit->n_mapped += counts.n_mapped;
    audit->n_mismatches += counts.n_mismatches;
    for (uint64_t at = 0; pm_iommu_claim_next_run(piece->claim, at, &run);
         at = run.iova - pm_iommu_claim_get_iova(piece->claim) + run.n_blocks * run.block_size)
        *n_kernel += run.n_blocks;
}

/* The pieces cover the mapping, in order, with its access. */
static void audit_link(const PmGuestDomain *domain, const PmGuestLink *link, uint64_t *n_kernel,
                       PmGuestMapperAudit *audit, GError **error)
{
    const PmGuestMapping *mapping = &link->mapping;
    uint64_t done = 0;

    for (guint i = 0; i < link->pieces->len; i++) {
        const PmGuestPiece *piece = g_ptr_array_index(link->pieces, i);

        if (piece->guest.first != mapping->address + done ||
            pm_iommu_claim_get_iova(piece->claim) != mapping->iova + done)
            fail_link(domain, mapping->iova + done, "mapped to other guest addresses", error);
        if (piece->access != (mapping->access & piece->region->config.access))
            fail_link(domain, mapping->iova + done, "mapped with other access", error);
        audit_piece(domain, piece, n_kernel, audit, error);
        done += piece->size;
    }
    if (done != mapping->last - mapping->iova + 1)
        fail_link(domain, mapping->iova + done, "in the table, and no part of it is here", error);
}

static bool is_same(const PmGuestMapping *one, const PmGuestMapping *other)
{
    return one->iova == other->iova && one->last == other->last && one->address == other->address &&
           one->access == other->access;
}

static bool next_mapping(const PmGuestDomain *domain, const PmGuestIommu *guest_iommu,
                         PmGuestMapping *mapping, bool is_first)
{
    if (!is_first && mapping->last == UINT64_MAX)
        return false;
    return pm_guest_iommu_next_mapping(guest_iommu, domain->id, is_first ? 0 : mapping->last + 1,
                                       mapping);
}

void pm_guest_audit_domain(PmGuestDomain *domain, const PmGuestIommu *guest_iommu,
                           uint64_t *n_pieces, PmGuestMapperAudit *audit, GError **error)
{
    uint64_t n_links = 0;
    uint64_t n_kernel = 0;
    PmGuestMapping mapping;

    for (bool found = next_mapping(domain, guest_iommu, &mapping, true); found;
         found = next_mapping(domain, guest_iommu, &mapping, false)) {
        const PmGuestLink *link = pm_guest_domain_next_link(domain, mapping.iova);

        audit->n_guest_mappings++;
        if (link == NULL || !is_same(&link->mapping, &mapping)) {
            fail_link(domain, mapping.iova, "in the table, but not followed", error);
            continue;
        }
        n_links++;
        *n_pieces += link->pieces->len;
        audit_link(domain, link, &n_kernel, audit, error);
    }
    if (n_links != pm_range_map_n_records(domain->links))
        fail_link(domain, 0, "more is mapped than the table has", error);
    audit->n_domains++;
    audit->n_others += pm_iommu_get_n_mappings(domain->iommu) - n_kernel;
    if (*error == NULL)
        (void)pm_iommu_audit(domain->iommu, NULL, 0, error);
}

void pm_guest_audit_region(const PmGuestRegion *region, GError **error)
{
    const PmAuditView view = {
        .manager = region->manager,
        .ram_offset = region->config.ram_offset,
        .size = region->config.size,
        .address = region->config.address,
    };

    pm_audit_quarantine(&view, error);
}
