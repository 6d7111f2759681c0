/* SPDX-License-Identifier: MIT */
/* plugmap replay: replays a trace on the fake kernel or a real device. */
#include <inttypes.h>
#include <stdio.h>

#include "base/error_text.h"
#include "replay/host_memory.h"
#include "replay/progress.h"
#include "replay/replay.h"
#include "replay/report_text.h"
#include "tools/commands.h"
#include "tools/exit_status.h"
#include "tools/print.h"
#include "tools/privileges.h"
#include "tools/replay_options.h"
#include "tools/replay_output.h"
#include "tools/signals.h"
#include "tools/terminal.h"

/* State of the replay callbacks. */
typedef struct {
    PmReplayOutput files;
    bool show_progress;
    gint64 start_us;  /* of the command */
    gint64 replay_us; /* of the replay itself */
    gint64 shown_us;
    bool shown;
} Output;

static void output_clear(Output *output)
{
    pm_replay_output_clear(&output->files);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Output, output_clear)

/* Input of the report, which may be incomplete. @start_us: of the command. */
typedef struct {
    gint64 start_us;
    PmBackend backend;
    PmTrace *trace;
    PmReplayResult *result;
    bool text_is_replaced; /* by what else standard output gets */
} Session;

static void session_clear(Session *session)
{
    pm_backend_clear(&session->backend);
    pm_replay_result_free(session->result);
    pm_trace_free(session->trace);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Session, session_clear)

static void log_dma(PmDmaCall call, uint64_t iova, uint64_t size, void *user_data)
{
    Output *output = user_data;

    if (output->files.dma_log.stream != NULL)
        fprintf(output->files.dma_log.stream, "%s iova=0x%" PRIx64 " size=0x%" PRIx64 "\n",
                call == PM_DMA_MAP ? "map" : "unmap", iova, size);
}

/* Shows the bar after one second, and updates it at most ten times a second. */
static void show_progress(Output *output, guint n_done, guint n_events)
{
    gint64 now_us = g_get_monotonic_time();
    g_autofree char *text = NULL;

    if (!output->show_progress || now_us - output->start_us < G_USEC_PER_SEC ||
        now_us - output->shown_us < G_USEC_PER_SEC / 10)
        return;
    output->shown_us = now_us;
    output->shown = true;
    text = pm_progress_text(n_done, n_events, (uint64_t)(now_us - output->replay_us));
    fprintf(stderr, "\r\033[K%s", text);
}

static bool on_event(const PmReplayResult *so_far, guint n_events, void *user_data)
{
    show_progress(user_data, (guint)so_far->n_played, n_events);
    return pm_signals_noted() == 0;
}

static bool print_text(const Session *session, GError **error)
{
    const PmReportStyle style = {
        .backend = session->backend.name,
        .width = pm_terminal_width(),
        .colours = pm_terminal_has_colours(),
    };
    g_autofree char *report = pm_report_text(session->trace, session->result, &style);

    return pm_print(report, error);
}

static void print_notes(const PmReplayOptions *options, const Session *session)
{
    const PmBackend *backend = &session->backend;
    g_autofree char *capabilities = NULL;

    if (session->trace->warning != NULL)
        fprintf(stderr, "plugmap replay: warning: %s\n", session->trace->warning);
    if (!options->verbose)
        return;
    capabilities = pm_privileges_describe();
    fprintf(stderr,
            "plugmap replay: backend %s\n"
            "plugmap replay: capabilities kept: %s\n",
            backend->reason != NULL ? backend->reason : backend->name, capabilities);
}

static int status_of(const Session *session, const GError *error)
{
    if (error != NULL || session->result == NULL)
        return pm_exit_status(error);
    if (session->result->stopped)
        return PM_EXIT_SIGNAL + pm_signals_noted();
    return pm_replay_is_right(session->result) ? PM_EXIT_OK : PM_EXIT_WRONG;
}

static PmJsonReport report_of(const Session *session, int status, const GError *error)
{
    return (PmJsonReport){
        .command = "replay",
        .version = PLUGMAP_VERSION,
        .exit_status = status,
        .trace = session->trace,
        .backend = session->backend.name,
        .result = session->result,
        .error = error,
    };
}

/* Page and picture need what happened in between. */
static bool make_timeline(const PmReplayOptions *options, const Session *session,
                          PmTimeline **timeline, GError **error)
{
    if (options->report == NULL && options->svg == NULL)
        return true;
    *timeline = pm_timeline_new(session->trace, error);
    return *timeline != NULL;
}

