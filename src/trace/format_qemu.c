/* SPDX-License-Identifier: MIT */
/*
 * QEMU's trace log (-trace 'virtio_mem_*' -trace ram_block_discard_range, log back end): one event
 * per line, with an optional time stamp in one of two formats. Event names and arguments are those
 * of QEMU's hw/virtio/trace-events and system/trace-events. Lines of other events are skipped,
 * regardless of their length.
 */
#include "trace/format_qemu.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <plugmap/size.h>

#include "kernel-uapi/virtio_mem.h"
#include "trace/format.h"
#include "trace/words.h"

/* A ram_block_discard_range event. */
typedef struct {
    unsigned line; /* 0: none */
    uint64_t host;
    uint64_t size;
} Discard;

struct PmQemuLog {
    PmLineReader *reader;
    PmTrace *trace;
    bool grows;            /* the trace only has events that were not taken yet */
    PmTraceRegion *region; /* the only one */
    int64_t first_time_ns; /* -1: none so far */
    int64_t time_ns;       /* of the current line */
    bool has_request;      /* saw a request */
    bool answer_pending;   /* the last event is a request without a response */
    bool in_unplug_all;    /* ... and an UNPLUG_ALL */
    Discard whole;         /* first discard before any request: the whole region */
    Discard newest;        /* last discard since the last request */
    unsigned
        geometry_line;    /* of the UNPLUG that address and block size were derived from; 0: none */
    unsigned usable_line; /* of the last resize of the usable region; 0: none */
    unsigned first_usable_line;
    uint64_t first_usable; /* before the first resize */
    uint64_t usable;       /* after the last resize */
    bool all_unplugged;    /* the last event unplugged all; a resize may follow */
};

typedef PmQemuLog Log;

/* --- time stamps --- */

/* 'PID@SECONDS.MICROSECONDS:' up to QEMU 10.0 */
static const char *skip_pid_stamp(const char *text, int64_t *time_ns)
{
    char *end;
    guint64 seconds;
    guint64 microseconds;

    (void)g_ascii_strtoull(text, &end, 10);
    if (end == text || *end != '@')
        return NULL;
    seconds = g_ascii_strtoull(end + 1, &end, 10);
    if (*end != '.' || seconds > PM_MAX_SECONDS)
        return NULL;
    microseconds = g_ascii_strtoull(end + 1, &end, 10);
    if (*end != ':' || microseconds > 999999)
        return NULL;
    *time_ns = (int64_t)(seconds * 1000000000 + microseconds * 1000);
    return end + 1;
}

/* '2026-03-01T12:34:56.789012Z ' from QEMU 10.2 on */
static const char *skip_iso_stamp(const char *text, int64_t *time_ns)
{
    const char *space = strchr(text, ' ');
    g_autofree char *stamp = NULL;
    g_autoptr(GDateTime) time = NULL;

    if (space == NULL || !g_ascii_isdigit(*text))
        return NULL;
    stamp = g_strndup(text, (size_t)(space - text));
    time = g_date_time_new_from_iso8601(stamp, NULL);
    if (time == NULL || g_date_time_to_unix(time) < 0 || g_date_time_to_unix(time) > PM_MAX_SECONDS)
        return NULL;
    *time_ns = (g_date_time_to_unix(time) * 1000000 + g_date_time_get_microsecond(time)) * 1000;
    return space + 1;
}

/* Returns the text after the stamp. Sets the time of the log, relative to the first stamp. */
static const char *skip_stamp(Log *log, const char *text)
{
    int64_t time_ns;
    const char *rest = skip_pid_stamp(text, &time_ns);

    if (rest == NULL)
        rest = skip_iso_stamp(text, &time_ns);
    log->time_ns = -1;
    if (rest == NULL)
        return text;
    if (log->first_time_ns < 0)
        log->first_time_ns = time_ns;
    log->time_ns = MAX(time_ns - log->first_time_ns, 0);
    return rest;
}

/* --- arguments --- */

/* The number after @name, anywhere in the line; no name is a substring of another of the same
 * event.
 */
