/* SPDX-License-Identifier: MIT */
/*
 * PmIommu: an I/O address space. An attached device can access host memory only at the I/O virtual
 * addresses (IOVAs) that are mapped here.
 *
 * Back ends: type1 (a VFIO container, drivers/vfio/vfio_iommu_type1.c), pm_iommu_type1_new(); and
 * iommufd (an IOAS of /dev/iommu, drivers/iommu/iommufd/), pm_iommu_iommufd_new().
 * pm_iommu_choose_backend() picks one for a device.
 *
 * Every mapping belongs to a claim (iommu_claim.h), which has a range of IOVAs to itself. Requests
 * are checked against the known mappings before the kernel is called, and the size that the kernel
 * reports as unmapped is compared with the size requested.
 *
 * While the address space is handed to another process (handover.h), attaching, detaching and
 * opening devices, claiming, mapping, unmapping, auditing, and starting and stopping dirty tracking
 * fail with PM_ERROR_BUSY; afterwards, in the old process, with PM_ERROR_PERMISSION.
 *
 * Threads: every function is safe from several threads at once. Mapping can take seconds, because
 * the kernel pins the memory. pm_iommu_get_*(), pm_iommu_has_device(), pm_iommu_open_device() and
 * pm_iommu_check_range() do not wait for it; counts of mappings and bytes are then from before or
 * after. The functions that name a device wait for one that attaches or detaches.
 *
 * Addresses and sizes are bytes, multiples of the smallest page size (pm_iommu_get_page_sizes()). A
 * range can end at 2^64-1, but not past it.
 */
#ifndef PLUGMAP_IOMMU_H
#define PLUGMAP_IOMMU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <plugmap/iova.h>
#include <plugmap/kernel.h>

G_BEGIN_DECLS

typedef struct PmIommu PmIommu;

/**
 * PmIommuRun: adjacent mappings of one size, all mapped or all unknown (iommu_claim.h). Frozen: it
 * never grows.
 * @iova: start of the first mapping.
 * @block_size: bytes per mapping.
 * @n_blocks: number of mappings, at least 1.
 * @ram_offset: offset of the first mapping in the claim's RAM; the others follow.
 * @unknown: the kernel may or may not still have them.
 */
typedef struct {
    uint64_t iova;
    uint64_t block_size;
    uint64_t n_blocks;
    uint64_t ram_offset;
    bool unknown;
} PmIommuRun;

/**
 * PmType1Config: what to open. Set exactly one of @device, @has_group and @has_fds; zero is the
 * default of all other members.
 * @struct_size: sizeof(PmType1Config) (macros.h).
 * @kernel: receives the system calls; NULL: the host's kernel. Takes a reference.
 * @device: PCI address of a device bound to vfio-pci ("0000:00:04.0"); its IOMMU group is looked up
 * in sysfs.
 * @has_group: open @group; sysfs is then read for messages only.
 * @group: an IOMMU group's number; 0 is valid.
 * @has_fds: use the descriptors below, opened by a process with more rights and sent over a socket
 * (SCM_RIGHTS): needs neither /dev/vfio nor sysfs.
 * @container_fd: of /dev/vfio/vfio.
 * @group_fds, @n_group_fds: of /dev/vfio/N, one or more; the array is not used after the call.
 */
typedef struct {
    size_t struct_size;
    PmKernel *kernel;
    const char *device;
    bool has_group;
    unsigned group;
    bool has_fds;
    int container_fd;
    const int *group_fds;
    size_t n_group_fds;
} PmType1Config;

