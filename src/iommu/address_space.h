/* SPDX-License-Identifier: MIT */
/* PmIommu internals: the state that claims, budgets and back ends share, and the operations of a
 * back end. */
#ifndef PLUGMAP_SRC_IOMMU_ADDRESS_SPACE_H
#define PLUGMAP_SRC_IOMMU_ADDRESS_SPACE_H

#include <pthread.h>

#include <plugmap/iommu.h>

#include "base/range_map.h"

/* What one pm_iommu_claim_map() asks for, validated. */
typedef struct {
    uint64_t iova;
    uint64_t host;
    uint64_t block_size;
    uint64_t n_blocks;
    PmIommuAccess access;
    int fd;               /* the backing file, or -1 */
    uint64_t file_offset; /* offset of @host in it */
    bool device_memory;   /* not the host's RAM */
} PmIommuRequest;

/* What an errno from the kernel means, and what to do; a table ends with errno 0, which matches all
 * others. */
typedef struct {
    int error_number;
    PmError code;
    const char *sentence;
} PmIommuCause;

/* What the kernel says of a range. */
typedef enum {
    PM_IOMMU_ABSENT,  /* it has no mapping with a byte there */
    PM_IOMMU_PRESENT, /* it has one */
    PM_IOMMU_UNSURE,  /* the kernel does not report it */
} PmIommuPresence;

/*
 * PmIommuFile: an open file of a back end, as another process needs it to go on: a type1 group, or
 * a device.
 * @fd: of the file; -1: a device that is not opened yet.
 * @address: of a device, owned; NULL: a group.
 * @number: of the group, if @has_number; iommufd: the object id of the device.
 * @n_users, @joined: of a group (type1/group_set.c).
 * @group: type1: the index of the device's group.
 * @page_table: iommufd: the HWPT or IOAS that the device is attached to.
 */
typedef struct {
    int fd;
    char *address;
    bool has_number;
    bool joined;
    uint32_t number;
    uint32_t n_users;
    uint32_t group;
    uint32_t page_table;
} PmIommuFile;

/* PmIommuFiles: all that a back end has open. @fd: the container's or the iommufd's. @is_shared,
 * @mapping_limit: as in PmIommu. */
typedef struct {
    PmIommuBackend backend;
    int fd;
    uint32_t ioas;
    bool maps_files;
    bool is_shared;
    uint64_t mapping_limit;
    GArray *page_tables; /* of uint32_t */
    GArray *files;       /* of PmIommuFile, groups before devices */
} PmIommuFiles;

void pm_iommu_files_init(PmIommuFiles *files);
/* Closes no descriptor. */
void pm_iommu_files_clear(PmIommuFiles *files);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PmIommuFiles, pm_iommu_files_clear)

