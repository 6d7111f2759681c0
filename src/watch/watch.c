/* SPDX-License-Identifier: MIT */
#include "watch/watch.h"

#include <inttypes.h>

#include "base/error_text.h"
#include "text/number.h"

PmWatch *pm_watch_new(PmWatchKind kind, const char *file, uint64_t entry_limit, uint64_t memlock)
{
    PmWatch *watch = g_new0(PmWatch, 1);

    watch->kind = kind;
    watch->file = g_strdup(file);
    watch->state = pm_dma_state_new();
    watch->mappings =
        (PmLimit){.what = "mappings",
                  .remedy = "raise vfio_iommu_type1.dma_entry_limit, or use larger blocks",
                  .limit = entry_limit};
    watch->locked = (PmLimit){.what = "locked memory",
                              .remedy = "raise RLIMIT_MEMLOCK (ulimit -l, LimitMEMLOCK=)",
                              .is_size = true,
                              .limit = memlock};
    watch->locked_is_known = true;
    watch->first_ns = -1;
    watch->warnings = g_ptr_array_new_with_free_func(g_free);
    return watch;
}

void pm_watch_free(PmWatch *watch)
{
    if (watch == NULL)
        return;
    pm_dma_state_free(watch->state);
    g_ptr_array_unref(watch->warnings);
    g_free(watch->first_failure);
    g_free(watch->last);
    g_free(watch->file);
    g_free(watch);
}

void pm_watch_warn(PmWatch *watch, char *warning)
{
    watch->n_warnings++;
    if (watch->warned != NULL)
        watch->warned(warning, watch->user_data);
    if (watch->warnings->len < PM_WATCH_MAX_WARNINGS)
        g_ptr_array_add(watch->warnings, warning);
    else
        g_free(warning);
}

/* A damaged log has many. */
void pm_watch_add_bad_line(PmWatch *watch, const GError *error)
{
    watch->n_bad_lines++;
    if (watch->n_bad_lines == PM_WATCH_MAX_BAD_LINES)
        pm_watch_warn(watch,
                      g_strdup_printf("%s; more such lines are only counted", error->message));
    else if (watch->n_bad_lines < PM_WATCH_MAX_BAD_LINES)
        pm_watch_warn(watch, g_strdup(error->message));
}

static void set_limit(PmWatch *watch, PmLimit *limit, uint64_t value)
{
    char *warning = pm_limit_set(limit, watch->has_rate ? watch->time_ns : 0, value);

    if (warning != NULL)
        pm_watch_warn(watch, warning);
}

static void set_limits(PmWatch *watch)
{
    bool counts_blocks = watch->kind == PM_WATCH_QEMU_LOG;
    uint64_t n_blocks = watch->guest.n_blocks;
    uint64_t plugged;

    if (__builtin_mul_overflow(n_blocks, watch->block_size, &plugged))
        plugged = UINT64_MAX; /* the log of a guest, with any addresses */

    watch->locked_is_known = !counts_blocks || watch->block_size != 0 || n_blocks == 0;
    set_limit(watch, &watch->mappings,
              counts_blocks ? n_blocks : pm_dma_state_fullest(watch->state));
    if (watch->locked_is_known)
        set_limit(watch, &watch->locked,
                  counts_blocks ? plugged : pm_dma_state_most_bytes(watch->state));
}

static void set_time(PmWatch *watch, int64_t time_ns)
{
    /* A clock may be set back. */
    if (watch->first_ns < 0 || watch->first_ns > time_ns)
        watch->first_ns = time_ns;
    watch->time_ns = time_ns;
}

void pm_watch_pass(PmWatch *watch, int64_t time_ns)
{
    if (watch->first_ns < 0)
        return;
    watch->time_ns = time_ns;
    set_limits(watch);
}

/* --- DMA calls --- */

static char *describe_call(const PmDmaLogCall *call)
{
    static const char *const names[] = {"", "map", "unmap", "end"};
    g_autofree char *size = pm_text_size(call->size);
    g_autofree char *result = pm_dma_errno_name(call->error_number);

    if (call->kind == PM_DMA_LOG_END)
        return g_strdup_printf("end%s%s", call->space != NULL ? " of " : "",
                               call->space != NULL ? call->space : "");
    if (call->all)
        return g_strdup_printf("unmap of everything: %s", call->error_number == 0 ? "ok" : result);
    return g_strdup_printf("%s of %s at 0x%" PRIx64 ": %s", names[call->kind], size, call->iova,
                           call->error_number == 0 ? "ok" : result);
}

static void note_failure(PmWatch *watch, unsigned line, const char *what)
{
    if (watch->first_failure == NULL)
        watch->first_failure = g_strdup_printf("%s:%u: %s", watch->file, line, what);
}

bool pm_watch_add_call(PmWatch *watch, const PmDmaLogCall *call, int64_t time_ns, GError **error)
{
    g_autofree char *what = NULL;

    if (call->kind == PM_DMA_LOG_NOTHING)
        return true;
    if (!pm_dma_state_apply(watch->state, call, error)) {
        g_prefix_error(error, "%s:%u: ", watch->file, call->line);
        return false;
    }
    set_time(watch, time_ns);
    pm_dma_statistics_add(&watch->calls, call);
    set_limits(watch);
    if (watch->kind == PM_WATCH_TRACE)
        return true;
    watch->n_events++;
    what = describe_call(call);
    if (call->error_number != 0)
        note_failure(watch, call->line, what);
    g_free(watch->last);
    watch->last = g_steal_pointer(&what);
    return true;
}

/* --- requests --- */

void pm_watch_add_event(PmWatch *watch, const PmTraceEvent *event, int64_t time_ns)
{
    set_time(watch, time_ns);
    watch->n_events++;
    pm_watch_guest_add(&watch->guest, event);
    set_limits(watch);
    g_free(watch->last);
    watch->last = pm_watch_guest_describe(event);
    if (pm_watch_guest_is_refused(event))
        note_failure(watch, event->line, watch->last);
}

uint64_t pm_watch_n_mappings(const PmWatch *watch)
{
    return watch->kind == PM_WATCH_QEMU_LOG ? watch->guest.n_blocks
                                            : pm_dma_state_n_mappings(watch->state);
}

const char *pm_watch_verdict(const PmWatch *watch)
{
    if (watch->n_failed_audits > 0 || watch->n_differing > 0)
        return "fail";
    return pm_dma_state_leaks(watch->state)->n_mappings > 0 ? "leak" : "pass";
}

bool pm_watch_passes(const PmWatch *watch)
{
    return g_str_equal(pm_watch_verdict(watch), "pass");
}
