/* SPDX-License-Identifier: MIT */
#include <plugmap/size.h>

#include <inttypes.h>
#include <string.h>

#include "base/error_text.h"

/* units[n] is 1024^(n + 1). */
static const char units[] = "KMGTPE";

static bool digit_value(char c, uint64_t base, uint64_t *digit)
{
    int value = g_ascii_xdigit_value(c);

    if (value < 0 || (uint64_t)value >= base)
        return false;
    *digit = (uint64_t)value;
    return true;
}

/* Advances @text past the digits. Returns false if there are none or the number is too large. */
static bool read_number(const char **text, uint64_t *number)
{
    const char *position = *text;
    uint64_t base = 10;
    uint64_t value = 0;
    uint64_t digit;

    if (position[0] == '0' && g_ascii_tolower(position[1]) == 'x') {
        base = 16;
        position += 2;
    }
    if (!digit_value(*position, base, &digit))
        return false;
    for (; digit_value(*position, base, &digit); position++)
        if (__builtin_mul_overflow(value, base, &value) ||
            __builtin_add_overflow(value, digit, &value))
            return false;
    *text = position;
    *number = value;
    return true;
}

/* Returns false if @text is neither a unit nor empty. */
static bool read_unit(const char *text, unsigned *shift)
{
    const char *unit;

    *shift = 0;
    if (*text == '\0')
        return true;
    unit = strchr(units, g_ascii_toupper(*text));
    if (unit == NULL)
        return false;
    *shift = 10 * (unsigned)(unit - units + 1);
    text++;
    return *text == '\0' || g_ascii_strcasecmp(text, "B") == 0 ||
           g_ascii_strcasecmp(text, "i") == 0 || g_ascii_strcasecmp(text, "iB") == 0;
}

bool pm_size_parse(const char *text, uint64_t *value, GError **error)
{
    const char *rest = text;
    g_autofree char *shown = NULL;
    uint64_t number;
    unsigned shift;

    if (read_number(&rest, &number) && read_unit(rest, &shift) && number <= UINT64_MAX >> shift) {
        *value = number << shift;
        return true;
    }
    shown = g_strescape(text, NULL);
    return pm_fail(error, PM_ERROR_BAD_INPUT,
                   "invalid size '%.60s': must be a number up to 2^64-1, decimal or 0x..., with an "
                   "optional unit K, M, G, T, P or E",
                   shown);
}

char *pm_size_format(uint64_t value)
{
    size_t n_units = 0;

    while (value != 0 && value % 1024 == 0 && units[n_units] != '\0') {
        value /= 1024;
        n_units++;
    }
    if (n_units == 0)
        return g_strdup_printf("%" PRIu64, value);
    return g_strdup_printf("%" PRIu64 "%c", value, units[n_units - 1]);
}