static bool get_number(const Log *log, const char *text, const char *name, uint64_t max,
                       uint64_t *value, GError **error)
{
    const char *at = strstr(text, name);
    const char *digits = at != NULL ? at + strlen(name) : "";
    bool is_hex = g_str_has_prefix(digits, "0x");
    char *end;

    errno = 0;
    *value = g_ascii_strtoull(digits, &end, is_hex ? 16 : 10);
    if (!g_ascii_isxdigit(is_hex ? digits[2] : digits[0]) || end == digits || errno != 0 ||
        *value > max)
        return pm_line_fail(log->reader, error,
                            "missing or invalid number after '%s': must be at most 0x%" PRIx64,
                            name, max);
    return true;
}

/* --- events --- */

static bool add(Log *log, PmEventType type, uint64_t address, uint64_t n_blocks, GError **error)
{
    const PmTraceEvent event = {
        .type = type,
        .n_blocks = (uint16_t)n_blocks,
        .response = -1,
        .state = -1,
        .address = address,
        .time_ns = log->time_ns,
    };

    return pm_format_add_event(log->trace, log->reader, event, error);
}

static PmTraceEvent *newest_event(const Log *log)
{
    return &g_array_index(log->trace->events, PmTraceEvent, log->trace->events->len - 1);
}

/* QEMU handles one request of a device at a time. */
static bool fail_pending(const Log *log, const char *what, GError **error)
{
    return pm_line_fail(log->reader, error,
                        "%s while the request of line %u is pending: the log is damaged or has "
                        "several virtio-mem devices; record one at a time",
                        what, newest_event(log)->line);
}

static bool begin_request(Log *log, PmEventType type, const char *text, GError **error)
{
    uint64_t address = 0;
    uint64_t n_blocks = 0;

    if (log->answer_pending)
        return fail_pending(log, "request", error);
    if (type != PM_EVENT_UNPLUG_ALL &&
        (!get_number(log, text, "addr=", UINT64_MAX, &address, error) ||
         !get_number(log, text, "nb_blocks=", UINT16_MAX, &n_blocks, error)))
        return false;
    log->has_request = true;
    log->answer_pending = true;
    log->in_unplug_all = type == PM_EVENT_UNPLUG_ALL;
    log->newest.line = 0;
    log->all_unplugged = false;
    return add(log, type, address, n_blocks, error);
}

static bool on_plug(Log *log, const char *text, GError **error)
{
    return begin_request(log, PM_EVENT_PLUG, text, error);
}

static bool on_unplug(Log *log, const char *text, GError **error)
{
    return begin_request(log, PM_EVENT_UNPLUG, text, error);
}

static bool on_state(Log *log, const char *text, GError **error)
{
    return begin_request(log, PM_EVENT_STATE, text, error);
}

static bool on_unplug_all(Log *log, const char *text, GError **error)
{
    return begin_request(log, PM_EVENT_UNPLUG_ALL, text, error);
}

/* Confirms an UNPLUG_ALL; without one, the event is a system reset. */
static bool on_unplugged_all(Log *log, const char *text, GError **error)
{
    (void)text;
    log->all_unplugged = true;
    if (log->answer_pending && log->in_unplug_all)
        return true;
    if (log->answer_pending)
        return fail_pending(log, "system reset", error);
    return add(log, PM_EVENT_RESET, 0, 0, error);
}

/* The requested size changed before the last event, which only made QEMU resize the usable region.
 */
static void move_before_newest(Log *log)
{
    PmTraceEvent *newest = newest_event(log);
    PmTraceEvent event = *newest;

    *newest = newest[-1];
    event.time_ns = newest->time_ns;
    newest[-1] = event;
}

/*
 * QEMU does not log the requested size, only the usable region, which grows with it and shrinks
 * when everything is unplugged. Converted to a requested size once the block size is known.
 */
