/* SPDX-License-Identifier: MIT */
/* QEMU's «edu», through its vfio-pci file. */
#ifndef PLUGMAP_TESTS_UTIL_DEVICE_UTIL_H
#define PLUGMAP_TESTS_UTIL_DEVICE_UTIL_H

#include "util/kernel_util.h"

#define REGION(index) ((uint64_t)(index) << 40)
#define BAR0          REGION(VFIO_PCI_BAR0_REGION_INDEX)
#define BAR0_SIZE     UINT64_C(0x100000)
#define CONFIG        REGION(VFIO_PCI_CONFIG_REGION_INDEX)
#define COMMAND       (CONFIG + 0x04)
#define BUS_MASTER    0x0004

/* One transfer at most: QEMU 7.2 dies of a whole page. */
#define DMA_MAX 4095

/* The file of DEVICE. */
int device_open(Kernel *kernel);

/* pread and pwrite of a number, and of however many bytes: the result of the call. */
uint64_t device_get(Kernel *kernel, int device, uint64_t offset, size_t size);
void device_put(Kernel *kernel, int device, uint64_t offset, uint64_t value, size_t size);
ssize_t device_try_read(Kernel *kernel, int device, uint64_t offset, size_t size);
ssize_t device_try_write(Kernel *kernel, int device, uint64_t offset, size_t size);

/* Lets it do DMA. */
void device_enable_dma(Kernel *kernel, int device);
/* The device reads @size bytes of memory at @iova into its own, or writes them out; done on return.
 * It says nothing of what the IOMMU refuses. */
void device_load(Kernel *kernel, int device, uint64_t iova, uint64_t size);
void device_store(Kernel *kernel, int device, uint64_t iova, uint64_t size);

/* What the device reads at @iova. This and the next use the last page of kernel->memory, which is
 * mapped for the device for as long as they take. */
void device_peek(Kernel *kernel, int device, uint64_t iova, void *to, uint64_t size);
/* The device writes @byte to @size addresses from @iova on. */
void device_fill(Kernel *kernel, int device, uint64_t iova, uint8_t byte, uint64_t size);

/* A word at @iova, which kernel->device reads and writes; it is let do DMA. */
uint32_t device_peek_word(Kernel *kernel, uint64_t iova);
void device_poke_word(Kernel *kernel, uint64_t iova, uint32_t word);

#endif
