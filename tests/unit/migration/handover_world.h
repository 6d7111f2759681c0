/* SPDX-License-Identifier: MIT */
/* Both sides of a handover of two address spaces in one process, on one fake kernel: two threads,
 * two mappings of the same memory, and descriptors that have passed a socket. */
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

/* Guest addresses: plain RAM, and RAM with a manager, which has another one in MOVED. */
#define PLAIN         UINT64_C(0x100000)
#define MANAGED       UINT64_C(0x40000000)
#define MANAGED_AGAIN UINT64_C(0x60000000)

/* The mappers: MAIN has one address space, with both regions; MOVED and BESIDE share another one,
 * in which the former has the managed RAM and the latter the plain one. */
enum {
    MAIN,
    MOVED,
    BESIDE,
    N_MAPPERS
};
#define N_SPACES 2

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
    PmIommu *iommus[N_MAPPERS]; /* of each mapper: a reference each */
    PmMapper *mappers[N_MAPPERS];
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
    int devices[N_SPACES];          /* descriptors of the test's own */
    PmDmaEngine *engines[N_SPACES]; /* NULL: no DMA is checked */
    char *view;                     /* the test's own view of the managed RAM */
    unsigned n_dma_checks;          /* done during the handover */
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

/* Ends DMA, whose checks would fail with what a test does to the memory. */
void handover_end_dma(HandoverWorld *world);

/* The two halves; the receiver stops before taking over. */
void handover_send(Side *old, int socket);
GThread *handover_start_sending(HandoverWorld *world);
PmHandover *handover_receive_and_restore(Side *new, int socket);

/* The devices read what the owner has in plugged blocks. */
void handover_check_dma(HandoverWorld *world);

/* Exactly @owner has all: its audits pass, it can plug and unplug; the other one's calls fail. */
void handover_assert_owner(HandoverWorld *world, Side *owner);

/* All mappers of @owner have mapped what is plugged. */
void handover_assert_audits(const Side *owner);

bool handover_is_plugged(unsigned block);

/* @error has this code, and its message contains @words; clears it. */
void handover_assert_error(GError **error, PmError code, const char *words);

#endif
