/* SPDX-License-Identifier: MIT */
/* A region of a VFIO device: its registers or its configuration space. */
#ifndef PLUGMAP_SRC_PCI_REGION_H
#define PLUGMAP_SRC_PCI_REGION_H

#include <plugmap/kernel.h>

/* Private fields. */
typedef struct {
    PmKernel *kernel;   /* outlives the region */
    const char *device; /* its name, for messages; outlives the region */
    int fd;             /* of the device; outlives the region */
    unsigned index;
    uint64_t offset; /* offset in the device's file */
    uint64_t size;
    volatile void *registers; /* NULL: use pread and pwrite */
} PmPciRegion;

/*
 * Opens region @index of the device, and maps it if possible: a store is then one access to the
 * device, while Linux before 6.10 splits a pwrite of 8 bytes in two. Errors: PM_ERROR_KERNEL,
 * PM_ERROR_UNSUPPORTED (smaller than @min_size).
 */
bool pm_pci_region_open(PmPciRegion *region, PmKernel *kernel, const char *device, int fd,
                        unsigned index, uint64_t min_size, GError **error);

/* Does nothing to a zeroed region. */
void pm_pci_region_close(PmPciRegion *region);

/* Reads or writes @width (2, 4 or 8) bytes at @offset, a multiple of @width inside the region, in
 * one access, little endian as PCI is. Errors: PM_ERROR_KERNEL. */
bool pm_pci_region_read(const PmPciRegion *region, uint64_t offset, unsigned width, uint64_t *value,
                        GError **error);
bool pm_pci_region_write(const PmPciRegion *region, uint64_t offset, unsigned width, uint64_t value,
                         GError **error);

#endif
