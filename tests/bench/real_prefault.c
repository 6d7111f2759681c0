/* SPDX-License-Identifier: MIT */
/* From PLUG to ACK for 64 untouched blocks of 2 MiB: faulted in by threads before the MAP, or by
 * the MAP. Compared with the bare system calls, which show what the kernel can reach. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "bare.h"
#include "kernel-uapi/virtio_mem.h"
#include "real.h"
#include "tests/util/mapper_util.h"

#define ADDRESS  (UINT64_C(1) << 32)
#define BLOCK    (2 * PM_MIB)
#define N_BLOCKS 64
#define N_ROUNDS 10

#define MAX_ATTEMPTS    3
#define MAX_RATIO       0.6
/* If the bare system calls miss the target: this times their ratio. */
#define MAX_BESIDE_BARE 1.03
#define MAX_THREADS     64

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define NO_TARGET 0.0

typedef struct {
    const char *name; /* of its member in the results */
    PmRamKind kind;
    int advice;
    double max_ratio; /* on a real device with two processors or more */
} Case;

static const Case cases[] = {
    {"anonymous", PM_RAM_ANONYMOUS, MADV_NOHUGEPAGE, MAX_RATIO},
    {"anonymous_huge", PM_RAM_ANONYMOUS, MADV_HUGEPAGE, MAX_RATIO},
    {"memfd", PM_RAM_MEMFD, MADV_NOHUGEPAGE, NO_TARGET},
    {"memfd_huge", PM_RAM_MEMFD, MADV_HUGEPAGE, NO_TARGET},
};

static bool host_has_shmem_huge_pages(void)
{
    g_autofree char *text = NULL;

    return g_file_get_contents("/sys/kernel/mm/transparent_hugepage/shmem_enabled", &text, NULL,
                               NULL) &&
           strstr(text, "[never]") == NULL && strstr(text, "[deny]") == NULL;
}

static PmRam *make_ram(const Case *c)
{
    g_autoptr(GError) error = NULL;
    PmRam *ram = pm_ram_new(c->kind, N_BLOCKS * BLOCK, BLOCK, &error);

    if (ram == NULL)
        bench_die("memory", error);
    return ram;
}

/* @device NULL: maps nothing, measures faulting in by one or more threads. */
static double run_stack(const Case *c, const RealDevice *device, unsigned n_threads)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(PmKernel) kernel = pm_kernel_host_new();
    g_autoptr(PmIommu) iommu = device != NULL ? real_open(kernel, device) : NULL;
    g_autoptr(PmRam) ram = make_ram(c);
    PmVirtioMemConfig config = {.struct_size = sizeof(config),
                                .ram = ram,
                                .address = ADDRESS,
                                .block_size = BLOCK,
                                .requested_size = N_BLOCKS * BLOCK,
                                .prefault_threads = n_threads};
    g_autoptr(PmVirtioMem) guest = pm_virtio_mem_new(&config, &error);
    g_autoptr(PmMapper) mapper = iommu != NULL ? pm_mapper_new(iommu) : NULL;
    double start;

    if (guest == NULL ||
        (mapper != NULL && !mapper_add_all(mapper, ADDRESS, ram, PM_MAPPER_STRICT, &error)))
        bench_die("stack", error);
    (void)madvise(pm_ram_get_host(ram), N_BLOCKS * BLOCK, c->advice);
    start = bench_now_ns();
    bench_request(guest, VIRTIO_MEM_REQ_PLUG, 0, N_BLOCKS);
    return bench_now_ns() - start;
}

/* --- bare system calls --- */

/* One of @n_threads threads: populates every n-th block from @first on. */
typedef struct {
    PmRam *ram;
    unsigned first;
    unsigned n_threads;
    pthread_t thread;
} Share;

static void *populate_share(void *user_data)
{
    const Share *share = user_data;
    char *host = pm_ram_get_host(share->ram);

    for (unsigned i = share->first; i < N_BLOCKS; i += share->n_threads) {
        if (madvise(host + i * BLOCK, BLOCK, MADV_POPULATE_WRITE) != 0)
            bench_die("MADV_POPULATE_WRITE", NULL);
    }
    return NULL;
}

static void populate(PmRam *ram, unsigned n_threads)
{
    Share shares[MAX_THREADS];

    for (unsigned i = 0; i < n_threads; i++) {
        shares[i] = (Share){.ram = ram, .first = i, .n_threads = n_threads};
        if (pthread_create(&shares[i].thread, NULL, populate_share, &shares[i]) != 0)
            bench_die("pthread_create", NULL);
    }
    for (unsigned i = 0; i < n_threads; i++)
        (void)pthread_join(shares[i].thread, NULL);
}

