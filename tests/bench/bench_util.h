/* SPDX-License-Identifier: MIT */
/* Helpers of the benchmarks: time, requests, targets. */
#ifndef PLUGMAP_TESTS_BENCH_BENCH_UTIL_H
#define PLUGMAP_TESTS_BENCH_BENCH_UTIL_H

#include <stdbool.h>
#include <stdint.h>

#include <json-glib/json-glib.h>

#include <plugmap/plugmap.h>

/* Ends the program with status 2. @error may be NULL. */
G_NORETURN void bench_die(const char *what, const GError *error);

double bench_now_ns(void);

/* Processor time of the process, and of the calling thread: another process's load adds nothing. */
double bench_cpu_ns(void);
double bench_thread_ns(void);

/* Sends a request for blocks of a device; dies unless it is acknowledged. */
void bench_request(PmVirtioMem *device, uint16_t type, uint64_t first, uint64_t n_blocks);

int bench_open(PmKernel *kernel, const char *path);

/* Says on standard error whether a target is met. */
bool bench_check(const char *what, double value, double target);

/* What was built, on standard output. */
void bench_print_json(JsonBuilder *json);

#endif
