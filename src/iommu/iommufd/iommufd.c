/* SPDX-License-Identifier: MIT */
/* The iommufd back end of PmIommu: an IOAS of /dev/iommu, and devices bound to it. */
#include "iommu/iommufd/iommufd.h"

#include <errno.h>
#include <inttypes.h>

#include "base/error_text.h"
#include "base/log.h"
#include "base/sized.h"
#include "iommu/handover.h"
#include "iommu/iommu_error.h"
#include "kernel-uapi/iommufd.h"
#include "kernel/kernel_calls.h"
#include "vfio/device_node.h"
#include "vfio/pci_names.h"
#include "vfio/sysfs.h"

/* Enough for every known IOMMU, so that one call suffices. */
#define FIRST_RANGES 32
/* A range of one page after every gap of one page would fit; more is a corrupt answer. */
#define MAX_RANGES   (1U << 16)
/* The number of ranges can grow between two calls, but not forever. */
#define MAX_TRIES    4

int pm_iommufd_ioctl(const PmIommufd *iommufd, unsigned long request, void *argument)
{
    PmKernel *kernel = iommufd->parent.kernel;

    return pm_kernel_ioctl(kernel, iommufd->iommufd, request, argument);
}

static bool iommufd_query_available(PmIommu *iommu, uint64_t *n_mappings, GError **error)
{
    (void)iommu;
    (void)error;
    *n_mappings = UINT64_MAX;
    return true;
}

/* --- page sizes and valid ranges --- */

static bool check_ranges(const PmIovaRange *ranges, uint32_t n_ranges)
{
    for (uint32_t i = 0; i < n_ranges; i++) {
        if (ranges[i].start > ranges[i].last || (i > 0 && ranges[i].start <= ranges[i - 1].last))
            return false;
    }
    return n_ranges > 0;
}

/* @n_ranges: in: capacity of @ranges; out: the number of ranges. Returns 0 or -errno: EMSGSIZE if
 * they do not fit. */
static int ask_ranges(const PmIommufd *iommufd, PmIovaRange *ranges, uint32_t *n_ranges,
                      uint64_t *alignment)
{
    struct iommu_ioas_iova_ranges ask = {
        .size = sizeof ask,
        .ioas_id = iommufd->ioas,
        .num_iovas = *n_ranges,
        .allowed_iovas = (uintptr_t)ranges,
    };
    int result = pm_iommufd_ioctl(iommufd, IOMMU_IOAS_IOVA_RANGES, &ask);

    *n_ranges = ask.num_iovas;
    *alignment = ask.out_iova_alignment;
    return result;
}

/* struct iommu_iova_range and PmIovaRange have the same layout. */
G_STATIC_ASSERT(sizeof(PmIovaRange) == sizeof(struct iommu_iova_range));

static bool read_geometry(PmIommufd *iommufd, GError **error)
{
    uint32_t n_ranges = FIRST_RANGES;
    uint64_t alignment = 0;
    int result = -EMSGSIZE;

    for (unsigned i = 0; i < MAX_TRIES && result == -EMSGSIZE && n_ranges <= MAX_RANGES; i++) {
        uint32_t room = n_ranges;
        g_autofree PmIovaRange *ranges = g_try_new0(PmIovaRange, room);
        g_autofree char *count = NULL;

        if (ranges == NULL)
            return pm_fail(error, PM_ERROR_MEMORY,
                           "out of memory for %" PRIu32 " I/O address ranges", n_ranges);
        result = ask_ranges(iommufd, ranges, &n_ranges, &alignment);
        if (result < 0)
            continue;
        count = pm_counted(n_ranges, "range");
        if (n_ranges > room || !check_ranges(ranges, n_ranges) || alignment == 0 ||
            (alignment & (alignment - 1)) != 0)
            return pm_fail(
                error, PM_ERROR_BAD_INPUT,
                "invalid answer of the kernel to IOMMU_IOAS_IOVA_RANGES: %s, alignment 0x%" PRIx64,
                count, alignment);
        pm_iommu_set_geometry(&iommufd->parent, alignment, g_steal_pointer(&ranges), n_ranges);
        return true;
    }
    return pm_fail_ioctl(error, -result, "try again, and " PM_SEE_KERNEL_LOG,
                         "asking " PM_IOMMUFD_PATH " for the valid addresses of IOAS %" PRIu32,
                         iommufd->ioas);
}

