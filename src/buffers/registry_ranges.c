/* SPDX-License-Identifier: MIT */
/* Adds and removes memory. */
#include <inttypes.h>
#include <unistd.h>

#include <plugmap/size.h>

#include "base/error_text.h"
#include "buffers/buffer_listener.h"
#include "buffers/placement.h"
#include "buffers/range_end.h"
#include "buffers/regions.h"

/* --- adding --- */

/* The listener still reports what a failed attempt to follow has left. The lock is not held. */
static void stop_adding(PmBufferRange *range)
{
    PmBufferRegistry *registry = range->registry;

    pm_registry_lock(registry);
    if (pm_regions_find(range, 0) != NULL)
        pm_buffer_range_abandon(range);
    else
        pm_buffer_range_end(range);
    pm_registry_unlock(registry);
    pm_buffer_range_dispose(range);
}

bool pm_buffer_registry_add_ram(PmBufferRegistry *registry, PmRam *ram, uint64_t offset,
                                uint64_t size, GError **error)
{
    const PmBufferRangeConfig config = {.ram = ram, .offset = offset, .size = size};
    PmBufferRange *range;

    if (!pm_registry_check_process(registry, error))
        return false;
    pm_registry_lock(registry);
    range = pm_buffer_range_new(registry, &config, error);
    if (range != NULL && range->manager == NULL)
        pm_placement_fill(range, pm_all_blocks(range));
    pm_registry_unlock(registry);
    if (range == NULL)
        return false;
    if (range->manager == NULL || pm_buffer_range_follow(range, error))
        return true;
    stop_adding(range);
    return false;
}

/* --- removing --- */

/* What to remove: a buffer has no @ram. */
typedef struct {
    const void *host;
    uint64_t size;
    const PmRam *ram;
} Removal;

static bool is_meant(const PmBufferRange *range, const Removal *removal)
{
    return range->is_buffer ? removal->ram == NULL : removal->ram == range->memory.ram;
}

/* The lock is held. */
static PmBufferRange *find(const PmBufferRegistry *registry, const Removal *removal, GError **error)
{
    PmBufferRange *range = pm_buffer_range_find(registry, removal->host, removal->size);

    if (range == NULL || range->has_failed || !is_meant(range, removal)) {
        (void)pm_fail(error, PM_ERROR_NOT_FOUND,
                      "%s: 0x%" PRIx64 " bytes at host address %p were not %s: use the same "
                      "address and size",
                      registry->name, removal->size, removal->host,
                      removal->ram == NULL ? "registered" : "added");
        return NULL;
    }
    if (!range->is_leaving)
        return range;
    (void)pm_fail(error, PM_ERROR_BUSY,
                  "%s: another thread is removing the 0x%" PRIx64 " bytes at host address %p",
                  registry->name, removal->size, removal->host);
    return NULL;
}

/* Nothing of it is leased from now on, and nothing more registered. The lock is held, but not while
 * it waits. */
static bool begin_removing(PmBufferRange *range, GError **error)
{
    range->is_leaving = true;
    if (pm_regions_close_and_wait(range, pm_all_blocks(range), error))
        return true;
    g_prefix_error(error, "%s: ", range->memory.owner);
    range->is_leaving = false;
    pm_placement_fill(range, pm_all_blocks(range));
    return false;
}

/* The lock is held, but not while a manager calls its listener. */
static bool empty(PmBufferRange *range, GError **error)
{
    bool emptied;

    if (range->manager == NULL)
        return pm_regions_purge(range, error);
    pm_registry_unlock(range->registry);
    emptied = pm_buffer_range_unfollow(range, error);
    pm_registry_lock(range->registry);
    return emptied;
}

/* The lock is held. */
static bool empty_and_end(PmBufferRange *range, GError **error)
{
    if (empty(range, error)) {
        pm_buffer_range_end(range);
        pm_placement_fill_all(range->registry);
        return true;
    }
    range->is_leaving = false;
    pm_regions_reopen(range, pm_all_blocks(range));
    pm_placement_fill(range, pm_all_blocks(range));
    return false;
}

static bool remove_range(PmBufferRegistry *registry, const Removal *removal, GError **error)
{
    PmBufferRange *range;
    bool removed;

    if (!pm_registry_check_process(registry, error))
        return false;
    pm_registry_lock(registry);
    range = find(registry, removal, error);
    removed = range != NULL && begin_removing(range, error) && empty_and_end(range, error);
    pm_registry_unlock(registry);
    if (removed)
        pm_buffer_range_dispose(range);
    return removed;
}

bool pm_buffer_registry_remove_ram(PmBufferRegistry *registry, PmRam *ram, uint64_t offset,
                                   uint64_t size, GError **error)
{
    const Removal removal = {(char *)pm_ram_get_host(ram) + offset, size, ram};

    return remove_range(registry, &removal, error);
}

/* --- buffers --- */

