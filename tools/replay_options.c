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
         PM_BACKENDS " (default: auto with --device, else fake; auto prefers iommufd to type1)",
         "BACKEND"},
        {"device", 0, 0, G_OPTION_ARG_STRING, &options->device,
         "PCI address of a device bound to vfio-pci, e.g. 04:00.0", "BDF"},
        {"memory", 0, 0, G_OPTION_ARG_STRING, &options->memory,
         "region backing: anon (default), memfd or hugetlb (2M pages; the fake kernel requires "
         "--pin populate)",
         "KIND"},
        {"prefault", 0, 0, G_OPTION_ARG_INT, &options->prefault,
         "prefault memory before mapping it (default: 0, off)", "THREADS"},
        {"dma-log", 0, 0, G_OPTION_ARG_FILENAME, &options->dma_log,
         "log the region's MAP and UNMAP calls to FILE; \"-\" for standard output, before the "
         "report",
         "FILE"},
        {"json", 0, 0, G_OPTION_ARG_NONE, &options->json, "print the report in JSON", NULL},
        {"no-audit", 0, 0, G_OPTION_ARG_NONE, &options->no_audit,
         "do not audit mapped and resident memory", NULL},
        {"dma-check", 0, 0, G_OPTION_ARG_NONE, &options->dma_check,
         "have the device (QEMU's edu or nvme) access plugged and unplugged memory by DMA after "
         "every request; overwrites the first 4 KiB of an nvme disk",
         NULL},
        {"overcommit", 0, 0, G_OPTION_ARG_NONE, &options->overcommit,
         "start even if the limits do not allow the whole region to be plugged; a PLUG that "
         "exceeds them returns BUSY",
         NULL},
        {"force", 0, 0, G_OPTION_ARG_NONE, &options->force,
         "replay even if the trace needs more memory than the host, the cgroup or the hugetlb pool "
         "has",
         NULL},
        {"verbose", 'v', 0, G_OPTION_ARG_NONE, &options->verbose,
         "print the chosen backend, the reason, and the capabilities that are kept", NULL},
        {G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &options->rest, NULL, "TRACE"},
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);

    g_option_context_set_summary(
        context,
        "Replays TRACE (a QEMU trace log or plugmap's own format, optionally gzip-compressed; "
        "\"-\" for\nstandard input) against virtio-mem devices, maps plugged blocks, and compares "
        "the responses\nwith the recorded ones. Audits mappings and resident memory: the blocks of "
        "a request after each\nrequest, the whole region periodically and at the "
        "end.\n\n" PM_EXIT_HELP);
    g_option_context_add_main_entries(context, entries, NULL);
    pm_trace_options_add(&options->trace, context);
    pm_fake_options_add(&options->fake, context);
    return g_option_context_parse(context, &argc, &argv, error);
}

bool pm_replay_options_check(const PmReplayOptions *options, const PmBackend *backend,
                             GError **error)
{
    bool only_counts = backend->fake && !pm_fake_options_populate(&options->fake);
    const char *complaint = NULL;

    if (options->rest == NULL || options->rest[1] != NULL)
        complaint = "expected one trace file (see --help)";
    else if (options->prefault < 0 || options->prefault > 64)
        complaint = "invalid --prefault: must be 0 to 64 threads";
    else if (options->dma_check && options->no_audit)
        complaint = "--dma-check is part of the audit: drop --no-audit";
    else if (options->json && g_strcmp0(options->dma_log, "-") == 0)
        complaint = "--json and --dma-log - both write to standard output: log to a file";
    else if (options->force && only_counts && options->prefault == 0)
        complaint = "--force requires --device, --pin populate or --prefault: account mode "
                    "allocates no pages";
    else if (only_counts && options->prefault == 0 && g_strcmp0(options->memory, "hugetlb") == 0)
        complaint = "--memory hugetlb on the fake kernel requires --pin populate: account mode "
                    "allocates no pages";
    return complaint == NULL || pm_fail(error, PM_ERROR_INVALID_ARGUMENT, "%s", complaint);
}
