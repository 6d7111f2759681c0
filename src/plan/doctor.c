/* SPDX-License-Identifier: MIT */
#include "plan/doctor.h"

#include "host/host_files.h"
#include "plan/doctor_checks.h"
#include "vfio/pci_names.h"

typedef struct {
    const char *name;
    void (*run)(const PmDoctorSubject *subject, PmDoctorFinding *finding);
} Check;

static const Check host_checks[] = {
    {"iommu", pm_doctor_check_iommu},         {"interrupts", pm_doctor_check_interrupts},
    {"vfio-pci", pm_doctor_check_vfio_pci},   {"type1", pm_doctor_check_type1},
    {"iommufd", pm_doctor_check_iommufd},     {"nodes", pm_doctor_check_nodes},
    {"mappings", pm_doctor_check_mappings},   {"locked", pm_doctor_check_locked},
    {"cgroup", pm_doctor_check_cgroup},       {"overcommit", pm_doctor_check_overcommit},
    {"hugepages", pm_doctor_check_hugepages}, {"thp", pm_doctor_check_thp},
};

static const Check device_checks[] = {
    {"driver", pm_doctor_check_driver},         {"group", pm_doctor_check_group},
    {"permission", pm_doctor_check_permission}, {"aperture", pm_doctor_check_aperture},
    {"users", pm_doctor_check_users},
};

static void free_finding(gpointer finding)
{
    pm_doctor_finding_free(finding);
}

static void free_device(gpointer data)
{
    PmDoctorDevice *device = data;

    pm_host_device_free(device->device);
    g_ptr_array_unref(device->findings);
    g_free(device);
}

void pm_doctor_report_free(PmDoctorReport *report)
{
    if (report == NULL)
        return;
    g_free(report->release);
    g_ptr_array_unref(report->findings);
    g_ptr_array_unref(report->devices);
    g_free(report);
}

/* Returns the worst state. */
static PmDoctorState run_checks(const Check *checks, size_t n_checks,
                                const PmDoctorSubject *subject, GPtrArray *findings)
{
    PmDoctorState worst = PM_DOCTOR_OK;

    for (size_t i = 0; i < n_checks; i++) {
        g_autoptr(PmDoctorFinding) finding = pm_doctor_finding_new(checks[i].name);

        checks[i].run(subject, finding);
        worst = MAX(worst, finding->state);
        if (finding->state != PM_DOCTOR_SKIPPED)
            g_ptr_array_add(findings, g_steal_pointer(&finding));
    }
    return worst;
}

/* A device that nobody asked for may well belong to the host. */
static void soften(PmDoctorDevice *device)
{
    for (guint i = 0; i < device->findings->len; i++) {
        PmDoctorFinding *finding = g_ptr_array_index(device->findings, i);

        finding->state = MIN(finding->state, PM_DOCTOR_WARNING);
    }
    device->worst = MIN(device->worst, PM_DOCTOR_WARNING);
}

/* Takes @found. */
static void add_device(PmDoctorReport *report, const PmDoctorSubject *host, PmHostDevice *found)
{
    PmDoctorDevice *device = g_new0(PmDoctorDevice, 1);
    PmDoctorSubject subject = *host;

    subject.device = found;
    device->device = found;
    device->findings = g_ptr_array_new_with_free_func(free_finding);
    device->worst =
        run_checks(device_checks, G_N_ELEMENTS(device_checks), &subject, device->findings);
    if (report->is_list && !pm_host_device_is_ready(found))
        soften(device);
    report->worst = MAX(report->worst, device->worst);
    g_ptr_array_add(report->devices, device);
}

static bool has_device(const PmDoctorReport *report, const char *address)
{
    for (guint i = 0; i < report->devices->len; i++) {
        const PmDoctorDevice *device = g_ptr_array_index(report->devices, i);

        if (g_str_equal(device->device->address, address))
            return true;
    }
    return false;
}

static bool add_asked(PmDoctorReport *report, const PmDoctorSubject *host,
                      const char *const *addresses, GError **error)
{
    for (const char *const *address = addresses; *address != NULL; address++) {
        PmHostDevice *found = NULL;

        if (has_device(report, *address))
            continue;
        if (pm_pci_check_address(*address, error))
            found = pm_host_device_read(host->root, *address, error);
        if (found == NULL)
            return false;
        add_device(report, host, found);
    }
    return true;
}

static bool add_all(PmDoctorReport *report, const PmDoctorSubject *host, GError **error)
{
    g_autoptr(GPtrArray) found = pm_host_device_list(host->root, error);

    if (found == NULL)
        return false;
    report->is_list = true;
    while (found->len > 0)
        add_device(report, host, g_ptr_array_steal_index(found, 0));
    return true;
}

PmDoctorReport *pm_doctor_run(const char *root, const PmHostProcess *process,
                              const char *const *addresses, GError **error)
{
    const PmDoctorSubject host = {.root = root, .process = process};
    g_autoptr(PmDoctorReport) report = g_new0(PmDoctorReport, 1);

    report->findings = g_ptr_array_new_with_free_func(free_finding);
    report->devices = g_ptr_array_new_with_free_func(free_device);
    report->release = pm_host_read(root, "/proc/sys/kernel/osrelease", error);
    if (report->release == NULL)
        return NULL;
    report->worst = run_checks(host_checks, G_N_ELEMENTS(host_checks), &host, report->findings);
    if (addresses != NULL && *addresses != NULL ? !add_asked(report, &host, addresses, error)
                                                : !add_all(report, &host, error))
        return NULL;
    return g_steal_pointer(&report);
}

const PmDoctorFinding *pm_doctor_worst_finding(const PmDoctorDevice *device)
{
    for (guint i = 0; i < device->findings->len && device->worst > PM_DOCTOR_OK; i++) {
        const PmDoctorFinding *finding = g_ptr_array_index(device->findings, i);

        if (finding->state == device->worst)
            return finding;
    }
    return NULL;
}
