/* SPDX-License-Identifier: MIT */
/* Both sides of a handover in one process, on one fake kernel: two threads, two mappings of the
 * same memory, and descriptors that have passed a socket. */
#ifndef PLUGMAP_TESTS_UNIT_MIGRATION_HANDOVER_WORLD_H
#define PLUGMAP_TESTS_UNIT_MIGRATION_HANDOVER_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <plugmap/discard_manager.h>
#include <plugmap/discard_source.h>
#include <plugmap/fake.h>
#include <plugmap/handover.h>
#include <plugmap/iommu_claim.h>
#include <plugmap/size.h>

#include "dma/engine.h"

#define BLOCK    (64 * PM_KIB)
#define N_BLOCKS 16
#define SIZE     (N_BLOCKS * BLOCK)

/* Guest addresses: plain RAM, and RAM with a manager. */
#define PLAIN   UINT64_C(0x100000)
#define MANAGED UINT64_C(0x40000000)

/* A side's process: forwards calls to the fake kernel until it dies. */
typedef struct {
    PmKernel parent;
    PmKernel *fake;
    int socket;          /* shut down when it dies */
    unsigned n_calls;    /* ioctls so far */
    unsigned dies_after; /* ioctls; 0: never */
    bool is_dead;
    struct HandoverWorld *world;
} Process;

typedef struct {
    Process process;
    PmIommu *iommu;
    PmMapper *mapper;
    PmRam *plain;
    PmRam *managed;
    PmDiscardManager *manager;
    PmDiscardSource *source; /* owned by the manager */
    bool owns;               /* what its function returned */
    GError *error;
} Side;

typedef struct HandoverWorld {
    PmKernel *fake;
    int sockets[2];
    Side old;
    Side new;
    int device; /* a descriptor of the test's own */
    PmDmaEngine *engine;
    char *view;            /* the test's own view of the managed RAM */
    unsigned n_dma_checks; /* done during the handover */
    GMutex lock;
    bool plugs_differently; /* the new side restores another state */
    gpointer user_data;     /* for a test */
} HandoverWorld;

/* For cmocka. Half of the managed blocks are plugged. */
int handover_world_setup(void **state);
int handover_world_teardown(void **state);

HandoverWorld *handover_world_new(void);
void handover_world_free(HandoverWorld *world);

/* Runs both sides to their ends, and closes the sockets. */
void handover_run(HandoverWorld *world);

/* The two halves; the receiver stops before taking over. */
void handover_send(Side *old, int socket);
PmHandover *handover_receive_and_restore(Side *new, int socket);

/* The device reads what the owner has in every plugged block, and no other block. */
void handover_check_dma(HandoverWorld *world);

/* Exactly @owner has it: its audits pass, it can plug and unplug; the other one's calls fail. */
void handover_assert_owner(HandoverWorld *world, Side *owner);

bool handover_is_plugged(unsigned block);

/* @error has this code, and its message contains @words; clears it. */
void handover_assert_error(GError **error, PmError code, const char *words);

#endif
