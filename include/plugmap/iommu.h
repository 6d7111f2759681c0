/* SPDX-License-Identifier: MIT */
/*
 * PmIommu: an I/O address space. A device that is attached to it sees host memory only at the I/O
 * virtual addresses (IOVAs) that are mapped here.
 *
 * There are two back ends: type1 (a VFIO container, kernel: drivers/vfio/vfio_iommu_type1.c) behind
 * pm_iommu_type1_new(), and iommufd (an I/O address space of /dev/iommu, kernel:
 * drivers/iommu/iommufd/) behind pm_iommu_iommufd_new(). pm_iommu_choose_backend() says which
 * suits a device on this host.
 *
 * What is mapped belongs to claims (iommu_claim.h): each has a range of I/O addresses to itself.
 * Requests are checked against what is known to be mapped before the kernel is asked, and what the
 * kernel says it unmapped is compared with what was asked.
 *
 * Threads: every function is safe from several threads at once. Mapping can take seconds, because
 * the kernel pins the memory. pm_iommu_get_*(), pm_iommu_has_device(), pm_iommu_open_device() and
 * pm_iommu_check_range() do not wait for it; numbers of mappings and bytes are then those from
 * before, or those after.
 * All addresses and sizes are bytes, multiples of the smallest page size
 * (pm_iommu_get_page_sizes()), and no range may reach beyond 2^64-1.
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
 * PmIommuRun: mappings of one size that follow each other without a hole, all mapped or all unknown
 * (iommu_claim.h). Frozen: it never grows.
 * @iova: where the first begins.
 * @block_size: bytes of each mapping.
 * @n_blocks: how many there are, at least 1.
 * @ram_offset: where in the claim's RAM the first one is; the others follow.
 * @unknown: whether the kernel still has them is not known.
 */
typedef struct {
    uint64_t iova;
    uint64_t block_size;
    uint64_t n_blocks;
    uint64_t ram_offset;
    bool unknown;
} PmIommuRun;

/**
 * PmType1Config: what to open: one of @device, @has_group and @has_fds has to be set; what else is
 * zero is the default.
 * @struct_size: sizeof(PmType1Config) (macros.h).
 * @kernel: where the calls go; NULL is the host's kernel. A reference is taken.
 * @device: PCI address of a device bound to vfio-pci ("0000:00:04.0"); its IOMMU group is looked up
 * in sysfs.
 * @has_group: open the group number @group instead (0 is a valid one); sysfs is read for messages
 * only then.
 * @has_fds: open nothing, and use these descriptors, which a process with more rights has opened
 * and sent (SCM_RIGHTS): neither /dev/vfio nor sysfs is needed then. See below.
 * @container_fd: of /dev/vfio/vfio.
 * @group_fds, @n_group_fds: of /dev/vfio/N, one or more; the array is not used any more after the
 * call.
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
 * Opens a VFIO container with a type1v2 IOMMU and puts one IOMMU group into it.
 *
 * With PmType1Config.has_fds the container may or may not have an IOMMU already, and groups may or
 * may not be in it: what is missing is done here. A group that is in a container already has to be
 * in this one. The kernel cannot be asked which one it is in: only a container without any group is
 * noticed. As with a group opened by number, pm_iommu_open_device() attaches the groups' devices,
 * and the groups stay until the last reference is dropped.
 *
 * On success the descriptors belong to the PmIommu, and the caller must not use or close them any
 * more: give a duplicate (dup(2)) of one that is needed elsewhere. The last reference
 * (pm_iommu_unref()) closes them. Before that it takes the groups that were not in the container
 * out of it again, whoever else has them open; the others stay in it while somebody has. On failure
 * nothing is taken: all descriptors are open and the caller's, and every group is where it was.
 * Only an IOMMU that was set for a container with groups in it stays.
 *
 * Others who have the descriptors can map into the container as well. This PmIommu never unmaps
 * their mappings, and neither pm_iommu_get_n_mappings() nor pm_iommu_audit() counts them. They have
 * to stay clear of the addresses that are claimed here: mapping a block where they have a mapping
 * is PM_ERROR_OVERLAP.
 *
 * Returns: a new reference, or NULL. Errors: PM_ERROR_INVALID_ARGUMENT (none or several of @device,
 * @has_group and @has_fds; @device is not a PCI address; no @group_fds, or a descriptor that is not
 * what it should be, or given twice), PM_ERROR_NOT_FOUND (no such device, group or /dev/vfio/vfio),
 * PM_ERROR_PERMISSION, PM_ERROR_BUSY (group in use, or @device has another driver, or the groups of
 * the descriptors are in another container), PM_ERROR_NOT_VIABLE, PM_ERROR_IOVA_RANGE (a group
 * cannot join beside what others have mapped), PM_ERROR_UNSUPPORTED (other API version, no type1v2,
 * the container has an IOMMU of type1, no interrupt remapping), PM_ERROR_BAD_INPUT (capability
 * chain of the kernel that cannot be), PM_ERROR_MEMORY, PM_ERROR_KERNEL.
 */
