/* SPDX-License-Identifier: MIT */
/*
 * plugmap keeps a device's DMA mappings equal to the plugged blocks of a virtio-mem device.
 *
 * Five nouns, in the order in which a program meets them: PmIommu, PmRam, PmDiscardManager,
 * PmVirtioMem, PmMapper. A buffer of your own, which no PmMapper follows, is mapped by a
 * PmIommuClaim (iommu_claim.h).
 *
 * Freeing. Every unref and free function takes NULL, and any order is safe: objects hold references
 * to what they need, so yours can be dropped as soon as you have no more use for it. What a device
 * may still reach stays until it is unmapped. To know that it is, look at the results of
 * pm_mapper_remove() and pm_iommu_claim_release(): freeing can only log. What holds nothing of
 * yours: a listener that you registered (unregister or drop it while its manager is there), and a
 * kernel of your own (it has to live until its last reference is gone).
 *
 * How structs grow, and why most begin with struct_size: macros.h.
 */
#ifndef PLUGMAP_PLUGMAP_H
#define PLUGMAP_PLUGMAP_H

#include <plugmap/discard_manager.h>
#include <plugmap/error.h>
#include <plugmap/iommu.h>
#include <plugmap/iommu_claim.h>
#include <plugmap/iova.h>
#include <plugmap/kernel.h>
#include <plugmap/log.h>
#include <plugmap/mapper.h>
#include <plugmap/ram.h>
#include <plugmap/size.h>
#include <plugmap/version.h>
#include <plugmap/virtio_mem.h>
#include <plugmap/virtio_mem_wire.h>

#endif
