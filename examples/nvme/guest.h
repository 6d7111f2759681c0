/* SPDX-License-Identifier: MIT */
/* A guest that plugs and unplugs memory while others use it for I/O. */
#ifndef PLUGMAP_EXAMPLES_NVME_GUEST_H
#define PLUGMAP_EXAMPLES_NVME_GUEST_H

#include "world.h"

typedef struct {
    World *world;
    GRand *random;
    GThread *thread;
    bool tracks; /* reads dirty pages */
    gint stopped;
    uint64_t n_plugs;
    uint64_t n_unplugs;
    uint64_t n_busy; /* unplugs of leased blocks */
    uint64_t n_dirty_reads;
    uint64_t n_dirty_pages;
} Guest;

/* Plugs three quarters of the memory. */
void guest_init(Guest *guest, World *world, int seed);

/* An unplug of a leased block must be BUSY, and change nothing; afterwards it must succeed. Exits
 * if not. */
void guest_check_lease(Guest *guest);

/* Tracks dirty pages if the IOMMU can. */
void guest_start(Guest *guest);
void guest_stop(Guest *guest);

#endif
