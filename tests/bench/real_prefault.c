/* SPDX-License-Identifier: MIT */
/* From PLUG to ACK for 64 blocks of 2 MiB that were never touched: faulted in by threads before the
 * mapping, or by the mapping. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "kernel-uapi/virtio_mem.h"
#include "real.h"

#define ADDRESS  (UINT64_C(1) << 32)
#define BLOCK    (2 * PM_MIB)
#define N_BLOCKS 64
#define N_ROUNDS 10

#define MAX_ATTEMPTS 3
#define MAX_RATIO    0.6

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

/* @iommu NULL: nothing follows, so that the memory alone is measured, by one thread or more. */
static double run(const Case *c, PmIommu *iommu, unsigned n_threads)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(PmRam) ram = pm_ram_new(c->kind, N_BLOCKS * BLOCK, BLOCK, &error);
    PmVirtioMemConfig config = {.ram = ram,
                                .address = ADDRESS,
                                .block_size = BLOCK,
                                .requested_size = N_BLOCKS * BLOCK,
                                .prefault_threads = n_threads};
    g_autoptr(PmVirtioMem) guest = ram != NULL ? pm_virtio_mem_new(&config, &error) : NULL;
    g_autoptr(PmMapper) mapper = iommu != NULL ? pm_mapper_new(iommu) : NULL;
    double start;

    if (guest == NULL ||
        (mapper != NULL && !pm_mapper_add_managed(mapper, ADDRESS, pm_virtio_mem_get_manager(guest),
                                                  PM_MAPPER_STRICT, &error)))
        bench_die("stack", error);
    (void)madvise(pm_ram_get_host(ram), N_BLOCKS * BLOCK, c->advice);
    start = bench_now_ns();
    bench_request(guest, VIRTIO_MEM_REQ_PLUG, 0, N_BLOCKS);
    return bench_now_ns() - start;
}

static void add_result(JsonBuilder *json, const Case *c, double without, double with)
{
    json_builder_set_member_name(json, c->name);
    json_builder_begin_object(json);
    real_add(json, "without_ns", without);
    real_add(json, "prefault_ns", with);
    real_add(json, "ratio", with / without);
    json_builder_end_object(json);
}

static bool measure_case(const Case *c, PmIommu *iommu, unsigned n_threads, bool quiet,
                         JsonBuilder *json)
{
    bool has_target = iommu != NULL && n_threads >= 2 && c->max_ratio > NO_TARGET;
    g_autofree char *what = g_strdup_printf("%s: plug with prefault against without", c->name);
    double without = G_MAXDOUBLE;
    double with = G_MAXDOUBLE;
    bool met = false;

    for (unsigned attempt = 0; attempt < MAX_ATTEMPTS && !met; attempt++) {
        for (unsigned round = 0; round < N_ROUNDS; round++) {
            without = MIN(without, run(c, iommu, iommu != NULL ? 0 : 1));
            with = MIN(with, run(c, iommu, n_threads));
        }
        met = !has_target || bench_check(what, with / without, c->max_ratio);
    }
    add_result(json, c, without, with);
    if (!quiet)
        printf("%-15s | %s %7.1f ms, by %u threads %7.1f ms, ratio %.3f\n", c->name,
               iommu != NULL ? "without prefault" : "by one thread", without / 1e6, n_threads,
               with / 1e6, with / without);
    return met;
}

bool real_measure_prefault(const RealDevice *device, unsigned n_threads, bool quiet,
                           JsonBuilder *json)
{
    g_autoptr(PmKernel) kernel = pm_kernel_host_new();
    g_autoptr(PmIommu) iommu = device != NULL ? real_open(kernel, device) : NULL;
    bool met = true;

    json_builder_set_member_name(json, device != NULL ? "prefault" : "populate");
    json_builder_begin_object(json);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        if (cases[i].kind == PM_RAM_MEMFD && cases[i].advice == MADV_HUGEPAGE &&
            !host_has_shmem_huge_pages()) {
            fprintf(stderr,
                    "memfd_huge: left out; /sys/kernel/mm/transparent_hugepage/shmem_enabled "
                    "has to be advise or always\n");
            continue;
        }
        met = measure_case(&cases[i], iommu, n_threads, quiet, json) && met;
    }
    json_builder_end_object(json);
    return met;
}
