/* SPDX-License-Identifier: MIT */
/*
 * What a second source costs: a source of 4 KiB granules is added to 1 TiB that a virtio-mem device
 * manages in blocks of 2 MiB, beside one pass of AND over as much fresh memory as its two bitmaps
 * take; processor time.
 *
 * sources: exits 1 if the ratio misses its target. The milliseconds have one, too, which decides
 * nothing, because they depend on the machine.
 */
#include <stdio.h>

#include "bench_util.h"

#define ADDRESS  (UINT64_C(1) << 40)
#define SIZE     (1024 * PM_GIB)
#define BLOCK    (2 * PM_MIB)
#define GRANULE  (4 * PM_KIB)
#define N_WORDS  (SIZE / GRANULE / 64)
#define N_BLOCKS (SIZE / BLOCK)
#define N_SINGLE 10000

#define MAX_ATTEMPTS 5
#define MAX_MS       100.0
#define MAX_RATIO    5.0

/* Fresh memory, as for new bitmaps. */
static double time_pass(const uint64_t *random)
{
    double start = bench_cpu_ns();
    uint64_t *first = g_try_new0(uint64_t, N_WORDS);
    uint64_t *second = g_try_new0(uint64_t, N_WORDS);
    double elapsed;

    if (first == NULL || second == NULL)
        bench_die("no memory for the baseline", NULL);
    for (uint64_t i = 0; i < N_WORDS; i++) {
        first[i] = random[i];
        second[i] = random[N_WORDS - 1 - i] & first[i];
    }
    elapsed = (bench_cpu_ns() - start) / 1e6;
    if (second[N_WORDS / 2] == 1) /* so that the loop is not optimized away */
        printf("\n");
    g_free(first);
    g_free(second);
    return elapsed;
}

/* Every third block, and runs of them. */
static PmVirtioMem *make_device(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_ANONYMOUS, SIZE, BLOCK, &error);
    const PmVirtioMemConfig config = {.struct_size = sizeof(config),
                                      .ram = ram,
                                      .address = ADDRESS,
                                      .block_size = BLOCK,
                                      .requested_size = SIZE};
    PmVirtioMem *device = ram != NULL ? pm_virtio_mem_new(&config, &error) : NULL;

    if (device == NULL)
        bench_die("device", error);
    for (uint64_t block = 0; block + 8 < N_BLOCKS; block += 12)
        bench_request(device, PM_VIRTIO_MEM_PLUG, block, 1 + block % 8);
    return device;
}

typedef struct {
    double pass;
    double add;     /* everything populated */
    double random;  /* half of the granules populated */
    double removal; /* and back to blocks of 2 MiB */
    double convert; /* of a granule */
} Times;

static PmDiscardSource *add(PmDiscardManager *manager, const uint64_t *bits, double *least)
{
    const PmDiscardSourceConfig config = {
        .struct_size = sizeof(config),
        .name = "4 KiB",
        .granularity = GRANULE,
        .populated = bits,
        .flags = PM_DISCARD_SOURCE_POPULATED,
    };
    g_autoptr(GError) error = NULL;
    double start = bench_cpu_ns();
    PmDiscardSource *source = pm_discard_manager_add_source(manager, &config, &error);

    if (source == NULL)
        bench_die("add", error);
    *least = MIN(*least, (bench_cpu_ns() - start) / 1e6);
    return source;
}

static void convert(PmDiscardSource *source, double *least)
{
    double start = bench_cpu_ns();

    for (uint64_t i = 0; i < N_SINGLE; i++)
        if (!pm_discard_source_discard(source, i * 64 * GRANULE, GRANULE, 0, NULL))
            bench_die("discard", NULL);
    *least = MIN(*least, (bench_cpu_ns() - start) / 1e6 / N_SINGLE);
}

static void take_away(PmDiscardManager *manager, PmDiscardSource *source, double *least)
{
    double start = bench_cpu_ns();

    if (!pm_discard_manager_remove_source(manager, source, NULL))
        bench_die("remove", NULL);
    *least = MIN(*least, (bench_cpu_ns() - start) / 1e6);
}

static void measure(PmDiscardManager *manager, const uint64_t *random, Times *least)
{
    double ignored = G_MAXDOUBLE;
    PmDiscardSource *source;

    least->pass = MIN(least->pass, time_pass(random));
    source = add(manager, NULL, &least->add);
    convert(source, &least->convert);
    take_away(manager, source, &ignored);
    source = add(manager, random, &least->random);
    take_away(manager, source, &least->removal);
}

static bool check(const Times *times)
{
    (void)bench_check("ms to add a source", MAX(times->add, times->random), MAX_MS);
    return bench_check("adding a source against a pass over its memory",
                       MAX(times->add, times->random) / times->pass, MAX_RATIO);
}

int main(void)
{
    Times times = {G_MAXDOUBLE, G_MAXDOUBLE, G_MAXDOUBLE, G_MAXDOUBLE, G_MAXDOUBLE};
    g_autofree uint64_t *random = g_new(uint64_t, N_WORDS);
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);
    PmVirtioMem *device = make_device();
    bool met = false;

    for (uint64_t i = 0; i < N_WORDS; i++)
        random[i] = (uint64_t)g_rand_int(rand) << 32 | g_rand_int(rand);
    for (unsigned attempt = 0; attempt < MAX_ATTEMPTS && !met; attempt++) {
        measure(pm_virtio_mem_get_manager(device), random, &times);
        met = check(&times);
    }
    printf("a source of 4 KiB added to 1 TiB of 2 MiB blocks: %.1f ms, with a random bitmap "
           "%.1f ms; removed %.1f ms; a pass of AND %.1f ms; a granule converted %.0f ns\n",
           times.add, times.random, times.removal, times.pass, times.convert * 1e6);
    pm_virtio_mem_free(device);
    return met ? 0 : 1;
}