PM_EXPORT PmIommu *pm_iommu_type1_new(const PmType1Config *config, GError **error);

/**
 * PmIommufdConfig: what to open: @device has to be set; what else is zero is the default.
 * @struct_size: sizeof(PmIommufdConfig) (macros.h).
 * @kernel: where the calls go; NULL is the host's kernel. A reference is taken.
 * @device: PCI address of a device bound to vfio-pci ("0000:00:04.0"); copied. With @has_fds it is
 * the name that the device has here, whatever it is.
 * @device_file: the device's own file ("/dev/vfio/devices/vfio0"); NULL: looked up in sysfs
 * (…/vfio-dev/).
 * @has_fds: open nothing, and use these descriptors, which a process with more rights has opened
 * and sent (SCM_RIGHTS): neither /dev nor sysfs is needed then. See below.
 * @iommufd: of /dev/iommu.
 * @device_fd: of the device's own file.
 * @device_id: NULL, or 0 in it: the device is not bound yet (VFIO_DEVICE_BIND_IOMMUFD), and is
 * bound to @iommufd by the call, which sets *@device_id to its id as soon as it has one. Else the
 * id (out_devid) of a device that is bound to @iommufd already.
 * @ioas: the id of an I/O address space of @iommufd; 0: a new one.
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
 * Opens /dev/iommu, makes an I/O address space there, and attaches a device to it by its own file
 * (Linux 6.6 and later, CONFIG_IOMMUFD and CONFIG_VFIO_DEVICE_CDEV). Where the device's IOMMU can
 * track dirty pages, it gets a page table that does (IOMMU_HWPT_ALLOC).
 *
 * There is no limit of mappings. Pinned memory is counted per user, over all processes, and only
 * without CAP_IPC_LOCK; what this process has pinned is VmPin in /proc/self/status.
 *
 * With PmIommufdConfig.has_fds, on success the descriptors belong to the PmIommu, and the caller
 * must not use or close them any more: give a duplicate (dup(2)) of one that is needed elsewhere.
 * The last reference (pm_iommu_unref()) detaches the device and closes both; pm_iommu_detach()
 * closes the device's. On failure nothing is taken: both descriptors are open and the caller's. But
 * the kernel cannot unbind a file, short of closing it: to try again with one that has been bound,
 * pass the id that *@device_id was set to. That the id is the one of @device_fd, the kernel cannot
 * be asked either. A device that was attached to another I/O address space is moved to this one; on
 * failure it may be attached to none.
 *
 * Others may map into an I/O address space that was given (PmIommufdConfig.ioas). This PmIommu
 * never unmaps their areas, does not count them, never destroys the I/O address space, and does not
 * change which addresses the kernel may choose in it (IOMMU_IOAS_ALLOW_IOVAS). They have to stay
 * clear of the addresses that are claimed here: mapping a block where they have an area is
 * PM_ERROR_OVERLAP. Writes of devices that they attach themselves are not tracked. An I/O address
 * space that was made here is destroyed by the last reference.
 *
 * Returns: a new reference, or NULL. Errors: PM_ERROR_INVALID_ARGUMENT (@device is not set, or not
 * a PCI address; files and descriptors mixed; a descriptor that is not what it should be;
 * @device_fd is bound, and no @device_id is given, or one that @iommufd has no device for),
 * PM_ERROR_NOT_FOUND (no such device, no /dev/iommu, no such @ioas), PM_ERROR_PERMISSION,
 * PM_ERROR_BUSY (in use, its group is open, or @device has another driver), PM_ERROR_NOT_VIABLE,
 * PM_ERROR_IOVA_RANGE, PM_ERROR_LOCKED_MEMORY (it cannot be attached beside what others have mapped
 * in @ioas), PM_ERROR_UNSUPPORTED (no file of its own; no interrupt remapping; the IOMMU's pages
 * are larger than the kernel's), PM_ERROR_BAD_INPUT (I/O addresses that cannot be),
 * PM_ERROR_MEMORY, PM_ERROR_KERNEL.
 */
