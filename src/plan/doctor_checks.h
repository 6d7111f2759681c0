/* SPDX-License-Identifier: MIT */
/*
 * The checks of plugmap doctor: a function each, which reads what it needs below @root and sets
 * state, text and commands. A new check is a function here and a line in doctor.c's table. A
 * finding that is not set is skipped. An error or a warning has a command.
 */
#ifndef PLUGMAP_SRC_PLAN_DOCTOR_CHECKS_H
#define PLUGMAP_SRC_PLAN_DOCTOR_CHECKS_H

#include "host/host_device.h"
#include "host/host_process.h"
#include "plan/doctor_finding.h"

/* @root: as in host_files.h. @process: who asks. @device: NULL for checks of the host. */
typedef struct {
    const char *root;
    const PmHostProcess *process;
    const PmHostDevice *device;
} PmDoctorSubject;

/* The host: doctor_iommu.c, doctor_modules.c, doctor_memory.c, doctor_limits.c, doctor_access.c. */
void pm_doctor_check_iommu(const PmDoctorSubject *subject, PmDoctorFinding *finding);
void pm_doctor_check_interrupts(const PmDoctorSubject *subject, PmDoctorFinding *finding);
void pm_doctor_check_vfio_pci(const PmDoctorSubject *subject, PmDoctorFinding *finding);
void pm_doctor_check_type1(const PmDoctorSubject *subject, PmDoctorFinding *finding);
void pm_doctor_check_iommufd(const PmDoctorSubject *subject, PmDoctorFinding *finding);
void pm_doctor_check_nodes(const PmDoctorSubject *subject, PmDoctorFinding *finding);
void pm_doctor_check_mappings(const PmDoctorSubject *subject, PmDoctorFinding *finding);
void pm_doctor_check_locked(const PmDoctorSubject *subject, PmDoctorFinding *finding);
void pm_doctor_check_cgroup(const PmDoctorSubject *subject, PmDoctorFinding *finding);
void pm_doctor_check_overcommit(const PmDoctorSubject *subject, PmDoctorFinding *finding);
void pm_doctor_check_hugepages(const PmDoctorSubject *subject, PmDoctorFinding *finding);
void pm_doctor_check_thp(const PmDoctorSubject *subject, PmDoctorFinding *finding);

/* A device: doctor_device.c, doctor_access.c, doctor_aperture.c, doctor_users.c. */
void pm_doctor_check_driver(const PmDoctorSubject *subject, PmDoctorFinding *finding);
void pm_doctor_check_group(const PmDoctorSubject *subject, PmDoctorFinding *finding);
void pm_doctor_check_permission(const PmDoctorSubject *subject, PmDoctorFinding *finding);
void pm_doctor_check_aperture(const PmDoctorSubject *subject, PmDoctorFinding *finding);
void pm_doctor_check_users(const PmDoctorSubject *subject, PmDoctorFinding *finding);

#endif
