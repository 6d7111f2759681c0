/* SPDX-License-Identifier: MIT */
/* plugmap replay: plays a trace against the fake kernel or a real device. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <plugmap/fake.h>

#include "base/error_text.h"
#include "replay/replay.h"
#include "replay/report.h"
#include "tools/backend.h"
#include "tools/commands.h"
#include "tools/output.h"
#include "tools/trace_options.h"

typedef struct {
    char *backend;
    char *device;
    PmTraceOptions trace;
    char *memory;
    char *pin;
    char *dma_log;
    gboolean json;
    gboolean no_audit;
    gboolean dma_check;
    gboolean verbose;
    gint prefault;
    char **rest;
} Options;

/* What the callbacks of a replay work on. */
typedef struct {
    PmOutput dma_log; /* not open if not asked for */
    bool show_progress;
    gint64 start_us;
    gint64 shown_us;
    bool shown;
} Output;

static void output_clear(Output *output)
{
    pm_output_clear(&output->dma_log);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Output, output_clear)

static void options_clear(Options *options)
{
    g_free(options->backend);
    g_free(options->device);
    pm_trace_options_clear(&options->trace);
    g_free(options->memory);
    g_free(options->pin);
    g_free(options->dma_log);
    g_strfreev(options->rest);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Options, options_clear)

static bool parse_options(int argc, char **argv, Options *options, GError **error)
{
    const GOptionEntry entries[] = {
        {"backend", 0, 0, G_OPTION_ARG_STRING, &options->backend,
         "where to map: " PM_BACKENDS " (a real device by iommufd, if the host has it; the default "
         "with --device, as fake is without)",
         "BACKEND"},
        {"device", 0, 0, G_OPTION_ARG_STRING, &options->device,
         "PCI address of the device, bound to vfio-pci", "BDF"},
        {"memory", 0, 0, G_OPTION_ARG_STRING, &options->memory,
         "what backs the region: anon (default), memfd or hugetlb (2M pages; on the fake kernel "
         "with "
         "--pin populate)",
         "KIND"},
        {"pin", 0, 0, G_OPTION_ARG_STRING, &options->pin,
         "fake kernel: account (default) counts pinned memory, populate faults it in", "HOW"},
        {"prefault", 0, 0, G_OPTION_ARG_INT, &options->prefault,
         "fault memory in by so many threads before it is mapped (0: leave it to the mapping)",
         "THREADS"},
        {"dma-log", 0, 0, G_OPTION_ARG_FILENAME, &options->dma_log,
         "write the DMA calls inside the region to FILE; \"-\" is standard output, before the "
         "report",
         "FILE"},
        {"json", 0, 0, G_OPTION_ARG_NONE, &options->json, "report as one JSON object", NULL},
        {"no-audit", 0, 0, G_OPTION_ARG_NONE, &options->no_audit,
         "do not compare plugged, mapped and resident memory after every request", NULL},
        {"dma-check", 0, 0, G_OPTION_ARG_NONE, &options->dma_check,
         "after every request the device (QEMU's edu or nvme) reads and writes by DMA: plugged "
         "memory has to be "
         "reached, and no other. An nvme disk loses its first 4 KiB",
         NULL},
        {"verbose", 'v', 0, G_OPTION_ARG_NONE, &options->verbose,
         "say which back end was chosen, and why", NULL},
        {G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &options->rest, NULL, "TRACE"},
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);

    g_option_context_set_summary(
        context, "Plays the requests of a trace (QEMU's trace log or plugmap's own format) against "
                 "a virtio-mem device,\nmaps what is plugged, and compares answers, mappings and "
                 "memory after every request.\n\n"
                 "Exit status: 0 right, 1 an answer or a mapping differs, 2 bad input or usage.");
    g_option_context_add_main_entries(context, entries, NULL);
    pm_trace_options_add(&options->trace, context);
    return g_option_context_parse(context, &argc, &argv, error);
}

/* Flags that would do nothing are refused, so that nobody believes they did. */
static bool check_options(const Options *options, bool fake, GError **error)
{
    bool populates = g_strcmp0(options->pin, "populate") == 0;
    const char *complaint = NULL;

    if (options->rest == NULL || options->rest[1] != NULL)
        complaint = "name one trace file (see --help)";
    else if (!fake && options->pin != NULL)
        complaint = "--pin is for the fake kernel: a real one always pins";
    else if (options->prefault < 0 || options->prefault > 64)
        complaint = "--prefault: 0 to 64 threads";
    else if (options->dma_check && options->no_audit)
        complaint = "--dma-check is a part of the audit, which --no-audit leaves out";
    else if (fake && !populates && options->prefault == 0 &&
             g_strcmp0(options->memory, "hugetlb") == 0)
        complaint = "--memory hugetlb: the fake kernel only counts memory, and would ask for no "
                    "hugetlb page: add --pin populate";
    if (complaint == NULL)
        return true;
    g_set_error_literal(error, PM_ERROR, PM_ERROR_INVALID_ARGUMENT, complaint);
    return false;
}

static void log_dma(PmDmaCall call, uint64_t iova, uint64_t size, void *user_data)
{
    Output *output = user_data;

    if (output->dma_log.stream != NULL)
        fprintf(output->dma_log.stream, "%s iova=0x%" PRIx64 " size=0x%" PRIx64 "\n",
                call == PM_DMA_MAP ? "map" : "unmap", iova, size);
}

