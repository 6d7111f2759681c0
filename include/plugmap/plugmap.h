/* SPDX-License-Identifier: MIT */
/*
 * plugmap keeps a device's DMA mappings equal to the plugged blocks of a virtio-mem device.
 *
 * Five objects, in the order in which a program uses them: PmIommu, PmRam, PmDiscardManager,
 * PmVirtioMem, PmMapper. To map a buffer that no PmMapper tracks, use a PmIommuClaim
 * (iommu_claim.h); for I/O buffers in memory that is plugged and unplugged, a PmBufferRegistry
 * (buffer_registry.h) and PmDmaVectors (dma_vector.h). For a guest with an IOMMU of its own:
 * PmGuestIommu and, in place of PmMapper, PmGuestMapper. For memory whose access also depends on
 * something else, such as the shared pages of a confidential guest: PmDiscardSource. For a balloon,
 * and for what pins memory by other means: the claims of discard_policy.h. For migration:
 * PmDirtyLog and virtio_mem_snapshot.h. For live update: handover.h.
 *
 * Freeing. Every unref and free function accepts NULL, in any order: objects hold references to
 * what they need, so drop yours as soon as you do not need them. What a device may still access
 * stays until it is unmapped. Check the results of pm_mapper_remove() and pm_iommu_claim_release()
 * to know that it is: freeing can only log. Four things hold no references: a listener that you
 * registered (unregister or drop it before its manager is freed), a follower of your own of a guest
 * IOMMU (end it before what it uses is freed), a PmDirtyLog to its address spaces (which leave it
 * when they are closed), and a kernel of your own (it must outlive its last user).
 *
 * How structs grow, and why most begin with struct_size: macros.h.
 */
#ifndef PLUGMAP_PLUGMAP_H
#define PLUGMAP_PLUGMAP_H

#include <plugmap/buffer_registry.h>
#include <plugmap/dirty_log.h>
#include <plugmap/discard_manager.h>
#include <plugmap/discard_policy.h>
#include <plugmap/discard_source.h>
#include <plugmap/dma_vector.h>
#include <plugmap/error.h>
#include <plugmap/guest_iommu.h>
#include <plugmap/guest_mapper.h>
#include <plugmap/handover.h>
#include <plugmap/iommu.h>
#include <plugmap/iommu_claim.h>
#include <plugmap/iova.h>
#include <plugmap/kernel.h>
#include <plugmap/log.h>
#include <plugmap/mapper.h>
#include <plugmap/ram.h>
#include <plugmap/size.h>
#include <plugmap/version.h>
#include <plugmap/virtio_iommu.h>
#include <plugmap/virtio_iommu_wire.h>
#include <plugmap/virtio_mem.h>
#include <plugmap/virtio_mem_snapshot.h>
#include <plugmap/virtio_mem_wire.h>

#endif