PM_EXPORT PmIommu *pm_iommu_iommufd_new(const PmIommufdConfig *config, GError **error);

/** PmIommuBackend: the kernel's interfaces. */
typedef enum {
    PM_IOMMU_TYPE1 = 0,
    PM_IOMMU_IOMMUFD = 1,
} PmIommuBackend;

/**
 * Says which back end suits a device: iommufd where /dev/iommu and the device's own file exist,
 * else type1. Whether it can be opened is not looked at.
 * @kernel: NULL is the host's. @device: its PCI address; NULL: a group is to be opened, which type1
 * does.
 * @reason: optional: set to a sentence that says why, which the caller frees with g_free().
 */
PM_EXPORT PmIommuBackend pm_iommu_choose_backend(PmKernel *kernel, const char *device,
                                                 char **reason);

/**
 * Lets another device see this address space: what is mapped, and whatever will be. The valid I/O
 * ranges can become fewer by it. type1: its whole IOMMU group joins the container;
 * VFIO_GROUP_SET_CONTAINER (drivers/vfio/container.c) maps everything for it, too. iommufd:
 * VFIO_DEVICE_ATTACH_IOMMUFD_PT (drivers/vfio/device_cdev.c), to a page table that is there already
 * if the device can use it.
 * @device: PCI address of a device bound to vfio-pci.
 * Errors: those of opening; PM_ERROR_BUSY (attached already, in use elsewhere, or type1: host
 * addresses are invalid while the container is handed over);
 * PM_ERROR_IOVA_RANGE (something is mapped, or claimed (iommu_claim.h), where the device has no I/O
 * addresses; type1's EINVAL, iommufd's EADDRINUSE); PM_ERROR_LOCKED_MEMORY
 * (iommufd's ENOMEM), PM_ERROR_UNSUPPORTED (iommufd: its IOMMU cannot share the page tables, or not
 * track dirty pages while that goes on), PM_ERROR_KERNEL. On failure nothing has changed.
 */
PM_EXPORT bool pm_iommu_attach(PmIommu *iommu, const char *device, GError **error);

/**
 * The same with a descriptor that the caller has: nothing of /dev or sysfs is needed.
 * @device: its name: type1: its PCI address, by which the group knows it; iommufd: any.
 * @fd: type1: of its IOMMU group, which may be in this container already (PmType1Config.has_fds);
 * iommufd: of its own file. Another device of a group that is attached needs no descriptor: ask
 * pm_iommu_open_device() for it.
 * @device_id: iommufd: as PmIommufdConfig.device_id; type1 does not look at it.
 *
 * On success @fd belongs to @iommu, which closes it when the device (type1: the last attached one
 * of its group) is detached, and takes the group out of the container if this has put it there. On
 * failure nothing is taken: @fd is open, and the caller's, but may be bound (iommufd).
 * Errors: those of pm_iommu_attach() and of opening with descriptors; PM_ERROR_NOT_FOUND (type1: no
 * device of this name in the group).
 */
