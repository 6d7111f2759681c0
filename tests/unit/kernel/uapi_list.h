/* SPDX-License-Identifier: MIT */
/* Everything that kernel-uapi/ defines. test_uapi.c expands this once with the kernel's headers
 * and once with ours, and reports definitions missing here. */
#ifndef PLUGMAP_TESTS_UNIT_KERNEL_UAPI_LIST_H
#define PLUGMAP_TESTS_UNIT_KERNEL_UAPI_LIST_H

/* C(name) */
#define UAPI_CONSTANTS(C)                                                                          \
    C(VFIO_API_VERSION)                                                                            \
    C(VFIO_GET_API_VERSION)                                                                        \
    C(VFIO_CHECK_EXTENSION)                                                                        \
    C(VFIO_SET_IOMMU)                                                                              \
    C(VFIO_GROUP_GET_STATUS)                                                                       \
    C(VFIO_GROUP_SET_CONTAINER)                                                                    \
    C(VFIO_GROUP_UNSET_CONTAINER)                                                                  \
    C(VFIO_GROUP_GET_DEVICE_FD)                                                                    \
    C(VFIO_DEVICE_GET_INFO)                                                                        \
    C(VFIO_DEVICE_GET_REGION_INFO)                                                                 \
    C(VFIO_DEVICE_GET_IRQ_INFO)                                                                    \
    C(VFIO_DEVICE_SET_IRQS)                                                                        \
    C(VFIO_DEVICE_RESET)                                                                           \
    C(VFIO_IOMMU_GET_INFO)                                                                         \
    C(VFIO_IOMMU_MAP_DMA)                                                                          \
    C(VFIO_IOMMU_UNMAP_DMA)                                                                        \
    C(VFIO_IOMMU_ENABLE)                                                                           \
    C(VFIO_IOMMU_DISABLE)                                                                          \
    C(VFIO_IOMMU_DIRTY_PAGES)                                                                      \
    C(VFIO_TYPE1_IOMMU)                                                                            \
    C(VFIO_SPAPR_TCE_IOMMU)                                                                        \
    C(VFIO_TYPE1v2_IOMMU)                                                                          \
    C(VFIO_DMA_CC_IOMMU)                                                                           \
    C(VFIO_EEH)                                                                                    \
    C(VFIO_SPAPR_TCE_v2_IOMMU)                                                                     \
    C(VFIO_NOIOMMU_IOMMU)                                                                          \
    C(VFIO_UNMAP_ALL)                                                                              \
    C(VFIO_UPDATE_VADDR)                                                                           \
    C(VFIO_GROUP_FLAGS_VIABLE)                                                                     \
    C(VFIO_GROUP_FLAGS_CONTAINER_SET)                                                              \
    C(VFIO_DEVICE_FLAGS_RESET)                                                                     \
    C(VFIO_DEVICE_FLAGS_PCI)                                                                       \
    C(VFIO_DEVICE_FLAGS_CAPS)                                                                      \
    C(VFIO_REGION_INFO_FLAG_READ)                                                                  \
    C(VFIO_REGION_INFO_FLAG_WRITE)                                                                 \
    C(VFIO_REGION_INFO_FLAG_MMAP)                                                                  \
    C(VFIO_REGION_INFO_FLAG_CAPS)                                                                  \
    C(VFIO_PCI_BAR0_REGION_INDEX)                                                                  \
    C(VFIO_PCI_ROM_REGION_INDEX)                                                                   \
    C(VFIO_PCI_CONFIG_REGION_INDEX)                                                                \
    C(VFIO_PCI_VGA_REGION_INDEX)                                                                   \
    C(VFIO_PCI_NUM_REGIONS)                                                                        \
    C(VFIO_IRQ_INFO_EVENTFD)                                                                       \
    C(VFIO_IRQ_INFO_MASKABLE)                                                                      \
    C(VFIO_IRQ_INFO_AUTOMASKED)                                                                    \
    C(VFIO_IRQ_INFO_NORESIZE)                                                                      \
    C(VFIO_IRQ_SET_DATA_NONE)                                                                      \
    C(VFIO_IRQ_SET_DATA_BOOL)                                                                      \
    C(VFIO_IRQ_SET_DATA_EVENTFD)                                                                   \
    C(VFIO_IRQ_SET_ACTION_MASK)                                                                    \
    C(VFIO_IRQ_SET_ACTION_UNMASK)                                                                  \
    C(VFIO_IRQ_SET_ACTION_TRIGGER)                                                                 \
    C(VFIO_PCI_INTX_IRQ_INDEX)                                                                     \
    C(VFIO_PCI_MSI_IRQ_INDEX)                                                                      \
    C(VFIO_PCI_MSIX_IRQ_INDEX)                                                                     \
    C(VFIO_PCI_ERR_IRQ_INDEX)                                                                      \
    C(VFIO_PCI_REQ_IRQ_INDEX)                                                                      \
    C(VFIO_PCI_NUM_IRQS)                                                                           \
    C(VFIO_IOMMU_INFO_PGSIZES)                                                                     \
    C(VFIO_IOMMU_INFO_CAPS)                                                                        \
    C(VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE)                                                        \
    C(VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION)                                                         \
    C(VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL)                                                             \
    C(VFIO_DMA_MAP_FLAG_READ)                                                                      \
    C(VFIO_DMA_MAP_FLAG_WRITE)                                                                     \
    C(VFIO_DMA_MAP_FLAG_VADDR)                                                                     \
    C(VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP)                                                        \
    C(VFIO_DMA_UNMAP_FLAG_ALL)                                                                     \
    C(VFIO_DMA_UNMAP_FLAG_VADDR)                                                                   \
    C(VFIO_IOMMU_DIRTY_PAGES_FLAG_START)                                                           \
    C(VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP)                                                            \
    C(VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP)                                                      \
    C(VIRTIO_MEM_F_ACPI_PXM)                                                                       \
    C(VIRTIO_MEM_F_UNPLUGGED_INACCESSIBLE)                                                         \
    C(VIRTIO_MEM_F_PERSISTENT_SUSPEND)                                                             \
    C(VIRTIO_MEM_REQ_PLUG)                                                                         \
    C(VIRTIO_MEM_REQ_UNPLUG)                                                                       \
    C(VIRTIO_MEM_REQ_UNPLUG_ALL)                                                                   \
    C(VIRTIO_MEM_REQ_STATE)                                                                        \
    C(VIRTIO_MEM_RESP_ACK)                                                                         \
    C(VIRTIO_MEM_RESP_NACK)                                                                        \
    C(VIRTIO_MEM_RESP_BUSY)                                                                        \
    C(VIRTIO_MEM_RESP_ERROR)                                                                       \
    C(VIRTIO_MEM_STATE_PLUGGED)                                                                    \
    C(VIRTIO_MEM_STATE_UNPLUGGED)                                                                  \
    C(VIRTIO_MEM_STATE_MIXED)                                                                      \
    C(VIRTIO_IOMMU_F_INPUT_RANGE)                                                                  \
    C(VIRTIO_IOMMU_F_DOMAIN_RANGE)                                                                 \
    C(VIRTIO_IOMMU_F_MAP_UNMAP)                                                                    \
    C(VIRTIO_IOMMU_F_BYPASS)                                                                       \
    C(VIRTIO_IOMMU_F_PROBE)                                                                        \
    C(VIRTIO_IOMMU_F_MMIO)                                                                         \
    C(VIRTIO_IOMMU_F_BYPASS_CONFIG)                                                                \
    C(VIRTIO_IOMMU_T_ATTACH)                                                                       \
    C(VIRTIO_IOMMU_T_DETACH)                                                                       \
    C(VIRTIO_IOMMU_T_MAP)                                                                          \
    C(VIRTIO_IOMMU_T_UNMAP)                                                                        \
    C(VIRTIO_IOMMU_T_PROBE)                                                                        \
    C(VIRTIO_IOMMU_S_OK)                                                                           \
    C(VIRTIO_IOMMU_S_IOERR)                                                                        \
    C(VIRTIO_IOMMU_S_UNSUPP)                                                                       \
    C(VIRTIO_IOMMU_S_DEVERR)                                                                       \
    C(VIRTIO_IOMMU_S_INVAL)                                                                        \
    C(VIRTIO_IOMMU_S_RANGE)                                                                        \
    C(VIRTIO_IOMMU_S_NOENT)                                                                        \
    C(VIRTIO_IOMMU_S_FAULT)                                                                        \
    C(VIRTIO_IOMMU_S_NOMEM)                                                                        \
    C(VIRTIO_IOMMU_ATTACH_F_BYPASS)                                                                \
    C(VIRTIO_IOMMU_MAP_F_READ)                                                                     \
    C(VIRTIO_IOMMU_MAP_F_WRITE)                                                                    \
    C(VIRTIO_IOMMU_MAP_F_MMIO)                                                                     \
    C(VIRTIO_IOMMU_MAP_F_MASK)                                                                     \
    C(VIRTIO_IOMMU_PROBE_T_NONE)                                                                   \
    C(VIRTIO_IOMMU_PROBE_T_RESV_MEM)                                                               \
    C(VIRTIO_IOMMU_PROBE_T_MASK)                                                                   \
    C(VIRTIO_IOMMU_RESV_MEM_T_RESERVED)                                                            \
    C(VIRTIO_IOMMU_RESV_MEM_T_MSI)                                                                 \
    C(VIRTIO_IOMMU_FAULT_R_UNKNOWN)                                                                \
    C(VIRTIO_IOMMU_FAULT_R_DOMAIN)                                                                 \
    C(VIRTIO_IOMMU_FAULT_R_MAPPING)                                                                \
    C(VIRTIO_IOMMU_FAULT_F_READ)                                                                   \
    C(VIRTIO_IOMMU_FAULT_F_WRITE)                                                                  \
    C(VIRTIO_IOMMU_FAULT_F_EXEC)                                                                   \
    C(VIRTIO_IOMMU_FAULT_F_ADDRESS)

