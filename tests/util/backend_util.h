/* SPDX-License-Identifier: MIT */
/* The back end that a test runs on: PLUGMAP_BACKEND is type1 (if it is not set) or iommufd. */
#ifndef PLUGMAP_TESTS_UTIL_BACKEND_UTIL_H
#define PLUGMAP_TESTS_UTIL_BACKEND_UTIL_H

#include <stdbool.h>

#include <plugmap/fake.h>
#include <plugmap/iommu.h>

bool backend_is_iommufd(void);

/* A fake kernel that has it. @config: NULL is the defaults. */
PmKernel *backend_fake_new(const PmFakeConfig *config, GError **error);

/* An address space with device number @index of the fake kernel behind @kernel, in the order in
 * which they were added; each is alone in group @index + 1. */
PmIommu *backend_open(PmKernel *kernel, unsigned index, GError **error);

/* Bytes that the fake kernel has pinned. */
uint64_t backend_get_pinned(PmKernel *fake);

/* An entry of a list of tests, @test, that is right for one back end alone; the other's list has
 * nothing in its place. */
#define BACKEND_TYPE1_ONLY(test)                                                                   \
    (backend_is_iommufd() ? (struct CMUnitTest){0} : (struct CMUnitTest)test)
#define BACKEND_IOMMUFD_ONLY(test)                                                                 \
    (backend_is_iommufd() ? (struct CMUnitTest)test : (struct CMUnitTest){0})

/* The kernel's requests. */
unsigned long backend_map_request(void);
unsigned long backend_unmap_request(void);

/* Whether this is a MAP that cannot succeed, by which a back end asks what is mapped. */
bool backend_is_probe(unsigned long request, const void *argument);

/* Sets the size that the kernel says it has unmapped. */
void backend_set_unmapped(void *argument, uint64_t n_bytes);

/* Adds to the size that the kernel says it has unmapped. */
void backend_add_to_unmapped(void *argument, uint64_t n_bytes);

#endif
