/* SPDX-License-Identifier: MIT */
/* The process's memory mappings, as the host kernel tells them. */
#ifndef PLUGMAP_SRC_FAKE_MEMORY_VMA_H
#define PLUGMAP_SRC_FAKE_MEMORY_VMA_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    uint64_t start;
    uint64_t end;
    bool readable;
    bool writable;
    bool shared;
    bool anonymous;        /* of no file */
    bool device_registers; /* of a VFIO device: no memory */
} PmVma;

/* The mapping that holds @address, or the next one above; false if there is none. Any thread. */
bool pm_vma_find(uint64_t address, PmVma *vma);

/* The same from the text of /proc/self/maps, as before Linux 6.11; slower. */
bool pm_vma_find_in_text(uint64_t address, PmVma *vma);

#endif
