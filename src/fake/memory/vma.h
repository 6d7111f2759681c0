/* SPDX-License-Identifier: MIT */
/* The process's memory mappings, from the host kernel. */
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
    bool anonymous;        /* not of a file */
    bool device_registers; /* of a VFIO device, not memory */
} PmVma;

/* The mapping that contains @address, or the next one; false if there is none. Thread-safe. */
bool pm_vma_find(uint64_t address, PmVma *vma);

/* The same, slower, from the text of /proc/self/maps, for hosts before Linux 6.11. */
bool pm_vma_find_in_text(uint64_t address, PmVma *vma);

#endif
