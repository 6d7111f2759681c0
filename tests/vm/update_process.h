/* SPDX-License-Identifier: MIT */
/* The processes of test_live_update.c that hand over and take over. */
#ifndef PLUGMAP_TESTS_VM_UPDATE_PROCESS_H
#define PLUGMAP_TESTS_VM_UPDATE_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

#include <plugmap/plugmap.h>

#define N_SPACES 2
#define BLOCK    (256 * PM_KIB)
#define N_BLOCKS 64
#define SIZE     (N_BLOCKS * BLOCK)
#define PLAIN    UINT64_C(0x100000)
#define MANAGED  UINT64_C(0x100000000)

/* QEMU's nvme, and its edu, whose transfers take 100 ms. */
extern const char *const update_devices[N_SPACES];

/* What a process answers: the result of its side, then whether it holds. */
#define OWNS     'o'
#define OWNS_NOT 'n'
#define AGREES   'y'

typedef struct {
    PmIommu *iommus[N_SPACES];
    PmRam *plain;
    PmRam *managed;
    PmVirtioMem *device;
    PmMapper *mappers[N_SPACES]; /* of the same RAM */
    int control;                 /* to the test */
    int peer;
} Process;

/* Half of the blocks are plugged; the first byte of each is its number. Exits on failure. */
void update_process_open(Process *process);
void update_process_drop(Process *process);

/* All works: the audits, and unplug and plug. */
bool update_process_works(const Process *process);

/* The first message of the old one has UPDATE_FDS: the devices, the plain and the managed RAM. Each
 * waits for a byte before it begins, reports OWNS or OWNS_NOT, and answers questions until the
 * socket is closed. */
#define UPDATE_FDS (N_SPACES + 2)
void update_process_be_old(Process *process);
void update_process_be_new(Process *process);

#endif
