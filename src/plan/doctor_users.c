/* SPDX-License-Identifier: MIT */
/* Does another process have the device? */
#include "plan/doctor_checks.h"

#include "host/host_node.h"

#define MAX_SHOWN 4

static void find_users(const PmHostUsers *users, PmDoctorFinding *finding)
{
    g_autoptr(GString) text = g_string_new(NULL);
    guint n_shown = MIN(users->users->len, MAX_SHOWN);

    for (guint i = 0; i < n_shown; i++) {
        const PmHostUser *user = g_ptr_array_index(users->users, i);

        g_string_append_printf(text, "%s%s (%s)", i > 0 ? ", " : "", user->name, user->pid);
        pm_doctor_fix(finding, "kill %s", user->pid);
    }
    pm_doctor_add_fact(finding, "users", users->users->len);
    pm_doctor_set(finding, PM_DOCTOR_WARNING, "in use by %s%s: only one process can have it",
                  text->str, users->users->len > n_shown ? " and others" : "");
}

void pm_doctor_check_users(const PmDoctorSubject *subject, PmDoctorFinding *finding)
{
    const PmHostDevice *device = subject->device;
    g_autofree char *group = g_strdup_printf("/dev/vfio/%u", device->group);
    g_autofree char *cdev = g_strdup_printf("/dev/vfio/devices/%s", device->cdev);
    const char *const paths[] = {group, device->cdev != NULL ? cdev : NULL, NULL};
    g_auto(PmHostUsers) users = {0};

    if (!device->has_group || !pm_host_device_is_ready(device))
        return;
    pm_host_users_find(&users, subject->root, paths);
    if (users.users->len > 0) {
        find_users(&users, finding);
    } else if (users.n_unknown > 0) {
        pm_doctor_set(finding, PM_DOCTOR_WARNING,
                      "none seen, but those of %u processes of other users are hidden",
                      users.n_unknown);
        pm_doctor_fix(finding, "plugmap doctor %s", device->address);
    } else {
        pm_doctor_add_fact(finding, "users", 0);
        pm_doctor_set(finding, PM_DOCTOR_OK, "none");
    }
}
