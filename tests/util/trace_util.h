/* SPDX-License-Identifier: MIT */
/* Traces from strings. */
#ifndef PLUGMAP_TESTS_UTIL_TRACE_UTIL_H
#define PLUGMAP_TESTS_UTIL_TRACE_UTIL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <glib/gstdio.h>

#include <plugmap/size.h>

#include "kernel-uapi/virtio_mem.h"
#include "trace/trace_load.h"
#include "trace/trace_write.h"

/* Loads a string as if it were a file. @given may be NULL. */
static inline PmTrace *load_text(const char *text, const PmTraceGeometry *given, GError **error)
{
    g_autofree char *path = NULL;
    int fd = g_file_open_tmp("plugmap-XXXXXX", &path, NULL);
    PmTrace *trace;

    assert_true(fd >= 0);
    g_close(fd, NULL);
    assert_true(g_file_set_contents(path, text, -1, NULL));
    trace = pm_trace_load(path, PM_TRACE_FORMAT_AUTO, given, error);
    g_unlink(path);
    return trace;
}

/* Loading fails with a message that contains @hint. */
static inline void assert_text_refused(const char *text, const PmTraceGeometry *given,
                                       const char *hint)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(PmTrace) trace = load_text(text, given, &error);

    assert_null(trace);
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_BAD_INPUT));
    if (strstr(error->message, hint) == NULL)
        fail_msg("expected '%s' in: %s", hint, error->message);
}

static inline const PmTraceEvent *event_at(const PmTrace *trace, guint index)
{
    assert_true(index < trace->events->len);
    return &g_array_index(trace->events, PmTraceEvent, index);
}

static inline void assert_same_region(const PmTraceRegion *a, const PmTraceRegion *b)
{
    assert_true(g_strcmp0(a->name, b->name) == 0);
    assert_true(a->address == b->address && a->size == b->size);
    assert_true(a->block_size == b->block_size && a->requested_size == b->requested_size);
    assert_int_equal(a->requested_is_bound, b->requested_is_bound);
    assert_int_equal(a->granularity, b->granularity);
}

static inline void assert_same_trace(const PmTrace *a, const PmTrace *b)
{
    assert_int_equal(a->regions->len, b->regions->len);
    for (guint i = 0; i < a->regions->len; i++)
        assert_same_region(pm_trace_region(a, i), pm_trace_region(b, i));
    assert_int_equal(a->events->len, b->events->len);
    for (guint i = 0; i < a->events->len; i++) {
        const PmTraceEvent *first = event_at(a, i);
        const PmTraceEvent *second = event_at(b, i);

        assert_int_equal(first->type, second->type);
        assert_int_equal(first->region, second->region);
        assert_int_equal(first->address, second->address);
        assert_int_equal(first->n_blocks, second->n_blocks);
        assert_int_equal(first->size, second->size);
        assert_int_equal(first->shared, second->shared);
        assert_int_equal(first->iova, second->iova);
        assert_int_equal(first->access, second->access);
        assert_int_equal(first->response, second->response);
        assert_int_equal(first->state, second->state);
        assert_int_equal(first->time_ns, second->time_ns);
    }
}

/* Writes a trace and reads it back. */
static inline PmTrace *round_trip(const PmTrace *trace)
{
    g_autoptr(GError) error = NULL;
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    PmTrace *read_back;

    assert_true(pm_trace_write(trace, stream));
    fclose(stream);
    read_back = load_text(text, NULL, &error);
    if (read_back == NULL)
        fail_msg("%s", error->message);
    free(text);
    return read_back;
}

#endif