static bool on_resized(Log *log, const char *text, GError **error)
{
    uint64_t old_size;
    uint64_t new_size;
    bool was_known = log->usable_line != 0;
    bool follows_unplug = log->all_unplugged;

    if (!get_number(log, text, "old_size=", UINT64_MAX, &old_size, error) ||
        !get_number(log, text, "new_size=", UINT64_MAX, &new_size, error))
        return false;
    if (was_known && old_size != log->usable)
        return pm_line_fail(log->reader, error,
                            "usable region had 0x%" PRIx64
                            " bytes in line %u: the log is damaged or has several virtio-mem "
                            "devices or one that was migrated",
                            log->usable, log->usable_line);
    if (log->answer_pending && !follows_unplug)
        return fail_pending(log, "resize", error);
    if (!was_known) {
        log->first_usable = old_size;
        log->first_usable_line = log->reader->line;
    }
    log->usable_line = log->reader->line;
    log->usable = new_size;
    log->all_unplugged = false;
    if (new_size == old_size)
        return true;
    if (!add(log, PM_EVENT_RESIZE, 0, 0, error))
        return false;
    newest_event(log)->size = new_size;
    if (follows_unplug && log->trace->events->len > 1)
        move_before_newest(log);
    return true;
}

static bool fail_answer(const Log *log, const char *to_what, GError **error)
{
    return pm_line_fail(log->reader, error, "response without %s: %s", to_what,
                        log->has_request ? "the log is damaged or has several virtio-mem devices; "
                                           "record one at a time"
                                         : "the log lacks its beginning; record from the start "
                                           "or remove the lines before the first request");
}

/* A log that grows may have lost its beginning. */
static bool is_of_lost_request(const Log *log)
{
    return log->grows && !log->has_request;
}

static bool on_state_response(Log *log, const char *text, GError **error)
{
    uint64_t state;

    if (!get_number(log, text, "state=", VIRTIO_MEM_STATE_MIXED, &state, error))
        return false;
    if (is_of_lost_request(log))
        return true;
    if (!log->answer_pending || newest_event(log)->type != PM_EVENT_STATE)
        return fail_answer(log, "a STATE request", error);
    newest_event(log)->state = (int8_t)state;
    return true;
}

static bool on_discard(Log *log, const char *text, GError **error)
{
    const char *host = strchr(text, '@');
    Discard discard = {.line = log->reader->line};

    if (host == NULL)
        return pm_line_fail(log->reader, error, "missing host address of the discard");
    if (!get_number(log, host, "@", UINT64_MAX, &discard.host, error) ||
        !get_number(log, host, " + ", UINT64_MAX, &discard.size, error))
        return false;
    log->newest = discard;
    if (log->whole.line == 0 && !log->answer_pending)
        log->whole = discard;
    return true;
}

/* Derives the address of the region and the block size from an UNPLUG and its discard. */
static bool learn_geometry(Log *log, GError **error)
{
    const PmTraceEvent *event = newest_event(log);
    const Discard *discard = &log->newest;
    PmTraceRegion *region = log->region;
    uint64_t block_size;
    uint64_t region_address;

    if (log->whole.line == 0 || discard->line == 0 || event->n_blocks == 0 ||
        discard->size % event->n_blocks != 0)
        return true;
    block_size = discard->size / event->n_blocks;
    region_address = event->address - (discard->host - log->whole.host);
    if (log->geometry_line != 0 &&
        (block_size != region->block_size || region_address != region->address))
        return pm_line_fail(log->reader, error,
                            "region or block size differs from line %u: the log is damaged or has "
                            "several virtio-mem devices",
                            log->geometry_line);
    region->block_size = block_size;
    region->address = region_address;
    log->geometry_line = event->line;
    return true;
}

static bool on_response(Log *log, const char *text, GError **error)
{
    uint64_t type;

    if (!get_number(log, text, "type=", VIRTIO_MEM_RESP_ERROR, &type, error))
        return false;
    if (is_of_lost_request(log))
        return true;
    if (!log->answer_pending)
        return fail_answer(log, "a request", error);
    log->answer_pending = false;
    newest_event(log)->response = (int8_t)type;
    if (newest_event(log)->type == PM_EVENT_UNPLUG && type == VIRTIO_MEM_RESP_ACK)
        return learn_geometry(log, error);
    return true;
}

