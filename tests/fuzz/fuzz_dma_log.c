/* SPDX-License-Identifier: MIT */
/* Lines of a DMA log, and what they leave mapped. */
#include "fuzz.h"

#include "watch/dma_state.h"

static void check(const PmDmaLogCall *call)
{
    uint64_t last;

    FUZZ_CHECK(call->kind <= PM_DMA_LOG_END && call->error_number >= 0);
    FUZZ_CHECK(call->time_ns >= -1 && call->latency_ns >= -1);
    if ((call->kind == PM_DMA_LOG_MAP || call->kind == PM_DMA_LOG_UNMAP) &&
        call->error_number == 0 && !call->all)
        FUZZ_CHECK(call->size > 0 && !__builtin_add_overflow(call->iova, call->size - 1, &last));
}

/* The sums are those of the address spaces. */
static void check_state(PmDmaState *state)
{
    uint64_t n_mappings = 0;
    uint64_t fullest = 0;
    const PmDmaSpace *space;

    for (unsigned i = 0; (space = pm_dma_state_space(state, i)) != NULL; i++) {
        n_mappings += space->n_mappings;
        fullest = MAX(fullest, space->n_mappings);
        FUZZ_CHECK(space->n_mappings <= space->peak_mappings &&
                   space->n_bytes >= space->n_mappings);
        FUZZ_CHECK(!space->ended || space->n_mappings == 0);
    }
    FUZZ_CHECK(pm_dma_state_n_mappings(state) == n_mappings);
    FUZZ_CHECK(pm_dma_state_fullest(state) == fullest);
    FUZZ_CHECK(pm_dma_state_runs(state).n_runs <= n_mappings);
}

static void parse(PmLineReader *reader, PmDmaState *state)
{
    PmDmaLogCall call;
    g_autoptr(GError) error = NULL;
    bool is_line = pm_dma_log_is_line(reader->text);
    bool parsed = pm_dma_log_parse(reader, &call, &error);

    FUZZ_CHECK_RESULT(parsed, error);
    if (!parsed)
        return;
    check(&call);
    FUZZ_CHECK(is_line == (call.kind != PM_DMA_LOG_NOTHING));
    parsed = pm_dma_state_apply(state, &call, &error);
    FUZZ_CHECK_RESULT(parsed, error);
    check_state(state);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(PmDmaState) state = pm_dma_state_new();
    static PmLineReader reader = {.name = "fuzz"};
    g_autofree char *text = g_strndup((const char *)data, size);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    for (char **line = lines; *line != NULL; line++) {
        reader.line++;
        reader.too_long = strlen(*line) > PM_MAX_LINE;
        g_strlcpy(reader.text, *line, sizeof(reader.text));
        parse(&reader, state);
    }
    return 0;
}
