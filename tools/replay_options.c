/* SPDX-License-Identifier: MIT */
#include "tools/replay_options.h"

#include "base/error_text.h"
#include "tools/exit_status.h"

void pm_replay_options_clear(PmReplayOptions *options)
{
    g_free(options->backend);
    g_free(options->device);
    pm_trace_options_clear(&options->trace);
    pm_fake_options_clear(&options->fake);
    g_free(options->memory);
    g_free(options->dma_log);
    g_strfreev(options->rest);
}

bool pm_replay_options_parse(PmReplayOptions *options, int argc, char **argv, GError **error)
{
    const GOptionEntry entries[] = {
        {"backend", 0, 0, G_OPTION_ARG_STRING, &options->backend,
         "where to map: " PM_BACKENDS " (a real device by iommufd, if the host has it; the default "
         "with --device, as fake is without)",
         "BACKEND"},
        {"device", 0, 0, G_OPTION_ARG_STRING, &options->device,
         "PCI address of the device, bound to vfio-pci: 0000:04:00.0 or 04:00.0", "BDF"},
        {"memory", 0, 0, G_OPTION_ARG_STRING, &options->memory,
         "what backs the region: anon (default), memfd or hugetlb (2M pages; on the fake kernel "
         "with "
         "--pin populate)",
         "KIND"},
        {"prefault", 0, 0, G_OPTION_ARG_INT, &options->prefault,
         "fault memory in by so many threads before it is mapped (0: leave it to the mapping)",
         "THREADS"},
        {"dma-log", 0, 0, G_OPTION_ARG_FILENAME, &options->dma_log,
         "write the DMA calls inside the region to FILE; \"-\" is standard output, before the "
         "report",
         "FILE"},
        {"json", 0, 0, G_OPTION_ARG_NONE, &options->json, "report as one JSON object", NULL},
        {"no-audit", 0, 0, G_OPTION_ARG_NONE, &options->no_audit,
         "do not compare plugged, mapped and resident memory", NULL},
        {"dma-check", 0, 0, G_OPTION_ARG_NONE, &options->dma_check,
         "after every request the device (QEMU's edu or nvme) reads and writes by DMA: plugged "
         "memory has to be "
         "reached, and no other. An nvme disk loses its first 4 KiB",
         NULL},
        {"overcommit", 0, 0, G_OPTION_ARG_NONE, &options->overcommit,
         "start even where the limits have no room for all blocks of the region; a PLUG beyond "
         "them is "
         "answered BUSY",
         NULL},
        {"verbose", 'v', 0, G_OPTION_ARG_NONE, &options->verbose,
         "say which back end was chosen, and why, and which capabilities are kept", NULL},
        {G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &options->rest, NULL, "TRACE"},
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);

    g_option_context_set_summary(
        context,
        "Plays the requests of a trace (QEMU's trace log or plugmap's own format, plain or "
        "compressed by gzip; \"-\" is\nstandard input) against virtio-mem devices, maps what "
        "is plugged, and compares answers, mappings and memory:\nwhat a request "
        "touched after each request, the whole region now and then and at the "
        "end.\n\n" PM_EXIT_HELP);
    g_option_context_add_main_entries(context, entries, NULL);
    pm_trace_options_add(&options->trace, context);
    pm_fake_options_add(&options->fake, context);
    return g_option_context_parse(context, &argc, &argv, error);
}

bool pm_replay_options_check(const PmReplayOptions *options, const PmBackend *backend,
                             GError **error)
{
    const char *complaint = NULL;

    if (options->rest == NULL || options->rest[1] != NULL)
        complaint = "name one trace file (see --help)";
    else if (options->prefault < 0 || options->prefault > 64)
        complaint = "--prefault: 0 to 64 threads";
    else if (options->dma_check && options->no_audit)
        complaint = "--dma-check is a part of the audit, which --no-audit leaves out";
    else if (options->json && g_strcmp0(options->dma_log, "-") == 0)
        complaint = "--json and --dma-log - both write to standard output: name a file for the log";
    else if (backend->fake && !pm_fake_options_populate(&options->fake) && options->prefault == 0 &&
             g_strcmp0(options->memory, "hugetlb") == 0)
        complaint = "--memory hugetlb: the fake kernel only counts memory, and would ask for no "
                    "hugetlb page: add --pin populate";
    return complaint == NULL || pm_fail(error, PM_ERROR_INVALID_ARGUMENT, "%s", complaint);
}
