/* SPDX-License-Identifier: MIT */
/*
 * PmIommuClaim: a range of I/O addresses that belongs to one owner. Every mapping of a PmIommu is
 * made through a claim, and only through that claim can it be removed.
 *
 * A buffer of your own, mapped for a device:
 *
 *     g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_MEMFD, PM_MIB, 0, &error);
 *     PmIommuClaimConfig config = {
 *         .struct_size = sizeof(config),
 *         .owner = "the ring",
 *         .ram = ram,
 *         .iova = 8 * PM_GIB,
 *         .size = PM_MIB,
 *         .block_size = PM_MIB,
 *     };
 *     g_autoptr(PmIommuClaim) claim = ram ? pm_iommu_claim_new(iommu, &config, &error) : NULL;
 *
 *     if (!claim || !pm_iommu_claim_map(claim, 0, PM_MIB, 0, PM_IOMMU_READ_WRITE, &error))
 *         return false;
 *     use(pm_ram_get_host(ram));
 *     if (pm_iommu_claim_release(claim, &error))
 *         return true;
 *     pm_iommu_claim_abandon(claim);
 *     return false;
 *
 * What could not be unmapped is the PmIommu's then. Reset the device or the machine, and try again
 * with pm_iommu_settle().
 *
 * A claim has one block size: each block is one mapping, because the kernel unmaps only what was
 * mapped as one piece. It references the RAM that its blocks map, and knows each block as unmapped,
 * mapped or unknown. A block becomes unknown when the kernel's answer leaves open whether it is
 * still mapped, or when its owner had to leave it behind mapped.
 *
 * An unknown block stays unknown until the kernel has shown that it is gone. That a call returned
 * success does not show it, nor does the size that it unmapped, because nobody knows how much there
 * was: pm_iommu_claim_purge() unmaps, and then probes until nothing is found. (For blocks that are
 * known to be mapped, the size is enough if it is exactly theirs.) Meanwhile nobody else gets the
 * addresses, the RAM stays referenced, and what may be mapped and pinned counts against the limits.
 *
 * A reference keeps the memory of pm_ram_new() allocated. Adopted memory (pm_ram_adopt()) is the
 * caller's, and must not be unmapped or reused before the claim has ended: call
 * pm_iommu_claim_release() and look at its result, since pm_iommu_claim_unref() can only log.
 *
 * A claim may reserve room for itself: mappings of the address space, and locked memory of the
 * process. Reservations of all claims add up, over all address spaces of one kernel and back end,
 * so a claim that has reserved room for all of its blocks can map them all, whatever the others do.
 * Locked memory of type1 and of iommufd does not add up: the kernel keeps two counts, type1's per
 * process (VmLck) and iommufd's per user (VmPin shows this process's share), and holds each against
 * the whole limit.
 *
 * fork(2): a child has a copy of its parent's claims, and cannot change what they have mapped. In
 * the child mapping and unmapping fail with PM_ERROR_PERMISSION. Purging, releasing,
 * pm_iommu_settle() and dropping the last reference succeed, but only make the child's copy forget:
 * the kernel is not called, and the parent's mappings stay.
 *
 * Threads: safe from several threads at once, except that nothing may use a claim that is being
 * unreferenced for the last time. Offsets and sizes are bytes, multiples of the block size; offsets
 * count from the start of the claim.
 */
#ifndef PLUGMAP_IOMMU_CLAIM_H
#define PLUGMAP_IOMMU_CLAIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <plugmap/iommu.h>
#include <plugmap/ram.h>

G_BEGIN_DECLS

typedef struct PmIommuClaim PmIommuClaim;

/**
 * PmIommuClaimConfig: what to claim.
 * @struct_size: sizeof(PmIommuClaimConfig) (macros.h).
 * @owner: who it is for, in messages; copied.
 * @ram: the memory to map; a reference is taken until nothing of it is mapped any more. It must not
 * have a discard manager, except with @follows_manager.
 * @iova, @size: the I/O addresses; @size is a multiple of @block_size.
 * @block_size: bytes of each mapping, a multiple of the IOMMU's smallest page.
 * @reserved_size: bytes, a multiple of @block_size, at most @size: room to keep free for this
 * claim, whether it uses it or not. 0: none, so that a later map may fail for want of room.
 * @follows_manager: the owner maps what the RAM's discard manager has populated, and nothing else:
 * it has a listener there (pm_discard_manager_register()) that unmaps what is discarded, and whose
 * next_unknown is pm_iommu_claim_next_unknown(). When the owner has to leave mapped blocks behind
 * it abandons the claim, and then drops the listener (pm_discard_manager_drop()). A PmMapper does
 * all of this.
 */
