/* SPDX-License-Identifier: MIT */
/* Plays a recording: a trace, or a DMA log in a file. */
#include "replay/replay.h"
#include "tools/fake_options.h"
#include "tools/watch_source.h"

/* Wide enough for any region; what fits fewer bits is for 'plugmap plan'. */
#define IOVA_BITS   "48"
#define MAX_ENTRIES "4294967295"

typedef struct {
    PmWatchSession *session;
    const PmTrace *trace;
    int64_t event_ns; /* of the event that is played */
    guint n_plugs;    /* latencies that were taken */
    guint n_unplugs;
    uint64_t n_responses[PM_TRACE_N_RESPONSES]; /* after the last event */
    GError *error;
} Player;

/* --- a trace --- */

/* Events without times have a fixed distance. */
static int64_t time_of(const Player *player, guint index)
{
    int64_t time_ns = g_array_index(player->trace->events, PmTraceEvent, index).time_ns;

    return time_ns >= 0 ? time_ns : player->event_ns + PM_PACE_UNTIMED_NS;
}

static void on_dma(PmDmaCall call, uint64_t iova, uint64_t size, void *user_data)
{
    Player *player = user_data;
    const PmDmaLogCall dma = {
        .kind = call == PM_DMA_MAP ? PM_DMA_LOG_MAP : PM_DMA_LOG_UNMAP,
        .iova = iova,
        .size = size,
        .time_ns = player->event_ns,
        .latency_ns = -1,
    };

    if (player->error == NULL)
        (void)pm_watch_add_call(player->session->watch, &dma, player->event_ns, &player->error);
}

static void take_latencies(PmLatency *latency, const GArray *values, guint *n_taken)
{
    for (; *n_taken < values->len; (*n_taken)++)
        pm_latency_add(latency, g_array_index(values, uint64_t, *n_taken));
}

/* The response is the replay's. */
static PmTraceEvent as_played(Player *player, const PmReplayResult *so_far)
{
    PmTraceEvent event =
        g_array_index(player->trace->events, PmTraceEvent, (guint)so_far->n_played - 1);

    for (int i = 0; i < PM_TRACE_N_RESPONSES; i++) {
        if (so_far->n_responses[i] == player->n_responses[i])
            continue;
        player->n_responses[i] = so_far->n_responses[i];
        if (event.response != i)
            event.state = -1;
        event.response = (int8_t)i;
    }
    return event;
}

static void take_result(Player *player, const PmReplayResult *result)
{
    PmWatch *watch = player->session->watch;

    take_latencies(&watch->plug, result->plug_ns, &player->n_plugs);
    take_latencies(&watch->unplug, result->unplug_ns, &player->n_unplugs);
    watch->n_audits = result->n_checks;
    watch->n_failed_audits = result->n_mismatches;
    watch->n_differing = result->n_divergences;
}

static bool on_event(const PmReplayResult *so_far, guint n_events, void *user_data)
{
    Player *player = user_data;
    const PmTraceEvent event = as_played(player, so_far);
    guint n_played = (guint)so_far->n_played;
    bool continues = true;

    take_result(player, so_far);
    pm_watch_add_event(player->session->watch, &event, player->event_ns);
    if (n_played < n_events) {
        player->event_ns = time_of(player, n_played);
        continues = pm_watch_session_wait_for(player->session,
                                              player->event_ns - player->session->watch->first_ns);
    }
    return continues && player->error == NULL;
}

/* Limits that were not given are only warned of: the replay is that of 'plugmap replay'. */
static PmKernel *make_kernel(const PmWatchOptions *watch, GError **error)
{
    const PmBackend backend = {.name = "fake", .fake = true, .iommu = PM_IOMMU_TYPE1};
    bool no_entry_limit = g_strcmp0(watch->entry_limit, "none") == 0;
    bool no_memlock = g_strcmp0(watch->memlock, "none") == 0;
    const PmFakeOptions options = {
        .iova_bits = (char *)IOVA_BITS,
        .entry_limit = no_entry_limit ? (char *)MAX_ENTRIES : watch->entry_limit,
        .memlock = no_memlock ? NULL : watch->memlock,
    };

    return pm_fake_options_make_kernel(&options, &backend, error);
}

