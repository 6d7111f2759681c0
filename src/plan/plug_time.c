/* SPDX-License-Identifier: MIT */
#include "plan/plug_time.h"

#include <glib.h>

void pm_plan_measure(const PmPlanMachine *machine, PmPlanTime *time)
{
    g_autoptr(PmRam) ram =
        pm_ram_new(machine->memory, PM_PLAN_MEASURED, pm_plan_memory_page(machine), NULL);
    gint64 start_us = g_get_monotonic_time();

    *time = (PmPlanTime){0};
    if (ram == NULL || !pm_ram_populate(ram, 0, PM_PLAN_MEASURED, 1, NULL))
        return;
    time->measured = PM_PLAN_MEASURED;
    time->ns = (uint64_t)((double)(g_get_monotonic_time() - start_us) * 1000.0 *
                          ((double)machine->size / (double)PM_PLAN_MEASURED));
}
