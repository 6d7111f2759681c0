/* SPDX-License-Identifier: MIT */
#include <plugmap/dirty_log.h>

#include <inttypes.h>
#include <pthread.h>

#include <plugmap/size.h>

#include "base/error_text.h"
#include "base/log.h"
#include "base/process.h"
#include "base/sized.h"
#include "iommu/watch.h"
#include "migration/logged_ram.h"
#include "migration/page_bits.h"

#define SMALLEST_PAGE (4 * PM_KIB)

/* An address space of a log, until it is closed. */
typedef struct {
    PmIommuWatch watch;
    PmDirtyLog *log;
    PmIommu *iommu;
    PmIommuDirtyKind kind;
} Space;

struct PmDirtyLog {
    uint64_t process;     /* that made it */
    GPtrArray *rams;      /* of PmLoggedRam */
    pthread_mutex_t lock; /* for @rams, which unmapping threads search and mark */
    GPtrArray *spaces;    /* of Space */
};

static void free_ram(void *logged)
{
    pm_logged_ram_free(logged);
}

PmDirtyLog *pm_dirty_log_new(void)
{
    PmDirtyLog *log = g_new0(PmDirtyLog, 1);

    log->process = pm_process_token();
    log->rams = g_ptr_array_new_with_free_func(free_ram);
    log->spaces = g_ptr_array_new_with_free_func(g_free);
    pthread_mutex_init(&log->lock, NULL);
    return log;
}

/* In a copy, the locks may be held by threads that the child does not have, and the parent maps and
 * plugs without it. */
static bool check_process(const PmDirtyLog *log, GError **error)
{
    return log->process == pm_process_token() ||
           pm_fail(error, PM_ERROR_PERMISSION,
                   "this process was forked from the one that made the dirty log: make another "
                   "one, with memory and address spaces of its own");
}

static PmLoggedRam *find_ram(const PmDirtyLog *log, const PmRam *ram)
{
    for (guint i = 0; i < log->rams->len; i++)
        if (pm_logged_ram_get_ram(log->rams->pdata[i]) == ram)
            return log->rams->pdata[i];
    return NULL;
}

static Space *find_space(const PmDirtyLog *log, const PmIommu *iommu)
{
    for (guint i = 0; i < log->spaces->len; i++) {
        Space *space = log->spaces->pdata[i];

        if (space->iommu == iommu)
            return space;
    }
    return NULL;
}

/* --- address spaces --- */

static void unmapping(void *user_data, const PmRam *ram, PmRamOffset offset, uint64_t size)
{
    PmDirtyLog *log = ((Space *)user_data)->log;
    PmLoggedRam *logged;

    pthread_mutex_lock(&log->lock);
    logged = find_ram(log, ram);
    if (logged != NULL)
        pm_logged_ram_mark(logged, offset, size);
    pthread_mutex_unlock(&log->lock);
}

static void closing(void *user_data)
{
    Space *space = user_data;

    g_ptr_array_remove(space->log->spaces, space);
}

bool pm_dirty_log_add_iommu(PmDirtyLog *log, PmIommu *iommu, GError **error)
{
    Space *space;

    if (!check_process(log, error))
        return false;
    if (find_space(log, iommu) != NULL)
        return pm_fail(error, PM_ERROR_BUSY, "the dirty log already has this address space");
    space = g_new0(Space, 1);
    space->watch = (PmIommuWatch){.unmapping = unmapping, .closing = closing, .user_data = space};
    space->log = log;
    space->iommu = iommu;
    space->kind = pm_iommu_get_dirty_kind(iommu);
    if (!pm_iommu_add_watch(iommu, &space->watch, error)) {
        g_free(space);
        return false;
    }
    g_ptr_array_add(log->spaces, space);
    return true;
}

static bool remove_space(PmDirtyLog *log, Space *space, GError **error)
{
    bool stopped = pm_iommu_remove_watch(space->iommu, &space->watch, error);

    g_ptr_array_remove(log->spaces, space);
    return stopped;
}

bool pm_dirty_log_remove_iommu(PmDirtyLog *log, PmIommu *iommu, GError **error)
{
    Space *space = find_space(log, iommu);

    if (!check_process(log, error))
        return false;
    if (space == NULL)
        return pm_fail(error, PM_ERROR_NOT_FOUND, "the dirty log does not have this address space");
    return remove_space(log, space, error);
}

PmIommuDirtyKind pm_dirty_log_get_kind(const PmDirtyLog *log)
{
    PmIommuDirtyKind kind = PM_IOMMU_DIRTY_TRACKED;

    for (guint i = 0; i < log->spaces->len; i++) {
        const Space *space = log->spaces->pdata[i];

        kind = MIN(kind, space->kind);
    }
    return kind;
}

/* --- RAM --- */

bool pm_dirty_log_add_ram(PmDirtyLog *log, PmRam *ram, GError **error)
{
    PmLoggedRam *logged;

    if (!check_process(log, error))
        return false;
    if (find_ram(log, ram) != NULL)
        return pm_fail(error, PM_ERROR_BUSY, "the dirty log already has the RAM at host address %p",
                       pm_ram_get_host(ram));
    logged = pm_logged_ram_new(ram, error);
    if (logged == NULL)
        return false;
    pthread_mutex_lock(&log->lock);
    g_ptr_array_add(log->rams, logged);
    pthread_mutex_unlock(&log->lock);
    return true;
}

bool pm_dirty_log_remove_ram(PmDirtyLog *log, PmRam *ram, GError **error)
{
    PmLoggedRam *logged = find_ram(log, ram);
    guint index;

    if (!check_process(log, error))
        return false;
    if (logged == NULL)
        return pm_fail(error, PM_ERROR_NOT_FOUND,
                       "the dirty log does not have the RAM at host address %p",
                       pm_ram_get_host(ram));
    (void)g_ptr_array_find(log->rams, logged, &index);
    pthread_mutex_lock(&log->lock);
    (void)g_ptr_array_steal_index(log->rams, index);
    pthread_mutex_unlock(&log->lock);
    pm_logged_ram_free(logged);
    return true;
}

