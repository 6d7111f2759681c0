/* SPDX-License-Identifier: MIT */
/*
 * PmIommu: an I/O address space. A device that is attached to it sees host memory only at the I/O
 * virtual addresses (IOVAs) that are mapped here.
 *
 * Back end type1 (a VFIO container, kernel: drivers/vfio/vfio_iommu_type1.c) is behind
 * pm_iommu_type1_new().
 *
 * A PmIommu keeps a ledger of what it has mapped, checks requests against it before the kernel is
 * asked, and compares what the kernel says it unmapped with what was asked.
 *
 * Threads: every function is safe from several threads at once.
 * All addresses and sizes are bytes, multiples of the smallest page size
 * (pm_iommu_get_page_sizes()), and no range may reach beyond 2^64-1.
 */
#ifndef PLUGMAP_IOMMU_H
#define PLUGMAP_IOMMU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <plugmap/kernel.h>

G_BEGIN_DECLS

typedef struct PmIommu PmIommu;

/** PmIovaRange: valid I/O addresses, from @start to @last inclusive (so that 2^64-1 can be told).
 */
typedef struct {
    uint64_t start;
    uint64_t last;
} PmIovaRange;

/** PmIommuAccess: what the device may do with a mapping. Intel IOMMUs let a write-only mapping be
 * read, too. */
typedef enum {
    PM_IOMMU_READ = 1 << 0,
    PM_IOMMU_WRITE = 1 << 1,
    PM_IOMMU_READ_WRITE = PM_IOMMU_READ | PM_IOMMU_WRITE,
} PmIommuAccess;

/**
 * PmIommuRun: mappings of one size that follow each other without a hole.
 * @iova: where the first begins.
 * @block_size: bytes of each mapping.
 * @n_blocks: how many there are, at least 1.
 */
typedef struct {
    uint64_t iova;
    uint64_t block_size;
    uint64_t n_blocks;
} PmIommuRun;

/**
 * PmType1Config: what to open. Zero-initialise, then set what differs.
 * @kernel: where the calls go; NULL is the host's kernel. A reference is taken.
 * @device: PCI address of a device bound to vfio-pci («0000:00:04.0»); its IOMMU group is looked up
 * in sysfs. NULL: use @group.
 * @group: number of the IOMMU group, if @device is NULL.
 * @sysfs_root: where sysfs is mounted; NULL is «/sys».
 */
typedef struct {
    PmKernel *kernel;
    const char *device;
    unsigned group;
    const char *sysfs_root;
} PmType1Config;

/**
 * Opens a VFIO container with a type1v2 IOMMU and puts one IOMMU group into it.
 *
 * Returns: a new reference, or NULL. Errors: PM_ERROR_INVALID_ARGUMENT (@device is not a PCI
 * address), PM_ERROR_NOT_FOUND (no such device, group or /dev/vfio/vfio), PM_ERROR_PERMISSION,
 * PM_ERROR_BUSY (group in use, or @device has another driver), PM_ERROR_NOT_VIABLE,
 * PM_ERROR_UNSUPPORTED (other API version, no type1v2, no interrupt remapping), PM_ERROR_BAD_INPUT
 * (capability chain of the kernel that cannot be), PM_ERROR_MEMORY, PM_ERROR_KERNEL.
 */
PM_EXPORT PmIommu *pm_iommu_type1_new(const PmType1Config *config, GError **error);

/**
 * Lets another device see this address space: what is mapped, and whatever will be. type1: its
 * whole IOMMU group joins the container; VFIO_GROUP_SET_CONTAINER (drivers/vfio/container.c) maps
 * everything for it, too. The valid I/O ranges can become fewer by it.
 * @device: PCI address of a device bound to vfio-pci.
 * Errors: those of opening (pm_iommu_type1_new()); PM_ERROR_BUSY (attached already, or its group is
 * in use elsewhere); PM_ERROR_KERNEL (EINVAL: something is mapped where the device has no
 * addresses). On failure nothing has changed.
 */
PM_EXPORT bool pm_iommu_attach(PmIommu *iommu, const char *device, GError **error);

