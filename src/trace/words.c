/* SPDX-License-Identifier: MIT */
#include "trace/words.h"

#include <string.h>

#include <plugmap/size.h>

#define NS_PER_SECOND 1000000000

bool pm_words_split(PmLineReader *reader, PmWords *words, GError **error)
{
    char *rest = NULL;
    char *word;

    words->n_words = 0;
    if (!pm_line_check_length(reader, error))
        return false;
    for (word = strtok_r(reader->text, " \t", &rest); word != NULL && *word != '#';
         word = strtok_r(NULL, " \t", &rest)) {
        if (words->n_words == PM_MAX_WORDS)
            return pm_line_fail(reader, error, "too many words");
        words->words[words->n_words++] = word;
    }
    return true;
}

bool pm_words_next(PmLineReader *reader, PmWords *words, bool *end, GError **error)
{
    do {
        if (!pm_line_reader_next(reader, end, error) || !pm_words_split(reader, words, error))
            return false;
    } while (words->n_words == 0 && !*end);
    return true;
}

void pm_words_drop_first(PmWords *words, unsigned count)
{
    words->n_words -= count;
    memmove(words->words, words->words + count, words->n_words * sizeof(*words->words));
}

const char *pm_words_take(PmWords *words, const char *name)
{
    size_t length = strlen(name);

    for (unsigned i = 0; i < words->n_words; i++) {
        const char *word = words->words[i];

        if (strncmp(word, name, length) != 0 || word[length] != '=')
            continue;
        words->words[i] = words->words[--words->n_words];
        return word + length + 1;
    }
    return NULL;
}

bool pm_words_take_number(const PmLineReader *reader, PmWords *words, const char *name, bool *found,
                          uint64_t *value, GError **error)
{
    const char *text = pm_words_take(words, name);
    g_autoptr(GError) bad = NULL;

    *found = text != NULL;
    if (text == NULL || pm_size_parse(text, value, &bad))
        return true;
    return pm_line_fail(reader, error, "%s: %s", name, bad->message);
}

/* '12.000345': seconds, with up to nine fractional digits. */
static bool parse_time(const PmLineReader *reader, const char *text, int64_t *time_ns,
                       GError **error)
{
    char *end;
    guint64 seconds = g_ascii_strtoull(text, &end, 10);
    int64_t fraction = 0;
    int64_t unit = NS_PER_SECOND;

    if (end != text && *end == '.')
        for (end++; g_ascii_isdigit(*end) && unit > 1; end++) {
            unit /= 10;
            fraction += unit * (*end - '0');
        }
    if (end == text || *end != '\0' || !g_ascii_isdigit(*text) || seconds > PM_MAX_SECONDS)
        return pm_line_fail(reader, error, "invalid time '@%s': must be @SECONDS.FRACTION", text);
    *time_ns = (int64_t)seconds * NS_PER_SECOND + fraction;
    return true;
}

bool pm_words_take_time(const PmLineReader *reader, PmWords *words, int64_t *time_ns,
                        GError **error)
{
    if (words->n_words == 0 || words->words[0][0] != '@')
        return true;
    if (!parse_time(reader, words->words[0] + 1, time_ns, error))
        return false;
    pm_words_drop_first(words, 1);
    return words->n_words > 0 || pm_line_fail(reader, error, "missing event after the time");
}

bool pm_words_check_arrow(const PmLineReader *reader, const PmWords *words, GError **error)
{
    for (unsigned i = 0; i < words->n_words; i++)
        if (strstr(words->words[i], "->") != NULL && strcmp(words->words[i], "->") != 0)
            return pm_line_fail(reader, error,
                                "invalid '%s': '->' must have spaces around it, as in "
                                "'blocks=1 -> ack'",
                                words->words[i]);
    return true;
}

const char *pm_words_take_answer(PmWords *words)
{
    if (words->n_words < 2 || strcmp(words->words[words->n_words - 2], "->") != 0)
        return NULL;
    words->n_words -= 2;
    return words->words[words->n_words + 1];
}
