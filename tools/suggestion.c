/* SPDX-License-Identifier: MIT */
#include "tools/suggestion.h"

#include <stdbool.h>
#include <string.h>

#include <glib.h>

/* Longer words are not typing errors; bounds the table of distances. */
#define MAX_LENGTH 32

static bool is_swapped(const char *a, const char *b, size_t i, size_t j)
{
    return i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
}

/* Characters that are missing, surplus, wrong, or swapped with their neighbor. */
static unsigned distance(const char *a, const char *b)
{
    unsigned table[MAX_LENGTH + 1][MAX_LENGTH + 1];
    size_t length_a = strlen(a);
    size_t length_b = strlen(b);

    if (length_a > MAX_LENGTH || length_b > MAX_LENGTH)
        return G_MAXUINT;
    for (size_t i = 0; i <= length_a; i++) {
        for (size_t j = 0; j <= length_b; j++) {
            if (i == 0 || j == 0) {
                table[i][j] = (unsigned)(i + j);
                continue;
            }
            table[i][j] = table[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            table[i][j] = MIN(table[i][j], table[i - 1][j] + 1);
            table[i][j] = MIN(table[i][j], table[i][j - 1] + 1);
            if (is_swapped(a, b, i, j))
                table[i][j] = MIN(table[i][j], table[i - 2][j - 2] + 1);
        }
    }
    return table[length_a][length_b];
}

char *pm_suggestion(const char *word, const char *const *names)
{
    size_t length = strspn(word, "-"); /* dashes say nothing */
    const char *best = NULL;
    unsigned least = (unsigned)(strlen(word) - length) / 3 + 1;

    for (const char *const *name = names; *name != NULL; name++) {
        bool is_start = strlen(word) > length + 1 && g_str_has_prefix(*name, word);
        unsigned found = is_start ? 0 : distance(word, *name);

        if (found > least || (found == least && best != NULL))
            continue;
        least = found;
        best = *name;
    }
    return best != NULL ? g_strdup_printf(": did you mean '%s'?", best) : g_strdup("");
}
