/* SPDX-License-Identifier: MIT */
#include "fake/machine/machine.h"

void pm_fake_machine_init(PmFakeMachine *machine, const PmFakeConfig *config)
{
    *machine = (PmFakeMachine){.config = pm_fake_config_copy(config)};
    (void)pthread_mutex_init(&machine->lock, NULL);
    pm_fault_plan_init(&machine->plan);
}

void pm_fake_machine_clear(PmFakeMachine *machine)
{
    pm_fault_plan_clear(&machine->plan);
    (void)pthread_mutex_destroy(&machine->lock);
    pm_fake_config_clear(&machine->config);
}
