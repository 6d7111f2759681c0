/* SPDX-License-Identifier: MIT */
#include "tools/watch_terminal.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <glib.h>

#include "tools/terminal.h"

#define ENTER "\033[?1049h\033[?25l"
#define LEAVE "\033[0m\033[?25h\033[?1049l"

/* For the handler of fatal signals. */
static volatile sig_atomic_t is_changed;
static int changed_fd;
static struct termios before;

static void put(const char *text, size_t length)
{
    while (length > 0) {
        ssize_t n_written = write(STDOUT_FILENO, text, length);

        if (n_written <= 0)
            return;
        text += n_written;
        length -= (size_t)n_written;
    }
}

static void change(int fd)
{
    struct termios keys = before;

    keys.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    keys.c_cc[VMIN] = 0;
    keys.c_cc[VTIME] = 0;
    changed_fd = fd;
    is_changed = 1;
    (void)tcsetattr(fd, TCSADRAIN, &keys);
    put(ENTER, strlen(ENTER));
}

/* Only calls that a signal handler may make. */
static void restore(void)
{
    if (!is_changed)
        return;
    is_changed = 0;
    put(LEAVE, sizeof(LEAVE) - 1);
    (void)tcsetattr(changed_fd, TCSANOW, &before);
}

static void on_crash(int signal_number)
{
    restore();
    (void)raise(signal_number);
}

static void handle_crashes(void)
{
    static const int numbers[] = {SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGPIPE};
    const struct sigaction action = {.sa_handler = on_crash,
                                     .sa_flags = (int)SA_RESETHAND | SA_NODEFER};

    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++)
        (void)sigaction(numbers[i], &action, NULL);
}

void pm_watch_terminal_begin(PmWatchTerminal *terminal, bool input_is_data)
{
    bool use_input = !input_is_data && isatty(STDIN_FILENO);

    terminal->keys_fd = -1;
    if (!pm_terminal_is_smart())
        return;
    terminal->keys_fd = use_input ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
                                  : open("/dev/tty", O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (terminal->keys_fd < 0)
        return;
    if (tcgetattr(terminal->keys_fd, &before) < 0) {
        close(terminal->keys_fd);
        terminal->keys_fd = -1;
        return;
    }
    handle_crashes();
    change(terminal->keys_fd);
}

void pm_watch_terminal_end(PmWatchTerminal *terminal)
{
    if (terminal->keys_fd < 0)
        return;
    restore();
    close(terminal->keys_fd);
    terminal->keys_fd = -1;
}

void pm_watch_terminal_stop(PmWatchTerminal *terminal)
{
    sigset_t stop;
    sigset_t old;

    restore();
    sigemptyset(&stop);
    sigaddset(&stop, SIGTSTP);
    (void)sigprocmask(SIG_UNBLOCK, &stop, &old);
    (void)raise(SIGTSTP);
    (void)sigprocmask(SIG_SETMASK, &old, NULL);
    if (terminal->keys_fd >= 0)
        change(terminal->keys_fd);
}

void pm_watch_terminal_get_size(unsigned *width, unsigned *height)
{
    struct winsize size = {0};

    (void)ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    *width = size.ws_col > 0 ? size.ws_col : 80;
    *height = size.ws_row > 0 ? size.ws_row : 24;
}

/* Each line erases what is left of the old one, so that nothing flickers. */
void pm_watch_terminal_draw(const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_autofree char *joined = g_strjoinv("\033[K\r\n", lines);
    g_autofree char *all = g_strconcat("\033[H", joined, "\033[K\033[J", NULL);

    put(all, strlen(all));
}

char pm_watch_terminal_key(const PmWatchTerminal *terminal)
{
    struct pollfd poll_fd = {.fd = terminal->keys_fd, .events = POLLIN};
    char key;

    if (terminal->keys_fd < 0 || poll(&poll_fd, 1, 0) <= 0)
        return '\0';
    return read(terminal->keys_fd, &key, 1) == 1 ? key : '\0';
}
