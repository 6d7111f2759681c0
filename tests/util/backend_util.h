/* SPDX-License-Identifier: MIT */
/* The back end that a test runs on: PLUGMAP_BACKEND, type1 (the default) or iommufd. */
#ifndef PLUGMAP_TESTS_UTIL_BACKEND_UTIL_H
#define PLUGMAP_TESTS_UTIL_BACKEND_UTIL_H

#include <stdbool.h>

#include <plugmap/fake.h>
#include <plugmap/iommu.h>

bool backend_is_iommufd(void);

/* A fake kernel that supports it. @config: NULL for the defaults. */
PmKernel *backend_fake_new(const PmFakeConfig *config, GError **error);

/* An address space with device @index (in the order of adding them) of the fake kernel that
 * @kernel is or forwards to; each is alone in group @index + 1. */
PmIommu *backend_open(PmKernel *kernel, unsigned index, GError **error);

/* The same with a device by its PCI address. */
PmIommu *backend_open_device(PmKernel *kernel, const char *device, GError **error);

/* Bytes pinned by the fake kernel. */
uint64_t backend_get_pinned(PmKernel *fake);

/* A list entry for @test, which only applies to one back end; empty for the other one. */
#define BACKEND_TYPE1_ONLY(test)                                                                   \
    (backend_is_iommufd() ? (struct CMUnitTest){0} : (struct CMUnitTest)test)
#define BACKEND_IOMMUFD_ONLY(test)                                                                 \
    (backend_is_iommufd() ? (struct CMUnitTest)test : (struct CMUnitTest){0})

/* The kernel's ioctls. */
unsigned long backend_map_request(void);
unsigned long backend_unmap_request(void);

/* Whether this is a MAP that must fail, with which a back end probes what is mapped. */
bool backend_is_probe(unsigned long request, const void *argument);

/* Sets the size that the kernel reports as unmapped. */
void backend_set_unmapped(void *argument, uint64_t n_bytes);

/* Adds to the size that the kernel reports as unmapped. */
void backend_add_to_unmapped(void *argument, uint64_t n_bytes);

#endif
