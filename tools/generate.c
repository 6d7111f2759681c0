/* SPDX-License-Identifier: MIT */
/* plugmap generate: simulates a guest and writes its trace. */
#include <stdio.h>

#include "base/error_text.h"
#include "generate/generate_report.h"
#include "tools/commands.h"
#include "tools/output.h"
#include "tools/print.h"
#include "tools/privileges.h"
#include "tools/trace_options.h"
#include "trace/trace_write.h"

#define DEFAULT_ADDRESS UINT64_C(0x100000000)
#define DEFAULT_BLOCK   (UINT64_C(2) << 20)

/* Of a hundred failed attempts, how many are the last one. */
#define RELEASE 25

typedef struct {
    char *size;
    char *block_size;
    char *address;
    char *memory_block;
    gboolean big_blocks;
    char *resize;
    char *online;
    char *movable;
    char *pressure;
    char *entry_limit;
    char *seed;
    gboolean json;
    char **rest; /* OUTPUT, optionally */
} Options;

static void options_clear(Options *options)
{
    g_free(options->size);
    g_free(options->block_size);
    g_free(options->address);
    g_free(options->memory_block);
    g_free(options->resize);
    g_free(options->online);
    g_free(options->movable);
    g_free(options->pressure);
    g_free(options->entry_limit);
    g_free(options->seed);
    g_strfreev(options->rest);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Options, options_clear)

static const char *get_output(const Options *options)
{
    return options->rest != NULL && !g_str_equal(options->rest[0], "-") ? options->rest[0] : NULL;
}

static bool check_options(const Options *options, GError **error)
{
    const char *complaint = NULL;

    if (options->size == NULL || options->resize == NULL)
        complaint = "expected --size and --resize (see --help)";
    else if (options->rest != NULL && options->rest[1] != NULL)
        complaint = "expected at most one output file (see --help)";
    else if (options->json && get_output(options) == NULL)
        complaint =
            "--json requires an output file for the trace: both would go to standard output";
    return complaint == NULL || pm_fail(error, PM_ERROR_INVALID_ARGUMENT, "%s", complaint);
}

static bool parse_online(const char *text, int64_t *ns, GError **error)
{
    *ns = g_strcmp0(text, "never") == 0 ? PM_ONLINE_NEVER : 0;
    return text == NULL || *ns == PM_ONLINE_NEVER || pm_seconds_parse(text, ns) ||
           pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                   "invalid --online %s: must be 0 to %d seconds, or never", text, PM_MAX_SECONDS);
}

static bool parse_memory(const Options *options, PmGuestMemoryConfig *memory, GError **error)
{
    uint64_t movable = 0;
    uint64_t pressure = 0;
    uint64_t seed = 1;

    if (!pm_option_number("--movable", options->movable, 0, 100, &movable, error) ||
        !pm_option_number("--pressure", options->pressure, 0, 100, &pressure, error) ||
        !pm_option_number("--seed", options->seed, 0, UINT32_MAX, &seed, error) ||
        !parse_online(options->online, &memory->online_ns, error))
        return false;
    memory->movable = (unsigned)movable;
    memory->pressure = (unsigned)pressure;
    memory->release = RELEASE;
    memory->seed = (uint32_t)seed;
    return true;
}

static bool parse_config(const Options *options, PmGenerateConfig *config, GError **error)
{
    PmTraceRegion *region = &config->region;

    region->address = DEFAULT_ADDRESS;
    region->block_size = DEFAULT_BLOCK;
    config->memory_block = PM_GUEST_MEMORY_BLOCK;
    config->has_big_blocks = options->big_blocks;
    config->entry_limit = UINT64_MAX;
    if (!pm_option_number("--size", options->size, 0, UINT64_MAX, &region->size, error) ||
        !pm_option_number("--block-size", options->block_size, 0, UINT64_MAX, &region->block_size,
                          error) ||
        !pm_option_number("--address", options->address, 0, UINT64_MAX, &region->address, error) ||
        !pm_option_number("--memory-block", options->memory_block, 0, UINT64_MAX,
                          &config->memory_block, error) ||
        !pm_option_number("--entry-limit", options->entry_limit, 1, UINT32_MAX,
                          &config->entry_limit, error) ||
        !parse_memory(options, &config->memory, error))
        return false;
    config->steps = pm_steps_parse(options->resize, error);
    return config->steps != NULL;
}

typedef struct {
    PmTrace *trace; /* without events */
    FILE *stream;
} Writer;

static void write_event(const PmTraceEvent *event, void *user_data)
{
    const Writer *writer = user_data;

    pm_trace_write_event(writer->trace, event, writer->stream);
}

static bool write_trace(const PmGenerateConfig *config, FILE *stream, PmGenerateResult *result,
                        GError **error)
{
    g_autoptr(PmTrace) trace = pm_trace_new("");
    Writer writer = {.trace = trace, .stream = stream};

    pm_trace_add_region(trace, config->region);
    pm_trace_write_head(trace, stream);
    return pm_generate(config, write_event, &writer, result, error);
}

static bool generate(const Options *options, PmGenerateConfig *config, PmGenerateResult *result,
                     GError **error)
{
    const char *path = get_output(options);
    const PmNeeds needs = {.outputs = {path}};
    g_auto(PmOutput) output = {0};
    PmGuestGeometry geometry;

    if (!check_options(options, error) || !parse_config(options, config, error) ||
        !pm_generate_config_check(config, &geometry, error))
        return false;
    /* Write errors are reported at the end. */
    return pm_privileges_keep(&needs, error) && pm_output_open(&output, path, NULL, error) &&
           write_trace(config, output.stream, result, error) && pm_output_finish(&output, error);
}