typedef struct {
    size_t struct_size;
    const char *owner;
    PmRam *ram;
    uint64_t iova;
    uint64_t size;
    uint64_t block_size;
    uint64_t reserved_size;
    bool follows_manager;
} PmIommuClaimConfig;

/**
 * Claims a range of I/O addresses. From now on no other claim can overlap it, and attaching a
 * device that does not reach all of it fails. The claim holds a reference to @iommu until it is
 * released or abandoned.
 *
 * Kernel: IOMMU_IOAS_ALLOW_IOVAS (iommufd/ioas.c) for the address; type1 has no such call, so
 * pm_iommu_attach() checks.
 * Returns: a new reference, or NULL. Errors: PM_ERROR_INVALID_ARGUMENT (no owner or RAM, sizes),
 * PM_ERROR_UNALIGNED, PM_ERROR_IOVA_RANGE, PM_ERROR_OVERLAP (names the other claim's owner),
 * PM_ERROR_BUSY (@ram has a discard manager that is not followed: a PmMapper maps such RAM),
 * PM_ERROR_LIMIT and PM_ERROR_LOCKED_MEMORY (no room to reserve), PM_ERROR_QUARANTINED (an
 * abandoned claim still has unknown blocks there), PM_ERROR_MEMORY, PM_ERROR_KERNEL.
 */
PM_EXPORT PmIommuClaim *pm_iommu_claim_new(PmIommu *iommu, const PmIommuClaimConfig *config,
                                           GError **error);

/** Takes a reference. Returns @claim. */
PM_EXPORT PmIommuClaim *pm_iommu_claim_ref(PmIommuClaim *claim);

/** Drops a reference. The last one releases the claim, or abandons it if that fails, which only the
 * log says: if you have to know, call pm_iommu_claim_release() first. NULL does nothing. */
PM_EXPORT void pm_iommu_claim_unref(PmIommuClaim *claim);

/** The I/O address it begins at. */
PM_EXPORT uint64_t pm_iommu_claim_get_iova(const PmIommuClaim *claim);

/** Bytes. */
PM_EXPORT uint64_t pm_iommu_claim_get_size(const PmIommuClaim *claim);

/** Bytes of each mapping. */
PM_EXPORT uint64_t pm_iommu_claim_get_block_size(const PmIommuClaim *claim);

/** Whom it is for. Owned by the claim. */
PM_EXPORT const char *pm_iommu_claim_get_owner(const PmIommuClaim *claim);

/**
 * Checks whether the budgets have room for @size bytes more of this claim, beside what all claims
 * use and have reserved. No side effects; the kernel is asked only where locked memory is limited
 * and the claim has not reserved it. @size may be more than the claim has. Errors:
 * PM_ERROR_UNALIGNED, PM_ERROR_INVALID_ARGUMENT (released or abandoned), PM_ERROR_LIMIT (has,
 * needs, smallest block size that fits), PM_ERROR_LOCKED_MEMORY (has, needs, how to raise it),
 * PM_ERROR_KERNEL, PM_ERROR_PERMISSION (in a forked child).
 */
PM_EXPORT bool pm_iommu_claim_check_room(PmIommuClaim *claim, uint64_t size, GError **error);

/**
 * Maps the blocks of [@offset, @offset + @size), one mapping each, to the RAM from @ram_offset on.
 *
 * Kernel: VFIO_IOMMU_MAP_DMA (vfio_iommu_type1.c, vfio_dma_do_map) or IOMMU_IOAS_MAP
 * (iommufd/ioas.c), which pin the memory; with iommufd, memfds and hugetlb memory are mapped by
 * file (IOMMU_IOAS_MAP_FILE) where the kernel can (Linux 6.13 and later). Hugetlb memory is faulted
 * in before it is mapped by file, because kernels before the fixes of July and November 2025
 * mishandle pages that are not there; it stays if the call fails.
 *
 * Errors: PM_ERROR_INVALID_ARGUMENT (access, empty, outside of claim or RAM, the claim has been
 * released or abandoned), PM_ERROR_UNALIGNED, PM_ERROR_OVERLAP (a block is mapped already; EEXIST
 * from the kernel), PM_ERROR_LIMIT (also ENOSPC), PM_ERROR_LOCKED_MEMORY and PM_ERROR_MEMORY
 * (ENOMEM), PM_ERROR_BAD_ADDRESS (EFAULT, or a file that is too small), PM_ERROR_UNSUPPORTED
 * (memory of a device by iommufd; EFAULT), PM_ERROR_PERMISSION, PM_ERROR_NOT_FOUND,
 * PM_ERROR_KERNEL; PM_ERROR_QUARANTINED (a block is unknown; or one block
 * failed, and those mapped before it could not be unmapped again: they are unknown now). On any
 * other failure nothing is mapped that was not before.
 */
