/* SPDX-License-Identifier: MIT */
/* Traces in plugmap's own format. */
#include "fuzz.h"
#include "trace_input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_trace(data, size, PM_TRACE_FORMAT_PLUGMAP, NULL);
    return 0;
}
