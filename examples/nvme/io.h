/* SPDX-License-Identifier: MIT */
/* Threads that write to the disk from plugged memory, and read back. */
#ifndef PLUGMAP_EXAMPLES_NVME_IO_H
#define PLUGMAP_EXAMPLES_NVME_IO_H

#include "world.h"

typedef struct {
    uint64_t n_requests;
    uint64_t n_failed;
    uint64_t n_wrong;      /* reads with other data than was written */
    uint64_t n_registered; /* requests straight from or to plugged memory */
    uint64_t n_bounced;
    uint64_t n_bytes;
} IoTotals;

/* Makes the requests, with a thread for each queue pair, and adds up what they did. */
void io_run(World *world, const Options *options, IoTotals *totals);

#endif
