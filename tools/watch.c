/* SPDX-License-Identifier: MIT */
/* plugmap watch: shows the mappings of a trace, of a running QEMU or of a DMA log as they change.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <plugmap/size.h>

#include "base/error_text.h"
#include "host/entry_limit.h"
#include "host/host_files.h"
#include "tools/commands.h"
#include "tools/exit_status.h"
#include "tools/print.h"
#include "tools/privileges.h"
#include "tools/terminal.h"
#include "tools/watch_source.h"
#include "watch/summary.h"

#define EXIT_TIMEOUT 124 /* of timeout(1) */

static const char *const formats[] = {"auto", "plugmap", "qemu-log", "dma-log", NULL};

static void options_clear(PmWatchOptions *options)
{
    pm_trace_options_clear(&options->trace);
    g_free(options->speed);
    g_free(options->entry_limit);
    g_free(options->memlock);
    g_strfreev(options->rest);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PmWatchOptions, options_clear)

/* --- options --- */

/* "10x", "0.5x" or "max". Without a terminal nobody waits for the events. */
static bool parse_speed(const PmWatchOptions *options, double *speed, GError **error)
{
    const char *text = options->speed;
    char *end;

    *speed = !options->json && pm_terminal_is_smart() ? 1 : PM_PACE_NO_WAIT;
    if (text == NULL)
        return true;
    *speed = PM_PACE_NO_WAIT;
    if (g_str_equal(text, "max"))
        return true;
    *speed = g_ascii_strtod(text, &end);
    if (end != text && g_str_equal(end, "x") && g_ascii_isdigit(*text) &&
        *speed >= PM_PACE_SLOWEST && *speed <= PM_PACE_FASTEST)
        return true;
    return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                   "invalid --speed %s: must be like 10x or 0.5x, from 0.001x to 1000000x, or max",
                   text);
}

static bool parse_limit(const char *option, const char *text, uint64_t min, uint64_t max,
                        uint64_t *limit, GError **error)
{
    if (text == NULL)
        return true;
    if (g_str_equal(text, "none")) {
        *limit = PM_LIMIT_NO_LIMIT;
        return true;
    }
    return (pm_size_parse(text, limit, NULL) && *limit >= min && *limit <= max) ||
           pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                   "invalid %s %s: must be none or a number from %" PRIu64 " to %" PRIu64, option,
                   text, min, max);
}

static uint64_t host_entry_limit(void)
{
    uint64_t limit = PM_ENTRY_LIMIT_DEFAULT; /* of a kernel that has not loaded the module */

    (void)pm_host_read_number("", PM_ENTRY_LIMIT_FILE, 10, &limit, NULL);
    return limit;
}

static uint64_t host_memlock(void)
{
    struct rlimit limit;

    if (pm_privileges_can_lock() || getrlimit(RLIMIT_MEMLOCK, &limit) < 0 ||
        limit.rlim_cur == RLIM_INFINITY)
        return PM_LIMIT_NO_LIMIT;
    return limit.rlim_cur;
}

static bool check_options(const PmWatchOptions *options, GError **error)
{
    int format;

    if (options->rest == NULL || options->rest[1] != NULL)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT, "expected one trace or log (see --help)");
    if (!pm_option_choose("--format", options->trace.format, formats, &format, error))
        return false;
    return !options->follow || options->speed == NULL ||
           pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                   "--speed is of a recording: drop it or --follow");
}

/* --- run --- */

static void print_warning(const char *warning, void *user_data)
{
    const PmWatchSession *session = user_data;

    if (session->terminal.keys_fd < 0)
        fprintf(stderr, "plugmap watch: warning: %s\n", warning);
}

static bool play(PmWatchSession *session, GError **error)
{
    bool is_pipe;

    if (session->options->follow)
        return pm_watch_follow(session, error);
    if (!pm_watch_source_detect(session->options->trace.format, &session->path,
                                &session->watch->kind, &is_pipe, error))
        return false;
    if (session->watch->kind == PM_WATCH_TRACE)
        return pm_watch_play_trace(session, error);
    return is_pipe ? pm_watch_follow(session, error) : pm_watch_play_dma_log(session, error);
}

