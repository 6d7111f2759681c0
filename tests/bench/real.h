/* SPDX-License-Identifier: MIT */
/* The two parts of the benchmark on a real kernel. */
#ifndef PLUGMAP_TESTS_BENCH_REAL_H
#define PLUGMAP_TESTS_BENCH_REAL_H

#include <json-glib/json-glib.h>

#include "bench_util.h"

typedef struct {
    const char *address;
    PmIommuBackend backend;
} RealDevice;

/*
 * Both add a member with their results to @json, print a table unless @quiet, and return whether
 * their targets are met. The result is the minimum of several rounds, taken in turns: other load
 * only adds time.
 * @device: bound to vfio-pci; NULL (prefault only): map nothing.
 */
bool real_measure_stack(const RealDevice *device, bool quiet, JsonBuilder *json);
bool real_measure_prefault(const RealDevice *device, unsigned n_threads, bool quiet,
                           JsonBuilder *json);

/* An address space with the device; exits on failure. */
PmIommu *real_open(PmKernel *kernel, const RealDevice *device);

void real_add(JsonBuilder *json, const char *name, double value);

#endif
