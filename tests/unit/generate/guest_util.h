/* SPDX-License-Identifier: MIT */
/* A guest driver on a device of the test, which writes down the requests. */
#ifndef PLUGMAP_TESTS_UNIT_GENERATE_GUEST_UTIL_H
#define PLUGMAP_TESTS_UNIT_GENERATE_GUEST_UTIL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <plugmap/size.h>

#include "generate/guest_driver.h"

#define GUEST_ADDRESS UINT64_C(0x100000000)

/*
 * @requests: "+0/64 -63/1 all ": plug 64 blocks from the first on, unplug the 64th, unplug all.
 * @answers: of the next requests, 'a', 'n', 'b' or 'e'; then 'a'. @change_at: when the requested
 * size becomes @change_to. @extent: of the usable region past the requested size.
 */
typedef struct {
    PmGuestGeometry geometry;
    PmGuestMemory *memory;
    PmGuestDriver *driver;
    GString *requests;
    const char *answers;
    uint64_t size;
    uint64_t extent;
    uint64_t plugged_size;
    uint64_t requested_size;
    int64_t now;
    int64_t change_at;
    uint64_t change_to;
} Guest;

/* Memory blocks of 128M. */
Guest *guest_new(uint64_t size, uint64_t block_size, bool has_big_blocks,
                 const PmGuestMemoryConfig *memory);
void guest_free(Guest *guest);

/* Another driver probes the device. */
void guest_boot(Guest *guest);

/* Runs the work that is queued. */
void guest_work(Guest *guest);

/* Sets the requested size, and runs the driver's work. */
void guest_resize(Guest *guest, uint64_t size);

/* The timer expires, after the expected time; runs the work. */
void guest_wait(Guest *guest, unsigned seconds);

/* Compares the requests since the last call. */
void assert_requests(Guest *guest, const char *expected);

/* Pins pages of blocks, from the first on. */
void guest_pin(Guest *guest, uint64_t first, uint64_t n_blocks);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Guest, guest_free)

#endif
