/* SPDX-License-Identifier: MIT */
/*
 * Linux's iommufd interface: /dev/iommu, its I/O address spaces (IOAS) and hardware page tables
 * (HWPT).
 *
 * Numbers and layouts are those of Linux 6.12 (include/uapi/linux/iommufd.h), or of a later version
 * where noted, in plugmap's own words; names are the kernel's, so that its documentation applies.
 * tests/unit/kernel/test_uapi.c compares them with the kernel's header. All integers are in host
 * byte order; addresses and sizes are in bytes.
 *
 * Every struct begins with its own size, set by the caller. It may be larger than the kernel's if
 * the rest is zeros.
 */
#ifndef PLUGMAP_UAPI_IOMMUFD_H
#define PLUGMAP_UAPI_IOMMUFD_H

#include <stdint.h>

/* Requests: plain numbers without direction or size bits. */
#define IOMMU_DESTROY                 0x3b80
#define IOMMU_IOAS_ALLOC              0x3b81
#define IOMMU_IOAS_ALLOW_IOVAS        0x3b82
#define IOMMU_IOAS_COPY               0x3b83
#define IOMMU_IOAS_IOVA_RANGES        0x3b84
#define IOMMU_IOAS_MAP                0x3b85
#define IOMMU_IOAS_UNMAP              0x3b86
#define IOMMU_OPTION                  0x3b87
#define IOMMU_VFIO_IOAS               0x3b88
#define IOMMU_HWPT_ALLOC              0x3b89
#define IOMMU_GET_HW_INFO             0x3b8a
#define IOMMU_HWPT_SET_DIRTY_TRACKING 0x3b8b
#define IOMMU_HWPT_GET_DIRTY_BITMAP   0x3b8c
#define IOMMU_HWPT_INVALIDATE         0x3b8d
#define IOMMU_FAULT_QUEUE_ALLOC       0x3b8e
#define IOMMU_IOAS_MAP_FILE           0x3b8f /* since 6.13 */
#define IOMMU_IOAS_CHANGE_PROCESS     0x3b92 /* since 6.13 */

/* Destroys an IOAS, HWPT or fault queue. A device's object lives as long as its file. */
struct iommu_destroy {
    uint32_t size;
    uint32_t id;
};

/* --- I/O address space --- */

struct iommu_ioas_alloc {
    uint32_t size;
    uint32_t flags;
    uint32_t out_ioas_id;
};

/* Both ends inclusive. */
struct iommu_iova_range {
    uint64_t start;
    uint64_t last;
};

/* @num_iovas: in, entries of the array; out, number of ranges. */
struct iommu_ioas_iova_ranges {
    uint32_t size;
    uint32_t ioas_id;
    uint32_t num_iovas;
    uint32_t __reserved;
    uint64_t allowed_iovas; /* address of an array of struct iommu_iova_range */
    uint64_t out_iova_alignment;
};

/* Where automatic placement may put areas; no ranges: anywhere. */
struct iommu_ioas_allow_iovas {
    uint32_t size;
    uint32_t ioas_id;
    uint32_t num_iovas;
    uint32_t __reserved;
    uint64_t allowed_iovas; /* address of an array of struct iommu_iova_range */
};

/* Flags of MAP, MAP_FILE and COPY. Without FIXED_IOVA the kernel chooses the I/O address and
 * returns it. */
#define IOMMU_IOAS_MAP_FIXED_IOVA (1 << 0)
#define IOMMU_IOAS_MAP_WRITEABLE  (1 << 1)
#define IOMMU_IOAS_MAP_READABLE   (1 << 2)

struct iommu_ioas_map {
    uint32_t size;
    uint32_t flags;
    uint32_t ioas_id;
    uint32_t __reserved;
    uint64_t user_va;
    uint64_t length;
    uint64_t iova;
};

/* Maps a memfd or a hugetlbfs file, whether or not the process has it mapped. Since 6.13. */
struct iommu_ioas_map_file {
    uint32_t size;
    uint32_t flags;
    uint32_t ioas_id;
    int32_t fd;
    uint64_t start; /* in the file */
    uint64_t length;
    uint64_t iova;
};

/* Makes the caller the process that is charged for all areas of all IOASes of the file, which must
 * all be of files (EINVAL). Since 6.13. */
struct iommu_ioas_change_process {
    uint32_t size;
    uint32_t __reserved;
};