/**
 * Opens a VFIO container with a type1v2 IOMMU and adds one IOMMU group to it.
 *
 * With PmType1Config.has_fds, the container may already have an IOMMU, and groups may already be in
 * it: missing steps are done here. A group that is in a container must be in this one; the kernel
 * does not report which one it is in, so the only mismatch detected is a container without any
 * group. As with a group opened by number, pm_iommu_open_device() attaches the groups' devices, and
 * the groups stay until the last reference is dropped.
 *
 * On success the PmIommu owns the descriptors, and the caller must neither use nor close them: pass
 * a dup(2) of any needed elsewhere. The last pm_iommu_unref() removes the groups that were not in
 * the container before from it, whoever else has them open, and closes the descriptors; other
 * groups stay in the container while somebody has them open. On failure the caller still owns all
 * descriptors, and every group is where it was; only an IOMMU that was set for a container with
 * groups stays set.
 *
 * Others with the descriptors can map into the container, too. This PmIommu never unmaps their
 * mappings, and neither pm_iommu_get_n_mappings() nor pm_iommu_audit() counts them. They must avoid
 * addresses claimed here: mapping a block over theirs is PM_ERROR_OVERLAP.
 *
 * Returns: a new reference, or NULL. Errors: PM_ERROR_INVALID_ARGUMENT (not exactly one of @device,
 * @has_group and @has_fds; invalid PCI address; no @group_fds; invalid or duplicate descriptor),
 * PM_ERROR_NOT_FOUND (no such device, group or /dev/vfio/vfio), PM_ERROR_PERMISSION, PM_ERROR_BUSY
 * (group in use, @device has another driver, or the groups are in another container),
 * PM_ERROR_NOT_VIABLE, PM_ERROR_IOVA_RANGE (mappings of others conflict with a group's reserved
 * addresses), PM_ERROR_UNSUPPORTED (other API version, no type1v2, the container has a type1 (v1)
 * IOMMU, no interrupt remapping), PM_ERROR_BAD_INPUT (invalid capability chain), PM_ERROR_MEMORY,
 * PM_ERROR_KERNEL.
 */
PM_EXPORT PmIommu *pm_iommu_type1_new(const PmType1Config *config, GError **error);

/**
 * PmIommufdConfig: what to open. Set @device; zero is the default of all other members.
 * @struct_size: sizeof(PmIommufdConfig) (macros.h).
 * @kernel: receives the system calls; NULL: the host's kernel. Takes a reference.
 * @device: PCI address of a device bound to vfio-pci ("0000:00:04.0"); copied. With @has_fds any
 * name, used only here.
 * @device_file: device cdev ("/dev/vfio/devices/vfio0"); NULL: look it up in sysfs (vfio-dev/).
 * @has_fds: use the descriptors below, opened by a process with more rights and sent over a socket
 * (SCM_RIGHTS): needs neither /dev nor sysfs.
 * @iommufd: of /dev/iommu.
 * @device_fd: of the device cdev.
 * @device_id: NULL or *@device_id 0: the device is not bound yet; the call binds it to @iommufd
 * (VFIO_DEVICE_BIND_IOMMUFD), and then sets *@device_id at once. Else the id (out_devid) of a
 * device that is bound to @iommufd.
 * @ioas: id of an IOAS of @iommufd; 0: allocate one.
 */
typedef struct {
    size_t struct_size;
    PmKernel *kernel;
    const char *device;
    const char *device_file;
    bool has_fds;
    int iommufd;
    int device_fd;
    uint32_t *device_id;
    uint32_t ioas;
} PmIommufdConfig;

/**
 * Opens /dev/iommu, allocates an IOAS, and attaches a device through its cdev (Linux 6.6 and later,
 * CONFIG_IOMMUFD and CONFIG_VFIO_DEVICE_CDEV). If the device's IOMMU supports dirty tracking, the
 * device gets a HWPT with it (IOMMU_HWPT_ALLOC).
 *
 * The number of mappings is not limited. Pinned page accounting is per user, over all processes,
 * and only without CAP_IPC_LOCK; VmPin in /proc/self/status is this process's share.
 *
 * With PmIommufdConfig.has_fds, on success the PmIommu owns the descriptors, and the caller must
 * neither use nor close them: pass a dup(2) of any needed elsewhere. The last pm_iommu_unref()
 * detaches the device and closes both; pm_iommu_detach() closes the device's. On failure the caller
 * still owns both. Only close(2) unbinds a device: to retry with a device that was bound, pass the
 * id in *@device_id. The kernel does not report whether that id is the one of @device_fd. A device
 * attached to another IOAS is moved to this one; on failure it may be attached to none.
 *
 * Others may map into an IOAS that was passed (PmIommufdConfig.ioas). This PmIommu never unmaps or
 * counts their areas, never destroys the IOAS, and does not restrict which IOVAs the kernel may
 * choose in it. They must avoid addresses claimed here: mapping a block over their area is
 * PM_ERROR_OVERLAP. Writes of devices that they attach are not tracked. The last
 * reference destroys an IOAS that was allocated here.
 *
 * Returns: a new reference, or NULL. Errors: PM_ERROR_INVALID_ARGUMENT (no @device or an invalid
 * PCI address; files and descriptors mixed; invalid descriptor; @device_fd is bound, and @device_id
 * is missing or unknown to @iommufd), PM_ERROR_NOT_FOUND (no such device, /dev/iommu or @ioas),
 * PM_ERROR_PERMISSION, PM_ERROR_BUSY (in use, its group is open, or @device has another driver),
 * PM_ERROR_NOT_VIABLE, PM_ERROR_IOVA_RANGE and PM_ERROR_LOCKED_MEMORY (conflict with what others
 * have mapped in @ioas), PM_ERROR_UNSUPPORTED (no device cdev; no interrupt remapping; IOMMU pages
 * larger than the kernel's), PM_ERROR_BAD_INPUT (invalid IOVA ranges), PM_ERROR_MEMORY,
 * PM_ERROR_KERNEL.
 */
