/* SPDX-License-Identifier: MIT */
/* A fake kernel and the host's, side by side, and whatever a random life has done to both. */
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

/* Where the DMA engines' memory is mapped; no operation names it. Below 4 GiB, because Linux 6.1
 * cuts a longer address in two on its way to an edu, and a fake device cannot be mapped. */
#define SCRATCH_IOVA UINT64_C(0x70000000)
#define SCRATCH_SIZE ((size_t)PM_DMA_SCRATCH_PAGES * PM_DMA_PAGE)

/* Of the device that does DMA. */
#define GROUP_OF_DMA 3

/* Slots are -1 where nothing is open. Both sides have the same slots open. */
typedef struct {
    PmKernel *kernel;
    int containers[N_CONTAINERS];
    int groups[N_GROUPS];
    int devices[N_DEVICES];
    bool is_iommufd; /* containers are files of /dev/iommu */
    PmDmaEngine *engine;
    char *scratch; /* the engine's memory */
    int event;     /* that interrupts signal */
} Side;

typedef struct {
    LifeSort sort;
    Side sides[N_SIDES];
    uint64_t locked_before; /* by the host's kernel */
    uint64_t pinned;        /* by the host's kernel, in its own calls */
    uint64_t pinned_at;     /* VmPin when the last of them began */
    uint64_t n_transfers;
    unsigned n_comparisons;
    GArray *registers;   /* of Op: what has mapped those of the device that does DMA */
    GHashTable *results; /* of (request, result), to how often; the caller's */
    char *difference;    /* NULL: none yet */
} World;

/* How a life begins. */
typedef struct {
    LifeSort sort;
    unsigned iommu; /* VFIO_TYPE1_IOMMU or VFIO_TYPE1v2_IOMMU */
    uint32_t entry_limit;
    bool has_device; /* a life of files: begins with an open device, instead of nothing */
} LifeStart;

/* @results: counts every answer, by a text of request and result. */
World *world_new(const LifeStart *start, GHashTable *results);

/* Closes all; what is left behind is a difference, too. The caller frees. */
void world_end(World *world);
void world_free(World *world);

/* Does it on both sides; false if they differ, or differ in what they count afterwards. */
bool world_do(World *world, const Op *op);

/* --- for its other files --- */

/* The same bytes as argument on both sides; results and what becomes of the bytes have to be equal.
 * Returns the result. */
int world_ioctl(World *world, const int *fds, unsigned long request, const void *argument,
                size_t size, const Op *op);
/* The same with a number as argument. */
int world_ioctl_number(World *world, const int *fds, unsigned long request, unsigned long number);
/* One call on both sides, whatever it is: 0 and more is a success, and only 0 is counted. Returns
 * the host's result. */
typedef int (*OneSideFunc)(Side *side, const Op *op);
int world_on_both(World *world, const Op *op, const char *what, OneSideFunc func);
/* Around each call of one side: what the host's kernel pins is told apart from what the fake holds
 * in the same process. */
void world_begin_call(World *world, int side);
void world_end_call(World *world, int side);
void world_count(World *world, const char *what, int result);
void world_differ(World *world, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* The host's result; 1 if it was not done. */
int world_map(World *world, const Op *op, const int *fds);
int world_unmap(World *world, const Op *op, const int *fds);
void world_dirty(World *world, const Op *op, const int *fds);
void world_do_files(World *world, const Op *op);
void world_begin_iommufd(World *world);
void world_do_iommufd(World *world, const Op *op);
void world_end_iommufd(World *world);

/* Gets the engines of a life of mappings ready; false if their memory cannot be mapped now. */
bool world_prepare_dma(World *world);
/* The engines, whose memory is mapped; false, and a difference, if a device does not start. */
bool world_start_engines(World *world);
/* Writes by DMA from each side, and reads; a difference if that differs. Nothing where DMA cannot
 * be asked for. */
void world_compare_dma(World *world, uint64_t iova);
/* First and last page, quickly: by turns from one side alone. */
void world_compare_ends(World *world, uint64_t iova, uint64_t size);
/* The window of most mappings, and each end, from within and without, of what the fake's @group
 * reaches. */
void world_compare_all(World *world, unsigned group);

void world_do_device(World *world, const Op *op);
void world_clean_device(World *world);
/* Each side's eventfd; a side that is called has to find its own in the argument, and both have to
 * be signalled as often. */
void world_make_events(World *world);
void world_close_events(World *world);
void world_choose_event(const World *world, int side);
void world_compare_events(World *world);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(World, world_free)

#endif
