/* SPDX-License-Identifier: MIT */
/*
 * The fake kernel: VFIO without hardware, in this process, for tests.
 *
 * It implements the system calls of PmKernel on /dev/vfio/vfio (the container, with type1 and
 * type1v2 IOMMUs), /dev/vfio/N (the groups) and device descriptors, and returns the results of a
 * real kernel, errno for errno (Linux 6.1 or 6.12, drivers/vfio). Each vfio-pci device is a PCI
 * device like QEMU's edu, which does DMA through the page table.
 *
 * With PmFakeConfig.iommufd it also has /dev/iommu (drivers/iommu/iommufd), including the type1
 * interface, and a device cdev for each vfio-pci device: /dev/vfio/devices/vfio0, vfio1 and so on,
 * in the order of adding them.
 *
 * A new fake kernel has one device, 0000:00:04.0 in group 1, bound to vfio-pci.
 *
 * Its sysfs has the links of devices, drivers, groups and device cdevs, so a device can be found by
 * its PCI address, as on a host:
 *
 *     PmType1Config type1 = {
 *         .struct_size = sizeof(type1),
 *         .kernel = fake,
 *         .device = "0000:00:04.0",
 *     };
 *     PmIommufdConfig iommufd = {
 *         .struct_size = sizeof(iommufd),
 *         .kernel = fake,
 *         .device = "0000:00:04.0",
 *     };
 *
 * Differences from a real kernel:
 *
 * - sysfs has links and directories, but no files.
 * - Device regions do not support mmap, because the fake cannot trap accesses to a mapping.
 * - VFIO_DEVICE_FEATURE, VFIO_DEVICE_IOEVENTFD and the hot-reset ioctls fail with ENOTTY. An
 *   eventfd that unmasks INTx is accepted, and has no effect when signalled.
 * - Pages are pinned only with PM_FAKE_PIN_HOLD; otherwise memory that is discarded while mapped is
 *   gone. MAP checks user memory by querying the host kernel for the process's mappings
 *   (PROCMAP_QUERY; before Linux 6.11 /proc/self/maps, which is slower). PM_FAKE_PIN_ACCOUNT
 *   accepts pages past the end of a mapped file, the registers of a real device and (on Linux 6.1)
 *   the zero page as memory.
 * - Memory locked with mlock(2) does not count.
 * - A child made by fork(2) has a copy of the fake kernel and its descriptors, and does not share
 *   them. So both sides of a live update (handover.h) are threads of one process, with the same
 *   fake kernel.
 * - iommufd has no nested page tables (EOPNOTSUPP), so fault queues stay empty; reports zeros as
 *   the IOMMU's registers; maps with the largest pages that I/O address and size allow, whatever
 *   the backing memory; places areas as a kernel with transparent huge pages does; and maps
 *   write-only memory for reading once its pages are present, even after a fork(2), where Linux
 *   fails.
 *
 * Functions with a parameter @fake accept any PmKernel. For NULL and for other kernels, including
 * those that forward to a fake one, counts are 0, lookups find nothing, setters do nothing, and
 * functions with a GError fail with PM_ERROR_INVALID_ARGUMENT.
 *
 * Threads: every function is safe from several threads at once.
 */
#ifndef PLUGMAP_FAKE_H
#define PLUGMAP_FAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <plugmap/iova.h>
#include <plugmap/kernel.h>

G_BEGIN_DECLS

/**
 * PmFakeLinux: the kernel version to imitate.
 * @PM_FAKE_LINUX_6_1: 6.1, of Debian 12.
 * @PM_FAKE_LINUX_6_12: 6.12, of Debian 13.
 */
typedef enum {
    PM_FAKE_LINUX_6_1 = 0,
    PM_FAKE_LINUX_6_12 = 1,
} PmFakeLinux;

/**
 * PmFakePin: how MAP pins memory.
 * @PM_FAKE_PIN_ACCOUNT: only accounts for it, so that tests can map 16 TiB.
 * @PM_FAKE_PIN_POPULATE: faults it in as well.
 * @PM_FAKE_PIN_HOLD: also holds the pages, by io_uring, so that devices reach the same pages even
 * after munmap(2), mprotect(2) or MADV_DONTNEED. Applies to writable memory, in mappings of at most
 * 1 GiB; the rest is as with POPULATE.
 */
typedef enum {
    PM_FAKE_PIN_ACCOUNT = 0,
    PM_FAKE_PIN_POPULATE = 1,
    PM_FAKE_PIN_HOLD = 2,
} PmFakePin;

