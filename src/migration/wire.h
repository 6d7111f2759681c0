/* SPDX-License-Identifier: MIT */
/* Numbers and strings in a buffer, in the host's byte order. A failure is sticky, so that callers
 * check once. */
#ifndef PLUGMAP_SRC_MIGRATION_WIRE_H
#define PLUGMAP_SRC_MIGRATION_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

typedef struct {
    char *bytes;
    size_t size;
    size_t room;
    bool failed; /* out of memory */
} PmWireWriter;

void pm_wire_writer_clear(PmWireWriter *writer);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PmWireWriter, pm_wire_writer_clear)

void pm_wire_put(PmWireWriter *writer, uint64_t value);
void pm_wire_put_string(PmWireWriter *writer, const char *text);

typedef struct {
    const char *bytes;
    size_t n_left;
    bool failed; /* read past the end, or an invalid value */
} PmWireReader;

/* 0 if there is none. */
uint64_t pm_wire_get(PmWireReader *reader);
/* A number of at most @max; larger ones fail. */
uint64_t pm_wire_get_up_to(PmWireReader *reader, uint64_t max);
/* The number of elements that follow, each of at least @element_size bytes. */
size_t pm_wire_get_count(PmWireReader *reader, size_t element_size);
/* A new string of at most @max_length bytes of UTF-8; NULL on failure. */
char *pm_wire_get_string(PmWireReader *reader, size_t max_length);

#endif
