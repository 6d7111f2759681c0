/* SPDX-License-Identifier: MIT */
/* Collects what is in quarantine from the records, the listeners and the orphans. */
#include <inttypes.h>

#include <plugmap/size.h>

#include "base/error_private.h"
#include "base/error_text.h"
#include "base/log.h"
#include "base/probes.h"
#include "memory/discard_manager_private.h"
#include "memory/ram_private.h"

/* The last sentence of a message: how to end the quarantine. */
#define BY_RESET                                                                                   \
    "Reset the machine (pm_virtio_mem_system_reset()) or have the guest unplug all of it"
#define BY_SETTLING                                                                                \
    "Reset the machine (pm_virtio_mem_system_reset()), have the guest unplug all of it, or "       \
    "settle the address space (pm_iommu_settle())"
#define BY_THE_HOST "They stay there until the host frees the memory; every request retries it"

/* Instead of a listener's name. */
#define THE_HOST "the host"

typedef struct {
    uint64_t offset;
    uint64_t size;
    const char *way_out;
    char *listener;
    char *reason;
} Found;

static void found_clear(Found *found)
{
    g_free(found->listener);
    g_free(found->reason);
    *found = (Found){0};
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Found, found_clear)

/* Keeps the run with the lower offset. */
static void keep_first(Found *best, Found *other)
{
    if (best->size == 0 || other->offset < best->offset) {
        found_clear(best);
        *best = *other;
    } else {
        found_clear(other);
    }
}

static void look_into_records(const PmQuarantine *quarantine, uint64_t offset, bool texts,
                              const char *way_out, Found *best)
{
    const char *listener;
    const char *reason;
    Found found = {.way_out = way_out};

    if (!pm_quarantine_next_run(quarantine, offset, &found.offset, &found.size, &listener, &reason))
        return;
    found.listener = texts ? g_strdup(listener) : NULL;
    found.reason = texts ? g_strdup(reason) : NULL;
    keep_first(best, &found);
}

static void ask_listeners(const GPtrArray *listeners, uint64_t offset, bool texts,
                          const char *way_out, Found *best)
{
    for (guint i = 0; i < listeners->len; i++) {
        const PmDiscardListener *listener = g_ptr_array_index(listeners, i);
        Found found = {.way_out = way_out};

        if (!pm_discard_listener_next_unknown(listener, offset, &found.offset, &found.size,
                                              texts ? &found.reason : NULL))
            continue;
        found.listener = texts ? g_strdup(listener->name) : NULL;
        keep_first(best, &found);
    }
}

/* @texts: return names and reasons. @stuck: include blocks that are only stuck. */
static bool find(const PmDiscardManager *manager, uint64_t offset, bool texts, bool stuck,
                 Found *found)
{
    look_into_records(manager->blocks.lost, offset, texts, BY_RESET, found);
    ask_listeners(manager->listeners, offset, texts, BY_RESET, found);
    ask_listeners(manager->orphans, offset, texts, BY_SETTLING, found);
    if (stuck)
        look_into_records(manager->blocks.stuck, offset, texts, BY_THE_HOST, found);
    return found->size != 0;
}

bool pm_discard_manager_next_quarantined(const PmDiscardManager *manager, uint64_t offset,
                                         uint64_t *run_offset, uint64_t *run_size, char **listener,
                                         char **reason)
{
    g_auto(Found) found = {0};

    if (!find(manager, offset, true, true, &found))
        return false;
    *run_offset = found.offset;
    *run_size = found.size;
    if (listener != NULL)
        *listener = g_steal_pointer(&found.listener);
    if (reason != NULL)
        *reason = g_steal_pointer(&found.reason);
    return true;
}

uint64_t pm_discard_manager_get_quarantined(const PmDiscardManager *manager)
{
    uint64_t n_bytes = 0;
    Found found = {0};

    while (find(manager, found.offset + found.size, false, true, &found)) {
        n_bytes += found.size;
        found = (Found){.offset = found.offset + found.size};
    }
    return n_bytes;
}

