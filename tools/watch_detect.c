/* SPDX-License-Identifier: MIT */
/* What a source is. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error_text.h"
#include "tools/watch_source.h"
#include "trace/line_reader.h"
#include "watch/dma_log.h"

#define GZIP_MAGIC "\x1f\x8b"

#define PEEK_SIZE 65536
#define PEEK_US   10000

/* PM_WATCH_UNKNOWN: blank, or a comment. */
static PmWatchKind kind_of_line(const char *text)
{
    const char *word = text + strspn(text, " \t\r");

    if (pm_dma_log_is_line(text))
        return PM_WATCH_DMA_LOG;
    return *word == '\0' || *word == '#' ? PM_WATCH_UNKNOWN : PM_WATCH_TRACE;
}

/* --- files --- */

static bool detect_file(const char *path, PmWatchKind *kind, GError **error)
{
    g_autofree PmLineReader *reader = g_new0(PmLineReader, 1);
    off_t start = lseek(STDIN_FILENO, 0, SEEK_CUR);
    bool end = false;
    bool done;

    *kind = PM_WATCH_UNKNOWN;
    if (!pm_line_reader_open(reader, path, error))
        return false;
    do {
        done = pm_line_reader_next(reader, &end, error);
        if (done && !end)
            *kind = kind_of_line(reader->text);
    } while (done && !end && *kind == PM_WATCH_UNKNOWN);
    pm_line_reader_close(reader);
    if (g_str_equal(path, "-") && start >= 0)
        (void)lseek(STDIN_FILENO, start, SEEK_SET);
    /* The loader of traces reports what is wrong with an empty file. */
    if (*kind == PM_WATCH_UNKNOWN)
        *kind = PM_WATCH_TRACE;
    return done;
}

/* --- pipes --- */

/* Copies what the pipe has without taking it. */
static ssize_t peek(int pipe_fd, char *bytes, size_t size)
{
    int copy[2];
    ssize_t n_bytes;

    if (pipe2(copy, O_CLOEXEC) < 0)
        return -1;
    (void)fcntl(copy[1], F_SETPIPE_SZ, (int)size);
    n_bytes = tee(pipe_fd, copy[1], size, 0);
    if (n_bytes > 0)
        n_bytes = read(copy[0], bytes, (size_t)n_bytes);
    close(copy[0]);
    close(copy[1]);
    return n_bytes;
}

static PmWatchKind kind_of_bytes(const char *bytes, size_t size, bool is_all)
{
    PmWatchKind kind = PM_WATCH_UNKNOWN;

    if (size >= 2 && memcmp(bytes, GZIP_MAGIC, 2) == 0)
        return PM_WATCH_TRACE;
    while (size > 0 && kind == PM_WATCH_UNKNOWN) {
        const char *newline = memchr(bytes, '\n', size);
        size_t length = newline != NULL ? (size_t)(newline - bytes) : size;
        g_autofree char *line = g_strndup(bytes, length);

        if (newline == NULL && !is_all)
            break;
        kind = kind_of_line(line);
        bytes += newline != NULL ? length + 1 : length;
        size -= newline != NULL ? length + 1 : length;
    }
    return kind == PM_WATCH_UNKNOWN && is_all ? PM_WATCH_TRACE : kind;
}

static bool is_finished(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

    return poll(&poll_fd, 1, 0) > 0 && (poll_fd.revents & POLLHUP) != 0;
}

static bool detect_pipe(PmWatchKind *kind, GError **error)
{
    g_autofree char *bytes = g_malloc(PEEK_SIZE);

    for (;;) {
        bool finished = is_finished(STDIN_FILENO);
        ssize_t n_bytes = peek(STDIN_FILENO, bytes, PEEK_SIZE);

        if (n_bytes < 0)
            return pm_fail(error, PM_ERROR_BAD_INPUT,
                           "standard input: failed to detect the format: pass --format");
        *kind = kind_of_bytes(bytes, (size_t)n_bytes, finished || n_bytes == PEEK_SIZE);
        if (*kind != PM_WATCH_UNKNOWN)
            return true;
        g_usleep(PEEK_US);
    }
}

/* --- */

static bool open_pipe(const char **path, bool *is_pipe, GError **error)
{
    bool is_standard = g_str_equal(*path, "-");
    int fd = is_standard ? STDIN_FILENO : open(*path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    struct stat info;

    if (fd < 0 || fstat(fd, &info) < 0)
        return pm_fail(error, PM_ERROR_BAD_INPUT, "%s: %s", is_standard ? "standard input" : *path,
                       g_strerror(errno));
    *is_pipe = !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode);
    if (is_standard)
        return true;
    if (*is_pipe) {
        (void)dup2(fd, STDIN_FILENO);
        *path = "-";
    }
    close(fd);
    return true;
}

bool pm_watch_source_detect(const char *format, const char **path, PmWatchKind *kind, bool *is_pipe,
                            GError **error)
{
    if (!open_pipe(path, is_pipe, error))
        return false;
    if (format == NULL || g_str_equal(format, "auto"))
        return *is_pipe ? detect_pipe(kind, error) : detect_file(*path, kind, error);
    *kind = g_str_equal(format, "dma-log") ? PM_WATCH_DMA_LOG : PM_WATCH_TRACE;
    return true;
}
