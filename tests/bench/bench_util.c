/* SPDX-License-Identifier: MIT */
#include "bench_util.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "kernel-uapi/virtio_mem.h"
#include "tests/util/request_util.h"

G_NORETURN void bench_die(const char *what, const GError *error)
{
    fprintf(stderr, "%s: %s: %s\n", g_get_prgname(), what,
            error != NULL ? error->message : "failed");
    exit(2);
}

static double clock_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

double bench_now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

double bench_cpu_ns(void)
{
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

double bench_thread_ns(void)
{
    return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

void bench_request(PmVirtioMem *device, uint16_t type, uint64_t first, uint64_t n_blocks)
{
    uint64_t address =
        pm_virtio_mem_get_address(device) + first * pm_virtio_mem_get_block_size(device);
    g_autoptr(GError) error = NULL;
    const GError *refusal;
    int answer = send_request(device, type, address, n_blocks, &error);

    if (answer < 0)
        bench_die("request", error);
    if (answer == VIRTIO_MEM_RESP_ACK)
        return;
    (void)pm_virtio_mem_last_refusal(device, &refusal);
    bench_die("request", refusal);
}

int bench_open(PmKernel *kernel, const char *path)
{
    int fd = kernel->ops->open(kernel, path, O_RDWR | O_CLOEXEC);

    if (fd < 0)
        bench_die(path, NULL);
    return fd;
}

bool bench_check(const char *what, double value, double target)
{
    fprintf(stderr, "%-58s %8.3f, target %7.3f: %s\n", what, value, target,
            value <= target ? "met" : "MISSED");
    return value <= target;
}

void bench_print_json(JsonBuilder *json)
{
    g_autoptr(JsonGenerator) generator = json_generator_new();
    g_autoptr(JsonNode) root = json_builder_get_root(json);
    g_autofree char *text = NULL;

    json_generator_set_root(generator, root);
    json_generator_set_pretty(generator, TRUE);
    text = json_generator_to_data(generator, NULL);
    printf("%s\n", text);
}
