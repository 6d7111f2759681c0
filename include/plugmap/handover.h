/* SPDX-License-Identifier: MIT */
/*
 * Live update: hands running mappers, of one or several address spaces, to another process, while
 * devices keep doing DMA.
 *
 * The old process calls pm_handover_send(), the new one pm_handover_receive() and
 * pm_handover_take_over(), each on its end of a connected Unix stream socket. The new process gets
 * the descriptors of the address spaces and of the RAM's files (SCM_RIGHTS), a PmIommu for each
 * address space, the PmRams, and the PmMappers with all regions. Nothing is unmapped, mapped or
 * pinned again.
 *
 *      old process                                  new process
 *                                  OFFER
 *     pm_handover_send()  -------------------------> pm_handover_receive()
 *     (nothing changes)     state, descriptors          maps the RAM's files
 *                                                    the caller restores its devices
 *                                  ACCEPT
 *                         <------------------------- pm_handover_take_over()
 *     the addresses of all         FROZEN               verifies all mappings
 *     become invalid      ------------------------->
 *                                  COMMIT               sets addresses, is charged
 *     forgets its own     <------------------------- OWNS EVERYTHING
 *                                  DONE
 *     returns true        -------------------------> returns true
 *
 * Exactly one side owns the mappings of all address spaces at any moment. Sending COMMIT, one
 * message for all of them, moves them: before, the old side owns all; after that, the new side. A
 * side that fails, in whichever address space, sends REFUSE (new) or ABORT (old) with its error,
 * and never makes another call on any of them. If a process dies (its end of the socket closes):
 *
 *      until           the old side dies               the new side dies
 *      --------------  ------------------------------  ------------------------------
 *      OFFER arrives   receive() fails; nothing left   send() fails; old continues
 *      take_over()     handover_free(); nothing left   send() fails; old continues
 *      ACCEPT, FROZEN  the new side takes over         send() fails; old continues
 *      COMMIT          the new side takes over         send() fails; old continues
 *      after COMMIT    the new side owns all           send() succeeds; nothing left
 *
 * It makes no difference whether some of the address spaces are invalidated or set already: the new
 * side sets all, and so does the old side before it continues. "Nothing left": with the last
 * descriptor the kernel closes devices and containers, and unmaps and unpins everything.
 *
 * Rules for the socket: it is connected, a blocking Unix stream socket, nobody else reads, writes
 * or shuts it down during these calls, and no other process has a copy of either end (close it in
 * the process that made the pair, and set SOCK_CLOEXEC). Send what else the new process needs
 * before OFFER: the state of devices and vCPUs, and the eventfds of the devices' interrupts, which
 * stay set. KVM's descriptors are of no use in another process. There are no timeouts: to stop
 * waiting for a peer that hangs, kill it.
 *
 * The peer has the same privileges, so it is trusted not to be hostile; but all that it sends is
 * bounded and validated.
 *
 * docs/live-update.md has the calls of the new process, and what else it does about devices.
 *
 * Before pm_handover_send(), stop what changes the state: vCPUs, and requests to virtio-mem devices
 * (the snapshot must be the state that is sent). Unmap device registers that the old process has
 * mapped when it has returned: they keep the device open.
 *
 * type1 (Linux 5.12): VFIO_DMA_UNMAP_FLAG_VADDR and VFIO_DMA_MAP_FLAG_VADDR
 * (drivers/vfio/vfio_iommu_type1.c). The locked memory of the mappings moves from the old process
 * to the new one, whose limit must have room. Mediated devices are not supported.
 * iommufd (Linux 6.13): IOMMU_IOAS_CHANGE_PROCESS (drivers/iommu/iommufd/ioas.c).
 * RAM: PM_RAM_MEMFD, hugetlb, or adopted memory that is a shared mapping of a file.
 *
 * The mappers of a handover have all that is mapped in their PmIommus; several may share one, and
 * share RAM. From COMMIT on, their RAM is the new process's to discard: nobody else may have it
 * pinned.
 *
 * PmGuestMapper: not supported. Its domains are address spaces of which the guest makes more at any
 * moment, and their mappings follow from the guest's table, which has no snapshot yet. While
 * it has RAM of a PmMapper mapped, handing that over fails with PM_ERROR_BUSY, which names its
 * domain. Detach its endpoints and free it before the handover, and let the new process make
 * another one.
 *
 * Threads: one at a time, with the mappers, their managers and devices. Other threads may use the
 * PmIommus and their claims meanwhile: mapping, unmapping and attaching fail with PM_ERROR_BUSY
 * until the call returns; so does a claim of their RAM in another PmIommu. Sockets are the host's,
 * whatever the PmKernel.
 */
#ifndef PLUGMAP_HANDOVER_H
#define PLUGMAP_HANDOVER_H

#include <stdbool.h>
#include <stddef.h>

#include <plugmap/mapper.h>

G_BEGIN_DECLS

/** The most mappers in a handover. */
#define PM_HANDOVER_MAX_MAPPERS 1024

