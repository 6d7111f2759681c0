/* SPDX-License-Identifier: MIT */
/* The steps of test_stack_fuzz.c. */
#ifndef PLUGMAP_TESTS_UNIT_STACK_STACK_FUZZ_STEPS_H
#define PLUGMAP_TESTS_UNIT_STACK_STACK_FUZZ_STEPS_H

#include "stack_fuzz_view.h"

/* May remove remaining faults and plan new ones; sets world->faulty. */
void fuzz_plan_faults(FuzzWorld *world);

/* Describes the current step. */
G_GNUC_PRINTF(2, 3) void fuzz_say(FuzzWorld *world, const char *format, ...);

/*
 * Executes a random step.
 * @before: state before the step.
 * Returns false if it was refused or failed: then only blocks that are now unknown or quarantined
 * may have changed.
 */
bool fuzz_take_step(FuzzWorld *world, const FuzzView *before);

/* The steps. Requests of guests: */
bool fuzz_plug(FuzzWorld *world, const FuzzView *before);
bool fuzz_unplug(FuzzWorld *world, const FuzzView *before);
bool fuzz_unplug_all(FuzzWorld *world, const FuzzView *before);
bool fuzz_reset(FuzzWorld *world, const FuzzView *before);

/* Owners that are added and removed: */
bool fuzz_add_region(FuzzWorld *world, const FuzzView *before);
bool fuzz_remove_region(FuzzWorld *world, const FuzzView *before);
bool fuzz_renew_mapper(FuzzWorld *world, const FuzzView *before);
bool fuzz_new_device(FuzzWorld *world, const FuzzView *before);
bool fuzz_free_device(FuzzWorld *world, const FuzzView *before);
bool fuzz_drop_ram(FuzzWorld *world, const FuzzView *before);
bool fuzz_renew_space(FuzzWorld *world, const FuzzView *before);
bool fuzz_settle(FuzzWorld *world, const FuzzView *before);
bool fuzz_attach(FuzzWorld *world, const FuzzView *before);
bool fuzz_detach(FuzzWorld *world, const FuzzView *before);

/* A user that discards without coordination. */
bool fuzz_inflate(FuzzWorld *world, const FuzzView *before);

/* A child made by fork(2), which uses or frees everything that it inherited. */
bool fuzz_fork(FuzzWorld *world, const FuzzView *before);

#endif