PM_EXPORT bool pm_iommu_claim_map(PmIommuClaim *claim, uint64_t offset, uint64_t size,
                                  uint64_t ram_offset, PmIommuAccess access, GError **error);

/**
 * Unmaps the blocks of [@offset, @offset + @size) with one call. All of them must be mapped.
 *
 * Kernel: VFIO_IOMMU_UNMAP_DMA (vfio_iommu_type1.c, vfio_dma_do_unmap) or IOMMU_IOAS_UNMAP
 * (iommufd/io_pagetable.c); the size it returns is compared with @size. Errors:
 * PM_ERROR_INVALID_ARGUMENT, PM_ERROR_UNALIGNED, PM_ERROR_NO_MAPPING, PM_ERROR_QUARANTINED (a block
 * is unknown) before the kernel is asked; PM_ERROR_MEMORY, PM_ERROR_PERMISSION, PM_ERROR_BUSY,
 * PM_ERROR_NOT_FOUND (ENOMEM, EPERM, EBUSY and ENODEV from the kernel), PM_ERROR_KERNEL: nothing is
 * unmapped; PM_ERROR_UNMAP_MISMATCH: something, but not all, is unmapped, or may be (another size
 * than asked; ENOENT from iommufd, and EBUSY and EDEADLOCK for more than one block): the blocks are
 * unknown now.
 */
PM_EXPORT bool pm_iommu_claim_unmap(PmIommuClaim *claim, uint64_t offset, uint64_t size,
                                    GError **error);

/**
 * Unmaps everything in the claim, blocks that are unknown included. If the kernel does not say that
 * it removed exactly what was mapped, it is asked whether anything is left, until nothing is: the
 * way out of PM_ERROR_QUARANTINED and PM_ERROR_UNMAP_MISMATCH. If no block is mapped or unknown,
 * the kernel is not called: what somebody else may have mapped there is not looked for.
 *
 * Kernel: as pm_iommu_claim_unmap(). Whether something is left is asked by a MAP that has to fail:
 * with EEXIST if something is, for its host address if nothing is (vfio_dma_do_map and
 * iopt_alloc_area_pages check in this order). Errors: those of the kernel as above, with which
 * nothing has changed; PM_ERROR_UNMAP_MISMATCH (the kernel goes on finding mappings, or does not
 * say: all blocks that were mapped are unknown now).
 */
PM_EXPORT bool pm_iommu_claim_purge(PmIommuClaim *claim, GError **error);

/**
 * Purges the claim and gives its addresses, its reservation and its RAM back. The reference stays
 * the caller's. From then on mapping and unmapping fail (PM_ERROR_INVALID_ARGUMENT), the getters
 * still work, no runs are found, purging and releasing return true, and abandoning does nothing.
 * Errors: those of pm_iommu_claim_purge(); the claim stays then.
 */
PM_EXPORT bool pm_iommu_claim_release(PmIommuClaim *claim, GError **error);

/**
 * For an owner that has to go, and whose pm_iommu_claim_release() failed: leaves the claim to its
 * PmIommu. What is mapped becomes unknown; if nothing is, the claim just ends. These try again to
 * unmap it: pm_iommu_settle(), a new claim of its addresses, and pm_iommu_claim_purge() or
 * pm_iommu_claim_release() by anybody who still has a reference. It ends at the latest when the
 * PmIommu is closed, unless the kernel does not confirm even then that nothing is mapped: that is
 * logged, and its RAM is never freed. Cannot fail.
 */
PM_EXPORT void pm_iommu_claim_abandon(PmIommuClaim *claim);

/** Finds the first run of mapped or of unknown blocks in the claim that has a byte at or behind
 * @offset; as pm_iommu_next_run(), whose I/O addresses it gives. Returns: false if there is none.
 */
PM_EXPORT bool pm_iommu_claim_next_run(PmIommuClaim *claim, uint64_t offset, PmIommuRun *run);

/**
 * Finds the first run of unknown blocks that has a byte at or behind @offset.
 * @run_offset, @run_size: set to it. @reason: optional: set to why they are unknown; a copy, freed
 * with g_free(). Returns: false if there is none.
 */
PM_EXPORT bool pm_iommu_claim_next_unknown(PmIommuClaim *claim, uint64_t offset,
                                           uint64_t *run_offset, uint64_t *run_size, char **reason);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmIommuClaim, pm_iommu_claim_unref)

G_END_DECLS

#endif
