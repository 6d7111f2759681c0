/* SPDX-License-Identifier: MIT */
/*
 * Cost of plugmap per block: plug and unplug through the whole stack (request in, answer out) on
 * the fake kernel, against a bare loop of the same ioctls. Blocks are 2 MiB; the fake only accounts
 * for the memory.
 *
 * replay [--json]: exits 1 if a target is missed.
 */
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include <plugmap/fake.h>
#include <plugmap/plugmap.h>

#include "bench_util.h"
#include "kernel-uapi/vfio.h"
#include "kernel-uapi/virtio_mem.h"
#include "tests/util/mapper_util.h"

#define BLOCK                (2 * PM_MIB)
#define ADDRESS              (UINT64_C(1) << 40)
#define MAX_BLOCKS_A_REQUEST 32768

/* Targets. */
#define MAX_RATIO         1.3
#define MAX_GROWTH        1.2
#define MAX_BYTES_A_BLOCK 128.0
#define MAX_SECONDS_A_TIB 1.0

#define MAX_ATTEMPTS 6

static const uint64_t region_sizes[] = {PM_GIB, 64 * PM_GIB, PM_TIB, 16 * PM_TIB};
#define N_SIZES G_N_ELEMENTS(region_sizes)

typedef struct {
    double plug_ns;
    double unplug_ns;
} Cost; /* per block */

typedef struct {
    uint64_t n_blocks;
    Cost stack;
    Cost bare;
    double bytes_a_block;
} Row;

static PmKernel *make_kernel(void)
{
    static const PmIovaRange range = {0, (UINT64_C(1) << 57) - 1};
    PmFakeConfig config;
    g_autoptr(GError) error = NULL;
    PmKernel *kernel;

    pm_fake_config_init(&config);
    config.iova_ranges = &range;
    config.n_iova_ranges = 1;
    config.entry_limit = UINT32_MAX;
    kernel = pm_fake_kernel_new(&config, &error);
    if (kernel == NULL)
        bench_die("fake kernel", error);
    return kernel;
}

static PmRam *make_ram(uint64_t size)
{
    g_autoptr(GError) error = NULL;
    PmRam *ram = pm_ram_new(PM_RAM_ANONYMOUS, size, BLOCK, &error);

    if (ram == NULL)
        bench_die("memory", error);
    return ram;
}

/* Resident memory of this process in bytes. */
static uint64_t resident(void)
{
    g_autofree char *statm = NULL;
    const char *pages;

    if (!g_file_get_contents("/proc/self/statm", &statm, NULL, NULL))
        bench_die("/proc/self/statm", NULL);
    pages = strchr(statm, ' ');
    return pages != NULL ? g_ascii_strtoull(pages, NULL, 10) * 4096 : 0;
}

static double request_all(PmVirtioMem *device, uint16_t type, uint64_t n_blocks)
{
    double start = bench_now_ns();

    for (uint64_t first = 0; first < n_blocks; first += MAX_BLOCKS_A_REQUEST)
        bench_request(device, type, first, MIN(MAX_BLOCKS_A_REQUEST, n_blocks - first));
    return (bench_now_ns() - start) / (double)n_blocks;
}

static Cost measure_stack(uint64_t size, double *bytes_a_block)
{
    uint64_t n_blocks = size / BLOCK;
    g_autoptr(GError) error = NULL;
    g_autoptr(PmKernel) kernel = make_kernel();
    const PmType1Config type1 = {
        .struct_size = sizeof(type1), .kernel = kernel, .has_group = true, .group = 1};
    g_autoptr(PmIommu) iommu = pm_iommu_type1_new(&type1, &error);
    g_autoptr(PmRam) ram = make_ram(size);
    PmVirtioMemConfig config = {.struct_size = sizeof(config),
                                .ram = ram,
                                .address = ADDRESS,
                                .block_size = BLOCK,
                                .requested_size = size};
    g_autoptr(PmVirtioMem) device = pm_virtio_mem_new(&config, &error);
    g_autoptr(PmMapper) mapper = NULL;
    uint64_t before;
    Cost cost;

    if (iommu == NULL || device == NULL)
        bench_die("stack", error);
    mapper = pm_mapper_new(iommu);
    if (!mapper_add_all(mapper, ADDRESS, ram, PM_MAPPER_STRICT, &error))
        bench_die("mapper", error);
    before = resident();
    cost.plug_ns = request_all(device, VIRTIO_MEM_REQ_PLUG, n_blocks);
    *bytes_a_block = ((double)resident() - (double)before) / (double)n_blocks;
    cost.unplug_ns = request_all(device, VIRTIO_MEM_REQ_UNPLUG, n_blocks);
    return cost;
}

