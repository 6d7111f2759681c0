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
 * Blocks that fail to unmap then belong to the PmIommu. Reset the device or the machine, and retry
 * with pm_iommu_settle().
 *
 * A claim has one block size. Each block is one mapping, because the kernel unmaps only whole
 * mappings. The claim holds a reference to the RAM that its blocks map, and knows each block as
 * unmapped, mapped or unknown. A block becomes unknown if the kernel's result leaves open whether
 * it is still mapped, or if its owner abandons it while mapped.
 *
 * An unknown block stays unknown until the kernel proves that it is unmapped. Success of a call is
 * no proof, and neither is the size it reports, because nobody knows how much was mapped:
 * pm_iommu_claim_purge() unmaps, and then probes until nothing is left. (For blocks known to be
 * mapped, a reported size of exactly theirs suffices.) Meanwhile nobody else gets the addresses,
 * the RAM stays referenced, and what may be mapped and pinned counts against the limits.
 *
 * A reference keeps the memory of pm_ram_new() allocated. Adopted memory (pm_ram_adopt()) belongs
 * to the caller, who must not unmap or reuse it before the claim has ended: call
 * pm_iommu_claim_release() and check its result, because pm_iommu_claim_unref() can only log a
 * failure.
 *
 * A claim can reserve room: mappings of the address space, and locked memory of the process.
 * Reservations add up over all claims and address spaces of one kernel and back end, so a claim
 * that has reserved all of its blocks can map them all, whatever others do. Locked memory of type1
 * and iommufd does not add up, because the kernel accounts them separately: type1 per process
 * (VmLck), iommufd per user (VmPin shows this process's share), each against the whole limit.
 *
 * fork(2): a child has a copy of its parent's claims, and cannot change their mappings. In the
 * child, mapping and unmapping fail with PM_ERROR_PERMISSION. Purging, releasing, pm_iommu_settle()
 * and dropping the last reference succeed, but only discard the child's copy: the kernel is not
 * called, and the parent's mappings stay.
 *
 * Threads: safe from several threads at once, but nothing may use a claim during its last unref.
 * Offsets and sizes are bytes, multiples of the block size; offsets are relative to the start of
 * the claim.
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
 * @owner: name of the owner, for messages; copied.
 * @ram: the memory to map; a reference is held until nothing of it is mapped. Must not have a
 * discard manager, except with @follows_manager.
 * @iova, @size: the I/O addresses; @size is a multiple of @block_size.
 * @block_size: bytes per mapping, a multiple of the IOMMU's smallest page.
 * @reserved_size: bytes to reserve room for, used or not; a multiple of @block_size, at most @size.
 * 0: none, so that mapping may fail for lack of room.
 * @follows_manager: the owner maps exactly what the RAM's discard manager has populated: it
 * registers a listener (pm_discard_manager_register()) that unmaps what is discarded, and whose
 * next_unknown is pm_iommu_claim_next_unknown(). To abandon mapped blocks, it abandons the claim
 * first and then drops the listener (pm_discard_manager_drop()). PmMapper does all of this.
 * @ram_offset, @ram_size: the part of @ram that may be mapped, in bytes; @ram_size 0: up to the end
 * of @ram. As long as anything of the claim may be mapped, it disables all discards of that part,
 * or only uncoordinated ones with @follows_manager (discard_policy.h).
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
    uint64_t ram_offset;
    uint64_t ram_size;
} PmIommuClaimConfig;

/**
 * Claims a range of I/O addresses. From now on no other claim can overlap it, and attaching a
 * device that does not reach all of it fails. The claim holds a reference to @iommu until it is
 * released or abandoned.
 *
 * No kernel call: pm_iommu_attach() checks what a device reaches.
 * Returns: a new reference, or NULL. Errors: PM_ERROR_INVALID_ARGUMENT (no owner or RAM, sizes),
 * PM_ERROR_UNALIGNED, PM_ERROR_IOVA_RANGE, PM_ERROR_OVERLAP (names the other claim's owner),
 * PM_ERROR_BUSY (@ram has a discard manager: use PmMapper; or somebody requires discards of it,
 * whom the message names: discard_policy.h; or a handover is under way: handover.h),
 * PM_ERROR_LIMIT and PM_ERROR_LOCKED_MEMORY (no room to reserve), PM_ERROR_QUARANTINED (an
 * abandoned claim still has unknown blocks there), PM_ERROR_MEMORY, PM_ERROR_KERNEL (of
 * querying locked memory),
 * PM_ERROR_PERMISSION (RAM of the parent, in a forked child).
 */
