/* SPDX-License-Identifier: MIT */
/* Lines of a DMA log. */
#include "fuzz.h"

#include "watch/dma_log.h"

static void check(const PmDmaLogCall *call)
{
    uint64_t last;

    FUZZ_CHECK(call->kind <= PM_DMA_LOG_END && call->error_number >= 0);
    FUZZ_CHECK(call->time_ns >= -1 && call->latency_ns >= -1);
    if ((call->kind == PM_DMA_LOG_MAP || call->kind == PM_DMA_LOG_UNMAP) &&
        call->error_number == 0 && !call->all)
        FUZZ_CHECK(call->size > 0 && !__builtin_add_overflow(call->iova, call->size - 1, &last));
}

static void parse(PmLineReader *reader)
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
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static PmLineReader reader = {.name = "fuzz"};
    g_autofree char *text = g_strndup((const char *)data, size);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    for (char **line = lines; *line != NULL; line++) {
        reader.line++;
        reader.too_long = strlen(*line) > PM_MAX_LINE;
        g_strlcpy(reader.text, *line, sizeof(reader.text));
        parse(&reader);
    }
    return 0;
}
