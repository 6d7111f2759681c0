/* SPDX-License-Identifier: MIT */
/* What a check of plugmap doctor found. */
#ifndef PLUGMAP_SRC_PLAN_DOCTOR_FINDING_H
#define PLUGMAP_SRC_PLAN_DOCTOR_FINDING_H

#include <stdint.h>

#include <plugmap/error.h>

/* From good to bad. @PM_DOCTOR_SKIPPED: the check does not apply; it is not reported. */
typedef enum {
    PM_DOCTOR_SKIPPED,
    PM_DOCTOR_OK,
    PM_DOCTOR_WARNING,
    PM_DOCTOR_ERROR,
} PmDoctorState;

/* A number that the finding is about, for programs. */
typedef struct {
    const char *name;
    uint64_t value;
} PmDoctorFact;

/*
 * @name: of the check.
 * @text: NULL if skipped.
 * @fix: of char *: commands to type as root, until the next boot.
 * @boot: of char *: commands for it to survive one.
 * @facts: of PmDoctorFact.
 */
typedef struct {
    const char *name;
    PmDoctorState state;
    char *text;
    GPtrArray *fix;
    GPtrArray *boot;
    GArray *facts;
} PmDoctorFinding;

PmDoctorFinding *pm_doctor_finding_new(const char *name);
void pm_doctor_finding_free(PmDoctorFinding *finding);

/* "warning". */
const char *pm_doctor_state_name(PmDoctorState state);

/* Replaces state and text. */
void pm_doctor_set(PmDoctorFinding *finding, PmDoctorState state, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

/* A file could not be read: an error with its message. Takes @error. */
void pm_doctor_set_error(PmDoctorFinding *finding, GError *error);

/* Adds a command to type now, or one that survives a boot. */
void pm_doctor_fix(PmDoctorFinding *finding, const char *format, ...) G_GNUC_PRINTF(2, 3);
void pm_doctor_fix_boot(PmDoctorFinding *finding, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* @name: static. */
void pm_doctor_add_fact(PmDoctorFinding *finding, const char *name, uint64_t value);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmDoctorFinding, pm_doctor_finding_free)

#endif