PM_EXPORT PmIommuClaim *pm_iommu_claim_new(PmIommu *iommu, const PmIommuClaimConfig *config,
                                           GError **error);

/** Takes a reference. Returns @claim. */
PM_EXPORT PmIommuClaim *pm_iommu_claim_ref(PmIommuClaim *claim);

/** Drops a reference. The last one releases the claim, or abandons it if that fails, which is only
 * logged: call pm_iommu_claim_release() to get the error. NULL does nothing. */
PM_EXPORT void pm_iommu_claim_unref(PmIommuClaim *claim);

/** The first I/O address. */
PM_EXPORT uint64_t pm_iommu_claim_get_iova(const PmIommuClaim *claim);

/** Bytes. */
PM_EXPORT uint64_t pm_iommu_claim_get_size(const PmIommuClaim *claim);

/** Bytes per mapping. */
PM_EXPORT uint64_t pm_iommu_claim_get_block_size(const PmIommuClaim *claim);

/** The owner's name. Owned by the claim. */
PM_EXPORT const char *pm_iommu_claim_get_owner(const PmIommuClaim *claim);

/**
 * Checks whether the budgets have room for @size more bytes of this claim, beside what all claims
 * use and have reserved. No side effects; queries the kernel only if locked memory is limited and
 * the claim has not reserved it. @size may exceed the claim's.
 * Errors: PM_ERROR_UNALIGNED, PM_ERROR_INVALID_ARGUMENT (released or abandoned), PM_ERROR_LIMIT
 * (use, need, smallest block size that fits), PM_ERROR_LOCKED_MEMORY (use, need, how to raise it),
 * PM_ERROR_KERNEL, PM_ERROR_PERMISSION (in a forked child).
 */
PM_EXPORT bool pm_iommu_claim_check_room(PmIommuClaim *claim, uint64_t size, GError **error);

/**
 * Maps the blocks of [@offset, @offset + @size), one mapping each, to the RAM from @ram_offset on.
 *
 * Kernel: VFIO_IOMMU_MAP_DMA (vfio_iommu_type1.c, vfio_dma_do_map) or IOMMU_IOAS_MAP
 * (iommufd/ioas.c), which pin the memory. iommufd maps memfds and hugetlb memory by file
 * (IOMMU_IOAS_MAP_FILE) where supported (Linux 6.13 and later). Hugetlb memory is faulted in before
 * it is mapped by file, because kernels before the fixes of July and November 2025 mishandle
 * missing pages; the pages stay if the call fails.
 *
 * Errors: PM_ERROR_INVALID_ARGUMENT (access, empty, outside of claim or RAM, released or abandoned
 * claim), PM_ERROR_UNALIGNED, PM_ERROR_OVERLAP (a block is already mapped; EEXIST from the kernel),
 * PM_ERROR_LIMIT (also ENOSPC), PM_ERROR_LOCKED_MEMORY and PM_ERROR_MEMORY (ENOMEM),
 * PM_ERROR_BAD_ADDRESS (EFAULT, or past the end of the backing file), PM_ERROR_UNSUPPORTED (device
 * memory with iommufd; EFAULT), PM_ERROR_BUSY (type1: EBUSY; a handover is under way: handover.h),
 * PM_ERROR_PERMISSION (also after a handover), PM_ERROR_NOT_FOUND, PM_ERROR_KERNEL;
 * PM_ERROR_QUARANTINED (a block is unknown; or a block failed, and so did unmapping those before
 * it, which are unknown now). Any other failure maps nothing.
 */
PM_EXPORT bool pm_iommu_claim_map(PmIommuClaim *claim, uint64_t offset, uint64_t size,
                                  uint64_t ram_offset, PmIommuAccess access, GError **error);

/**
 * Unmaps the blocks of [@offset, @offset + @size) with one call. All of them must be mapped.
 *
 * Kernel: VFIO_IOMMU_UNMAP_DMA (vfio_iommu_type1.c, vfio_dma_do_unmap) or IOMMU_IOAS_UNMAP
 * (iommufd/io_pagetable.c); the size it reports is compared with @size.
 * Errors: before the call: PM_ERROR_INVALID_ARGUMENT, PM_ERROR_UNALIGNED, PM_ERROR_NO_MAPPING,
 * PM_ERROR_QUARANTINED (a block is unknown). From the kernel, with nothing unmapped:
 * PM_ERROR_MEMORY (ENOMEM), PM_ERROR_PERMISSION (EPERM), PM_ERROR_BUSY (EBUSY), PM_ERROR_NOT_FOUND
 * (ENODEV), PM_ERROR_KERNEL. PM_ERROR_UNMAP_MISMATCH: some, but not all, is or may be unmapped
 * (another size than requested; from iommufd ENOENT, and EBUSY and EDEADLOCK for more than one
 * block): the blocks are unknown now.
 */
