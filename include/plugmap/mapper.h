/* SPDX-License-Identifier: MIT */
/*
 * PmMapper: keeps the mappings of a PmIommu equal to the populated memory of a guest.
 *
 * A region (PmMapperRegion) is a range of a PmRam at a guest physical address. RAM without a
 * discard manager is plain: one mapping for the whole region. With a PmDiscardManager, the mapper
 * follows it: each block is a mapping, because the kernel unmaps only whole mappings; a run of
 * blocks is unmapped with one call. One PmRam can back any number of regions, in one or several
 * mappers: guest RAM around the hole below 4 GiB, or one range at two guest addresses. Each region
 * has a claim (iommu_claim.h) on its I/O addresses, so that no other mapper of the same PmIommu can
 * map there.
 *
 * As long as memory of a region may be mapped, uncoordinated discards of it are disabled, and all
 * discards of it if the RAM is plain (discard_policy.h).
 *
 * Whenever a public function of the device, the manager or the mapper returns, the mapped blocks
 * are the populated blocks; pm_mapper_audit() proves it.
 *
 * fork(2): a child has a copy of its parent's mapper, and cannot change its mappings. In the child,
 * mapping, unmapping and pm_mapper_audit() fail with PM_ERROR_PERMISSION; pm_mapper_remove() and
 * pm_mapper_free() succeed, but only discard the child's copy: the parent's mappings stay.
 *
 * Threads: one at a time, together with the managers of its regions.
 */
#ifndef PLUGMAP_MAPPER_H
#define PLUGMAP_MAPPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <plugmap/discard_manager.h>
#include <plugmap/iommu.h>

G_BEGIN_DECLS

typedef struct PmMapper PmMapper;

/**
 * PmMapperFlags: how to add a region.
 * @PM_MAPPER_STRICT: refuse a region that does not fit if fully populated: the mapping limit and
 * the locked-memory limit must have room for the worst case of all regions, including those of
 * other mappers and, for locked memory, of the process's other address spaces of the same back end.
 * The room stays reserved. Locked memory of type1 and iommufd does not add up (iommu_claim.h).
 * @PM_MAPPER_OVERCOMMIT: accept a region whose populated blocks fit; a later PLUG over the limits
 * is answered BUSY. No effect on plain RAM.
 * @PM_MAPPER_OPTIONAL: add the region even if mapping it fails: devices then cannot access it,
 * which is logged, and reported by pm_mapper_check_mapped(). For a BAR
 * (PmRamAdoption.device_memory), which most guests can do without, and which iommufd does not map.
 * An invalid region, an overlap, and quarantine at its addresses are still errors. Not for RAM with
 * a discard manager.
 */
typedef enum {
    PM_MAPPER_STRICT = 0,
    PM_MAPPER_OVERCOMMIT = 1 << 0,
    PM_MAPPER_OPTIONAL = 1 << 1,
} PmMapperFlags;

/**
 * PmMapperRegion: a range of RAM, and its guest address.
 * @struct_size: sizeof(PmMapperRegion) (macros.h).
 * @ram: plain, or with a discard manager, or a BAR (PmRamAdoption.device_memory) for peer-to-peer
 * DMA. pm_mapper_add() takes a reference to it, and to the manager.
 * @ram_offset: start of the region in @ram.
 * @size: bytes, not 0. @ram_offset + @size is at most the size of @ram.
 * @address: guest physical address, and I/O address. Of RAM of a PmVirtioMem it must be the
 * device's address plus @ram_offset: the mapper cannot check that.
 * @access: what devices may do: PM_IOMMU_READ for ROM, else PM_IOMMU_READ_WRITE. Some IOMMUs
 * (Intel's) allow reading through PM_IOMMU_WRITE, too.
 * @flags: of PmMapperFlags.
 *
 * @ram_offset, @size and @address are multiples of the manager's granularity or, for plain RAM, of
 * the IOMMU's smallest page.
 */
typedef struct {
    size_t struct_size;
    PmRam *ram;
    uint64_t ram_offset;
    uint64_t size;
    uint64_t address;
    PmIommuAccess access;
    unsigned flags;
} PmMapperRegion;