static Cost measure_bare(uint64_t size)
{
    uint64_t n_blocks = size / BLOCK;
    g_autoptr(PmKernel) kernel = make_kernel();
    g_autoptr(PmRam) ram = make_ram(size);
    int container = bench_open(kernel, "/dev/vfio/vfio");
    int group = bench_open(kernel, "/dev/vfio/1");
    struct vfio_iommu_type1_dma_map map = {
        .argsz = sizeof(map),
        .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
        .size = BLOCK,
    };
    struct vfio_iommu_type1_dma_unmap unmap = {.argsz = sizeof(unmap)};
    double start;
    Cost cost;

    if (kernel->ops->ioctl(kernel, group, VFIO_GROUP_SET_CONTAINER, &container) < 0 ||
        kernel->ops->ioctl(kernel, container, VFIO_SET_IOMMU,
                           GUINT_TO_POINTER(VFIO_TYPE1v2_IOMMU)) < 0)
        bench_die("container", NULL);
    start = bench_now_ns();
    for (uint64_t i = 0; i < n_blocks; i++) {
        map.iova = ADDRESS + i * BLOCK;
        map.vaddr = (uintptr_t)pm_ram_get_host(ram) + i * BLOCK;
        if (kernel->ops->ioctl(kernel, container, VFIO_IOMMU_MAP_DMA, &map) < 0)
            bench_die("VFIO_IOMMU_MAP_DMA", NULL);
    }
    cost.plug_ns = (bench_now_ns() - start) / (double)n_blocks;
    start = bench_now_ns();
    for (uint64_t first = 0; first < n_blocks; first += MAX_BLOCKS_A_REQUEST) {
        unmap.iova = ADDRESS + first * BLOCK;
        unmap.size = MIN(MAX_BLOCKS_A_REQUEST, n_blocks - first) * BLOCK;
        if (kernel->ops->ioctl(kernel, container, VFIO_IOMMU_UNMAP_DMA, &unmap) < 0)
            bench_die("VFIO_IOMMU_UNMAP_DMA", NULL);
        /* The stack discards the memory as well, so this loop must do it too. */
        if (!pm_ram_discard(ram, first * BLOCK, unmap.size, NULL))
            bench_die("discard", NULL);
    }
    cost.unplug_ns = (bench_now_ns() - start) / (double)n_blocks;
    kernel->ops->close(kernel, group);
    kernel->ops->close(kernel, container);
    return cost;
}

static Cost least(Cost a, Cost b)
{
    return (Cost){MIN(a.plug_ns, b.plug_ns), MIN(a.unplug_ns, b.unplug_ns)};
}

/* The minimum of all rounds, taken in turns: other load only adds time. */
static void measure(Row *row, uint64_t size)
{
    unsigned n_rounds = size > PM_TIB ? 2 : size > 64 * PM_GIB ? 5 : 50;

    for (unsigned round = 0; round < n_rounds; round++) {
        double bytes_a_block;

        row->bare = least(row->bare, measure_bare(size));
        malloc_trim(0);
        row->stack = least(row->stack, measure_stack(size, &bytes_a_block));
        row->bytes_a_block = MAX(row->bytes_a_block, bytes_a_block);
        malloc_trim(0);
    }
}

