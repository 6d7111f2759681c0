/* SPDX-License-Identifier: MIT */
/* iommufd in kernel-uapi/. Headers have it since Linux 6.12, and MAP_FILE since 6.13:
 * tests/vm/uapi compares it with the headers of Debian's kernel source. */
#ifndef PLUGMAP_TESTS_UNIT_KERNEL_UAPI_LIST_IOMMUFD_H
#define PLUGMAP_TESTS_UNIT_KERNEL_UAPI_LIST_IOMMUFD_H

/* C(name) */
#define UAPI_IOMMUFD_CONSTANTS(C)                                                                  \
    C(VFIO_DEVICE_BIND_IOMMUFD)                                                                    \
    C(VFIO_DEVICE_ATTACH_IOMMUFD_PT)                                                               \
    C(VFIO_DEVICE_DETACH_IOMMUFD_PT)                                                               \
    C(IOMMU_DESTROY)                                                                               \
    C(IOMMU_IOAS_ALLOC)                                                                            \
    C(IOMMU_IOAS_ALLOW_IOVAS)                                                                      \
    C(IOMMU_IOAS_COPY)                                                                             \
    C(IOMMU_IOAS_IOVA_RANGES)                                                                      \
    C(IOMMU_IOAS_MAP)                                                                              \
    C(IOMMU_IOAS_UNMAP)                                                                            \
    C(IOMMU_OPTION)                                                                                \
    C(IOMMU_VFIO_IOAS)                                                                             \
    C(IOMMU_HWPT_ALLOC)                                                                            \
    C(IOMMU_GET_HW_INFO)                                                                           \
    C(IOMMU_HWPT_SET_DIRTY_TRACKING)                                                               \
    C(IOMMU_HWPT_GET_DIRTY_BITMAP)                                                                 \
    C(IOMMU_HWPT_INVALIDATE)                                                                       \
    C(IOMMU_FAULT_QUEUE_ALLOC)                                                                     \
    C(IOMMU_IOAS_MAP_FIXED_IOVA)                                                                   \
    C(IOMMU_IOAS_MAP_WRITEABLE)                                                                    \
    C(IOMMU_IOAS_MAP_READABLE)                                                                     \
    C(IOMMU_OPTION_RLIMIT_MODE)                                                                    \
    C(IOMMU_OPTION_HUGE_PAGES)                                                                     \
    C(IOMMU_OPTION_OP_SET)                                                                         \
    C(IOMMU_OPTION_OP_GET)                                                                         \
    C(IOMMU_VFIO_IOAS_GET)                                                                         \
    C(IOMMU_VFIO_IOAS_SET)                                                                         \
    C(IOMMU_VFIO_IOAS_CLEAR)                                                                       \
    C(IOMMU_HWPT_ALLOC_NEST_PARENT)                                                                \
    C(IOMMU_HWPT_ALLOC_DIRTY_TRACKING)                                                             \
    C(IOMMU_HWPT_FAULT_ID_VALID)                                                                   \
    C(IOMMU_HWPT_DATA_NONE)                                                                        \
    C(IOMMU_HW_INFO_TYPE_INTEL_VTD)                                                                \
    C(IOMMU_HW_CAP_DIRTY_TRACKING)                                                                 \
    C(IOMMU_HWPT_DIRTY_TRACKING_ENABLE)                                                            \
    C(IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR)

/* S(struct) */
#define UAPI_IOMMUFD_STRUCTS(S)                                                                    \
    S(vfio_device_bind_iommufd)                                                                    \
    S(vfio_device_attach_iommufd_pt)                                                               \
    S(vfio_device_detach_iommufd_pt)                                                               \
    S(iommu_destroy)                                                                               \
    S(iommu_ioas_alloc)                                                                            \
    S(iommu_iova_range)                                                                            \
    S(iommu_ioas_iova_ranges)                                                                      \
    S(iommu_ioas_allow_iovas)                                                                      \
    S(iommu_ioas_map)                                                                              \
    S(iommu_ioas_copy)                                                                             \
    S(iommu_ioas_unmap)                                                                            \
    S(iommu_option)                                                                                \
    S(iommu_vfio_ioas)                                                                             \
    S(iommu_hwpt_alloc)                                                                            \
    S(iommu_hw_info)                                                                               \
    S(iommu_hw_info_vtd)                                                                           \
    S(iommu_hwpt_set_dirty_tracking)                                                               \
    S(iommu_hwpt_get_dirty_bitmap)                                                                 \
    S(iommu_hwpt_invalidate)                                                                       \
    S(iommu_fault_alloc)

