/* SPDX-License-Identifier: MIT */
/* A container on a fake kernel, by system calls alone. */
#ifndef PLUGMAP_TESTS_UTIL_FAKE_UTIL_H
#define PLUGMAP_TESTS_UTIL_FAKE_UTIL_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include <plugmap/fake.h>
#include <plugmap/plugmap.h>

#include "kernel-uapi/vfio.h"

#define PAGE   UINT64_C(4096)
#define DEVICE "0000:00:04.0"

typedef struct {
    PmKernel *kernel;
    int container;
    int group;
    char *memory; /* of MEMORY_SIZE bytes, anonymous, readable and writable, page aligned */
} Fake;

#define MEMORY_SIZE (256 * PAGE)

/* Files opened, group in the container; no IOMMU yet. @config NULL: the defaults. */
Fake *fake_new(const PmFakeConfig *config);
/* The same with an IOMMU of @type. */
Fake *fake_with_iommu(const PmFakeConfig *config, unsigned long type);
void fake_free(Fake *fake);

int fake_open(Fake *fake, const char *path);
int fake_close(Fake *fake, int fd);
int fake_ioctl(Fake *fake, int fd, unsigned long request, void *argument);
int fake_ioctl_number(Fake *fake, int fd, unsigned long request, unsigned long number);

/* MAP for reading and writing; UNMAP, with the size that comes back in *@n_bytes (may be NULL). */
int fake_map(Fake *fake, uint64_t iova, const void *host, uint64_t size);
int fake_unmap(Fake *fake, uint64_t iova, uint64_t size, uint64_t *n_bytes);
int fake_map_flags(Fake *fake, uint32_t flags, uint64_t iova, const void *host, uint64_t size);
int fake_unmap_flags(Fake *fake, uint32_t flags, uint64_t iova, uint64_t size, uint64_t *n_bytes);

/* dma_avail of the capability chain. */
uint32_t fake_available(Fake *fake);
uint64_t fake_n_mappings(Fake *fake);
int fake_get_device(Fake *fake, const char *name);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Fake, fake_free)

#endif
