/* SPDX-License-Identifier: MIT */
/* The type1 back end of PmIommu: a VFIO container with groups. */
#include <errno.h>
#include <inttypes.h>

#include <plugmap/size.h>

#include "base/error_text.h"
#include "base/log.h"
#include "base/sized.h"
#include "iommu/handover.h"
#include "iommu/iommu_error.h"
#include "iommu/type1/type1.h"
#include "iommu/type1/type1_info.h"
#include "kernel-uapi/vfio.h"
#include "kernel/kernel_calls.h"
#include "vfio/device_node.h"
#include "vfio/sysfs.h"

#define CONTAINER_PATH "/dev/vfio/vfio"

#define CHECK_CONTAINER                                                                            \
    "check that the file is VFIO's (ls -l " CONTAINER_PATH "), and " PM_SEE_KERNEL_LOG

static int type1_map(PmIommu *iommu, const PmIommuRequest *request, uint64_t *n_mapped)
{
    const PmType1 *type1 = (const PmType1 *)iommu;
    PmKernel *kernel = iommu->kernel;
    struct vfio_iommu_type1_dma_map map = {
        .argsz = sizeof map,
        .vaddr = request->host,
        .iova = request->iova,
        .size = request->block_size,
    };
    uint64_t i;

    if (request->access & PM_IOMMU_READ)
        map.flags |= VFIO_DMA_MAP_FLAG_READ;
    if (request->access & PM_IOMMU_WRITE)
        map.flags |= VFIO_DMA_MAP_FLAG_WRITE;
    for (i = 0; i < request->n_blocks; i++) {
        int result = pm_kernel_ioctl(kernel, type1->container, VFIO_IOMMU_MAP_DMA, &map);

        if (result < 0) {
            *n_mapped = i;
            return result;
        }
        map.vaddr += request->block_size;
        map.iova += request->block_size;
    }
    *n_mapped = request->n_blocks;
    return 0;
}

static int type1_unmap(PmIommu *iommu, uint64_t iova, uint64_t size, uint64_t *n_bytes)
{
    const PmType1 *type1 = (const PmType1 *)iommu;
    struct vfio_iommu_type1_dma_unmap unmap = {.argsz = sizeof unmap, .iova = iova, .size = size};
    int result = pm_kernel_ioctl(iommu->kernel, type1->container, VFIO_IOMMU_UNMAP_DMA, &unmap);

    *n_bytes = unmap.size;
    return MIN(result, 0);
}

/* A host address that no process can have: the kernel checks for other mappings in the range
 * (EEXIST) and for the limit (ENOSPC) before the address (EFAULT). A container without an IOMMU of
 * its own (mediated devices) checks none of these: unmap what it accepts. */
static PmIommuPresence type1_probe(PmIommu *iommu, uint64_t iova, uint64_t size)
{
    const PmType1 *type1 = (const PmType1 *)iommu;
    struct vfio_iommu_type1_dma_map map = {
        .argsz = sizeof map,
        .flags = VFIO_DMA_MAP_FLAG_READ,
        .vaddr = -size,
        .iova = iova,
        .size = size,
    };
    uint64_t n_bytes;

    switch (pm_kernel_ioctl(iommu->kernel, type1->container, VFIO_IOMMU_MAP_DMA, &map)) {
    case -EEXIST:
        return PM_IOMMU_PRESENT;
    case -EFAULT:
    case -ENOSPC:
        return PM_IOMMU_ABSENT;
    case 0:
        (void)type1_unmap(iommu, iova, size, &n_bytes);
        return PM_IOMMU_UNSURE;
    default:
        return PM_IOMMU_UNSURE;
    }
}

static bool type1_query_available(PmIommu *iommu, uint64_t *n_mappings, GError **error)
{
    const PmType1 *type1 = (const PmType1 *)iommu;
    g_auto(PmType1Info) info = {0};

    if (!pm_type1_info_query(iommu->kernel, type1->container, &info, error))
        return false;
    *n_mappings = info.n_available;
    return true;
}

static int container_ioctl(const PmType1 *type1, unsigned long request, unsigned long argument)
{
    PmKernel *kernel = type1->parent.kernel;

    return pm_kernel_ioctl(kernel, type1->container, request, (void *)(uintptr_t)argument);
}

