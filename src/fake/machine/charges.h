/* SPDX-License-Identifier: MIT */
/* Memory that counts as locked or pinned. */
#ifndef PLUGMAP_SRC_FAKE_MACHINE_CHARGES_H
#define PLUGMAP_SRC_FAKE_MACHINE_CHARGES_H

#include "fake/machine/config.h"

/* Whom locked memory counts for. */
typedef enum {
    PM_CHARGE_NOBODY,
    PM_CHARGE_USER,
    PM_CHARGE_PROCESS,
} PmCharge;

/* Bytes; zero-initialised. */
typedef struct {
    uint64_t user_locked;
    uint64_t process_locked; /* VmLck */
    uint64_t pinned;         /* VmPin: by iommufds, whoever is charged */
} PmCharges;

/* How many more bytes may be locked. */
uint64_t pm_charges_left(const PmCharges *charges, const PmFakeConfig *config, PmCharge charge);

/* Type1's: the caller has seen that so many are left. */
void pm_charges_lock(PmCharges *charges, uint64_t size);
void pm_charges_unlock(PmCharges *charges, uint64_t size);

/* iommufd's. Returns 0, or -ENOMEM: over the limit, and nothing is charged. */
int pm_charges_pin(PmCharges *charges, const PmFakeConfig *config, PmCharge charge, uint64_t size);
void pm_charges_unpin(PmCharges *charges, PmCharge charge, uint64_t size);

#endif