static bool run(const PmWatchOptions *options, PmWatchSession *session, GError **error)
{
    PmNeeds needs = {0};
    uint64_t entry_limit = host_entry_limit();
    uint64_t memlock = host_memlock();
    double speed;

    if (!check_options(options, error) || !parse_speed(options, &speed, error) ||
        !parse_limit("--entry-limit", options->entry_limit, 1, UINT32_MAX, &entry_limit, error) ||
        !parse_limit("--memlock", options->memlock, 0, INT64_MAX, &memlock, error))
        return false;
    needs.input = options->rest[0]; /* a log that is replaced is opened again */
    if (!pm_privileges_keep(&needs, error))
        return false;
    session->path = options->rest[0];
    session->watch = pm_watch_new(
        PM_WATCH_UNKNOWN, g_str_equal(session->path, "-") ? "standard input" : session->path,
        entry_limit, memlock);
    session->watch->warned = print_warning;
    session->watch->user_data = session;
    pm_pace_begin(&session->pace, speed, pm_watch_now_ns());
    return play(session, error);
}

static int status_of(const PmWatchSession *session, const GError *error)
{
    if (error != NULL)
        return pm_exit_status(error);
    if (session->signal_number != 0)
        return PM_EXIT_SIGNAL + session->signal_number;
    return pm_watch_passes(session->watch) ? PM_EXIT_OK : PM_EXIT_WRONG;
}

static const char *verdict_of(const PmWatchSession *session)
{
    if (session->watch == NULL)
        return "error";
    if (session->signal_number != 0 && pm_watch_passes(session->watch))
        return "interrupted";
    return pm_watch_verdict(session->watch);
}

static bool print_json(const PmWatchSession *session, int status, const GError *error,
                       GError **failure)
{
    const PmJsonHead head = {
        .command = "watch",
        .version = PLUGMAP_VERSION,
        .verdict = verdict_of(session),
        .exit_status = status,
        .error = error,
    };
    g_autofree char *text = pm_watch_summary_json(session->watch, &head);

    return pm_print(text, failure);
}

static bool print_text(const PmWatchSession *session, GError **failure)
{
    g_autofree char *text = pm_watch_summary(session->watch, pm_terminal_has_colours());

    return pm_print(text, failure);
}

static int watch_main(int argc, char **argv)
{
    g_auto(PmWatchOptions) options = {0};
    PmWatchSession session = {.options = &options, .terminal = {-1}, .signal_fd = -1};
    g_autoptr(GError) error = NULL;
    g_autoptr(GError) failure = NULL;
    int status;

    if (pm_command_line_parse(&pm_watch_command, &options, argc, argv, &error))
        (void)run(&options, &session, &error);
    else
        options.json = pm_json_is_asked_for(argc, argv); /* GLib resets parsed options on errors */
    status = status_of(&session, error);
    if (error != NULL)
        fprintf(stderr, "plugmap watch: %s\n", error->message);
    if (options.json)
        (void)print_json(&session, status, error, &failure);
    else if (error == NULL)
        (void)print_text(&session, &failure);
    pm_watch_free(session.watch);
    if (failure == NULL)
        return status;
    fprintf(stderr, "plugmap watch: %s\n", failure->message);
    return PM_EXIT_USAGE;
}

/* --- the command line --- */

#define MEMBER(name) offsetof(PmWatchOptions, name)