/*
 * PmIommuOps: a back end. Called with the lock held, except @query_available, @open_device,
 * @get_kvm_fd and @has_device; these three, and those that attach and detach, with that of the
 * devices.
 * @map: maps block by block until one fails; @n_mapped is the number mapped. Returns 0 or -errno.
 * @unmap: one call to the kernel; @n_bytes is the size the kernel reports as unmapped. Returns 0 or
 * -errno.
 * @probe: asks the kernel whether anything is mapped in a range, by a MAP that cannot succeed.
 * @maps_by_file: optional: whether @map will use the backing file.
 * @query_available: as pm_iommu_query_available().
 * @attach, @attach_fd, @detach, @open_device, @get_kvm_fd: as pm_iommu_attach(),
 * pm_iommu_attach_fd(), pm_iommu_detach(), pm_iommu_open_device(), pm_iommu_get_kvm_fd(). Attaching
 * calls pm_iommu_check_claims().
 * @has_device: whether a device is attached.
 * @set_dirty_tracking: as pm_iommu_set_dirty_tracking(); sets PmIommu.tracks_dirty.
 * @read_dirty: sets the bits of pages written since the last call, for a range of whole mappings
 * without a hole, in a bitmap of its own; returns 0 or -errno.
 * @unmap_dirty: as @unmap, and sets the bits of pages written since @read_dirty. NULL: @peek_dirty,
 * which is @read_dirty without clearing, and then @unmap.
 * @check_handover: whether the kernel can hand the address space to another process. Changes
 * nothing. Errors: PM_ERROR_UNSUPPORTED, PM_ERROR_BUSY, PM_ERROR_KERNEL.
 * @invalidate: optional: marks the host addresses of a run as invalid. Returns 0 or -errno.
 * @change_process: optional: charges the mappings to this process. Returns 0 or -errno.
 * @set_address: sets the host addresses of a run of mappings, valid or invalid, and makes this
 * process their owner; -ENOENT or -EINVAL: the kernel has other mappings there.
 * @describe: what is open; the descriptors stay @iommu's, the addresses are copies.
 * @forget: others own what is open: from now on, freeing only closes descriptors.
 * @end: optional: detaches devices and destroys the address space explicitly, because close() does
 * not do so while registers are still mapped; returns whether this proves that nothing is mapped
 * any more. @free: closes the back end's files, but does not free the struct.
 * @map_causes, @unmap_causes: what the kernel's errors mean.
 * @no_device_memory: advice where the back end never maps device memory (EFAULT); NULL: it does.
 * @stops_halfway: zero-terminated errnos that @unmap can return after removing some of the
 * mappings; NULL: none.
 * @nothing_found: what @unmap returns where nothing is mapped: 0 or -errno.
 * @counts_pinned: PmLockedMemory.pinned counts against the limit, not PmLockedMemory.used, and
 * nothing does with CAP_IPC_LOCK.
 */
typedef struct {
    int (*map)(PmIommu *iommu, const PmIommuRequest *request, uint64_t *n_mapped);
    int (*unmap)(PmIommu *iommu, uint64_t iova, uint64_t size, uint64_t *n_bytes);
    PmIommuPresence (*probe)(PmIommu *iommu, uint64_t iova, uint64_t size);
    bool (*maps_by_file)(const PmIommu *iommu, const PmIommuRequest *request);
    bool (*query_available)(PmIommu *iommu, uint64_t *n_mappings, GError **error);
    bool (*attach)(PmIommu *iommu, const char *device, GError **error);
    bool (*attach_fd)(PmIommu *iommu, const char *device, int fd, uint32_t *device_id,
                      GError **error);
    bool (*detach)(PmIommu *iommu, const char *device, GError **error);
    int (*get_kvm_fd)(PmIommu *iommu, const char *device, GError **error);
    int (*open_device)(PmIommu *iommu, const char *device, GError **error);
    bool (*has_device)(PmIommu *iommu, const char *device);
    bool (*set_dirty_tracking)(PmIommu *iommu, bool enabled, GError **error);
    int (*read_dirty)(PmIommu *iommu, uint64_t iova, uint64_t size, uint64_t page_size,
                      uint64_t *bitmap);
    int (*peek_dirty)(PmIommu *iommu, uint64_t iova, uint64_t size, uint64_t page_size,
                      uint64_t *bitmap);
    int (*unmap_dirty)(PmIommu *iommu, uint64_t iova, uint64_t size, uint64_t page_size,
                       uint64_t *bitmap, uint64_t *n_bytes);
    bool (*check_handover)(PmIommu *iommu, GError **error);
    int (*invalidate)(PmIommu *iommu, const PmIommuRequest *run);
    int (*change_process)(PmIommu *iommu);
    int (*set_address)(PmIommu *iommu, const PmIommuRequest *run);
    void (*describe)(const PmIommu *iommu, PmIommuFiles *files);
    void (*forget)(PmIommu *iommu);
    bool (*end)(PmIommu *iommu);
    void (*free)(PmIommu *iommu);
    const PmIommuCause *map_causes;
    const PmIommuCause *unmap_causes;
    const char *no_device_memory;
    const int *stops_halfway;
    int nothing_found;
    bool counts_pinned;
} PmIommuOps;