/* --- devices --- */

/* To a new address space, where no mapping is in the way. */
static bool fail_attach_first(const char *device, int error_number, GError **error)
{
    switch (error_number) {
    case ENOMEM:
        return pm_fail(error, PM_ERROR_MEMORY,
                       "cannot attach %s: ENOMEM: " PM_IOMMU_CAUSE_NO_MEMORY, device);
    case EINVAL:
        return pm_fail(error, PM_ERROR_UNSUPPORTED,
                       "cannot attach %s: EINVAL: the smallest page of its IOMMU is larger than "
                       "this kernel's, or the IOMMU driver rejects it. Use the back end type1, "
                       "and " PM_SEE_KERNEL_LOG,
                       device);
    default:
        return pm_fail_ioctl(error, error_number, PM_SEE_KERNEL_LOG, "attaching %s to its IOAS",
                             device);
    }
}

static bool fail_attach_beside_others(const char *device, int error_number, GError **error)
{
    switch (error_number) {
    case EADDRINUSE:
        return pm_fail(error, PM_ERROR_IOVA_RANGE,
                       "cannot attach %s: EADDRINUSE: addresses that are mapped or claimed are "
                       "reserved for this device, or out of its reach. Attach it before anything "
                       "is mapped there, map elsewhere, or give it an address space of its own",
                       device);
    case ENOMEM:
        return pm_fail(error, PM_ERROR_LOCKED_MEMORY,
                       "cannot attach %s: ENOMEM: the kernel is out of memory, or the mappings "
                       "exceed the locked-memory limit: raise it (ulimit -l)",
                       device);
    case EOPNOTSUPP:
        return pm_fail(error, PM_ERROR_UNSUPPORTED,
                       "cannot attach %s: EOPNOTSUPP: dirty tracking is on, and its IOMMU does not "
                       "support it. Stop dirty tracking first",
                       device);
    case EINVAL:
        return pm_fail(error, PM_ERROR_UNSUPPORTED,
                       "cannot attach %s: EINVAL: its IOMMU cannot share the page tables of the "
                       "other devices. Give it an address space of its own",
                       device);
    default:
        return pm_fail_ioctl(error, error_number, PM_SEE_KERNEL_LOG, "attaching %s to the IOAS",
                             device);
    }
}

static bool fail_attach(const PmIommufd *iommufd, const char *device, int error_number,
                        GError **error)
{
    if (iommufd->devices.devices->len == 1 && !iommufd->parent.is_shared)
        (void)fail_attach_first(device, error_number, error);
    else
        (void)fail_attach_beside_others(device, error_number, error);
    return pm_note_errno(error, error_number);
}

/* @bound: NULL with @error set if binding failed. */
static bool attach(PmIommufd *iommufd, PmVfioDevice *bound, GError **error)
{
    guint n_page_tables = iommufd->page_tables->len;
    int result;

    if (bound == NULL)
        return false;
    result = pm_iommufd_attach_tracking(iommufd, bound);
    if (result < 0)
        (void)fail_attach(iommufd, bound->address, -result, error);
    else if (read_geometry(iommufd, error) &&
             pm_iommu_check_claims(&iommufd->parent, bound->address, error)) {
        bound->is_lent = false;
        pm_iommufd_update_dirty_kind(iommufd);
        return true;
    }
    pm_vfio_device_set_unbind(&iommufd->devices, bound);
    pm_iommufd_drop_page_tables(iommufd, n_page_tables);
    if (iommufd->devices.devices->len > 0)
        (void)read_geometry(iommufd, NULL);
    return false;
}