PM_EXPORT PmIommu *pm_iommu_iommufd_new(const PmIommufdConfig *config, GError **error);

/**
 * PmIommuBackend: the kernel's interfaces.
 * @PM_IOMMU_TYPE1: a VFIO container.
 * @PM_IOMMU_IOMMUFD: an IOAS of /dev/iommu.
 */
typedef enum {
    PM_IOMMU_TYPE1 = 0,
    PM_IOMMU_IOMMUFD = 1,
} PmIommuBackend;

/**
 * Chooses a back end for a device: iommufd if /dev/iommu and the device cdev exist, else type1.
 * Does not check whether opening it succeeds.
 * @kernel: NULL: the host's.
 * @device: its PCI address; NULL: a group is opened, which needs type1.
 * @reason: optional: set to a sentence with the reason; free it with g_free().
 */
PM_EXPORT PmIommuBackend pm_iommu_choose_backend(PmKernel *kernel, const char *device,
                                                 char **reason);

/**
 * Attaches another device: it can access all current and future mappings. Can reduce the valid IOVA
 * ranges.
 * @device: PCI address of a device bound to vfio-pci.
 *
 * Kernel: type1: VFIO_GROUP_SET_CONTAINER (drivers/vfio/container.c) with its whole IOMMU group,
 * which maps everything for it. iommufd: VFIO_DEVICE_ATTACH_IOMMUFD_PT
 * (drivers/vfio/device_cdev.c), to an existing HWPT if its IOMMU can use one.
 * Errors: those of opening; PM_ERROR_BUSY (already attached, in use elsewhere, or type1: host
 * addresses are invalid during a handover of the container); PM_ERROR_IOVA_RANGE (mapped or claimed
 * addresses are reserved for the device or out of its reach; type1's EINVAL, iommufd's EADDRINUSE);
 * PM_ERROR_LOCKED_MEMORY (iommufd's ENOMEM); PM_ERROR_UNSUPPORTED (iommufd: its IOMMU cannot share
 * page tables, or not track dirty pages while tracking is on); PM_ERROR_KERNEL. Changes nothing on
 * failure.
 */
PM_EXPORT bool pm_iommu_attach(PmIommu *iommu, const char *device, GError **error);

/**
 * As pm_iommu_attach(), with a descriptor of the caller: needs neither /dev nor sysfs.
 * @device: type1: its PCI address, by which the group opens it; iommufd: any name.
 * @fd: type1: of its IOMMU group, which may already be in this container (PmType1Config.has_fds);
 * iommufd: of its device cdev. Other devices of an attached group need no descriptor: use
 * pm_iommu_open_device().
 * @device_id: iommufd: as PmIommufdConfig.device_id; type1 ignores it.
 *
 * On success @iommu owns @fd, and closes it when the device (type1: the last attached one of its
 * group) is detached; a group that this call added to the container is removed from it. On failure
 * the caller still owns @fd, which may be bound (iommufd).
 * Errors: those of pm_iommu_attach() and of opening with descriptors; PM_ERROR_NOT_FOUND (type1:
 * the group has no such device).
 */
PM_EXPORT bool pm_iommu_attach_fd(PmIommu *iommu, const char *device, int fd, uint32_t *device_id,
                                  GError **error);