/* A bar only for replays that take more than a second, ten times a second at most. */
static bool show_progress(guint n_done, guint n_events, void *user_data)
{
    static const char full[] = "##############################";
    static const char empty[] = "..............................";
    Output *output = user_data;
    gint64 now_us = g_get_monotonic_time();
    int filled = (int)((uint64_t)n_done * 30 / n_events);
    g_autofree char *events = NULL;

    if (!output->show_progress || now_us - output->start_us < G_USEC_PER_SEC ||
        now_us - output->shown_us < G_USEC_PER_SEC / 10)
        return true;
    output->shown_us = now_us;
    output->shown = true;
    events = pm_counted(n_events, "event");
    fprintf(stderr, "\r[%.*s%.*s] %u of %s", filled, full, 30 - filled, empty, n_done, events);
    return true;
}

static unsigned terminal_width(void)
{
    struct winsize size;
    const char *columns = g_getenv("COLUMNS");

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    if (columns != NULL)
        return (unsigned)g_ascii_strtoull(columns, NULL, 10);
    return 80;
}

static bool use_colours(void)
{
    const char *no_color = g_getenv("NO_COLOR");

    return isatty(STDOUT_FILENO) && (no_color == NULL || *no_color == '\0');
}

static PmKernel *make_kernel(const PmBackend *backend, int pin, GError **error)
{
    PmFakeConfig config;

    if (!backend->fake)
        return pm_kernel_host_new();

    pm_fake_config_init(&config);
    config.pin = pin == 1 ? PM_FAKE_PIN_POPULATE : PM_FAKE_PIN_ACCOUNT;
    config.iommufd = backend->iommu == PM_IOMMU_IOMMUFD;
    return pm_fake_kernel_new(&config, error);
}

static bool print_report(const Options *options, const char *backend, const PmTrace *trace,
                         const PmReplayResult *result, GError **error)
{
    const PmReportStyle style = {
        .backend = backend,
        .width = terminal_width(),
        .colours = use_colours(),
    };
    g_autofree char *report =
        options->json ? pm_report_json(result, backend) : pm_report_text(trace, result, &style);

    if (fputs(report, stdout) >= 0 && fflush(stdout) == 0)
        return true;
    g_set_error(error, PM_ERROR, PM_ERROR_BAD_INPUT, "standard output: cannot be written: %s",
                g_strerror(errno));
    return false;
}

/* Returns the exit status, or -1 with an error. */
static int replay(const Options *options, GError **error)
{
    static const char *const memories[] = {"anon", "memfd", "hugetlb", NULL};
    static const char *const pins[] = {"account", "populate", NULL};
    static const PmRamKind kinds[] = {PM_RAM_ANONYMOUS, PM_RAM_MEMFD, PM_RAM_HUGETLB_2M};
    g_auto(Output) output = {.start_us = g_get_monotonic_time(),
                             .show_progress = isatty(STDERR_FILENO) && !options->json};
    PmReplayConfig config = {
        .group = 1,
        .audit = !options->no_audit,
        .prefault_threads = (unsigned)options->prefault,
        .dma_func = log_dma,
        .progress = show_progress,
        .user_data = &output,
    };
    g_autoptr(PmTrace) trace = NULL;
    g_autoptr(PmKernel) kernel = NULL;
    g_autoptr(PmReplayResult) result = NULL;
    g_auto(PmBackend) backend = {0};
    int memory;
    int pin;

    if (!pm_backend_choose(&backend, options->backend, options->device, error) ||
        !pm_option_choose("--memory", options->memory, memories, &memory, error) ||
        !pm_option_choose("--pin", options->pin, pins, &pin, error) ||
        !check_options(options, backend.fake, error))
        return -1;
    trace = pm_trace_options_load(&options->trace, options->rest[0], error);
    if (trace == NULL)
        return -1;
    if (options->verbose)
        fprintf(stderr, "plugmap replay: back end %s\n",
                backend.reason != NULL ? backend.reason : backend.name);
    kernel = make_kernel(&backend, pin, error);
    if (kernel == NULL)
        return -1;
    config.kernel = kernel;
    config.backend = backend.iommu;
    config.device = backend.fake && backend.iommu == PM_IOMMU_TYPE1 ? NULL : backend.device;
    config.device_file = backend.device_file;
    if (options->dma_check)
        config.dma_device = backend.device;
    config.fake = backend.fake ? kernel : NULL;
    config.only_counts = backend.fake && pin == 0;
    config.memory = kinds[memory];
    if (options->dma_log != NULL &&
        !pm_output_open(&output.dma_log, options->dma_log, options->rest[0], error))
        return -1;
    result = pm_replay(trace, &config, error);
    if (output.shown)
        fputs("\r\033[K", stderr);
    if (result == NULL ||
        (output.dma_log.stream != NULL && !pm_output_finish(&output.dma_log, error)))
        return -1;
    if (!print_report(options, backend.name, trace, result, error))
        return -1;
    return pm_replay_is_right(result) ? PM_EXIT_OK : PM_EXIT_WRONG;
}

static void print_warning(GLogLevelFlags level, const char *message, void *user_data)
{
    (void)user_data;
    if (level == G_LOG_LEVEL_WARNING)
        fprintf(stderr, "plugmap: %s\n", message);
}

int pm_replay_main(int argc, char **argv)
{
    g_auto(Options) options = {0};
    g_autoptr(GError) error = NULL;
    int status = -1;

    pm_log_set_func(print_warning, NULL);
    if (parse_options(argc, argv, &options, &error))
        status = replay(&options, &error);
    if (status < 0) {
        fprintf(stderr, "plugmap replay: %s\n", error->message);
        return PM_EXIT_USAGE;
    }
    return status;
}
