/* SPDX-License-Identifier: MIT */
/* Descriptors that a process with more rights has opened, on a fake kernel, and a process that has
 * got them and can open nothing. */
#ifndef PLUGMAP_TESTS_UTIL_SENT_UTIL_H
#define PLUGMAP_TESTS_UTIL_SENT_UTIL_H

#include <plugmap/plugmap.h>

#include "util/iommu_fixture.h"

#define SENT_N 3

/* Device number i is alone in group i + 1. */
typedef struct {
    PmKernel *kernel;    /* of who opens */
    HookedKernel hooked; /* of who gets: every open fails */
    int main;            /* the container or iommufd */
    int fds[SENT_N];     /* groups, or the devices' own files */
    uint32_t ids[SENT_N];
    PmType1Config type1; /* the container and the first group */
    PmIommufdConfig iommufd;
    PmIommu *iommu; /* for a test to set; dropped behind it */
    PmRam *ram;     /* four blocks */
    char *memory;   /* the RAM's */
} Sent;

extern const char *const sent_devices[SENT_N];

/* Around a test, for cmocka. */
int sent_setup(void **state);
int sent_teardown(void **state);

/* From the descriptors, by the back end under test. */
PmIommu *sent_try_to_open(Sent *sent, GError **error);
void sent_open(Sent *sent);

/* Opening fails like that, and takes nothing. */
void sent_assert_refused(Sent *sent, PmError code, const char *words);

/* Who opens: its calls. */
int sent_file(const Sent *sent, const char *path);
int sent_ioctl(const Sent *sent, int fd, unsigned long request, void *argument);
void sent_close(const Sent *sent, int fd);

/* What is open in the fake kernel. */
uint64_t sent_n_open(const Sent *sent);

/* Mappings that the device number i reaches. */
uint64_t sent_n_mappings(const Sent *sent, unsigned i);

/* Claims @n_blocks from block @first on, and maps the one at @mapped, if that is inside. */
PmIommuClaim *sent_claim(const Sent *sent, uint64_t first, uint64_t n_blocks, uint64_t mapped);

/* Whether the device reads by DMA what is in a block of memory. */
bool sent_device_sees(const Sent *sent, unsigned i, uint64_t block);

#endif