/* PmIommuGeometry: page sizes and valid ranges. Attaching a device can change them, and readers
 * take no lock, so older versions stay until the end. */
typedef struct PmIommuGeometry {
    struct PmIommuGeometry *older;
    uint64_t page_sizes;
    PmIovaRange *ranges;
    size_t n_ranges;
} PmIommuGeometry;

/* Where an address space is in a handover to another process (handover.h). */
typedef enum {
    PM_IOMMU_OURS,
    PM_IOMMU_BETWEEN, /* being handed over: nothing may change */
    PM_IOMMU_AWAITED, /* the same at the receiver, which makes claims of what is mapped */
    PM_IOMMU_THEIRS,  /* another process owns it: only closes descriptors */
} PmIommuOwner;

/* Back ends embed this first, allocated with g_new0(). */
struct PmIommu {
    const PmIommuOps *_Atomic ops; /* the back end's, or, while it is not ours, handover_ops */
    const PmIommuOps *own_ops;     /* the back end's */
    PmIommuOps handover_ops;
    PmIommuOwner owner;
    gatomicrefcount references;   /* the last one closes the files */
    gatomicrefcount holders;      /* of this struct: claims outlive the files */
    PmKernel *kernel;             /* also identifies a copy in a forked child */
    PmIommuGeometry *geometry;    /* read with pm_iommu_geometry() */
    uint64_t mapping_limit;       /* constant once the address space is open */
    bool is_shared;               /* others may map here, too; constant as well */
    uint64_t dirty_unit;          /* the only page size of @read_dirty; 0: any; constant as well */
    uint64_t max_dirty_bits;      /* that @read_dirty can read at once; 0: any number; constant */
    int dirty_kind;               /* PmIommuDirtyKind; atomic */
    pthread_mutex_t devices_lock; /* for the attached devices; taken after lock */
    pthread_mutex_t lock;         /* for all below; not GMutex, which the thread sanitizer misses */
    PmRangeMap *claims;           /* of PmClaimRecord (claim.h) */
    uint64_t n_mappings;          /* mapped or unknown; both are atomic */
    uint64_t n_bytes;
    uint64_t n_committed; /* mappings that each claim has made or reserved */
    bool tracks_dirty;
    bool tracked_before; /* before the first watch */
    GPtrArray *watches;  /* of PmIommuWatch (watch.h); NULL: none */
    bool closed;
};

/* Replaces the geometry; takes ownership of @ranges (g_free()). */
void pm_iommu_set_geometry(PmIommu *iommu, uint64_t page_sizes, PmIovaRange *ranges,
                           size_t n_ranges);

/* The current geometry; valid as long as @iommu. */
const PmIommuGeometry *pm_iommu_geometry(const PmIommu *iommu);

/* Whether one valid range contains all of @iova to @last. */
bool pm_iommu_geometry_has(const PmIommuGeometry *geometry, uint64_t iova, uint64_t last);

/* The smallest page, in bytes. */
uint64_t pm_iommu_page_size(const PmIommu *iommu);

/* What dirty tracking reports, now that a device was attached or detached. */
void pm_iommu_set_dirty_kind(PmIommu *iommu, PmIommuDirtyKind kind);

/* Lock and unlock. No-ops in a child made by fork(), which has one thread and a lock in an
 * arbitrary state. */
void pm_iommu_lock(PmIommu *iommu);
void pm_iommu_unlock(PmIommu *iommu);

/* The same of the devices alone: a MAP, which can take seconds, holds only the one above. */
void pm_iommu_lock_devices(PmIommu *iommu);
void pm_iommu_unlock_devices(PmIommu *iommu);

/* Both: opening and attaching devices takes the second one only. */
void pm_iommu_lock_all(PmIommu *iommu);
void pm_iommu_unlock_all(PmIommu *iommu);

/* In a child made by fork(): the kernel's objects are the parent's. */
bool pm_iommu_is_inherited(const PmIommu *iommu);

/* Drops a holder of the struct's memory, after it was closed. */
void pm_iommu_drop_holder(PmIommu *iommu);

#endif