/**
 * PmFakeConfig: the configuration of a fake kernel. Initialize with pm_fake_config_init(). Defaults
 * are in parentheses.
 * @struct_size: sizeof(PmFakeConfig) (macros.h).
 * @linux_version: the kernel version (PM_FAKE_LINUX_6_12).
 * @pin: how MAP pins memory (PM_FAKE_PIN_ACCOUNT).
 * @page_sizes: bit n set: the IOMMU supports pages of 2^n bytes, at least 4 KiB (0x40201000).
 * @iova_ranges, @n_iova_ranges: 1 to 1024 ranges, ascending, not overlapping; copied (0-0xfedfffff
 * and 0xfef00000-0x7fffffffff). The last page below 2^64 is never valid.
 * @entry_limit: mappings per container, vfio_iommu_type1.dma_entry_limit (65535).
 * @memlock_limit: RLIMIT_MEMLOCK in bytes, UINT64_MAX for none (UINT64_MAX).
 * @cap_ipc_lock: the process has CAP_IPC_LOCK (false).
 * @cap_sys_resource: the process has CAP_SYS_RESOURCE, for IOMMU_OPTION_RLIMIT_MODE (true).
 * @iommufd: the kernel has iommufd and device cdevs; 6.12 only (false: neither /dev/iommu nor these
 * files exist).
 * @ioas_map_file: iommufd has IOMMU_IOAS_MAP_FILE and IOMMU_IOAS_CHANGE_PROCESS, as in Linux 6.13
 * and later (false).
 * @dirty_tracking: the IOMMU has dirty tracking, for IOMMU_HWPT_ALLOC (false).
 */
typedef struct {
    size_t struct_size;
    PmFakeLinux linux_version;
    PmFakePin pin;
    uint64_t page_sizes;
    const PmIovaRange *iova_ranges;
    size_t n_iova_ranges;
    uint32_t entry_limit;
    uint64_t memlock_limit;
    bool cap_ipc_lock;
    bool cap_sys_resource;
    bool iommufd;
    bool ioas_map_file;
    bool dirty_tracking;
} PmFakeConfig;

/** Sets the defaults above in the first @struct_size bytes; see pm_fake_config_init(). */
PM_EXPORT void pm_fake_config_set_defaults(PmFakeConfig *config, size_t struct_size);

/** Sets the defaults above, and @struct_size. */
static inline void pm_fake_config_init(PmFakeConfig *config)
{
    pm_fake_config_set_defaults(config, sizeof(*config));
}

/**
 * Creates a fake kernel. @config: NULL for the defaults.
 * Returns: a new reference, or NULL. Drop it with pm_kernel_unref(); dropping the last one closes
 * all descriptors. Errors: PM_ERROR_INVALID_ARGUMENT, PM_ERROR_UNSUPPORTED (PM_FAKE_PIN_HOLD
 * without io_uring; members that this library does not know).
 */
PM_EXPORT PmKernel *pm_fake_kernel_new(const PmFakeConfig *config, GError **error);

/**
 * Adds a PCI device to an IOMMU group, creating the group if needed.
 * @address: like "0000:00:05.0". @driver: "vfio-pci", NULL for none, or any other name for a host
 * driver, which makes the group not viable. Errors: PM_ERROR_INVALID_ARGUMENT (invalid address, or
 * not a fake kernel), PM_ERROR_BUSY (the address is in use, or files of the group are open).
 */
PM_EXPORT bool pm_fake_kernel_add_device(PmKernel *fake, unsigned group, const char *address,
                                         const char *driver, GError **error);

/** Changes dma_entry_limit, for IOMMUs set from now on, as in the kernel. */
PM_EXPORT void pm_fake_kernel_set_entry_limit(PmKernel *fake, uint32_t limit);

/** Changes RLIMIT_MEMLOCK (bytes) and CAP_IPC_LOCK from now on. */
PM_EXPORT void pm_fake_kernel_set_memlock(PmKernel *fake, uint64_t limit, bool cap_ipc_lock);

/**
 * PmFakeCall: kinds of system calls, for the fault plan and the counters.
 * @PM_FAKE_CALL_ANY: all of them.
 * @PM_FAKE_CALL_OPEN: open(2).
 * @PM_FAKE_CALL_CLOSE: close(2).
 * @PM_FAKE_CALL_IOCTL: every ioctl(2), the next two included.
 * @PM_FAKE_CALL_MAP: ioctl(2) that maps.
 * @PM_FAKE_CALL_UNMAP: ioctl(2) that unmaps.
 * @PM_FAKE_CALL_MMAP: mmap(2).
 * @PM_FAKE_CALL_MUNMAP: munmap(2).
 * @PM_FAKE_CALL_PREAD: pread(2).
 * @PM_FAKE_CALL_PWRITE: pwrite(2).
 */
