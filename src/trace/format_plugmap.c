/* SPDX-License-Identifier: MIT */
/* plugmap's own format: docs/trace-format.md. */
#include <inttypes.h>
#include <string.h>

#include <plugmap/size.h>

#include "kernel-uapi/virtio_mem.h"
#include "trace/format.h"

#define VERSION       "1"
#define MAX_WORDS     16
#define NS_PER_SECOND 1000000000

/* The words of a line, up to a comment. */
typedef struct {
    char *words[MAX_WORDS];
    unsigned n_words;
} Words;

/* Cuts the reader's text in place. Lines without a word are skipped. */
static bool next_words(PmLineReader *reader, Words *words, bool *end, GError **error)
{
    do {
        char *rest = NULL;
        char *word;

        if (!pm_line_reader_next(reader, end, error) || !pm_line_check_length(reader, error))
            return false;
        words->n_words = 0;
        for (word = strtok_r(reader->text, " \t", &rest); word != NULL && *word != '#';
             word = strtok_r(NULL, " \t", &rest)) {
            if (words->n_words == MAX_WORDS)
                return pm_line_fail(reader, error, "more words than any line of a trace has");
            words->words[words->n_words++] = word;
        }
    } while (words->n_words == 0 && !*end);
    return true;
}

/* Takes the value of «name=value» out of the words; *value is left alone if there is no such word.
 */
static bool take_number(const PmLineReader *reader, Words *words, const char *name, bool required,
                        uint64_t *value, GError **error)
{
    size_t length = strlen(name);

    for (unsigned i = 0; i < words->n_words; i++) {
        char *word = words->words[i];
        g_autoptr(GError) bad = NULL;

        if (strncmp(word, name, length) != 0 || word[length] != '=')
            continue;
        if (!pm_size_parse(word + length + 1, value, &bad))
            return pm_line_fail(reader, error, "%s: %s", name, bad->message);
        words->words[i] = words->words[--words->n_words];
        return true;
    }
    if (required)
        return pm_line_fail(reader, error, "%s= is missing", name);
    return true;
}

static bool no_more_words(const PmLineReader *reader, const Words *words, GError **error)
{
    if (words->n_words == 0)
        return true;
    return pm_line_fail(reader, error, "«%s» does not belong here", words->words[0]);
}

static void drop_first(Words *words, unsigned count)
{
    words->n_words -= count;
    memmove(words->words, words->words + count, words->n_words * sizeof(*words->words));
}

static bool read_magic(PmLineReader *reader, GError **error)
{
    Words words;
    bool end;

    if (!next_words(reader, &words, &end, error))
        return false;
    if (end || words.n_words != 2 || strcmp(words.words[0], PM_TRACE_MAGIC) != 0)
        return pm_line_fail(reader, error,
                            "the header is missing: the first line has to be «" PM_TRACE_MAGIC
                            " " VERSION "»");
    if (strcmp(words.words[1], VERSION) != 0)
        return pm_line_fail(reader, error,
                            "version %s is not known: this plugmap reads version " VERSION,
                            words.words[1]);
    return true;
}

/* A flag cannot change what the trace was recorded with. */
static bool check_given(const PmLineReader *reader, const PmTraceGeometry *given,
                        const PmTrace *trace, GError **error)
{
    if ((given->has_region_address && given->region_address != trace->region_address) ||
        (given->region_size != 0 && given->region_size != trace->region_size) ||
        (given->block_size != 0 && given->block_size != trace->block_size))
        return pm_line_fail(reader, error,
                            "the trace has another region than --region-addr, --region-size and "
                            "--block-size say: leave them out");
    return true;
}

static bool read_requested(const PmLineReader *reader, Words *words, PmTrace *trace, GError **error)
{
    unsigned n_words = words->n_words;

    trace->requested_size = trace->region_size;
    if (!take_number(reader, words, "requested-max", false, &trace->requested_size, error))
        return false;
    trace->requested_is_bound = words->n_words < n_words;
    return trace->requested_is_bound ||
           take_number(reader, words, "requested", false, &trace->requested_size, error);
}