static const struct {
    const char *name; /* with a trailing space, because some names are prefixes of others */
    bool (*read)(Log *log, const char *text, GError **error);
} log_events[] = {
    {"virtio_mem_plug_request ", on_plug},
    {"virtio_mem_unplug_request ", on_unplug},
    {"virtio_mem_unplug_all_request ", on_unplug_all},
    {"virtio_mem_unplugged_all ", on_unplugged_all},
    {"virtio_mem_resized_usable_region ", on_resized},
    {"virtio_mem_state_request ", on_state},
    {"virtio_mem_state_response ", on_state_response},
    {"virtio_mem_send_response ", on_response},
    {"ram_block_discard_range ", on_discard},
};

bool pm_qemu_log_read_line(PmQemuLog *log, bool *is_event, GError **error)
{
    /* An editor may have stripped the trailing space of events without arguments. */
    g_autofree char *line = g_strconcat(skip_stamp(log, log->reader->text), " ", NULL);

    *is_event = true;
    for (size_t i = 0; i < G_N_ELEMENTS(log_events); i++)
        if (g_str_has_prefix(line, log_events[i].name))
            return pm_line_check_length(log->reader, error) && log_events[i].read(log, line, error);
    *is_event = false;
    return true;
}

/* --- a log that grows --- */

PmQemuLog *pm_qemu_log_new(PmLineReader *reader)
{
    PmQemuLog *log = g_new0(PmQemuLog, 1);

    log->reader = reader;
    log->trace = pm_trace_new(reader->name);
    log->region = pm_trace_add_region(log->trace, (PmTraceRegion){0});
    log->first_time_ns = -1;
    log->grows = true;
    return log;
}

void pm_qemu_log_free(PmQemuLog *log)
{
    if (log == NULL)
        return;
    pm_trace_free(log->trace);
    g_free(log);
}

bool pm_qemu_log_take(PmQemuLog *log, PmTraceEvent *event)
{
    GArray *events = log->trace->events;

    if (events->len <= log->answer_pending)
        return false;
    *event = g_array_index(events, PmTraceEvent, 0);
    g_array_remove_index(events, 0);
    return true;
}

void pm_qemu_log_restart(PmQemuLog *log)
{
    g_array_set_size(log->trace->events, 0);
    log->has_request = false;
    log->answer_pending = false;
    log->all_unplugged = false;
    log->newest.line = 0;
    log->usable_line = 0;
}

uint64_t pm_qemu_log_get_block_size(const PmQemuLog *log)
{
    return log->region->block_size;
}

/* --- geometry --- */

static char *format_address(uint64_t address)
{
    return g_strdup_printf("0x%" PRIx64, address);
}

/* Uses the given value unless the log has one. @line: of the value in the log; 0: none. */
static bool settle(Log *log, const char *flag, bool is_given, uint64_t given, unsigned line,
                   char *(*format)(uint64_t), uint64_t *value, GError **error)
{
    g_autofree char *given_text = format(given);
    g_autofree char *value_text = format(*value);

    if (is_given && line != 0 && given != *value) {
        log->reader->line = line;
        return pm_line_fail(log->reader, error,
                            "%s in the log conflicts with %s %s: drop the option", value_text, flag,
                            given_text);
    }
    if (is_given)
        *value = given;
    return true;
}

/* All options at once, because who lacks one usually lacks the next one, too. */
static bool check_complete(const Log *log, const PmTraceGeometry *given, GError **error)
{
    bool has_size = log->whole.line != 0 || given->region_size != 0;
    bool has_block_size = log->geometry_line != 0 || given->block_size != 0;
    bool has_address = log->geometry_line != 0 || given->has_region_address;

    if (has_size && has_block_size && has_address)
        return true;
    g_set_error(error, PM_ERROR, PM_ERROR_BAD_INPUT,
                "%s: no %s in the log: pass%s%s%s (values: 'info memory-devices' in QEMU's "
                "monitor)",
                log->reader->name,
                has_size ? "successful UNPLUG" : "initial discard of the whole region",
                has_size ? "" : " --region-size", has_block_size ? "" : " --block-size",
                has_address ? "" : " --region-addr");
    return false;
}

