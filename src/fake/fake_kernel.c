/* SPDX-License-Identifier: MIT */
#include "fake/fake_kernel.h"

#include <errno.h>
#include <string.h>

#include "base/error_text.h"
#include "base/process.h"
#include "base/sized.h"
#include "fake/iommufd/iommufd_file.h"
#include "fake/sysfs/sysfs.h"
#include "fake/vfio/container.h"
#include "fake/vfio/device_cdev.h"
#include "fake/vfio/group_file.h"

#define GROUP_PREFIX  "/dev/vfio/"
#define DEVICE_PREFIX "/dev/vfio/devices/vfio"

PmFakeKernel *pm_fake_kernel_of(PmKernel *kernel)
{
    return (PmFakeKernel *)kernel;
}

PmGroup *pm_fake_kernel_find_group(const PmFakeKernel *fake, unsigned number)
{
    for (guint i = 0; i < fake->groups->len; i++) {
        PmGroup *group = g_ptr_array_index(fake->groups, i);

        if (group->number == number)
            return group;
    }
    return NULL;
}

/* True only if the whole text is a number. */
static bool read_number(const char *text, unsigned *number)
{
    char *end;
    guint64 value = g_ascii_strtoull(text, &end, 10);

    *number = (unsigned)value;
    return g_ascii_isdigit(*text) && *end == '\0' && value <= UINT_MAX;
}

static int open_group(PmFakeKernel *fake, const char *number_text, int flags)
{
    PmGroup *group = NULL;
    unsigned number;

    if (read_number(number_text, &number))
        group = pm_fake_kernel_find_group(fake, number);
    return group != NULL ? pm_group_open(group, flags) : -ENOENT;
}

/* The device cdev. */
static int open_device(PmFakeKernel *fake, const char *number_text, int flags)
{
    unsigned number;

    if (!read_number(number_text, &number))
        return -ENOENT;
    for (guint i = 0; i < fake->groups->len; i++) {
        const PmGroup *group = g_ptr_array_index(fake->groups, i);

        for (guint j = 0; j < group->devices->len; j++) {
            PmFakeVfioDevice *device = g_ptr_array_index(group->devices, j);

            if (device->pci->edu != NULL && device->number == number)
                return pm_device_cdev_open(device, flags);
        }
    }
    return -ENOENT;
}

static int do_open(PmFakeKernel *fake, const char *path, int flags)
{
    if (strcmp(path, "/dev/vfio/vfio") == 0)
        return pm_container_open(&fake->memory, flags);
    if (fake->machine.config.iommufd && strcmp(path, "/dev/iommu") == 0)
        return pm_fake_iommufd_open(&fake->memory, flags);
    if (fake->machine.config.iommufd && g_str_has_prefix(path, DEVICE_PREFIX))
        return open_device(fake, path + strlen(DEVICE_PREFIX), flags);
    if (g_str_has_prefix(path, GROUP_PREFIX))
        return open_group(fake, path + strlen(GROUP_PREFIX), flags);
    return -ENOENT;
}

static int fake_open(PmKernel *kernel, const char *path, int flags)
{
    PmFakeKernel *fake = pm_fake_kernel_of(kernel);
    int result;

    pthread_mutex_lock(&fake->machine.lock);
    result = pm_fault_plan_enter(&fake->machine.plan, PM_FAKE_CALL_OPEN);
    if (result == 0)
        result = do_open(fake, path, flags);
    pthread_mutex_unlock(&fake->machine.lock);
    return result;
}

/* After fork(), a thread that only the parent has may hold the lock forever. */
static bool try_lock(PmFakeKernel *fake)
{
    if (fake->process != pm_process_token())
        return pthread_mutex_trylock(&fake->machine.lock) == 0;
    pthread_mutex_lock(&fake->machine.lock);
    return true;
}

/* As in Linux, a close that fails still closes the descriptor. */
static int fake_close(PmKernel *kernel, int fd)
{
    PmFakeKernel *fake = pm_fake_kernel_of(kernel);
    int planned;
    int result;

    if (!try_lock(fake))
        return 0;
    planned = pm_fault_plan_enter(&fake->machine.plan, PM_FAKE_CALL_CLOSE);
    result = pm_file_table_close(&fake->machine.files, fd);
    pthread_mutex_unlock(&fake->machine.lock);
    return result < 0 ? result : planned;
}

/* Devices and containers share ioctl numbers, so the file decides. */
static PmFakeCall ioctl_kind(const PmFile *file, unsigned long request)
{
    return file != NULL && file->ops->ioctl_kind != NULL ? file->ops->ioctl_kind(request)
                                                         : PM_FAKE_CALL_IOCTL;
}

