/* SPDX-License-Identifier: MIT */
#include "trace/format_plugmap.h"

#include <inttypes.h>
#include <string.h>

#include <plugmap/size.h>

#include "kernel-uapi/virtio_mem.h"
#include "trace/format.h"
#include "trace/words.h"

#define MAX_REGIONS 256 /* QEMU's limit of memory slots */
#define MAX_NAME    64

static bool is_field(const char *word)
{
    static const char *const fields[] = {
        "addr=",   "size=", "block=",  "requested=", "requested-max=", "granularity=", "device=",
        "blocks=", "iova=", "access=", "to="};

    for (size_t i = 0; i < G_N_ELEMENTS(fields); i++)
        if (g_str_has_prefix(word, fields[i]))
            return true;
    return false;
}

/* Quotes the first word that is no field: perhaps the missing one, misspelled. */
static bool fail_missing(const PmLineReader *reader, const PmWords *words, const char *name,
                         GError **error)
{
    for (unsigned i = 0; i < words->n_words; i++)
        if (!is_field(words->words[i]))
            return pm_line_fail(reader, error, "missing %s=; unexpected word '%s'", name,
                                words->words[i]);
    return pm_line_fail(reader, error, "missing %s=", name);
}

/* Does not change *value if the word is missing. */
static bool take_number(const PmLineReader *reader, PmWords *words, const char *name, bool required,
                        uint64_t *value, GError **error)
{
    bool found;

    if (!pm_words_take_number(reader, words, name, &found, value, error))
        return false;
    return found || !required || fail_missing(reader, words, name, error);
}

static bool no_more_words(const PmLineReader *reader, const PmWords *words, GError **error)
{
    if (words->n_words == 0)
        return true;
    return pm_line_fail(reader, error, "unexpected word '%s'", words->words[0]);
}

static bool read_magic(PmLineReader *reader, GError **error)
{
    PmWords words;
    bool end;

    if (!pm_words_next(reader, &words, &end, error))
        return false;
    if (end || words.n_words != 2 || strcmp(words.words[0], PM_TRACE_MAGIC) != 0)
        return pm_line_fail(reader, error,
                            "missing header: the first line must be '" PM_TRACE_MAGIC
                            " " PM_TRACE_VERSION "'");
    if (strcmp(words.words[1], PM_TRACE_VERSION) != 0)
        return pm_line_fail(reader, error, "unsupported version %s: must be " PM_TRACE_VERSION,
                            words.words[1]);
    return true;
}

static bool fail_without_region(const PmLineReader *reader, GError **error)
{
    return pm_line_fail(reader, error,
                        "missing region: the second line must be 'region addr=... "
                        "size=... block=... requested=...'");
}

/* Options must not contradict the trace. */
static bool check_given(const PmLineReader *reader, const PmTraceGeometry *given,
                        const PmTraceRegion *region, GError **error)
{
    if ((given->has_region_address && given->region_address != region->address) ||
        (given->region_size != 0 && given->region_size != region->size) ||
        (given->block_size != 0 && given->block_size != region->block_size))
        return pm_line_fail(reader, error,
                            "region differs from --region-addr, --region-size or --block-size: "
                            "drop the options");
    return true;
}

static bool is_name(const char *text)
{
    size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                 "-_./:");

    return length > 0 && length <= MAX_NAME && text[length] == '\0';
}

static bool find_region(const PmTrace *trace, const char *name, unsigned *found)
{
    for (unsigned i = 0; i < trace->regions->len; i++) {
        if (g_strcmp0(pm_trace_region(trace, i)->name, name) == 0) {
            *found = i;
            return true;
        }
    }
    return false;
}

static bool read_requested(const PmLineReader *reader, PmWords *words, PmTraceRegion *region,
                           GError **error)
{
    unsigned n_words = words->n_words;

    region->requested_size = region->size;
    if (!take_number(reader, words, "requested-max", false, &region->requested_size, error))
        return false;
    region->requested_is_bound = words->n_words < n_words;
    return region->requested_is_bound ||
           take_number(reader, words, "requested", false, &region->requested_size, error);
}