static bool check_container(const PmType1 *type1, GError **error)
{
    int result = container_ioctl(type1, VFIO_GET_API_VERSION, 0);

    if (result < 0 && type1->is_lent)
        return pm_vfio_fail_descriptor(error, -result, type1->container, "a VFIO container");
    if (result < 0)
        return pm_fail_ioctl(error, -result, CHECK_CONTAINER,
                             "asking " CONTAINER_PATH " for its API version");
    if (result != VFIO_API_VERSION)
        return pm_fail(error, PM_ERROR_UNSUPPORTED,
                       CONTAINER_PATH ": VFIO API version %d is not supported, only %d", result,
                       VFIO_API_VERSION);
    result = container_ioctl(type1, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU);
    if (result < 0)
        return pm_fail_ioctl(error, -result, CHECK_CONTAINER,
                             "asking " CONTAINER_PATH " for type1v2");
    if (result == 0)
        return pm_fail(error, PM_ERROR_UNSUPPORTED,
                       CONTAINER_PATH " has no type1v2 IOMMU. Load its driver, as root:\n"
                                      "  modprobe vfio_iommu_type1");
    return true;
}

static bool open_container(PmType1 *type1, GError **error)
{
    type1->container = pm_vfio_open_node(type1->parent.kernel, CONTAINER_PATH,
                                         "VFIO is not loaded. Load it, as root:\n"
                                         "  modprobe -a vfio-pci vfio_iommu_type1",
                                         error);
    return type1->container >= 0 && check_container(type1, error);
}

static char *describe_owner(const PmType1Config *config)
{
    if (config->has_fds)
        return g_strdup_printf("descriptor %d", config->container_fd);
    if (config->has_group)
        return g_strdup_printf("IOMMU group %u", config->group);
    return g_strdup(config->device);
}

static bool fail_set_iommu(const PmType1Config *config, int error_number, GError **error)
{
    g_autofree char *name = pm_errno_text(error_number);
    g_autofree char *whose = describe_owner(config);

    if (error_number == EPERM)
        return pm_fail(error, PM_ERROR_UNSUPPORTED,
                       "cannot set an IOMMU for the container of %s: %s: there is no interrupt "
                       "remapping. Enable it in the firmware (VT-d, x2APIC), or, if you trust the "
                       "devices, do without, as root:\n"
                       "  modprobe vfio_iommu_type1 allow_unsafe_interrupts=1",
                       whose, name);
    if (error_number == ENODEV)
        return pm_fail(error, PM_ERROR_UNSUPPORTED,
                       "cannot set an IOMMU for the container of %s: %s: its driver is not loaded. "
                       "Load it, as root:\n"
                       "  modprobe vfio_iommu_type1",
                       whose, name);
    if (error_number == EBUSY)
        return pm_fail(error, PM_ERROR_BUSY,
                       "cannot set an IOMMU for the container of %s: %s: another part of the "
                       "kernel has the group's devices. To find it:\n"
                       "  dmesg | grep -i iommu",
                       whose, name);
    return pm_fail_ioctl(error, error_number, PM_SEE_KERNEL_LOG,
                         "setting a type1v2 IOMMU for the container of %s", whose);
}

/* Kernels before 6.18 ignore an unmap that ends at 2^64, but report success: the last page could be
 * mapped, but never unmapped. */
static void leave_out_last_page(PmType1Info *info)
{
    uint64_t page_size = info->page_sizes & -info->page_sizes;
    PmIovaRange *last = &info->ranges[info->n_ranges - 1];

    if (last->last <= UINT64_MAX - page_size)
        return;
    if (last->start > UINT64_MAX - page_size)
        info->n_ranges--;
    else
        last->last = UINT64_MAX - page_size;
}

static bool read_info(PmType1 *type1, PmType1Info *info, GError **error)
{
    if (!pm_type1_info_query(type1->parent.kernel, type1->container, info, error))
        return false;
    if (info->ranges == NULL) {
        info->n_ranges = 1;
        info->ranges = g_new(PmIovaRange, 1);
        info->ranges[0] = (PmIovaRange){0, UINT64_MAX};
    }
    leave_out_last_page(info);
    if (info->n_ranges == 0)
        return pm_fail(error, PM_ERROR_BAD_INPUT, "the IOMMU has no valid I/O addresses");
    return true;
}

