/* SPDX-License-Identifier: MIT */
/* For examples: a device that does DMA, QEMU's edu, which the fake kernel has, too. */
#ifndef PLUGMAP_EXAMPLES_EDU_H
#define PLUGMAP_EXAMPLES_EDU_H

#include <plugmap/plugmap.h>

#define EDU_SIZE 4088 /* bytes per transfer; QEMU 7.2 crashes on 4096 */

typedef struct {
    PmKernel *kernel;
    int fd;
    uint64_t bar;
    uint64_t config;
    volatile uint64_t *registers; /* NULL: the fake does not map them */
} Edu;

/* Opens a device of @iommu, and lets it do DMA. */
bool edu_start(Edu *edu, PmKernel *kernel, PmIommu *iommu, const char *pci, GError **error);

/* Drops the registers, which would keep the device open; DMA continues. */
void edu_drop(Edu *edu);

/* Ends DMA, and drops the registers. */
void edu_stop(Edu *edu);

/* Starts to copy EDU_SIZE bytes from or to an I/O address, to or from the device's own buffer. */
void edu_begin_read(const Edu *edu, uint64_t address);
void edu_begin_write(const Edu *edu, uint64_t address);

/* Waits until the transfer is complete. */
void edu_wait(const Edu *edu);

#endif