static int fake_ioctl(PmKernel *kernel, int fd, unsigned long request, void *argument)
{
    PmFakeKernel *fake = pm_fake_kernel_of(kernel);
    const PmFile *file;
    int result;

    pthread_mutex_lock(&fake->machine.lock);
    file = pm_file_table_find(&fake->machine.files, fd);
    result = pm_fault_plan_enter(&fake->machine.plan, ioctl_kind(file, request));
    if (result == 0)
        result = file != NULL ? file->ops->ioctl(file->object, request, argument) : -EBADF;
    pthread_mutex_unlock(&fake->machine.lock);
    return result;
}

static int fake_mmap(PmKernel *kernel, int fd, size_t size, int protection, int flags,
                     uint64_t offset, void **address)
{
    PmFakeKernel *fake = pm_fake_kernel_of(kernel);
    const PmFile *file;
    int result;

    (void)size;
    (void)protection;
    (void)flags;
    (void)offset;
    (void)address;
    pthread_mutex_lock(&fake->machine.lock);
    file = pm_file_table_find(&fake->machine.files, fd);
    result = pm_fault_plan_enter(&fake->machine.plan, PM_FAKE_CALL_MMAP);
    if (result == 0)
        result = file != NULL ? -file->ops->mmap_error : -EBADF;
    pthread_mutex_unlock(&fake->machine.lock);
    return result;
}

/* mmap() always fails, so nothing is mapped. */
static int fake_munmap(PmKernel *kernel, void *address, size_t size)
{
    PmFakeKernel *fake = pm_fake_kernel_of(kernel);
    int result;

    (void)address;
    (void)size;
    pthread_mutex_lock(&fake->machine.lock);
    result = pm_fault_plan_enter(&fake->machine.plan, PM_FAKE_CALL_MUNMAP);
    pthread_mutex_unlock(&fake->machine.lock);
    return result < 0 ? result : -EINVAL;
}

static ssize_t fake_pread(PmKernel *kernel, int fd, void *buffer, size_t size, uint64_t offset)
{
    PmFakeKernel *fake = pm_fake_kernel_of(kernel);
    const PmFile *file;
    ssize_t result;

    pthread_mutex_lock(&fake->machine.lock);
    file = pm_file_table_find(&fake->machine.files, fd);
    result = pm_fault_plan_enter(&fake->machine.plan, PM_FAKE_CALL_PREAD);
    if (result == 0 && file == NULL)
        result = -EBADF;
    else if (result == 0)
        result = file->ops->pread != NULL ? file->ops->pread(file->object, buffer, size, offset)
                                          : -EINVAL;
    pthread_mutex_unlock(&fake->machine.lock);
    return result;
}

static ssize_t fake_pwrite(PmKernel *kernel, int fd, const void *buffer, size_t size,
                           uint64_t offset)
{
    PmFakeKernel *fake = pm_fake_kernel_of(kernel);
    const PmFile *file;
    ssize_t result;

    pthread_mutex_lock(&fake->machine.lock);
    file = pm_file_table_find(&fake->machine.files, fd);
    result = pm_fault_plan_enter(&fake->machine.plan, PM_FAKE_CALL_PWRITE);
    if (result == 0 && file == NULL)
        result = -EBADF;
    else if (result == 0)
        result = file->ops->pwrite != NULL ? file->ops->pwrite(file->object, buffer, size, offset)
                                           : -EINVAL;
    pthread_mutex_unlock(&fake->machine.lock);
    return result;
}

static int fake_locked_memory(PmKernel *kernel, PmLockedMemory *locked)
{
    PmFakeKernel *fake = pm_fake_kernel_of(kernel);

    pthread_mutex_lock(&fake->machine.lock);
    locked->limit = pm_fake_config_lock_limit(&fake->machine.config);
    locked->used = fake->machine.charges.process_locked;
    locked->pinned = fake->machine.charges.pinned;
    locked->waived = fake->machine.config.cap_ipc_lock;
    pthread_mutex_unlock(&fake->machine.lock);
    return 0;
}

/* There is no expensive part to skip. */
static int fake_lock_limit(PmKernel *kernel, PmLockedMemory *locked)
{
    int result = fake_locked_memory(kernel, locked);

    locked->used = 0;
    locked->pinned = 0;
    return result;
}

/* There is no cache. */
static int fake_refresh(PmKernel *kernel G_GNUC_UNUSED)
{
    return 0;
}

static PmFakeSysfs sysfs_of(const PmFakeKernel *fake)
{
    return (PmFakeSysfs){.groups = fake->groups, .device_files = fake->machine.config.iommufd};
}

static ssize_t fake_readlink(PmKernel *kernel, const char *path, char *buffer, size_t size)
{
    PmFakeKernel *fake = pm_fake_kernel_of(kernel);
    PmFakeSysfs sysfs = sysfs_of(fake);
    ssize_t result;

    pthread_mutex_lock(&fake->machine.lock);
    result = pm_fake_sysfs_readlink(&sysfs, path, buffer, size);
    pthread_mutex_unlock(&fake->machine.lock);
    return result;
}