static void use_info(PmType1 *type1, PmType1Info *info)
{
    pm_iommu_set_geometry(&type1->parent, info->page_sizes, g_steal_pointer(&info->ranges),
                          info->n_ranges);
}

/* Detaching can only add valid ranges. */
static bool type1_detach(PmIommu *iommu, const char *device, GError **error)
{
    PmType1 *type1 = (PmType1 *)iommu;
    g_auto(PmType1Info) info = {0};

    if (!pm_vfio_group_set_detach(&type1->groups, device, error))
        return false;
    if (read_info(type1, &info, NULL))
        use_info(type1, &info);
    return true;
}

/* Attached, but invalid here: detach it again. */
static bool use_device(PmType1 *type1, const char *device, GError **error)
{
    g_auto(PmType1Info) info = {0};

    if (!read_info(type1, &info, error)) {
        (void)pm_vfio_group_set_detach(&type1->groups, device, NULL);
        return false;
    }
    use_info(type1, &info);
    if (pm_iommu_check_claims(&type1->parent, device, error))
        return true;
    (void)type1_detach(&type1->parent, device, NULL);
    return false;
}

/* The kernel maps everything for the new group, too, or fails. */
static bool type1_attach(PmIommu *iommu, const char *device, GError **error)
{
    PmType1 *type1 = (PmType1 *)iommu;

    if (pm_vfio_group_set_attach(&type1->groups, device, error))
        return use_device(type1, device, error);
    pm_iommu_add_contents(iommu, error);
    return false;
}

static bool type1_attach_fd(PmIommu *iommu, const char *device, int fd,
                            uint32_t *device_id G_GNUC_UNUSED, GError **error)
{
    PmType1 *type1 = (PmType1 *)iommu;

    if (!pm_vfio_group_set_attach_fd(&type1->groups, device, fd, error)) {
        pm_iommu_add_contents(iommu, error);
        return false;
    }
    if (!use_device(type1, device, error))
        return false;
    pm_vfio_group_set_take_fds(&type1->groups);
    return true;
}

static int type1_open_device(PmIommu *iommu, const char *device, GError **error)
{
    return pm_vfio_group_set_open_device(&((PmType1 *)iommu)->groups, device, error);
}

static int type1_get_kvm_fd(PmIommu *iommu, const char *device, GError **error)
{
    return pm_vfio_group_set_get_group(&((PmType1 *)iommu)->groups, device, error);
}

static bool type1_has_device(PmIommu *iommu, const char *device)
{
    return pm_vfio_group_set_has_device(&((PmType1 *)iommu)->groups, device);
}

static void type1_free(PmIommu *iommu)
{
    PmType1 *type1 = (PmType1 *)iommu;

    pm_vfio_group_set_clear(&type1->groups);
    if (type1->container >= 0 && !type1->is_lent)
        (void)pm_kernel_close(iommu->kernel, type1->container);
}

static const PmIommuCause map_causes[] = {
    {EEXIST, PM_ERROR_OVERLAP,
     "the container has a mapping there that this object did not make: find who else has the "
     "container's descriptor"},
    {ENOSPC, PM_ERROR_LIMIT,
     "the container is at its limit of mappings: use larger blocks, or raise " PM_IOMMU_ENTRY_LIMIT
     " before the container is opened"},
    {EFAULT, PM_ERROR_BAD_ADDRESS, PM_IOMMU_CAUSE_BAD_ADDRESS},
    {EINVAL, PM_ERROR_KERNEL,
     "the address is no longer valid: another group has joined the container, or the group has "
     "left"},
    {EPERM, PM_ERROR_PERMISSION,
     "this process may not map here: map from the process that opened the container"},
    {EBUSY, PM_ERROR_BUSY,
     "the container is being handed over (host addresses are invalid): try again after the "
     "handover"},
    {ENODEV, PM_ERROR_NOT_FOUND, PM_IOMMU_CAUSE_GONE},
    {ECHILD, PM_ERROR_PERMISSION, PM_KERNEL_CAUSE_INHERITED},
    {EINTR, PM_ERROR_KERNEL, PM_IOMMU_CAUSE_SIGNAL},
    {0, PM_ERROR_KERNEL, PM_SEE_KERNEL_LOG},
};

