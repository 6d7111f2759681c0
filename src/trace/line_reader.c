/* SPDX-License-Identifier: MIT */
#include "trace/line_reader.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error_text.h"

#define CUT_OFF         "; this last line has no newline: if the file was cut off there, remove the line"
#define BYTE_ORDER_MARK "\xef\xbb\xbf" /* UTF-8's: some editors put it in front */

bool pm_line_reader_open(PmLineReader *reader, const char *path, GError **error)
{
    struct stat info;

    reader->path = path;
    reader->line = 0;
    reader->again = false;
    reader->end = false;
    reader->cut_off = false;
    reader->file = fopen(path, "re");
    if (reader->file == NULL)
        return pm_fail(error, PM_ERROR_BAD_INPUT, "%s: %s", path, g_strerror(errno));
    if (fstat(fileno(reader->file), &info) == 0 && S_ISDIR(info.st_mode)) {
        pm_line_reader_close(reader);
        return pm_fail(error, PM_ERROR_BAD_INPUT, "%s: is a directory: name a trace file in it",
                       path);
    }
    return true;
}

void pm_line_reader_close(PmLineReader *reader)
{
    if (reader->file != NULL)
        fclose(reader->file);
    reader->file = NULL;
}

bool pm_line_fail(const PmLineReader *reader, GError **error, const char *format, ...)
{
    g_autofree char *message = NULL;
    va_list arguments;

    va_start(arguments, format);
    message = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    return pm_fail(error, PM_ERROR_BAD_INPUT, "%s:%u: %s%s", reader->path, reader->line, message,
                   reader->cut_off ? CUT_OFF : "");
}

static bool is_mark(const PmLineReader *reader, size_t length)
{
    return reader->line == 1 && length == strlen(BYTE_ORDER_MARK) &&
           memcmp(reader->text, BYTE_ORDER_MARK, length) == 0;
}

/* Without the newline, and at most one byte more than a line has. */
static bool read_text(PmLineReader *reader, size_t *length, GError **error)
{
    int character;

    *length = 0;
    reader->too_long = false;
    reader->cut_off = false;
    while ((character = getc_unlocked(reader->file)) != EOF && character != '\n') {
        if (character == '\0')
            return pm_line_fail(reader, error, "is a binary file, not a trace");
        reader->too_long = *length > PM_MAX_LINE;
        if (!reader->too_long)
            reader->text[(*length)++] = (char)character;
        if (is_mark(reader, *length))
            *length = 0;
    }
    reader->end = character == EOF && *length == 0;
    reader->cut_off = character == EOF && *length > 0;
    return true;
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
    if (ferror(reader->file))
        return pm_fail(error, PM_ERROR_BAD_INPUT, "%s: cannot be read: %s", reader->path,
                       g_strerror(errno));
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
    return pm_line_fail(reader, error, "the line is longer than %d bytes: no line of a trace is",
                        PM_MAX_LINE);
}
