/* SPDX-License-Identifier: MIT */
/*
 * The fake kernel: VFIO without hardware, in this process, for tests.
 *
 * It takes the system calls of PmKernel on /dev/vfio/vfio (the container, with type1 and type1v2
 * IOMMUs), /dev/vfio/N (the groups) and device descriptors, and gives a real kernel's results,
 * errno for errno (Linux 6.1 or 6.12, drivers/vfio). Behind each vfio-pci device is a PCI device
 * that does DMA through the page table, like QEMU's "edu".
 *
 * If asked to (PmFakeConfig.iommufd) it has /dev/iommu as well (drivers/iommu/iommufd), with the
 * type1 interface on it, and a file for each vfio-pci device: /dev/vfio/devices/vfio0, vfio1 and so
 * on, in the order in which they were added; the first device's is vfio0.
 *
 * A fresh fake kernel has one device, 0000:00:04.0 in group 1, bound to vfio-pci.
 *
 * It has the part of sysfs that shows devices, their drivers, groups and own files, so all that
 * looks a device up by its PCI address works as on a host:
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
 * What differs from a real kernel: sysfs has links and folders, and no files; device regions offer
 * no mmap (a mapping cannot trap here); VFIO_DEVICE_FEATURE, VFIO_DEVICE_IOEVENTFD and the
 * hot-reset calls are ENOTTY; an eventfd that unmasks INTx is taken, and does nothing when it is
 * signalled; pages are not pinned but by PM_FAKE_PIN_HOLD, so that memory that is given back under
 * a mapping is really gone; user memory is checked when it is mapped by asking the host kernel for
 * its mappings (PROCMAP_QUERY, or /proc/self/maps before Linux 6.11, which is slower); with
 * PM_FAKE_PIN_ACCOUNT, pages beyond the end of a mapped file, the registers of a real device and
 * (on Linux 6.1) the zero page are taken for memory; what the process has locked by mlock(2) is not
 * counted; a child made by fork(2) has a copy of the fake kernel and its descriptors, not a part in
 * it. iommufd has no page tables of guests (EOPNOTSUPP), so its fault queues stay empty; it tells
 * nothing of the IOMMU's registers (zeros), maps memory in pages as large as I/O addresses and
 * sizes allow, whatever lies behind them, places areas as a kernel with transparent huge pages
 * does, and maps what can only be written to be read once its pages are there, even after a
 * fork(2), where Linux refuses.
 *
 * Functions with a parameter @fake take any PmKernel. Of one that is not a fake kernel, also one
 * that forwards to it, and of NULL there is nothing to see: numbers are 0, nothing is found,
 * setting does nothing, and what can fail does with PM_ERROR_INVALID_ARGUMENT.
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

/** PmFakeLinux: whose behaviour, where kernels differ. */
typedef enum {
    PM_FAKE_LINUX_6_1 = 0,
    PM_FAKE_LINUX_6_12 = 1,
} PmFakeLinux;

/**
 * PmFakePin: what mapping does to the memory.
 * @PM_FAKE_PIN_ACCOUNT: it is only counted, so that a region of 16 TiB can be tested.
 * @PM_FAKE_PIN_POPULATE: it is faulted in, too, as pinning does.
 * @PM_FAKE_PIN_HOLD: it is faulted in and held, by io_uring, so that devices reach the same pages
 * even after munmap(2), mprotect(2) or MADV_DONTNEED. Only what is writable can be held, in
 * mappings of at most 1 GiB; the rest is as with POPULATE.
 */
typedef enum {
    PM_FAKE_PIN_ACCOUNT = 0,
    PM_FAKE_PIN_POPULATE = 1,
    PM_FAKE_PIN_HOLD = 2,
} PmFakePin;

/**
 * PmFakeConfig: how to make a fake kernel. Set up with pm_fake_config_init(), then change what
 * differs.
 * @struct_size: sizeof(PmFakeConfig) (macros.h).
 * @linux_version: PM_FAKE_LINUX_6_12.
 * @pin: PM_FAKE_PIN_ACCOUNT.
 * @page_sizes: bit n set: the IOMMU has pages of 2^n bytes: 0x40201000. The lowest is at least 4
 * KiB.
 * @iova_ranges, @n_iova_ranges: 1 to 1024, ascending, apart: 0–0xfedfffff and
 * 0xfef00000–0x7fffffffff. Copied. The last page below 2^64 cannot be mapped even if it is in one.
 * @entry_limit: mappings a container can hold (vfio_iommu_type1.dma_entry_limit): 65535.
 * @memlock_limit: RLIMIT_MEMLOCK in bytes, UINT64_MAX for none: UINT64_MAX.
 * @cap_ipc_lock: the process has CAP_IPC_LOCK: false.
 * @cap_sys_resource: the process has CAP_SYS_RESOURCE (for IOMMU_OPTION_RLIMIT_MODE): true.
 * @iommufd: the kernel is built with iommufd and the devices' own files; 6.12 only: false. Then
 * /dev/iommu and these files do not exist.
 * @ioas_map_file: iommufd has IOMMU_IOAS_MAP_FILE, as Linux 6.13 and later: false.
 * @dirty_tracking: the IOMMU can tell which pages devices have written (IOMMU_HWPT_ALLOC): false.
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
 * Makes a fake kernel. @config: NULL is the defaults.
 * Returns: a new reference, or NULL; drop it with pm_kernel_unref() (descriptors still open are
 * closed then). Errors: PM_ERROR_INVALID_ARGUMENT, PM_ERROR_UNSUPPORTED (PM_FAKE_PIN_HOLD without
 * io_uring; members that this library does not know).
 */