/* S(struct); P(struct) if older kernels lack its last member, 'pad' */
#define UAPI_STRUCTS(S, P)                                                                         \
    S(vfio_info_cap_header)                                                                        \
    S(vfio_group_status)                                                                           \
    P(vfio_device_info)                                                                            \
    S(vfio_region_info)                                                                            \
    S(vfio_irq_info)                                                                               \
    S(vfio_irq_set)                                                                                \
    P(vfio_iommu_type1_info)                                                                       \
    S(vfio_iova_range)                                                                             \
    S(vfio_iommu_type1_info_cap_iova_range)                                                        \
    S(vfio_iommu_type1_info_cap_migration)                                                         \
    S(vfio_iommu_type1_info_dma_avail)                                                             \
    S(vfio_iommu_type1_dma_map)                                                                    \
    S(vfio_bitmap)                                                                                 \
    S(vfio_iommu_type1_dma_unmap)                                                                  \
    S(vfio_iommu_type1_dirty_bitmap)                                                               \
    S(vfio_iommu_type1_dirty_bitmap_get)                                                           \
    S(virtio_mem_req_plug)                                                                         \
    S(virtio_mem_req_unplug)                                                                       \
    S(virtio_mem_req_state)                                                                        \
    S(virtio_mem_req)                                                                              \
    S(virtio_mem_resp_state)                                                                       \
    S(virtio_mem_resp)                                                                             \
    S(virtio_mem_config)                                                                           \
    S(virtio_iommu_range_64)                                                                       \
    S(virtio_iommu_range_32)                                                                       \
    S(virtio_iommu_config)                                                                         \
    S(virtio_iommu_req_head)                                                                       \
    S(virtio_iommu_req_tail)                                                                       \
    S(virtio_iommu_req_attach)                                                                     \
    S(virtio_iommu_req_detach)                                                                     \
    S(virtio_iommu_req_map)                                                                        \
    S(virtio_iommu_req_unmap)                                                                      \
    S(virtio_iommu_probe_property)                                                                 \
    S(virtio_iommu_probe_resv_mem)                                                                 \
    S(virtio_iommu_req_probe)                                                                      \
    S(virtio_iommu_fault)

