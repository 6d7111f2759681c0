/* SPDX-License-Identifier: MIT */
/*
 * Our headers and the kernel's in one program: our structs are renamed to pm_..., and our constants
 * silently replace the kernel's, because headers included by a system header count as system
 * headers.
 */
#ifndef PLUGMAP_TESTS_UNIT_KERNEL_UAPI_OURS_H
#define PLUGMAP_TESTS_UNIT_KERNEL_UAPI_OURS_H

#pragma GCC system_header

#define vfio_info_cap_header                 pm_vfio_info_cap_header
#define vfio_group_status                    pm_vfio_group_status
#define vfio_device_info                     pm_vfio_device_info
#define vfio_region_info                     pm_vfio_region_info
#define vfio_irq_info                        pm_vfio_irq_info
#define vfio_irq_set                         pm_vfio_irq_set
#define vfio_iommu_type1_info                pm_vfio_iommu_type1_info
#define vfio_iova_range                      pm_vfio_iova_range
#define vfio_iommu_type1_info_cap_iova_range pm_vfio_iommu_type1_info_cap_iova_range
#define vfio_iommu_type1_info_cap_migration  pm_vfio_iommu_type1_info_cap_migration
#define vfio_iommu_type1_info_dma_avail      pm_vfio_iommu_type1_info_dma_avail
#define vfio_iommu_type1_dma_map             pm_vfio_iommu_type1_dma_map
#define vfio_bitmap                          pm_vfio_bitmap
#define vfio_iommu_type1_dma_unmap           pm_vfio_iommu_type1_dma_unmap
#define vfio_iommu_type1_dirty_bitmap        pm_vfio_iommu_type1_dirty_bitmap
#define vfio_iommu_type1_dirty_bitmap_get    pm_vfio_iommu_type1_dirty_bitmap_get
#define virtio_mem_req_plug                  pm_virtio_mem_req_plug
#define virtio_mem_req_unplug                pm_virtio_mem_req_unplug
#define virtio_mem_req_state                 pm_virtio_mem_req_state
#define virtio_mem_req                       pm_virtio_mem_req
#define virtio_mem_resp_state                pm_virtio_mem_resp_state
#define virtio_mem_resp                      pm_virtio_mem_resp
#define virtio_mem_config                    pm_virtio_mem_config
#define virtio_iommu_range_64                pm_virtio_iommu_range_64
#define virtio_iommu_range_32                pm_virtio_iommu_range_32
#define virtio_iommu_config                  pm_virtio_iommu_config
#define virtio_iommu_req_head                pm_virtio_iommu_req_head
#define virtio_iommu_req_tail                pm_virtio_iommu_req_tail
#define virtio_iommu_req_attach              pm_virtio_iommu_req_attach
#define virtio_iommu_req_detach              pm_virtio_iommu_req_detach
#define virtio_iommu_req_map                 pm_virtio_iommu_req_map
#define virtio_iommu_req_unmap               pm_virtio_iommu_req_unmap
#define virtio_iommu_probe_property          pm_virtio_iommu_probe_property
#define virtio_iommu_probe_resv_mem          pm_virtio_iommu_probe_resv_mem
#define virtio_iommu_req_probe               pm_virtio_iommu_req_probe
#define virtio_iommu_fault                   pm_virtio_iommu_fault
#define vfio_device_bind_iommufd             pm_vfio_device_bind_iommufd
#define vfio_device_attach_iommufd_pt        pm_vfio_device_attach_iommufd_pt
#define vfio_device_detach_iommufd_pt        pm_vfio_device_detach_iommufd_pt
#define iommu_destroy                        pm_iommu_destroy
#define iommu_ioas_alloc                     pm_iommu_ioas_alloc
#define iommu_iova_range                     pm_iommu_iova_range
#define iommu_ioas_iova_ranges               pm_iommu_ioas_iova_ranges
#define iommu_ioas_allow_iovas               pm_iommu_ioas_allow_iovas
#define iommu_ioas_map                       pm_iommu_ioas_map
#define iommu_ioas_map_file                  pm_iommu_ioas_map_file
#define iommu_ioas_change_process            pm_iommu_ioas_change_process
#define iommu_ioas_copy                      pm_iommu_ioas_copy
#define iommu_ioas_unmap                     pm_iommu_ioas_unmap
#define iommu_option                         pm_iommu_option
#define iommu_vfio_ioas                      pm_iommu_vfio_ioas
#define iommu_hwpt_alloc                     pm_iommu_hwpt_alloc
#define iommu_hw_info                        pm_iommu_hw_info
#define iommu_hw_info_vtd                    pm_iommu_hw_info_vtd
#define iommu_hwpt_set_dirty_tracking        pm_iommu_hwpt_set_dirty_tracking
#define iommu_hwpt_get_dirty_bitmap          pm_iommu_hwpt_get_dirty_bitmap
#define iommu_hwpt_invalidate                pm_iommu_hwpt_invalidate
#define iommu_fault_alloc                    pm_iommu_fault_alloc

#include "kernel-uapi/iommufd.h"
#include "kernel-uapi/vfio.h"
#include "kernel-uapi/virtio_iommu.h"
#include "kernel-uapi/virtio_mem.h"

#endif
