/* SPDX-License-Identifier: MIT */
#include "plan/doctor_finding.h"

PmDoctorFinding *pm_doctor_finding_new(const char *name)
{
    PmDoctorFinding *finding = g_new0(PmDoctorFinding, 1);

    finding->name = name;
    finding->fix = g_ptr_array_new_with_free_func(g_free);
    finding->boot = g_ptr_array_new_with_free_func(g_free);
    finding->facts = g_array_new(FALSE, FALSE, sizeof(PmDoctorFact));
    return finding;
}

void pm_doctor_finding_free(PmDoctorFinding *finding)
{
    if (finding == NULL)
        return;
    g_free(finding->text);
    g_ptr_array_unref(finding->fix);
    g_ptr_array_unref(finding->boot);
    g_array_unref(finding->facts);
    g_free(finding);
}

const char *pm_doctor_state_name(PmDoctorState state)
{
    switch (state) {
    case PM_DOCTOR_SKIPPED:
        return "skipped";
    case PM_DOCTOR_OK:
        return "ok";
    case PM_DOCTOR_WARNING:
        return "warning";
    case PM_DOCTOR_ERROR:
    default:
        return "error";
    }
}

void pm_doctor_set(PmDoctorFinding *finding, PmDoctorState state, const char *format, ...)
{
    va_list arguments;

    finding->state = state;
    g_free(finding->text);
    va_start(arguments, format);
    finding->text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
}

void pm_doctor_set_error(PmDoctorFinding *finding, GError *error)
{
    pm_doctor_set(finding, PM_DOCTOR_ERROR, "%s", error->message);
    g_error_free(error);
    pm_doctor_fix(finding, "mount | grep -E ' /(sys|proc) '");
}

static void add_line(GPtrArray *lines, const char *format, va_list arguments) G_GNUC_PRINTF(2, 0);

static void add_line(GPtrArray *lines, const char *format, va_list arguments)
{
    g_ptr_array_add(lines, g_strdup_vprintf(format, arguments));
}

void pm_doctor_fix(PmDoctorFinding *finding, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    add_line(finding->fix, format, arguments);
    va_end(arguments);
}

void pm_doctor_fix_boot(PmDoctorFinding *finding, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    add_line(finding->boot, format, arguments);
    va_end(arguments);
}

void pm_doctor_add_fact(PmDoctorFinding *finding, const char *name, uint64_t value)
{
    const PmDoctorFact fact = {.name = name, .value = value};

    g_array_append_val(finding->facts, fact);
}
