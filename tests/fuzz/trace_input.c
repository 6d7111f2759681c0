/* SPDX-License-Identifier: MIT */
#include "trace_input.h"

#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "trace/trace_write.h"

/* As a file of its own, because the loader opens files. */
static PmTrace *load(const void *bytes, size_t size, PmTraceFormat format,
                     const PmTraceGeometry *given, GError **error)
{
    int fd = memfd_create("trace", MFD_CLOEXEC);
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
    PmTrace *trace;

    FUZZ_CHECK(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
    trace = pm_trace_load(path, format, given, error);
    close(fd);
    return trace;
}

static char *text_of(const PmTrace *trace)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);

    FUZZ_CHECK(stream != NULL && pm_trace_write(trace, stream));
    fclose(stream);
    return text;
}

static bool is_same_event(const PmTraceEvent *a, const PmTraceEvent *b)
{
    return a->type == b->type && a->region == b->region && a->address == b->address &&
           a->n_blocks == b->n_blocks && a->size == b->size && a->response == b->response &&
           a->state == b->state && a->time_ns == b->time_ns && a->shared == b->shared &&
           a->access == b->access && a->iova == b->iova;
}

static void check_same(const PmTrace *a, const PmTrace *b)
{
    FUZZ_CHECK(a->regions->len == b->regions->len && a->events->len == b->events->len);
    for (guint i = 0; i < a->regions->len; i++) {
        const PmTraceRegion *one = pm_trace_region(a, i);
        const PmTraceRegion *other = pm_trace_region(b, i);

        FUZZ_CHECK(g_strcmp0(one->name, other->name) == 0 && one->address == other->address &&
                   one->size == other->size && one->block_size == other->block_size &&
                   one->requested_size == other->requested_size);
    }
    for (guint i = 0; i < a->events->len; i++)
        FUZZ_CHECK(is_same_event(&g_array_index(a->events, PmTraceEvent, i),
                                 &g_array_index(b->events, PmTraceEvent, i)));
}

void fuzz_trace(const uint8_t *data, size_t size, PmTraceFormat format,
                const PmTraceGeometry *given)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(PmTrace) trace = load(data, size, format, given, &error);
    g_autoptr(PmTrace) again = NULL;
    char *text;
    char *text_again;

    FUZZ_CHECK_RESULT(trace != NULL, error);
    if (trace == NULL)
        return;
    text = text_of(trace);
    again = load(text, strlen(text), PM_TRACE_FORMAT_PLUGMAP, NULL, &error);
    FUZZ_CHECK(again != NULL);
    check_same(trace, again);
    text_again = text_of(again);
    FUZZ_CHECK(strcmp(text, text_again) == 0);
    free(text);
    free(text_again);
}