/**
 * Detaches a device, and closes its file (pm_iommu_open_device()). The last device of an address
 * space stays: drop the PmIommu instead.
 *
 * type1: a container has groups, not devices. A group leaves it with the last of its attached
 * devices; detaching another one only closes its file, which disables the device. A group that was
 * opened by number (PmType1Config.has_group) or passed on creation (PmType1Config.has_fds) stays
 * until the PmIommu is dropped, so even its last device can be detached. pm_iommu_open_device()
 * attaches it again.
 *
 * Errors: PM_ERROR_NOT_FOUND (not attached), PM_ERROR_BUSY (the last device; type1: its registers
 * are mapped, or another file of its group is open), PM_ERROR_KERNEL (iommufd). On failure the
 * device stays attached; but if its registers are mapped, type1 has closed its file, and
 * pm_iommu_open_device() reopens it. PM_ERROR_PERMISSION in a forked child.
 */
PM_EXPORT bool pm_iommu_detach(PmIommu *iommu, const char *device, GError **error);

/**
 * The VFIO device file of an attached device, for its registers and interrupts. type1: opened on
 * first use; also attaches the device, if its group is attached.
 * Returns: a descriptor of the PmIommu's kernel, which @iommu owns until the device is detached; or
 * -1.
 * Errors: PM_ERROR_NOT_FOUND (not attached), PM_ERROR_PERMISSION (in a forked child),
 * PM_ERROR_KERNEL.
 */
PM_EXPORT int pm_iommu_open_device(PmIommu *iommu, const char *device, GError **error);

/**
 * The descriptor for KVM's VFIO device (KVM_DEV_VFIO_FILE_ADD): type1: of the device's IOMMU group;
 * iommufd: of its device cdev. type1: also opens and attaches the device as pm_iommu_open_device()
 * does, unless it is attached.
 * Returns: a descriptor owned by @iommu: valid until the device (type1: the last attached one of
 * its group) is detached or the last reference to @iommu is dropped. Remove it from KVM before
 * (KVM_DEV_VFIO_FILE_DEL): KVM keeps the file open, and thereby the group or device in use. Or -1;
 * errors: those of pm_iommu_open_device().
 */
PM_EXPORT int pm_iommu_get_kvm_fd(PmIommu *iommu, const char *device, GError **error);

/** Whether a device is attached, if only by pm_iommu_open_device(). No system call. */
PM_EXPORT bool pm_iommu_has_device(PmIommu *iommu, const char *device);

/** Takes a reference. Returns @iommu. */
PM_EXPORT PmIommu *pm_iommu_ref(PmIommu *iommu);

/**
 * Drops a reference; NULL does nothing. The last one unmaps all claims, detaches the devices,
 * removes groups from the container and closes the files. It does so even if others have the files
 * open. A device whose registers the caller has mapped stays bound to its file until they are
 * unmapped, but can access no memory. Abandoned claims (pm_iommu_claim_abandon()) end, and drop
 * their RAM; if the kernel does not confirm that their mappings are gone, that is logged, and the
 * RAM is never freed.
 *
 * In a child made by fork(2) it closes the child's copies of the files, and the parent keeps its
 * mappings. iommu_claim.h and mapper.h describe what else a child can do with objects of its
 * parent: it can drop them, and what needs the kernel fails with PM_ERROR_PERMISSION (kernel.h).
 */
PM_EXPORT void pm_iommu_unref(PmIommu *iommu);

/** Bit n set: the IOMMU has pages of 2^n bytes. The lowest bit is the unit of addresses and sizes,
 * and the only one that iommufd reports. */
PM_EXPORT uint64_t pm_iommu_get_page_sizes(const PmIommu *iommu);

/**
 * The valid IOVA ranges, ascending, @n_ranges of them; owned by @iommu and valid as long as it.
 * Attaching or detaching a device can change them: then call again. type1 leaves out the last page
 * below 2^64: kernels before 6.18 can map it, but not unmap it.
 */
PM_EXPORT const PmIovaRange *pm_iommu_get_iova_ranges(const PmIommu *iommu, size_t *n_ranges);

/** The maximum number of mappings; UINT64_MAX: no known limit. With PmType1Config.has_fds: what the
 * container had left for this PmIommu when it was created. */
PM_EXPORT uint64_t pm_iommu_get_mapping_limit(const PmIommu *iommu);

