/* SPDX-License-Identifier: MIT */
/* May this process use the device nodes? */
#include "plan/doctor_checks.h"

#include "host/host_node.h"

#define CONTAINER "/dev/vfio/vfio"
#define IOMMUFD   "/dev/iommu"

/* Changes the owner, now and whenever udev makes the node. @match: its udev match keys. */
static void fix_owner(const PmDoctorSubject *subject, const char *path, const char *match,
                      PmDoctorFinding *finding)
{
    g_autofree char *user = pm_host_user_name(subject->process->uid);

    pm_doctor_fix(finding, "chown %s %s", user, path);
    pm_doctor_fix_boot(finding, "echo '%s, OWNER=\"%s\"' >>/etc/udev/rules.d/90-vfio.rules", match,
                       user);
}

static void add_node(GString *text, const PmHostNode *node)
{
    g_string_append_printf(text, "%s%s: %s%s", text->len > 0 ? "; " : "", node->path,
                           node->owner != NULL ? node->owner : "missing",
                           node->owner != NULL && !node->may_use ? " (not for this user)" : "");
}

/* --- of the host: one back end suffices --- */

static void find_no_backend(const PmDoctorSubject *subject, const PmHostNode *container,
                            const PmHostNode *iommufd, PmDoctorFinding *finding)
{
    finding->state = PM_DOCTOR_ERROR;
    if (container->owner != NULL)
        fix_owner(subject, CONTAINER, "KERNEL==\"vfio\"", finding);
    if (iommufd->owner != NULL)
        fix_owner(subject, IOMMUFD, "KERNEL==\"iommu\"", finding);
    if (container->owner == NULL && iommufd->owner == NULL) {
        pm_doctor_fix(finding, "modprobe vfio");
        pm_doctor_fix_boot(finding, "echo vfio >/etc/modules-load.d/vfio.conf");
    }
}

void pm_doctor_check_nodes(const PmDoctorSubject *subject, PmDoctorFinding *finding)
{
    g_auto(PmHostNode) container = {0};
    g_auto(PmHostNode) iommufd = {0};
    g_autoptr(GString) text = g_string_new(NULL);

    pm_host_node_read(&container, subject->root, CONTAINER, subject->process);
    pm_host_node_read(&iommufd, subject->root, IOMMUFD, subject->process);
    add_node(text, &container);
    add_node(text, &iommufd);
    pm_doctor_set(finding, PM_DOCTOR_OK, "%s", text->str);
    if (!container.may_use && !iommufd.may_use)
        find_no_backend(subject, &container, &iommufd, finding);
}

/* --- of a device --- */

static void find_forbidden(const PmDoctorSubject *subject, const PmHostNode *group,
                           const PmHostNode *cdev, PmDoctorFinding *finding)
{
    finding->state = PM_DOCTOR_ERROR;
    if (group->owner != NULL) {
        g_autofree char *match =
            g_strdup_printf("SUBSYSTEM==\"vfio\", KERNEL==\"%u\"", subject->device->group);

        fix_owner(subject, group->path, match, finding);
    }
    if (cdev->owner != NULL) {
        g_autofree char *match =
            g_strdup_printf("SUBSYSTEM==\"vfio-dev\", KERNELS==\"%s\"", subject->device->address);

        fix_owner(subject, cdev->path, match, finding);
    }
    if (group->owner == NULL && cdev->owner == NULL)
        pm_doctor_fix(finding, "udevadm trigger --subsystem-match=vfio && udevadm settle");
}

/* Without the driver there are no nodes, and its check says so. */
void pm_doctor_check_permission(const PmDoctorSubject *subject, PmDoctorFinding *finding)
{
    const PmHostDevice *device = subject->device;
    g_autofree char *group_path = g_strdup_printf("/dev/vfio/%u", device->group);
    g_autofree char *cdev_path = NULL;
    g_auto(PmHostNode) group = {0};
    g_auto(PmHostNode) cdev = {0};
    g_autoptr(GString) text = g_string_new(NULL);

    if (!device->has_group || !pm_host_device_is_ready(device))
        return;
    pm_host_node_read(&group, subject->root, group_path, subject->process);
    add_node(text, &group);
    if (device->cdev != NULL) {
        cdev_path = g_strdup_printf("/dev/vfio/devices/%s", device->cdev);
        pm_host_node_read(&cdev, subject->root, cdev_path, subject->process);
        add_node(text, &cdev);
    }
    pm_doctor_set(finding, PM_DOCTOR_OK, "%s", text->str);
    if (!group.may_use && !cdev.may_use)
        find_forbidden(subject, &group, &cdev, finding);
}
