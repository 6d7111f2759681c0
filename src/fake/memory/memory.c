/* SPDX-License-Identifier: MIT */
#include "fake/memory/memory.h"

bool pm_fake_memory_init(PmFakeMemory *memory, PmFakeMachine *machine, GError **error)
{
    *memory = (PmFakeMemory){.machine = machine};
    if (machine->config.pin == PM_FAKE_PIN_HOLD &&
        (memory->held = pm_held_pages_new(error)) == NULL)
        return false;
    memory->mapped_files = g_ptr_array_new();
    return true;
}

void pm_fake_memory_clear(PmFakeMemory *memory)
{
    g_ptr_array_unref(memory->mapped_files);
    pm_held_pages_free(memory->held);
}
