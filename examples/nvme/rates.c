/* SPDX-License-Identifier: MIT */
#include "rates.h"

#include <plugmap/dma_vector.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/uio.h>

#define MAX_SIZE PM_MIB
#define N_ROUNDS 9 /* each way is first in a third of them */

typedef enum {
    REGISTERED,
    POOL,
    MAP,
    N_WAYS
} Way;

/* In nanoseconds, of each request. */
typedef struct {
    GArray *request; /* prepare to finish */
    GArray *set_up;  /* prepare and finish only */
} Times;

static const uint64_t sizes[] = {512, 4 * PM_KIB, 64 * PM_KIB, PM_MIB};
static const PmDmaFallback fallbacks[] = {PM_DMA_FALLBACK_NONE, PM_DMA_FALLBACK_BOUNCE,
                                          PM_DMA_FALLBACK_MAP};

static double now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int compare(gconstpointer a, gconstpointer b)
{
    double difference = *(const double *)a - *(const double *)b;

    return (difference > 0) - (difference < 0);
}

/* Others may use the machine meanwhile, and the first requests do work for the later ones. */
static double median(GArray *times)
{
    g_array_sort(times, compare);
    return g_array_index(times, double, times->len / 2);
}

static void request_once(World *world, PmDmaVector *vector, const struct iovec *buffer, bool reads,
                         Times *times)
{
    PmNvmeRequest request = {.opcode = reads ? PM_NVME_READ : PM_NVME_WRITE};
    g_autoptr(GError) error = NULL;
    double start = now_ns();
    double prepared;
    double done;
    double request_ns;
    double set_up_ns;

    if (!pm_dma_vector_prepare(vector, buffer, 1, reads ? PM_DMA_FROM_DEVICE : PM_DMA_TO_DEVICE,
                               &error))
        die("preparing a request", error);
    request.segments = pm_dma_vector_get_segments(vector, &request.n_segments);
    prepared = now_ns();
    if (!pm_nvme_queue_execute(world->queues[0], &request, &error))
        die("a request", error);
    done = now_ns();
    pm_dma_vector_finish(vector);
    request_ns = now_ns() - start;
    set_up_ns = request_ns - (done - prepared);
    g_array_append_val(times->request, request_ns);
    g_array_append_val(times->set_up, set_up_ns);
}

/* Reads and writes in turns. */
static void measure(World *world, Way way, const struct iovec *buffer, unsigned n, Times *times)
{
    const PmDmaVectorConfig config = {
        .struct_size = sizeof(config), .alignment = 4, .fallback = fallbacks[way]};
    g_autoptr(GError) error = NULL;
    PmDmaVector *vector = pm_dma_vector_new(world->registry, &config, &error);

    if (vector == NULL)
        die("making a vector", error);
    for (unsigned i = 0; i < n; i++)
        request_once(world, vector, buffer, i % 2 == 1, times);
    pm_dma_vector_free(vector);
}

static void measure_size(World *world, uint64_t size, unsigned n, char *unregistered)
{
    const struct iovec buffers[N_WAYS] = {
        {pm_ram_get_host(world->ram), size}, {unregistered, size}, {unregistered, size}};
    Times times[N_WAYS];
    double request[N_WAYS];
    double set_up[N_WAYS];

    for (unsigned way = 0; way < N_WAYS; way++)
        times[way] = (Times){g_array_new(FALSE, FALSE, sizeof(double)),
                             g_array_new(FALSE, FALSE, sizeof(double))};
    for (unsigned round = 0; round < N_ROUNDS; round++)
        for (unsigned i = 0; i < N_WAYS; i++) {
            unsigned way = (round + i) % N_WAYS;

            measure(world, way, &buffers[way], MAX(1, n / N_ROUNDS), &times[way]);
        }
    for (unsigned way = 0; way < N_WAYS; way++) {
        request[way] = median(times[way].request);
        set_up[way] = median(times[way].set_up);
        g_array_unref(times[way].request);
        g_array_unref(times[way].set_up);
    }
    printf("%7llu | %9.0f %9.0f %9.0f | %5.2f %5.2f | %9.0f %9.0f %9.0f\n",
           (unsigned long long)size, 1e9 / request[REGISTERED], 1e9 / request[POOL],
           1e9 / request[MAP], request[POOL] / request[REGISTERED],
           request[MAP] / request[REGISTERED], set_up[REGISTERED], set_up[POOL], set_up[MAP]);
}

void rates_run(World *world, const Options *options)
{
    char *unregistered = mmap(NULL, MAX_SIZE, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

    if (unregistered == MAP_FAILED)
        die("allocating a buffer", NULL);
    printf(
        "median of requests per second, how many times faster registered is, and ns to prepare and "
        "finish "
        "a request\n"
        "  bytes | registered      pool       map |  pool   map | registered     pool       map\n");
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++)
        measure_size(world, sizes[i], (unsigned)options->n_requests, unregistered);
    (void)munmap(unregistered, MAX_SIZE);
}