static bool play(const PmReplayOptions *options, Session *session, const PmReplayConfig *given,
                 GError **error)
{
    PmReplayConfig config = *given;
    g_autoptr(PmTimeline) timeline = NULL;
    PmJsonReport report;
    g_auto(Output) output = {.start_us = session->start_us,
                             .show_progress = pm_terminal_shows_progress() && !options->json};

    config.dma_func = log_dma;
    config.progress = on_event;
    config.user_data = &output;
    pm_signals_note();
    if (!pm_replay_output_open(&output.files, options, error) ||
        !make_timeline(options, session, &timeline, error))
        return false;
    session->text_is_replaced = pm_replay_output_replaces_text(&output.files, options);
    config.timeline = timeline;
    output.replay_us = g_get_monotonic_time();
    session->result = pm_replay(session->trace, &config, error);
    if (output.shown)
        fputs("\r\033[K", stderr);
    if (session->result == NULL)
        return false;
    report = report_of(session, status_of(session, NULL), NULL);
    return pm_replay_output_finish(&output.files, &report, timeline, error);
}

static bool run(const PmReplayOptions *options, Session *session, GError **error)
{
    static const PmRamKind kinds[] = {PM_RAM_ANONYMOUS, PM_RAM_MEMFD, PM_RAM_HUGETLB_2M};
    PmBackend *backend = &session->backend;
    PmNeeds needs = {.outputs = {options->dma_log, options->report, options->svg}};
    g_autoptr(PmKernel) kernel = NULL;
    PmReplayConfig config = {
        .group = 1,
        .audit = !options->no_audit,
        .overcommit = options->overcommit,
        .prefault_threads = (unsigned)options->prefault,
    };
    int memory;

    if (!pm_backend_choose(backend, options->backend, options->device, error) ||
        !pm_option_choose("--memory", options->memory, pm_memory_names, &memory, error) ||
        !pm_replay_options_check(options, backend, error))
        return false;
    needs.input = options->rest[0];
    needs.device = !backend->fake;
    if (!pm_privileges_keep(&needs, error))
        return false;
    kernel = pm_fake_options_make_kernel(&options->fake, backend, error);
    if (kernel == NULL)
        return false;
    session->trace = pm_trace_options_load(&options->trace, options->rest[0], error);
    needs.input = NULL;
    if (session->trace == NULL || !pm_privileges_keep(&needs, error))
        return false;
    print_notes(options, session);
    if (options->verbose)
        pm_log_set_level(G_LOG_LEVEL_INFO);
    config.kernel = kernel;
    config.backend = backend->iommu;
    config.device = backend->device;
    if (options->dma_check)
        config.dma_device = backend->device;
    config.fake = backend->fake ? kernel : NULL;
    config.only_counts = backend->fake && !pm_fake_options_populate(&options->fake);
    config.memory = kinds[memory];
    if (!options->force && (!config.only_counts || config.prefault_threads > 0) &&
        !pm_host_memory_check(session->trace, config.memory, "", error))
        return false;
    return play(options, session, &config, error);
}

static bool print_json(const Session *session, int status, const GError *error, GError **failure)
{
    const PmJsonReport report = report_of(session, status, error);

    return pm_print_json(&report, failure);
}

static void print_message(GLogLevelFlags level, const char *message, void *user_data)
{
    (void)user_data;
    fprintf(stderr, "plugmap: %s%s\n", level == G_LOG_LEVEL_INFO ? "info: " : "", message);
}

int pm_replay_main(int argc, char **argv)
{
    g_auto(PmReplayOptions) options = {0};
    g_auto(Session) session = {.start_us = g_get_monotonic_time()};
    g_autoptr(GError) error = NULL;
    g_autoptr(GError) failure = NULL;
    int status;

    pm_log_set_func(print_message, NULL);
    if (pm_command_line_parse(&pm_replay_command, &options, argc, argv, &error))
        (void)run(&options, &session, &error);
    else
        options.json = pm_json_is_asked_for(argc, argv); /* GLib resets parsed options on errors */
    status = status_of(&session, error);
    if (error != NULL)
        fprintf(stderr, "plugmap replay: %s\n", error->message);
    if (options.json)
        (void)print_json(&session, status, error, &failure);
    else if (error == NULL && !session.text_is_replaced)
        (void)print_text(&session, &failure);
    if (failure == NULL)
        return status;
    fprintf(stderr, "plugmap replay: %s\n", failure->message);
    return PM_EXIT_USAGE;
}