/* @n_threads 0: the MAP faults the memory in. */
static double run_bare(const Case *c, const RealDevice *device, unsigned n_threads)
{
    g_autoptr(PmKernel) kernel = pm_kernel_host_new();
    g_autoptr(PmRam) ram = make_ram(c);
    char *host = pm_ram_get_host(ram);
    Bare bare;
    double ns;

    bare_open(&bare, kernel, device->backend, device->address);
    (void)madvise(host, N_BLOCKS * BLOCK, c->advice);
    ns = bench_now_ns();
    populate(ram, n_threads);
    for (unsigned i = 0; i < N_BLOCKS; i++)
        bare_map(&bare, ADDRESS + i * BLOCK, host + i * BLOCK, BLOCK);
    ns = bench_now_ns() - ns;
    bare_close(&bare);
    return ns;
}

/* --- */

typedef struct {
    double without_ns;
    double with_ns;
} Times;

static double ratio(const Times *times)
{
    return times->with_ns / times->without_ns;
}

static void keep_least(Times *least, double without_ns, double with_ns)
{
    least->without_ns = MIN(least->without_ns, without_ns);
    least->with_ns = MIN(least->with_ns, with_ns);
}

static void add_result(JsonBuilder *json, const Case *c, const Times *stack, const Times *bare)
{
    json_builder_set_member_name(json, c->name);
    json_builder_begin_object(json);
    real_add(json, "without_ns", stack->without_ns);
    real_add(json, "prefault_ns", stack->with_ns);
    real_add(json, "ratio", ratio(stack));
    if (bare != NULL)
        real_add(json, "bare_ratio", ratio(bare));
    json_builder_end_object(json);
}

static void print_result(const Case *c, unsigned n_threads, const Times *stack, const Times *bare)
{
    printf("%-15s | %s %7.1f ms, by %u threads %7.1f ms, ratio %.3f", c->name,
           bare != NULL ? "without prefault" : "by one thread", stack->without_ns / 1e6, n_threads,
           stack->with_ns / 1e6, ratio(stack));
    if (bare != NULL)
        printf(", system calls alone %.3f", ratio(bare));
    printf("\n");
}

/* On a real device. */
static bool measure_mapping(const Case *c, const RealDevice *device, unsigned n_threads, bool quiet,
                            JsonBuilder *json)
{
    g_autofree char *what = g_strdup_printf("%s: plug with prefault against without", c->name);
    bool has_target = n_threads >= 2 && c->max_ratio > NO_TARGET;
    Times stack = {G_MAXDOUBLE, G_MAXDOUBLE};
    Times bare = {G_MAXDOUBLE, G_MAXDOUBLE};
    bool met = false;

    for (unsigned attempt = 0; attempt < MAX_ATTEMPTS && !met; attempt++) {
        for (unsigned round = 0; round < N_ROUNDS; round++) {
            keep_least(&stack, run_stack(c, device, 0), run_stack(c, device, n_threads));
            keep_least(&bare, run_bare(c, device, 0), run_bare(c, device, n_threads));
        }
        met = !has_target ||
              bench_check(what, ratio(&stack), MAX(c->max_ratio, MAX_BESIDE_BARE * ratio(&bare)));
    }
    add_result(json, c, &stack, &bare);
    if (!quiet)
        print_result(c, n_threads, &stack, &bare);
    return met;
}

/* There is no target without a device. */
static void measure_populating(const Case *c, unsigned n_threads, bool quiet, JsonBuilder *json)
{
    Times times = {G_MAXDOUBLE, G_MAXDOUBLE};

    for (unsigned round = 0; round < N_ROUNDS; round++)
        keep_least(&times, run_stack(c, NULL, 1), run_stack(c, NULL, n_threads));
    add_result(json, c, &times, NULL);
    if (!quiet)
        print_result(c, n_threads, &times, NULL);
}

bool real_measure_prefault(const RealDevice *device, unsigned n_threads, bool quiet,
                           JsonBuilder *json)
{
    bool met = true;

    n_threads = MIN(n_threads, MAX_THREADS);
    json_builder_set_member_name(json, device != NULL ? "prefault" : "populate");
    json_builder_begin_object(json);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        if (cases[i].kind == PM_RAM_MEMFD && cases[i].advice == MADV_HUGEPAGE &&
            !host_has_shmem_huge_pages()) {
            fprintf(stderr,
                    "memfd_huge: skipped; /sys/kernel/mm/transparent_hugepage/shmem_enabled "
                    "must be advise or always\n");
            continue;
        }
        if (device != NULL)
            met = measure_mapping(&cases[i], device, n_threads, quiet, json) && met;
        else
            measure_populating(&cases[i], n_threads, quiet, json);
    }
    json_builder_end_object(json);
    return met;
}
