/* SPDX-License-Identifier: MIT */
/*
 * What the audit of a replay costs: 300,000 requests over 64 GiB, beside as many over 1 GiB, and
 * some without audit; processor time, on a fake kernel that only counts memory.
 *
 * audit: exits 1 if a target is missed.
 */
#include <stdio.h>

#include "bench_util.h"
#include "kernel-uapi/virtio_mem.h"
#include "replay/replay.h"

#define ADDRESS    (UINT64_C(1) << 32)
#define BLOCK      (2 * PM_MIB)
#define N_REQUESTS 300000
#define N_SMALL    30000 /* for ratios */

#define MAX_ATTEMPTS 5
#define MAX_SECONDS  30.0
#define MAX_GROWTH   1.5
#define MAX_RATIO    40.0

/* Single blocks, plugged or unplugged, at random: half of them are plugged in the end. */
static PmTrace *make_trace(uint64_t size, unsigned n_requests)
{
    PmTrace *trace = pm_trace_new("generated");
    const PmTraceRegion region = {
        .address = ADDRESS, .size = size, .block_size = BLOCK, .requested_size = size};
    g_autoptr(GRand) random = g_rand_new_with_seed(1);
    g_autofree bool *plugged = g_new0(bool, size / BLOCK);

    (void)pm_trace_add_region(trace, region);
    for (unsigned i = 0; i < n_requests; i++) {
        uint32_t block = g_rand_int(random) % (uint32_t)(size / BLOCK);
        const PmTraceEvent event = {.type = plugged[block] ? PM_EVENT_UNPLUG : PM_EVENT_PLUG,
                                    .n_blocks = 1,
                                    .response = VIRTIO_MEM_RESP_ACK,
                                    .state = -1,
                                    .address = ADDRESS + block * BLOCK,
                                    .time_ns = -1};

        plugged[block] = !plugged[block];
        g_array_append_val(trace->events, event);
    }
    return trace;
}

static double play(uint64_t size, unsigned n_requests, bool audit)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(PmTrace) trace = make_trace(size, n_requests);
    g_autoptr(PmKernel) fake = pm_fake_kernel_new(NULL, &error);
    const PmReplayConfig config = {
        .kernel = fake, .fake = fake, .only_counts = true, .group = 1, .audit = audit};
    g_autoptr(PmReplayResult) result = NULL;
    double start = bench_cpu_ns();

    result = pm_replay(trace, &config, &error);
    if (result == NULL || !pm_replay_is_right(result))
        bench_die("replay", error);
    return (bench_cpu_ns() - start) / 1e9;
}

typedef struct {
    double whole;   /* N_REQUESTS over 64 GiB */
    double small;   /* N_SMALL over 1 GiB */
    double large;   /* N_SMALL over 64 GiB */
    double without; /* the same, not audited */
} Times;

/* The least counts: what else the machine does only ever adds. */
static void measure(Times *least)
{
    least->small = MIN(least->small, play(PM_GIB, N_SMALL, true));
    least->large = MIN(least->large, play(64 * PM_GIB, N_SMALL, true));
    least->without = MIN(least->without, play(64 * PM_GIB, N_SMALL, false));
    least->whole = MIN(least->whole, play(64 * PM_GIB, N_REQUESTS, true));
}

static bool check(const Times *times)
{
    bool met =
        bench_check("seconds for 300,000 audited requests over 64G", times->whole, MAX_SECONDS);

    met = bench_check("an audited request over 64G against one over 1G",
                      times->large / times->small, MAX_GROWTH) &&
          met;
    return bench_check("an audited request against one that is not", times->large / times->without,
                       MAX_RATIO) &&
           met;
}

int main(void)
{
    Times times = {G_MAXDOUBLE, G_MAXDOUBLE, G_MAXDOUBLE, G_MAXDOUBLE};
    bool met = false;

    for (unsigned attempt = 0; attempt < MAX_ATTEMPTS && !met; attempt++) {
        measure(&times);
        met = check(&times);
    }
    printf(
        "300,000 requests over 64G: %.1f s; a request over 1G %.1f us, over 64G %.1f us, without "
        "audit %.1f us\n",
        times.whole, times.small / N_SMALL * 1e6, times.large / N_SMALL * 1e6,
        times.without / N_SMALL * 1e6);
    return met ? 0 : 1;
}
