/* SPDX-License-Identifier: MIT */
/* A discard manager with listeners that keep their own view, write down what they are told, and
 * fail on demand. */
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

/* A listener that keeps its own idea of what is populated, and can be told to fail. */
typedef struct {
    PmDiscardManager *manager;
    PmDiscardListener *handle;
    uint64_t offset;
    uint64_t size;
    bool has[N_BLOCKS];
    GString *log; /* shared by all: «a+3,2» is populate of blocks 3 and 4 for listener a */
    char name;
    int fail_in; /* the n-th call from now on fails; 0: none */
    PmError fail_with;
    bool refuse_question; /* can_populate says no */
    bool refuse_discard;  /* can_discard does */
} Listener;

typedef struct {
    PmRam *ram;
    PmDiscardManager *manager;
    GString *log;
    Listener listeners[N_LISTENERS];
} Fixture;

/* Without, with the question of can_populate, with that of can_discard, and with a call for
 * discard_all. */
extern const PmDiscardListenerOps plain_ops;
extern const PmDiscardListenerOps asking_ops;
extern const PmDiscardListenerOps objecting_ops;
extern const PmDiscardListenerOps all_ops;

/* What plain_ops does, for operations of a test's own. */
bool listener_discard(void *user_data, uint64_t offset, uint64_t size, GError **error);

/* A manager of N_BLOCKS blocks, without listeners. */
void fixture_init(Fixture *fixture);
/* Registers listener @index for @n_blocks blocks from block @first on. */
bool try_add(Fixture *fixture, unsigned index, const PmDiscardListenerOps *ops, uint64_t first,
             uint64_t n_blocks, GError **error);
void add(Fixture *fixture, unsigned index, const PmDiscardListenerOps *ops, uint64_t first,
         uint64_t n_blocks);
/* Unregisters everybody; nobody may have anything then. */
void fixture_clear(Fixture *fixture);
/* In blocks. */
bool plug(Fixture *fixture, uint64_t first, uint64_t n_blocks);
bool unplug(Fixture *fixture, uint64_t first, uint64_t n_blocks);
/* What the listeners were told since the last time. */
void assert_log(Fixture *fixture, const char *expected);
bool is_populated(const Fixture *fixture, uint64_t block);
/* Every registered listener has just what is populated in its range. */
void check_views(const Fixture *fixture);
uint64_t resident(const Fixture *fixture);
/* Faults blocks in. */
void touch(Fixture *fixture, uint64_t first, uint64_t n_blocks);

#endif
