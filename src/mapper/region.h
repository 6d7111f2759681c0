/* SPDX-License-Identifier: MIT */
/* A piece of guest memory that a mapper looks after. */
#ifndef PLUGMAP_MAPPER_REGION_H
#define PLUGMAP_MAPPER_REGION_H

#include <plugmap/mapper.h>

typedef struct {
    PmMapper *mapper;
    uint64_t address; /* guest physical, which is the I/O address, too */
    uint64_t size;
    PmRam *ram;
    PmDiscardManager *manager; /* NULL: plain RAM, mapped whole */
    uint64_t block_size;       /* bytes of each mapping */
    PmMapperFlags flags;
    PmDiscardListener *listener;
    char *name; /* for messages */
} PmRegion;

/* @manager may be NULL. Takes references to @ram and @manager; @mapper must outlive the region. */
PmRegion *pm_region_new(PmMapper *mapper, uint64_t address, PmRam *ram, PmDiscardManager *manager,
                        PmMapperFlags flags);
void pm_region_free(PmRegion *region);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmRegion, pm_region_free)

#endif