/* F(struct, member); A(struct, member) for a flexible array */
#define UAPI_MEMBERS(F, A)                                                                         \
    F(vfio_info_cap_header, id)                                                                    \
    F(vfio_info_cap_header, version)                                                               \
    F(vfio_info_cap_header, next)                                                                  \
    F(vfio_group_status, argsz)                                                                    \
    F(vfio_group_status, flags)                                                                    \
    F(vfio_device_info, argsz)                                                                     \
    F(vfio_device_info, flags)                                                                     \
    F(vfio_device_info, num_regions)                                                               \
    F(vfio_device_info, num_irqs)                                                                  \
    F(vfio_device_info, cap_offset)                                                                \
    F(vfio_region_info, argsz)                                                                     \
    F(vfio_region_info, flags)                                                                     \
    F(vfio_region_info, index)                                                                     \
    F(vfio_region_info, cap_offset)                                                                \
    F(vfio_region_info, size)                                                                      \
    F(vfio_region_info, offset)                                                                    \
    F(vfio_irq_info, argsz)                                                                        \
    F(vfio_irq_info, flags)                                                                        \
    F(vfio_irq_info, index)                                                                        \
    F(vfio_irq_info, count)                                                                        \
    F(vfio_irq_set, argsz)                                                                         \
    F(vfio_irq_set, flags)                                                                         \
    F(vfio_irq_set, index)                                                                         \
    F(vfio_irq_set, start)                                                                         \
    F(vfio_irq_set, count)                                                                         \
    A(vfio_irq_set, data)                                                                          \
    F(vfio_iommu_type1_info, argsz)                                                                \
    F(vfio_iommu_type1_info, flags)                                                                \
    F(vfio_iommu_type1_info, iova_pgsizes)                                                         \
    F(vfio_iommu_type1_info, cap_offset)                                                           \
    F(vfio_iova_range, start)                                                                      \
    F(vfio_iova_range, end)                                                                        \
    F(vfio_iommu_type1_info_cap_iova_range, header)                                                \
    F(vfio_iommu_type1_info_cap_iova_range, nr_iovas)                                              \
    F(vfio_iommu_type1_info_cap_iova_range, reserved)                                              \
    A(vfio_iommu_type1_info_cap_iova_range, iova_ranges)                                           \
    F(vfio_iommu_type1_info_cap_migration, header)                                                 \
    F(vfio_iommu_type1_info_cap_migration, flags)                                                  \
    F(vfio_iommu_type1_info_cap_migration, pgsize_bitmap)                                          \
    F(vfio_iommu_type1_info_cap_migration, max_dirty_bitmap_size)                                  \
    F(vfio_iommu_type1_info_dma_avail, header)                                                     \
    F(vfio_iommu_type1_info_dma_avail, avail)                                                      \
    F(vfio_iommu_type1_dma_map, argsz)                                                             \
    F(vfio_iommu_type1_dma_map, flags)                                                             \
    F(vfio_iommu_type1_dma_map, vaddr)                                                             \
    F(vfio_iommu_type1_dma_map, iova)                                                              \
    F(vfio_iommu_type1_dma_map, size)                                                              \
    F(vfio_bitmap, pgsize)                                                                         \
    F(vfio_bitmap, size)                                                                           \
    F(vfio_bitmap, data)                                                                           \
    F(vfio_iommu_type1_dma_unmap, argsz)                                                           \
    F(vfio_iommu_type1_dma_unmap, flags)                                                           \
    F(vfio_iommu_type1_dma_unmap, iova)                                                            \
    F(vfio_iommu_type1_dma_unmap, size)                                                            \
    A(vfio_iommu_type1_dma_unmap, data)                                                            \
    F(vfio_iommu_type1_dirty_bitmap, argsz)                                                        \
    F(vfio_iommu_type1_dirty_bitmap, flags)                                                        \
    A(vfio_iommu_type1_dirty_bitmap, data)                                                         \
    F(vfio_iommu_type1_dirty_bitmap_get, iova)                                                     \
    F(vfio_iommu_type1_dirty_bitmap_get, size)                                                     \
    F(vfio_iommu_type1_dirty_bitmap_get, bitmap)                                                   \
    F(virtio_mem_req_plug, addr)                                                                   \
    F(virtio_mem_req_plug, nb_blocks)                                                              \
    F(virtio_mem_req_plug, padding)                                                                \
    F(virtio_mem_req_unplug, addr)                                                                 \
    F(virtio_mem_req_unplug, nb_blocks)                                                            \
    F(virtio_mem_req_unplug, padding)                                                              \
    F(virtio_mem_req_state, addr)                                                                  \
    F(virtio_mem_req_state, nb_blocks)                                                             \
    F(virtio_mem_req_state, padding)                                                               \
    F(virtio_mem_req, type)                                                                        \
    F(virtio_mem_req, padding)                                                                     \
    F(virtio_mem_req, u)                                                                           \
    F(virtio_mem_resp_state, state)                                                                \
    F(virtio_mem_resp, type)                                                                       \
    F(virtio_mem_resp, padding)                                                                    \
    F(virtio_mem_resp, u)                                                                          \
    F(virtio_mem_config, block_size)                                                               \
    F(virtio_mem_config, node_id)                                                                  \
    F(virtio_mem_config, padding)                                                                  \
    F(virtio_mem_config, addr)                                                                     \
    F(virtio_mem_config, region_size)                                                              \
    F(virtio_mem_config, usable_region_size)                                                       \
    F(virtio_mem_config, plugged_size)                                                             \
    F(virtio_mem_config, requested_size)                                                           \
    F(virtio_iommu_range_64, start)                                                                \
    F(virtio_iommu_range_64, end)                                                                  \
    F(virtio_iommu_range_32, start)                                                                \
    F(virtio_iommu_range_32, end)                                                                  \
    F(virtio_iommu_config, page_size_mask)                                                         \
    F(virtio_iommu_config, input_range)                                                            \
    F(virtio_iommu_config, domain_range)                                                           \
    F(virtio_iommu_config, probe_size)                                                             \
    F(virtio_iommu_config, bypass)                                                                 \
    F(virtio_iommu_config, reserved)                                                               \
    F(virtio_iommu_req_head, type)                                                                 \
    F(virtio_iommu_req_head, reserved)                                                             \
    F(virtio_iommu_req_tail, status)                                                               \
    F(virtio_iommu_req_tail, reserved)                                                             \
    F(virtio_iommu_req_attach, head)                                                               \
    F(virtio_iommu_req_attach, domain)                                                             \
    F(virtio_iommu_req_attach, endpoint)                                                           \
    F(virtio_iommu_req_attach, flags)                                                              \
    F(virtio_iommu_req_attach, reserved)                                                           \
    F(virtio_iommu_req_attach, tail)                                                               \
    F(virtio_iommu_req_detach, head)                                                               \
    F(virtio_iommu_req_detach, domain)                                                             \
    F(virtio_iommu_req_detach, endpoint)                                                           \
    F(virtio_iommu_req_detach, reserved)                                                           \
    F(virtio_iommu_req_detach, tail)                                                               \
    F(virtio_iommu_req_map, head)                                                                  \
    F(virtio_iommu_req_map, domain)                                                                \
    F(virtio_iommu_req_map, virt_start)                                                            \
    F(virtio_iommu_req_map, virt_end)                                                              \
    F(virtio_iommu_req_map, phys_start)                                                            \
    F(virtio_iommu_req_map, flags)                                                                 \
    F(virtio_iommu_req_map, tail)                                                                  \
    F(virtio_iommu_req_unmap, head)                                                                \
    F(virtio_iommu_req_unmap, domain)                                                              \
    F(virtio_iommu_req_unmap, virt_start)                                                          \
    F(virtio_iommu_req_unmap, virt_end)                                                            \
    F(virtio_iommu_req_unmap, reserved)                                                            \
    F(virtio_iommu_req_unmap, tail)                                                                \
    F(virtio_iommu_probe_property, type)                                                           \
    F(virtio_iommu_probe_property, length)                                                         \
    F(virtio_iommu_probe_resv_mem, head)                                                           \
    F(virtio_iommu_probe_resv_mem, subtype)                                                        \
    F(virtio_iommu_probe_resv_mem, reserved)                                                       \
    F(virtio_iommu_probe_resv_mem, start)                                                          \
    F(virtio_iommu_probe_resv_mem, end)                                                            \
    F(virtio_iommu_req_probe, head)                                                                \
    F(virtio_iommu_req_probe, endpoint)                                                            \
    F(virtio_iommu_req_probe, reserved)                                                            \
    A(virtio_iommu_req_probe, properties)                                                          \
    F(virtio_iommu_fault, reason)                                                                  \
    F(virtio_iommu_fault, reserved)                                                                \
    F(virtio_iommu_fault, flags)                                                                   \
    F(virtio_iommu_fault, endpoint)                                                                \
    F(virtio_iommu_fault, reserved2)                                                               \
    F(virtio_iommu_fault, address)

#endif
