/* SPDX-License-Identifier: MIT */
/*
 * PmMapper: keeps the mappings of a PmIommu equal to the populated memory of a guest.
 *
 * A region (PmMapperRegion) is a piece of a PmRam at a guest physical address. RAM without a
 * discard manager is plain: the region is mapped whole, with one mapping. Where the RAM has a
 * PmDiscardManager, the mapper follows it: the region is mapped block by block, because the kernel
 * unmaps only what was mapped as one piece; a run of blocks is unmapped with one call.
 * One PmRam may back any number of regions, in one mapper and in several: guest RAM around the hole
 * below 4 GiB, or one piece of it at two guest addresses.
 * Each region has a claim (iommu_claim.h) on its I/O addresses, so that no other mapper of the same
 * PmIommu can map there.
 * At every return of a public function of the device, the manager or the mapper, the mapped blocks
 * are the populated blocks; pm_mapper_audit() proves it.
 *
 * fork(2): a child has a copy of its parent's mapper, and cannot change what that has mapped. In
 * the child, mapping and unmapping fail with PM_ERROR_PERMISSION; pm_mapper_remove() and
 * pm_mapper_free() succeed, but only make the child's copy forget: the parent's mappings stay.
 * pm_mapper_audit() fails with PM_ERROR_PERMISSION.
 *
 * Threads: one at a time, together with the managers whose regions it has.
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
 * PmMapperFlags: how a region is added.
 * @PM_MAPPER_STRICT: refuse a region that could not be mapped if all of it were populated: mapping
 * limit and locked-memory limit must have room for the worst case of all regions together, those of
 * other mappers included, and for locked memory those of the process's other address spaces of the
 * same back end; it stays reserved. The locked memory of type1 and of iommufd does not add up:
 * iommu_claim.h says why.
 * @PM_MAPPER_OVERCOMMIT: take it if what is populated now fits; a later PLUG beyond the limits is
 * answered BUSY. Makes no difference for plain RAM.
 * @PM_MAPPER_OPTIONAL: add the region even if it cannot be mapped: devices do not reach it then,
 * which the log says, and pm_mapper_check_mapped(). For a BAR (PmRamAdoption.device_memory), which
 * a guest can do without in most cases, and which iommufd does not map. What is wrong with the
 * region itself, an overlap, and quarantine at its addresses remain errors. Not for RAM that has a
 * discard manager.
 */
typedef enum {
    PM_MAPPER_STRICT = 0,
    PM_MAPPER_OVERCOMMIT = 1 << 0,
    PM_MAPPER_OPTIONAL = 1 << 1,
} PmMapperFlags;

/**
 * PmMapperRegion: a piece of RAM, and where the guest has it.
 * @struct_size: sizeof(PmMapperRegion) (macros.h).
 * @ram: plain, or with a discard manager, or a BAR (PmRamAdoption.device_memory) that other devices
 * are to reach. pm_mapper_add() takes a reference to it, and to the
 * manager.
 * @ram_offset: where in @ram the region begins.
 * @size: bytes, not 0. @ram_offset + @size is at most the size of @ram.
 * @address: guest physical address; devices reach the region at the same I/O address.
 * @access: what devices may do: PM_IOMMU_READ for ROM, else PM_IOMMU_READ_WRITE. Some IOMMUs
 * (Intel's) let devices read what is PM_IOMMU_WRITE alone.
 * @flags: of PmMapperFlags.
 * @ram_offset, @size and @address are multiples of the manager's granularity, or, for plain RAM, of
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
 * PmMapperAudit: what pm_mapper_audit() compared, over all regions (in its range).
 * @struct_size: sizeof(PmMapperAudit) (macros.h).
 * @n_populated: blocks that the managers have populated in the regions; a region of plain RAM is
 * one.
 * @n_mapped: blocks that the regions' claims have mapped, one mapping each.
 * @n_mismatches: blocks that are one but not the other, or not known, or mapped elsewhere.
 * Regions that could not be mapped (PM_MAPPER_OPTIONAL) do not count.
 */
