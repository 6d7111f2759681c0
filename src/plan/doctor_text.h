/* SPDX-License-Identifier: MIT */
/* The report of plugmap doctor for people. */
#ifndef PLUGMAP_SRC_PLAN_DOCTOR_TEXT_H
#define PLUGMAP_SRC_PLAN_DOCTOR_TEXT_H

#include "plan/doctor.h"

/* A new string. @width: columns; commands are not wrapped. */
char *pm_doctor_text(const PmDoctorReport *report, unsigned width, bool colours);

#endif
