/* SPDX-License-Identifier: MIT */
#include "tools/replay_options.h"

#include "base/error_text.h"
#include "tools/commands.h"

void pm_replay_options_clear(PmReplayOptions *options)
{
    g_free(options->backend);
    g_free(options->device);
    pm_trace_options_clear(&options->trace);
    pm_fake_options_clear(&options->fake);
    g_free(options->memory);
    g_free(options->dma_log);
    g_free(options->report);
    g_free(options->svg);
    g_strfreev(options->rest);
}

#define MEMBER(name) offsetof(PmReplayOptions, name)

const char *const pm_memory_names[] = {"anon", "memfd", "hugetlb", NULL};

static const PmOption option_list[] = {
    {"backend", 0, PM_VALUE_CHOICE, MEMBER(backend), "BACKEND",
     .help = "fake, fake-iommufd, type1, iommufd or auto",
     .detail = "Default: auto with --device, else fake. auto prefers iommufd to type1",
     .choices = pm_backend_names},
    {"device", 0, PM_VALUE_BDF, MEMBER(device), "BDF",
     .help = "map for a device bound to vfio-pci, e.g. 04:00.0"},
    {"dma-log", 0, PM_VALUE_FILE, MEMBER(dma_log), "FILE",
     .help = "log MAP and UNMAP calls to FILE",
     .detail = "Only calls on the region's blocks; \"-\" is standard output, before the report"},
    {"report", 0, PM_VALUE_FILE, MEMBER(report), "FILE",
     .help = "write a page with pictures, for a browser, to FILE",
     .detail = "One HTML file that needs no network: the region over time, sizes, mappings, "
               "latencies, refused requests. \"-\" is standard output, in place of the report in "
               "text. After an interrupt the page has what was replayed"},
    {"svg", 0, PM_VALUE_FILE, MEMBER(svg), "FILE",
     .help = "write the picture alone, in SVG, to FILE",
     .detail = "The region over time, and the sizes; otherwise like --report"},
    {"json", 0, PM_VALUE_FLAG, MEMBER(json), .help = "print the report in JSON"},
    {"dma-check", 0, PM_VALUE_FLAG, MEMBER(dma_check),
     .help = "have the device access the memory by DMA",
     .detail = "After every request QEMU's edu or nvme accesses plugged and unplugged memory; "
               "overwrites the first 4 KiB of an nvme disk"},
    {"overcommit", 0, PM_VALUE_FLAG, MEMBER(overcommit),
     .help = "start even if the region exceeds the limits",
     .detail = "A PLUG that exceeds them returns BUSY"},
    {"verbose", 'v', PM_VALUE_FLAG, MEMBER(verbose), .help = "print the chosen backend and why",
     .detail = "Also prints the capabilities that are kept, and what the library logs: address "
               "spaces, devices, regions, and refused requests with their reasons"},
    PM_OPTION_END,
};

static const PmOption memory_option_list[] = {
    {"memory", 0, PM_VALUE_CHOICE, MEMBER(memory), "KIND",
     .help = "backing of the region: anon (default), memfd or hugetlb",
     .detail = "hugetlb: 2M pages; the fake kernel requires --pin populate",
     .choices = pm_memory_names},
    {"prefault", 0, PM_VALUE_INTEGER, MEMBER(prefault), "THREADS",
     .help = "prefault memory before mapping it (default: 0, off)"},
    {"force", 0, PM_VALUE_FLAG, MEMBER(force),
     .help = "replay even if the host has too little memory",
     .detail = "That is if the trace needs more than the host, the cgroup or the hugetlb pool has"},
    {"no-audit", 0, PM_VALUE_FLAG, MEMBER(no_audit),
     .help = "do not audit mapped and resident memory"},
    PM_OPTION_END,
};

const PmCommand pm_replay_command = {
    .name = "replay",
    .summary = "replay a trace of plug and unplug requests and audit the mappings",
    .arguments = "TRACE",
    .argument = PM_VALUE_FILE,
    .rest = MEMBER(rest),
    .description =
        {
            "Replays TRACE, maps the plugged blocks, and compares the responses with the recorded "
            "ones.",
            "TRACE is a QEMU trace log or in plugmap's own format, optionally gzip-compressed; "
            "\"-\" is standard input.",
            "Each region of the trace becomes a virtio-mem device. Audits compare the mapped and "
            "the resident memory with the plugged blocks: the blocks of a request after each "
            "request, the whole region periodically and at the end.",
            "Without --device the kernel is a fake one in this process: no hardware and no "
            "privileges are required, and a region of any size can be replayed.",
            "The command drops all capabilities that it does not need, before it reads the trace.",
        },
    .groups =
        {
            {"Options", option_list, 0, false},
            {"Memory", memory_option_list, 0, true},
            {"Fake kernel", pm_fake_option_list, MEMBER(fake), true},
            {"Trace", pm_trace_option_list, MEMBER(trace), true},
        },
    .examples =
        {
            {"plugmap replay guest.log", "audit what a guest did, recorded by QEMU", PM_EXIT_OK},
            {"plugmap replay --backend type1 --device 04:00.0 guest.log",
             "the same with the mappings of a real device", PM_EXIT_OK},
            {"plugmap replay --entry-limit 64 --overcommit guest.log",
             "what happens at a limit of 64 mappings", PM_EXIT_WRONG},
            {"plugmap replay --report guest.html guest.log", "the same as a page with pictures",
             PM_EXIT_OK},
        },
    .statuses = {PM_EXIT_WRONG, PM_EXIT_USAGE, PM_EXIT_NOT_READY, PM_EXIT_NO_ROOM, PM_EXIT_SIGNAL},
    .no = "a response differs or an audit failed",
    .see_also = {"plugmap-convert(1)", "plugmap-trace(5)"},
    .main = pm_replay_main,
};

static bool is_dash(const char *path)
{
    return g_strcmp0(path, "-") == 0;
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
    else if (options->json &&
             (is_dash(options->dma_log) || is_dash(options->report) || is_dash(options->svg)))
        complaint =
            "--json writes to standard output: write --dma-log, --report and --svg to files";
    else if (options->force && only_counts && options->prefault == 0)
        complaint = "--force requires --device, --pin populate or --prefault: account mode "
                    "allocates no pages";
    else if (only_counts && options->prefault == 0 && g_strcmp0(options->memory, "hugetlb") == 0)
        complaint = "--memory hugetlb on the fake kernel requires --pin populate: account mode "
                    "allocates no pages";
    return complaint == NULL || pm_fail(error, PM_ERROR_INVALID_ARGUMENT, "%s", complaint);
}
