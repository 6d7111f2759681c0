/* SPDX-License-Identifier: MIT */
/* The whole stack (request in, answer out) against a loop of the same ioctls and madvise calls,
 * with populated memory. */
#include <inttypes.h>
#include <stdio.h>

#include "bare.h"
#include "kernel-uapi/virtio_mem.h"
#include "real.h"
#include "tests/util/mapper_util.h"

#define ADDRESS (UINT64_C(1) << 32)
#define N_PARTS 4 /* requests of equal size, each timed */

#define MAX_ATTEMPTS 3
#define MAX_GROWTH   1.05
#define NO_TARGET    0.0

typedef struct {
    const char *name; /* of its member in the results */
    PmRamKind kind;
    uint64_t block_size;
    uint64_t n_blocks; /* a multiple of N_PARTS */
    unsigned n_rounds;
    double max_ratio; /* of map, and of unmap */
} Case;

/* Blocks of 2 MiB from the hugetlb pool: both use the same pages. The last case is a Linux guest's
 * request of 128 MiB: so few blocks that the fixed cost of a request shows, especially where cold
 * code is slow, as under emulation. */
static const Case cases[] = {
    {"blocks_4k", PM_RAM_ANONYMOUS, 4 * PM_KIB, 60000, 5, 1.05},
    {"blocks_2m", PM_RAM_HUGETLB_2M, 2 * PM_MIB, 2048, 12, 1.01},
    {"requests_128m", PM_RAM_HUGETLB_2M, 2 * PM_MIB, 256, 20, NO_TARGET},
};

typedef struct {
    double map_ns[N_PARTS];
    double unmap_ns[N_PARTS];
} Cost;

static PmRam *make_ram(const Case *c)
{
    g_autoptr(GError) error = NULL;
    PmRam *ram = pm_ram_new(c->kind, c->n_blocks * c->block_size, c->block_size, &error);

    if (ram == NULL)
        bench_die("memory", error);
    return ram;
}

static void populate(PmRam *ram)
{
    g_autoptr(GError) error = NULL;

    if (!pm_ram_populate(ram, 0, pm_ram_get_size(ram), 1, &error))
        bench_die("memory", error);
}

static void keep_least(double *least, double start)
{
    *least = MIN(*least, bench_now_ns() - start);
}

static void run_stack(const Case *c, const RealDevice *device, Cost *least)
{
    uint64_t part = c->n_blocks / N_PARTS;
    g_autoptr(GError) error = NULL;
    g_autoptr(PmKernel) kernel = pm_kernel_host_new();
    g_autoptr(PmIommu) iommu = real_open(kernel, device);
    g_autoptr(PmRam) ram = make_ram(c);
    PmVirtioMemConfig config = {.struct_size = sizeof(config),
                                .ram = ram,
                                .address = ADDRESS,
                                .block_size = c->block_size,
                                .requested_size = c->n_blocks * c->block_size};
    g_autoptr(PmVirtioMem) guest = pm_virtio_mem_new(&config, &error);
    g_autoptr(PmMapper) mapper = pm_mapper_new(iommu);

    if (guest == NULL || !mapper_add_all(mapper, ADDRESS, ram, PM_MAPPER_STRICT, &error))
        bench_die("stack", error);
    populate(ram);
    for (uint64_t i = 0; i < N_PARTS; i++) {
        double start = bench_now_ns();

        bench_request(guest, VIRTIO_MEM_REQ_PLUG, i * part, part);
        keep_least(&least->map_ns[i], start);
    }
    for (uint64_t i = 0; i < N_PARTS; i++) {
        double start = bench_now_ns();

        bench_request(guest, VIRTIO_MEM_REQ_UNPLUG, i * part, part);
        keep_least(&least->unmap_ns[i], start);
    }
}

static void map_part(const Bare *bare, const Case *c, PmRam *ram, uint64_t first)
{
    const char *host = (const char *)pm_ram_get_host(ram) + first * c->block_size;
    uint64_t iova = ADDRESS + first * c->block_size;

    for (uint64_t i = 0; i < c->n_blocks / N_PARTS; i++)
        bare_map(bare, iova + i * c->block_size, host + i * c->block_size, c->block_size);
}

static void unmap_part(const Bare *bare, const Case *c, PmRam *ram, uint64_t first)
{
    uint64_t offset = first * c->block_size;
    uint64_t size = c->n_blocks / N_PARTS * c->block_size;
    g_autoptr(GError) error = NULL;

    bare_unmap(bare, ADDRESS + offset, size);
    if (!pm_ram_discard(ram, offset, size, &error))
        bench_die("discard", error);
}

/* As for a virtio-mem device. */
static PmDiscardManager *make_manager(PmRam *ram, uint64_t block_size)
{
    g_autoptr(PmDiscardManager) manager = pm_discard_manager_new(ram, block_size, NULL);
    const PmDiscardSourceConfig config = {
        .struct_size = sizeof(config),
        .name = "bench",
        .granularity = block_size,
        .flags = PM_DISCARD_SOURCE_FREES_MEMORY,
    };

    if (manager == NULL || pm_discard_manager_add_source(manager, &config, NULL) == NULL)
        return NULL;
    return g_steal_pointer(&manager);
}