/**
 * Checks, without changing anything, whether @mappers can be handed over together: what the kernel,
 * the RAM and the state of the mappers allow. The socket and the peer are not needed.
 *
 * Errors: PM_ERROR_INVALID_ARGUMENT (no mapper, one twice, more than PM_HANDOVER_MAX_MAPPERS),
 * PM_ERROR_UNSUPPORTED (the kernel cannot; a mediated device; anonymous or private RAM, or device
 * memory; iommufd: memory that is not mapped by file), PM_ERROR_QUARANTINED (unknown blocks: owner,
 * address and reason), PM_ERROR_BUSY (claims that are not these mappers' regions, such as another
 * mapper's: hand it over, too, or release them first; others that disable discards of the RAM, such
 * as a mapper of another PmIommu, whom the message names: discard_policy.h; an optional region that
 * is not mapped: remove it; dirty tracking is on), PM_ERROR_LIMIT (more than 253 descriptors in
 * all), PM_ERROR_PERMISSION (in a forked child; handed over already), PM_ERROR_KERNEL,
 * PM_ERROR_MEMORY.
 */
PM_EXPORT bool pm_handover_check(PmMapper *const *mappers, size_t n_mappers, GError **error);

/**
 * Hands @mappers and their PmIommus to the process at the other end of @socket, all or none, and
 * waits for the result.
 *
 * Returns: true: the other process owns them. The old side's objects only remain to be dropped:
 * unplugging, mapping and discarding fail with PM_ERROR_PERMISSION, and freeing unmaps and discards
 * nothing. Also true if the new process died right after COMMIT.
 * False: all is as before, and DMA never stopped. Errors: those of pm_handover_check();
 * PM_ERROR_INVALID_ARGUMENT (not a Unix stream socket); PM_ERROR_BAD_INPUT (the peer closed the
 * socket, or what it sent is invalid); the error of the peer that refused, with its code. If
 * setting the host addresses again fails (type1; only if the locked-memory limit was lowered
 * meanwhile), that is logged: all mappings work, and can be unmapped, but no group can be attached
 * until the affected ones are.
 */
PM_EXPORT bool pm_handover_send(PmMapper *const *mappers, size_t n_mappers, int socket,
                                GError **error);

/** PmHandover: mappers that are being received. */
typedef struct PmHandover PmHandover;

/**
 * Receives an offer, maps its RAM, and verifies that each file is the one that the old process
 * described (device, inode, size, seals). Calls nothing that changes the address space.
 * @kernel: NULL: the host's.
 *
 * Next restore the devices of the RAM, from the snapshots of the old process: each region whose RAM
 * had a discard manager needs one again, with the same granularity and the same blocks populated.
 * Restoring must not discard memory: until pm_handover_take_over() has returned true, discarding
 * this RAM fails with PM_ERROR_PERMISSION, because the old process may go on with it.
 *
 * Returns: NULL on failure; the old process then continues. Errors: PM_ERROR_INVALID_ARGUMENT (not
 * a Unix stream socket), PM_ERROR_BAD_INPUT (closed; invalid; another version of the protocol),
 * PM_ERROR_AUDIT (a file is not the one described), PM_ERROR_MEMORY.
 */
PM_EXPORT PmHandover *pm_handover_receive(PmKernel *kernel, int socket, GError **error);

/** The number of mappers, in the order of pm_handover_send(). */
PM_EXPORT size_t pm_handover_get_n_mappers(const PmHandover *handover);

/** The number of regions of the mapper of this number, in the order in which they were added. 0 if
 * there is no such mapper. */
PM_EXPORT size_t pm_handover_get_n_regions(const PmHandover *handover, size_t mapper);

/**
 * Region @index of the mapper of this number, with the new process's PmRam in place of the old
 * one's; owned by @handover. Regions with the same RAM have the same PmRam, in all mappers. NULL if
 * there is none. Take a reference to the PmRam (pm_ram_ref()) to keep it after pm_handover_free().
 */
PM_EXPORT const PmMapperRegion *pm_handover_get_region(const PmHandover *handover, size_t mapper,
                                                       size_t index);

/**
 * Adopts all regions, verifies that the kernel has their mappings and that they are what the
 * managers have populated, and takes everything over. Call it once.
 * @mappers: an array of pm_handover_get_n_mappers(), set to new objects of the caller's on success;
 * drop or free them as any other.
 * @iommus: an array of the same length, set to their address spaces: a reference each, also where
 * mappers share one.
 *
 * Errors: PM_ERROR_INVALID_ARGUMENT (called before), PM_ERROR_AUDIT (mappings or managers differ),
 * PM_ERROR_UNSUPPORTED, PM_ERROR_BAD_INPUT, PM_ERROR_LIMIT, PM_ERROR_LOCKED_MEMORY (this process's
 * limit), PM_ERROR_MEMORY, PM_ERROR_BUSY, PM_ERROR_KERNEL, and the error of the old process if it
 * aborted. On failure the old process continues; drop @handover, and what was restored.
 */
PM_EXPORT bool pm_handover_take_over(PmHandover *handover, PmIommu **iommus, PmMapper **mappers,
                                     GError **error);

/** Frees @handover; NULL does nothing. Without a successful pm_handover_take_over(), first refuses
 * the offer, so that the old process continues. The caller keeps owning the socket. */
PM_EXPORT void pm_handover_free(PmHandover *handover);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmHandover, pm_handover_free)

G_END_DECLS

#endif
