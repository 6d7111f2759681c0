/* SPDX-License-Identifier: MIT */
/* A fake kernel and the host's, side by side, and the state of the sequence running on both. */
#ifndef PLUGMAP_TESTS_CONFORMANCE_DIFFERENTIAL_WORLD_H
#define PLUGMAP_TESTS_CONFORMANCE_DIFFERENTIAL_WORLD_H

#include <stdbool.h>

#include <plugmap/plugmap.h>

#include "dma/engine.h"
#include "memory.h"

enum {
    HOST,
    FAKE,
    N_SIDES
};

#define N_CONTAINERS 2
#define N_GROUPS     4
#define N_DEVICES    4

/* Where the DMA engines' memory is mapped; no operation uses it. Below 4 GiB, because Linux 6.1
 * splits writes of larger addresses to an edu in two, and fake devices do not support mmap. */
#define SCRATCH_IOVA UINT64_C(0x70000000)
#define SCRATCH_SIZE ((size_t)PM_DMA_SCRATCH_PAGES * PM_DMA_PAGE)

/* The group of the device that does DMA. */
#define GROUP_OF_DMA 3

/* Closed slots are -1. Both sides have the same slots open. */
typedef struct {
    PmKernel *kernel;
    int containers[N_CONTAINERS];
    int groups[N_GROUPS];
    int devices[N_DEVICES];
    bool is_iommufd; /* containers are iommufds */
    PmDmaEngine *engine;
    char *scratch; /* the engine's memory */
    int event;     /* signaled by interrupts */
} Side;

typedef struct {
    SequenceKind kind;
    Side sides[N_SIDES];
    uint64_t locked_before; /* by the host's kernel */
    uint64_t pinned;        /* by the host's kernel, in its own calls */
    uint64_t pinned_at;     /* VmPin when the last of them began */
    uint64_t n_transfers;
    unsigned n_comparisons;
    GArray *registers;   /* of Op: mappings of the registers of the device that does DMA */
    GHashTable *results; /* counts of (request, result); owned by the caller */
    char *difference;    /* NULL: none yet */
} World;

/* How a sequence starts. */
typedef struct {
    SequenceKind kind;
    unsigned iommu; /* VFIO_TYPE1_IOMMU or VFIO_TYPE1v2_IOMMU */
    uint32_t entry_limit;
    bool has_device; /* files: start with an open device */
} SequenceStart;

/* @results: counts results, by a text of request and result. */
World *world_new(const SequenceStart *start, GHashTable *results);

/* Closes everything; locked or pinned memory that remains is a difference, too. Does not free. */
void world_end(World *world);
void world_free(World *world);

/* Runs @op on both sides; false if the results or the counts differ. */
bool world_do(World *world, const Op *op);

/* --- for the operations --- */

/* An ioctl with the same argument on both sides; results and argument must be equal afterwards.
 * Returns the result. */
int world_ioctl(World *world, const int *fds, unsigned long request, const void *argument,
                size_t size, const Op *op);
/* The same with a number as argument. */
int world_ioctl_number(World *world, const int *fds, unsigned long request, unsigned long number);
/* Any call on both sides; results of 0 and below are counted. Returns the host's result. */
typedef int (*OneSideFunc)(Side *side, const Op *op);
int world_on_both(World *world, const Op *op, const char *what, OneSideFunc func);
/* Around each call of one side, to distinguish pins of the host's kernel from pages that the fake
 * holds in the same process. */
void world_begin_call(World *world, int side);
void world_end_call(World *world, int side);
void world_count(World *world, const char *what, int result);
void world_differ(World *world, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* Return the host's result, or 1 if the call was skipped. */
int world_map(World *world, const Op *op, const int *fds);
int world_unmap(World *world, const Op *op, const int *fds);
void world_dirty(World *world, const Op *op, const int *fds);
void world_do_files(World *world, const Op *op);
void world_begin_iommufd(World *world);
void world_do_iommufd(World *world, const Op *op);
void world_end_iommufd(World *world);

/* Prepares the engines of a mappings sequence; false if their memory does not map. */
bool world_prepare_dma(World *world);
/* Starts the engines, whose memory is mapped; false, and a difference, if a device does not
 * start. */
bool world_start_engines(World *world);
/* Writes and reads by DMA from each side and compares. Does nothing at addresses that do not
 * support DMA. */
void world_compare_dma(World *world, uint64_t iova);
/* Compares first and last page, with writes from one side at a time. */
void world_compare_ends(World *world, uint64_t iova, uint64_t size);
/* Compares the window of most mappings, and the pages inside and outside each end of what the
 * fake's @group reaches. */
void world_compare_all(World *world, unsigned group);

void world_do_device(World *world, const Op *op);
void world_clean_device(World *world);
/* Each side's eventfd. The argument's descriptor refers to that of the side that is called, and
 * both must be signaled equally often. */
void world_make_events(World *world);
void world_close_events(World *world);
void world_choose_event(const World *world, int side);
void world_compare_events(World *world);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(World, world_free)

#endif
