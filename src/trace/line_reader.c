/* SPDX-License-Identifier: MIT */
#include "trace/line_reader.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error_text.h"

bool pm_line_reader_open(PmLineReader *reader, const char *path, GError **error)
{
    struct stat info;

    reader->path = path;
    reader->line = 0;
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
    return pm_fail(error, PM_ERROR_BAD_INPUT, "%s:%u: %s", reader->path, reader->line, message);
}

bool pm_line_reader_next(PmLineReader *reader, bool *end, GError **error)
{
    size_t length = 0;
    int character;

    *end = false;
    reader->line++;
    while ((character = getc_unlocked(reader->file)) != EOF && character != '\n') {
        if (character == '\0')
            return pm_line_fail(reader, error, "is a binary file, not a trace");
        if (length > PM_MAX_LINE)
            return pm_line_fail(reader, error,
                                "the line is longer than %d bytes: no line of a trace is",
                                PM_MAX_LINE);
        reader->text[length++] = (char)character;
    }
    if (ferror(reader->file))
        return pm_fail(error, PM_ERROR_BAD_INPUT, "%s: cannot be read: %s", reader->path,
                       g_strerror(errno));
    if (length > 0 && reader->text[length - 1] == '\r')
        length--;
    reader->text[length] = '\0';
    *end = character == EOF && length == 0;
    return true;
}
