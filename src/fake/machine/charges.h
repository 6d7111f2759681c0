/* SPDX-License-Identifier: MIT */
/* Locked and pinned page accounting. */
#ifndef PLUGMAP_SRC_FAKE_MACHINE_CHARGES_H
#define PLUGMAP_SRC_FAKE_MACHINE_CHARGES_H

#include "fake/machine/config.h"

/* Who is charged for locked memory. */
typedef enum {
    PM_CHARGE_NOBODY,
    PM_CHARGE_USER,
    PM_CHARGE_PROCESS,
} PmCharge;

/* Bytes; zero-initialised. */
typedef struct {
    uint64_t user_locked;
    uint64_t process_locked; /* VmLck */
    uint64_t pinned;         /* VmPin: pinned by iommufds, whoever is charged */
} PmCharges;

/* Bytes that may still be locked. */
uint64_t pm_charges_left(const PmCharges *charges, const PmFakeConfig *config, PmCharge charge);

/* For type1, which has checked pm_charges_left(). */
void pm_charges_lock(PmCharges *charges, uint64_t size);
void pm_charges_unlock(PmCharges *charges, uint64_t size);

/* For iommufd. Returns 0, or -ENOMEM (over the limit) and charges nothing. */
int pm_charges_pin(PmCharges *charges, const PmFakeConfig *config, PmCharge charge, uint64_t size);
void pm_charges_unpin(PmCharges *charges, PmCharge charge, uint64_t size);

#endif