/* F(struct, member) */
#define UAPI_IOMMUFD_MEMBERS(F)                                                                    \
    F(vfio_device_bind_iommufd, argsz)                                                             \
    F(vfio_device_bind_iommufd, flags)                                                             \
    F(vfio_device_bind_iommufd, iommufd)                                                           \
    F(vfio_device_bind_iommufd, out_devid)                                                         \
    F(vfio_device_attach_iommufd_pt, argsz)                                                        \
    F(vfio_device_attach_iommufd_pt, flags)                                                        \
    F(vfio_device_attach_iommufd_pt, pt_id)                                                        \
    F(vfio_device_detach_iommufd_pt, argsz)                                                        \
    F(vfio_device_detach_iommufd_pt, flags)                                                        \
    F(iommu_destroy, size)                                                                         \
    F(iommu_destroy, id)                                                                           \
    F(iommu_ioas_alloc, size)                                                                      \
    F(iommu_ioas_alloc, flags)                                                                     \
    F(iommu_ioas_alloc, out_ioas_id)                                                               \
    F(iommu_iova_range, start)                                                                     \
    F(iommu_iova_range, last)                                                                      \
    F(iommu_ioas_iova_ranges, size)                                                                \
    F(iommu_ioas_iova_ranges, ioas_id)                                                             \
    F(iommu_ioas_iova_ranges, num_iovas)                                                           \
    F(iommu_ioas_iova_ranges, __reserved)                                                          \
    F(iommu_ioas_iova_ranges, allowed_iovas)                                                       \
    F(iommu_ioas_iova_ranges, out_iova_alignment)                                                  \
    F(iommu_ioas_allow_iovas, size)                                                                \
    F(iommu_ioas_allow_iovas, ioas_id)                                                             \
    F(iommu_ioas_allow_iovas, num_iovas)                                                           \
    F(iommu_ioas_allow_iovas, __reserved)                                                          \
    F(iommu_ioas_allow_iovas, allowed_iovas)                                                       \
    F(iommu_ioas_map, size)                                                                        \
    F(iommu_ioas_map, flags)                                                                       \
    F(iommu_ioas_map, ioas_id)                                                                     \
    F(iommu_ioas_map, __reserved)                                                                  \
    F(iommu_ioas_map, user_va)                                                                     \
    F(iommu_ioas_map, length)                                                                      \
    F(iommu_ioas_map, iova)                                                                        \
    F(iommu_ioas_copy, size)                                                                       \
    F(iommu_ioas_copy, flags)                                                                      \
    F(iommu_ioas_copy, dst_ioas_id)                                                                \
    F(iommu_ioas_copy, src_ioas_id)                                                                \
    F(iommu_ioas_copy, length)                                                                     \
    F(iommu_ioas_copy, dst_iova)                                                                   \
    F(iommu_ioas_copy, src_iova)                                                                   \
    F(iommu_ioas_unmap, size)                                                                      \
    F(iommu_ioas_unmap, ioas_id)                                                                   \
    F(iommu_ioas_unmap, iova)                                                                      \
    F(iommu_ioas_unmap, length)                                                                    \
    F(iommu_option, size)                                                                          \
    F(iommu_option, option_id)                                                                     \
    F(iommu_option, op)                                                                            \
    F(iommu_option, __reserved)                                                                    \
    F(iommu_option, object_id)                                                                     \
    F(iommu_option, val64)                                                                         \
    F(iommu_vfio_ioas, size)                                                                       \
    F(iommu_vfio_ioas, ioas_id)                                                                    \
    F(iommu_vfio_ioas, op)                                                                         \
    F(iommu_vfio_ioas, __reserved)                                                                 \
    F(iommu_hwpt_alloc, size)                                                                      \
    F(iommu_hwpt_alloc, flags)                                                                     \
    F(iommu_hwpt_alloc, dev_id)                                                                    \
    F(iommu_hwpt_alloc, pt_id)                                                                     \
    F(iommu_hwpt_alloc, out_hwpt_id)                                                               \
    F(iommu_hwpt_alloc, __reserved)                                                                \
    F(iommu_hwpt_alloc, data_type)                                                                 \
    F(iommu_hwpt_alloc, data_len)                                                                  \
    F(iommu_hwpt_alloc, data_uptr)                                                                 \
    F(iommu_hwpt_alloc, fault_id)                                                                  \
    F(iommu_hwpt_alloc, __reserved2)                                                               \
    F(iommu_hw_info, size)                                                                         \
    F(iommu_hw_info, flags)                                                                        \
    F(iommu_hw_info, dev_id)                                                                       \
    F(iommu_hw_info, data_len)                                                                     \
    F(iommu_hw_info, data_uptr)                                                                    \
    F(iommu_hw_info, out_data_type)                                                                \
    F(iommu_hw_info, out_max_pasid_log2)                                                           \
    F(iommu_hw_info, __reserved)                                                                   \
    F(iommu_hw_info, out_capabilities)                                                             \
    F(iommu_hw_info_vtd, flags)                                                                    \
    F(iommu_hw_info_vtd, __reserved)                                                               \
    F(iommu_hw_info_vtd, cap_reg)                                                                  \
    F(iommu_hw_info_vtd, ecap_reg)                                                                 \
    F(iommu_hwpt_set_dirty_tracking, size)                                                         \
    F(iommu_hwpt_set_dirty_tracking, flags)                                                        \
    F(iommu_hwpt_set_dirty_tracking, hwpt_id)                                                      \
    F(iommu_hwpt_set_dirty_tracking, __reserved)                                                   \
    F(iommu_hwpt_get_dirty_bitmap, size)                                                           \
    F(iommu_hwpt_get_dirty_bitmap, hwpt_id)                                                        \
    F(iommu_hwpt_get_dirty_bitmap, flags)                                                          \
    F(iommu_hwpt_get_dirty_bitmap, __reserved)                                                     \
    F(iommu_hwpt_get_dirty_bitmap, iova)                                                           \
    F(iommu_hwpt_get_dirty_bitmap, length)                                                         \
    F(iommu_hwpt_get_dirty_bitmap, page_size)                                                      \
    F(iommu_hwpt_get_dirty_bitmap, data)                                                           \
    F(iommu_hwpt_invalidate, size)                                                                 \
    F(iommu_hwpt_invalidate, hwpt_id)                                                              \
    F(iommu_hwpt_invalidate, data_uptr)                                                            \
    F(iommu_hwpt_invalidate, data_type)                                                            \
    F(iommu_hwpt_invalidate, entry_len)                                                            \
    F(iommu_hwpt_invalidate, entry_num)                                                            \
    F(iommu_hwpt_invalidate, __reserved)                                                           \
    F(iommu_fault_alloc, size)                                                                     \
    F(iommu_fault_alloc, flags)                                                                    \
    F(iommu_fault_alloc, out_fault_id)                                                             \
    F(iommu_fault_alloc, out_fault_fd)

/* Those of Linux 6.13. */
#define UAPI_MAP_FILE_CONSTANTS(C)                                                                 \
    C(IOMMU_IOAS_MAP_FILE)                                                                         \
    C(IOMMU_IOAS_CHANGE_PROCESS)
#define UAPI_MAP_FILE_STRUCTS(S)                                                                   \
    S(iommu_ioas_map_file)                                                                         \
    S(iommu_ioas_change_process)
#define UAPI_MAP_FILE_MEMBERS(F)                                                                   \
    F(iommu_ioas_map_file, size)                                                                   \
    F(iommu_ioas_map_file, flags)                                                                  \
    F(iommu_ioas_map_file, ioas_id)                                                                \
    F(iommu_ioas_map_file, fd)                                                                     \
    F(iommu_ioas_map_file, start)                                                                  \
    F(iommu_ioas_map_file, length)                                                                 \
    F(iommu_ioas_map_file, iova)                                                                   \
    F(iommu_ioas_change_process, size)                                                             \
    F(iommu_ioas_change_process, __reserved)

#endif
