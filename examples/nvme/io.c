/* SPDX-License-Identifier: MIT */
/*
 * A request: lease a buffer (so that nobody unplugs it), fill it, prepare it for the device,
 * submit, wait, finish, release. Some buffers are in memory that is not registered, so that they
 * bounce.
 */
#include "io.h"

#include <plugmap/dma_vector.h>
#include <stdio.h>
#include <sys/uio.h>

#define SECTOR     UINT64_C(512)
#define MAX_SIZE   PM_MIB
#define PLACE_UNIT UINT64_C(8) /* buffers begin at a multiple of this */

typedef struct Thread Thread;

/* One request after the other: a write, then a read of the same part of the disk. */
typedef struct {
    Thread *thread;
    uint64_t disk_offset; /* of the part of the disk that only this slot uses, MAX_SIZE */
    char *part;           /* of the plugged memory: the same */
    uint64_t part_size;
    uint64_t seed; /* of the data on the disk */
    uint64_t size;
    bool reads;
    char *buffer;
    char *own; /* MAX_SIZE, not registered */
    bool is_leased;
    PmBufferLease lease;
    PmDmaVector *vector;
} Slot;

struct Thread {
    World *world;
    PmNvmeQueue *queue;
    GRand *random;
    Slot *slots;
    unsigned n_slots;
    uint64_t n_left; /* requests to submit */
    IoTotals totals;
};

/* --- data --- */

static uint64_t word_at(uint64_t seed, uint64_t index)
{
    return (seed + index) * UINT64_C(0x9e3779b97f4a7c15);
}

static void fill(const Slot *slot)
{
    uint64_t *words = (uint64_t *)(void *)slot->buffer;

    for (uint64_t i = 0; i < slot->size / sizeof *words; i++)
        words[i] = word_at(slot->seed, i);
}

static bool is_right(const Slot *slot)
{
    const uint64_t *words = (const uint64_t *)(const void *)slot->buffer;

    for (uint64_t i = 0; i < slot->size / sizeof *words; i++)
        if (words[i] != word_at(slot->seed, i))
            return false;
    return true;
}

static uint64_t random_below(GRand *random, uint64_t limit)
{
    return ((uint64_t)g_rand_int(random) << 32 | g_rand_int(random)) % limit;
}

/* As many small as large ones. */
static uint64_t random_size(GRand *random)
{
    uint64_t size = SECTOR << random_below(random, 12);

    return size == MAX_SIZE ? size : size + random_below(random, size / SECTOR) * SECTOR;
}

/* --- buffers --- */

/* Until it finds plugged memory. */
static void lease_anywhere(Slot *slot)
{
    uint64_t n_places = (slot->part_size - slot->size) / PLACE_UNIT + 1;

    do {
        slot->buffer = slot->part + random_below(slot->thread->random, n_places) * PLACE_UNIT;
        slot->is_leased = pm_buffer_lease_acquire(slot->thread->world->registry, slot->buffer,
                                                  slot->size, &slot->lease, NULL);
    } while (!slot->is_leased);
}

static void choose_buffer(Slot *slot)
{
    slot->buffer = slot->own;
    if (random_below(slot->thread->random, 8) != 0)
        lease_anywhere(slot);
}

static void release_buffer(Slot *slot)
{
    if (slot->is_leased)
        pm_buffer_lease_release(&slot->lease);
    slot->is_leased = false;
}

/* Whether the device accesses the buffer itself. */
static bool is_registered(const Slot *slot, const PmDmaSegment *segments)
{
    PmDmaSegment own;

    return slot->is_leased && pm_buffer_lease_next(&slot->lease, 0, &own) &&
           own.address == segments[0].address;
}

/* --- requests --- */

/* While the guest asks for a block, this waits. Our lease on it makes that end soon. */
static void prepare(Slot *slot)
{
    const struct iovec buffer = {slot->buffer, slot->size};
    PmDmaDirection direction = slot->reads ? PM_DMA_FROM_DEVICE : PM_DMA_TO_DEVICE;
    g_autoptr(GError) error = NULL;

    if (!pm_dma_vector_prepare(slot->vector, &buffer, 1, direction, &error))
        die("preparing a request", error);
}

static void submit(Slot *slot)
{
    IoTotals *totals = &slot->thread->totals;
    g_autoptr(GError) error = NULL;
    PmNvmeRequest request = {
        .opcode = slot->reads ? PM_NVME_READ : PM_NVME_WRITE,
        .offset = slot->disk_offset,
        .user_data = slot,
    };

    prepare(slot);
    request.segments = pm_dma_vector_get_segments(slot->vector, &request.n_segments);
    if (is_registered(slot, request.segments))
        totals->n_registered++;
    else
        totals->n_bounced++;
    if (!pm_nvme_queue_submit(slot->thread->queue, &request, &error))
        die("submitting a request", error);
    totals->n_requests++;
    totals->n_bytes += slot->size;
    slot->thread->n_left--;
}

static void start_write(Slot *slot)
{
    slot->reads = false;
    slot->seed = random_below(slot->thread->random, UINT64_MAX);
    slot->size = random_size(slot->thread->random);
    choose_buffer(slot);
    fill(slot);
    submit(slot);
}