static bool read_granularity(const PmLineReader *reader, PmWords *words, PmTraceRegion *region,
                             GError **error)
{
    unsigned n_words = words->n_words;

    if (!take_number(reader, words, "granularity", false, &region->granularity, error))
        return false;
    if (region->granularity == 0 && words->n_words < n_words)
        return pm_line_fail(reader, error, "invalid granularity 0: must be at least 4K");
    return true;
}

/* Checks it against the regions before it. */
static bool check_region(const PmLineReader *reader, const PmTrace *trace, const char *name,
                         const PmTraceRegion *region, GError **error)
{
    g_autoptr(GError) wrong = NULL;
    unsigned found;

    if (!pm_trace_region_check(region, &wrong))
        return pm_line_fail(reader, error, "%s", wrong->message);
    if (trace->regions->len == MAX_REGIONS)
        return pm_line_fail(reader, error, "too many regions, at most %d", MAX_REGIONS);
    if (trace->regions->len > 0 && (name == NULL || find_region(trace, NULL, &found)))
        return pm_line_fail(
            reader, error,
            "missing device=: with several regions, add device=NAME to each and to its "
            "events");
    if (name != NULL && !is_name(name))
        return pm_line_fail(
            reader, error,
            "invalid device name '%s': must be at most %d letters, digits and -_./:", name,
            MAX_NAME);
    if (name != NULL && find_region(trace, name, &found))
        return pm_line_fail(reader, error, "duplicate region of device %s", name);
    for (unsigned i = 0; i < trace->regions->len; i++)
        if (pm_trace_region_overlaps(region, pm_trace_region(trace, i)))
            return pm_line_fail(reader, error, "region overlaps that of device %s",
                                pm_trace_region(trace, i)->name);
    return true;
}

