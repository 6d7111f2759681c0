/* SPDX-License-Identifier: MIT */
#include "trace/line_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error_text.h"

#define CUT_OFF         " (the last line has no newline: if it is truncated, remove it)"
#define BYTE_ORDER_MARK "\xef\xbb\xbf" /* in UTF-8, as written by some editors */

static int open_file(PmLineReader *reader, const char *path)
{
    bool is_standard = g_str_equal(path, "-");

    reader->name = is_standard ? "standard input" : path;
    return is_standard ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
                       : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
}

bool pm_line_reader_open(PmLineReader *reader, const char *path, GError **error)
{
    int fd = open_file(reader, path);
    struct stat info;

    reader->line = 0;
    reader->again = false;
    reader->end = false;
    reader->cut_off = false;
    reader->truncated = false;
    if (fd < 0)
        return pm_fail(error, PM_ERROR_BAD_INPUT, "%s: %s", reader->name, g_strerror(errno));
    if (fstat(fd, &info) == 0 && S_ISDIR(info.st_mode)) {
        close(fd);
        return pm_fail(error, PM_ERROR_BAD_INPUT, "%s: is a directory: expected a trace file",
                       reader->name);
    }
    reader->file = gzdopen(fd, "r");
    if (reader->file == NULL) {
        close(fd);
        return pm_fail(error, PM_ERROR_BAD_INPUT, "%s: out of memory", reader->name);
    }
    return true;
}

void pm_line_reader_close(PmLineReader *reader)
{
    if (reader->file != NULL)
        (void)gzclose_r(reader->file);
    reader->file = NULL;
}

bool pm_line_fail(const PmLineReader *reader, GError **error, const char *format, ...)
{
    g_autofree char *message = NULL;
    g_autofree char *shown = NULL;
    va_list arguments;

    va_start(arguments, format);
    message = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    shown = pm_printable(message);
    return pm_fail(error, PM_ERROR_BAD_INPUT, "%s:%u: %s%s", reader->name, reader->line, shown,
                   reader->cut_off ? CUT_OFF : "");
}

char *pm_line_cut_off_text(const PmLineReader *reader)
{
    return g_strdup_printf("%s:%u: ignored the last line, which has no newline: file is truncated "
                           "or still being written",
                           reader->name, reader->line);
}

static bool is_mark(const PmLineReader *reader, size_t length)
{
    return reader->line == 1 && length == strlen(BYTE_ORDER_MARK) &&
           memcmp(reader->text, BYTE_ORDER_MARK, length) == 0;
}

/* Strips the newline. Reads at most one byte more than the longest valid line. */
static bool read_text(PmLineReader *reader, size_t *length, GError **error)
{
    int character;

    *length = 0;
    reader->too_long = false;
    reader->cut_off = false;
    while ((character = gzgetc(reader->file)) >= 0 && character != '\n') {
        if (character == '\0')
            return pm_line_fail(reader, error, "not a trace: binary data");
        reader->too_long = *length > PM_MAX_LINE;
        if (!reader->too_long)
            reader->text[(*length)++] = (char)character;
        if (is_mark(reader, *length))
            *length = 0;
    }
    reader->end = character < 0 && *length == 0;
    reader->cut_off = character < 0 && *length > 0;
    return true;
}

/* Treats truncated gzip data like a truncated file. */
static bool check_stream(PmLineReader *reader, GError **error)
{
    int number = Z_OK;
    const char *message = gzerror(reader->file, &number);

    reader->truncated = number == Z_BUF_ERROR;
    if (number == Z_ERRNO)
        return pm_fail(error, PM_ERROR_BAD_INPUT, "%s: read failed: %s", reader->name,
                       g_strerror(errno));
    return number == Z_OK || reader->truncated ||
           pm_line_fail(reader, error, "decompression failed: %s", message);
}

bool pm_line_reader_next(PmLineReader *reader, bool *end, GError **error)
{
    size_t length;

    *end = reader->end;
    if (reader->again) {
        reader->again = false;
        return true;
    }
    reader->line++;
    if (!read_text(reader, &length, error))
        return false;
    if (!check_stream(reader, error))
        return false;
    if (length > 0 && reader->text[length - 1] == '\r')
        length--;
    reader->too_long |= length > PM_MAX_LINE;
    reader->text[length] = '\0';
    *end = reader->end;
    return true;
}

void pm_line_reader_unread(PmLineReader *reader)
{
    reader->again = true;
}

bool pm_line_check_length(const PmLineReader *reader, GError **error)
{
    if (!reader->too_long)
        return true;
    return pm_line_fail(reader, error, "line too long, at most %d bytes", PM_MAX_LINE);
}
