/* SPDX-License-Identifier: MIT */
#include "fork_util.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backend_util.h"

#define GROUP 1

/* --- the kernel --- */

static PmKernel *count(PmKernel *kernel)
{
    ForkKernel *counting = (ForkKernel *)kernel;

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
    PmKernel *next = ((ForkKernel *)kernel)->next;

    return next->ops->close(next, fd);
}

static int counting_ioctl(PmKernel *kernel, int fd, unsigned long fork_request, void *argument)
{
    PmKernel *next = count(kernel);

    return next->ops->ioctl(next, fd, fork_request, argument);
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
    PmKernel *next = ((ForkKernel *)kernel)->next;

    return next->ops->lock_limit(next, locked);
}

static int counting_locked_memory(PmKernel *kernel, PmLockedMemory *locked)
{
    PmKernel *next = ((ForkKernel *)kernel)->next;

    return next->ops->locked_memory(next, locked);
}

static void counting_free(PmKernel *kernel G_GNUC_UNUSED)
{
}

/* Nothing is ever mapped. */
static const PmKernelOps counting_ops = {
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

static ForkShared *make_shared(void)
{
    void *shared =
        mmap(NULL, sizeof(ForkShared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    assert_ptr_not_equal(shared, MAP_FAILED);
    return shared;
}

bool fork_request(ForkWorld *world, uint16_t type, unsigned first, uint16_t n_blocks,
                  GError **error)
{
    const struct virtio_mem_req wire = {
        .type = GUINT16_TO_LE(type),
        .u.plug = {.addr = GUINT64_TO_LE(STACK_ADDRESS + first * STACK_BLOCK),
                   .nb_blocks = GUINT16_TO_LE(n_blocks)},
    };
    struct virtio_mem_resp response;

    return pm_virtio_mem_handle(world->device, &wire, sizeof wire, &response, sizeof response,
                                error);
}

int fork_world_set_up(void **state)
{
    ForkWorld *world = g_new0(ForkWorld, 1);
    PmVirtioMemConfig config = {.address = STACK_ADDRESS,
                                .block_size = STACK_BLOCK,
                                .requested_size = STACK_N_BLOCKS * STACK_BLOCK};

    *state = world;
    world->fake = backend_fake_new(NULL, NULL);
    world->kernel = (ForkKernel){.next = world->fake, .shared = make_shared()};
    pm_kernel_init(&world->kernel.parent, &counting_ops, NULL);
    world->iommu = backend_open(&world->kernel.parent, 0, NULL);
    world->ram = pm_ram_new(PM_RAM_MEMFD, STACK_N_BLOCKS * STACK_BLOCK, STACK_BLOCK, NULL);
    config.ram = world->ram;
    world->device = pm_virtio_mem_new(&config, NULL);
    world->mapper = pm_mapper_new(world->iommu);
    assert_true(pm_mapper_add_managed(world->mapper, STACK_ADDRESS,
                                      pm_virtio_mem_get_manager(world->device), 0, NULL));
    assert_true(fork_request(world, VIRTIO_MEM_REQ_PLUG, 0, FORK_N_PLUGGED, NULL));
    memset(pm_ram_get_host(world->ram), FORK_BYTE, FORK_N_PLUGGED * STACK_BLOCK);
    return 0;
}

int fork_world_tear_down(void **state)
{
    ForkWorld *world = *state;

    pm_mapper_free(world->mapper);
    pm_virtio_mem_free(world->device);
    pm_iommu_unref(world->iommu);
    pm_ram_unref(world->ram);
    pm_kernel_unref(world->fake);
    (void)munmap(world->kernel.shared, sizeof(ForkShared));
    g_free(world);
    return 0;
}

/* By the mapping and by the file. */
static void assert_content(ForkWorld *world)
{
    uint64_t size = FORK_N_PLUGGED * STACK_BLOCK;
    const char *host = pm_ram_get_host(world->ram);
    g_autofree char *file = g_malloc(size);

    assert_int_equal(pread(pm_ram_get_fd(world->ram, NULL), file, size, 0), size);
    assert_memory_equal(file, host, size);
    for (uint64_t i = 0; i < size; i++)
        assert_int_equal(host[i], FORK_BYTE);
}

static void assert_unchanged(ForkWorld *world)
{
    PmMapperAudit audit;

    assert_content(world);
    assert_int_equal(pm_fake_kernel_get_n_mappings(world->fake, GROUP), FORK_N_PLUGGED);
    assert_int_equal(pm_virtio_mem_get_plugged_size(world->device), FORK_N_PLUGGED * STACK_BLOCK);
    assert_true(pm_mapper_audit(world->mapper, &audit, NULL));
}

/* --- children --- */

/* The thread sanitizer lives on only in children that come by fork(). */
#ifdef __SANITIZE_THREAD__
static pid_t (*const ways_to_fork[])(void) = {fork};
#else
/* As a program may do that does not want fork()'s handlers. */
static pid_t clone_raw(void)
{
    return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static pid_t (*const ways_to_fork[])(void) = {fork, _Fork, clone_raw};
#endif

/* What a child does has to be told by its exit status: cmocka would go on with the next test. */
static void assert_child(pid_t (*make_child)(void), ForkBody body, ForkWorld *world)
{
    int status;
    pid_t child = make_child();

    assert_true(child >= 0);
    if (child == 0)
        _exit(body(world) ? 0 : 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

void fork_run_children(ForkBody body, ForkWorld *world)
{
    for (size_t i = 0; i < G_N_ELEMENTS(ways_to_fork); i++)
        assert_child(ways_to_fork[i], body, world);
}

void fork_check_children(ForkWorld *world, ForkBody body)
{
    unsigned n_calls = world->kernel.shared->n_calls;

    for (size_t i = 0; i < G_N_ELEMENTS(ways_to_fork); i++) {
        assert_child(ways_to_fork[i], body, world);
        assert_int_equal(world->kernel.shared->n_calls, n_calls);
        assert_unchanged(world);
    }
}

bool fork_is_refused(bool done, GError *error)
{
    bool refused = !done && g_error_matches(error, PM_ERROR, PM_ERROR_PERMISSION) &&
                   strstr(error->message, "forked") != NULL;

    if (!refused)
        fprintf(stderr, "not refused as it should be: %s\n", error != NULL ? error->message : "");
    g_clear_error(&error);
    return refused;
}