PM_EXPORT PmKernel *pm_fake_kernel_new(const PmFakeConfig *config, GError **error);

/**
 * Adds a PCI device to an IOMMU group, which is made if it does not exist.
 * @address: "0000:00:05.0". @driver: "vfio-pci", NULL for none, or any other name: a host driver,
 * with which the group is not viable. Errors: PM_ERROR_INVALID_ARGUMENT (not a PCI address, or no
 * fake kernel), PM_ERROR_BUSY (the address is taken, or the group is in use).
 */
PM_EXPORT bool pm_fake_kernel_add_device(PmKernel *fake, unsigned group, const char *address,
                                         const char *driver, GError **error);

/** Changes dma_entry_limit; containers whose IOMMU is set keep theirs, as in the kernel. */
PM_EXPORT void pm_fake_kernel_set_entry_limit(PmKernel *fake, uint32_t limit);

/** Changes RLIMIT_MEMLOCK (bytes) and CAP_IPC_LOCK from now on. */
PM_EXPORT void pm_fake_kernel_set_memlock(PmKernel *fake, uint64_t limit, bool cap_ipc_lock);

/** PmFakeCall: kinds of system calls, for the fault plan and the counters. */
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
    PM_FAKE_N_CALLS = 10,
} PmFakeCall;

/**
 * Fault plan: the @nth call of a kind from now on (1 is the next) fails with @error_number and does
 * nothing else. Reading sysfs and limits is not counted. IOCTL counts every ioctl; MAP and UNMAP
 * are VFIO_IOMMU_MAP_DMA and VFIO_IOMMU_UNMAP_DMA, IOMMU_IOAS_MAP or IOMMU_IOAS_MAP_FILE, and
 * IOMMU_IOAS_UNMAP. Faults add up; each happens once. A close that fails has closed, as in Linux.
 * @error_number is positive; a fault without a kind or an error is ignored.
 */
PM_EXPORT void pm_fake_kernel_fail(PmKernel *fake, PmFakeCall call, uint64_t nth, int error_number);

/**
 * Fault plan: the @nth UNMAP from now on removes only the first half (rounded down) of the mappings
 * in its range, and returns their size as success.
 */
PM_EXPORT void pm_fake_kernel_shorten_unmap(PmKernel *fake, uint64_t nth);

/** Drops faults that have not happened yet. */
PM_EXPORT void pm_fake_kernel_clear_faults(PmKernel *fake);

/** Inspector: calls of a kind so far, failed ones included. */
PM_EXPORT uint64_t pm_fake_kernel_get_n_calls(PmKernel *fake, PmFakeCall call);

/** Inspector: bytes charged to the process as locked (VmLck), over all containers and iommufds. */
PM_EXPORT uint64_t pm_fake_kernel_get_locked(PmKernel *fake);

/** Inspector: bytes charged to the user as locked, which iommufd does unless told otherwise. */
PM_EXPORT uint64_t pm_fake_kernel_get_user_locked(PmKernel *fake);

/** Inspector: bytes that all iommufds have pinned (VmPin), whoever is charged for them. */
PM_EXPORT uint64_t pm_fake_kernel_get_pinned(PmKernel *fake);

/** Inspector: descriptors that are open. */
PM_EXPORT uint64_t pm_fake_kernel_get_n_open(PmKernel *fake);

/** Inspector: mappings of the container that a group is in, or areas of the IOAS that its devices
 * are attached to; 0 if there is none. */
PM_EXPORT uint64_t pm_fake_kernel_get_n_mappings(PmKernel *fake, unsigned group);

/** PmFakeMappingFunc: one mapping as type1 has it, or one area as the IOAS has it; @host of one
 * that shows a file is where the fake kernel itself has mapped that. Return false to stop. */
typedef bool (*PmFakeMappingFunc)(uint64_t iova, uint64_t size, const void *host,
                                  PmIommuAccess access, void *user_data);

/** Inspector: the mappings that pm_fake_kernel_get_n_mappings() counts, ascending, as they are when
 * it is called: @func may change them. Returns false if stopped. */
PM_EXPORT bool pm_fake_kernel_foreach_mapping(PmKernel *fake, unsigned group,
                                              PmFakeMappingFunc func, void *user_data);

/**
 * Inspector: walks the page table that the group's devices do DMA through, which is apart from
 * the lists of type1 and the IOAS, and finds the first run of I/O addresses from @iova up to @last
 * (inclusive) that are translated (whatever to). Returns: false if there is none; else @run_iova
 * and
 * @run_size are set.
 */
PM_EXPORT bool pm_fake_kernel_next_translated(PmKernel *fake, unsigned group, uint64_t iova,
                                              uint64_t last, uint64_t *run_iova,
                                              uint64_t *run_size);

/** PmFakeDmaFault: DMA that the IOMMU refused: the first address, and what was tried. Frozen. */
typedef struct {
    uint64_t iova;
    bool write;
} PmFakeDmaFault;

/** Inspector: how many accesses (of a page at most, each) the IOMMU has refused so far. */
PM_EXPORT uint64_t pm_fake_kernel_get_n_dma_faults(PmKernel *fake);

/** Inspector: the newest refused access. Returns false if there was none. */
PM_EXPORT bool pm_fake_kernel_last_dma_fault(PmKernel *fake, PmFakeDmaFault *fault);

G_END_DECLS

#endif