/* A device after the first. */
static bool attach_beside(PmIommufd *iommufd, PmVfioDevice *bound, GError **error)
{
    if (attach(iommufd, bound, error))
        return true;
    pm_iommu_add_contents(&iommufd->parent, error);
    return false;
}

static bool iommufd_attach(PmIommu *iommu, const char *device, GError **error)
{
    PmIommufd *iommufd = (PmIommufd *)iommu;
    PmVfioDevice *bound = pm_vfio_device_set_bind(&iommufd->devices, device, NULL, error);

    return attach_beside(iommufd, bound, error);
}

static bool iommufd_attach_fd(PmIommu *iommu, const char *device, int fd, uint32_t *device_id,
                              GError **error)
{
    PmIommufd *iommufd = (PmIommufd *)iommu;
    PmVfioDevice *bound =
        pm_vfio_device_set_bind_fd(&iommufd->devices, device, fd, device_id, error);

    return attach_beside(iommufd, bound, error);
}

/* On failure the device stays attached. Detaching can only add valid ranges. */
static bool iommufd_detach(PmIommu *iommu, const char *device, GError **error)
{
    PmIommufd *iommufd = (PmIommufd *)iommu;
    PmVfioDevice *found = pm_vfio_device_set_find(&iommufd->devices, device);
    int result;

    if (found == NULL)
        return pm_vfio_fail_not_attached(error, device);
    if (iommufd->devices.devices->len == 1)
        return pm_vfio_fail_last_device(error, device);
    result = pm_vfio_device_detach(&iommufd->devices, found);
    if (result < 0)
        return pm_fail_ioctl(error, -result, "it stays attached: " PM_SEE_KERNEL_LOG,
                             "detaching %s from the IOAS", device);
    pm_vfio_device_set_unbind(&iommufd->devices, found);
    /* During dirty tracking, its page table still has the pages it wrote. */
    if (!iommu->tracks_dirty)
        pm_iommufd_drop_page_tables(iommufd, 0);
    pm_iommufd_update_dirty_kind(iommufd);
    (void)read_geometry(iommufd, NULL);
    return true;
}

static int iommufd_open_device(PmIommu *iommu, const char *device, GError **error)
{
    const PmVfioDevice *found = pm_vfio_device_set_find(&((PmIommufd *)iommu)->devices, device);

    if (found != NULL)
        return found->fd;
    (void)pm_vfio_fail_not_attached(error, device);
    return -1;
}

static bool iommufd_has_device(PmIommu *iommu, const char *device)
{
    return pm_vfio_device_set_find(&((PmIommufd *)iommu)->devices, device) != NULL;
}

/* --- life cycle --- */

/* Devices first: IOMMU_DESTROY fails on a HWPT or IOAS in use. Destroy, do not just close: the
 * iommufd stays open while a device's registers are mapped, or while the sender has its descriptor.
 * Mappings of others stay. */
static bool iommufd_end(PmIommu *iommu)
{
    PmIommufd *iommufd = (PmIommufd *)iommu;
    struct iommu_destroy destroy = {.size = sizeof destroy, .id = iommufd->ioas};

    pm_vfio_device_set_detach_all(&iommufd->devices);
    pm_iommufd_drop_page_tables(iommufd, 0);
    if (iommu->is_shared)
        return false;
    return iommufd->ioas == 0 || pm_iommufd_ioctl(iommufd, IOMMU_DESTROY, &destroy) == 0;
}

static void iommufd_free(PmIommu *iommu)
{
    PmIommufd *iommufd = (PmIommufd *)iommu;

    pm_vfio_device_set_clear(&iommufd->devices);
    g_array_unref(iommufd->page_tables);
    if (iommufd->iommufd >= 0 && !iommufd->is_lent)
        (void)pm_kernel_close(iommu->kernel, iommufd->iommufd);
}

