/* SPDX-License-Identifier: MIT */
#include "trace_file.h"

#include <string.h>

typedef struct {
    TraceFile *trace;
    uint64_t address;
    uint64_t block;
} Reader;

/* The value of NAME=VALUE in a line's words; 0: none, or invalid. */
static uint64_t field(char **words, const char *name)
{
    size_t length = strlen(name);
    uint64_t value = 0;

    for (; *words != NULL; words++)
        if (strncmp(*words, name, length) == 0 && (*words)[length] == '=')
            return pm_size_parse(*words + length + 1, &value, NULL) ? value : 0;
    return 0;
}

static bool fail(const char *line, GError **error)
{
    g_set_error(error, PM_ERROR, PM_ERROR_BAD_INPUT, "invalid line of the trace: %s", line);
    return false;
}

static bool read_region(Reader *reader, char **words)
{
    uint64_t size = field(words, "size");

    reader->address = field(words, "addr");
    reader->block = field(words, "block");
    if (reader->trace->n_blocks != 0 || reader->block == 0 || size < reader->block)
        return false;
    reader->trace->n_blocks = size / reader->block;
    return true;
}

static bool add(const Reader *reader, unsigned type, char **words)
{
    uint64_t address = field(words, "addr");
    uint64_t n_blocks = field(words, "blocks");
    TraceRequest request = {.type = type, .n_blocks = (uint16_t)n_blocks};

    if (type == PM_VIRTIO_MEM_UNPLUG_ALL) {
        request.n_blocks = 0;
    } else {
        if (reader->block == 0 || address < reader->address || n_blocks > UINT16_MAX)
            return false;
        request.first = (address - reader->address) / reader->block;
    }
    g_array_append_val(reader->trace->requests, request);
    return true;
}

static bool read_words(Reader *reader, char **words)
{
    if (*words != NULL && **words == '@')
        words++;
    if (g_strcmp0(*words, "region") == 0)
        return read_region(reader, words);
    if (g_strcmp0(*words, "plug") == 0)
        return add(reader, PM_VIRTIO_MEM_PLUG, words);
    if (g_strcmp0(*words, "unplug") == 0)
        return add(reader, PM_VIRTIO_MEM_UNPLUG, words);
    if (g_strcmp0(*words, "unplug-all") == 0 || g_strcmp0(*words, "reset") == 0)
        return add(reader, PM_VIRTIO_MEM_UNPLUG_ALL, words);
    return true;
}

static bool read_line(Reader *reader, char *line, GError **error)
{
    g_autofree char *copy = g_strdup(line);
    g_auto(GStrv) words = NULL;

    copy[strcspn(copy, "#\r")] = '\0';
    words = g_strsplit(g_strstrip(copy), " ", -1);
    return read_words(reader, words) || fail(line, error);
}

TraceFile *trace_file_read(const char *path, GError **error)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    Reader reader = {.address = 0};

    if (!g_file_get_contents(path, &text, NULL, error))
        return NULL;
    reader.trace = g_new0(TraceFile, 1);
    reader.trace->requests = g_array_new(FALSE, FALSE, sizeof(TraceRequest));
    lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line != NULL; line++)
        if (!read_line(&reader, *line, error)) {
            trace_file_free(reader.trace);
            return NULL;
        }
    if (reader.trace->n_blocks != 0)
        return reader.trace;
    trace_file_free(reader.trace);
    (void)fail("it has no region", error);
    return NULL;
}

void trace_file_free(TraceFile *trace)
{
    if (trace == NULL)
        return;
    g_array_unref(trace->requests);
    g_free(trace);
}
