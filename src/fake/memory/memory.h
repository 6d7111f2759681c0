/* SPDX-License-Identifier: MIT */
/* The process's memory as all mappings share it. */
#ifndef PLUGMAP_SRC_FAKE_MEMORY_MEMORY_H
#define PLUGMAP_SRC_FAKE_MEMORY_MEMORY_H

#include "fake/machine/machine.h"
#include "fake/memory/held_pages.h"

typedef struct {
    PmFakeMachine *machine;
    PmHeldPages *held;       /* NULL unless PM_FAKE_PIN_HOLD */
    GPtrArray *mapped_files; /* of PmMappedFile */
} PmFakeMemory;

/* Errors: pm_held_pages_new()'s. */
bool pm_fake_memory_init(PmFakeMemory *memory, PmFakeMachine *machine, GError **error);
void pm_fake_memory_clear(PmFakeMemory *memory);

#endif
