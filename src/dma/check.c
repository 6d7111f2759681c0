/* SPDX-License-Identifier: MIT */
#include "dma/check.h"

#include <inttypes.h>
#include <string.h>

#include "base/error_text.h"

/* Sampled pages of each kind, in addition to the ends of runs. */
#define N_SAMPLES 4

struct PmDmaCheck {
    PmDmaEngine *engine;
    PmVirtioMem *device;
    PmDiscardManager *manager;
    PmRam *ram;
    PmIommuAccess access;
    GRand *random; /* fixed seed */
    uint64_t n_patterns;
    PmDmaCheckCounts counts;
    PmDmaCheckFunc func;
    void *user_data;
};

typedef bool (*NextRunFunc)(const PmDiscardManager *manager, uint64_t offset, uint64_t end,
                            uint64_t *run_offset, uint64_t *run_size);
typedef bool (*CheckPageFunc)(PmDmaCheck *check, uint64_t offset, GError **error);

PmDmaCheck *pm_dma_check_new(PmDmaEngine *engine, PmVirtioMem *device, PmIommuAccess access)
{
    PmDmaCheck *check = g_new0(PmDmaCheck, 1);

    check->engine = engine;
    check->device = device;
    check->manager = pm_virtio_mem_get_manager(device);
    check->ram = pm_discard_manager_get_ram(check->manager);
    check->access = access;
    check->random = g_rand_new_with_seed(1);
    return check;
}

void pm_dma_check_free(PmDmaCheck *check)
{
    if (check == NULL)
        return;
    pm_dma_engine_free(check->engine);
    g_rand_free(check->random);
    g_free(check);
}

void pm_dma_check_set_func(PmDmaCheck *check, PmDmaCheckFunc func, void *user_data)
{
    check->func = func;
    check->user_data = user_data;
}

PmDmaCheckCounts pm_dma_check_get_counts(const PmDmaCheck *check)
{
    return check->counts;
}

/* Patterns have no word in common. */
static void make_pattern(PmDmaCheck *check, uint64_t *words)
{
    uint64_t first = ++check->n_patterns * (PM_DMA_PAGE / sizeof *words);

    for (size_t i = 0; i < PM_DMA_PAGE / sizeof *words; i++)
        words[i] = (first + i) * UINT64_C(0x9e3779b97f4a7c15);
}

static bool device_reads(PmDmaCheck *check, uint64_t iova, void *data, GError **error)
{
    check->counts.n_transfers++;
    return pm_dma_engine_read(check->engine, iova, data, error);
}

static bool device_writes(PmDmaCheck *check, uint64_t iova, const void *data, GError **error)
{
    check->counts.n_transfers++;
    return pm_dma_engine_write(check->engine, iova, data, error);
}

static bool fail_page(PmDmaCheck *check, const char *what, uint64_t iova, GError **error)
{
    return pm_fail(error, PM_ERROR_AUDIT, "DMA by %s: %s at I/O address 0x%" PRIx64,
                   pm_dma_engine_name(check->engine), what, iova);
}

/* Faults the page in; reports an error where a plain access would raise SIGBUS. */
static bool populate(PmDmaCheck *check, uint64_t offset, GError **error)
{
    uint64_t page_size = MAX(pm_ram_get_page_size(check->ram), PM_DMA_PAGE);

    return pm_ram_populate(check->ram, offset - offset % page_size, page_size, 1, error);
}

static bool check_reads(PmDmaCheck *check, char *memory, uint64_t iova, GError **error)
{
    size_t size = pm_dma_engine_transfer_size(check->engine);
    uint64_t pattern[PM_DMA_PAGE / sizeof(uint64_t)];
    uint64_t seen[PM_DMA_PAGE / sizeof(uint64_t)];

    make_pattern(check, pattern);
    memcpy(memory, pattern, size);
    if (!device_reads(check, iova, seen, error))
        return false;
    if (memcmp(seen, pattern, size) != 0)
        return fail_page(check, "read does not return plugged memory", iova, error);
    return true;
}

static bool check_writes(PmDmaCheck *check, const char *memory, uint64_t iova, PmIommuAccess access,
                         GError **error)
{
    size_t size = pm_dma_engine_transfer_size(check->engine);
    bool allowed = (access & PM_IOMMU_WRITE) != 0;
    uint64_t pattern[PM_DMA_PAGE / sizeof(uint64_t)];

    make_pattern(check, pattern);
    if (!device_writes(check, iova, pattern, error))
        return false;
    if ((memcmp(memory, pattern, size) == 0) == allowed)
        return true;
    return fail_page(
        check, allowed ? "write does not reach plugged memory" : "write reaches read-only memory",
        iova, error);
}

static void report_page(const PmDmaCheck *check, uint64_t offset)
{
    if (check->func != NULL)
        check->func(offset, check->user_data);
}