PM_EXPORT bool pm_iommu_attach_fd(PmIommu *iommu, const char *device, int fd, uint32_t *device_id,
                                  GError **error);

/**
 * Takes a device out of this address space; the others keep it. Its file
 * (pm_iommu_open_device()) is closed. The last device cannot be taken out: drop the PmIommu.
 *
 * type1: a container has groups, not devices. A group leaves it with the last of its attached
 * devices. Where others of the group are still attached, and always where the group was opened by
 * its number (PmType1Config.has_group) or given when the PmIommu was created
 * (PmType1Config.has_fds), the group stays, and closing the file is all that happens:
 * this disables the device. pm_iommu_open_device() attaches it again. Of such a group even the last
 * device can be detached so; the group stays until the PmIommu is dropped.
 *
 * Errors: PM_ERROR_NOT_FOUND (not attached), PM_ERROR_BUSY (the last device; or type1: a mapping of
 * its registers, or another file of its group, is still there), PM_ERROR_KERNEL (iommufd). On
 * failure it stays attached; but type1 finds the registers' mapping only when it has closed the
 * device's file: pm_iommu_open_device() opens it anew then.
 */
PM_EXPORT bool pm_iommu_detach(PmIommu *iommu, const char *device, GError **error);

/**
 * The VFIO device file of an attached device, for its registers and interrupts. type1: opened the
 * first time it is asked for; any device of an attached group can be asked for, and is attached by
 * that.
 * Returns: a descriptor of the PmIommu's kernel, which belongs to @iommu until the device is
 * detached; or -1. Errors: PM_ERROR_NOT_FOUND (not attached), PM_ERROR_KERNEL.
 */
PM_EXPORT int pm_iommu_open_device(PmIommu *iommu, const char *device, GError **error);

/**
 * The descriptor of a device that KVM's VFIO device wants (KVM_DEV_VFIO_FILE_ADD): type1: of its
 * IOMMU group; iommufd: of its own file. type1: a device of an attached group that is not attached
 * itself is opened and attached by this, like by pm_iommu_open_device().
 * Returns: a descriptor that belongs to @iommu: valid until the device is detached (type1: the last
 * attached one of its group) or the last reference to @iommu is dropped. Take it out of KVM before
 * that (KVM_DEV_VFIO_FILE_DEL): KVM keeps the file open, and so the group or device in use. Or -1;
 * errors: those of pm_iommu_open_device().
 */
PM_EXPORT int pm_iommu_get_kvm_fd(PmIommu *iommu, const char *device, GError **error);

/** Whether a device is attached, be it only by pm_iommu_open_device(). No system call. */
PM_EXPORT bool pm_iommu_has_device(PmIommu *iommu, const char *device);

/** Takes a reference. Returns @iommu. */
PM_EXPORT PmIommu *pm_iommu_ref(PmIommu *iommu);

/**
 * Drops a reference; NULL does nothing. The last one ends every mapping of claims, detaches the
 * devices, takes groups out of the container and closes the files, also those that others have
 * open, too. A device whose registers the caller has still mapped stays bound to its file until
 * they are unmapped, but reaches no memory. Abandoned claims (pm_iommu_claim_abandon()) end with
 * it, and their RAM goes; where the kernel does not confirm that nothing is mapped any more, that
 * is logged, and the RAM is never freed.
 *
 * In a child made by fork(2) it closes the child's copies of the files, and the parent keeps its
 * mappings. What else a child can do with its parent's objects is in iommu_claim.h and mapper.h:
 * it can forget them, and what would need the kernel fails with PM_ERROR_PERMISSION (kernel.h).
 */
