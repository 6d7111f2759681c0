/* SPDX-License-Identifier: MIT */
#include "base/error_text.h"

#include <inttypes.h>
#include <string.h>

bool pm_fail(GError **error, PmError code, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    if (error != NULL)
        *error = g_error_new_valist(PM_ERROR, (gint)code, format, arguments);
    va_end(arguments);
    return false;
}

bool pm_note_errno(GError **error, int error_number)
{
    if (error != NULL)
        pm_error_set_errno(*error, error_number);
    return false;
}

void pm_reword(GError *error, PmError code, const char *format, ...)
{
    char *before = error->message; /* which may be among the arguments */
    va_list arguments;

    va_start(arguments, format);
    error->message = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    g_free(before);
    error->code = (gint)code;
}

char *pm_errno_text(int error_number)
{
    const char *name = strerrorname_np(error_number);

    return g_strdup_printf("%s (%s)", name != NULL ? name : "unknown error",
                           g_strerror(error_number));
}

char *pm_count_text(uint64_t count)
{
    g_autofree char *digits = g_strdup_printf("%" PRIu64, count);
    GString *text = g_string_new(NULL);

    for (const char *digit = digits; *digit != '\0'; digit++) {
        size_t left = strlen(digit);

        g_string_append_c(text, *digit);
        if (left > 1 && left % 3 == 1)
            g_string_append_c(text, ',');
    }
    return g_string_free(text, FALSE);
}

char *pm_duration_text(uint64_t ns)
{
    if (ns < 10000)
        return g_strdup_printf("%" PRIu64 " ns", ns);
    if (ns < 10000000)
        return g_strdup_printf("%" PRIu64 " µs", ns / 1000);
    if (ns < UINT64_C(10000000000))
        return g_strdup_printf("%" PRIu64 " ms", ns / 1000000);
    return g_strdup_printf("%" PRIu64 " s", ns / 1000000000);
}

char *pm_seconds_text(uint64_t seconds)
{
    if (seconds < 60)
        return g_strdup_printf("%" PRIu64 " s", seconds);
    if (seconds < 3600)
        return g_strdup_printf("%" PRIu64 " min %" PRIu64 " s", seconds / 60, seconds % 60);
    return g_strdup_printf("%" PRIu64 " h %" PRIu64 " min", seconds / 3600, seconds / 60 % 60);
}

char *pm_counted(uint64_t count, const char *noun)
{
    g_autofree char *number = pm_count_text(count);

    return g_strdup_printf("%s %s%s", number, noun, count == 1 ? "" : "s");
}

char *pm_printable(const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    GString *printable = g_string_new(NULL);

    for (const char *c = valid; *c != '\0'; c = g_utf8_next_char(c)) {
        gunichar character = g_utf8_get_char(c);

        g_string_append_unichar(printable, g_unichar_iscntrl(character) ? '?' : character);
    }
    return g_string_free(printable, FALSE);
}

bool pm_fail_ioctl(GError **error, int error_number, const char *advice, const char *what, ...)
{
    g_autofree char *name = pm_errno_text(error_number);
    g_autofree char *done = NULL;
    va_list arguments;

    va_start(arguments, what);
    done = g_strdup_vprintf(what, arguments);
    va_end(arguments);
    if (error_number == ECHILD)
        (void)pm_fail(error, PM_ERROR_PERMISSION, "%s failed: %s; " PM_KERNEL_CAUSE_INHERITED, done,
                      name);
    else
        (void)pm_fail(error, PM_ERROR_KERNEL, "%s failed: %s; %s", done, name, advice);
    return pm_note_errno(error, error_number);
}
