/* SPDX-License-Identifier: MIT */
/*
 * Times of single MAP and UNMAP calls of type1 and iommufd in one run: bare system calls for
 * several block sizes, of populated memory and of memory that the call faults in.
 *
 * calls --device BDF [--json]
 */
#include <inttypes.h>
#include <json-glib/json-glib.h>
#include <stdio.h>
#include <sys/mman.h>

#include "bare.h"
#include "bench_util.h"

#define ADDRESS    (UINT64_C(1) << 32)
#define N_BACKENDS 2

typedef struct {
    const char *name;
    uint64_t block_size;
    unsigned n_blocks; /* mapped one after the other, then unmapped so */
    unsigned n_rounds;
    PmRamKind kind;
    bool base_pages; /* no transparent huge ones */
    bool populated;
} Case;

static const Case cases[] = {
    {"4K", 4 * PM_KIB, 10000, 2, PM_RAM_ANONYMOUS, true, true},
    {"4K", 4 * PM_KIB, 10000, 2, PM_RAM_ANONYMOUS, true, false},
    {"2M of 4K pages", 2 * PM_MIB, 128, 4, PM_RAM_ANONYMOUS, true, true},
    {"2M of 4K pages", 2 * PM_MIB, 128, 4, PM_RAM_ANONYMOUS, true, false},
    {"2M hugetlb", 2 * PM_MIB, 256, 8, PM_RAM_HUGETLB_2M, false, true},
    {"2M hugetlb", 2 * PM_MIB, 256, 4, PM_RAM_HUGETLB_2M, false, false},
    {"1G hugetlb", PM_GIB, 1, 100, PM_RAM_HUGETLB_1G, false, true},
    {"1G hugetlb", PM_GIB, 1, 20, PM_RAM_HUGETLB_1G, false, false},
};

/* Times of single calls, in nanoseconds. */
typedef struct {
    GArray *map;
    GArray *unmap;
} Times;

static const PmIommuBackend backends[N_BACKENDS] = {PM_IOMMU_TYPE1, PM_IOMMU_IOMMUFD};

static PmRam *make_ram(const Case *c)
{
    g_autoptr(GError) error = NULL;
    PmRam *ram = pm_ram_new(c->kind, c->n_blocks * c->block_size, c->block_size, &error);

    if (ram == NULL)
        bench_die(c->name, error);
    if (c->base_pages)
        (void)madvise(pm_ram_get_host(ram), pm_ram_get_size(ram), MADV_NOHUGEPAGE);
    return ram;
}

static void prepare(const Case *c, PmRam *ram)
{
    g_autoptr(GError) error = NULL;
    uint64_t size = pm_ram_get_size(ram);

    if (!(c->populated ? pm_ram_populate(ram, 0, size, 1, &error)
                       : pm_ram_discard(ram, 0, size, &error)))
        bench_die(c->name, error);
}

static void note(GArray *times, double start)
{
    double taken = bench_now_ns() - start;

    g_array_append_val(times, taken);
}

static void run(const Case *c, const Bare *bare, PmRam *ram, Times *times)
{
    const char *host = pm_ram_get_host(ram);

    for (unsigned i = 0; i < c->n_blocks; i++) {
        double start = bench_now_ns();

        bare_map(bare, ADDRESS + i * c->block_size, host + i * c->block_size, c->block_size);
        note(times->map, start);
    }
    for (unsigned i = 0; i < c->n_blocks; i++) {
        double start = bench_now_ns();

        bare_unmap(bare, ADDRESS + i * c->block_size, c->block_size);
        note(times->unmap, start);
    }
}

/* In turns, so that both get equally fragmented memory. */
static void measure(const Case *c, const char *device, Times *times)
{
    g_autoptr(PmKernel) kernel = pm_kernel_host_new();
    g_autoptr(PmRam) ram = make_ram(c);

    for (unsigned round = 0; round < c->n_rounds; round++) {
        for (unsigned i = 0; i < N_BACKENDS; i++) {
            Bare bare;

            bare_open(&bare, kernel, backends[i], device);
            prepare(c, ram);
            run(c, &bare, ram, &times[i]);
            bare_close(&bare);
        }
    }
}

static int compare(gconstpointer a, gconstpointer b)
{
    double difference = *(const double *)a - *(const double *)b;

    return (difference > 0) - (difference < 0);
}

static double percentile(GArray *times, unsigned percent)
{
    g_array_sort(times, compare);
    return g_array_index(times, double, MIN(times->len * percent / 100, times->len - 1));
}

static void add(JsonBuilder *json, const char *name, double value)
{
    json_builder_set_member_name(json, name);
    json_builder_add_double_value(json, value);
}

static void report(const Case *c, PmIommuBackend backend, Times *times, JsonBuilder *json,
                   bool quiet)
{
    double map[] = {percentile(times->map, 50), percentile(times->map, 99)};
    double unmap[] = {percentile(times->unmap, 50), percentile(times->unmap, 99)};

    json_builder_begin_object(json);
    json_builder_set_member_name(json, "block");
    json_builder_add_string_value(json, c->name);
    json_builder_set_member_name(json, "populated");
    json_builder_add_boolean_value(json, c->populated);
    json_builder_set_member_name(json, "backend");
    json_builder_add_string_value(json, bare_backend_name(backend));
    add(json, "calls", times->map->len);
    add(json, "map_p50_ns", map[0]);
    add(json, "map_p99_ns", map[1]);
    add(json, "unmap_p50_ns", unmap[0]);
    add(json, "unmap_p99_ns", unmap[1]);
    json_builder_end_object(json);
    if (!quiet)
        printf("%-15s %-13s %-8s %7u | MAP %9.1f %9.1f | UNMAP %9.1f %9.1f\n", c->name,
               c->populated ? "populated" : "not populated", bare_backend_name(backend),
               times->map->len, map[0] / 1e3, map[1] / 1e3, unmap[0] / 1e3, unmap[1] / 1e3);
}

static void measure_all(const char *device, JsonBuilder *json, bool quiet)
{
    if (!quiet)
        printf("block           memory        back end   calls | p50 and p99 of a call, in "
               "microseconds\n");
    json_builder_begin_array(json);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        Times times[N_BACKENDS];

        for (unsigned j = 0; j < N_BACKENDS; j++)
            times[j] = (Times){g_array_new(FALSE, FALSE, sizeof(double)),
                               g_array_new(FALSE, FALSE, sizeof(double))};
        measure(&cases[i], device, times);
        for (unsigned j = 0; j < N_BACKENDS; j++) {
            report(&cases[i], backends[j], &times[j], json, quiet);
            g_array_unref(times[j].map);
            g_array_unref(times[j].unmap);
        }
    }
    json_builder_end_array(json);
}

int main(int argc, char **argv)
{
    g_autofree char *device = NULL;
    gboolean as_json = FALSE;
    const GOptionEntry entries[] = {
        {"device", 0, 0, G_OPTION_ARG_STRING, &device, "bound to vfio-pci", "BDF"},
        {"json", 0, 0, G_OPTION_ARG_NONE, &as_json, "results as one JSON array", NULL},
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_autoptr(JsonBuilder) json = json_builder_new();
    g_autoptr(GError) error = NULL;

    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error) || device == NULL)
        bench_die("usage: calls --device BDF [--json]", error);
    measure_all(device, json, as_json);
    if (as_json)
        bench_print_json(json);
    return 0;
}
