/* SPDX-License-Identifier: MIT */
/* A trace that loads is written in plugmap's own format and loaded again: both have the same
 * regions and events, and are written in the same way. */
#ifndef PLUGMAP_TESTS_FUZZ_TRACE_INPUT_H
#define PLUGMAP_TESTS_FUZZ_TRACE_INPUT_H

#include "trace/trace_load.h"

void fuzz_trace(const uint8_t *data, size_t size, PmTraceFormat format,
                const PmTraceGeometry *given);

#endif