/* The watches first: they use the RAMs. */
void pm_dirty_log_free(PmDirtyLog *log)
{
    if (log == NULL)
        return;
    while (log->spaces->len > 0) {
        Space *space = log->spaces->pdata[log->spaces->len - 1];
        g_autoptr(GError) error = NULL;

        if (!remove_space(log, space, &error))
            pm_log(G_LOG_LEVEL_WARNING, "%s", error->message);
    }
    g_ptr_array_unref(log->spaces);
    g_ptr_array_unref(log->rams);
    pthread_mutex_destroy(&log->lock);
    g_free(log);
}

/* --- reading --- */

/* Bitmaps of one read. */
typedef struct {
    uint64_t page_size;
    uint64_t n_pages;
    uint64_t *changed;
    uint64_t *written; /* by devices */
    bool is_first;
} Reading;

static bool check_page_size(const PmDirtyLog *log, uint64_t page_size, GError **error)
{
    uint64_t smallest = SMALLEST_PAGE;
    g_autofree char *text = NULL;

    for (guint i = 0; i < log->spaces->len; i++) {
        const Space *space = log->spaces->pdata[i];
        uint64_t page_sizes = pm_iommu_get_page_sizes(space->iommu);

        smallest = MAX(smallest, page_sizes & -page_sizes);
    }
    if (page_size >= smallest && (page_size & (page_size - 1)) == 0)
        return true;
    text = pm_size_format(smallest);
    return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                   "invalid page size 0x%" PRIx64 ": must be a power of two, at least %s",
                   page_size, text);
}

static void clear_reading(Reading *reading)
{
    g_free(reading->changed);
    g_free(reading->written);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Reading, clear_reading)

static bool init_reading(Reading *reading, const PmRam *ram, uint64_t page_size, GError **error)
{
    uint64_t n_words;

    reading->page_size = page_size;
    reading->n_pages = (pm_ram_get_size(ram) - 1) / page_size + 1;
    n_words = pm_page_bits_n_words(reading->n_pages);
    reading->changed = g_try_new0(uint64_t, n_words);
    reading->written = g_try_new0(uint64_t, n_words);
    return (reading->changed != NULL && reading->written != NULL) ||
           pm_fail(error, PM_ERROR_MEMORY, "out of memory for the dirty bits of %" PRIu64 " pages",
                   reading->n_pages);
}

static bool read_devices(const PmDirtyLog *log, const PmRam *ram, const Reading *reading,
                         GError **error)
{
    for (guint i = 0; i < log->spaces->len; i++) {
        const Space *space = log->spaces->pdata[i];

        if (!pm_iommu_read_dirty_ram(space->iommu, ram, reading->page_size, reading->written,
                                     error))
            return false;
    }
    return true;
}

static uint64_t count_bits(uint64_t word)
{
    return (uint64_t)__builtin_popcountll(word);
}

static void merge(const Reading *reading, uint64_t *bitmap, PmDirtyLogCounts *counts)
{
    uint64_t *n_changed = reading->is_first ? &counts->n_first : &counts->n_plugged;

    for (uint64_t i = 0; i < pm_page_bits_n_words(reading->n_pages); i++) {
        uint64_t mask = pm_page_bits_mask(reading->n_pages, i);
        uint64_t found = reading->changed[i] | reading->written[i];

        *n_changed += count_bits(reading->changed[i]);
        counts->n_device += count_bits(reading->written[i] & ~reading->changed[i]);
        counts->n_caller += count_bits(bitmap[i] & mask & ~found);
        bitmap[i] |= found;
        counts->n_dirty += count_bits(bitmap[i] & mask);
    }
}

/* After a failure, what changed is read again; what devices wrote is not. */
static bool read_ram(const PmDirtyLog *log, PmLoggedRam *logged, uint64_t page_size,
                     uint64_t *bitmap, PmDirtyLogCounts *counts, GError **error)
{
    const PmRam *ram = pm_logged_ram_get_ram(logged);
    g_auto(Reading) reading = {0};
    bool read;

    if (!init_reading(&reading, ram, page_size, error))
        return false;
    read = read_devices(log, ram, &reading, error);
    if (read)
        reading.is_first = pm_logged_ram_take(logged, page_size, reading.changed);
    pm_logged_ram_clear_discarded(logged, page_size, reading.changed);
    pm_logged_ram_clear_discarded(logged, page_size, reading.written);
    pm_logged_ram_clear_discarded(logged, page_size, bitmap);
    merge(&reading, bitmap, counts);
    return read;
}

bool pm_dirty_log_read(PmDirtyLog *log, PmRam *ram, uint64_t page_size, uint64_t *bitmap,
                       PmDirtyLogCounts *counts, GError **error)
{
    PmDirtyLogCounts found = {.struct_size = sizeof(found)};
    PmLoggedRam *logged = find_ram(log, ram);

    if (!check_process(log, error))
        return false;
    if (logged == NULL)
        return pm_fail(error, PM_ERROR_NOT_FOUND,
                       "the dirty log does not have the RAM at host address %p: add it first",
                       pm_ram_get_host(ram));
    if ((counts != NULL && !pm_sized_check("PmDirtyLogCounts", counts, error)) ||
        !check_page_size(log, page_size, error) ||
        !read_ram(log, logged, page_size, bitmap, &found, error))
        return false;
    if (counts != NULL)
        pm_sized_write(counts, &found, sizeof(found));
    return true;
}
