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

/* Nothing of it is leased from now on, and nothing more registered. The lock is held. */
static bool begin_removing(PmBufferRange *range, GError **error)
{
    if (!pm_regions_close(range, pm_all_blocks(range), range->registry->wait_ms, error))
        return false;
    range->is_leaving = true;
    return true;
}

/* The lock is held. */
static void stay(PmBufferRange *range)
{
    range->is_leaving = false;
    pm_regions_reopen(range, pm_all_blocks(range));
    pm_placement_fill(range, pm_all_blocks(range));
}

/* The lock is held. */
static void leave(PmBufferRange *range)
{
    pm_buffer_range_end(range);
    pm_placement_fill_all(range->registry);
}

static bool remove_plain(PmBufferRange *range, GError **error)
{
    PmBufferRegistry *registry = range->registry;
    bool removed;

    pm_registry_lock(registry);
    removed = begin_removing(range, error);
    if (removed) {
        removed = pm_regions_purge(range, error);
        if (removed)
            leave(range);
        else
            stay(range);
    }
    pm_registry_unlock(registry);
    return removed;
}

/* The listener's callbacks take the lock. */
static bool remove_followed(PmBufferRange *range, GError **error)
{
    PmBufferRegistry *registry = range->registry;
    bool removed;

    pm_registry_lock(registry);
    removed = begin_removing(range, error);
    pm_registry_unlock(registry);
    if (!removed)
        return false;
    removed = pm_buffer_range_unfollow(range, error);
    pm_registry_lock(registry);
    if (removed)
        leave(range);
    else
        stay(range);
    pm_registry_unlock(registry);
    return removed;
}

static PmBufferRange *find(PmBufferRegistry *registry, const void *host, uint64_t size,
                           const PmRam *ram, bool is_buffer, GError **error)
{
    PmBufferRange *range;

    pm_registry_lock(registry);
    range = pm_buffer_range_find(registry, host, size);
    pm_registry_unlock(registry);
    if (range != NULL && range->is_buffer == is_buffer && (is_buffer || range->memory.ram == ram))
        return range;
    (void)pm_fail(error, PM_ERROR_NOT_FOUND,
                  "%s: 0x%" PRIx64 " bytes at host address %p were not %s: use the same address "
                  "and size",
                  registry->name, size, host, is_buffer ? "registered" : "added");
    return NULL;
}

static bool remove_range(PmBufferRange *range, GError **error)
{
    if (range == NULL ||
        !(range->manager != NULL ? remove_followed(range, error) : remove_plain(range, error)))
        return false;
    pm_buffer_range_dispose(range);
    return true;
}

bool pm_buffer_registry_remove_ram(PmBufferRegistry *registry, PmRam *ram, uint64_t offset,
                                   uint64_t size, GError **error)
{
    const char *host = pm_ram_get_host(ram);

    return pm_registry_check_process(registry, error) &&
           remove_range(find(registry, host + offset, size, ram, false, error), error);
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

/* The lock is held. A range that was not mapped, or of which this is unknown, is taken out. */
static bool add_buffer(PmBufferRegistry *registry, PmRam *ram, uint64_t size,
                       PmBufferRange **failed, GError **error)
{
    const PmBufferRangeConfig config = {.ram = ram, .size = size, .is_buffer = true};
    PmBufferRange *range = pm_buffer_range_new(registry, &config, error);

    if (range == NULL)
        return false;
    if (map_buffer(range, error))
        return true;
    *failed = range;
    range->is_leaving = true;
    if (pm_regions_purge(range, NULL))
        pm_buffer_range_end(range);
    else
        pm_buffer_range_abandon(range);
    pm_placement_fill_all(registry);
    return false;
}

bool pm_buffer_registry_register(PmBufferRegistry *registry, void *host, uint64_t size, int fd,
                                 uint64_t fd_offset, GError **error)
{
    g_autoptr(PmRam) ram = NULL;
    PmBufferRange *failed = NULL;
    bool added;

    if (!pm_registry_check_process(registry, error) ||
        !check_buffer(registry, host, size, fd, error))
        return false;
    ram = adopt(host, size, fd, fd_offset, error);
    if (ram == NULL)
        return false;
    pm_registry_lock(registry);
    added = add_buffer(registry, ram, size, &failed, error);
    pm_registry_unlock(registry);
    if (failed != NULL)
        pm_buffer_range_dispose(failed);
    return added;
}

bool pm_buffer_registry_unregister(PmBufferRegistry *registry, void *host, uint64_t size,
                                   GError **error)
{
    return pm_registry_check_process(registry, error) &&
           remove_range(find(registry, host, size, NULL, true, error), error);
}

/* --- retrying --- */

static bool retry(PmBufferRange *range, GError **error)
{
    bool settled = pm_regions_settle(range, error);

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
    bool done = true;

    if (!pm_registry_check_process(registry, error))
        return false;
    pm_registry_lock(registry);
    for (guint i = 0; i < registry->ranges->len; i++)
        done &= retry(pm_buffer_range_at(registry, i), done ? error : NULL);
    pm_registry_unlock(registry);
    return done;
}
