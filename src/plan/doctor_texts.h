/* SPDX-License-Identifier: MIT */
/* Texts that several checks of plugmap doctor need. */
#ifndef PLUGMAP_SRC_PLAN_DOCTOR_TEXTS_H
#define PLUGMAP_SRC_PLAN_DOCTOR_TEXTS_H

#include "plan/doctor_finding.h"

/* "39-bit I/O addresses (512G)"; a new string. @bits: 0: unknown. */
char *pm_doctor_reach(unsigned bits);

/* Commands for a host without an IOMMU. */
void pm_doctor_fix_missing_iommu(const char *root, PmDoctorFinding *finding);

/* Commands that bind a device to vfio-pci. @driver: to unbind; NULL: none. */
void pm_doctor_fix_binding(PmDoctorFinding *finding, const char *address, const char *driver);

#endif