static void run_bare(const Case *c, const RealDevice *device, Cost *least)
{
    uint64_t part = c->n_blocks / N_PARTS;
    g_autoptr(PmKernel) kernel = pm_kernel_host_new();
    g_autoptr(PmRam) ram = make_ram(c);
    g_autoptr(PmDiscardManager) manager = make_manager(ram, c->block_size);
    Bare bare;

    if (manager == NULL) /* it is what fits the memory to the blocks */
        bench_die("manager", NULL);
    bare_open(&bare, kernel, device->backend, device->address);
    populate(ram);
    for (uint64_t i = 0; i < N_PARTS; i++) {
        double start = bench_now_ns();

        map_part(&bare, c, ram, i * part);
        keep_least(&least->map_ns[i], start);
    }
    for (uint64_t i = 0; i < N_PARTS; i++) {
        double start = bench_now_ns();

        unmap_part(&bare, c, ram, i * part);
        keep_least(&least->unmap_ns[i], start);
    }
    bare_close(&bare);
}

static double sum(const double *parts, unsigned first, unsigned n_parts)
{
    double total = 0;

    for (unsigned i = 0; i < n_parts; i++)
        total += parts[first + i];
    return total;
}

static double ratio(const double *stack, const double *bare)
{
    return sum(stack, 0, N_PARTS) / sum(bare, 0, N_PARTS);
}

/* Cost of the last quarter of the mappings relative to the first. */
static double growth(const double *parts)
{
    return sum(parts, N_PARTS - N_PARTS / 4, N_PARTS / 4) / sum(parts, 0, N_PARTS / 4);
}

static void add_result(JsonBuilder *json, const Case *c, const Cost *stack, const Cost *bare)
{
    double n_blocks = (double)c->n_blocks;

    json_builder_set_member_name(json, c->name);
    json_builder_begin_object(json);
    real_add(json, "mappings", n_blocks);
    real_add(json, "map_ns", sum(stack->map_ns, 0, N_PARTS) / n_blocks);
    real_add(json, "bare_map_ns", sum(bare->map_ns, 0, N_PARTS) / n_blocks);
    real_add(json, "map_ratio", ratio(stack->map_ns, bare->map_ns));
    real_add(json, "unmap_ns", sum(stack->unmap_ns, 0, N_PARTS) / n_blocks);
    real_add(json, "bare_unmap_ns", sum(bare->unmap_ns, 0, N_PARTS) / n_blocks);
    real_add(json, "unmap_ratio", ratio(stack->unmap_ns, bare->unmap_ns));
    real_add(json, "map_growth", growth(stack->map_ns));
    real_add(json, "bare_map_growth", growth(bare->map_ns));
    json_builder_end_object(json);
}

static void print_result(const Case *c, const Cost *stack, const Cost *bare)
{
    double n_blocks = (double)c->n_blocks;

    printf("%-13s %6" PRIu64
           " mappings | map %8.0f ns, bare %8.0f, ratio %.3f | unmap %8.0f ns, bare "
           "%8.0f, ratio %.3f | last quarter %.3f, bare %.3f\n",
           c->name, c->n_blocks, sum(stack->map_ns, 0, N_PARTS) / n_blocks,
           sum(bare->map_ns, 0, N_PARTS) / n_blocks, ratio(stack->map_ns, bare->map_ns),
           sum(stack->unmap_ns, 0, N_PARTS) / n_blocks, sum(bare->unmap_ns, 0, N_PARTS) / n_blocks,
           ratio(stack->unmap_ns, bare->unmap_ns), growth(stack->map_ns), growth(bare->map_ns));
}

static bool check_case(const Case *c, const Cost *stack, const Cost *bare)
{
    g_autofree char *map = g_strdup_printf("%s: map, whole stack against bare loop", c->name);
    g_autofree char *unmap = g_strdup_printf("%s: unmap of runs", c->name);
    g_autofree char *last = g_strdup_printf("%s: growth of the n-th mapping's cost", c->name);
    bool met;

    if (c->max_ratio == NO_TARGET)
        return true;
    met = bench_check(map, ratio(stack->map_ns, bare->map_ns), c->max_ratio);
    met = bench_check(unmap, ratio(stack->unmap_ns, bare->unmap_ns), c->max_ratio) && met;
    return bench_check(last, growth(stack->map_ns) / growth(bare->map_ns), MAX_GROWTH) && met;
}

static bool measure_case(const Case *c, const RealDevice *device, bool quiet, JsonBuilder *json)
{
    Cost stack;
    Cost bare;
    bool met = false;

    for (unsigned i = 0; i < N_PARTS; i++)
        stack.map_ns[i] = stack.unmap_ns[i] = bare.map_ns[i] = bare.unmap_ns[i] = G_MAXDOUBLE;
    /* On a busy machine it takes more rounds until each part was undisturbed once. */
    for (unsigned attempt = 0; attempt < MAX_ATTEMPTS && !met; attempt++) {
        for (unsigned round = 0; round < c->n_rounds; round++) {
            /* Alternate the order: fragmentation depends on the previous user of the memory. */
            if (round % 2 == 0)
                run_bare(c, device, &bare);
            run_stack(c, device, &stack);
            if (round % 2 != 0)
                run_bare(c, device, &bare);
        }
        met = check_case(c, &stack, &bare);
    }
    add_result(json, c, &stack, &bare);
    if (!quiet)
        print_result(c, &stack, &bare);
    return met;
}

bool real_measure_stack(const RealDevice *device, bool quiet, JsonBuilder *json)
{
    bool met = true;

    json_builder_set_member_name(json, "stack");
    json_builder_begin_object(json);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
        met = measure_case(&cases[i], device, quiet, json) && met;
    json_builder_end_object(json);
    return met;
}
