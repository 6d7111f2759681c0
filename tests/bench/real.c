/* SPDX-License-Identifier: MIT */
/*
 * Cost of plugmap on a real kernel: the whole stack against a bare loop of the same calls, and
 * prefault by several threads against faulting in during MAP. Without --device: only prefault,
 * without mapping.
 *
 * real [--device BDF] [--backend type1|iommufd] [--threads N] [--json]: exits 1 if a target is
 * missed.
 */
#include "real.h"

#include <stdio.h>

typedef struct {
    char *device;
    char *backend;
    gint n_threads;
    gboolean json;
} Options;

PmIommu *real_open(PmKernel *kernel, const RealDevice *device)
{
    const PmType1Config type1 = {
        .struct_size = sizeof(type1), .kernel = kernel, .device = device->address};
    const PmIommufdConfig iommufd = {
        .struct_size = sizeof(iommufd), .kernel = kernel, .device = device->address};
    g_autoptr(GError) error = NULL;
    PmIommu *iommu = device->backend == PM_IOMMU_IOMMUFD ? pm_iommu_iommufd_new(&iommufd, &error)
                                                         : pm_iommu_type1_new(&type1, &error);

    if (iommu == NULL)
        bench_die(device->address, error);
    return iommu;
}

void real_add(JsonBuilder *json, const char *name, double value)
{
    json_builder_set_member_name(json, name);
    json_builder_add_double_value(json, value);
}

static bool measure(const Options *options, JsonBuilder *json)
{
    unsigned n_threads =
        options->n_threads > 0 ? (unsigned)options->n_threads : g_get_num_processors();
    const RealDevice device = {options->device, g_strcmp0(options->backend, "iommufd") == 0
                                                    ? PM_IOMMU_IOMMUFD
                                                    : PM_IOMMU_TYPE1};
    bool met;

    json_builder_begin_object(json);
    /* First the part that depends on fragmentation of the host's free memory. */
    met = real_measure_prefault(options->device != NULL ? &device : NULL, n_threads, options->json,
                                json);
    if (options->device != NULL)
        met = real_measure_stack(&device, options->json, json) && met;
    json_builder_end_object(json);
    return met;
}

int main(int argc, char **argv)
{
    Options options = {0};
    const GOptionEntry entries[] = {
        {"device", 0, 0, G_OPTION_ARG_STRING, &options.device, "bound to vfio-pci", "BDF"},
        {"backend", 0, 0, G_OPTION_ARG_STRING, &options.backend, "type1 or iommufd (type1)",
         "NAME"},
        {"threads", 0, 0, G_OPTION_ARG_INT, &options.n_threads,
         "that fault memory in (all processors)", "N"},
        {"json", 0, 0, G_OPTION_ARG_NONE, &options.json, "results as one JSON object", NULL},
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_autoptr(JsonBuilder) json = json_builder_new();
    g_autoptr(GError) error = NULL;
    bool met;

    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error))
        bench_die("usage", error);
    met = measure(&options, json);
    if (options.json)
        bench_print_json(json);
    g_free(options.device);
    g_free(options.backend);
    return met ? 0 : 1;
}
