/* SPDX-License-Identifier: MIT */
/* QEMU's trace log, which lacks the geometry: without, and with what a user would add. */
#include "fuzz.h"
#include "trace_input.h"

#include <plugmap/size.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const PmTraceGeometry given = {
        .has_region_address = true,
        .region_address = 4 * PM_GIB,
        .region_size = 4 * PM_GIB,
        .block_size = 4 * PM_MIB,
    };

    fuzz_trace(data, size, PM_TRACE_FORMAT_QEMU_LOG, NULL);
    fuzz_trace(data, size, PM_TRACE_FORMAT_QEMU_LOG, &given);
    return 0;
}