static bool read_region(PmLineReader *reader, PmWords *words, const PmTraceGeometry *given,
                        PmTrace *trace, GError **error)
{
    PmTraceRegion region = {0};
    const char *name;

    pm_words_drop_first(words, 1);
    name = pm_words_take(words, "device");
    if (!take_number(reader, words, "addr", true, &region.address, error) ||
        !take_number(reader, words, "size", true, &region.size, error) ||
        !take_number(reader, words, "block", true, &region.block_size, error) ||
        !read_requested(reader, words, &region, error) ||
        !read_granularity(reader, words, &region, error) || !no_more_words(reader, words, error) ||
        !check_region(reader, trace, name, &region, error) ||
        !check_given(reader, given, &region, error))
        return false;
    region.name = g_strdup(name);
    pm_trace_add_region(trace, region);
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

static bool has_answer(PmEventType type)
{
    return type != PM_EVENT_RESIZE && type != PM_EVENT_RESET && type != PM_EVENT_CONVERT;
}

static bool fail_answer(const PmLineReader *reader, PmEventType type, const char *answer,
                        GError **error)
{
    const char *rule = "must be ack, nack, busy or error";

    if (pm_event_type_is_iommu(type))
        rule = "must be ok, ioerr, unsupp, deverr, inval, range, noent, fault or nomem";
    else if (type == PM_EVENT_STATE)
        rule = "must be plugged, unplugged, mixed, ack, nack, busy or error";
    else if (!has_answer(type))
        rule = "must have none";
    return pm_line_fail(reader, error, "invalid response '%s' to %s: %s", answer,
                        pm_event_type_name(type), rule);
}

/* '-> ack' at the end; for STATE the state, which implies ACK. */
static bool take_answer(const PmLineReader *reader, PmWords *words, PmTraceEvent *event,
                        GError **error)
{
    const char *answer = pm_words_take_answer(words);

    if (answer == NULL)
        return true;
    if (event->type == PM_EVENT_STATE && find_name(pm_state_names, answer, &event->state)) {
        event->response = VIRTIO_MEM_RESP_ACK;
        return true;
    }
    if (pm_event_type_is_iommu(event->type)) {
        if (find_name(pm_iommu_status_names, answer, &event->response))
            return true;
    } else if (has_answer(event->type) && find_name(pm_response_names, answer, &event->response)) {
        return true;
    }
    return fail_answer(reader, event->type, answer, error);
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
    return pm_line_fail(
        reader, error,
        "unknown event '%s': must be plug, unplug, unplug-all, state, resize, reset, convert, "
        "iommu-map or iommu-unmap",
        text);
}

/* Finds the region of the event. */
static bool take_device(const PmLineReader *reader, PmWords *words, const PmTrace *trace,
                        PmTraceEvent *event, GError **error)
{
    const char *name;

    if (event->type == PM_EVENT_RESET || pm_event_type_is_iommu(event->type))
        return true;
    name = pm_words_take(words, "device");
    if (name == NULL && trace->regions->len == 1)
        return true;
    if (name == NULL)
        return pm_line_fail(reader, error,
                            "missing device=: with several regions, every event but reset, "
                            "iommu-map and iommu-unmap requires "
                            "it");
    return find_region(trace, name, &event->region) ||
           pm_line_fail(reader, error, "no region of device %s", name);
}

static bool read_blocks(const PmLineReader *reader, PmWords *words, const PmTraceRegion *region,
                        PmTraceEvent *event, GError **error)
{
    g_autoptr(GError) wrong = NULL;
    uint64_t n_blocks = 0;

    if (!take_number(reader, words, "addr", true, &event->address, error) ||
        !take_number(reader, words, "blocks", true, &n_blocks, error))
        return false;
    if (n_blocks > UINT16_MAX)
        return pm_line_fail(reader, error, "invalid blocks=%" PRIu64 ": a request has at most %d",
                            n_blocks, UINT16_MAX);
    event->n_blocks = (uint16_t)n_blocks;
    if (!pm_trace_region_check_range(region, event->address, n_blocks, &wrong))
        return pm_line_fail(reader, error, "%s", wrong->message);
    return true;
}

static bool read_size(const PmLineReader *reader, PmWords *words, const PmTraceRegion *region,
                      PmTraceEvent *event, GError **error)
{
    if (!take_number(reader, words, "size", true, &event->size, error))
        return false;
    if (event->size % region->block_size != 0 || event->size > region->size) {
        g_autofree char *size = pm_size_format(event->size);
        g_autofree char *block = pm_size_format(region->block_size);
        g_autofree char *limit = pm_size_format(region->size);

        return pm_line_fail(reader, error,
                            "invalid resize to %s: must be whole blocks of %s, at most the "
                            "region's %s",
                            size, block, limit);
    }
    return true;
}

static bool check_conversion(const PmLineReader *reader, const PmTraceRegion *region,
                             const PmTraceEvent *event, GError **error)
{
    uint64_t offset = event->address - region->address;
    g_autofree char *size = pm_size_format(event->size);
    g_autofree char *granularity = pm_size_format(region->granularity);

    if (region->granularity == 0)
        return pm_line_fail(reader, error,
                            "conversion in a region without granularity=: add it to the region");
    if (((event->address | event->size) & (region->granularity - 1)) == 0 && event->size != 0 &&
        event->address >= region->address && offset < region->size &&
        event->size <= region->size - offset)
        return true;
    return pm_line_fail(reader, error,
                        "invalid conversion of %s at 0x%" PRIx64
                        ": must be a range inside the region, in multiples of its granularity %s",
                        size, event->address, granularity);
}

/* @value: NULL if the word is missing. */
static bool fail_choice(const PmLineReader *reader, const char *name, const char *value,
                        const char *choices, GError **error)
{
    return pm_line_fail(reader, error, "%s %s=%s: must be %s",
                        value == NULL ? "missing" : "invalid", name, value == NULL ? "" : value,
                        choices);
}

static bool read_conversion(const PmLineReader *reader, PmWords *words, const PmTraceRegion *region,
                            PmTraceEvent *event, GError **error)
{
    const char *to = pm_words_take(words, "to");

    if (g_strcmp0(to, "shared") != 0 && g_strcmp0(to, "private") != 0)
        return fail_choice(reader, "to", to, "shared or private", error);
    event->shared = strcmp(to, "shared") == 0;
    return take_number(reader, words, "addr", true, &event->address, error) &&
           take_number(reader, words, "size", true, &event->size, error) &&
           check_conversion(reader, region, event, error);
}

/* An inclusive last address ends the range, so it has at least a byte. */
static bool read_iommu(const PmLineReader *reader, PmWords *words, PmTraceEvent *event,
                       GError **error)
{
    const char *access = pm_words_take(words, "access");
    g_autofree char *size = NULL;
    int8_t bits = 0;
    uint64_t last;

    if (event->type == PM_EVENT_IOMMU_MAP &&
        (access == NULL || *access == '-' || !find_name(pm_access_names, access, &bits)))
        return fail_choice(reader, "access", access, "r, w or rw", error);
    if (event->type == PM_EVENT_IOMMU_UNMAP && access != NULL)
        return pm_line_fail(reader, error, "unexpected word 'access=%s'", access);
    event->access = (uint8_t)bits;
    if (!take_number(reader, words, "iova", true, &event->iova, error) ||
        !take_number(reader, words, "size", true, &event->size, error) ||
        (event->type == PM_EVENT_IOMMU_MAP &&
         !take_number(reader, words, "addr", true, &event->address, error)))
        return false;
    if (event->size != 0 && !__builtin_add_overflow(event->iova, event->size - 1, &last))
        return true;
    size = pm_size_format(event->size);
    return pm_line_fail(reader, error,
                        "invalid range of %s at I/O address 0x%" PRIx64
                        ": must not be empty, nor end past 2^64-1",
                        size, event->iova);
}

static bool read_event(const PmLineReader *reader, PmWords *words, PmTrace *trace, GError **error)
{
    PmTraceEvent event = {.response = -1, .state = -1, .time_ns = -1};
    const PmTraceRegion *region;

    if (!pm_words_check_arrow(reader, words, error) ||
        !pm_words_take_time(reader, words, &event.time_ns, error) ||
        !find_type(reader, words->words[0], &event.type, error))
        return false;
    pm_words_drop_first(words, 1);
    if (!take_answer(reader, words, &event, error))
        return false;
    if (!take_device(reader, words, trace, &event, error))
        return false;
    region = pm_trace_region(trace, event.region);
    if (pm_event_type_has_blocks(event.type) && !read_blocks(reader, words, region, &event, error))
        return false;
    if (event.type == PM_EVENT_RESIZE && !read_size(reader, words, region, &event, error))
        return false;
    if (pm_event_type_is_iommu(event.type) && !read_iommu(reader, words, &event, error))
        return false;
    if (event.type == PM_EVENT_CONVERT && !read_conversion(reader, words, region, &event, error))
        return false;
    return no_more_words(reader, words, error) && pm_format_add_event(trace, reader, event, error);
}

/* Regions must precede events, which are checked against them. */
static bool read_words(PmLineReader *reader, PmWords *words, const PmTraceGeometry *given,
                       PmTrace *trace, GError **error)
{
    bool is_region = strcmp(words->words[0], "region") == 0;

    if (is_region && trace->events->len > 0)
        return pm_line_fail(reader, error, "region after an event: list all regions first");
    if (is_region)
        return read_region(reader, words, given, trace, error);
    if (trace->regions->len == 0)
        return fail_without_region(reader, error);
    return read_event(reader, words, trace, error);
}

bool pm_format_plugmap_read(PmLineReader *reader, const PmTraceGeometry *given, PmTrace *trace,
                            GError **error)
{
    PmWords words;
    bool end;

    if (!read_magic(reader, error))
        return false;
    for (;;) {
        g_autoptr(GError) wrong = NULL;

        if (!pm_words_next(reader, &words, &end, error))
            return false;
        if (end)
            return trace->regions->len > 0 || fail_without_region(reader, error);
        if (read_words(reader, &words, given, trace, &wrong))
            continue;
        if (!reader->cut_off || trace->regions->len == 0) {
            g_propagate_error(error, g_steal_pointer(&wrong));
            return false;
        }
        pm_format_leave_out(trace, reader);
    }
}
