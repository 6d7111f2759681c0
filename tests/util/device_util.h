/* SPDX-License-Identifier: MIT */
/* QEMU's edu, through its vfio-pci file. */
#ifndef PLUGMAP_TESTS_UTIL_DEVICE_UTIL_H
#define PLUGMAP_TESTS_UTIL_DEVICE_UTIL_H

#include "util/kernel_util.h"

#define REGION(index) ((uint64_t)(index) << 40)
#define BAR0          REGION(VFIO_PCI_BAR0_REGION_INDEX)
#define BAR0_SIZE     UINT64_C(0x100000)
#define CONFIG        REGION(VFIO_PCI_CONFIG_REGION_INDEX)
#define COMMAND       (CONFIG + 0x04)
#define BUS_MASTER    0x0004

/* The longest transfer: QEMU 7.2 crashes on a whole page. */
#define DMA_MAX 4095

/* The device file of DEVICE. */
int device_open(Kernel *kernel);

/* pread and pwrite of a number or a buffer; the latter return the call's result. */
uint64_t device_get(Kernel *kernel, int device, uint64_t offset, size_t size);
void device_put(Kernel *kernel, int device, uint64_t offset, uint64_t value, size_t size);
ssize_t device_try_read(Kernel *kernel, int device, uint64_t offset, size_t size);
ssize_t device_try_write(Kernel *kernel, int device, uint64_t offset, size_t size);

/* Enables bus mastering. */
void device_enable_dma(Kernel *kernel, int device);
/* The device reads @size bytes of memory at @iova into its buffer, or writes them from there;
 * done on return. It does not report accesses that the IOMMU rejects. */
void device_load(Kernel *kernel, int device, uint64_t iova, uint64_t size);
void device_store(Kernel *kernel, int device, uint64_t iova, uint64_t size);

/* What the device reads at @iova. This and device_fill() temporarily map the last page of
 * kernel->memory for the device. */
void device_peek(Kernel *kernel, int device, uint64_t iova, void *to, uint64_t size);
/* The device writes @byte to the @size bytes at @iova. */
void device_fill(Kernel *kernel, int device, uint64_t iova, uint8_t byte, uint64_t size);

/* Reads and writes a word at @iova by DMA of kernel->device, after enabling bus mastering. */
uint32_t device_peek_word(Kernel *kernel, uint64_t iova);
void device_poke_word(Kernel *kernel, uint64_t iova, uint32_t word);

#endif
