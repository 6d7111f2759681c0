/* SPDX-License-Identifier: MIT */
#include "fork_world.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <plugmap/fake.h>

#include "kernel/kernel_calls.h"
#include "util/backend_util.h"
#include "util/fork_util.h"
#include "util/mapper_util.h"
#include "util/request_util.h"

#define GROUP     1
#define BYTE      0x5a
#define FREE_IOVA (UINT64_C(1) << 20)

/* --- the kernel --- */

static PmKernel *count(PmKernel *kernel)
{
    CountingKernel *counting = (CountingKernel *)kernel;

    atomic_fetch_add(&counting->shared->n_calls, 1);
    return counting->next;
}

static int counting_open(PmKernel *kernel, const char *path, int flags)
{
    PmKernel *next = count(kernel);

    return next->ops->open(next, path, flags);
}

static int counting_close(PmKernel *kernel, int fd)
{
    PmKernel *next = ((CountingKernel *)kernel)->next;

    return next->ops->close(next, fd);
}

static int counting_ioctl(PmKernel *kernel, int fd, unsigned long request, void *argument)
{
    PmKernel *next = count(kernel);

    return next->ops->ioctl(next, fd, request, argument);
}

static int counting_mmap(PmKernel *kernel, int fd, size_t size, int protection, int flags,
                         uint64_t offset, void **address)
{
    PmKernel *next = count(kernel);

    return next->ops->mmap(next, fd, size, protection, flags, offset, address);
}

static ssize_t counting_pread(PmKernel *kernel, int fd, void *buffer, size_t size, uint64_t offset)
{
    PmKernel *next = count(kernel);

    return next->ops->pread(next, fd, buffer, size, offset);
}

static ssize_t counting_pwrite(PmKernel *kernel, int fd, const void *buffer, size_t size,
                               uint64_t offset)
{
    PmKernel *next = count(kernel);

    return next->ops->pwrite(next, fd, buffer, size, offset);
}

static int counting_lock_limit(PmKernel *kernel, PmLockedMemory *locked)
{
    PmKernel *next = ((CountingKernel *)kernel)->next;

    return next->ops->lock_limit(next, locked);
}

static int counting_locked_memory(PmKernel *kernel, PmLockedMemory *locked)
{
    PmKernel *next = ((CountingKernel *)kernel)->next;

    return next->ops->locked_memory(next, locked);
}

static void counting_free(PmKernel *kernel G_GNUC_UNUSED)
{
}

/* Nothing is ever mapped. */
static const PmKernelOps counting_ops = {
    .struct_size = sizeof(counting_ops),
    .open = counting_open,
    .close = counting_close,
    .ioctl = counting_ioctl,
    .mmap = counting_mmap,
    .pread = counting_pread,
    .pwrite = counting_pwrite,
    .lock_limit = counting_lock_limit,
    .locked_memory = counting_locked_memory,
    .free = counting_free,
};

/* --- the world --- */

static Shared *make_shared(void)
{
    void *shared =
        mmap(NULL, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    assert_ptr_not_equal(shared, MAP_FAILED);
    return shared;
}

bool request(World *world, uint16_t type, unsigned first, uint16_t n_blocks, GError **error)
{
    return send_request(world->device, type, STACK_ADDRESS + first * STACK_BLOCK, n_blocks,
                        error) >= 0;
}

PmIommuClaim *claim_pages(PmIommu *iommu, PmRam *ram, uint64_t n_pages)
{
    const PmIommuClaimConfig config = {
        .struct_size = sizeof(config),
        .owner = "the test",
        .ram = ram,
        .iova = FREE_IOVA,
        .size = n_pages * PAGE,
        .block_size = PAGE,
    };

    return pm_iommu_claim_new(iommu, &config, NULL);
}

int make_world(void **state)
{
    World *world = g_new0(World, 1);
    PmVirtioMemConfig config = {.struct_size = sizeof(config),
                                .address = STACK_ADDRESS,
                                .block_size = STACK_BLOCK,
                                .requested_size = STACK_N_BLOCKS * STACK_BLOCK};

    *state = world;
    world->fake = backend_fake_new(NULL, NULL);
    world->kernel = (CountingKernel){.next = world->fake, .shared = make_shared()};
    assert_true(pm_kernel_init(&world->kernel.parent, &counting_ops, world->fake, NULL));
    world->iommu = backend_open(&world->kernel.parent, 0, NULL);
    world->ram = pm_ram_new(PM_RAM_MEMFD, STACK_N_BLOCKS * STACK_BLOCK, STACK_BLOCK, NULL);
    config.ram = world->ram;
    world->device = pm_virtio_mem_new(&config, NULL);
    world->mapper = pm_mapper_new(world->iommu);
    assert_true(mapper_add_all(world->mapper, STACK_ADDRESS, world->ram, 0, NULL));
    assert_true(request(world, VIRTIO_MEM_REQ_PLUG, 0, N_PLUGGED, NULL));
    world->page = pm_ram_new(PM_RAM_ANONYMOUS, PAGE, 0, NULL);
    world->claim = claim_pages(world->iommu, world->page, 2);
    assert_true(pm_iommu_claim_map(world->claim, 0, PAGE, 0, PM_IOMMU_READ_WRITE, NULL));
    memset(pm_ram_get_host(world->ram), BYTE, N_PLUGGED * STACK_BLOCK);
    return 0;
}

int drop_world(void **state)
{
    World *world = *state;

    pm_iommu_claim_unref(world->claim);
    pm_ram_unref(world->page);
    pm_mapper_free(world->mapper);
    pm_virtio_mem_free(world->device);
    pm_iommu_unref(world->iommu);
    pm_ram_unref(world->ram);
    pm_kernel_unref(&world->kernel.parent);
    pm_kernel_unref(world->fake);
    (void)munmap(world->kernel.shared, sizeof(Shared));
    g_free(world);
    return 0;
}

/* Through the mapping and through the file. */
static void assert_content(World *world)
{
    uint64_t size = N_PLUGGED * STACK_BLOCK;
    const char *host = pm_ram_get_host(world->ram);
    g_autofree char *file = g_malloc(size);

    assert_int_equal(pread(pm_ram_get_fd(world->ram, NULL), file, size, 0), size);
    assert_memory_equal(file, host, size);
    for (uint64_t i = 0; i < size; i++)
        assert_int_equal(host[i], BYTE);
}

static void assert_unchanged(World *world)
{
    PmMapperAudit audit = {.struct_size = sizeof(audit)};

    assert_content(world);
    assert_int_equal(pm_fake_kernel_get_n_mappings(world->fake, GROUP), N_MAPPED);
    assert_true(pm_iommu_audit(world->iommu, NULL, PM_IOMMU_AUDIT_SOLE_LOCKER, NULL));
    assert_int_equal(pm_virtio_mem_get_plugged_size(world->device), N_PLUGGED * STACK_BLOCK);
    assert_true(pm_mapper_audit(world->mapper, NULL, &audit, NULL));
}

/* --- children --- */

static Body child_body;

static bool run_body(void *world)
{
    return child_body(world);
}

void check_children(World *world, Body body)
{
    child_body = body;
    for (unsigned i = 0; i < n_ways_to_fork; i++) {
        unsigned n_calls = world->kernel.shared->n_calls;

        assert_child(ways_to_fork[i], run_body, world);
        assert_int_equal(world->kernel.shared->n_calls, n_calls);
        assert_unchanged(world);
    }
}