static bool check_plugged_at(PmDmaCheck *check, uint64_t iova, uint64_t offset,
                             PmIommuAccess access, GError **error)
{
    char *memory = (char *)pm_ram_get_host(check->ram) + offset;

    check->counts.n_plugged_pages++;
    report_page(check, offset);
    return populate(check, offset, error) &&
           ((access & PM_IOMMU_READ) == 0 || check_reads(check, memory, iova, error)) &&
           check_writes(check, memory, iova, access, error);
}

static bool check_plugged(PmDmaCheck *check, uint64_t offset, GError **error)
{
    uint64_t iova = pm_virtio_mem_get_address(check->device) + offset;

    return check_plugged_at(check, iova, offset, check->access, error);
}

/* Discarded memory that is still mapped is visible to the device only: it reads back what it wrote.
 */
static bool check_unplugged_at(PmDmaCheck *check, uint64_t iova, uint64_t offset, GError **error)
{
    uint64_t block_size = pm_virtio_mem_get_block_size(check->device);
    uint64_t block = offset - offset % block_size;
    size_t size = pm_dma_engine_transfer_size(check->engine);
    uint64_t pattern[PM_DMA_PAGE / sizeof(uint64_t)];
    uint64_t seen[PM_DMA_PAGE / sizeof(uint64_t)];
    uint64_t resident_before;
    uint64_t resident_after;

    check->counts.n_unplugged_pages++;
    report_page(check, offset);
    make_pattern(check, pattern);
    if (!pm_ram_resident(check->ram, block, block_size, &resident_before, error) ||
        !device_writes(check, iova, pattern, error) || !device_reads(check, iova, seen, error) ||
        !pm_ram_resident(check->ram, block, block_size, &resident_after, error))
        return false;
    if (memcmp(seen, pattern, size) == 0)
        return fail_page(check, "device reads back what it wrote to unplugged memory", iova, error);
    if (resident_before != resident_after)
        return fail_page(check, "write to unplugged memory allocated memory", iova, error);
    return true;
}

static bool check_unplugged(PmDmaCheck *check, uint64_t offset, GError **error)
{
    return check_unplugged_at(check, pm_virtio_mem_get_address(check->device) + offset, offset,
                              error);
}

bool pm_dma_check_page(PmDmaCheck *check, uint64_t iova, uint64_t offset, PmIommuAccess access,
                       GError **error)
{
    return pm_discard_manager_is_populated(check->manager, offset, PM_DMA_PAGE)
               ? check_plugged_at(check, iova, offset, access, error)
               : check_unplugged_at(check, iova, offset, error);
}

bool pm_dma_check_is_slow(const PmDmaCheck *check)
{
    return pm_dma_engine_is_slow(check->engine);
}

static uint64_t random_below(PmDmaCheck *check, uint64_t end)
{
    uint64_t high = g_rand_int(check->random);

    return (high << 32 | g_rand_int(check->random)) % end;
}

static bool check_ends(PmDmaCheck *check, const PmIovaRange *range, NextRunFunc next_run,
                       CheckPageFunc check_page, GError **error)
{
    uint64_t address = pm_virtio_mem_get_address(check->device);
    uint64_t end = pm_virtio_mem_get_region_size(check->device);
    uint64_t offset = 0;
    uint64_t size = 0;

    if (range != NULL) {
        offset = range->start - address;
        end = range->last - address + 1;
    }
    while (next_run(check->manager, offset + size, end, &offset, &size)) {
        if (!check_page(check, offset, error) ||
            !check_page(check, offset + size - PM_DMA_PAGE, error))
            return false;
    }
    return true;
}

static bool check_samples(PmDmaCheck *check, unsigned n_samples, NextRunFunc next_run,
                          CheckPageFunc check_page, GError **error)
{
    uint64_t region_size = pm_virtio_mem_get_region_size(check->device);
    uint64_t block_size = pm_virtio_mem_get_block_size(check->device);

    for (unsigned i = 0; i < n_samples; i++) {
        uint64_t from = random_below(check, region_size);
        uint64_t offset;
        uint64_t size;

        from -= from % block_size;
        if (!next_run(check->manager, from, region_size, &offset, &size) &&
            !next_run(check->manager, 0, region_size, &offset, &size))
            return true;
        size = MIN(size, block_size);
        if (!check_page(check, offset + random_below(check, size / PM_DMA_PAGE) * PM_DMA_PAGE,
                        error))
            return false;
    }
    return true;
}

static bool check_kind(PmDmaCheck *check, const PmIovaRange *range, NextRunFunc next_run,
                       CheckPageFunc check_page, GError **error)
{
    /* The first one shows whether the engine is slow. */
    if (!check_samples(check, 1, next_run, check_page, error))
        return false;
    return pm_dma_engine_is_slow(check->engine) ||
           (check_ends(check, range, next_run, check_page, error) &&
            check_samples(check, N_SAMPLES, next_run, check_page, error));
}

bool pm_dma_check_run(PmDmaCheck *check, const PmIovaRange *range, GError **error)
{
    return check_kind(check, range, pm_discard_manager_next_populated, check_plugged, error) &&
           check_kind(check, range, pm_discard_manager_next_discarded, check_unplugged, error);
}
