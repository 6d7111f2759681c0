/* SPDX-License-Identifier: MIT */
#include "vfio/device_node.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error_text.h"
#include "kernel-uapi/vfio.h"
#include "kernel/kernel_calls.h"

/* EBADF: not open; ENOTTY: not a file of VFIO; EINVAL: another kind of VFIO file. */
bool pm_vfio_fail_descriptor(GError **error, int error_number, int fd, const char *what)
{
    g_autofree char *name = pm_errno_text(error_number);

    if (error_number == EBADF || error_number == ENOTTY || error_number == EINVAL) {
        (void)pm_fail(error, PM_ERROR_INVALID_ARGUMENT, "descriptor %d is not %s: %s", fd, what,
                      name);
        return pm_note_errno(error, error_number);
    }
    return pm_fail_ioctl(error, error_number, PM_SEE_KERNEL_LOG,
                         "asking whether descriptor %d is %s", fd, what);
}

bool pm_vfio_check_device(PmKernel *kernel, int fd, GError **error)
{
    struct vfio_device_info info = {.argsz = sizeof info};
    int result = pm_kernel_ioctl(kernel, fd, VFIO_DEVICE_GET_INFO, &info);

    return result >= 0 || pm_vfio_fail_descriptor(error, -result, fd, "a VFIO device");
}

bool pm_vfio_fail_attached(GError **error, const char *device)
{
    return pm_fail(error, PM_ERROR_BUSY, "%s is already attached to this address space", device);
}

bool pm_vfio_fail_not_attached(GError **error, const char *device)
{
    return pm_fail(error, PM_ERROR_NOT_FOUND, "%s is not attached to this address space", device);
}

bool pm_vfio_fail_last_device(GError **error, const char *device)
{
    return pm_fail(error, PM_ERROR_BUSY,
                   "cannot detach %s: it is the last device of this address space, and the kernel "
                   "would remove all mappings. Unmap, and drop the address space instead",
                   device);
}

static char *user_name(uid_t uid)
{
    struct passwd entry;
    struct passwd *found = NULL;
    char buffer[4096];

    if (getpwuid_r(uid, &entry, buffer, sizeof buffer, &found) == 0 && found != NULL)
        return g_strdup(found->pw_name);
    return g_strdup_printf("%u", (unsigned)uid);
}

static char *group_name(gid_t gid)
{
    struct group entry;
    struct group *found = NULL;
    char buffer[4096];

    if (getgrgid_r(gid, &entry, buffer, sizeof buffer, &found) == 0 && found != NULL)
        return g_strdup(found->gr_name);
    return g_strdup_printf("%u", (unsigned)gid);
}

/* "it belongs to root:vfio, mode 0660"; device nodes of a fake kernel have no owner. */
static char *describe_owner(const char *path)
{
    struct stat status;
    g_autofree char *user = NULL;
    g_autofree char *group = NULL;

    if (stat(path, &status) != 0)
        return g_strdup("it belongs to somebody else");
    user = user_name(status.st_uid);
    group = group_name(status.st_gid);
    return g_strdup_printf("it belongs to %s:%s, mode %04o", user, group,
                           (unsigned)status.st_mode & 07777);
}

/* The udev match key of the device node. */
static const char *udev_match(const char *path)
{
    if (g_str_equal(path, "/dev/iommu"))
        return "KERNEL==\"iommu\"";
    return g_str_has_prefix(path, "/dev/vfio/devices/") ? "SUBSYSTEM==\"vfio-dev\""
                                                        : "SUBSYSTEM==\"vfio\"";
}

static bool fail_permission(GError **error, const char *path, const char *name)
{
    g_autofree char *owner = describe_owner(path);
    g_autofree char *user = user_name(geteuid());

    return pm_fail(error, PM_ERROR_PERMISSION,
                   "%s: %s; %s. Change its owner, as root:\n"
                   "  chown %s %s\n"
                   "or permanently, with a line in a file of /etc/udev/rules.d:\n"
                   "  %s, OWNER=\"%s\"",
                   path, name, owner, user, path, udev_match(path), user);
}

static bool fail_open(GError **error, const char *path, const char *if_missing, int error_number)
{
    g_autofree char *name = pm_errno_text(error_number);

    switch (error_number) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
        return pm_fail(error, PM_ERROR_NOT_FOUND, "%s: %s; %s", path, name, if_missing);
    case EACCES:
    case EPERM:
        return fail_permission(error, path, name);
    case ECHILD:
        return pm_fail(error, PM_ERROR_PERMISSION,
                       "%s: %s; this process was forked from the one that created the PmKernel: "
                       "create one in this process",
                       path, name);
    case EBUSY:
        return pm_fail(error, PM_ERROR_BUSY,
                       "%s: %s; this or another process has it open. To find it:\n"
                       "  fuser -v %s",
                       path, name, path);
    default:
        return pm_fail(error, PM_ERROR_KERNEL, "cannot open %s: %s; " PM_SEE_KERNEL_LOG, path,
                       name);
    }
}

int pm_vfio_open_node(PmKernel *kernel, const char *path, const char *if_missing, GError **error)
{
    int fd = pm_kernel_open(kernel, path, O_RDWR | O_CLOEXEC);

    if (fd >= 0)
        return fd;
    (void)fail_open(error, path, if_missing, -fd);
    (void)pm_note_errno(error, -fd);
    return -1;
}
