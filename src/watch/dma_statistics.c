/* SPDX-License-Identifier: MIT */
#include "watch/dma_statistics.h"

#include <string.h>

#include "base/error_text.h"

void pm_dma_statistics_add(PmDmaStatistics *statistics, const PmDmaLogCall *call)
{
    PmDmaCallStatistics *calls =
        call->kind == PM_DMA_LOG_MAP ? &statistics->map : &statistics->unmap;

    if (call->kind != PM_DMA_LOG_MAP && call->kind != PM_DMA_LOG_UNMAP)
        return;
    calls->n_calls++;
    calls->n_failed += call->error_number != 0;
    calls->n_of_errno[call->error_number]++;
    if (call->latency_ns >= 0)
        pm_latency_add(&calls->latency, (uint64_t)call->latency_ns);
    if (call->kind == PM_DMA_LOG_MAP && call->error_number == 0)
        statistics->n_of_size[63 - __builtin_clzll(call->size)]++;
}

char *pm_dma_errno_name(int error_number)
{
    const char *name = strerrorname_np(error_number);

    return name != NULL ? g_strdup(name) : g_strdup_printf("errno %d", error_number);
}

/* The most frequent errno that is rarer than @than, or as rare and after it; 0: none. */
static int next_errno(const uint64_t *n_of_errno, int than)
{
    int found = 0;

    for (int i = 1; i <= PM_DMA_LOG_MAX_ERRNO; i++) {
        bool is_later = than == 0 || n_of_errno[i] < n_of_errno[than] ||
                        (n_of_errno[i] == n_of_errno[than] && i > than);

        if (n_of_errno[i] > 0 && is_later && (found == 0 || n_of_errno[i] > n_of_errno[found]))
            found = i;
    }
    return found;
}

char *pm_dma_statistics_errors(const PmDmaCallStatistics *calls)
{
    GString *text = g_string_new(NULL);

    for (int i = next_errno(calls->n_of_errno, 0); i != 0; i = next_errno(calls->n_of_errno, i)) {
        g_autofree char *count = pm_count_text(calls->n_of_errno[i]);
        g_autofree char *name = pm_dma_errno_name(i);

        g_string_append_printf(text, "%s%s %s", text->len > 0 ? ", " : "", count, name);
    }
    return g_string_free(text, FALSE);
}