static const PmIommuOps iommufd_ops = {
    .map = pm_iommufd_map,
    .unmap = pm_iommufd_unmap,
    .probe = pm_iommufd_probe,
    .maps_by_file = pm_iommufd_maps_by_file,
    .query_available = iommufd_query_available,
    .attach = iommufd_attach,
    .attach_fd = iommufd_attach_fd,
    .detach = iommufd_detach,
    .open_device = iommufd_open_device,
    .get_kvm_fd = iommufd_open_device,
    .has_device = iommufd_has_device,
    .set_dirty_tracking = pm_iommufd_set_dirty_tracking,
    .read_dirty = pm_iommufd_read_dirty,
    .peek_dirty = pm_iommufd_peek_dirty,
    .check_handover = pm_iommufd_check_handover,
    .change_process = pm_iommufd_change_process,
    .set_address = pm_iommufd_check_run,
    .describe = pm_iommufd_describe,
    .forget = pm_iommufd_forget,
    .end = iommufd_end,
    .free = iommufd_free,
    .map_causes = pm_iommufd_map_causes,
    .unmap_causes = pm_iommufd_unmap_causes,
    .no_device_memory = "iommufd does not map device memory (as of Linux 6.12): use type1 for "
                        "peer-to-peer DMA, or do without (PM_MAPPER_OPTIONAL)",
    .stops_halfway = pm_iommufd_unmap_stops_halfway,
    .nothing_found = -ENOENT,
    .counts_pinned = true,
};

static bool make_ioas(PmIommufd *iommufd, GError **error)
{
    struct iommu_ioas_alloc alloc = {.size = sizeof alloc};
    int result = pm_iommufd_ioctl(iommufd, IOMMU_IOAS_ALLOC, &alloc);

    if (result < 0 && iommufd->is_lent)
        return pm_vfio_fail_descriptor(error, -result, iommufd->iommufd, "an iommufd");
    if (result < 0)
        return pm_fail_ioctl(error, -result,
                             "check that the file is iommufd's (ls -l " PM_IOMMUFD_PATH
                             "), and " PM_SEE_KERNEL_LOG,
                             "allocating an IOAS in " PM_IOMMUFD_PATH);
    iommufd->ioas = alloc.out_ioas_id;
    return true;
}

/* Only checks that it exists; its ranges change on attach. */
static bool use_ioas(PmIommufd *iommufd, uint32_t ioas, GError **error)
{
    uint32_t n_ranges = 0;
    uint64_t alignment;
    int result;

    iommufd->ioas = ioas;
    iommufd->parent.is_shared = true;
    result = ask_ranges(iommufd, NULL, &n_ranges, &alignment);
    if (result == 0 || result == -EMSGSIZE)
        return true;
    if (result != -ENOENT)
        return pm_vfio_fail_descriptor(error, -result, iommufd->iommufd, "an iommufd");
    (void)pm_fail(error, PM_ERROR_NOT_FOUND,
                  "the iommufd (descriptor %d) has no IOAS %" PRIu32
                  ": pass the out_ioas_id that IOMMU_IOAS_ALLOC returned, or 0 for a new one",
                  iommufd->iommufd, ioas);
    return pm_note_errno(error, ENOENT);
}

static bool open_iommufd(PmIommufd *iommufd, GError **error)
{
    iommufd->iommufd = pm_vfio_open_node(iommufd->parent.kernel, PM_IOMMUFD_PATH,
                                         "this kernel lacks CONFIG_IOMMUFD (Linux 6.2), or the "
                                         "module is not loaded. Load it, as root:\n"
                                         "  modprobe iommufd\n"
                                         "or use the back end type1",
                                         error);
    iommufd->devices.iommufd = iommufd->iommufd;
    return iommufd->iommufd >= 0 && make_ioas(iommufd, error);
}

/* The device first: report a wrong address even if a module is not loaded. */
static PmVfioDevice *open_files(PmIommufd *iommufd, const PmIommufdConfig *config, GError **error)
{
    g_autofree char *path = NULL;
    unsigned group;

    if (!pm_pci_check_address(config->device, error) ||
        (config->device_file == NULL &&
         !pm_sysfs_find_device_file(iommufd->devices.kernel, config->device, &path, &group,
                                    error)) ||
        !open_iommufd(iommufd, error))
        return NULL;
    return pm_vfio_device_set_bind(&iommufd->devices, config->device, config->device_file, error);
}

