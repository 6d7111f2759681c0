/* SPDX-License-Identifier: MIT */
/*
 * Linux's VFIO interface: container, group, device and the type1 IOMMU.
 *
 * Numbers and layouts are those of Linux 6.12 (include/uapi/linux/vfio.h), in plugmap's own words;
 * names are the kernel's, so that its documentation applies. tests/unit/kernel/test_uapi.c compares
 * them with the installed header. All integers are in host byte order; addresses and sizes are in
 * bytes.
 */
#ifndef PLUGMAP_UAPI_VFIO_H
#define PLUGMAP_UAPI_VFIO_H

#include <stdint.h>

#define VFIO_API_VERSION 0

/* Requests: plain numbers without direction or size bits; the device and the container share some.
 */
#define VFIO_GET_API_VERSION        0x3b64
#define VFIO_CHECK_EXTENSION        0x3b65
#define VFIO_SET_IOMMU              0x3b66
#define VFIO_GROUP_GET_STATUS       0x3b67
#define VFIO_GROUP_SET_CONTAINER    0x3b68
#define VFIO_GROUP_UNSET_CONTAINER  0x3b69
#define VFIO_GROUP_GET_DEVICE_FD    0x3b6a
#define VFIO_DEVICE_GET_INFO        0x3b6b
#define VFIO_DEVICE_GET_REGION_INFO 0x3b6c
#define VFIO_DEVICE_GET_IRQ_INFO    0x3b6d
#define VFIO_DEVICE_SET_IRQS        0x3b6e
#define VFIO_DEVICE_RESET           0x3b6f
#define VFIO_IOMMU_GET_INFO         0x3b70
#define VFIO_IOMMU_MAP_DMA          0x3b71
#define VFIO_IOMMU_UNMAP_DMA        0x3b72
#define VFIO_IOMMU_ENABLE           0x3b73
#define VFIO_IOMMU_DISABLE          0x3b74
#define VFIO_IOMMU_DIRTY_PAGES      0x3b75

/* Since 6.6, in kernels with device cdevs (CONFIG_VFIO_DEVICE_CDEV). */
#define VFIO_DEVICE_BIND_IOMMUFD      0x3b76
#define VFIO_DEVICE_ATTACH_IOMMUFD_PT 0x3b77
#define VFIO_DEVICE_DETACH_IOMMUFD_PT 0x3b78

/* Extensions for VFIO_CHECK_EXTENSION; the first few are IOMMU types for VFIO_SET_IOMMU. */
#define VFIO_TYPE1_IOMMU        1
#define VFIO_SPAPR_TCE_IOMMU    2
#define VFIO_TYPE1v2_IOMMU      3
#define VFIO_DMA_CC_IOMMU       4
#define VFIO_EEH                5
#define VFIO_SPAPR_TCE_v2_IOMMU 7
#define VFIO_NOIOMMU_IOMMU      8
#define VFIO_UNMAP_ALL          9
#define VFIO_UPDATE_VADDR       10

/* A capability in an info struct; @next: offset of the next one from the start of the struct, 0
 * for the last. */
struct vfio_info_cap_header {
    uint16_t id;
    uint16_t version;
    uint32_t next;
};

/* --- group --- */

struct vfio_group_status {
    uint32_t argsz;
    uint32_t flags;
};
#define VFIO_GROUP_FLAGS_VIABLE        (1 << 0)
#define VFIO_GROUP_FLAGS_CONTAINER_SET (1 << 1)

/* --- device --- */

struct vfio_device_info {
    uint32_t argsz;
    uint32_t flags;
    uint32_t num_regions;
    uint32_t num_irqs;
    uint32_t cap_offset;
    uint32_t pad; /* since 6.6 */
};
#define VFIO_DEVICE_FLAGS_RESET (1 << 0)
#define VFIO_DEVICE_FLAGS_PCI   (1 << 1)
#define VFIO_DEVICE_FLAGS_CAPS  (1 << 7)

struct vfio_region_info {
    uint32_t argsz;
    uint32_t flags;
    uint32_t index;
    uint32_t cap_offset;
    uint64_t size;
    uint64_t offset; /* in the device file */
};
#define VFIO_REGION_INFO_FLAG_READ  (1 << 0)
#define VFIO_REGION_INFO_FLAG_WRITE (1 << 1)
#define VFIO_REGION_INFO_FLAG_MMAP  (1 << 2)
#define VFIO_REGION_INFO_FLAG_CAPS  (1 << 3)

#define VFIO_PCI_BAR0_REGION_INDEX   0
#define VFIO_PCI_ROM_REGION_INDEX    6
#define VFIO_PCI_CONFIG_REGION_INDEX 7
#define VFIO_PCI_VGA_REGION_INDEX    8
#define VFIO_PCI_NUM_REGIONS         9

struct vfio_irq_info {
    uint32_t argsz;
    uint32_t flags;
    uint32_t index;
    uint32_t count;
};
#define VFIO_IRQ_INFO_EVENTFD    (1 << 0)
#define VFIO_IRQ_INFO_MASKABLE   (1 << 1)
#define VFIO_IRQ_INFO_AUTOMASKED (1 << 2)
#define VFIO_IRQ_INFO_NORESIZE   (1 << 3)