static const PmIommuCause unmap_causes[] = {
    {EINVAL, PM_ERROR_KERNEL,
     "the container has mappings there that this object did not make: find who else has the "
     "container's descriptor"},
    {EFAULT, PM_ERROR_KERNEL, PM_IOMMU_CAUSE_BAD_REQUEST},
    {ENOMEM, PM_ERROR_MEMORY, PM_IOMMU_CAUSE_NO_MEMORY},
    {EPERM, PM_ERROR_PERMISSION,
     "this process may not unmap here: unmap from the process that opened the container"},
    {EBUSY, PM_ERROR_BUSY, "a device holds on to the memory: stop its driver and try again"},
    {ENODEV, PM_ERROR_NOT_FOUND, PM_IOMMU_CAUSE_GONE},
    {ECHILD, PM_ERROR_PERMISSION, PM_KERNEL_CAUSE_INHERITED},
    {EINTR, PM_ERROR_KERNEL, PM_IOMMU_CAUSE_SIGNAL},
    {0, PM_ERROR_KERNEL, PM_SEE_KERNEL_LOG},
};

static const PmIommuOps type1_ops = {
    .map = type1_map,
    .unmap = type1_unmap,
    .probe = type1_probe,
    .query_available = type1_query_available,
    .attach = type1_attach,
    .attach_fd = type1_attach_fd,
    .detach = type1_detach,
    .open_device = type1_open_device,
    .get_kvm_fd = type1_get_kvm_fd,
    .has_device = type1_has_device,
    .set_dirty_tracking = pm_type1_set_dirty_tracking,
    .read_dirty = pm_type1_read_dirty,
    .unmap_dirty = pm_type1_unmap_dirty,
    .check_handover = pm_type1_check_handover,
    .invalidate = pm_type1_invalidate,
    .set_address = pm_type1_set_address,
    .describe = pm_type1_describe,
    .forget = pm_type1_forget,
    .free = type1_free,
    .map_causes = map_causes,
    .unmap_causes = unmap_causes,
};

/* The kernel takes no other page size than its smallest. */
static void use_dirty_capability(PmType1 *type1, const PmType1Info *info)
{
    PmIommu *iommu = &type1->parent;

    if (info->dirty_page_sizes != (info->page_sizes & -info->page_sizes))
        return;
    iommu->dirty_unit = info->dirty_page_sizes;
    iommu->max_dirty_bits = info->max_dirty_bytes * 8;
    pm_iommu_set_dirty_kind(iommu, PM_IOMMU_DIRTY_PINNED);
}

static bool check_config(const PmType1Config *config, GError **error)
{
    int n_ways = (config->device != NULL) + config->has_group + config->has_fds;

    if (n_ways != 1)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "PmType1Config has %s of device, has_group (with group) and has_fds (with "
                       "container_fd and group_fds): set exactly one",
                       n_ways == 0 ? "none" : "more than one");
    if (config->has_fds && config->n_group_fds == 0)
        return pm_fail(
            error, PM_ERROR_INVALID_ARGUMENT,
            "PmType1Config.group_fds is empty: pass the descriptor of at least one group");
    return true;
}

static bool add_group(PmType1 *type1, const PmType1Config *config, GError **error)
{
    if (config->device != NULL)
        return pm_vfio_group_set_attach(&type1->groups, config->device, error);
    return pm_vfio_group_set_add(&type1->groups, config->group, error);
}

/* The device first: report a wrong address even if a module is not loaded. */
static bool open_files(PmType1 *type1, const PmType1Config *config, GError **error)
{
    unsigned group;

    if (config->device != NULL &&
        !pm_sysfs_find_group(type1->groups.kernel, config->device, &group, error))
        return false;
    if (!open_container(type1, error))
        return false;
    type1->groups.container = type1->container;
    return add_group(type1, config, error);
}

static bool use_fds(PmType1 *type1, const PmType1Config *config, GError **error)
{
    type1->container = config->container_fd;
    type1->groups.container = config->container_fd;
    type1->is_lent = true;
    /* The sender of the descriptors can map, too. */
    type1->parent.is_shared = true;
    if (!check_container(type1, error))
        return false;
    for (size_t i = 0; i < config->n_group_fds; i++) {
        if (!pm_vfio_group_set_add_fd(&type1->groups, config->group_fds[i], error))
            return false;
    }
    return true;
}

