/* SPDX-License-Identifier: MIT */
/* A discard manager with two sources: one like a virtio-mem device's, of 4 blocks and with memory
 * that it frees, and one of single blocks that frees nothing. */
#ifndef PLUGMAP_TESTS_UNIT_MEMORY_SOURCES_UTIL_H
#define PLUGMAP_TESTS_UNIT_MEMORY_SOURCES_UTIL_H

#include "discard_util.h"

#define COARSE (4 * BLOCK)

typedef struct {
    Fixture fixture;
    PmDiscardSource *plug;
    PmDiscardSource *share;
} Sources;

/* A manager of @granularity without sources. */
void sources_init_bare(Sources *sources, uint64_t granularity);
/* Both sources; nothing is plugged, everything shared. */
void sources_init(Sources *sources);

PmDiscardSource *try_add_source(Sources *sources, const char *name, uint64_t granularity,
                                uint64_t flags, const uint64_t *bitmap, GError **error);
PmDiscardSource *add_source(Sources *sources, const char *name, uint64_t granularity,
                            uint64_t flags);

/* In blocks, without flags. */
bool source_on(PmDiscardSource *source, uint64_t first, uint64_t n_blocks);
bool source_off(PmDiscardSource *source, uint64_t first, uint64_t n_blocks);

/* The runs of blocks that are populated: "3,2 8,1 ". */
void assert_populated(const Sources *sources, const char *expected);
void assert_source_has(const PmDiscardSource *source, const char *expected);

#endif