/**
 * Takes a device out of this address space; the others keep it. Its file
 * (pm_iommu_open_device()) is closed. The last device cannot be taken out: drop the PmIommu.
 * Errors: PM_ERROR_NOT_FOUND (not attached), PM_ERROR_BUSY (the last device; or a mapping of its
 * registers is still there), PM_ERROR_KERNEL. On failure it stays attached; its file may be closed.
 */
PM_EXPORT bool pm_iommu_detach(PmIommu *iommu, const char *device, GError **error);

/**
 * The VFIO device file of an attached device, for its registers and interrupts; opened the first
 * time it is asked for. type1: any device of an attached group can be asked for, and is attached by
 * that.
 * Returns: a descriptor of the PmIommu's kernel, which belongs to @iommu until the device is
 * detached; or -1. Errors: PM_ERROR_NOT_FOUND (not attached), PM_ERROR_KERNEL.
 */
PM_EXPORT int pm_iommu_open_device(PmIommu *iommu, const char *device, GError **error);

/** Takes a reference. Returns @iommu. */
PM_EXPORT PmIommu *pm_iommu_ref(PmIommu *iommu);

/** Drops a reference; the last one closes the files, and with them goes every mapping. */
PM_EXPORT void pm_iommu_unref(PmIommu *iommu);

/** Bit n set: the IOMMU has pages of 2^n bytes. The lowest bit is the unit of addresses and sizes.
 */
PM_EXPORT uint64_t pm_iommu_get_page_sizes(const PmIommu *iommu);

/**
 * The valid I/O address ranges, ascending; owned by @iommu and valid as long as it, @n_ranges of
 * them. Another device can change them (pm_iommu_attach()): then ask again. The last page below
 * 2^64 is never among them: type1 maps it, but does not unmap it again (Linux before 6.18).
 */
PM_EXPORT const PmIovaRange *pm_iommu_get_iova_ranges(const PmIommu *iommu, size_t *n_ranges);

/** How many mappings the address space can hold at once; UINT64_MAX: no limit known. */
PM_EXPORT uint64_t pm_iommu_get_mapping_limit(const PmIommu *iommu);

/** How many mappings the ledger has now. */
PM_EXPORT uint64_t pm_iommu_get_n_mappings(PmIommu *iommu);

/** How many bytes the ledger has mapped now; the kernel pins as many. */
PM_EXPORT uint64_t pm_iommu_get_pinned_bytes(PmIommu *iommu);

/**
 * Asks the kernel how many more mappings it takes (type1: capability dma_avail); UINT64_MAX: it
 * does not say. Errors: PM_ERROR_KERNEL, PM_ERROR_BAD_INPUT (capability chain), PM_ERROR_MEMORY.
 */
PM_EXPORT bool pm_iommu_query_available(PmIommu *iommu, uint64_t *n_mappings, GError **error);

/** The locked-memory limit of the kernel behind this address space. Errors: PM_ERROR_KERNEL. */
PM_EXPORT bool pm_iommu_query_locked_memory(PmIommu *iommu, PmLockedMemory *locked, GError **error);

/**
 * Tells whether a range can be an I/O address range here: aligned to the smallest page size, not
 * empty, and inside one valid IOVA range. No side effects, no system call. Errors:
 * PM_ERROR_INVALID_ARGUMENT (empty), PM_ERROR_UNALIGNED, PM_ERROR_IOVA_RANGE (the message has the
 * ranges and the nearest address that fits).
 */
PM_EXPORT bool pm_iommu_check_range(const PmIommu *iommu, uint64_t iova, uint64_t size,
                                    GError **error);

/**
 * Tells whether the budgets have room for @n_mappings more mappings of @n_bytes together. No side
 * effects; one question to the kernel, for the locked memory.
 * @block_size: the size of each mapping, for the message's advice; 0 if they differ.
 * Errors: PM_ERROR_LIMIT (has, needs, smallest block size that fits), PM_ERROR_LOCKED_MEMORY (has,
 * needs, how to raise it), PM_ERROR_KERNEL.
 */
PM_EXPORT bool pm_iommu_check_budget(PmIommu *iommu, uint64_t n_mappings, uint64_t n_bytes,
                                     uint64_t block_size, GError **error);