typedef enum {
    PM_FAKE_CALL_ANY = 0,
    PM_FAKE_CALL_OPEN = 1,
    PM_FAKE_CALL_CLOSE = 2,
    PM_FAKE_CALL_IOCTL = 3,
    PM_FAKE_CALL_MAP = 4,
    PM_FAKE_CALL_UNMAP = 5,
    PM_FAKE_CALL_MMAP = 6,
    PM_FAKE_CALL_MUNMAP = 7,
    PM_FAKE_CALL_PREAD = 8,
    PM_FAKE_CALL_PWRITE = 9,
} PmFakeCall;

/**
 * Fault plan: the @nth call of a kind from now on (1 is the next) fails with @error_number
 * (positive) and has no other effect, except that close still closes the descriptor, as in Linux.
 * Reads of sysfs and limits do not count. IOCTL counts every ioctl; MAP counts VFIO_IOMMU_MAP_DMA,
 * IOMMU_IOAS_MAP and IOMMU_IOAS_MAP_FILE; UNMAP counts VFIO_IOMMU_UNMAP_DMA and IOMMU_IOAS_UNMAP.
 * Faults accumulate; each occurs once. Ignored if @call or @error_number is invalid.
 */
PM_EXPORT void pm_fake_kernel_fail(PmKernel *fake, PmFakeCall call, uint64_t nth, int error_number);

/**
 * Fault plan: the @nth UNMAP from now on removes only the first half (rounded down) of the mappings
 * in its range, and succeeds with their size.
 */
PM_EXPORT void pm_fake_kernel_shorten_unmap(PmKernel *fake, uint64_t nth);

/** Fault plan: drops pending faults. */
PM_EXPORT void pm_fake_kernel_clear_faults(PmKernel *fake);

/** Inspector: number of calls of a kind so far, including failed ones. */
PM_EXPORT uint64_t pm_fake_kernel_get_n_calls(PmKernel *fake, PmFakeCall call);

/** Inspector: locked bytes charged to the process (VmLck), by all containers and iommufds. */
PM_EXPORT uint64_t pm_fake_kernel_get_locked(PmKernel *fake);

/** Inspector: locked bytes charged to the user, iommufd's default (IOMMU_OPTION_RLIMIT_MODE). */
PM_EXPORT uint64_t pm_fake_kernel_get_user_locked(PmKernel *fake);

/** Inspector: bytes pinned by all iommufds (VmPin), whoever is charged for them. */
PM_EXPORT uint64_t pm_fake_kernel_get_pinned(PmKernel *fake);

/** Inspector: number of open descriptors. */
PM_EXPORT uint64_t pm_fake_kernel_get_n_open(PmKernel *fake);

/** Inspector: number of mappings in the group's container, or of areas in the IOAS that its devices
 * are attached to; 0 without either. */
PM_EXPORT uint64_t pm_fake_kernel_get_n_mappings(PmKernel *fake, unsigned group);

/** PmFakeMappingFunc: one mapping of type1, or one area of the IOAS. For an area of a file, @host
 * is in the fake kernel's own mapping of it. Return false to stop. */
typedef bool (*PmFakeMappingFunc)(uint64_t iova, uint64_t size, const void *host,
                                  PmIommuAccess access, void *user_data);

/** Inspector: calls @func for each mapping that pm_fake_kernel_get_n_mappings() counts, ascending.
 * Iterates over a snapshot: @func may map and unmap. Returns false if @func stopped it. */
PM_EXPORT bool pm_fake_kernel_foreach_mapping(PmKernel *fake, unsigned group,
                                              PmFakeMappingFunc func, void *user_data);

/**
 * Inspector: finds the first run of translated I/O addresses from @iova to @last (inclusive) in the
 * page table of the group's devices, which is separate from the mappings of type1 and the areas of
 * the IOAS. Returns: false if there is none; else sets @run_iova and @run_size.
 */
PM_EXPORT bool pm_fake_kernel_next_translated(PmKernel *fake, unsigned group, uint64_t iova,
                                              uint64_t last, uint64_t *run_iova,
                                              uint64_t *run_size);

/**
 * PmFakeDmaFault: an access that the IOMMU rejected. Frozen.
 * @iova: its first address.
 * @write: the device wanted to write.
 */
typedef struct {
    uint64_t iova;
    bool write;
} PmFakeDmaFault;

/** Inspector: number of accesses (of at most one page each) that the IOMMU has rejected so far. */
PM_EXPORT uint64_t pm_fake_kernel_get_n_dma_faults(PmKernel *fake);

/** Inspector: the last rejected access. Returns false if there was none. */
PM_EXPORT bool pm_fake_kernel_last_dma_fault(PmKernel *fake, PmFakeDmaFault *fault);

G_END_DECLS

#endif