static bool settle_geometry(Log *log, const PmTraceGeometry *given, GError **error)
{
    PmTraceRegion *region = log->region;
    g_autoptr(GError) wrong = NULL;

    region->size = log->whole.size;
    if (!check_complete(log, given, error) ||
        !settle(log, "--region-size", given->region_size != 0, given->region_size, log->whole.line,
                pm_size_format, &region->size, error) ||
        !settle(log, "--block-size", given->block_size != 0, given->block_size, log->geometry_line,
                pm_size_format, &region->block_size, error) ||
        !settle(log, "--region-addr", given->has_region_address, given->region_address,
                log->geometry_line, format_address, &region->address, error))
        return false;
    /* Until the bound is known: the whole region rejects nothing that the device accepted. */
    region->requested_size = region->size;
    if (pm_trace_region_check(region, &wrong))
        return true;
    g_set_error(error, PM_ERROR, PM_ERROR_BAD_INPUT, "%s: %s", log->reader->name, wrong->message);
    return false;
}

/* Converts sizes of the usable region to requested sizes. They are bounds: QEMU logs nothing when
 * the host lowers the requested size. */
static bool bound_requested(Log *log, unsigned line, uint64_t usable, uint64_t *size,
                            GError **error)
{
    g_autofree char *usable_text = NULL;

    if (pm_trace_region_bound_requested(log->region, usable, size))
        return true;
    usable_text = pm_size_format(usable);
    log->reader->line = line;
    return pm_line_fail(
        log->reader, error,
        "no requested size results in a usable region of %s: check --region-size and "
        "--block-size, or the log is damaged",
        usable_text);
}

static bool settle_requested(Log *log, GError **error)
{
    PmTraceRegion *region = log->region;
    GArray *events = log->trace->events;

    region->requested_is_bound = true;
    if (log->usable_line != 0 && !bound_requested(log, log->first_usable_line, log->first_usable,
                                                  &region->requested_size, error))
        return false;
    for (guint i = 0; i < events->len; i++) {
        PmTraceEvent *event = &g_array_index(events, PmTraceEvent, i);

        if (event->type == PM_EVENT_RESIZE &&
            !bound_requested(log, event->line, event->size, &event->size, error))
            return false;
    }
    return true;
}

static bool check_ranges(Log *log, GError **error)
{
    const GArray *events = log->trace->events;

    for (guint i = 0; i < events->len; i++) {
        const PmTraceEvent *event = &g_array_index(events, PmTraceEvent, i);
        g_autoptr(GError) wrong = NULL;

        if (!pm_event_type_has_blocks(event->type) ||
            pm_trace_region_check_range(log->region, event->address, event->n_blocks, &wrong))
            continue;
        log->reader->line = event->line;
        return pm_line_fail(log->reader, error, "%s", wrong->message);
    }
    return true;
}

bool pm_format_qemu_read(PmLineReader *reader, const PmTraceGeometry *given, PmTrace *trace,
                         GError **error)
{
    Log log = {.reader = reader,
               .trace = trace,
               .region = pm_trace_add_region(trace, (PmTraceRegion){0}),
               .first_time_ns = -1};
    bool is_event;
    bool end;

    for (;;) {
        if (!pm_line_reader_next(reader, &end, error))
            return false;
        if (end)
            break;
        /* A truncated number looks like a valid one. */
        if (reader->cut_off)
            pm_format_leave_out(trace, reader);
        else if (!pm_qemu_log_read_line(&log, &is_event, error))
            return false;
    }
    if (trace->events->len == 0) {
        g_set_error(error, PM_ERROR, PM_ERROR_BAD_INPUT,
                    "%s: not a trace: has neither a virtio-mem event of QEMU's trace log (-trace "
                    "'virtio_mem_*' -trace ram_block_discard_range) nor the header of plugmap's "
                    "own format, '" PM_TRACE_MAGIC " 1'",
                    reader->name);
        return false;
    }
    return settle_geometry(&log, given, error) && settle_requested(&log, error) &&
           check_ranges(&log, error);
}
