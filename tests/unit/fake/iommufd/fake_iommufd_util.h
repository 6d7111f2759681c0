/* SPDX-License-Identifier: MIT */
/* An iommufd on a fake kernel, by system calls alone. */
#ifndef PLUGMAP_TESTS_UNIT_FAKE_IOMMUFD_FAKE_IOMMUFD_UTIL_H
#define PLUGMAP_TESTS_UNIT_FAKE_IOMMUFD_FAKE_IOMMUFD_UTIL_H

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

#include "kernel-uapi/iommufd.h"
#include "kernel-uapi/vfio.h"

#define PAGE        UINT64_C(4096)
#define MEMORY_SIZE (256 * PAGE)
#define READ_WRITE  (IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE)
#define FIXED       (IOMMU_IOAS_MAP_FIXED_IOVA | READ_WRITE)

/* One device, bound; an IOAS, to which it is not attached yet. */
typedef struct {
    PmKernel *kernel;
    int iommufd;
    int device;
    uint32_t device_id;
    uint32_t ioas;
    char *memory; /* of MEMORY_SIZE bytes, anonymous, readable and writable, page aligned */
} Iommufd;

/* The defaults, with an iommufd. */
PmFakeConfig iommufd_config(void);

/* @config NULL: iommufd_config(). */
Iommufd *iommufd_new(const PmFakeConfig *config);
/* The same with the device attached to the IOAS. */
Iommufd *iommufd_attached(const PmFakeConfig *config);
void iommufd_free(Iommufd *iommufd);

int iommufd_open(Iommufd *iommufd, const char *path);
int iommufd_close(Iommufd *iommufd, int fd);
/* A request on a file: of the iommufd, or another. */
int iommufd_call(Iommufd *iommufd, unsigned long request, void *argument);
int iommufd_ioctl(Iommufd *iommufd, int fd, unsigned long request, void *argument);

int iommufd_bind(Iommufd *iommufd, int device, uint32_t *device_id);
/* @pt_id: becomes the page table's. */
int iommufd_attach(Iommufd *iommufd, int device, uint32_t *pt_id);
int iommufd_detach(Iommufd *iommufd, int device);
uint32_t iommufd_new_ioas(Iommufd *iommufd);
int iommufd_destroy(Iommufd *iommufd, uint32_t id);

/* MAP at an I/O address for reading and writing, and UNMAP, both in the IOAS. */
int iommufd_map(Iommufd *iommufd, uint64_t iova, const void *host, uint64_t length);
int iommufd_unmap(Iommufd *iommufd, uint64_t iova, uint64_t length, uint64_t *n_bytes);
/* A file, instead of memory. @length of it from @start on. */
int iommufd_map_file(Iommufd *iommufd, uint64_t iova, int fd, uint64_t start, uint64_t length);

uint64_t iommufd_n_areas(Iommufd *iommufd);
/* Bytes that are pinned, and charged to the user and to the process. */
void iommufd_assert_charged(Iommufd *iommufd, uint64_t pinned, uint64_t user, uint64_t process);

/* DMA of the bound device: a word from or to an I/O address. */
uint32_t iommufd_dma_read(Iommufd *iommufd, uint64_t iova);
void iommufd_dma_write(Iommufd *iommufd, uint64_t iova, uint32_t value);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Iommufd, iommufd_free)

#endif