static bool check_buffer(const PmBufferRegistry *registry, const void *host, uint64_t size, int fd,
                         GError **error)
{
    if (size == 0 || (uint64_t)(uintptr_t)host > UINT64_MAX - size)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "%s: invalid buffer of 0x%" PRIx64
                       " bytes at host address %p: must not be empty, or end past the last address",
                       registry->name, size, host);
    if (fd < 0 && (registry->backend->flags & PM_BUFFER_NEEDS_FD) != 0)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "%s: the back end needs a file for the buffer at host address %p: map it "
                       "from a memfd, and pass its descriptor",
                       registry->name, host);
    return true;
}

static PmRam *adopt(void *host, uint64_t size, int fd, uint64_t fd_offset, GError **error)
{
    const PmRamAdoption adoption = {
        .struct_size = sizeof(adoption),
        .host = host,
        .size = size,
        .has_fd = fd >= 0,
        .fd = fd,
        .fd_offset = fd_offset,
        .shared = fd >= 0,
    };

    return pm_ram_adopt(&adoption, error);
}

/* The lock is held. */
static bool map_buffer(PmBufferRange *range, GError **error)
{
    if (!pm_placement_force_room(range))
        return pm_placement_fail_full(range, error);
    return pm_regions_map(range, pm_all_blocks(range), error);
}

/* Ends a buffer that failed to register, if it is not registered. The lock is held. */
static bool end_failed(PmBufferRange *range, GError **error)
{
    if (!pm_regions_purge(range, error))
        return false;
    pm_buffer_range_end(range);
    pm_buffer_range_dispose(range);
    return true;
}

/* Those that were unknown. The lock is held. */
static bool end_all_failed(PmBufferRegistry *registry, GError **error)
{
    bool ended = true;

    for (guint i = registry->ranges->len; i-- > 0;) {
        PmBufferRange *range = pm_buffer_range_at(registry, i);

        if (range->has_failed)
            ended &= end_failed(range, ended ? error : NULL);
    }
    return ended;
}

/* The lock is held. One of which it is unknown whether it was mapped stays, to be unmapped later.
 */
static bool add_buffer(PmBufferRegistry *registry, PmRam *ram, GError **error)
{
    const PmBufferRangeConfig config = {
        .ram = ram, .size = pm_ram_get_size(ram), .is_buffer = true};
    PmBufferRange *range;

    (void)end_all_failed(registry, NULL);
    range = pm_buffer_range_new(registry, &config, error);
    if (range == NULL)
        return false;
    if (map_buffer(range, error))
        return true;
    range->is_leaving = range->has_failed = true;
    (void)end_failed(range, NULL);
    pm_placement_fill_all(registry);
    return false;
}

bool pm_registry_register(PmBufferRegistry *registry, PmRam *ram, GError **error)
{
    bool added;

    pm_registry_lock(registry);
    added = add_buffer(registry, ram, error);
    pm_registry_unlock(registry);
    return added;
}

bool pm_buffer_registry_register(PmBufferRegistry *registry, void *host, uint64_t size, int fd,
                                 uint64_t fd_offset, GError **error)
{
    g_autoptr(PmRam) ram = NULL;

    if (!pm_registry_check_process(registry, error) ||
        !check_buffer(registry, host, size, fd, error))
        return false;
    ram = adopt(host, size, fd, fd_offset, error);
    return ram != NULL && pm_registry_register(registry, ram, error);
}

bool pm_buffer_registry_unregister(PmBufferRegistry *registry, void *host, uint64_t size,
                                   GError **error)
{
    const Removal removal = {host, size, NULL};

    return remove_range(registry, &removal, error);
}

/* --- retrying --- */

static bool settle(PmBufferRange *range, GError **error)
{
    if (range->n_unknown == 0)
        return true;
    if (range->is_leaving || pm_bitmap_n_set(range->closing) > 0)
        return pm_fail(error, PM_ERROR_BUSY,
                       "%s: other memory at host address %p is about to be discarded or removed: "
                       "try again later",
                       range->memory.owner, (void *)range->host);
    return pm_regions_settle(range, error);
}

static bool retry(PmBufferRange *range, GError **error)
{
    bool settled = settle(range, error);

    pm_placement_fill(range, pm_all_blocks(range));
    if (pm_buffer_range_n_refused(range) == 0)
        return settled;
    if (settled && error != NULL)
        *error = range->refusal != NULL ? g_error_copy(range->refusal) : NULL;
    if (settled && error != NULL && *error == NULL)
        (void)pm_placement_fail_full(range, error);
    return false;
}

bool pm_buffer_registry_retry(PmBufferRegistry *registry, GError **error)
{
    bool done;

    if (!pm_registry_check_process(registry, error))
        return false;
    pm_registry_lock(registry);
    done = end_all_failed(registry, error);
    for (guint i = 0; i < registry->ranges->len; i++)
        done &= retry(pm_buffer_range_at(registry, i), done ? error : NULL);
    pm_registry_unlock(registry);
    return done;
}