#define VFIO_PCI_INTX_IRQ_INDEX 0
#define VFIO_PCI_MSI_IRQ_INDEX  1
#define VFIO_PCI_MSIX_IRQ_INDEX 2
#define VFIO_PCI_ERR_IRQ_INDEX  3
#define VFIO_PCI_REQ_IRQ_INDEX  4
#define VFIO_PCI_NUM_IRQS       5

struct vfio_irq_set {
    uint32_t argsz;
    uint32_t flags;
    uint32_t index;
    uint32_t start;
    uint32_t count;
    uint8_t data[]; /* per interrupt, as flags say: nothing, a byte or a descriptor (int32_t) */
};
#define VFIO_IRQ_SET_DATA_NONE      (1 << 0)
#define VFIO_IRQ_SET_DATA_BOOL      (1 << 1)
#define VFIO_IRQ_SET_DATA_EVENTFD   (1 << 2)
#define VFIO_IRQ_SET_ACTION_MASK    (1 << 3)
#define VFIO_IRQ_SET_ACTION_UNMASK  (1 << 4)
#define VFIO_IRQ_SET_ACTION_TRIGGER (1 << 5)

/* --- iommufd: on a device cdev, /dev/vfio/devices/vfioN (iommufd.h) --- */

struct vfio_device_bind_iommufd {
    uint32_t argsz;
    uint32_t flags;
    int32_t iommufd;
    uint32_t out_devid;
};

/* @pt_id: in, an IOAS or HWPT; out, the HWPT that the device is attached to. */
struct vfio_device_attach_iommufd_pt {
    uint32_t argsz;
    uint32_t flags;
    uint32_t pt_id;
};

struct vfio_device_detach_iommufd_pt {
    uint32_t argsz;
    uint32_t flags;
};

/* --- type1 IOMMU: on the container, once an IOMMU is set --- */

struct vfio_iommu_type1_info {
    uint32_t argsz;
    uint32_t flags;
    uint64_t iova_pgsizes; /* bit n: pages of 2^n bytes */
    uint32_t cap_offset;   /* 0: no capabilities, or argsz has no room for them */
    uint32_t pad;
};
#define VFIO_IOMMU_INFO_PGSIZES (1 << 0)
#define VFIO_IOMMU_INFO_CAPS    (1 << 1)

/* Valid I/O addresses, both ends inclusive. */
#define VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE 1
struct vfio_iova_range {
    uint64_t start;
    uint64_t end;
};
struct vfio_iommu_type1_info_cap_iova_range {
    struct vfio_info_cap_header header;
    uint32_t nr_iovas;
    uint32_t reserved;
    struct vfio_iova_range iova_ranges[];
};

#define VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION 2
struct vfio_iommu_type1_info_cap_migration {
    struct vfio_info_cap_header header;
    uint32_t flags;
    uint64_t pgsize_bitmap;
    uint64_t max_dirty_bitmap_size; /* bytes */
};

/* How many more mappings the container can hold. */
#define VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL 3
struct vfio_iommu_type1_info_dma_avail {
    struct vfio_info_cap_header header;
    uint32_t avail;
};

struct vfio_iommu_type1_dma_map {
    uint32_t argsz;
    uint32_t flags;
    uint64_t vaddr;
    uint64_t iova;
    uint64_t size;
};
#define VFIO_DMA_MAP_FLAG_READ  (1 << 0)
#define VFIO_DMA_MAP_FLAG_WRITE (1 << 1)
#define VFIO_DMA_MAP_FLAG_VADDR (1 << 2)

struct vfio_bitmap {
    uint64_t pgsize; /* bytes per bit */
    uint64_t size;   /* bytes of the bitmap */
    uint64_t *data;
};

/* @size: in, bytes to unmap; out, bytes unmapped. */
struct vfio_iommu_type1_dma_unmap {
    uint32_t argsz;
    uint32_t flags;
    uint64_t iova;
    uint64_t size;
    uint8_t data[]; /* struct vfio_bitmap, with GET_DIRTY_BITMAP */
};
#define VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP (1 << 0)
#define VFIO_DMA_UNMAP_FLAG_ALL              (1 << 1)
#define VFIO_DMA_UNMAP_FLAG_VADDR            (1 << 2)

struct vfio_iommu_type1_dirty_bitmap {
    uint32_t argsz;
    uint32_t flags;
    uint8_t data[]; /* struct vfio_iommu_type1_dirty_bitmap_get, with GET_BITMAP */
};
#define VFIO_IOMMU_DIRTY_PAGES_FLAG_START      (1 << 0)
#define VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP       (1 << 1)
#define VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP (1 << 2)

struct vfio_iommu_type1_dirty_bitmap_get {
    uint64_t iova;
    uint64_t size;
    struct vfio_bitmap bitmap;
};

#endif
