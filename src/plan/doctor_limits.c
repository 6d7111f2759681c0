/* SPDX-License-Identifier: MIT */
/* Limits: mappings, locked memory, the memory cgroup. */
#include "plan/doctor_checks.h"

#include <inttypes.h>
#include <linux/capability.h>
#include <string.h>

#include <plugmap/size.h>

#include "base/error_text.h"
#include "host/entry_limit.h"
#include "host/host_files.h"
#include "host/memory_room.h"
#include "plan/doctor_texts.h"

/* Less than any guest has: nothing can be mapped for it. */
#define SMALLEST_GUEST (64 * PM_MIB)

/* --- mappings --- */

static void find_few_mappings(uint64_t limit, PmDoctorFinding *finding)
{
    g_autofree char *text = pm_count_text(limit);

    pm_doctor_set(finding, PM_DOCTOR_WARNING,
                  "type1 limits a container to %s mappings; the default is 65,535", text);
    pm_doctor_fix(finding, "echo %u >" PM_ENTRY_LIMIT_FILE, PM_ENTRY_LIMIT_DEFAULT);
    pm_doctor_fix_boot(finding,
                       "echo 'options vfio_iommu_type1 dma_entry_limit=%u' "
                       ">" PM_ENTRY_LIMIT_BOOT_FILE,
                       PM_ENTRY_LIMIT_DEFAULT);
}

void pm_doctor_check_mappings(const PmDoctorSubject *subject, PmDoctorFinding *finding)
{
    GError *error = NULL;
    uint64_t limit;
    g_autofree char *text = NULL;
    g_autofree char *size = NULL;

    if (!pm_host_exists(subject->root, PM_ENTRY_LIMIT_FILE))
        return;
    if (!pm_host_read_number(subject->root, PM_ENTRY_LIMIT_FILE, 10, &limit, &error)) {
        pm_doctor_set_error(finding, error);
        return;
    }
    pm_doctor_add_fact(finding, "dma_entry_limit", limit);
    if (limit < PM_ENTRY_LIMIT_DEFAULT) {
        find_few_mappings(limit, finding);
        return;
    }
    text = pm_count_text(limit);
    size = pm_size_format((limit + 1) / 512 * PM_GIB);
    pm_doctor_set(finding, PM_DOCTOR_OK,
                  "type1: %s in a container, some %s in blocks of 2M; iommufd: no limit", text,
                  size);
}

/* --- locked memory --- */

static void fix_locked(const PmDoctorSubject *subject, PmDoctorFinding *finding)
{
    g_autofree char *user = pm_host_user_name(subject->process->uid);

    /* The shell that asks, which starts the VMM, too; not the one of root. */
    if (subject->process->parent != 0)
        pm_doctor_fix(finding, "prlimit --memlock=unlimited --pid %u", subject->process->parent);
    else
        pm_doctor_fix(finding, "prlimit --memlock=unlimited --pid PID");
    pm_doctor_fix_boot(finding, "echo '%s - memlock unlimited' >/etc/security/limits.d/vfio.conf",
                       user);
    pm_doctor_fix_boot(finding, "systemctl edit UNIT  # [Service] LimitMEMLOCK=infinity");
}

static void find_limited(const PmDoctorSubject *subject, uint64_t total, PmDoctorFinding *finding)
{
    uint64_t limit = subject->process->locked_soft;
    g_autofree char *text = pm_size_format(limit);
    g_autofree char *memory = pm_memory_room_format(total);

    pm_doctor_add_fact(finding, "memlock", limit);
    if (limit >= total && total != 0) {
        pm_doctor_set(finding, PM_DOCTOR_OK, "limit of %s, more than the host's memory", text);
        return;
    }
    if (limit < SMALLEST_GUEST)
        pm_doctor_set(
            finding, PM_DOCTOR_ERROR,
            "limit of %s without CAP_IPC_LOCK: too little for any guest; all guest memory "
            "is locked",
            text);
    else
        pm_doctor_set(finding, PM_DOCTOR_WARNING,
                      "limit of %s without CAP_IPC_LOCK: larger guests fail; the host has %s", text,
                      memory);
    fix_locked(subject, finding);
}

void pm_doctor_check_locked(const PmDoctorSubject *subject, PmDoctorFinding *finding)
{
    const PmHostProcess *process = subject->process;
    uint64_t total = 0; /* unknown */

    (void)pm_memory_room_read_meminfo(subject->root, "MemTotal:", &total);
    if (pm_host_process_has(process, CAP_IPC_LOCK))
        pm_doctor_set(finding, PM_DOCTOR_OK, "no limit for this process (CAP_IPC_LOCK)");
    else if (process->locked_soft == UINT64_MAX)
        pm_doctor_set(finding, PM_DOCTOR_OK, "no limit");
    else
        find_limited(subject, total, finding);
}

/* --- memory cgroup --- */

/* systemd names cgroups after its units. */
static void fix_cgroup(const char *file, PmDoctorFinding *finding)
{
    g_autofree char *folder = g_path_get_dirname(file);
    g_autofree char *unit = g_path_get_basename(folder);

    pm_doctor_fix(finding, "echo %s >%s", g_str_has_suffix(file, "/memory.max") ? "max" : "-1",
                  file);
    if (strchr(unit, '.') != NULL)
        pm_doctor_fix_boot(finding, "systemctl set-property %s MemoryMax=infinity", unit);
}

void pm_doctor_check_cgroup(const PmDoctorSubject *subject, PmDoctorFinding *finding)
{
    g_auto(PmMemoryRoom) room = {.n_bytes = UINT64_MAX};
    uint64_t available = 0; /* unknown */

    (void)pm_memory_room_read_meminfo(subject->root, "MemAvailable:", &available);
    pm_memory_room_ask_cgroups(&room, subject->root);
    if (room.n_bytes == UINT64_MAX) {
        pm_doctor_set(finding, PM_DOCTOR_OK, "no limit");
        return;
    }
    pm_doctor_add_fact(finding, "left", room.n_bytes);
    if (room.n_bytes >= available) {
        pm_doctor_set(finding, PM_DOCTOR_OK, "no limit below what the host has available");
        return;
    }
    pm_doctor_set(finding, PM_DOCTOR_WARNING, "%s, less than the host has available", room.why);
    fix_cgroup(room.file, finding);
}