static void start_read(Slot *slot)
{
    slot->reads = true;
    choose_buffer(slot);
    submit(slot);
}

static void check_data(Slot *slot)
{
    if (is_right(slot))
        return;
    (void)fprintf(stderr, "0x%llx bytes at 0x%llx of the disk are not what was written\n",
                  (unsigned long long)slot->size, (unsigned long long)slot->disk_offset);
    slot->thread->totals.n_wrong++;
}

/* @failure: NULL if it succeeded. */
static void end_request(Slot *slot, const GError *failure)
{
    if (failure != NULL) {
        (void)fprintf(stderr, "%s\n", failure->message);
        slot->thread->totals.n_failed++;
        pm_dma_vector_cancel(slot->vector);
    } else {
        pm_dma_vector_finish(slot->vector);
        if (slot->reads)
            check_data(slot);
    }
    release_buffer(slot);
}

static Slot *wait_for_any(Thread *thread)
{
    g_autoptr(GError) error = NULL;
    void *slot;

    if (!pm_nvme_queue_wait(thread->queue, &slot, &error) && slot == NULL)
        die("waiting for a request", error);
    end_request(slot, error);
    return slot;
}

static gpointer run(gpointer data)
{
    Thread *thread = data;

    for (unsigned i = 0; i < thread->n_slots && thread->n_left > 0; i++)
        start_write(&thread->slots[i]);
    while (pm_nvme_queue_get_n_in_flight(thread->queue) > 0) {
        Slot *slot = wait_for_any(thread);

        if (thread->n_left == 0)
            continue;
        if (slot->reads)
            start_write(slot);
        else
            start_read(slot);
    }
    return NULL;
}

/* --- threads --- */

static PmDmaVector *make_vector(World *world)
{
    const PmDmaVectorConfig config = {
        .struct_size = sizeof(config), .alignment = 4, .fallback = PM_DMA_FALLBACK_BOUNCE};
    g_autoptr(GError) error = NULL;
    PmDmaVector *vector = pm_dma_vector_new(world->registry, &config, &error);

    if (vector == NULL)
        die("making a vector", error);
    return vector;
}

/* @number: of all slots. */
static void slot_init(Slot *slot, Thread *thread, unsigned number, unsigned n_slots)
{
    slot->thread = thread;
    slot->disk_offset = number * MAX_SIZE;
    slot->part_size = SIZE / n_slots;
    slot->part = (char *)pm_ram_get_host(thread->world->ram) + number * slot->part_size;
    slot->own = g_malloc(MAX_SIZE);
    slot->vector = make_vector(thread->world);
}

static void thread_init(Thread *thread, World *world, unsigned number, const Options *options)
{
    thread->world = world;
    thread->queue = world->queues[number];
    thread->random = g_rand_new_with_seed((guint32)options->seed + 1 + number);
    thread->n_slots = (unsigned)options->depth;
    thread->n_left = (unsigned)(options->n_requests / options->n_threads);
    if (number == 0)
        thread->n_left += (unsigned)(options->n_requests % options->n_threads);
    thread->slots = g_new0(Slot, thread->n_slots);
    for (unsigned i = 0; i < thread->n_slots; i++)
        slot_init(&thread->slots[i], thread, number * thread->n_slots + i,
                  world->n_queues * thread->n_slots);
}

static void thread_clear(Thread *thread)
{
    for (unsigned i = 0; i < thread->n_slots; i++) {
        pm_dma_vector_free(thread->slots[i].vector);
        g_free(thread->slots[i].own);
    }
    g_free(thread->slots);
    g_rand_free(thread->random);
}

static void check_disk(const World *world, const Options *options)
{
    const PmNvmeIdentity *identity = pm_nvme_controller_get_identity(world->controller);
    uint64_t need = (uint64_t)options->n_threads * (uint64_t)options->depth * MAX_SIZE;

    if (identity->block_size != SECTOR || identity->n_blocks < need / SECTOR ||
        identity->max_transfer < MAX_SIZE)
        die("the example needs blocks of 512 bytes, requests of 1 MiB, and a disk of 1 MiB per "
            "request in flight",
            NULL);
}

void io_run(World *world, const Options *options, IoTotals *totals)
{
    g_autofree Thread *threads = g_new0(Thread, world->n_queues);
    g_autofree GThread **handles = g_new0(GThread *, world->n_queues);

    check_disk(world, options);
    *totals = (IoTotals){0};
    for (unsigned i = 0; i < world->n_queues; i++) {
        thread_init(&threads[i], world, i, options);
        handles[i] = g_thread_new("io", run, &threads[i]);
    }
    for (unsigned i = 0; i < world->n_queues; i++) {
        (void)g_thread_join(handles[i]);
        totals->n_requests += threads[i].totals.n_requests;
        totals->n_failed += threads[i].totals.n_failed;
        totals->n_wrong += threads[i].totals.n_wrong;
        totals->n_registered += threads[i].totals.n_registered;
        totals->n_bounced += threads[i].totals.n_bounced;
        totals->n_bytes += threads[i].totals.n_bytes;
        thread_clear(&threads[i]);
    }
}
