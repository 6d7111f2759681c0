/* SPDX-License-Identifier: MIT */

#include "util/iommufd_util.h"
#include <plugmap/fake.h>

/* --- around a test --- */

int iommufd_setup(void **state)
{
    Kernel *kernel;

    kernel_setup_closed(state);
    kernel = *state;
    kernel->iommu = kernel_open(kernel, IOMMU);
    assert_true(kernel->iommu >= 0);
    return 0;
}

int iommufd_setup_ioas(void **state)
{
    Kernel *kernel;

    iommufd_setup(state);
    kernel = *state;
    kernel->ioas = iommufd_new_ioas(kernel);
    return 0;
}

void iommufd_attach(Kernel *kernel, const char *address)
{
    kernel->ioas = iommufd_new_ioas(kernel);
    kernel->device = cdev_open_bound(kernel, address, &kernel->device_id);
    kernel->hwpt = kernel->ioas;
    assert_int_equal(cdev_attach(kernel, kernel->device, &kernel->hwpt), 0);
}

int iommufd_setup_attached(void **state)
{
    iommufd_setup(state);
    iommufd_attach(*state, DEVICE);
    return 0;
}

PmFakeConfig iommufd_fake_config(void)
{
    PmFakeConfig config;

    pm_fake_config_init(&config);
    config.iommufd = true;
    return config;
}

Kernel *iommufd_new_fake(const PmFakeConfig *config)
{
    PmFakeConfig defaults = iommufd_fake_config();
    Kernel *kernel = kernel_new_fake_closed(config != NULL ? config : &defaults);

    kernel->iommu = kernel_open(kernel, IOMMU);
    assert_true(kernel->iommu >= 0);
    kernel->device = cdev_open_bound(kernel, DEVICE, &kernel->device_id);
    kernel->ioas = iommufd_new_ioas(kernel);
    return kernel;
}

Kernel *iommufd_new_fake_attached(const PmFakeConfig *config)
{
    Kernel *kernel = iommufd_new_fake(config);

    kernel->hwpt = kernel->ioas;
    assert_int_equal(cdev_attach(kernel, kernel->device, &kernel->hwpt), 0);
    return kernel;
}

/* Uses the type1 interface of /dev/iommu instead of a container. */
int compat_setup(void **state)
{
    Kernel *kernel;

    iommufd_setup(state);
    kernel = *state;
    kernel->container = kernel->iommu;
    kernel->group = kernel_open(kernel, GROUP);
    assert_true(kernel->group >= 0);
    assert_int_equal(kernel_join(kernel, kernel->group, kernel->container), 0);
    return 0;
}

int compat_setup_device(void **state)
{
    Kernel *kernel;

    compat_setup(state);
    kernel = *state;
    assert_int_equal(kernel_set_iommu(kernel, kernel->container, VFIO_TYPE1v2_IOMMU), 0);
    kernel->device = kernel_get_device(kernel, kernel->group, DEVICE);
    assert_true(kernel->device >= 0);
    return 0;
}

/* --- address spaces --- */

int iommufd_ioctl(Kernel *kernel, unsigned long request, void *argument)
{
    return kernel_ioctl(kernel, kernel->iommu, request, argument);
}

uint32_t iommufd_new_ioas(Kernel *kernel)
{
    struct iommu_ioas_alloc alloc = {.size = sizeof(alloc)};

    assert_int_equal(iommufd_ioctl(kernel, IOMMU_IOAS_ALLOC, &alloc), 0);
    return alloc.out_ioas_id;
}

int iommufd_destroy(Kernel *kernel, uint32_t id)
{
    struct iommu_destroy destroy = {.size = sizeof(destroy), .id = id};

    return iommufd_ioctl(kernel, IOMMU_DESTROY, &destroy);
}

int iommufd_map_flags(Kernel *kernel, uint32_t flags, uint64_t *iova, uint64_t host,
                      uint64_t length)
{
    struct iommu_ioas_map map = {
        .size = sizeof(map),
        .flags = flags,
        .ioas_id = kernel->ioas,
        .user_va = host,
        .length = length,
        .iova = *iova,
    };
    int result = iommufd_ioctl(kernel, IOMMU_IOAS_MAP, &map);

    *iova = map.iova;
    return result;
}

int iommufd_map(Kernel *kernel, uint64_t iova, const void *host, uint64_t length)
{
    return iommufd_map_flags(kernel, IOAS_FIXED, &iova, (uintptr_t)host, length);
}

int iommufd_map_file(Kernel *kernel, uint64_t iova, int fd, uint64_t start, uint64_t length)
{
    struct iommu_ioas_map_file map = {
        .size = sizeof(map),
        .flags = IOAS_FIXED,
        .ioas_id = kernel->ioas,
        .fd = fd,
        .start = start,
        .length = length,
        .iova = iova,
    };

    return iommufd_ioctl(kernel, IOMMU_IOAS_MAP_FILE, &map);
}

int iommufd_unmap(Kernel *kernel, uint64_t iova, uint64_t length, uint64_t *n_bytes)
{
    struct iommu_ioas_unmap unmap = {
        .size = sizeof(unmap),
        .ioas_id = kernel->ioas,
        .iova = iova,
        .length = length,
    };
    int result = iommufd_ioctl(kernel, IOMMU_IOAS_UNMAP, &unmap);

    if (n_bytes != NULL)
        *n_bytes = unmap.length;
    return result;
}

uint64_t iommufd_unmap_all(Kernel *kernel)
{
    uint64_t n_bytes;

    assert_int_equal(iommufd_unmap(kernel, 0, UINT64_MAX, &n_bytes), 0);
    return n_bytes;
}