/**
 * Maps @n_blocks blocks of @block_size bytes, one mapping each, from @iova up to host memory from
 * @host up. All or nothing: if one fails, those that this call made are removed again with one
 * unmap.
 * @iova, @host, @block_size: multiples of the smallest page size; @n_blocks at least 1.
 *
 * Kernel: VFIO_IOMMU_MAP_DMA (vfio_iommu_type1.c, vfio_dma_do_map). The host memory is pinned until
 * the unmap. Errors: PM_ERROR_INVALID_ARGUMENT (no access, no block), PM_ERROR_UNALIGNED,
 * PM_ERROR_IOVA_RANGE, PM_ERROR_OVERLAP, PM_ERROR_LIMIT, PM_ERROR_LOCKED_MEMORY,
 * PM_ERROR_BAD_ADDRESS, PM_ERROR_MEMORY (for the ledger), PM_ERROR_PERMISSION, PM_ERROR_BUSY,
 * PM_ERROR_NOT_FOUND (EPERM, EBUSY and ENODEV from the kernel), PM_ERROR_KERNEL;
 * PM_ERROR_QUARANTINED (a block failed, and those before it could not be removed: use
 * pm_iommu_purge()).
 */
PM_EXPORT bool pm_iommu_map(PmIommu *iommu, uint64_t iova, void *host, uint64_t block_size,
                            uint64_t n_blocks, PmIommuAccess access, GError **error);

/**
 * Unmaps [@iova, @iova + @size) with one call. The range has to consist of whole mappings, without
 * a hole.
 *
 * Kernel: VFIO_IOMMU_UNMAP_DMA (vfio_iommu_type1.c, vfio_dma_do_unmap); the size it returns is
 * compared with @size. Errors: PM_ERROR_INVALID_ARGUMENT (empty, or beyond 2^64-1),
 * PM_ERROR_UNALIGNED, PM_ERROR_NO_MAPPING, PM_ERROR_CUTS_MAPPING (these before the kernel is
 * asked); PM_ERROR_MEMORY, PM_ERROR_PERMISSION, PM_ERROR_BUSY, PM_ERROR_NOT_FOUND (ENOMEM, EPERM,
 * EBUSY and ENODEV from the kernel), PM_ERROR_KERNEL (nothing unmapped); PM_ERROR_UNMAP_MISMATCH
 * (something, but not all, is unmapped: use pm_iommu_purge()). After a mismatch the ledger still
 * has the range as mapped.
 */
PM_EXPORT bool pm_iommu_unmap(PmIommu *iommu, uint64_t iova, uint64_t size, GError **error);

/**
 * Unmaps everything with one call; nothing mapped is success, too.
 *
 * Kernel: VFIO_DMA_UNMAP_FLAG_ALL, since Linux 5.12; the size it returns is compared with what the
 * ledger has. Errors: those of pm_iommu_unmap() that the kernel can cause. After a failure the
 * ledger is as before.
 */
PM_EXPORT bool pm_iommu_unmap_all(PmIommu *iommu, GError **error);

/**
 * Makes sure that nothing is mapped in [@iova, @iova + @size), whatever was known of it: unmaps,
 * then asks again until the kernel finds nothing left. The way out after PM_ERROR_QUARANTINED or
 * PM_ERROR_UNMAP_MISMATCH. Errors: those of pm_iommu_unmap() but for PM_ERROR_NO_MAPPING;
 * PM_ERROR_UNMAP_MISMATCH (the kernel goes on finding mappings). After an error the ledger has the
 * range as before.
 */
PM_EXPORT bool pm_iommu_purge(PmIommu *iommu, uint64_t iova, uint64_t size, GError **error);

/**
 * Finds the first run in the ledger that has a byte at or behind @iova.
 * @run: set to it; if @iova is inside the run, cut to begin with the mapping that holds @iova.
 * Returns: false if there is none.
 */
PM_EXPORT bool pm_iommu_next_run(PmIommu *iommu, uint64_t iova, PmIommuRun *run);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmIommu, pm_iommu_unref)

G_END_DECLS

#endif
