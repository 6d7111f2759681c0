/* SPDX-License-Identifier: MIT */
#include "generate/step.h"

#include <string.h>

#include <plugmap/size.h>

#include "base/error_text.h"

#define NS_PER_SECOND 1e9

bool pm_seconds_parse(const char *text, int64_t *ns)
{
    char *end = NULL;
    double seconds = g_ascii_isdigit(*text) ? g_ascii_strtod(text, &end) : -1;

    /* Nor hexadecimal, nor an exponent. */
    if (end == NULL || *end != '\0' || text[strspn(text, "0123456789.")] != '\0' ||
        seconds > PM_MAX_SECONDS)
        return false;
    *ns = (int64_t)(seconds * NS_PER_SECOND);
    return true;
}

static bool parse_what(const char *text, PmStep *step, GError **error)
{
    step->type = PM_STEP_RESET;
    if (g_str_equal(text, pm_step_type_name(PM_STEP_RESET)))
        return true;
    step->type = PM_STEP_KEXEC;
    if (g_str_equal(text, pm_step_type_name(PM_STEP_KEXEC)))
        return true;
    step->type = PM_STEP_RESIZE;
    return pm_size_parse(text, &step->size, NULL) ||
           pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                   "invalid step '%s': must be a size, 'reset' or 'kexec', then optionally "
                   "@SECONDS",
                   text);
}

static bool parse_step(char *text, PmStep *step, GError **error)
{
    char *at = strchr(text, '@');

    *step = (PmStep){.after_ns = PM_STEP_WHEN_SETTLED};
    if (at != NULL) {
        *at = '\0';
        if (!pm_seconds_parse(at + 1, &step->after_ns))
            return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                           "invalid time '@%s': must be 0 to %d seconds, such as @0.5", at + 1,
                           PM_MAX_SECONDS);
    }
    return parse_what(text, step, error);
}

GArray *pm_steps_parse(const char *text, GError **error)
{
    g_autoptr(GArray) steps = g_array_new(FALSE, FALSE, sizeof(PmStep));
    g_auto(GStrv) parts = g_strsplit(*text != '\0' ? text : " ", ",", -1); /* of "": no part */

    for (char **part = parts; *part != NULL; part++) {
        PmStep step;

        if (!parse_step(*part, &step, error))
            return NULL;
        g_array_append_val(steps, step);
    }
    return g_steal_pointer(&steps);
}

const char *pm_step_type_name(PmStepType type)
{
    static const char *const names[] = {"resize", "reset", "kexec"};

    return names[type];
}
