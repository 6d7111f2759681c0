/* SPDX-License-Identifier: MIT */
/* A follower that keeps its own copy of the table, checks that every call is allowed, and can fail
 * at any of them; and shorthands for tests of the guest IOMMU. */
#ifndef PLUGMAP_TESTS_UNIT_GUEST_IOMMU_FOLLOWER_UTIL_H
#define PLUGMAP_TESTS_UNIT_GUEST_IOMMU_FOLLOWER_UTIL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <plugmap/guest_iommu.h>

#define NO_DOMAIN PM_GUEST_IOMMU_NO_DOMAIN
#define PAGE      ((uint64_t)0x1000)

typedef struct {
    GPtrArray *lines; /* its copy of the table: "endpoint 8: domain 1", "domain 1: 0x1000-..." */
    GString *calls;   /* since the last assert_calls(): "detach 1 8; attach 2 8; map 2 0x1000; " */
    unsigned n_calls;
    unsigned fail_from; /* calls that fail, counted by n_calls from 1 */
    unsigned fail_to;
    GQuark domain; /* of the errors; PM_ERROR by default */
    int code;
    bool silent; /* fail without an error */
} Follower;

extern const PmGuestIommuOps follower_ops;

/* Made by a cmocka setup, freed by its teardown. */
typedef struct {
    PmGuestIommu *iommu;
    Follower follower;
} World;

/* Sets *state to a World without a follower, endpoints 8, 9 and 10, bypass off. */
int world_setup(void **state);
/* The same with the follower. */
int world_setup_followed(void **state);
int world_teardown(void **state);

void follower_init(Follower *follower);
void follower_clear(Follower *follower);

/* Lets @n_calls calls fail, after @n_before that succeed. */
void follower_fail(Follower *follower, unsigned n_before, unsigned n_calls, int code);
void follower_succeed(Follower *follower);

/* The table, from the getters, sorted; a new string. */
char *table_text(PmGuestIommu *iommu);

/* The follower's copy is the table. */
void assert_follows(PmGuestIommu *iommu, const Follower *follower);

/* The calls since the last time were @calls. */
void assert_calls(Follower *follower, const char *calls);

PmGuestIommu *new_iommu(const PmGuestIommuConfig *config);
void add_endpoint(PmGuestIommu *iommu, uint32_t id);
void add_endpoint_with(PmGuestIommu *iommu, uint32_t id, const PmGuestReserved *reserved,
                       size_t n_reserved);
void attach(PmGuestIommu *iommu, uint32_t domain, uint32_t endpoint);
void attach_bypass(PmGuestIommu *iommu, uint32_t domain, uint32_t endpoint);
void map(PmGuestIommu *iommu, uint32_t domain, uint64_t iova, uint64_t size, uint64_t address);
bool try_map(PmGuestIommu *iommu, uint32_t domain, uint64_t iova, uint64_t last, uint64_t address,
             GError **error);

/* @error has the code and @part in its message; frees it. */
void assert_error(GError **error, int code, const char *part);

#endif
