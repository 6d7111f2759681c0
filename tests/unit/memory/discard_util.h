/* SPDX-License-Identifier: MIT */
/* A discard manager with listeners that keep their own view, log notifications, and fail on
 * demand. */
#ifndef PLUGMAP_TESTS_UNIT_MEMORY_DISCARD_UTIL_H
#define PLUGMAP_TESTS_UNIT_MEMORY_DISCARD_UTIL_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <plugmap/discard_manager.h>
#include <plugmap/size.h>

#define BLOCK       (64 * PM_KIB)
#define N_BLOCKS    32
#define SIZE        (N_BLOCKS * BLOCK)
#define N_LISTENERS 3

/* A listener that tracks what is populated, and fails on demand. */
typedef struct {
    PmDiscardManager *manager;
    PmDiscardSource *source; /* for tests with several */
    PmDiscardListener *handle;
    uint64_t offset;
    uint64_t size;
    bool has[N_BLOCKS];
    GString *log; /* shared by all: "a+3,2" is populate of blocks 3 and 4 for listener a */
    char name;
    int fail_in; /* the n-th next call fails; 0: none */
    PmError fail_with;
    bool refuse_question; /* can_populate returns false */
    bool refuse_discard;  /* can_discard returns false */
} Listener;

typedef struct {
    PmRam *ram;
    PmDiscardManager *manager;
    GString *log;
    Listener listeners[N_LISTENERS];
} Fixture;

/* Mandatory callbacks only, with can_populate, with can_discard, with can_discard and
 * cancel_discard, and with discard_all. */
extern const PmDiscardListenerOps plain_ops;
extern const PmDiscardListenerOps asking_ops;
extern const PmDiscardListenerOps objecting_ops;
extern const PmDiscardListenerOps canceled_ops;
extern const PmDiscardListenerOps all_ops;

/* The callbacks of plain_ops, for tests that make their own operations. */
bool listener_discard(void *user_data, uint64_t offset, uint64_t size, GError **error);

/* A manager of N_BLOCKS blocks, without listeners. */
void fixture_init(Fixture *fixture);
/* Registers listener @index for @n_blocks blocks from block @first. */
bool try_add(Fixture *fixture, unsigned index, const PmDiscardListenerOps *ops, uint64_t first,
             uint64_t n_blocks, GError **error);
void add(Fixture *fixture, unsigned index, const PmDiscardListenerOps *ops, uint64_t first,
         uint64_t n_blocks);
/* Unregisters all listeners, which must have nothing then. */
void fixture_clear(Fixture *fixture);
/* In blocks. */
bool plug(Fixture *fixture, uint64_t first, uint64_t n_blocks);
bool unplug(Fixture *fixture, uint64_t first, uint64_t n_blocks);
/* What the listeners were notified of since the last call. */
void assert_log(Fixture *fixture, const char *expected);
bool is_populated(const Fixture *fixture, uint64_t block);
/* Every registered listener has exactly what is populated in its range. */
void check_views(const Fixture *fixture);
uint64_t resident(const Fixture *fixture);
/* Faults blocks in. */
void touch(Fixture *fixture, uint64_t first, uint64_t n_blocks);

#endif