static PmVfioDevice *use_fds(PmIommufd *iommufd, const PmIommufdConfig *config, GError **error)
{
    iommufd->iommufd = config->iommufd;
    iommufd->devices.iommufd = config->iommufd;
    iommufd->is_lent = true;
    if (!(config->ioas != 0 ? use_ioas(iommufd, config->ioas, error) : make_ioas(iommufd, error)))
        return NULL;
    return pm_vfio_device_set_bind_fd(&iommufd->devices, config->device, config->device_fd,
                                      config->device_id, error);
}

static bool check_config(const PmIommufdConfig *config, GError **error)
{
    if (config->device == NULL)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT, "PmIommufdConfig.device is not set");
    if (config->has_fds ? config->device_file != NULL
                        : config->device_id != NULL || config->ioas != 0)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT, "invalid PmIommufdConfig: %s",
                       config->has_fds ? "has_fds and device_file exclude each other"
                                       : "device_id and ioas need has_fds");
    return true;
}

static bool open_all(PmIommufd *iommufd, const PmIommufdConfig *config, GError **error)
{
    PmVfioDevice *bound =
        config->has_fds ? use_fds(iommufd, config, error) : open_files(iommufd, config, error);

    if (!attach(iommufd, bound, error))
        return false;
    iommufd->maps_files = pm_iommufd_can_map_files(iommufd);
    /* Success: take ownership of the descriptors. */
    iommufd->is_lent = false;
    return true;
}

static PmIommufd *make_iommufd(PmKernel *kernel)
{
    PmIommufd *iommufd = g_new0(PmIommufd, 1);

    pm_iommu_init(&iommufd->parent, &iommufd_ops, kernel);
    iommufd->parent.mapping_limit = UINT64_MAX;
    iommufd->iommufd = -1;
    iommufd->page_tables = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    pm_vfio_device_set_init(&iommufd->devices, kernel);
    return iommufd;
}

static PmIommu *open_config(const PmIommufdConfig *config, GError **error)
{
    g_autoptr(PmKernel) kernel = NULL;
    PmIommufd *iommufd;

    if (!check_config(config, error))
        return NULL;
    kernel = config->kernel != NULL ? pm_kernel_ref(config->kernel) : pm_kernel_host_new();
    iommufd = make_iommufd(kernel);
    if (open_all(iommufd, config, error)) {
        pm_log(G_LOG_LEVEL_INFO, "iommufd: opened an address space, IOAS %" PRIu32, iommufd->ioas);
        return &iommufd->parent;
    }
    pm_iommu_unref(&iommufd->parent);
    return NULL;
}

PmIommu *pm_iommu_iommufd_new(const PmIommufdConfig *config, GError **error)
{
    PmIommufdConfig known;

    if (!pm_sized_read("PmIommufdConfig", &known, sizeof(known), config, error))
        return NULL;
    return open_config(&known, error);
}

PmIommu *pm_iommufd_adopt(PmKernel *kernel, const PmIommuFiles *files, GError **error)
{
    PmIommufd *iommufd = make_iommufd(kernel);

    iommufd->iommufd = files->fd;
    iommufd->devices.iommufd = files->fd;
    iommufd->ioas = files->ioas;
    iommufd->maps_files = files->maps_files;
    iommufd->is_lent = true;
    pm_iommu_handover_await(&iommufd->parent);
    if (!read_geometry(iommufd, error)) {
        pm_iommu_unref(&iommufd->parent);
        return NULL;
    }
    iommufd->parent.is_shared = files->is_shared;
    iommufd->parent.mapping_limit = files->mapping_limit;
    iommufd->is_lent = false;
    g_array_append_vals(iommufd->page_tables, files->page_tables->data, files->page_tables->len);
    pm_vfio_device_set_adopt(&iommufd->devices, files->files);
    pm_iommufd_update_dirty_kind(iommufd);
    return &iommufd->parent;
}
