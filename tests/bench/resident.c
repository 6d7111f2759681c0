/* SPDX-License-Identifier: MIT */
/*
 * Cost of prefault for resident memory: processor time from PLUG to ACK for 64 resident blocks of
 * 2 MiB, with and without prefault threads, on a fake kernel that pins pages like a real one.
 *
 * resident: exits 1 if a target is missed.
 */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <plugmap/fake.h>

#include "bench_util.h"
#include "kernel-uapi/virtio_mem.h"

#define ADDRESS  (UINT64_C(1) << 32)
#define BLOCK    (2 * PM_MIB)
#define N_BLOCKS 64
#define N_ROUNDS 20

#define MAX_ATTEMPTS 5
#define MAX_RATIO    1.1

typedef struct {
    const char *name;
    PmRamKind kind;
    int advice;
} Case;

static const Case cases[] = {
    {"anonymous, 4 KiB pages", PM_RAM_ANONYMOUS, MADV_NOHUGEPAGE},
    {"anonymous, huge pages", PM_RAM_ANONYMOUS, MADV_HUGEPAGE},
    {"memfd", PM_RAM_MEMFD, MADV_NOHUGEPAGE},
};

static PmKernel *make_fake(void)
{
    PmFakeConfig config;
    g_autoptr(GError) error = NULL;
    PmKernel *fake;

    pm_fake_config_init(&config);
    config.pin = PM_FAKE_PIN_HOLD;
    fake = pm_fake_kernel_new(&config, &error);
    if (fake == NULL)
        bench_die("a fake kernel that pins (io_uring)", error);
    return fake;
}

static double run(const Case *c, unsigned n_threads)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(PmKernel) fake = make_fake();
    const PmType1Config type1 = {
        .struct_size = sizeof(type1), .kernel = fake, .has_group = true, .group = 1};
    g_autoptr(PmIommu) iommu = pm_iommu_type1_new(&type1, &error);
    g_autoptr(PmRam) ram = pm_ram_new(c->kind, N_BLOCKS * BLOCK, BLOCK, &error);
    PmVirtioMemConfig config = {.struct_size = sizeof(config),
                                .ram = ram,
                                .address = ADDRESS,
                                .block_size = BLOCK,
                                .requested_size = N_BLOCKS * BLOCK,
                                .prefault_threads = n_threads};
    g_autoptr(PmVirtioMem) guest = ram != NULL ? pm_virtio_mem_new(&config, &error) : NULL;
    g_autoptr(PmMapper) mapper = iommu != NULL ? pm_mapper_new(iommu) : NULL;
    const PmMapperRegion region = {.struct_size = sizeof(region),
                                   .ram = ram,
                                   .size = N_BLOCKS * BLOCK,
                                   .address = ADDRESS,
                                   .access = PM_IOMMU_READ_WRITE};
    double start;

    if (guest == NULL || mapper == NULL || !pm_mapper_add(mapper, &region, &error))
        bench_die("stack", error);
    (void)madvise(pm_ram_get_host(ram), N_BLOCKS * BLOCK, c->advice);
    memset(pm_ram_get_host(ram), 1, N_BLOCKS * BLOCK);
    start = bench_cpu_ns();
    bench_request(guest, VIRTIO_MEM_REQ_PLUG, 0, N_BLOCKS);
    return bench_cpu_ns() - start;
}

/* In turns; the result is the minimum, because other load only adds time. */
static bool measure(const Case *c)
{
    g_autofree char *what = g_strdup_printf("prefault of resident memory, %s", c->name);
    double without = G_MAXDOUBLE;
    double with = G_MAXDOUBLE;
    bool met = false;

    for (unsigned attempt = 0; attempt < MAX_ATTEMPTS && !met; attempt++) {
        for (unsigned round = 0; round < N_ROUNDS; round++) {
            without = MIN(without, run(c, 0));
            with = MIN(with, run(c, 2));
        }
        met = bench_check(what, with / without, MAX_RATIO);
    }
    printf("%-24s without %7.3f ms, with %7.3f ms, ratio %.3f\n", c->name, without / 1e6,
           with / 1e6, with / without);
    return met;
}

int main(void)
{
    bool met = true;

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
        met = measure(&cases[i]) && met;
    return met ? 0 : 1;
}
