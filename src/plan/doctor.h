/* SPDX-License-Identifier: MIT */
/* plugmap doctor: is this host ready for passthrough, and what to do if not? Changes nothing. */
#ifndef PLUGMAP_SRC_PLAN_DOCTOR_H
#define PLUGMAP_SRC_PLAN_DOCTOR_H

#include "host/host_device.h"
#include "host/host_process.h"
#include "plan/doctor_finding.h"

/* @findings: of PmDoctorFinding, in the order of the checks. @worst: of them. */
typedef struct {
    PmHostDevice *device;
    GPtrArray *findings;
    PmDoctorState worst;
} PmDoctorDevice;

/*
 * @release: of the kernel. @findings: about the host, of PmDoctorFinding. @devices: of
 * PmDoctorDevice. @is_list: all devices; one that has not been bound to a driver of VFIO has
 * warnings where one that was asked for has errors. @worst: of all findings.
 */
typedef struct {
    char *release;
    GPtrArray *findings;
    GPtrArray *devices;
    bool is_list;
    PmDoctorState worst;
} PmDoctorReport;

/*
 * @root: as in host_files.h. @process: read before capabilities were dropped. @addresses: of PCI
 * devices, NULL-terminated; none: all devices that can be passed through. Errors:
 * PM_ERROR_INVALID_ARGUMENT (not a PCI address), PM_ERROR_NOT_FOUND (no such device), those of
 * pm_host_read(), with the file's name.
 */
PmDoctorReport *pm_doctor_run(const char *root, const PmHostProcess *process,
                              const char *const *addresses, GError **error);
void pm_doctor_report_free(PmDoctorReport *report);

/* What to say in one line about a device of a list: its worst finding; NULL: all are good. */
const PmDoctorFinding *pm_doctor_worst_finding(const PmDoctorDevice *device);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmDoctorReport, pm_doctor_report_free)

#endif