static bool print_report(const PmGenerateReport *report, bool is_json, GError **error)
{
    g_autofree char *text = NULL;

    if (is_json)
        text = pm_generate_report_json(report);
    else if (report->output != NULL)
        text = pm_generate_report_text(report);
    return text == NULL || pm_print(text, error);
}

static int report(const Options *options, const PmGenerateConfig *config,
                  const PmGenerateResult *result, const GError *error)
{
    g_autoptr(GError) failure = NULL;
    const PmGenerateReport report = {
        .version = PLUGMAP_VERSION,
        .exit_status = error != NULL ? pm_exit_status(error) : PM_EXIT_OK,
        .config = error == NULL ? config : NULL,
        .result = error == NULL ? result : NULL,
        .output = error == NULL ? get_output(options) : NULL,
        .error = error,
    };

    if (error != NULL)
        fprintf(stderr, "plugmap generate: %s\n", error->message);
    if (print_report(&report, options->json, &failure))
        return report.exit_status;
    fprintf(stderr, "plugmap generate: %s\n", failure->message);
    return PM_EXIT_USAGE;
}

static int generate_main(int argc, char **argv)
{
    g_auto(Options) options = {0};
    g_auto(PmGenerateResult) result = {0};
    g_autoptr(GError) error = NULL;
    PmGenerateConfig config = {0};
    int status;

    if (pm_command_line_parse(&pm_generate_command, &options, argc, argv, &error))
        (void)generate(&options, &config, &result, &error);
    else
        options.json = pm_json_is_asked_for(argc, argv); /* GLib resets parsed options on errors */
    status = report(&options, &config, &result, error);
    g_clear_pointer(&config.steps, g_array_unref);
    return status;
}

#define MEMBER(name) offsetof(Options, name)

static const PmOption option_list[] = {
    {"size", 0, PM_VALUE_SIZE, MEMBER(size), "SIZE", .help = "size of the region"},
    {"block-size", 0, PM_VALUE_SIZE, MEMBER(block_size), "SIZE",
     .help = "block size of the device (default: 2M)"},
    {"address", 0, PM_VALUE_SIZE, MEMBER(address), "ADDR",
     .help = "guest address of the region (default: 4G)"},
    {"resize", 0, PM_VALUE_TEXT, MEMBER(resize), "STEP,...",
     .help = "SIZE, reset or kexec, each with an optional @SECONDS",
     .detail = "SIZE sets the requested size, reset resets the machine, and kexec boots another "
               "kernel, which unplugs all memory first. A step is @SECONDS after the previous, or "
               "follows when the guest has settled: it has reached the requested size, can do "
               "nothing for it, or has tried again three times"},
    {"entry-limit", 0, PM_VALUE_TEXT, MEMBER(entry_limit), "N",
     .help = "blocks that the host can map (default: no limit)",
     .detail = "PLUG requests past it are BUSY. Replay such a trace with the same --entry-limit, "
               "and with --overcommit"},
    {"seed", 0, PM_VALUE_TEXT, MEMBER(seed), "N",
     .help = "seed for --movable and --pressure (default: 1)"},
    {"json", 0, PM_VALUE_FLAG, MEMBER(json), .help = "print a report in JSON; requires OUTPUT"},
    PM_OPTION_END,
};

static const PmOption guest_list[] = {
    {"memory-block", 0, PM_VALUE_SIZE, MEMBER(memory_block), "SIZE",
     .help = "size of Linux's memory blocks (default: 128M)",
     .detail = "The unit in which Linux adds memory: on x86-64 128M if the guest has less than "
               "64G. The driver logs it when it starts"},
    {"big-blocks", 0, PM_VALUE_FLAG, MEMBER(big_blocks),
     .help = "plug no parts of memory blocks (force_bbm)"},
    {"online", 0, PM_VALUE_TEXT, MEMBER(online), "SECONDS",
     .help = "delay of onlining, or never (default: 0)"},
    {"movable", 0, PM_VALUE_TEXT, MEMBER(movable), "PERCENT",
     .help = "memory blocks in ZONE_MOVABLE (default: 0)",
     .detail = "Everything in them can be unplugged"},
    {"pressure", 0, PM_VALUE_TEXT, MEMBER(pressure), "PERCENT",
     .help = "sub-blocks with pages that do not move (default: 0)",
     .detail = "Only in kernel zones. Each failed attempt to unplug a sub-block moves its pages "
               "with a probability of 1/4"},
    PM_OPTION_END,
};

const PmCommand pm_generate_command = {
    .name = "generate",
    .summary = "simulate a Linux guest and write its trace",
    .arguments = "[OUTPUT]",
    .argument = PM_VALUE_FILE,
    .rest = MEMBER(rest),
    .description =
        {
            "Writes a simulated Linux guest's trace to OUTPUT or standard output.",
            "The trace is in plugmap's own format. The same options result in the same trace.",
            "The requests, their order and the times of retries are those of the virtio_mem "
            "driver of Linux 6.12; the responses are those of the library's device.",
        },
    .groups =
        {
            {"Options", option_list, 0, false},
            {"Guest", guest_list, 0, false},
        },
    .examples =
        {
            {"plugmap generate --size 4G --resize 1G,512M,2G,0 guest.trace", "grow and shrink",
             PM_EXIT_OK},
            {"plugmap generate --size 4G --resize 2G,0 --pressure 5 --seed 7",
             "memory that is in use, to standard output", PM_EXIT_OK},
        },
    .statuses = {PM_EXIT_USAGE, PM_EXIT_NO_ROOM},
    .see_also = {"plugmap-replay(1)", "plugmap-trace(5)"},
    .main = generate_main,
};