static const PmOption option_list[] = {
    {"follow", 0, PM_VALUE_FLAG, MEMBER(follow), .help = "read a log as it grows, until q",
     .detail = "Like tail -F: a file that is replaced or truncated is read from its beginning. A "
               "line that does not parse is a warning"},
    {"speed", 0, PM_VALUE_TEXT, MEMBER(speed), "SPEED", .help = "of a recording: 10x, 0.5x or max",
     .detail = "Default: 1x on a terminal, else max. Events without times are 10 ms apart"},
    {"entry-limit", 0, PM_VALUE_TEXT, MEMBER(entry_limit), "N",
     .help = "limit of mappings, or none (default: this host's)",
     .detail = "type1's dma_entry_limit; iommufd has none. A trace is replayed with this limit, by "
               "default 65535"},
    {"memlock", 0, PM_VALUE_SIZE, MEMBER(memlock), "SIZE",
     .help = "limit of locked memory, or none (default: this host's)",
     .detail = "This host's is RLIMIT_MEMLOCK of the shell, none with CAP_IPC_LOCK; that of the "
               "process that is watched may differ. A trace is replayed with this limit, by "
               "default none"},
    {"json", 0, PM_VALUE_FLAG, MEMBER(json), .help = "print only the summary, in JSON"},
    PM_OPTION_END,
};

#define TRACE_MEMBER(name) (offsetof(PmWatchOptions, trace) + offsetof(PmTraceOptions, name))

static const PmOption source_option_list[] = {
    {"format", 0, PM_VALUE_CHOICE, TRACE_MEMBER(format), "FORMAT",
     .help = "auto (default), plugmap, qemu-log or dma-log", .choices = formats},
    {"region-addr", 0, PM_VALUE_SIZE, TRACE_MEMBER(region_address), "ADDR",
     .help = "guest address of the region, if not in the log"},
    {"region-size", 0, PM_VALUE_SIZE, TRACE_MEMBER(region_size), "SIZE",
     .help = "size of the region, if not in the log"},
    {"block-size", 0, PM_VALUE_SIZE, TRACE_MEMBER(block_size), "SIZE",
     .help = "block size, if not in the log"},
    PM_OPTION_END,
};

const PmCommand pm_watch_command = {
    .name = "watch",
    .summary = "show mappings as they change: of a trace, a QEMU or a DMA log",
    .arguments = "SOURCE",
    .argument = PM_VALUE_FILE,
    .rest = MEMBER(rest),
    .description =
        {
            "Shows mappings, limits, calls and requests of SOURCE as they change, then a summary.",
            "SOURCE is a trace, which is replayed on the fake kernel, or a DMA log; \"-\" is "
            "standard input. With --follow it is the log of a running QEMU, where each plugged "
            "block counts as a mapping, or a DMA log that is being written.",
            "Keys: space pauses, s plays the next event, + and - change the speed, q quits. "
            "Without a terminal, with TERM=dumb and with --json there are only the warnings, on "
            "standard error, and the summary.",
            "Warns when the mappings of an address space or the locked memory of a process reach "
            "90% of their limit, and forecasts from the last 30 seconds when they will reach it. "
            "Times are those of the log (-msg timestamp=on), else of arrival.",
            "Mappings that are left when an address space, a process or the log ends (the line "
            "'end' of a DMA log) are leaks, with exit status 1. A log without an end was "
            "truncated, or is still being written: its mappings are not leaks.",
            "Percentiles of latencies are exact below 64 ns, else at most 1/32 too large.",
        },
    .groups =
        {
            {"Options", option_list, 0, false},
            {"Source", source_option_list, 0, true},
        },
    .examples =
        {
            {"plugmap watch --speed 10x guest.log", "ten times as fast as it was recorded",
             PM_EXIT_OK},
            {"plugmap watch dma.log", "the calls of a DMA log", PM_EXIT_OK},
            {"timeout -s INT 1 plugmap watch --follow qemu.log", "a running QEMU, for one second",
             EXIT_TIMEOUT},
        },
    .statuses = {PM_EXIT_WRONG, PM_EXIT_USAGE, PM_EXIT_NO_ROOM, PM_EXIT_SIGNAL},
    .no = "mappings were left at an end, a response differs or an audit failed",
    .see_also = {"plugmap-replay(1)", "plugmap-trace(5)"},
    .main = watch_main,
};
