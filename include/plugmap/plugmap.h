/* SPDX-License-Identifier: MIT */
/*
 * plugmap keeps a device's DMA mappings equal to the plugged blocks of a virtio-mem device.
 *
 * Five nouns, in the order in which a program meets them: PmIommu, PmRam, PmDiscardManager,
 * PmVirtioMem, PmMapper. A buffer of your own, which no PmMapper follows, is mapped by a
 * PmIommuClaim (iommu_claim.h).
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
#include <plugmap/virtio_mem.h>

#endif