/** The number of mappings of all claims, including unknown ones. */
PM_EXPORT uint64_t pm_iommu_get_n_mappings(PmIommu *iommu);

/** Bytes of RAM mapped by all claims, including unknown ones, which the kernel pins. Device memory
 * is not pinned, and does not count. */
PM_EXPORT uint64_t pm_iommu_get_pinned_bytes(PmIommu *iommu);

/**
 * Queries how many more mappings the kernel allows (type1: dma_avail); UINT64_MAX: not reported.
 * Errors: PM_ERROR_KERNEL, PM_ERROR_BAD_INPUT (capability chain), PM_ERROR_MEMORY.
 */
PM_EXPORT bool pm_iommu_query_available(PmIommu *iommu, uint64_t *n_mappings, GError **error);

/**
 * The locked-memory limit of the address space's kernel; @locked.used is what counts against it
 * here: type1's VmLck, or iommufd's VmPin (iommufd counts per user, so other processes may have
 * used up more).
 * Errors: PM_ERROR_PERMISSION (in a forked child), PM_ERROR_KERNEL.
 */
PM_EXPORT bool pm_iommu_query_locked_memory(PmIommu *iommu, PmLockedMemory *locked, GError **error);

/**
 * Checks whether a range is valid here: aligned to the smallest page size, not empty, and inside
 * one valid IOVA range. No side effects, no system call.
 * Errors: PM_ERROR_INVALID_ARGUMENT (empty), PM_ERROR_UNALIGNED, PM_ERROR_IOVA_RANGE (the message
 * has the valid ranges and the nearest address that fits).
 */
PM_EXPORT bool pm_iommu_check_range(const PmIommu *iommu, uint64_t iova, uint64_t size,
                                    GError **error);

/**
 * As pm_iommu_check_range(), for a range mapped in blocks: the nearest address in the message is a
 * multiple of @block_size.
 * @block_size: bytes, a multiple of the smallest page size; must divide @size.
 * Errors: as pm_iommu_check_range().
 */
PM_EXPORT bool pm_iommu_check_blocks(const PmIommu *iommu, uint64_t iova, uint64_t size,
                                     uint64_t block_size, GError **error);

/**
 * Retries to unmap abandoned claims (pm_iommu_claim_abandon()). Unknown blocks of claims that have
 * an owner stay: the owner purges them (pm_iommu_claim_purge(), pm_mapper_remove(), a machine
 * reset).
 * Returns: true if no abandoned claim is left. Errors: those of pm_iommu_claim_purge(), for the
 * first claim that stays.
 */
PM_EXPORT bool pm_iommu_settle(PmIommu *iommu, GError **error);

/**
 * PmIommuAuditFlags: assumptions of pm_iommu_audit().
 * @PM_IOMMU_AUDIT_SOLE_LOCKER: nobody else in this process has locked or unlocked memory since the
 * first PmIommu of this kernel was opened, and no other thread maps or unmaps now. Then the
 * kernel's count (type1: VmLck, iommufd: VmPin) must have grown by exactly what claims have mapped.
 */
typedef enum {
    PM_IOMMU_AUDIT_SOLE_LOCKER = 1 << 0,
} PmIommuAuditFlags;

/**
 * Proves that every mapping has one owner: claims do not overlap, no run crosses the borders of its
 * claim, the counts of claims add up to those of the address space, and no block is unknown; and
 * that the kernel has as many mappings (type1: dma_avail is what the limit leaves; not checked if
 * descriptors were passed, because others may map there).
 * @range: walk only runs that overlap it, so that the cost does not depend on what is mapped
 * elsewhere; totals, the kernel's numbers and unknown blocks are still checked everywhere. NULL:
 * walk all.
 * @flags: of PmIommuAuditFlags.
 * Errors: PM_ERROR_QUARANTINED (unknown blocks: owner, address and reason), PM_ERROR_AUDIT (the
 * first difference), PM_ERROR_PERMISSION (in a forked child), those of pm_iommu_query_available()
 * and pm_iommu_query_locked_memory().
 */
PM_EXPORT bool pm_iommu_audit(PmIommu *iommu, const PmIovaRange *range, unsigned flags,
                              GError **error);