bool iommufd_had(Kernel *kernel, uint64_t iova, uint64_t length)
{
    uint64_t n_bytes;

    return iommufd_unmap(kernel, iova, length, &n_bytes) == 0 && n_bytes == length;
}

int iommufd_copy(Kernel *kernel, uint32_t to, uint64_t to_iova, uint64_t iova, uint64_t length)
{
    struct iommu_ioas_copy copy = {
        .size = sizeof(copy),
        .flags = IOAS_FIXED,
        .dst_ioas_id = to,
        .src_ioas_id = kernel->ioas,
        .length = length,
        .dst_iova = to_iova,
        .src_iova = iova,
    };

    return iommufd_ioctl(kernel, IOMMU_IOAS_COPY, &copy);
}

int iommufd_new_hwpt(Kernel *kernel, uint32_t ioas, uint32_t *hwpt)
{
    struct iommu_hwpt_alloc alloc = {
        .size = sizeof(alloc),
        .dev_id = kernel->device_id,
        .pt_id = ioas,
    };
    int result = iommufd_ioctl(kernel, IOMMU_HWPT_ALLOC, &alloc);

    *hwpt = alloc.out_hwpt_id;
    return result;
}

int iommufd_option(Kernel *kernel, uint32_t option, uint16_t op, uint32_t object, uint64_t *value)
{
    struct iommu_option argument = {
        .size = sizeof(argument),
        .option_id = option,
        .op = op,
        .object_id = object,
        .val64 = *value,
    };
    int result = iommufd_ioctl(kernel, IOMMU_OPTION, &argument);

    *value = argument.val64;
    return result;
}

/* --- device cdevs --- */

/* The fake kernel's are numbered in the order of adding devices. */
static char *cdev_path(const Kernel *kernel, const char *address)
{
    g_autofree char *directory = g_strdup_printf("/sys/bus/pci/devices/%s/vfio-dev", address);
    g_autoptr(GDir) listing = NULL;
    const char *name;

    if (kernel->is_fake)
        return g_strdup_printf("/dev/vfio/devices/vfio%d", strcmp(address, DEVICE) == 0 ? 0
                                                           : strcmp(address, OTHER_DEVICE) == 0
                                                               ? 1
                                                               : 2);
    listing = g_dir_open(directory, 0, NULL);
    assert_non_null(listing);
    name = g_dir_read_name(listing);
    assert_non_null(name);
    return g_strdup_printf("/dev/vfio/devices/%s", name);
}

int cdev_open(Kernel *kernel, const char *address)
{
    g_autofree char *path = cdev_path(kernel, address);
    int device = kernel_open(kernel, path);

    assert_true(device >= 0);
    return device;
}

int cdev_bind(Kernel *kernel, int device, int iommu, uint32_t *id)
{
    struct vfio_device_bind_iommufd bind = {.argsz = sizeof(bind), .iommufd = iommu};
    int result = kernel_ioctl(kernel, device, VFIO_DEVICE_BIND_IOMMUFD, &bind);

    if (id != NULL)
        *id = bind.out_devid;
    return result;
}

int cdev_open_bound(Kernel *kernel, const char *address, uint32_t *id)
{
    int device = cdev_open(kernel, address);

    assert_int_equal(cdev_bind(kernel, device, kernel->iommu, id), 0);
    return device;
}

int cdev_attach(Kernel *kernel, int device, uint32_t *pt)
{
    struct vfio_device_attach_iommufd_pt attach = {.argsz = sizeof(attach), .pt_id = *pt};
    int result = kernel_ioctl(kernel, device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach);

    *pt = attach.pt_id;
    return result;
}

int cdev_detach(Kernel *kernel, int device)
{
    struct vfio_device_detach_iommufd_pt detach = {.argsz = sizeof(detach)};

    return kernel_ioctl(kernel, device, VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach);
}

/* --- accounting --- */

static uint64_t pinned_by_status(void)
{
    g_autofree char *status = NULL;
    const char *line;

    assert_true(g_file_get_contents("/proc/self/status", &status, NULL, NULL));
    line = strstr(status, "VmPin:");
    assert_non_null(line);
    return g_ascii_strtoull(line + strlen("VmPin:"), NULL, 10) * PM_KIB;
}

uint64_t iommufd_pinned(Kernel *kernel)
{
    return kernel->is_fake ? pm_fake_kernel_get_pinned(kernel->pm) : pinned_by_status();
}

void iommufd_assert_charged(Kernel *kernel, uint64_t pinned, uint64_t user, uint64_t process)
{
    PmLockedMemory locked = {.struct_size = sizeof(locked)};

    assert_int_equal(pm_fake_kernel_get_pinned(kernel->pm), pinned);
    assert_int_equal(pm_fake_kernel_get_user_locked(kernel->pm), user);
    assert_int_equal(pm_fake_kernel_get_locked(kernel->pm), process);
    assert_int_equal(kernel->pm->ops->locked_memory(kernel->pm, &locked), 0);
    assert_int_equal(locked.used, process);
    assert_int_equal(locked.pinned, pinned);
}

void iommufd_set_charge(Kernel *kernel, Charge charge)
{
    uint64_t mode = charge;

    assert_int_equal(
        iommufd_option(kernel, IOMMU_OPTION_RLIMIT_MODE, IOMMU_OPTION_OP_SET, 0, &mode), 0);
}

void iommufd_attach_charged(Kernel *kernel, Charge charge, uint64_t limit)
{
    iommufd_set_charge(kernel, charge);
    iommufd_attach(kernel, DEVICE);
    kernel_set_memlock(kernel, limit, false);
}