/* The error of a request without an argument shows which IOMMU the container has: v1 does not know
 * the request, and without an IOMMU nobody does. */
static bool check_iommu(const PmType1 *type1, GError **error)
{
    int result = container_ioctl(type1, VFIO_IOMMU_DIRTY_PAGES, 0);

    switch (result) {
    case -EFAULT:
    case -ENOTTY: /* before Linux 5.8, and iommufd in the container's place */
        return true;
    case -EACCES:
        (void)pm_fail(error, PM_ERROR_UNSUPPORTED,
                      "the container of descriptor %d has a type1 (v1) IOMMU, which unmaps more "
                      "than requested: set type1v2",
                      type1->container);
        break;
    case -EINVAL:
        (void)pm_fail(error, PM_ERROR_BUSY,
                      "the container of descriptor %d has no group: those passed are in another "
                      "container. Pass the descriptor of that container, or remove them from it",
                      type1->container);
        break;
    default:
        (void)pm_fail_ioctl(error, -result, PM_SEE_KERNEL_LOG,
                            "asking the container of descriptor %d for its IOMMU",
                            type1->container);
        break;
    }
    return pm_note_errno(error, -result);
}

static bool set_iommu(const PmType1 *type1, const PmType1Config *config, GError **error)
{
    int result = container_ioctl(type1, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU);

    if (result == -EINVAL && config->has_fds)
        return check_iommu(type1, error);
    if (result >= 0)
        return true;
    (void)fail_set_iommu(config, -result, error);
    return pm_note_errno(error, -result);
}

static bool open_all(PmType1 *type1, const PmType1Config *config, GError **error)
{
    g_auto(PmType1Info) info = {0};

    if (!(config->has_fds ? use_fds : open_files)(type1, config, error) ||
        !set_iommu(type1, config, error) || !read_info(type1, &info, error))
        return false;
    type1->parent.mapping_limit = info.n_available;
    use_dirty_capability(type1, &info);
    use_info(type1, &info);
    /* Nothing fails from here on: take ownership of the descriptors. */
    type1->is_lent = false;
    pm_vfio_group_set_take_fds(&type1->groups);
    return true;
}

static PmType1 *make_type1(PmKernel *kernel)
{
    PmType1 *type1 = g_new0(PmType1, 1);

    pm_iommu_init(&type1->parent, &type1_ops, kernel);
    type1->container = -1;
    pm_vfio_group_set_init(&type1->groups, kernel);
    return type1;
}

static PmIommu *open_config(const PmType1Config *config, GError **error)
{
    g_autoptr(PmKernel) kernel = NULL;
    PmType1 *type1;

    if (!check_config(config, error))
        return NULL;
    kernel = config->kernel != NULL ? pm_kernel_ref(config->kernel) : pm_kernel_host_new();
    type1 = make_type1(kernel);
    if (open_all(type1, config, error)) {
        pm_log(G_LOG_LEVEL_INFO, "type1: opened an address space for at most %" PRIu64 " mappings",
               type1->parent.mapping_limit);
        return &type1->parent;
    }
    pm_iommu_unref(&type1->parent);
    return NULL;
}

PmIommu *pm_iommu_type1_new(const PmType1Config *config, GError **error)
{
    PmType1Config known;

    if (!pm_sized_read("PmType1Config", &known, sizeof(known), config, error))
        return NULL;
    return open_config(&known, error);
}

PmIommu *pm_type1_adopt(PmKernel *kernel, const PmIommuFiles *files, GError **error)
{
    PmType1 *type1 = make_type1(kernel);
    g_auto(PmType1Info) info = {0};

    type1->container = files->fd;
    type1->groups.container = files->fd;
    type1->is_lent = true;
    pm_iommu_handover_await(&type1->parent);
    if (!check_container(type1, error) || !read_info(type1, &info, error)) {
        pm_iommu_unref(&type1->parent);
        return NULL;
    }
    use_dirty_capability(type1, &info);
    use_info(type1, &info);
    type1->parent.is_shared = files->is_shared;
    type1->parent.mapping_limit = files->mapping_limit;
    type1->is_lent = false;
    pm_vfio_group_set_adopt(&type1->groups, files->files);
    return &type1->parent;
}