static double cost_of(const Row *row)
{
    return row->stack.plug_ns + row->stack.unplug_ns;
}

static double ratio_of(const Row *row)
{
    return cost_of(row) / (row->bare.plug_ns + row->bare.unplug_ns);
}

static void print_table(const Row *rows)
{
    printf("%-8s %10s | %12s %12s | %12s %12s | %6s %7s\n", "region", "blocks", "plug ns", "bare",
           "unplug ns", "bare", "ratio", "B/block");
    for (size_t i = 0; i < N_SIZES; i++) {
        const Row *row = &rows[i];
        g_autofree char *size = pm_size_format(region_sizes[i]);

        printf("%-8s %10" PRIu64 " | %12.1f %12.1f | %12.2f %12.2f | %6.3f %7.1f\n", size,
               row->n_blocks, row->stack.plug_ns, row->bare.plug_ns, row->stack.unplug_ns,
               row->bare.unplug_ns, ratio_of(row), row->bytes_a_block);
    }
}

static void print_json(const Row *rows)
{
    printf("[");
    for (size_t i = 0; i < N_SIZES; i++) {
        const Row *row = &rows[i];

        printf("%s\n  {\"region_size\": %" PRIu64 ", \"blocks\": %" PRIu64
               ", \"plug_ns\": %.1f, \"bare_map_ns\": %.1f, \"unplug_ns\": %.2f, "
               "\"bare_unmap_ns\": %.2f, \"ratio\": %.3f, \"bytes_a_block\": %.1f}",
               i > 0 ? "," : "", region_sizes[i], row->n_blocks, row->stack.plug_ns,
               row->bare.plug_ns, row->stack.unplug_ns, row->bare.unplug_ns, ratio_of(row),
               row->bytes_a_block);
    }
    printf("\n]\n");
}

static bool check_targets(const Row *rows)
{
    const Row *smallest = &rows[0];
    const Row *tib = &rows[2];
    const Row *largest = &rows[N_SIZES - 1];
    bool met = true;

    for (size_t i = 0; i < N_SIZES; i++) {
        g_autofree char *size = pm_size_format(region_sizes[i]);
        g_autofree char *what = g_strdup_printf("whole stack against bare ioctls, %s", size);

        met = bench_check(what, ratio_of(&rows[i]), MAX_RATIO) && met;
    }
    met = bench_check("a block at 16T against a block at 1G", cost_of(largest) / cost_of(smallest),
                      MAX_GROWTH) &&
          met;
    met = bench_check("seconds for plug and unplug of 1T",
                      cost_of(tib) * (double)tib->n_blocks / 1e9, MAX_SECONDS_A_TIB) &&
          met;
    return bench_check("bytes of memory per mapped block, 16T", largest->bytes_a_block,
                       MAX_BYTES_A_BLOCK) &&
           met;
}

int main(int argc, char **argv)
{
    Row rows[N_SIZES];
    bool met = false;

    if (argc > 2 || (argc == 2 && !g_str_equal(argv[1], "--json"))) {
        fprintf(stderr, "usage: %s [--json]\n", argv[0]);
        return 2;
    }
    for (size_t i = 0; i < N_SIZES; i++)
        rows[i] = (Row){
            .n_blocks = region_sizes[i] / BLOCK,
            .stack = {G_MAXDOUBLE, G_MAXDOUBLE},
            .bare = {G_MAXDOUBLE, G_MAXDOUBLE},
        };
    /* On a busy machine it takes more rounds until each was undisturbed once. */
    for (unsigned attempt = 0; attempt < MAX_ATTEMPTS && !met; attempt++) {
        for (size_t i = 0; i < N_SIZES; i++)
            measure(&rows[i], region_sizes[i]);
        met = check_targets(rows);
    }
    if (argc == 2)
        print_json(rows);
    else
        print_table(rows);
    return met ? 0 : 1;
}
