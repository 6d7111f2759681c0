/* SPDX-License-Identifier: MIT */
/*
 * What unplugging and plugging a block costs that a guest IOMMU's domain maps 1,000 times, beside
 * few and beside ten times as many other mappings; processor time, on a fake kernel that only
 * counts memory.
 *
 * guest: exits 1 if a target is missed.
 */
#include <malloc.h>
#include <stdio.h>

#include <plugmap/fake.h>

#include "bench_util.h"
#include "kernel-uapi/virtio_mem.h"

#define ADDRESS  (UINT64_C(1) << 32)
#define IOVA     (UINT64_C(1) << 28)
#define BLOCK    (4 * PM_MIB)
#define PAGE     (4 * PM_KIB)
#define N_BLOCKS 64
#define N_SAME   1000 /* mappings of the block */
#define N_SMALL  5000 /* other mappings */
#define N_LARGE  50000
#define N_ROUNDS 20

#define MAX_ATTEMPTS 5
#define MAX_RATIO    2.0
#define MAX_BYTES    1280.0 /* per mapping, without the fake kernel's */

typedef struct {
    PmKernel *fake;
    PmVirtioMem *device;
    PmGuestIommu *table;
    PmGuestMapper *mapper;
} Guest;

static PmIommu *open_device(void *user_data, const char *device, GError **error)
{
    const Guest *guest = user_data;
    const PmType1Config config = {
        .struct_size = sizeof(config), .kernel = guest->fake, .device = device};

    return pm_iommu_type1_new(&config, error);
}

static void check(bool done, const char *what, const GError *error)
{
    if (!done)
        bench_die(what, error);
}

static void make_device(Guest *guest, PmRam **ram)
{
    PmVirtioMemConfig config = {
        .struct_size = sizeof(config),
        .address = ADDRESS,
        .block_size = BLOCK,
        .requested_size = N_BLOCKS * BLOCK,
    };
    g_autoptr(GError) error = NULL;

    *ram = pm_ram_new(PM_RAM_ANONYMOUS, N_BLOCKS * BLOCK, BLOCK, &error);
    config.ram = *ram;
    guest->device = *ram != NULL ? pm_virtio_mem_new(&config, &error) : NULL;
    check(guest->device != NULL, "making the device", error);
    bench_request(guest->device, VIRTIO_MEM_REQ_PLUG, 0, N_BLOCKS);
}

static void make_guest(Guest *guest)
{
    g_autoptr(PmRam) ram = NULL;
    g_autoptr(GError) error = NULL;
    const PmGuestMapperConfig config = {
        .struct_size = sizeof(config),
        .open = open_device,
        .user_data = guest,
        .max_mappings = UINT64_C(2) * N_LARGE,
    };
    const PmGuestIommuConfig table = {.struct_size = sizeof(table), .max_mappings = 2 * N_LARGE};
    const PmGuestEndpoint endpoint = {
        .struct_size = sizeof(endpoint), .endpoint = 8, .device = "0000:00:04.0"};
    PmMapperRegion region = {
        .struct_size = sizeof(region),
        .size = N_BLOCKS * BLOCK,
        .address = ADDRESS,
        .access = PM_IOMMU_READ_WRITE,
    };

    make_device(guest, &ram);
    region.ram = ram;
    guest->table = pm_guest_iommu_new(&table, &error);
    guest->mapper = pm_guest_mapper_new(&config, &error);
    check(guest->table != NULL && guest->mapper != NULL &&
              pm_guest_mapper_add(guest->mapper, &region, &error) &&
              pm_guest_mapper_follow(guest->mapper, guest->table, &error) &&
              pm_guest_iommu_add_endpoint(guest->table, &endpoint, &error) &&
              pm_guest_iommu_attach(guest->table, 1, false, 8, &error),
          "making the guest IOMMU", error);
}

static void free_guest(Guest *guest)
{
    pm_guest_mapper_free(guest->mapper);
    pm_guest_iommu_unref(guest->table);
    pm_virtio_mem_free(guest->device);
    pm_kernel_unref(guest->fake);
}

static void map(Guest *guest, uint64_t index, uint64_t address)
{
    const PmGuestMapping mapping = {.iova = IOVA + index * 2 * PAGE,
                                    .last = IOVA + index * 2 * PAGE + PAGE - 1,
                                    .address = address,
                                    .access = PM_IOMMU_READ_WRITE};
    g_autoptr(GError) error = NULL;

    check(pm_guest_iommu_map(guest->table, 1, &mapping, &error), "mapping", error);
}

/* The others are all over the other blocks, so mappings of the block are between them. */
static void map_all(Guest *guest, uint64_t n_others)
{
    uint64_t n_pages = BLOCK / PAGE;

    for (uint64_t i = 0; i < n_others; i++) {
        uint64_t block = i % (N_BLOCKS - 1);

        block += block >= N_BLOCKS / 2;
        map(guest, i, ADDRESS + block * BLOCK + i % n_pages * PAGE);
    }
    for (uint64_t i = 0; i < N_SAME; i++)
        map(guest, n_others + i, ADDRESS + N_BLOCKS / 2 * BLOCK + i % n_pages * PAGE);
}

/* Seconds to unplug and plug the block. Sets @bytes per mapping. */
static double measure(uint64_t n_others, double *bytes)
{
    Guest guest = {0};
    PmFakeConfig config;
    g_autoptr(GError) error = NULL;
    double least = G_MAXDOUBLE;
    size_t before;

    pm_fake_config_init(&config);
    config.entry_limit = 4 * N_LARGE;
    guest.fake = pm_fake_kernel_new(&config, &error);
    check(guest.fake != NULL, "the fake kernel", error);
    make_guest(&guest);
    before = mallinfo2().uordblks;
    map_all(&guest, n_others);
    *bytes = (double)(mallinfo2().uordblks - before) / (double)(n_others + N_SAME);
    for (unsigned i = 0; i < N_ROUNDS; i++) {
        double start = bench_cpu_ns();

        bench_request(guest.device, VIRTIO_MEM_REQ_UNPLUG, N_BLOCKS / 2, 1);
        bench_request(guest.device, VIRTIO_MEM_REQ_PLUG, N_BLOCKS / 2, 1);
        least = MIN(least, (bench_cpu_ns() - start) / 1e9);
    }
    free_guest(&guest);
    return least;
}

int main(void)
{
    double small = G_MAXDOUBLE;
    double large = G_MAXDOUBLE;
    double bytes = 0;
    bool met = false;

    for (unsigned attempt = 0; attempt < MAX_ATTEMPTS && !met; attempt++) {
        small = MIN(small, measure(N_SMALL, &bytes));
        large = MIN(large, measure(N_LARGE, &bytes));
        met = bench_check("a block mapped 1,000 times beside 50,000 mappings against one beside "
                          "5,000",
                          large / small, MAX_RATIO);
    }
    met = bench_check("bytes per mapping of one page", bytes, MAX_BYTES) && met;
    printf("unplugging and plugging a block that is mapped 1,000 times: %.2f ms beside 5,000 other "
           "mappings, %.2f ms beside 50,000; %.0f bytes per mapping\n",
           small * 1e3, large * 1e3, bytes);
    return met ? 0 : 1;
}
