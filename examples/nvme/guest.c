/* SPDX-License-Identifier: MIT */
#include "guest.h"

#include <stdio.h>

#define PAGE         UINT64_C(4096)
#define PAUSE_US     200
#define DIRTY_PERIOD 16 /* reads dirty pages once in so many steps */

static bool is_plugged(const Guest *guest, uint64_t block)
{
    return pm_discard_manager_is_populated(pm_virtio_mem_get_manager(guest->world->memory),
                                           block * BLOCK, BLOCK);
}

static void plug(Guest *guest, uint64_t block)
{
    if (world_request(guest->world, PM_VIRTIO_MEM_PLUG, block, 1) != PM_VIRTIO_MEM_ACK)
        die("plugging a block failed", NULL);
    guest->n_plugs++;
}

static void unplug(Guest *guest, uint64_t block)
{
    PmVirtioMemAnswer answer = world_request(guest->world, PM_VIRTIO_MEM_UNPLUG, block, 1);

    if (answer == PM_VIRTIO_MEM_ACK)
        guest->n_unplugs++;
    else if (answer == PM_VIRTIO_MEM_BUSY && is_plugged(guest, block))
        guest->n_busy++;
    else
        die("invalid answer to UNPLUG", NULL);
}

void guest_init(Guest *guest, World *world, int seed)
{
    *guest = (Guest){.world = world, .random = g_rand_new_with_seed((guint32)seed)};
    for (uint64_t block = 0; block < N_BLOCKS; block++)
        if (block % 4 != 3)
            plug(guest, block);
}

void guest_check_lease(Guest *guest)
{
    const char *host = pm_ram_get_host(guest->world->ram);
    g_autoptr(GError) error = NULL;
    PmBufferLease lease;
    const GError *refusal;

    if (!pm_buffer_lease_acquire(guest->world->registry, host + 512, 512, &lease, &error))
        die("leasing a buffer", error);
    unplug(guest, 0);
    if (guest->n_busy != 1)
        die("a leased block was unplugged", NULL);
    pm_virtio_mem_last_refusal(guest->world->memory, &refusal);
    printf("UNPLUG of a leased block: busy: %s\n", refusal->message);
    pm_buffer_lease_release(&lease);
    unplug(guest, 0);
    if (guest->n_unplugs != 1)
        die("a block is busy after its lease ended", NULL);
    guest->n_busy = 0;
}

/* Blocks are as large as mappings, so that no run that is read cuts one. */
static void read_dirty(Guest *guest)
{
    PmIommu *iommu = guest->world->iommu;
    g_autoptr(GError) error = NULL;
    PmIommuRun run;

    for (uint64_t iova = 0; pm_iommu_next_run(iommu, iova, &run);) {
        uint64_t size = run.block_size * run.n_blocks;
        g_autofree uint64_t *bitmap = g_new0(uint64_t, size / PAGE / 64 + 1);

        if (!pm_iommu_read_dirty(iommu, run.iova, size, PAGE, bitmap, &error))
            die("reading dirty pages", error);
        for (uint64_t word = 0; word <= size / PAGE / 64; word++)
            guest->n_dirty_pages += (uint64_t)__builtin_popcountll(bitmap[word]);
        iova = run.iova + size;
    }
    guest->n_dirty_reads++;
}

/* About three quarters of the blocks stay plugged. */
static void step(Guest *guest)
{
    uint64_t block = g_rand_int(guest->random) % N_BLOCKS;

    if (!is_plugged(guest, block))
        plug(guest, block);
    else if (g_rand_int(guest->random) % 3 == 0)
        unplug(guest, block);
}

static gpointer run(gpointer data)
{
    Guest *guest = data;

    for (uint64_t i = 0; !g_atomic_int_get(&guest->stopped); i++) {
        step(guest);
        if (guest->tracks && i % DIRTY_PERIOD == 0)
            read_dirty(guest);
        g_usleep(PAUSE_US);
    }
    return NULL;
}

void guest_start(Guest *guest)
{
    g_autoptr(GError) error = NULL;

    guest->tracks = pm_iommu_get_dirty_kind(guest->world->iommu) != PM_IOMMU_DIRTY_NONE;
    if (guest->tracks && !pm_iommu_set_dirty_tracking(guest->world->iommu, true, &error))
        die("tracking dirty pages", error);
    guest->thread = g_thread_new("guest", run, guest);
}

void guest_stop(Guest *guest)
{
    g_autoptr(GError) error = NULL;

    g_atomic_int_set(&guest->stopped, 1);
    (void)g_thread_join(guest->thread);
    if (guest->tracks && !pm_iommu_set_dirty_tracking(guest->world->iommu, false, &error))
        die("tracking dirty pages", error);
    g_rand_free(guest->random);
}
