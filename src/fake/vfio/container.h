/* SPDX-License-Identifier: MIT */
/* A VFIO container: groups that share one IOMMU. Linux: drivers/vfio/container.c. */
#ifndef PLUGMAP_SRC_FAKE_VFIO_CONTAINER_H
#define PLUGMAP_SRC_FAKE_VFIO_CONTAINER_H

#include "fake/memory/memory.h"
#include "fake/type1/type1_mappings.h"

typedef struct PmContainer {
    PmFakeMemory *memory;
    bool is_open; /* the container's own file; groups keep it alive, too */
    unsigned n_groups;
    PmFakeType1 *iommu; /* NULL: not set */
} PmContainer;

extern const PmFileOps pm_container_file_ops;

/* open(2) of /dev/vfio/vfio: a descriptor or -errno. */
int pm_container_open(PmFakeMemory *memory, int flags);

/* For a viable group that is in no container. Returns 0, or -EBUSY (mappings with invalid host
 * addresses). */
int pm_container_join(PmContainer *container);

/* The last group to leave frees the IOMMU, and the container, too, if its file is closed. */
void pm_container_leave(PmContainer *container);

/* NULL without a container or an IOMMU. */
PmPageTable *pm_container_page_table(const PmContainer *container);

#endif
