/* SPDX-License-Identifier: MIT */
#include "dma_request.h"

#include <errno.h>
#include <sys/mman.h>

#include "buffers/registry_private.h"

uint64_t request_n_mapped(const Request *request)
{
    return request->world->fake != NULL ? pm_fake_kernel_get_n_mappings(request->world->fake, 1)
                                        : request->world->model.n_regions;
}

bool request_has_pool(const Request *request)
{
    return pm_bounce_pool_get_size(request->world->registry->pool) > 0;
}

/* Block 2 stays without a region. */
static void plug_blocks(World *world)
{
    assert_true(plug(world, 0, 2, NULL));
    assert_true(plug(world, N_ADDED - 1, 2, NULL));
    world->model.fail_map_in = 1;
    if (world->fake != NULL)
        pm_fake_kernel_fail(world->fake, PM_FAKE_CALL_MAP, 1, ENOSPC);
    assert_true(plug(world, 2, 1, NULL));
    assert_int_equal(stats_of(world).refused_bytes, BLOCK);
}

void request_add_element(Request *request, void *host, uint64_t size)
{
    memset(host, 'a' + (int)request->n_iov, size);
    request->iov[request->n_iov++] = (struct iovec){host, size};
}

static void add_elements(Request *request, bool grows)
{
    World *world = request->world;

    request_add_element(request, host_of(world, 0), PAGE);
    request_add_element(request, request->foreign, PAGE);
    request_add_element(request, host_of(world, 0) + PAGE + 1, SECTOR);
    request_add_element(request, host_of(world, 1), PAGE);
    request_add_element(request, host_of(world, 2) + PAGE, SECTOR);
    request_add_element(request, request->foreign + 8 * PAGE + 1, grows ? POOL_SIZE : SECTOR);
    request_add_element(request, host_of(world, N_ADDED) - SECTOR, 2 * SECTOR);
}

void request_bounce_sector(Request *request)
{
    struct iovec iov = {request->foreign + 1, SECTOR};
    g_autofree char *data = g_malloc0(SECTOR);
    GError *error = NULL;

    memset(iov.iov_base, 'z', SECTOR);
    (void)pm_dma_vector_prepare(request->vector, &iov, 1, PM_DMA_TO_DEVICE, &error);
    if (error != NULL)
        fail_msg("%s", error->message);
    assert_int_equal(device_access(request->world, request->vector, data, false), SECTOR);
    assert_memory_equal(data, iov.iov_base, SECTOR);
    pm_dma_vector_finish(request->vector);
}

Request *request_new(const Scenario *scenario)
{
    const WorldConfig config = {
        .ram_kind = PM_RAM_MEMFD,
        .on_iommu = scenario->on_iommu,
        .is_empty = true,
        .bounce_size = POOL_SIZE,
        .bounce_limit = POOL_LIMIT,
    };
    Request *request = g_new0(Request, 1);
    World *world = world_new(&config);

    request->world = world;
    assert_true(pm_buffer_registry_add_ram(world->registry, world->ram, 0, N_ADDED * BLOCK, NULL));
    plug_blocks(world);
    request->foreign =
        mmap(NULL, FOREIGN_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(request->foreign, MAP_FAILED);
    request->vector =
        vector_new(world, (PmDmaVectorConfig){.fallback = scenario->fallback, .alignment = SECTOR});
    request->n_regions = request_n_mapped(request);
    if (scenario->grows)
        request_bounce_sector(request);
    add_elements(request, scenario->grows);
    return request;
}

void request_free(Request *request)
{
    pm_dma_vector_free(request->vector);
    world_free(request->world);
    munmap(request->foreign, FOREIGN_SIZE);
    g_free(request);
}

uint64_t request_gather(const Request *request, char *data)
{
    uint64_t size = 0;

    for (size_t i = 0; i < request->n_iov; i++) {
        memcpy(data + size, request->iov[i].iov_base, request->iov[i].iov_len);
        size += request->iov[i].iov_len;
    }
    return size;
}

void request_complete(Request *request)
{
    g_autofree char *expected = g_malloc0(FOREIGN_SIZE);
    g_autofree char *data = g_malloc0(FOREIGN_SIZE);
    uint64_t size = request_gather(request, expected);

    assert_int_equal(device_access(request->world, request->vector, data, false), size);
    assert_memory_equal(data, expected, size);
    for (uint64_t i = 0; i < size; i++)
        data[i] ^= 0x55;
    (void)device_access(request->world, request->vector, data, true);
    pm_dma_vector_finish(request->vector);
    (void)request_gather(request, expected);
    assert_memory_equal(data, expected, size);
}

void request_assert_all_unplugs(const Request *request)
{
    World *world = request->world;

    for (uint64_t block = 0; block < N_BLOCKS; block++)
        if (is_plugged(world, block))
            assert_true(unplug(world, block, 1, NULL));
    assert_int_equal(request_n_mapped(request), request_has_pool(request));
}
