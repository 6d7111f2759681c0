/* SPDX-License-Identifier: MIT */
#include "fake/machine/charges.h"

#include <errno.h>

uint64_t pm_charges_left(const PmCharges *charges, const PmFakeConfig *config, PmCharge charge)
{
    uint64_t limit = pm_fake_config_lock_limit(config);
    uint64_t locked = charge == PM_CHARGE_USER ? charges->user_locked : charges->process_locked;

    if (charge == PM_CHARGE_NOBODY || limit == UINT64_MAX)
        return UINT64_MAX;
    return limit > locked ? limit - locked : 0;
}

void pm_charges_lock(PmCharges *charges, uint64_t size)
{
    charges->process_locked += size;
}

void pm_charges_unlock(PmCharges *charges, uint64_t size)
{
    charges->process_locked -= size;
}

int pm_charges_pin(PmCharges *charges, const PmFakeConfig *config, PmCharge charge, uint64_t size)
{
    if (size > pm_charges_left(charges, config, charge))
        return -ENOMEM;
    if (charge == PM_CHARGE_USER)
        charges->user_locked += size;
    if (charge == PM_CHARGE_PROCESS)
        charges->process_locked += size;
    charges->pinned += size;
    return 0;
}

void pm_charges_unpin(PmCharges *charges, PmCharge charge, uint64_t size)
{
    if (charge == PM_CHARGE_USER)
        charges->user_locked -= size;
    if (charge == PM_CHARGE_PROCESS)
        charges->process_locked -= size;
    charges->pinned -= size;
}