static bool replay(Player *player, PmKernel *kernel, GError **error)
{
    const PmReplayConfig config = {
        .kernel = kernel,
        .fake = kernel,
        .only_counts = true,
        .backend = PM_IOMMU_TYPE1,
        .group = 1,
        .audit = true,
        .overcommit = true,
        .dma_func = on_dma,
        .progress = on_event,
        .user_data = player,
    };
    g_autoptr(PmReplayResult) result = pm_replay(player->trace, &config, error);

    if (result == NULL)
        return false;
    take_result(player, result);
    if (player->error == NULL)
        return true;
    g_propagate_error(error, g_steal_pointer(&player->error));
    return false;
}

bool pm_watch_play_trace(PmWatchSession *session, GError **error)
{
    g_autoptr(PmTrace) trace =
        pm_trace_options_load(&session->options->trace, session->path, error);
    g_autoptr(PmKernel) kernel = NULL;
    Player player = {.session = session, .trace = trace};
    bool played;

    if (trace == NULL)
        return false;
    kernel = make_kernel(session->options, error);
    if (kernel == NULL)
        return false;
    if (trace->warning != NULL)
        pm_watch_warn(session->watch, g_strdup(trace->warning));
    session->n_total = trace->events->len;
    for (guint i = 0; i < trace->events->len; i++)
        session->watch->has_times |= g_array_index(trace->events, PmTraceEvent, i).time_ns >= 0;
    session->watch->has_rate = session->watch->has_times;
    if (trace->events->len > 0)
        player.event_ns = MAX(g_array_index(trace->events, PmTraceEvent, 0).time_ns, 0);
    pm_watch_session_begin(session);
    played = replay(&player, kernel, error);
    pm_watch_session_end(session);
    return played;
}

/* --- a DMA log --- */

static bool play_call(PmWatchSession *session, const PmDmaLogCall *call, int64_t *last_ns,
                      GError **error)
{
    PmWatch *watch = session->watch;
    int64_t time_ns = call->time_ns >= 0 ? call->time_ns : *last_ns + PM_PACE_UNTIMED_NS;
    int64_t first_ns = watch->n_events == 0 ? time_ns : watch->first_ns;

    watch->has_times |= call->time_ns >= 0;
    watch->has_rate = watch->has_times;
    *last_ns = time_ns;
    return !pm_watch_session_wait_for(session, MAX(time_ns - first_ns, 0)) ||
           pm_watch_add_call(watch, call, time_ns, error);
}

static bool play_lines(PmWatchSession *session, PmLineReader *reader, GError **error)
{
    int64_t last_ns = 0;
    PmDmaLogCall call;
    bool end;

    for (;;) {
        if (session->stopped)
            return true;
        if (!pm_line_reader_next(reader, &end, error))
            return false;
        if (end)
            return true;
        if (reader->cut_off) {
            pm_watch_warn(session->watch, pm_line_cut_off_text(reader));
            continue;
        }
        if (!pm_dma_log_parse(reader, &call, error))
            return false;
        if (call.kind != PM_DMA_LOG_NOTHING && !play_call(session, &call, &last_ns, error))
            return false;
    }
}

bool pm_watch_play_dma_log(PmWatchSession *session, GError **error)
{
    g_autofree PmLineReader *reader = g_new0(PmLineReader, 1);
    bool played;

    if (!pm_line_reader_open(reader, session->path, error))
        return false;
    pm_watch_session_begin(session);
    played = play_lines(session, reader, error);
    pm_watch_session_end(session);
    pm_line_reader_close(reader);
    return played;
}
