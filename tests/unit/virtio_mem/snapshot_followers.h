/* SPDX-License-Identifier: MIT */
/* A device to load into, with listeners that track what they have and fail on demand. */
#ifndef PLUGMAP_TESTS_UNIT_VIRTIO_MEM_SNAPSHOT_FOLLOWERS_H
#define PLUGMAP_TESTS_UNIT_VIRTIO_MEM_SNAPSHOT_FOLLOWERS_H

#include "snapshot_util.h"

#define N_FOLLOWERS 3

/* A listener that tracks what it has, block by block. */
typedef struct {
    PmDiscardListener *registration;
    bool has[SMALL_BLOCKS];
    unsigned n_questions;
    unsigned asked_after; /* calls of any follower */
    unsigned n_populates;
    bool refuses;
} Follower;

/* A device with listeners, whose calls can be made to fail by their number. */
typedef struct {
    PmVirtioMem *device;
    Follower followers[N_FOLLOWERS];
} Destination;

/* cmocka runs one test at a time. */
static unsigned n_calls;
static unsigned fail_first;
static unsigned fail_second;

static inline bool call_fails(GError **error)
{
    n_calls++;
    if (n_calls != fail_first && n_calls != fail_second)
        return false;
    g_set_error_literal(error, PM_ERROR, PM_ERROR_LIMIT, "the follower fails");
    return true;
}

static inline bool follow(Follower *follower, uint64_t offset, uint64_t size, bool populate,
                          GError **error)
{
    if (call_fails(error))
        return false;
    for (uint64_t i = offset / SMALL_BLOCK; i < (offset + size) / SMALL_BLOCK; i++) {
        /* What is in quarantine is discarded by everyone. */
        assert_false(populate && follower->has[i]);
        follower->has[i] = populate;
    }
    return true;
}

static inline bool follower_populate(void *user_data, uint64_t offset, uint64_t size,
                                     GError **error)
{
    Follower *follower = user_data;

    follower->n_populates++;
    return follow(follower, offset, size, true, error);
}

static inline bool follower_discard(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    return follow(user_data, offset, size, false, error);
}

static inline bool follower_can_populate(void *user_data, uint64_t offset, uint64_t size,
                                         GError **error)
{
    Follower *follower = user_data;

    (void)offset;
    (void)size;
    follower->n_questions++;
    follower->asked_after = n_calls;
    if (!follower->refuses)
        return true;
    g_set_error_literal(error, PM_ERROR, PM_ERROR_LOCKED_MEMORY, "the follower objects");
    return false;
}

static const PmDiscardListenerOps follower_ops = {
    .struct_size = sizeof(follower_ops),
    .populate = follower_populate,
    .discard = follower_discard,
    .can_populate = follower_can_populate,
};

static inline void add_followers(Destination *to)
{
    for (unsigned i = 0; i < N_FOLLOWERS; i++) {
        Follower *follower = &to->followers[i];

        *follower = (Follower){0};
        follower->registration =
            pm_discard_manager_register(pm_virtio_mem_get_manager(to->device), &follower_ops,
                                        follower, "follower", 0, SMALL_REGION, NULL);
        assert_non_null(follower->registration);
    }
}

static inline void remove_followers(Destination *to)
{
    PmDiscardManager *manager = pm_virtio_mem_get_manager(to->device);

    fail_first = fail_second = 0;
    for (unsigned i = 0; i < N_FOLLOWERS; i++)
        assert_true(pm_discard_manager_unregister(manager, to->followers[i].registration, NULL));
}

static inline Destination *destination_new(PmRamKind kind)
{
    Destination *to = g_new0(Destination, 1);

    n_calls = fail_first = fail_second = 0;
    to->device = small_device(kind);
    add_followers(to);
    return to;
}

static inline void destination_free(Destination *to)
{
    remove_followers(to);
    pm_virtio_mem_free(to->device);
    g_free(to);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Destination, destination_free)

static inline bool is_plugged(const PmVirtioMem *device, uint64_t block)
{
    return pm_discard_manager_is_populated(pm_virtio_mem_get_manager(device), block * SMALL_BLOCK,
                                           SMALL_BLOCK);
}

/* Each follower has what is plugged. */
static inline void check_followers(const Destination *to)
{
    for (unsigned i = 0; i < N_FOLLOWERS; i++)
        for (uint64_t block = 0; block < SMALL_BLOCKS; block++)
            assert_int_equal(to->followers[i].has[block], is_plugged(to->device, block));
}

static inline uint8_t *block_at(const PmVirtioMem *device, uint64_t block)
{
    return (uint8_t *)pm_ram_get_host(ram_of(device)) + block * SMALL_BLOCK;
}

/* As pre-copy does: all blocks have contents, some of which are outdated. */
static inline void fill(const PmVirtioMem *device)
{
    for (uint64_t block = 0; block < SMALL_BLOCKS; block++)
        *block_at(device, block) = (uint8_t)(block + 1);
}

static inline uint64_t resident(const PmVirtioMem *device, uint64_t offset, uint64_t size)
{
    uint64_t bytes;

    assert_true(pm_ram_resident(ram_of(device), offset, size, &bytes, NULL));
    return bytes;
}

#endif