uint64_t pm_manager_next_quarantined(const PmDiscardManager *manager, uint64_t offset, uint64_t end)
{
    Found found = {0};

    return find(manager, offset, false, true, &found) ? MIN(found.offset, end) : end;
}

bool pm_manager_check_no_quarantine(const PmDiscardManager *manager, uint64_t offset, uint64_t end,
                                    GError **error)
{
    g_auto(Found) found = {0};

    if (pm_manager_next_quarantined(manager, offset, end) == end)
        return true;
    (void)find(manager, offset, true, true, &found);
    (void)pm_fail(error, PM_ERROR_QUARANTINED,
                  "0x%" PRIx64 " bytes at offset 0x%" PRIx64
                  " are in quarantine because of %s: %s. %s",
                  found.size, found.offset, found.listener, found.reason, found.way_out);
    if (error != NULL && !g_str_equal(found.listener, THE_HOST))
        pm_error_set_listener(*error, found.listener);
    return false;
}

/* --- failures --- */

/* Takes @cause. Returns false. */
static bool pass_on(GError *cause, GError **error)
{
    g_propagate_error(error, cause);
    return false;
}

/* @first: the first run in quarantine. Takes @cause. Returns false. */
static bool fail_quarantined(const PmDiscardManager *manager, const Found *first, GError *cause,
                             GError **error)
{
    uint64_t n_bytes = pm_discard_manager_get_quarantined(manager);
    g_autofree char *size_text = pm_size_format(n_bytes);

    pm_reword(cause, PM_ERROR_QUARANTINED,
              "%s; rollback failed as well: %s of the RAM are in quarantine. %s", cause->message,
              size_text, first->way_out);
    PM_PROBE(quarantine, manager, first->offset, n_bytes, cause->message);
    pm_log(G_LOG_LEVEL_WARNING, "%s", cause->message);
    return pass_on(cause, error);
}

bool pm_manager_conclude_range(const PmDiscardManager *manager, uint64_t offset, uint64_t size,
                               GError *cause, GError **error)
{
    Found first = {0};

    PM_PROBE(rollback, manager, offset, size, cause->message);
    if (!find(manager, offset, false, true, &first) || first.offset >= offset + size)
        return pass_on(cause, error);
    return fail_quarantined(manager, &first, cause, error);
}

/* Comparing sizes is not enough: some blocks may have left quarantine while others entered. */
static bool has_lost(const PmDiscardManager *manager, uint64_t n_losses,
                     const PmDiscardListener *failed, const GError *cause)
{
    return pm_quarantine_n_added(manager->blocks.lost) != n_losses ||
           (failed != NULL && !pm_discard_listener_knows_all(failed)) ||
           g_error_matches(cause, PM_ERROR, PM_ERROR_QUARANTINED) ||
           g_error_matches(cause, PM_ERROR, PM_ERROR_UNMAP_MISMATCH);
}

bool pm_manager_conclude_all(const PmDiscardManager *manager, uint64_t n_losses,
                             const PmDiscardListener *failed, GError *cause, GError **error)
{
    Found first = {0};

    if (!has_lost(manager, n_losses, failed, cause) || !find(manager, 0, false, true, &first))
        return pass_on(cause, error);
    return fail_quarantined(manager, &first, cause, error);
}

bool pm_manager_conclude_discard_all(PmDiscardManager *manager, uint64_t n_losses,
                                     const PmDiscardListener *failed, GError *cause, GError **error)
{
    bool lost = has_lost(manager, n_losses, failed, cause);
    Found first = {0};

    PM_PROBE(rollback, manager, (uint64_t)0, manager->blocks.size, cause->message);
    pm_manager_refresh(manager); /* may free @failed */
    if (find(manager, 0, false, true, &first))
        return lost ? fail_quarantined(manager, &first, cause, error) : pass_on(cause, error);
    if (g_error_matches(cause, PM_ERROR, PM_ERROR_QUARANTINED))
        cause->code = pm_error_get_listener(cause) != NULL ? PM_ERROR_LISTENER : PM_ERROR_MEMORY;
    return pass_on(cause, error);
}

