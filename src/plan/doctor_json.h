/* SPDX-License-Identifier: MIT */
/* The report of plugmap doctor for programs: docs/schema/doctor.json. */
#ifndef PLUGMAP_SRC_PLAN_DOCTOR_JSON_H
#define PLUGMAP_SRC_PLAN_DOCTOR_JSON_H

#include "plan/doctor.h"
#include "json/json.h"

/* One object and a newline, a new string. @report: NULL if the command failed. */
char *pm_doctor_json(const PmJsonHead *head, const PmDoctorReport *report);

#endif
