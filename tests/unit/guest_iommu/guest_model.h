/* SPDX-License-Identifier: MIT */
/*
 * A naive table, written from the specification, to compare the guest IOMMU with. Addresses are
 * units: 32 pages at the bottom, the hole in the middle as one, and 32 pages at the top.
 */
#ifndef PLUGMAP_TESTS_UNIT_GUEST_IOMMU_GUEST_MODEL_H
#define PLUGMAP_TESTS_UNIT_GUEST_IOMMU_GUEST_MODEL_H

#include "wire_util.h"

#define N_UNITS      65
#define HOLE         32
#define N_DOMAINS    6 /* numbers 0 to 5; the range of the device is 1 to 4 */
#define FIRST_DOMAIN 1
#define LAST_DOMAIN  4
#define MAX_DOMAINS  3
#define N_ENDPOINTS  5 /* numbers 0 to 4 */
#define MAX_MAPPINGS 12

typedef struct {
    unsigned mapping; /* 0: not mapped; else a number, the same for all units of a mapping */
    uint64_t address; /* guest physical address of the unit */
    unsigned access;
} ModelUnit;

typedef struct {
    bool exists;
    bool bypass;
    ModelUnit units[N_UNITS];
} ModelDomain;

typedef struct {
    ModelDomain domains[N_DOMAINS];
    int domain_of[N_ENDPOINTS]; /* -1: none */
    bool present[N_ENDPOINTS];
    bool bypass;
    unsigned n_mapped;
} Model;

/* First and last address of a unit. */
uint64_t unit_start(unsigned unit);
uint64_t unit_last(unsigned unit);

/* The units that endpoint @id reserves: none, or [*first, *last]. */
bool model_reserved(unsigned id, unsigned *first, unsigned *last);

void model_init(Model *model);

/* What a request must get, with a follower that does not fail, and its effect. */
unsigned model_attach(Model *model, unsigned domain, unsigned endpoint, uint32_t flags);
unsigned model_detach(Model *model, unsigned domain, unsigned endpoint);
unsigned model_map(Model *model, unsigned domain, uint64_t start, uint64_t end, uint64_t address,
                   uint32_t flags);
unsigned model_unmap(Model *model, unsigned domain, uint64_t start, uint64_t end);

/* The table of @iommu is that of the model. */
void assert_is_model(PmGuestIommu *iommu, const Model *model);

#endif