void pm_manager_lose(PmDiscardManager *manager, uint64_t offset, uint64_t size,
                     const GError *failure)
{
    pm_quarantine_add(manager->blocks.lost, offset, size, NULL, THE_HOST, failure->message);
}

void pm_manager_lose_contents(PmDiscardManager *manager, uint64_t offset, uint64_t size,
                              const GError *failure)
{
    if (g_error_matches(failure, PM_ERROR, PM_ERROR_QUARANTINED))
        pm_manager_lose(manager, offset, size, failure);
}

/* --- memory that must be freed --- */

/* The first byte at or after @offset that a listener may have mapped, or @end. */
static uint64_t next_held(const PmDiscardManager *manager, uint64_t offset, uint64_t end)
{
    Found found = {0};

    return find(manager, offset, false, false, &found) ? MIN(found.offset, end) : end;
}

static uint64_t held_until(const PmDiscardManager *manager, uint64_t offset, uint64_t end)
{
    Found found = {0};

    while (offset < end && find(manager, offset, false, false, &found) && found.offset == offset) {
        offset += found.size;
        found = (Found){0};
    }
    return MIN(offset, end);
}

static void add_failure(GError *cause, const GError *failure)
{
    g_autofree char *before = NULL;

    if (cause == NULL)
        return;
    before = cause->message;
    cause->message = g_strdup_printf("%s; afterwards: %s", before, failure->message);
}

void pm_manager_give_back(PmDiscardManager *manager, uint64_t offset, uint64_t size, GError *cause)
{
    PmQuarantine *stuck = manager->blocks.stuck;
    uint64_t end = offset + size;

    while (offset < end) {
        uint64_t free_end = next_held(manager, offset, end);
        uint64_t held_end = held_until(manager, free_end, end);
        g_autoptr(GError) failure = NULL;

        if (free_end > offset &&
            !pm_ram_discard_coordinated(manager->ram, offset, free_end - offset, &failure)) {
            pm_quarantine_add(stuck, offset, free_end - offset, NULL, THE_HOST, failure->message);
            add_failure(cause, failure);
        }
        if (held_end > free_end)
            pm_quarantine_add(stuck, free_end, held_end - free_end, NULL, THE_HOST,
                              "its memory is not freed while it may be mapped");
        offset = held_end;
    }
}

/* Only what no listener may have mapped any more. */
static void retry_stuck(PmDiscardManager *manager)
{
    PmQuarantine *stuck = manager->blocks.stuck;
    uint64_t size = manager->blocks.size;
    uint64_t offset = 0;

    if (pm_quarantine_n_bytes(stuck) == 0)
        return;
    while ((offset = pm_quarantine_next(stuck, offset, size)) < size) {
        uint64_t end = pm_quarantine_next_free(stuck, offset, size);
        uint64_t free_end = next_held(manager, offset, end);

        if (free_end == offset) {
            offset = held_until(manager, offset, end);
            continue;
        }
        if (pm_ram_discard_coordinated(manager->ram, offset, free_end - offset, NULL))
            pm_quarantine_remove(stuck, offset, free_end - offset);
        offset = free_end;
    }
}

/* --- orphans --- */

/* What a listener without @next_unknown has lost stays in quarantine until everything is
 * discarded. */
static void forget_losses(PmDiscardManager *manager, const PmDiscardListener *orphan)
{
    if (orphan->ops.next_unknown != NULL)
        pm_quarantine_remove_owner(manager->blocks.lost, orphan);
    else
        pm_quarantine_disown(manager->blocks.lost, orphan);
}

void pm_manager_refresh(PmDiscardManager *manager)
{
    for (guint i = manager->orphans->len; i-- > 0;) {
        const PmDiscardListener *orphan = g_ptr_array_index(manager->orphans, i);

        if (!pm_discard_listener_knows_all(orphan))
            continue;
        forget_losses(manager, orphan);
        g_ptr_array_remove_index(manager->orphans, i);
    }
    retry_stuck(manager);
}
