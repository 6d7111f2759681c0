/* SPDX-License-Identifier: MIT */
/* Lines of a DMA log from strings. */
#ifndef PLUGMAP_TESTS_UNIT_WATCH_DMA_LOG_UTIL_H
#define PLUGMAP_TESTS_UNIT_WATCH_DMA_LOG_UTIL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "watch/dma_log.h"

/* As line 7 of a file 'log'. */
static inline void line_set(PmLineReader *reader, const char *text)
{
    memset(reader, 0, sizeof(*reader));
    reader->name = "log";
    reader->line = 7;
    g_strlcpy(reader->text, text, sizeof(reader->text));
}

/* The strings of the call are in @reader. */
static inline PmDmaLogCall line_parse(PmLineReader *reader, const char *text)
{
    PmDmaLogCall call;
    g_autoptr(GError) error = NULL;

    line_set(reader, text);
    if (!pm_dma_log_parse(reader, &call, &error))
        fail_msg("%s", error->message);
    return call;
}

#endif
