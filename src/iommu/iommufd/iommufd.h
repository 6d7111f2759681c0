/* SPDX-License-Identifier: MIT */
/* Internals of the iommufd back end. */
#ifndef PLUGMAP_SRC_IOMMU_IOMMUFD_IOMMUFD_H
#define PLUGMAP_SRC_IOMMU_IOMMUFD_IOMMUFD_H

#include "iommu/iommu.h"
#include "iommu/iommufd/device_set.h"

#define PM_IOMMUFD_PATH "/dev/iommu"

typedef struct {
    PmIommu parent;
    int iommufd;   /* -1 until it is open */
    bool is_lent;  /* the caller still owns the descriptor */
    uint32_t ioas; /* 0 until allocated; not ours if the parent is shared */
    PmVfioDeviceSet devices;
    GArray *page_tables; /* of uint32_t: the HWPTs with dirty tracking */
    bool maps_files;     /* IOMMU_IOAS_MAP_FILE is supported */
} PmIommufd;

/* ioctl() on the iommufd. The caller sets the size field of @argument. Returns 0 or -errno. */
int pm_iommufd_ioctl(const PmIommufd *iommufd, unsigned long request, void *argument);

/* Whether the kernel supports IOMMU_IOAS_MAP_FILE. */
bool pm_iommufd_can_map_files(const PmIommufd *iommufd);

/* PmIommuOps of these names. */
int pm_iommufd_map(PmIommu *iommu, const PmIommuRequest *request, uint64_t *n_mapped);
int pm_iommufd_unmap(PmIommu *iommu, uint64_t iova, uint64_t size, uint64_t *n_bytes);
PmIommuPresence pm_iommufd_probe(PmIommu *iommu, uint64_t iova, uint64_t size);
bool pm_iommufd_maps_by_file(const PmIommu *iommu, const PmIommuRequest *request);
extern const PmIommuCause pm_iommufd_map_causes[];
extern const PmIommuCause pm_iommufd_unmap_causes[];
extern const int pm_iommufd_unmap_stops_halfway[];

/* Attaches a bound device: to a HWPT with dirty tracking if its IOMMU supports that, else to the
 * IOAS. Returns 0 or -errno. */
int pm_iommufd_attach_tracking(PmIommufd *iommufd, PmVfioDevice *device);

/* Destroys the HWPTs, from index @first on, without attached devices. */
void pm_iommufd_drop_page_tables(PmIommufd *iommufd, guint first);

/* After a device was attached or detached. */
void pm_iommufd_update_dirty_kind(PmIommufd *iommufd);

/* PmIommuOps of these names. */
bool pm_iommufd_set_dirty_tracking(PmIommu *iommu, bool enabled, GError **error);
int pm_iommufd_read_dirty(PmIommu *iommu, uint64_t iova, uint64_t size, uint64_t page_size,
                          uint64_t *bitmap);
int pm_iommufd_peek_dirty(PmIommu *iommu, uint64_t iova, uint64_t size, uint64_t page_size,
                          uint64_t *bitmap);

/* PmIommuOps of these names. */
bool pm_iommufd_check_handover(PmIommu *iommu, GError **error);
int pm_iommufd_change_process(PmIommu *iommu);
int pm_iommufd_check_run(PmIommu *iommu, const PmIommuRequest *run);
void pm_iommufd_describe(const PmIommu *iommu, PmIommuFiles *files);
void pm_iommufd_forget(PmIommu *iommu);

#endif
