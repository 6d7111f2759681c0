/* SPDX-License-Identifier: MIT */
#include "watch/tail.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error_text.h"

#define BUFFER_SIZE 65536

struct PmTail {
    PmLineReader reader;
    const char *path;
    int fd;
    bool is_file;
    bool follow;
    bool ended;
    bool restarted;
    char *first;   /* the buffer's bytes that were not taken yet: from here ... */
    char *last;    /* ... to here */
    size_t length; /* of the line so far ... */
    bool is_whole; /* or the whole line */
    char buffer[BUFFER_SIZE];
};

static bool is_standard(const PmTail *tail)
{
    return g_str_equal(tail->path, "-");
}

static bool fail(const PmTail *tail, GError **error)
{
    return pm_fail(error, PM_ERROR_BAD_INPUT, "%s: %s", tail->reader.name, g_strerror(errno));
}

static int open_path(const PmTail *tail)
{
    return is_standard(tail) ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
                             : open(tail->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
}

static bool start(PmTail *tail, GError **error)
{
    struct stat info;

    if (tail->fd < 0 || fstat(tail->fd, &info) < 0)
        return fail(tail, error);
    if (S_ISDIR(info.st_mode))
        return pm_fail(error, PM_ERROR_BAD_INPUT, "%s: is a directory: expected a log",
                       tail->reader.name);
    tail->is_file = S_ISREG(info.st_mode);
    return true;
}

PmTail *pm_tail_open(const char *path, bool follow, GError **error)
{
    g_autoptr(PmTail) tail = g_new0(PmTail, 1);

    tail->path = path;
    tail->reader.name = g_str_equal(path, "-") ? "standard input" : path;
    tail->follow = follow;
    tail->first = tail->last = tail->buffer;
    tail->fd = open_path(tail);
    return start(tail, error) ? g_steal_pointer(&tail) : NULL;
}

void pm_tail_free(PmTail *tail)
{
    if (tail == NULL)
        return;
    if (tail->fd >= 0)
        close(tail->fd);
    g_free(tail);
}

PmLineReader *pm_tail_reader(PmTail *tail)
{
    return &tail->reader;
}

int pm_tail_get_fd(const PmTail *tail)
{
    return tail->is_file ? -1 : tail->fd;
}

/* --- lines --- */

static void begin_line(PmTail *tail)
{
    tail->length = 0;
    tail->is_whole = false;
    tail->reader.too_long = false;
}

static void take_byte(PmTail *tail, char byte)
{
    tail->reader.too_long |= tail->length > PM_MAX_LINE;
    if (!tail->reader.too_long)
        tail->reader.text[tail->length++] = byte;
}

static void end_line(PmTail *tail)
{
    if (tail->length > 0 && tail->reader.text[tail->length - 1] == '\r')
        tail->length--;
    tail->reader.too_long |= tail->length > PM_MAX_LINE;
    tail->reader.text[tail->length] = '\0';
    tail->reader.line++;
    tail->is_whole = true;
}

/* A file that is truncated under a writer who does not append, such as QEMU, begins with a hole. */
static bool is_hole(const PmTail *tail, char byte)
{
    return byte == '\0' && tail->is_file && tail->follow && tail->reader.line == 0 &&
           tail->length == 0;
}

/* Takes bytes until a line ends. */
static bool take_line(PmTail *tail, GError **error)
{
    if (tail->is_whole)
        begin_line(tail);
    while (tail->first < tail->last && !tail->is_whole) {
        char byte = *tail->first++;

        if (is_hole(tail, byte))
            continue;
        if (byte == '\0') {
            tail->reader.line++;
            return pm_line_fail(&tail->reader, error, "not a log: binary data");
        }
        if (byte == '\n')
            end_line(tail);
        else
            take_byte(tail, byte);
    }
    return true;
}

/* --- bytes --- */

/* Whether the path is another file now. While it is none, the next one may be on its way. */
static bool is_replaced(const PmTail *tail)
{
    struct stat here;
    struct stat there;

    return !is_standard(tail) && fstat(tail->fd, &here) == 0 && stat(tail->path, &there) == 0 &&
           (here.st_dev != there.st_dev || here.st_ino != there.st_ino);
}

/* The old file may have grown between the last read and its renaming. */
static bool has_more(const PmTail *tail)
{
    struct stat info;

    return fstat(tail->fd, &info) == 0 && info.st_size > lseek(tail->fd, 0, SEEK_CUR);
}

static bool is_truncated(const PmTail *tail)
{
    struct stat info;

    return fstat(tail->fd, &info) == 0 && info.st_size < lseek(tail->fd, 0, SEEK_CUR);
}

/* Continues with the old file if the new one has disappeared again. */
static bool reopen(PmTail *tail, GError **error)
{
    int fd = open_path(tail);

    if (fd < 0)
        return true;
    (void)close(tail->fd);
    tail->fd = fd;
    return start(tail, error);
}

/* At the end of the file: whether it is to be read from the beginning. A line that was not complete
 * will never be. */
static bool check_file(PmTail *tail, GError **error)
{
    if (is_truncated(tail)) {
        if (lseek(tail->fd, 0, SEEK_SET) < 0)
            return fail(tail, error);
    } else if (is_replaced(tail) && !has_more(tail)) {
        if (!reopen(tail, error))
            return false;
    } else {
        return true;
    }
    tail->restarted = true;
    tail->reader.line = 0;
    begin_line(tail);
    return true;
}

/* The descriptor may be shared, so it stays a blocking one. */
static bool is_readable(const PmTail *tail)
{
    struct pollfd poll_fd = {.fd = tail->fd, .events = POLLIN};

    return tail->is_file || poll(&poll_fd, 1, 0) > 0;
}

/* As far as the file system can: a hole may be large. */
static void skip_hole(const PmTail *tail)
{
    if (tail->is_file && tail->follow && lseek(tail->fd, 0, SEEK_CUR) == 0)
        (void)lseek(tail->fd, 0, SEEK_DATA);
}

static bool fill(PmTail *tail, GError **error)
{
    ssize_t n_read;

    if (!is_readable(tail))
        return true;
    skip_hole(tail);
    n_read = read(tail->fd, tail->buffer, sizeof(tail->buffer));
    tail->first = tail->buffer;
    tail->last = tail->buffer + MAX(n_read, 0);
    if (n_read < 0)
        return errno == EINTR || fail(tail, error);
    if (n_read > 0)
        return true;
    if (tail->is_file && tail->follow)
        return check_file(tail, error);
    tail->ended = true;
    return true;
}

bool pm_tail_next(PmTail *tail, PmTailResult *result, GError **error)
{
    do {
        if (tail->first == tail->last && !fill(tail, error))
            return false;
        if (tail->restarted || tail->first == tail->last)
            break;
        if (!take_line(tail, error))
            return false;
        *result = PM_TAIL_LINE;
        if (tail->is_whole)
            return true;
    } while (true);
    *result = tail->restarted ? PM_TAIL_RESTARTED : tail->ended ? PM_TAIL_END : PM_TAIL_WAIT;
    tail->reader.cut_off = tail->ended && !tail->is_whole && tail->length > 0;
    tail->restarted = false;
    return true;
}
