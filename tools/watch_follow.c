/* SPDX-License-Identifier: MIT */
/* Reads a log as it grows. */
#include <plugmap/size.h>

#include "base/error_text.h"
#include "tools/watch_source.h"
#include "trace/format.h"
#include "trace/format_qemu.h"
#include "watch/tail.h"

#define WAIT_NS    (INT64_C(100) * 1000000) /* for a file that has not grown */
#define LOOK_LINES 256                      /* between looks at keys */

typedef struct {
    PmWatchSession *session;
    PmTail *tail;
    PmQemuLog *qemu;
    int64_t start_ns;   /* of the session */
    int64_t log_ns;     /* the last time in the log ... */
    int64_t arrived_ns; /* and when it was read */
} Follower;

/* Without times those of arrival. */
static int64_t time_of(Follower *follower, int64_t recorded_ns)
{
    int64_t now_ns = pm_watch_now_ns();

    if (recorded_ns < 0)
        return follower->session->watch->has_times ? follower->log_ns : now_ns - follower->start_ns;
    follower->session->watch->has_times = true;
    follower->log_ns = recorded_ns;
    follower->arrived_ns = now_ns;
    return recorded_ns;
}

/* Nothing was read for a while, which is what the rate has to know. */
static void pass(Follower *follower)
{
    PmWatch *watch = follower->session->watch;
    int64_t now_ns = pm_watch_now_ns();

    pm_watch_pass(watch, watch->has_times ? follower->log_ns + (now_ns - follower->arrived_ns)
                                          : now_ns - follower->start_ns);
}

/* --- lines --- */

static bool read_dma_line(Follower *follower, GError **error)
{
    PmDmaLogCall call;

    if (!pm_dma_log_parse(pm_tail_reader(follower->tail), &call, error))
        return false;
    if (call.kind == PM_DMA_LOG_NOTHING)
        return true;
    return pm_watch_add_call(follower->session->watch, &call, time_of(follower, call.time_ns),
                             error);
}

static bool read_qemu_line(Follower *follower, GError **error)
{
    PmWatch *watch = follower->session->watch;
    uint64_t block_size;
    PmTraceEvent event;
    bool is_event;
    bool read = pm_qemu_log_read_line(follower->qemu, &is_event, error);

    if (is_event)
        watch->kind = PM_WATCH_QEMU_LOG;
    if (!read) {
        pm_qemu_log_restart(follower->qemu);
        return false;
    }
    block_size = pm_qemu_log_get_block_size(follower->qemu);
    if (block_size != 0)
        watch->block_size = block_size;
    while (pm_qemu_log_take(follower->qemu, &event))
        pm_watch_add_event(watch, &event, time_of(follower, event.time_ns));
    return true;
}

/* The first call or event decides. */
static bool find_kind(Follower *follower, GError **error)
{
    PmLineReader *reader = pm_tail_reader(follower->tail);

    if (g_str_has_prefix(reader->text, PM_TRACE_MAGIC))
        return pm_line_fail(reader, error,
                            "--follow reads QEMU's log or a DMA log, not a trace in plugmap's own "
                            "format: drop it");
    if (pm_dma_log_is_line(reader->text))
        follower->session->watch->kind = PM_WATCH_DMA_LOG;
    return true;
}

/* A damaged line does not end what is followed; @error is set only if the command fails. */
static bool read_line(Follower *follower, GError **error)
{
    PmWatch *watch = follower->session->watch;
    g_autoptr(GError) wrong = NULL;
    bool is_fatal;

    if (watch->kind == PM_WATCH_UNKNOWN && !find_kind(follower, error))
        return false;
    if (watch->kind == PM_WATCH_DMA_LOG ? read_dma_line(follower, &wrong)
                                        : read_qemu_line(follower, &wrong))
        return true;
    is_fatal = wrong->code != PM_ERROR_BAD_INPUT || !follower->session->options->follow;
    if (is_fatal)
        g_propagate_error(error, g_steal_pointer(&wrong));
    else
        pm_watch_add_bad_line(watch, wrong);
    return !is_fatal;
}

/* --- the loop --- */

static void restart(Follower *follower)
{
    pm_watch_warn(follower->session->watch,
                  g_strdup_printf("%s: replaced or truncated: reading it from its beginning",
                                  pm_tail_reader(follower->tail)->name));
    pm_qemu_log_restart(follower->qemu);
}

static bool read_all(Follower *follower, GError **error)
{
    PmWatchSession *session = follower->session;
    PmTailResult result = PM_TAIL_WAIT;
    unsigned n_lines = 0;

    do {
        if (!pm_tail_next(follower->tail, &result, error))
            return false;
        if (result == PM_TAIL_LINE && !read_line(follower, error))
            return false;
        if (result == PM_TAIL_LINE && ++n_lines % LOOK_LINES == 0)
            (void)pm_watch_session_look(session);
        if (result == PM_TAIL_RESTARTED)
            restart(follower);
        if (result == PM_TAIL_WAIT) {
            pass(follower);
            (void)pm_watch_session_wait(session, pm_tail_get_fd(follower->tail), WAIT_NS);
        }
    } while (!session->stopped && result != PM_TAIL_END);
    if (result == PM_TAIL_END && pm_tail_reader(follower->tail)->cut_off)
        pm_watch_warn(session->watch, pm_line_cut_off_text(pm_tail_reader(follower->tail)));
    return true;
}

static bool is_power_of_two(uint64_t size)
{
    return size != 0 && (size & (size - 1)) == 0;
}

static bool set_kind(PmWatchSession *session, GError **error)
{
    const char *format = session->options->trace.format;
    const char *block_size = session->options->trace.block_size;
    PmWatch *watch = session->watch;

    if (!pm_option_size("--block-size", block_size, &watch->block_size, error))
        return false;
    if (block_size != NULL && (watch->block_size < 4096 || !is_power_of_two(watch->block_size)))
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "invalid --block-size %s: must be a power of two, at least 4K", block_size);
    if (g_strcmp0(format, "dma-log") == 0)
        watch->kind = PM_WATCH_DMA_LOG;
    else if (g_strcmp0(format, "qemu-log") == 0)
        watch->kind = PM_WATCH_QEMU_LOG;
    else if (g_strcmp0(format, "plugmap") == 0)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "--follow reads QEMU's log or a DMA log: drop it or --format plugmap");
    return true;
}

bool pm_watch_follow(PmWatchSession *session, GError **error)
{
    g_autoptr(PmTail) tail = NULL;
    g_autoptr(PmQemuLog) qemu = NULL;
    Follower follower = {.session = session, .start_ns = pm_watch_now_ns()};
    bool done;

    if (!set_kind(session, error))
        return false;
    tail = pm_tail_open(session->path, session->options->follow, error);
    if (tail == NULL)
        return false;
    qemu = pm_qemu_log_new(pm_tail_reader(tail));
    follower.tail = tail;
    follower.qemu = qemu;
    session->is_live = true;
    session->watch->has_rate = true;
    pm_watch_session_begin(session);
    done = read_all(&follower, error);
    pm_watch_session_end(session);
    return done;
}
