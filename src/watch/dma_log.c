/* SPDX-License-Identifier: MIT */
#include "watch/dma_log.h"

#include <errno.h>
#include <string.h>

#include "trace/words.h"

static const char *const kinds[] = {
    [PM_DMA_LOG_NOTHING] = "",
    [PM_DMA_LOG_MAP] = "map",
    [PM_DMA_LOG_UNMAP] = "unmap",
    [PM_DMA_LOG_END] = "end",
};

static bool find_kind(const char *text, size_t length, PmDmaLogKind *kind)
{
    for (size_t i = PM_DMA_LOG_MAP; i < G_N_ELEMENTS(kinds); i++) {
        if (strlen(kinds[i]) == length && strncmp(kinds[i], text, length) == 0) {
            *kind = (PmDmaLogKind)i;
            return true;
        }
    }
    return false;
}

bool pm_dma_log_is_line(const char *text)
{
    PmDmaLogKind kind;

    text += strspn(text, " \t");
    if (*text == '@') {
        text += strcspn(text, " \t");
        text += strspn(text, " \t");
    }
    return find_kind(text, strcspn(text, " \t#"), &kind);
}

static bool is_errno_name(int number, const char *text)
{
    return g_strcmp0(strerrorname_np(number), text) == 0;
}

/* 'ok', 'ENOSPC' or '28'. */
static bool parse_result(const PmLineReader *reader, const char *text, int *number, GError **error)
{
    guint64 value;

    *number = 0;
    if (text == NULL || strcmp(text, "ok") == 0)
        return true;
    if (g_ascii_string_to_unsigned(text, 10, 0, PM_DMA_LOG_MAX_ERRNO, &value, NULL)) {
        *number = (int)value;
        return true;
    }
    for (*number = 1; *number <= PM_DMA_LOG_MAX_ERRNO; (*number)++)
        if (is_errno_name(*number, text))
            return true;
    return pm_line_fail(reader, error,
                        "invalid result '%s': must be ok, an errno's name (ENOSPC) or its number",
                        text);
}

static bool take_required(const PmLineReader *reader, PmWords *words, const char *name,
                          uint64_t *value, GError **error)
{
    bool found;

    return pm_words_take_number(reader, words, name, &found, value, error) &&
           (found || pm_line_fail(reader, error, "missing %s=", name));
}

static bool is_whole_space(const PmDmaLogCall *call)
{
    return call->kind == PM_DMA_LOG_UNMAP && call->iova == 0 && call->size == UINT64_MAX;
}

static bool take_range(const PmLineReader *reader, PmWords *words, PmDmaLogCall *call,
                       GError **error)
{
    uint64_t last;

    if (call->kind == PM_DMA_LOG_UNMAP && words->n_words > 0 &&
        strcmp(words->words[0], "all") == 0) {
        pm_words_drop_first(words, 1);
        call->all = true;
        return true;
    }
    if (!take_required(reader, words, "iova", &call->iova, error) ||
        !take_required(reader, words, "size", &call->size, error))
        return false;
    call->all = is_whole_space(call);
    if (call->error_number != 0 || call->all)
        return true;
    if (call->size == 0)
        return pm_line_fail(reader, error,
                            "invalid size 0 of a successful call: 'unmap all' unmaps everything");
    return !__builtin_add_overflow(call->iova, call->size - 1, &last) ||
           pm_line_fail(reader, error, "invalid range: ends past 2^64-1");
}

/* Every key that is known; others are ignored. */
static bool take_keys(const PmLineReader *reader, PmWords *words, PmDmaLogCall *call,
                      GError **error)
{
    uint64_t latency = 0;
    bool has_latency;

    call->space = pm_words_take(words, "space");
    if (!pm_words_take_number(reader, words, "unmapped", &call->has_unmapped, &call->unmapped,
                              error) ||
        !pm_words_take_number(reader, words, "pid", &call->has_pid, &call->pid, error) ||
        !pm_words_take_number(reader, words, "ns", &has_latency, &latency, error))
        return false;
    if (has_latency)
        call->latency_ns = (int64_t)MIN(latency, INT64_MAX);
    return true;
}

static bool only_keys_are_left(const PmLineReader *reader, const PmWords *words, GError **error)
{
    for (unsigned i = 0; i < words->n_words; i++)
        if (strchr(words->words[i], '=') == NULL)
            return pm_line_fail(reader, error, "unexpected word '%s'", words->words[i]);
    return true;
}

static bool take_result(const PmLineReader *reader, PmWords *words, PmDmaLogCall *call,
                        GError **error)
{
    const char *result = pm_words_take_answer(words);

    if (result != NULL && call->kind == PM_DMA_LOG_END)
        return pm_line_fail(reader, error, "invalid result '%s' of end: must have none", result);
    return parse_result(reader, result, &call->error_number, error);
}

bool pm_dma_log_parse(PmLineReader *reader, PmDmaLogCall *call, GError **error)
{
    PmWords words;

    *call = (PmDmaLogCall){.time_ns = -1, .latency_ns = -1, .line = reader->line};
    if (!pm_words_split(reader, &words, error))
        return false;
    if (words.n_words == 0)
        return true;
    if (!pm_words_check_arrow(reader, &words, error) ||
        !pm_words_take_time(reader, &words, &call->time_ns, error))
        return false;
    if (!find_kind(words.words[0], strlen(words.words[0]), &call->kind))
        return pm_line_fail(reader, error, "unknown call '%s': must be map, unmap or end",
                            words.words[0]);
    pm_words_drop_first(&words, 1);
    return take_result(reader, &words, call, error) &&
           (call->kind == PM_DMA_LOG_END || take_range(reader, &words, call, error)) &&
           take_keys(reader, &words, call, error) && only_keys_are_left(reader, &words, error);
}