struct iommu_ioas_copy {
    uint32_t size;
    uint32_t flags;
    uint32_t dst_ioas_id;
    uint32_t src_ioas_id;
    uint64_t length;
    uint64_t dst_iova;
    uint64_t src_iova;
};

/* @length: in, bytes to unmap; out, bytes unmapped. 0 to 2^64-1 is everything. */
struct iommu_ioas_unmap {
    uint32_t size;
    uint32_t ioas_id;
    uint64_t iova;
    uint64_t length;
};

/* --- options --- */

/* RLIMIT_MODE, of the file: charge locked memory to the user (0) or the process (1). HUGE_PAGES,
 * of an IOAS: use large pages (1) or not (0). */
#define IOMMU_OPTION_RLIMIT_MODE 0
#define IOMMU_OPTION_HUGE_PAGES  1

#define IOMMU_OPTION_OP_SET 0
#define IOMMU_OPTION_OP_GET 1

struct iommu_option {
    uint32_t size;
    uint32_t option_id;
    uint16_t op;
    uint16_t __reserved;
    uint32_t object_id;
    uint64_t val64;
};

/* The IOAS that the type1 interface on this file uses. */
#define IOMMU_VFIO_IOAS_GET   0
#define IOMMU_VFIO_IOAS_SET   1
#define IOMMU_VFIO_IOAS_CLEAR 2

struct iommu_vfio_ioas {
    uint32_t size;
    uint32_t ioas_id;
    uint16_t op;
    uint16_t __reserved;
};

/* --- hardware page table --- */

#define IOMMU_HWPT_ALLOC_NEST_PARENT    (1 << 0)
#define IOMMU_HWPT_ALLOC_DIRTY_TRACKING (1 << 1)
#define IOMMU_HWPT_FAULT_ID_VALID       (1 << 2)

/* @pt_id: the IOAS. The first 24 bytes are enough. */
struct iommu_hwpt_alloc {
    uint32_t size;
    uint32_t flags;
    uint32_t dev_id;
    uint32_t pt_id;
    uint32_t out_hwpt_id;
    uint32_t __reserved;
    uint32_t data_type;
    uint32_t data_len;
    uint64_t data_uptr;
    uint32_t fault_id;
    uint32_t __reserved2;
};
#define IOMMU_HWPT_DATA_NONE 0

/* Describes a device's IOMMU. The first 32 bytes are enough. */
struct iommu_hw_info {
    uint32_t size;
    uint32_t flags;
    uint32_t dev_id;
    uint32_t data_len;
    uint64_t data_uptr;
    uint32_t out_data_type;
    uint8_t out_max_pasid_log2; /* newer than 6.12.0; zeros before */
    uint8_t __reserved[3];
    uint64_t out_capabilities;
};
#define IOMMU_HW_INFO_TYPE_INTEL_VTD 1
#define IOMMU_HW_CAP_DIRTY_TRACKING  (1 << 0)

/* IOMMU_GET_HW_INFO for an Intel IOMMU: two of its registers. */
struct iommu_hw_info_vtd {
    uint32_t flags;
    uint32_t __reserved;
    uint64_t cap_reg;
    uint64_t ecap_reg;
};

struct iommu_hwpt_set_dirty_tracking {
    uint32_t size;
    uint32_t flags;
    uint32_t hwpt_id;
    uint32_t __reserved;
};
#define IOMMU_HWPT_DIRTY_TRACKING_ENABLE (1 << 0)

/* Sets the bit of each page of @page_size bytes that a device has written since the last call;
 * clears none. */
struct iommu_hwpt_get_dirty_bitmap {
    uint32_t size;
    uint32_t hwpt_id;
    uint32_t flags;
    uint32_t __reserved;
    uint64_t iova;
    uint64_t length;
    uint64_t page_size;
    uint64_t data; /* address of the bitmap */
};
#define IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR (1 << 0) /* pages stay dirty */

struct iommu_hwpt_invalidate {
    uint32_t size;
    uint32_t hwpt_id;
    uint64_t data_uptr;
    uint32_t data_type;
    uint32_t entry_len;
    uint32_t entry_num;
    uint32_t __reserved;
};

struct iommu_fault_alloc {
    uint32_t size;
    uint32_t flags;
    uint32_t out_fault_id;
    uint32_t out_fault_fd;
};

#endif