/**
 * PmMapperAudit: totals of pm_mapper_audit(), over all regions (in its range).
 * @struct_size: sizeof(PmMapperAudit) (macros.h).
 * @n_populated: blocks that the managers have populated; a region of plain RAM is one block.
 * @n_mapped: blocks that the regions' claims have mapped.
 * @n_mismatches: blocks that are either populated or mapped but not both, unknown, or mapped to
 * other memory. Optional regions that are not mapped (PM_MAPPER_OPTIONAL) do not count.
 */
typedef struct {
    size_t struct_size;
    uint64_t n_populated;
    uint64_t n_mapped;
    uint64_t n_mismatches;
} PmMapperAudit;

/** Creates a mapper without regions. Takes a reference to @iommu. Cannot fail. Free it with
 * pm_mapper_free(). */
PM_EXPORT PmMapper *pm_mapper_new(PmIommu *iommu);

/**
 * Unmaps all regions and frees the mapper. NULL does nothing. Failures to unmap are logged: the
 * claim is abandoned (pm_iommu_claim_abandon()), and its blocks stay in the manager's quarantine
 * until pm_discard_source_discard_all(), pm_iommu_settle() or adding the region again unmaps them,
 * or the PmIommu is closed. In a forked child nothing is unmapped.
 */
PM_EXPORT void pm_mapper_free(PmMapper *mapper);

/**
 * Maps a region, and keeps it mapped. Plain RAM is mapped whole. RAM with a discard manager is
 * mapped where populated, now and later, in blocks of the manager's granularity, which stays as
 * long as the region does (discard_source.h). A manager must be created before the region is added
 * (pm_discard_manager_new() fails afterwards). What is plugged outside of all regions is not
 * mapped, and not audited.
 *
 * Checked before the first call: the whole region is inside one valid IOVA range, a block is at
 * least an IOMMU page, and the budgets have room (PmMapperFlags). Two regions may share RAM, but
 * not a guest address; each counts against the budgets.
 * @region: not needed afterwards.
 *
 * Errors: PM_ERROR_INVALID_ARGUMENT (no RAM, access, flags, empty, past the end of the RAM or of
 * the guest addresses), PM_ERROR_UNALIGNED, PM_ERROR_OVERLAP (a region of any mapper of the PmIommu
 * is there), those of pm_iommu_claim_new() and pm_iommu_claim_map(); PM_ERROR_MEMORY also if the
 * host's pool has too few hugetlb pages (the message has the command that raises it);
 * PM_ERROR_QUARANTINED (populated blocks are in quarantine; or rolling back failed, and mappings
 * are in quarantine as after pm_mapper_free()). On failure the region is not added, and except in
 * the last case nothing is mapped, reserved or referenced.
 */
PM_EXPORT bool pm_mapper_add(PmMapper *mapper, const PmMapperRegion *region, GError **error);

/**
 * Whether the region that begins at guest address @address is mapped (or, with a discard manager,
 * followed). False only with PM_MAPPER_OPTIONAL; to retry, remove the region and add it again.
 * Errors: PM_ERROR_NOT_FOUND (no region begins there); else the error of mapping it.
 */
PM_EXPORT bool pm_mapper_check_mapped(const PmMapper *mapper, uint64_t address, GError **error);

/**
 * Unmaps the region that begins at guest address @address, including unknown blocks, and drops it.
 * Errors: PM_ERROR_NOT_FOUND, those of pm_iommu_claim_purge(); the region then stays. If more
 * blocks have become unknown, a managed region returns PM_ERROR_QUARANTINED in place of
 * PM_ERROR_UNMAP_MISMATCH.
 */
PM_EXPORT bool pm_mapper_remove(PmMapper *mapper, uint64_t address, GError **error);

/**
 * Compares, block by block, what the managers have populated with what the claims have mapped, and
 * to which memory; then audits the address space (pm_iommu_audit()). Fails while anything of the
 * regions or of the address space is in quarantine.
 * @range: guest addresses: only compare blocks that overlap it, also in the address space, so that
 * the cost does not depend on what is plugged elsewhere; quarantine is found anywhere. NULL: all.
 * @audit: filled in even on failure; may be NULL.
 * Errors: PM_ERROR_AUDIT (the first block that differs, and how), PM_ERROR_QUARANTINED,
 * PM_ERROR_PERMISSION (in a forked child), those of pm_iommu_audit().
 */
PM_EXPORT bool pm_mapper_audit(PmMapper *mapper, const PmIovaRange *range, PmMapperAudit *audit,
                               GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmMapper, pm_mapper_free)

G_END_DECLS

#endif