PM_EXPORT bool pm_iommu_claim_unmap(PmIommuClaim *claim, uint64_t offset, uint64_t size,
                                    GError **error);

/**
 * As pm_iommu_claim_unmap(), and reads the dirty bits of the blocks, which unmapping discards.
 * Needed where their contents stay in use; not for memory that is about to be discarded.
 * @offset, @size, plus the claim's I/O address: also multiples of @page_size.
 * @page_size, @bitmap: as in pm_iommu_read_dirty(), from @offset on.
 *
 * Kernel: type1: VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP, one call, no write is missed. iommufd:
 * IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR and then IOMMU_IOAS_UNMAP: what a device writes between the
 * two is missed, so stop its DMA to these blocks first.
 * Errors: those of pm_iommu_claim_unmap() and, with nothing unmapped, of pm_iommu_read_dirty(). On
 * failure @bitmap may have more bits set, and no bit is lost.
 */
PM_EXPORT bool pm_iommu_claim_unmap_dirty(PmIommuClaim *claim, uint64_t offset, uint64_t size,
                                          uint64_t page_size, uint64_t *bitmap, GError **error);

/**
 * Unmaps everything in the claim, including unknown blocks: the way out of PM_ERROR_QUARANTINED and
 * PM_ERROR_UNMAP_MISMATCH. Unless the kernel reports exactly what was mapped, probes and repeats
 * until nothing is left. If no block is mapped or unknown, the kernel is not called, even if
 * somebody else has mapped there.
 *
 * Kernel: as pm_iommu_claim_unmap(). The probe is a MAP that must fail: with EEXIST if something is
 * mapped, for its host address if not (vfio_dma_do_map and iopt_alloc_area_pages check in this
 * order).
 * Errors: those of the kernel as above, with nothing changed; PM_ERROR_UNMAP_MISMATCH (the kernel
 * keeps finding mappings, or the probe is inconclusive: all blocks that were mapped are unknown
 * now).
 */
PM_EXPORT bool pm_iommu_claim_purge(PmIommuClaim *claim, GError **error);

/**
 * Purges the claim, and frees its addresses, its reservation and its reference to the RAM. The
 * caller keeps the reference to the claim: mapping and unmapping then fail
 * (PM_ERROR_INVALID_ARGUMENT), getters work, no runs are found, purging and releasing return true,
 * and abandoning does nothing.
 * Errors: those of pm_iommu_claim_purge(); the claim stays.
 */
PM_EXPORT bool pm_iommu_claim_release(PmIommuClaim *claim, GError **error);

/**
 * Leaves a claim whose pm_iommu_claim_release() failed to its PmIommu. Mapped blocks become
 * unknown; if there are none, the claim just ends. These retry to unmap it: pm_iommu_settle(), a
 * new claim of its addresses, and pm_iommu_claim_purge() or pm_iommu_claim_release() by any holder
 * of a reference. Closing the PmIommu ends it; if the kernel does not confirm even then that
 * nothing is mapped, that is logged, and the RAM is never freed. Cannot fail.
 */
PM_EXPORT void pm_iommu_claim_abandon(PmIommuClaim *claim);

/**
 * Finds the first run of mapped or of unknown blocks in the claim that ends at or after @offset; as
 * pm_iommu_next_run(), which also describes @run (with I/O addresses). Returns: false if there is
 * none.
 */
PM_EXPORT bool pm_iommu_claim_next_run(PmIommuClaim *claim, uint64_t offset, PmIommuRun *run);

/**
 * Finds the first run of unknown blocks that ends at or after @offset.
 * @run_offset, @run_size: set to it.
 * @reason: optional: set to why they are unknown; free it with g_free().
 * Returns: false if there is none.
 */
PM_EXPORT bool pm_iommu_claim_next_unknown(PmIommuClaim *claim, uint64_t offset,
                                           uint64_t *run_offset, uint64_t *run_size, char **reason);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmIommuClaim, pm_iommu_claim_unref)

G_END_DECLS

#endif
