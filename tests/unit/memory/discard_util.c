/* SPDX-License-Identifier: MIT */
#include "discard_util.h"

#include <string.h>

#include "util/source_util.h"

static bool fails_now(Listener *listener, GError **error)
{
    if (listener->fail_in == 0 || --listener->fail_in > 0)
        return false;
    g_set_error(error, PM_ERROR, (gint)listener->fail_with, "listener %c objects", listener->name);
    return true;
}

static void record(Listener *listener, char what, uint64_t offset, uint64_t size)
{
    g_string_append_printf(listener->log, "%c%c%d,%d ", listener->name, what, (int)(offset / BLOCK),
                           (int)(size / BLOCK));
}

static void set_blocks(Listener *listener, uint64_t offset, uint64_t size, bool value)
{
    assert_true(offset % BLOCK == 0 && size % BLOCK == 0 && size > 0);
    assert_true(offset >= listener->offset && offset + size <= listener->offset + listener->size);
    for (uint64_t i = offset / BLOCK; i < (offset + size) / BLOCK; i++) {
        /* Never notified twice. */
        assert_int_equal(listener->has[i], !value);
        listener->has[i] = value;
    }
}

static bool can_populate(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    Listener *listener = user_data;

    record(listener, '?', offset, size);
    if (!listener->refuse_question)
        return true;
    g_set_error(error, PM_ERROR, PM_ERROR_LIMIT, "listener %c has no room", listener->name);
    return false;
}

static bool can_discard(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    Listener *listener = user_data;

    record(listener, '~', offset, size);
    if (!listener->refuse_discard)
        return true;
    g_set_error(error, PM_ERROR, PM_ERROR_BUSY, "I/O is in flight");
    return false;
}

static void cancel_discard(void *user_data, uint64_t offset, uint64_t size)
{
    record(user_data, '!', offset, size);
}

static bool populate(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    Listener *listener = user_data;

    if (fails_now(listener, error))
        return false;
    record(listener, '+', offset, size);
    set_blocks(listener, offset, size, true);
    return true;
}

bool listener_discard(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    Listener *listener = user_data;

    if (fails_now(listener, error))
        return false;
    record(listener, '-', offset, size);
    set_blocks(listener, offset, size, false);
    return true;
}

static bool discard_all(void *user_data, GError **error)
{
    Listener *listener = user_data;

    if (fails_now(listener, error))
        return false;
    g_string_append_printf(listener->log, "%c-all ", listener->name);
    memset(listener->has, 0, sizeof(listener->has));
    return true;
}

const PmDiscardListenerOps plain_ops = {
    .struct_size = sizeof(plain_ops), .populate = populate, .discard = listener_discard};
const PmDiscardListenerOps asking_ops = {.struct_size = sizeof(asking_ops),
                                         .can_populate = can_populate,
                                         .populate = populate,
                                         .discard = listener_discard};
const PmDiscardListenerOps objecting_ops = {.struct_size = sizeof(objecting_ops),
                                            .can_discard = can_discard,
                                            .populate = populate,
                                            .discard = listener_discard};
const PmDiscardListenerOps canceled_ops = {.struct_size = sizeof(canceled_ops),
                                           .can_discard = can_discard,
                                           .populate = populate,
                                           .discard = listener_discard,
                                           .cancel_discard = cancel_discard};
const PmDiscardListenerOps all_ops = {.struct_size = sizeof(all_ops),
                                      .populate = populate,
                                      .discard = listener_discard,
                                      .discard_all = discard_all};

void fixture_init(Fixture *fixture)
{
    memset(fixture, 0, sizeof(*fixture));
    fixture->ram = pm_ram_new(PM_RAM_MEMFD, SIZE, BLOCK, NULL);
    assert_non_null(fixture->ram);
    fixture->manager = manager_with_source(fixture->ram, BLOCK, NULL);
    assert_non_null(fixture->manager);
    fixture->log = g_string_new(NULL);
}

bool try_add(Fixture *fixture, unsigned index, const PmDiscardListenerOps *ops, uint64_t first,
             uint64_t n_blocks, GError **error)
{
    Listener *listener = &fixture->listeners[index];

    listener->manager = fixture->manager;
    listener->log = fixture->log;
    listener->name = (char)('a' + index);
    listener->offset = first * BLOCK;
    listener->size = n_blocks * BLOCK;
    listener->handle =
        pm_discard_manager_register(fixture->manager, ops, listener, "a listener of the test",
                                    listener->offset, listener->size, error);
    return listener->handle != NULL;
}

void add(Fixture *fixture, unsigned index, const PmDiscardListenerOps *ops, uint64_t first,
         uint64_t n_blocks)
{
    assert_true(try_add(fixture, index, ops, first, n_blocks, NULL));
}

void fixture_clear(Fixture *fixture)
{
    for (unsigned i = 0; i < N_LISTENERS; i++) {
        Listener *listener = &fixture->listeners[i];

        listener->fail_in = 0;
        if (listener->handle != NULL)
            assert_true(pm_discard_manager_unregister(fixture->manager, listener->handle, NULL));
        for (unsigned block = 0; block < N_BLOCKS; block++)
            assert_false(listener->has[block]);
    }
    pm_discard_manager_unref(fixture->manager);
    pm_ram_unref(fixture->ram);
    g_string_free(fixture->log, TRUE);
}

bool plug(Fixture *fixture, uint64_t first, uint64_t n_blocks)
{
    return source_populate(fixture->manager, first * BLOCK, n_blocks * BLOCK, 0, NULL);
}

bool unplug(Fixture *fixture, uint64_t first, uint64_t n_blocks)
{
    return source_discard(fixture->manager, first * BLOCK, n_blocks * BLOCK, NULL);
}

void assert_log(Fixture *fixture, const char *expected)
{
    assert_string_equal(fixture->log->str, expected);
    g_string_truncate(fixture->log, 0);
}

bool is_populated(const Fixture *fixture, uint64_t block)
{
    return pm_discard_manager_is_populated(fixture->manager, block * BLOCK, BLOCK);
}

void check_views(const Fixture *fixture)
{
    for (unsigned i = 0; i < N_LISTENERS; i++) {
        const Listener *listener = &fixture->listeners[i];

        if (listener->handle == NULL)
            continue;
        for (uint64_t block = 0; block < N_BLOCKS; block++) {
            bool inside = block * BLOCK >= listener->offset &&
                          block * BLOCK < listener->offset + listener->size;

            assert_int_equal(listener->has[block], inside && is_populated(fixture, block));
        }
    }
}

uint64_t resident(const Fixture *fixture)
{
    uint64_t bytes;

    assert_true(pm_ram_resident(fixture->ram, 0, SIZE, &bytes, NULL));
    return bytes;
}

void touch(Fixture *fixture, uint64_t first, uint64_t n_blocks)
{
    assert_true(pm_ram_populate(fixture->ram, first * BLOCK, n_blocks * BLOCK, 1, NULL));
}