/**
 * PmIommuDirtyKind: what dirty tracking reports.
 * @PM_IOMMU_DIRTY_NONE: nothing: pm_iommu_set_dirty_tracking() fails with PM_ERROR_UNSUPPORTED.
 * Treat every mapped page as dirty.
 * @PM_IOMMU_DIRTY_PINNED: type1: every page that is mapped is dirty on every read, written or not:
 * the kernel does not see a vfio-pci device's writes, and reports what it has pinned
 * (vfio_iommu_type1.c, update_user_bitmap()). Reading more than once does not make less dirty.
 * @PM_IOMMU_DIRTY_TRACKED: iommufd: the IOMMU marks what devices write. It marks pages of its own
 * size, up to that of a mapping.
 */
typedef enum {
    PM_IOMMU_DIRTY_NONE = 0,
    PM_IOMMU_DIRTY_PINNED = 1,
    PM_IOMMU_DIRTY_TRACKED = 2,
} PmIommuDirtyKind;

/**
 * What dirty tracking would report, or reports, with the devices that are attached now. iommufd:
 * attaching and detaching a device can change it; while tracking is on, attaching a device whose
 * IOMMU does not support it fails. No system call.
 */
PM_EXPORT PmIommuDirtyKind pm_iommu_get_dirty_kind(PmIommu *iommu);

/**
 * Starts or stops dirty tracking, for all devices. Writes of a device that is detached meanwhile
 * are kept. Stopping and unmapping discard bits that have not been read (pm_iommu_read_dirty(),
 * pm_iommu_claim_unmap_dirty()); starting twice changes nothing. If others use the same container
 * (PmType1Config.has_fds), they share the kernel's state: stopping stops it for all.
 *
 * Kernel: IOMMU_HWPT_SET_DIRTY_TRACKING (iommufd/hw_pagetable.c), Linux 6.7; VFIO_IOMMU_DIRTY_PAGES
 * (vfio_iommu_type1.c), Linux 5.8. While it is on, type1 needs memory for the bitmap of each new
 * mapping.
 * Errors: PM_ERROR_UNSUPPORTED (PM_IOMMU_DIRTY_NONE), PM_ERROR_BUSY (stopping while a PmDirtyLog
 * has this address space), PM_ERROR_KERNEL. If starting fails, tracking stays off; if stopping
 * fails, it is off as well, though an IOMMU may keep setting bits.
 */
PM_EXPORT bool pm_iommu_set_dirty_tracking(PmIommu *iommu, bool enabled, GError **error);

/**
 * Reads and clears the dirty bits: which pages devices have written since the last read, or since
 * tracking started; or every mapped page (PM_IOMMU_DIRTY_PINNED).
 * @iova, @size: multiples of @page_size; must not cut a mapping (pm_iommu_next_run() finds their
 * borders), because IOMMUs mark pages as large as a mapping, and clear them whole.
 * @page_size: bytes per bit, a power of two, at least the smallest page size; may exceed the
 * mappings' size.
 * @bitmap: @size / @page_size bits, the lowest bit of the first word for @iova; sets the bits of
 * written pages, and clears none. The range may have holes, whose bits do not change.
 *
 * Kernel: IOMMU_HWPT_GET_DIRTY_BITMAP, at least once per run of mappings, because it stops at a
 * hole; VFIO_IOMMU_DIRTY_PAGES, once per mapping if mappings are not multiples of 64 pages, because
 * it would report pages next to them, too.
 * Errors: PM_ERROR_INVALID_ARGUMENT (tracking is off; page size; empty), PM_ERROR_UNALIGNED,
 * PM_ERROR_CUTS_MAPPING, PM_ERROR_MEMORY, PM_ERROR_KERNEL. With the last two, @bitmap has the bits
 * read so far, which are not returned again: keep them, and read once more.
 */
PM_EXPORT bool pm_iommu_read_dirty(PmIommu *iommu, uint64_t iova, uint64_t size, uint64_t page_size,
                                   uint64_t *bitmap, GError **error);

/**
 * Finds the first run of mappings, of any claim, that ends at or after @iova.
 * @run: set to it; if @iova is inside, cut to begin with the mapping at @iova.
 * Returns: false if there is none.
 */
PM_EXPORT bool pm_iommu_next_run(PmIommu *iommu, uint64_t iova, PmIommuRun *run);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmIommu, pm_iommu_unref)

G_END_DECLS

#endif
