/* SPDX-License-Identifier: MIT */
/* The driver of a device, and its group. */
#include "plan/doctor_checks.h"

#include "base/error_text.h"
#include "host/host_files.h"
#include "plan/doctor_texts.h"
#include "vfio/pci_names.h"

/* The rest is "and N more". */
#define MAX_SHOWN 8

/* --- driver --- */

void pm_doctor_check_driver(const PmDoctorSubject *subject, PmDoctorFinding *finding)
{
    const PmHostDevice *device = subject->device;

    if (pm_host_device_is_ready(device)) {
        pm_doctor_set(finding, PM_DOCTOR_OK, "%s%s%s", device->driver,
                      device->cdev != NULL ? ", device cdev " : ", no device cdev",
                      device->cdev != NULL ? device->cdev : "");
        return;
    }
    pm_doctor_set(finding, PM_DOCTOR_ERROR, "%s, not vfio-pci",
                  device->driver != NULL ? device->driver : "none");
    pm_doctor_fix_binding(finding, device->address, device->driver);
}

/* --- group --- */

/* @members: "0000:00:07.1 (serial)". @blockers: addresses of those that keep VFIO out. */
typedef struct {
    GString *members;
    GString *blockers;
    unsigned n_blockers;
} Group;

static void group_clear(Group *group)
{
    g_string_free(group->members, TRUE);
    g_string_free(group->blockers, TRUE);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Group, group_clear)

static void add_to(GString *text, const char *member, const char *driver)
{
    g_string_append_printf(text, "%s%s (%s)", text->len > 0 ? ", " : "", member,
                           driver != NULL ? driver : "no driver");
}

/* The device itself is up to its own check. */
static void add_member(const PmDoctorSubject *subject, const char *member, Group *group,
                       PmDoctorFinding *finding)
{
    g_autofree char *driver =
        pm_host_group_member_driver(subject->root, subject->device->group, member);

    if (g_str_equal(member, subject->device->address))
        return;
    if (!pm_pci_keeps_group_from_user(driver)) {
        add_to(group->members, member, driver);
        return;
    }
    if (group->n_blockers++ >= MAX_SHOWN)
        return;
    add_to(group->blockers, member, driver);
    pm_doctor_fix(finding, "echo %s >/sys/bus/pci/devices/%s/driver/unbind", member, member);
    pm_doctor_fix_boot(finding, "driverctl set-override %s vfio-pci", member);
}

static void describe_group(const PmDoctorSubject *subject, const Group *group, unsigned n_members,
                           PmDoctorFinding *finding)
{
    unsigned number = subject->device->group;

    if (group->n_blockers > 0) {
        g_autofree char *more = group->n_blockers > MAX_SHOWN
                                    ? g_strdup_printf(" and %u more", group->n_blockers - MAX_SHOWN)
                                    : g_strdup("");

        pm_doctor_set(
            finding, PM_DOCTOR_ERROR,
            "%u is not viable: host drivers have %s%s; all of a group belong to one owner", number,
            group->blockers->str, more);
    } else if (n_members > 1) {
        g_autofree char *rest = group->members->len < 400 ? g_strdup(group->members->str)
                                                          : pm_counted(n_members - 1, "device");

        pm_doctor_set(finding, PM_DOCTOR_OK, "%u, viable, with %s", number, rest);
    } else {
        pm_doctor_set(finding, PM_DOCTOR_OK, "%u, viable, alone", number);
    }
}

static void find_no_group(const PmDoctorSubject *subject, PmDoctorFinding *finding)
{
    pm_doctor_set(finding, PM_DOCTOR_ERROR,
                  "none: no IOMMU translates for this device; enable it in the firmware and on the "
                  "kernel's command line");
    pm_doctor_fix_missing_iommu(subject->root, finding);
}

/* VFIO's group for devices without an IOMMU. */
static bool is_noiommu(const PmDoctorSubject *subject)
{
    g_autofree char *path =
        g_strdup_printf("/sys/kernel/iommu_groups/%u/name", subject->device->group);
    g_autofree char *name = pm_host_read(subject->root, path, NULL);

    return g_strcmp0(name, "vfio-noiommu") == 0;
}

static void find_members(const PmDoctorSubject *subject, PmDoctorFinding *finding)
{
    g_auto(Group) group = {.members = g_string_new(NULL), .blockers = g_string_new(NULL)};
    GError *error = NULL;
    g_auto(GStrv) members = pm_host_group_members(subject->root, subject->device->group, &error);

    if (members == NULL) {
        pm_doctor_set_error(finding, error);
        return;
    }
    for (char **member = members; *member != NULL; member++)
        add_member(subject, *member, &group, finding);
    describe_group(subject, &group, g_strv_length(members), finding);
}

void pm_doctor_check_group(const PmDoctorSubject *subject, PmDoctorFinding *finding)
{
    if (!subject->device->has_group || is_noiommu(subject)) {
        find_no_group(subject, finding);
        return;
    }
    pm_doctor_add_fact(finding, "group", subject->device->group);
    find_members(subject, finding);
}
