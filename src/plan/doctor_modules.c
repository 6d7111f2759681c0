/* SPDX-License-Identifier: MIT */
/* The kernel's modules: vfio-pci, and one of the two back ends. */
#include "plan/doctor_checks.h"

#include "host/host_files.h"
#include "host/host_module.h"

#define NOIOMMU "/sys/module/vfio/parameters/enable_unsafe_noiommu_mode"

static bool find(const PmDoctorSubject *subject, const char *name, PmHostModule *state,
                 PmDoctorFinding *finding)
{
    GError *error = NULL;

    if (pm_host_module_find(subject->root, name, state, &error))
        return true;
    pm_doctor_set_error(finding, error);
    return false;
}

static void fix_loading(PmDoctorFinding *finding, const char *name, PmHostModule state)
{
    if (state == PM_HOST_MODULE_MISSING) {
        pm_doctor_fix(finding, "apt install linux-image-$(dpkg --print-architecture)");
        return;
    }
    pm_doctor_fix(finding, "modprobe %s", name);
    pm_doctor_fix_boot(finding, "echo %s >/etc/modules-load.d/%s.conf", name, name);
}

/* --- vfio-pci --- */

/* In this mode devices do DMA to any memory of the host. */
static bool is_noiommu(const char *root)
{
    bool enabled = false;

    return pm_host_read_flag(root, NOIOMMU, &enabled, NULL) && enabled;
}

void pm_doctor_check_vfio_pci(const PmDoctorSubject *subject, PmDoctorFinding *finding)
{
    PmHostModule state;

    if (!find(subject, "vfio-pci", &state, finding))
        return;
    if (!pm_host_module_is_there(state)) {
        pm_doctor_set(finding, PM_DOCTOR_ERROR,
                      state == PM_HOST_MODULE_MISSING ? "missing: this kernel has no such module"
                                                      : "not loaded (%s)",
                      pm_host_module_name(state));
        fix_loading(finding, "vfio-pci", state);
    } else if (is_noiommu(subject->root)) {
        pm_doctor_set(finding, PM_DOCTOR_WARNING,
                      "%s, with enable_unsafe_noiommu_mode: devices without an IOMMU reach all of "
                      "the host's memory",
                      pm_host_module_name(state));
        pm_doctor_fix(finding, "echo N >" NOIOMMU);
        pm_doctor_fix_boot(finding, "grep -r enable_unsafe_noiommu_mode /etc/modprobe.d "
                                    "/etc/default/grub*");
    } else {
        pm_doctor_set(finding, PM_DOCTOR_OK, "%s", pm_host_module_name(state));
    }
}

/* --- back ends: one suffices --- */

static void find_absent(const char *name, const char *other, PmHostModule state,
                        PmHostModule other_state, PmDoctorFinding *finding)
{
    const char *text = pm_host_module_name(state);

    if (pm_host_module_is_there(other_state)) {
        pm_doctor_set(finding, PM_DOCTOR_OK, "%s; %s is %s, and one of them suffices", text, other,
                      pm_host_module_name(other_state));
        return;
    }
    pm_doctor_set(finding, PM_DOCTOR_ERROR, "%s, and %s is %s: one of them is needed", text, other,
                  pm_host_module_name(other_state));
    fix_loading(finding, name, state);
}

static void check_backend(const PmDoctorSubject *subject, const char *name, const char *other,
                          PmDoctorFinding *finding)
{
    PmHostModule state;
    PmHostModule other_state;

    if (!find(subject, name, &state, finding) || !find(subject, other, &other_state, finding))
        return;
    if (pm_host_module_is_there(state))
        pm_doctor_set(finding, PM_DOCTOR_OK, "%s", pm_host_module_name(state));
    else
        find_absent(name, other, state, other_state, finding);
}

void pm_doctor_check_type1(const PmDoctorSubject *subject, PmDoctorFinding *finding)
{
    check_backend(subject, "vfio_iommu_type1", "iommufd", finding);
}

void pm_doctor_check_iommufd(const PmDoctorSubject *subject, PmDoctorFinding *finding)
{
    check_backend(subject, "iommufd", "vfio_iommu_type1", finding);
}