static bool read_region(PmLineReader *reader, const PmTraceGeometry *given, PmTrace *trace,
                        GError **error)
{
    g_autoptr(GError) wrong = NULL;
    Words words;
    bool end;

    if (!next_words(reader, &words, &end, error))
        return false;
    if (end || strcmp(words.words[0], "region") != 0)
        return pm_line_fail(reader, error,
                            "the region is missing: the second line has to be «region addr=… "
                            "size=… block=… requested=…»");
    drop_first(&words, 1);
    if (!take_number(reader, &words, "addr", true, &trace->region_address, error) ||
        !take_number(reader, &words, "size", true, &trace->region_size, error) ||
        !take_number(reader, &words, "block", true, &trace->block_size, error))
        return false;
    if (!read_requested(reader, &words, trace, error) || !no_more_words(reader, &words, error))
        return false;
    if (!pm_trace_check_geometry(trace, &wrong))
        return pm_line_fail(reader, error, "%s", wrong->message);
    return check_given(reader, given, trace, error);
}

/* «@12.000345»: seconds, and up to nine digits of a fraction. */
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
    if (end == text || *end != '\0' || !g_ascii_isdigit(*text) ||
        seconds >= INT64_MAX / NS_PER_SECOND)
        return pm_line_fail(reader, error, "«@%s» is not a time: it is @SECONDS.FRACTION", text);
    *time_ns = (int64_t)seconds * NS_PER_SECOND + fraction;
    return true;
}

static bool find_name(const char *const *names, const char *text, int8_t *found)
{
    for (int8_t i = 0; names[i] != NULL; i++) {
        if (strcmp(names[i], text) == 0) {
            *found = i;
            return true;
        }
    }
    return false;
}

/* «-> ack» at the end; for STATE the state, which says that it was ACK. */
static bool take_answer(const PmLineReader *reader, Words *words, PmTraceEvent *event,
                        GError **error)
{
    const char *answer;

    if (words->n_words < 2 || strcmp(words->words[words->n_words - 2], "->") != 0)
        return true;
    answer = words->words[words->n_words - 1];
    words->n_words -= 2;
    if (event->type == PM_EVENT_STATE && find_name(pm_state_names, answer, &event->state)) {
        event->response = VIRTIO_MEM_RESP_ACK;
        return true;
    }
    if (event->type != PM_EVENT_RESIZE && event->type != PM_EVENT_RESET &&
        find_name(pm_response_names, answer, &event->response))
        return true;
    return pm_line_fail(reader, error, "«%s» is no answer to %s", answer,
                        pm_event_type_name(event->type));
}

static bool find_type(const PmLineReader *reader, const char *text, PmEventType *type,
                      GError **error)
{
    for (int i = 0; i < PM_EVENT_N_TYPES; i++) {
        if (strcmp(pm_event_type_name((PmEventType)i), text) == 0) {
            *type = (PmEventType)i;
            return true;
        }
    }
    return pm_line_fail(reader, error,
                        "«%s» is not an event: plug, unplug, unplug-all, state, resize and reset "
                        "are",
                        text);
}

static bool read_blocks(const PmLineReader *reader, Words *words, const PmTrace *trace,
                        PmTraceEvent *event, GError **error)
{
    g_autoptr(GError) wrong = NULL;
    uint64_t n_blocks = 0;

    if (!take_number(reader, words, "addr", true, &event->address, error) ||
        !take_number(reader, words, "blocks", true, &n_blocks, error))
        return false;
    if (n_blocks > UINT16_MAX)
        return pm_line_fail(reader, error,
                            "%" PRIu64 " blocks do not fit into a request: %d is the most",
                            n_blocks, UINT16_MAX);
    event->n_blocks = (uint16_t)n_blocks;
    if (!pm_trace_check_range(trace, event, &wrong))
        return pm_line_fail(reader, error, "%s", wrong->message);
    return true;
}