typedef struct {
    size_t struct_size;
    uint64_t n_populated;
    uint64_t n_mapped;
    uint64_t n_mismatches;
} PmMapperAudit;

/** Makes a mapper without regions. Takes a reference to @iommu. Cannot fail. Free with
 * pm_mapper_free(). */
PM_EXPORT PmMapper *pm_mapper_new(PmIommu *iommu);

/**
 * Unmaps all regions and frees the mapper. NULL does nothing. What cannot be unmapped goes to the
 * log: its claim is abandoned (pm_iommu_claim_abandon()), and its blocks stay in quarantine at the
 * manager until pm_discard_manager_discard_all(), pm_iommu_settle() or adding the region again has
 * unmapped them, or the PmIommu is closed. In a forked child nothing is unmapped.
 */
PM_EXPORT void pm_mapper_free(PmMapper *mapper);

/**
 * Maps a region, and keeps it mapped. Plain RAM is mapped whole. Of RAM that has a discard manager
 * what is populated is mapped now, and what becomes populated later is mapped then. A manager made
 * later is refused (pm_discard_manager_new()): make the device before the region is added.
 *
 * Checked before the first call: the whole region is inside the IOVA ranges, a block is at least an
 * IOMMU page, and the budgets have room (see PmMapperFlags). Two regions may show the same RAM, but
 * not at the same guest address; each of them counts against the budgets.
 * @region: not needed afterwards.
 *
 * Errors: PM_ERROR_INVALID_ARGUMENT (no RAM, access, flags, empty, not inside the RAM, ends beyond
 * 2^64-1), PM_ERROR_UNALIGNED, PM_ERROR_OVERLAP (a region of any mapper of the PmIommu is there),
 * those of pm_iommu_claim_new() and pm_iommu_claim_map(); PM_ERROR_MEMORY also if the host's pool
 * has too few hugetlb pages (the message has the command that raises it); PM_ERROR_QUARANTINED
 * (populated blocks are in quarantine; or mappings could not be undone: they are in quarantine as
 * after pm_mapper_free()). On failure the region is not added, and but for the last case nothing is
 * mapped, reserved or referenced.
 */
PM_EXPORT bool pm_mapper_add(PmMapper *mapper, const PmMapperRegion *region, GError **error);

/**
 * Whether the region that begins at guest address @address is mapped, as every region is but for
 * those with PM_MAPPER_OPTIONAL; of RAM with a discard manager, whether the mapper follows it. To
 * try again, remove the region and add it once more.
 * Errors: PM_ERROR_NOT_FOUND (no region begins there); else what mapping it has failed with.
 */
PM_EXPORT bool pm_mapper_check_mapped(const PmMapper *mapper, uint64_t address, GError **error);

/**
 * Unmaps the region that begins at guest address @address, unknown blocks included, and lets go of
 * it. Errors: PM_ERROR_NOT_FOUND, those of pm_iommu_claim_purge(); the region stays then. If more
 * blocks have become unknown by it, a managed region gives PM_ERROR_QUARANTINED where the claim
 * gives PM_ERROR_UNMAP_MISMATCH.
 */
PM_EXPORT bool pm_mapper_remove(PmMapper *mapper, uint64_t address, GError **error);

/**
 * Compares, block by block, what the managers have populated with what the claims have mapped, and
 * where to; then audits the address space (pm_iommu_audit()). Never true while anything of the
 * regions or of the address space is in quarantine.
 * @range: guest addresses: only blocks that reach into it are compared, which takes no longer where
 * more is plugged elsewhere, and the address space is audited so, too; quarantine is found
 * anywhere. NULL: all.
 * @audit: filled in either way; may be NULL.
 * Errors: PM_ERROR_AUDIT (the message names the first block that differs, and how),
 * PM_ERROR_QUARANTINED, PM_ERROR_PERMISSION (in a forked child), those of pm_iommu_audit().
 */
PM_EXPORT bool pm_mapper_audit(PmMapper *mapper, const PmIovaRange *range, PmMapperAudit *audit,
                               GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmMapper, pm_mapper_free)

G_END_DECLS

#endif
