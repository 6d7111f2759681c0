/* SPDX-License-Identifier: MIT */
#include "migration/wire.h"

#include <string.h>

#define FIRST_ROOM 4096

void pm_wire_writer_clear(PmWireWriter *writer)
{
    g_free(writer->bytes);
    *writer = (PmWireWriter){0};
}

static void put_bytes(PmWireWriter *writer, const void *bytes, size_t size)
{
    if (size > writer->room - writer->size && !writer->failed) {
        size_t room = MAX(MAX(writer->room * 2, FIRST_ROOM), writer->size + size);
        char *moved = g_try_realloc_n(writer->bytes, room, 1);

        writer->failed = moved == NULL;
        if (moved != NULL) {
            writer->bytes = moved;
            writer->room = room;
        }
    }
    if (writer->failed)
        return;
    memcpy(writer->bytes + writer->size, bytes, size);
    writer->size += size;
}

void pm_wire_put(PmWireWriter *writer, uint64_t value)
{
    put_bytes(writer, &value, sizeof value);
}

void pm_wire_put_string(PmWireWriter *writer, const char *text)
{
    size_t length = strlen(text);

    pm_wire_put(writer, length);
    put_bytes(writer, text, length);
}

static bool get_bytes(PmWireReader *reader, void *bytes, size_t size)
{
    reader->failed = reader->failed || size > reader->n_left;
    if (reader->failed)
        return false;
    memcpy(bytes, reader->bytes, size);
    reader->bytes += size;
    reader->n_left -= size;
    return true;
}

uint64_t pm_wire_get(PmWireReader *reader)
{
    uint64_t value;

    return get_bytes(reader, &value, sizeof value) ? value : 0;
}

uint64_t pm_wire_get_up_to(PmWireReader *reader, uint64_t max)
{
    uint64_t value = pm_wire_get(reader);

    reader->failed = reader->failed || value > max;
    return reader->failed ? 0 : value;
}

size_t pm_wire_get_count(PmWireReader *reader, size_t element_size)
{
    uint64_t count = pm_wire_get(reader);

    reader->failed = reader->failed || count > reader->n_left / element_size;
    return reader->failed ? 0 : (size_t)count;
}

char *pm_wire_get_string(PmWireReader *reader, size_t max_length)
{
    size_t length = pm_wire_get_count(reader, 1);
    char *text;

    reader->failed = reader->failed || length > max_length ||
                     !g_utf8_validate(reader->bytes, (gssize)length, NULL);
    if (reader->failed)
        return NULL;
    text = g_strndup(reader->bytes, length);
    reader->bytes += length;
    reader->n_left -= length;
    return text;
}