PM_EXPORT void pm_iommu_unref(PmIommu *iommu);

/** Bit n set: the IOMMU has pages of 2^n bytes. The lowest bit is the unit of addresses and sizes;
 * iommufd tells no other. */
PM_EXPORT uint64_t pm_iommu_get_page_sizes(const PmIommu *iommu);

/**
 * The valid I/O address ranges, ascending; owned by @iommu and valid as long as it, @n_ranges of
 * them. Another device can change them (pm_iommu_attach()): then ask again. On type1 the last page
 * below 2^64 is never among them: it can be mapped, but not unmapped again (Linux before 6.18).
 */
PM_EXPORT const PmIovaRange *pm_iommu_get_iova_ranges(const PmIommu *iommu, size_t *n_ranges);

/** How many mappings the address space can hold at once; UINT64_MAX: no limit known. Of a container
 * that was given with mappings of others in it (PmType1Config.has_fds): how many more it could hold
 * then. */
PM_EXPORT uint64_t pm_iommu_get_mapping_limit(const PmIommu *iommu);

/** How many mappings all claims have now, unknown ones included. */
PM_EXPORT uint64_t pm_iommu_get_n_mappings(PmIommu *iommu);

/** How many bytes of RAM all claims have mapped now, unknown ones included; the kernel pins as
 * many. Memory of devices is not pinned, and does not count. */
PM_EXPORT uint64_t pm_iommu_get_pinned_bytes(PmIommu *iommu);

/**
 * Asks the kernel how many more mappings it takes (type1: capability dma_avail); UINT64_MAX: it
 * does not say. Errors: PM_ERROR_KERNEL, PM_ERROR_BAD_INPUT (capability chain), PM_ERROR_MEMORY.
 */
PM_EXPORT bool pm_iommu_query_available(PmIommu *iommu, uint64_t *n_mappings, GError **error);

/** The locked-memory limit of the kernel behind this address space; @locked.used is what counts
 * against it here: type1's VmLck, iommufd's VmPin (it counts per user, so that other processes can
 * have used up more). Errors: PM_ERROR_KERNEL. */
PM_EXPORT bool pm_iommu_query_locked_memory(PmIommu *iommu, PmLockedMemory *locked, GError **error);

/**
 * Checks whether a range can be an I/O address range here: aligned to the smallest page size, not
 * empty, and inside one valid IOVA range. No side effects, no system call. Errors:
 * PM_ERROR_INVALID_ARGUMENT (empty), PM_ERROR_UNALIGNED, PM_ERROR_IOVA_RANGE (the message has the
 * ranges and the nearest address that fits).
 */
PM_EXPORT bool pm_iommu_check_range(const PmIommu *iommu, uint64_t iova, uint64_t size,
                                    GError **error);

/**
 * As pm_iommu_check_range(), for a range that is to be mapped in blocks: the nearest address in the
 * message is a multiple of @block_size. @block_size: bytes, a multiple of the smallest page size;
 * @size is a multiple of it. Errors: as pm_iommu_check_range().
 */
PM_EXPORT bool pm_iommu_check_blocks(const PmIommu *iommu, uint64_t iova, uint64_t size,
                                     uint64_t block_size, GError **error);

/**
 * Tries again to unmap what owners of claims had to leave behind (pm_iommu_claim_abandon()).
 * Unknown blocks of claims that still have an owner are not touched: the owner purges them
 * (pm_iommu_claim_purge(), pm_mapper_remove(), a reset of the machine).
 * Returns: true if no abandoned claim is left. Errors: those of pm_iommu_claim_purge(), for the
 * first claim that stays.
 */
PM_EXPORT bool pm_iommu_settle(PmIommu *iommu, GError **error);

