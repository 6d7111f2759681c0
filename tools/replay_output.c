/* SPDX-License-Identifier: MIT */
#include "tools/replay_output.h"

#include "base/error_text.h"
#include "replay/report_svg.h"

typedef struct {
    const char *option;
    const char *path; /* NULL: not given */
    PmOutput *output;
} Named;

/* Standard output may have other names than "-". */
static bool check_shared(const PmReplayOptions *options, const Named *files, size_t n_files,
                         GError **error)
{
    const Named *first = NULL;

    for (size_t i = 0; i < n_files; i++) {
        if (!files[i].output->is_shared)
            continue;
        if (options->json || first != NULL)
            return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                           "%s%s%s and %s %s both write to standard output: write to a file",
                           options->json ? "--json" : first->option, options->json ? "" : " ",
                           options->json ? "" : first->path, files[i].option, files[i].path);
        first = &files[i];
    }
    return true;
}

bool pm_replay_output_open(PmReplayOutput *output, const PmReplayOptions *options, GError **error)
{
    const Named files[] = {
        {"--dma-log", options->dma_log, &output->dma_log},
        {"--report", options->report, &output->page},
        {"--svg", options->svg, &output->picture},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        for (size_t j = 0; j < i; j++)
            if (files[i].path != NULL && g_strcmp0(files[i].path, files[j].path) == 0)
                return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                               "%s and %s both write to %s: choose another file", files[j].option,
                               files[i].option, files[i].path);
        if (files[i].path != NULL &&
            !pm_output_open(files[i].output, files[i].path, options->rest[0], error))
            return false;
    }
    return check_shared(options, files, G_N_ELEMENTS(files), error);
}

bool pm_replay_output_replaces_text(const PmReplayOutput *output, const PmReplayOptions *options)
{
    return output->page.is_shared || output->picture.is_shared ||
           g_strcmp0(options->report, "-") == 0 || g_strcmp0(options->svg, "-") == 0;
}

/* Takes @text. */
static bool write_text(PmOutput *output, char *text, GError **error)
{
    g_autofree char *owned = text;

    fputs(owned, output->stream);
    return pm_output_finish(output, error);
}

bool pm_replay_output_finish(PmReplayOutput *output, const PmJsonReport *report,
                             const PmTimeline *timeline, GError **error)
{
    return (output->dma_log.stream == NULL || report->result->stopped ||
            pm_output_finish(&output->dma_log, error)) &&
           (output->page.stream == NULL ||
            write_text(&output->page, pm_report_html(report, timeline), error)) &&
           (output->picture.stream == NULL ||
            write_text(&output->picture, pm_report_svg(report->trace, report->result, timeline),
                       error));
}

void pm_replay_output_clear(PmReplayOutput *output)
{
    pm_output_clear(&output->dma_log);
    pm_output_clear(&output->page);
    pm_output_clear(&output->picture);
}