static int fake_list(PmKernel *kernel, const char *path, GStrv *names)
{
    PmFakeKernel *fake = pm_fake_kernel_of(kernel);
    PmFakeSysfs sysfs = sysfs_of(fake);
    int result;

    pthread_mutex_lock(&fake->machine.lock);
    result = pm_fake_sysfs_list(&sysfs, path, names);
    pthread_mutex_unlock(&fake->machine.lock);
    return result;
}

static void fake_free(PmKernel *kernel)
{
    PmFakeKernel *fake = pm_fake_kernel_of(kernel);

    pm_file_table_clear(&fake->machine.files);
    g_ptr_array_unref(fake->groups);
    pm_fake_memory_clear(&fake->memory);
    pm_fake_machine_clear(&fake->machine);
    g_free(fake);
}

static const PmKernelOps fake_ops = {
    .struct_size = sizeof(fake_ops),
    .open = fake_open,
    .close = fake_close,
    .ioctl = fake_ioctl,
    .mmap = fake_mmap,
    .munmap = fake_munmap,
    .pread = fake_pread,
    .pwrite = fake_pwrite,
    .lock_limit = fake_lock_limit,
    .locked_memory = fake_locked_memory,
    .refresh = fake_refresh,
    .readlink = fake_readlink,
    .list = fake_list,
    .free = fake_free,
};

bool pm_fake_kernel_is_fake(const PmKernel *kernel)
{
    return kernel != NULL && kernel->ops->open == fake_open;
}

static bool is_pci_address(const char *text)
{
    return g_regex_match_simple("^[0-9a-f]{4,8}:[0-9a-f]{2}:[01][0-9a-f]\\.[0-7]\\z", text, 0, 0);
}

static bool address_is_taken(const PmFakeKernel *fake, const char *address)
{
    for (guint i = 0; i < fake->groups->len; i++) {
        const PmGroup *group = g_ptr_array_index(fake->groups, i);

        for (guint j = 0; j < group->devices->len; j++) {
            const PmFakeVfioDevice *device = g_ptr_array_index(group->devices, j);

            if (g_str_equal(device->pci->address, address))
                return true;
        }
    }
    return false;
}

static bool add_device(PmFakeKernel *fake, unsigned number, const char *address, const char *driver,
                       GError **error)
{
    PmGroup *group = pm_fake_kernel_find_group(fake, number);
    const PmFakeVfioDevice *device;

    if (address_is_taken(fake, address))
        return pm_fail(error, PM_ERROR_BUSY, "the fake kernel already has a device %s", address);
    if (group != NULL && pm_group_in_use(group))
        return pm_fail(error, PM_ERROR_BUSY,
                       "group %u is in use: add devices before opening its files", number);
    if (group == NULL) {
        group = pm_group_new(&fake->memory, number);
        g_ptr_array_add(fake->groups, group);
    }
    device = pm_group_add_device(group, address, driver, fake->n_vfio_devices);
    fake->n_vfio_devices += device->pci->edu != NULL;
    return true;
}

bool pm_fake_kernel_add_device(PmKernel *kernel, unsigned group, const char *address,
                               const char *driver, GError **error)
{
    PmFakeKernel *fake;
    bool added;

    if (!is_pci_address(address))
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "invalid PCI address %s: must be like 0000:00:04.0", address);
    if (!pm_fake_kernel_is_fake(kernel))
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT, "cannot add %s: not a fake kernel",
                       address);
    fake = pm_fake_kernel_of(kernel);
    pthread_mutex_lock(&fake->machine.lock);
    added = add_device(fake, group, address, driver, error);
    pthread_mutex_unlock(&fake->machine.lock);
    return added;
}

PmKernel *pm_fake_kernel_new(const PmFakeConfig *config, GError **error)
{
    PmFakeConfig known;
    PmFakeKernel *fake;

    pm_fake_config_init(&known);
    if (config != NULL && !pm_sized_read("PmFakeConfig", &known, sizeof(known), config, error))
        return NULL;
    if (!pm_fake_config_check(&known, error))
        return NULL;
    fake = g_new0(PmFakeKernel, 1);
    pm_fake_machine_init(&fake->machine, &known);
    if (!pm_fake_memory_init(&fake->memory, &fake->machine, error)) {
        pm_fake_machine_clear(&fake->machine);
        g_free(fake);
        return NULL;
    }
    (void)pm_kernel_init(&fake->kernel, &fake_ops, NULL, NULL);
    fake->process = pm_process_token();
    fake->groups = g_ptr_array_new_with_free_func(pm_group_free);
    (void)pm_fake_kernel_add_device(&fake->kernel, 1, "0000:00:04.0", "vfio-pci", NULL);
    return &fake->kernel;
}