/**
 * PmIommuAuditFlags: what pm_iommu_audit() may rely on.
 * @PM_IOMMU_AUDIT_SOLE_LOCKER: nobody else in this process has locked or unlocked memory since the
 * first PmIommu of this kernel was opened, and no other thread maps or unmaps now. The kernel's
 * count (type1: VmLck, iommufd: VmPin) then has to have grown by exactly what claims have mapped.
 */
typedef enum {
    PM_IOMMU_AUDIT_SOLE_LOCKER = 1 << 0,
} PmIommuAuditFlags;

/**
 * Proves that every mapping has one owner: claims do not overlap, none of their runs crosses their
 * borders, their mappings add up to the address space's, nothing is unknown; and the kernel's own
 * number of mappings agrees (type1: dma_avail has to be what the limit leaves; not of a container
 * that was given: others can have mapped there).
 * @range: only runs that reach into it are walked, which takes no longer where more is mapped
 * elsewhere; sums, the kernel's numbers and whether anything is unknown are compared all the same.
 * NULL: all.
 * @flags: of PmIommuAuditFlags.
 * Errors: PM_ERROR_QUARANTINED (unknown blocks: whose, where and why), PM_ERROR_AUDIT (the first
 * difference), PM_ERROR_PERMISSION (in a forked child), those of pm_iommu_query_available() and
 * pm_iommu_query_locked_memory().
 */
PM_EXPORT bool pm_iommu_audit(PmIommu *iommu, const PmIovaRange *range, unsigned flags,
                              GError **error);

/**
 * Starts or stops to note which pages devices write. For all devices or none; of one that is
 * detached in between nothing is lost. Stopping and unmapping forget what has not been read
 * (pm_iommu_read_dirty()); starting what goes on changes nothing.
 *
 * Kernel: IOMMU_HWPT_SET_DIRTY_TRACKING (iommufd/hw_pagetable.c), Linux 6.7. Errors:
 * PM_ERROR_UNSUPPORTED (type1; an IOMMU that cannot), PM_ERROR_KERNEL. If starting fails, it is as
 * before; if stopping fails, it has stopped all the same, but for what an IOMMU may go on noting in
 * vain.
 */
PM_EXPORT bool pm_iommu_set_dirty_tracking(PmIommu *iommu, bool enabled, GError **error);

/**
 * Reads which pages devices have written since the last reading, or since tracking was started, and
 * forgets it.
 * @iova, @size: multiples of @page_size; a mapping has to be inside or outside as a whole
 * (pm_iommu_next_run() tells where they begin), because IOMMUs mark pages that are as large as a
 * mapping is, and forget them whole. @page_size: bytes a bit stands for, a power of two, at least
 * the smallest page size; it can be larger than mappings.
 * @bitmap: @size / @page_size bits, the lowest bit of the first word for @iova; bits of written
 * pages are set, none is cleared. Bits of what is not mapped stay: the range may have holes.
 *
 * Kernel: IOMMU_HWPT_GET_DIRTY_BITMAP, once for each run of mappings at least, because it stops at
 * a hole. Errors: PM_ERROR_UNSUPPORTED (type1), PM_ERROR_INVALID_ARGUMENT (not tracked; page size,
 * or empty), PM_ERROR_UNALIGNED, PM_ERROR_CUTS_MAPPING, PM_ERROR_MEMORY, PM_ERROR_KERNEL. What has
 * been read before the last two is in @bitmap, and is not told again: keep the bits, and read once
 * more.
 */
PM_EXPORT bool pm_iommu_read_dirty(PmIommu *iommu, uint64_t iova, uint64_t size, uint64_t page_size,
                                   uint64_t *bitmap, GError **error);

/**
 * Finds the first run of mappings, of all claims, that has a byte at or behind @iova.
 * @run: set to it; if @iova is inside the run, cut to begin with the mapping that holds @iova.
 * Returns: false if there is none.
 */
PM_EXPORT bool pm_iommu_next_run(PmIommu *iommu, uint64_t iova, PmIommuRun *run);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmIommu, pm_iommu_unref)

G_END_DECLS

#endif
