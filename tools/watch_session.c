/* SPDX-License-Identifier: MIT */
#include "tools/watch_session.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "tools/terminal.h"
#include "watch/screen.h"

#define NS_PER_MS INT64_C(1000000)
#define DRAW_NS   (100 * NS_PER_MS)
#define LOOK_NS   (20 * NS_PER_MS)
#define FOREVER   INT64_MAX

int64_t pm_watch_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* --- begin and end --- */

/* Signals that are ignored, as under nohup, stay ignored. */
static void take_signals(PmWatchSession *session)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP};
    struct sigaction action;
    sigset_t signals;

    sigemptyset(&signals);
    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++)
        if (sigaction(numbers[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
            sigaddset(&signals, numbers[i]);
    (void)sigprocmask(SIG_BLOCK, &signals, NULL);
    session->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

void pm_watch_session_begin(PmWatchSession *session)
{
    session->terminal.keys_fd = -1;
    session->is_open = true;
    take_signals(session);
    if (!session->options->json)
        pm_watch_terminal_begin(&session->terminal, g_str_equal(session->path, "-"));
}

/* The signals stay blocked: one after the other must not hide the summary. */
void pm_watch_session_end(PmWatchSession *session)
{
    if (!session->is_open)
        return;
    session->is_open = false;
    pm_watch_terminal_end(&session->terminal);
    g_clear_pointer(&session->drawn, g_free);
    if (session->signal_fd >= 0)
        close(session->signal_fd);
}

/* --- the screen --- */

static char *mode_of(const PmWatchSession *session)
{
    char number[G_ASCII_DTOSTR_BUF_SIZE];

    if (session->is_live)
        return g_strdup(session->options->follow ? "following" : "reading");
    if (session->pace.paused)
        return g_strdup("paused");
    if (session->pace.speed == PM_PACE_NO_WAIT)
        return g_strdup("max");
    return g_strdup_printf("%sx",
                           g_ascii_formatd(number, sizeof(number), "%.3g", session->pace.speed));
}

static void draw(PmWatchSession *session)
{
    g_autofree char *mode = mode_of(session);
    g_autofree char *text = NULL;
    PmScreenView view = {
        .colours = pm_terminal_has_colours(),
        .mode = mode,
        .n_total = session->n_total,
        .keys = session->is_live ? "q quit" : "space pause  s step  + faster  - slower  q quit",
    };

    if (session->terminal.keys_fd < 0)
        return;
    view.position_ns = session->watch->time_ns - MAX(session->watch->first_ns, 0);
    pm_watch_terminal_get_size(&view.width, &view.height);
    text = pm_screen_text(session->watch, &view);
    session->drawn_ns = pm_watch_now_ns();
    if (g_strcmp0(text, session->drawn) == 0)
        return;
    pm_watch_terminal_draw(text);
    g_free(session->drawn);
    session->drawn = g_steal_pointer(&text);
}

static void draw_if_due(PmWatchSession *session)
{
    if (pm_watch_now_ns() - session->drawn_ns >= DRAW_NS)
        draw(session);
}

/* --- keys and signals --- */

static void change_speed(PmWatchSession *session, double factor)
{
    double speed = session->pace.speed * factor;

    if (speed >= PM_PACE_SLOWEST && speed <= PM_PACE_FASTEST)
        pm_pace_set_speed(&session->pace, speed, pm_watch_now_ns());
}

static void handle_key(PmWatchSession *session, char key)
{
    if (key == 'q')
        session->stopped = true;
    if (session->is_live)
        return;
    if (key == ' ')
        pm_pace_toggle(&session->pace, pm_watch_now_ns());
    else if (key == 's')
        pm_pace_step(&session->pace, pm_watch_now_ns());
    else if (key == '+')
        change_speed(session, 2);
    else if (key == '-')
        change_speed(session, 0.5);
}

static void handle_signal(PmWatchSession *session, int number)
{
    if (number == SIGTSTP)
        pm_watch_terminal_stop(&session->terminal);
    if (number == SIGTSTP || number == SIGWINCH) {
        g_clear_pointer(&session->drawn, g_free); /* the terminal has lost it */
        return;
    }
    session->signal_number = number;
    session->stopped = true;
}

static bool handle(PmWatchSession *session)
{
    struct signalfd_siginfo info;
    bool any = false;
    char key;

    session->checked_ns = pm_watch_now_ns();
    while (read(session->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        handle_signal(session, (int)info.ssi_signo);
        any = true;
    }
    while ((key = pm_watch_terminal_key(&session->terminal)) != '\0') {
        handle_key(session, key);
        any = true;
    }
    return any;
}

/* A terminal that hung up is readable, but has no keys. */
static void check_hangup(PmWatchSession *session, const struct pollfd *keys)
{
    if (keys->revents & (POLLHUP | POLLERR | POLLNVAL)) {
        session->signal_number = SIGHUP;
        session->stopped = true;
    }
}

bool pm_watch_session_wait(PmWatchSession *session, int fd, int64_t timeout_ns)
{
    struct pollfd fds[] = {{.fd = session->signal_fd, .events = POLLIN},
                           {.fd = session->terminal.keys_fd, .events = POLLIN},
                           {.fd = fd, .events = POLLIN}};
    struct timespec timeout = {.tv_sec = timeout_ns / 1000000000,
                               .tv_nsec = timeout_ns % 1000000000};

    draw_if_due(session);
    if (ppoll(fds, G_N_ELEMENTS(fds), timeout_ns == FOREVER ? NULL : &timeout, NULL) > 0) {
        check_hangup(session, &fds[1]);
        if (handle(session))
            draw(session);
    }
    return !session->stopped;
}

bool pm_watch_session_look(PmWatchSession *session)
{
    if (pm_watch_now_ns() - session->checked_ns >= LOOK_NS) {
        (void)handle(session);
        draw_if_due(session);
    }
    return !session->stopped;
}

bool pm_watch_session_wait_for(PmWatchSession *session, int64_t event_ns)
{
    bool uses_terminal = session->terminal.keys_fd >= 0;

    while (pm_watch_session_look(session)) {
        int64_t wait_ns = pm_pace_wait(&session->pace, event_ns, pm_watch_now_ns());

        if (wait_ns == 0)
            break;
        if (wait_ns < 0)
            wait_ns = FOREVER;
        /* So that what was played since the last picture is drawn, too. */
        if (uses_terminal)
            wait_ns = MIN(wait_ns, DRAW_NS);
        if (!pm_watch_session_wait(session, -1, wait_ns))
            break;
    }
    pm_pace_played(&session->pace, event_ns, pm_watch_now_ns());
    return !session->stopped;
}