static bool read_size(const PmLineReader *reader, Words *words, const PmTrace *trace,
                      PmTraceEvent *event, GError **error)
{
    if (!take_number(reader, words, "size", true, &event->size, error))
        return false;
    if (event->size % trace->block_size != 0 || event->size > trace->region_size)
        return pm_line_fail(reader, error,
                            "a resize to %" PRIu64 " bytes cannot be: sizes are whole blocks, and "
                            "at most the region's",
                            event->size);
    return true;
}

static bool read_event(const PmLineReader *reader, Words *words, PmTrace *trace, GError **error)
{
    PmTraceEvent event = {.response = -1, .state = -1, .time_ns = -1};

    if (words->words[0][0] == '@') {
        if (!parse_time(reader, words->words[0] + 1, &event.time_ns, error))
            return false;
        drop_first(words, 1);
        if (words->n_words == 0)
            return pm_line_fail(reader, error, "the event is missing behind the time");
    }
    if (!find_type(reader, words->words[0], &event.type, error))
        return false;
    drop_first(words, 1);
    if (!take_answer(reader, words, &event, error))
        return false;
    switch (event.type) {
    case PM_EVENT_PLUG:
    case PM_EVENT_UNPLUG:
    case PM_EVENT_STATE:
        if (!read_blocks(reader, words, trace, &event, error))
            return false;
        break;
    case PM_EVENT_RESIZE:
        if (!read_size(reader, words, trace, &event, error))
            return false;
        break;
    default:
        break;
    }
    return no_more_words(reader, words, error) && pm_trace_add(trace, reader, event, error);
}

bool pm_format_plugmap_read(PmLineReader *reader, const PmTraceGeometry *given, PmTrace *trace,
                            GError **error)
{
    Words words;
    bool end;

    if (!read_magic(reader, error) || !read_region(reader, given, trace, error))
        return false;
    for (;;) {
        if (!next_words(reader, &words, &end, error))
            return false;
        if (end)
            return true;
        if (!read_event(reader, &words, trace, error))
            return false;
    }
}

static void write_event(const PmTraceEvent *event, FILE *stream)
{
    if (event->time_ns >= 0)
        fprintf(stream, "@%" PRId64 ".%09" PRId64 " ", event->time_ns / NS_PER_SECOND,
                event->time_ns % NS_PER_SECOND);
    fputs(pm_event_type_name(event->type), stream);
    if (event->type == PM_EVENT_PLUG || event->type == PM_EVENT_UNPLUG ||
        event->type == PM_EVENT_STATE)
        fprintf(stream, " addr=0x%" PRIx64 " blocks=%u", event->address, event->n_blocks);
    if (event->type == PM_EVENT_RESIZE) {
        g_autofree char *size = pm_size_format(event->size);

        fprintf(stream, " size=%s", size);
    }
    if (event->state >= 0)
        fprintf(stream, " -> %s", pm_state_names[event->state]);
    else if (event->response >= 0)
        fprintf(stream, " -> %s", pm_response_names[event->response]);
    fputc('\n', stream);
}

bool pm_trace_write(const PmTrace *trace, FILE *stream)
{
    g_autofree char *size = pm_size_format(trace->region_size);
    g_autofree char *block = pm_size_format(trace->block_size);
    g_autofree char *requested = pm_size_format(trace->requested_size);

    fprintf(stream, PM_TRACE_MAGIC " " VERSION "\n");
    fprintf(stream, "region addr=0x%" PRIx64 " size=%s block=%s %s=%s\n", trace->region_address,
            size, block, trace->requested_is_bound ? "requested-max" : "requested", requested);
    for (guint i = 0; i < trace->events->len; i++)
        write_event(&g_array_index(trace->events, PmTraceEvent, i), stream);
    return fflush(stream) == 0 && ferror(stream) == 0;
}
