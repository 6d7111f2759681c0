/* SPDX-License-Identifier: MIT */
/* How often plugmap reads capabilities, and what happens when cached ones are stale: a stack
 * with the host's limits and the fake kernel's device. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <cap-ng.h>
#include <errno.h>
#include <pthread.h>
#include <sys/resource.h>

#include <plugmap/fake.h>
#include <plugmap/plugmap.h>

#include "kernel-uapi/virtio_mem.h"
#include "kernel/capability.h"
#include "kernel/kernel_calls.h"
#include "util/backend_util.h"
#include "util/iommu_fixture.h"
#include "util/mapper_util.h"
#include "util/request_util.h"

#define N_BLOCKS   64
#define N_REQUESTS 100
#define N_THREADS  4

/* Replaces libcap-ng's function (ld --wrap). */
int __wrap_capng_get_caps_process(void);
int __real_capng_get_caps_process(void);
int __wrap_capng_have_capability(capng_type_t which, unsigned capability);
int __real_capng_have_capability(capng_type_t which, unsigned capability);

static int n_reads;      /* atomic */
static int read_error;   /* of subsequent reads; 0: none */
static int has_ipc_lock; /* in subsequent reads; -1: the real value */

int __wrap_capng_get_caps_process(void)
{
    g_atomic_int_inc(&n_reads);
    errno = read_error;
    return read_error != 0 ? -1 : __real_capng_get_caps_process();
}

int __wrap_capng_have_capability(capng_type_t which, unsigned capability)
{
    if (capability == CAP_IPC_LOCK && has_ipc_lock >= 0)
        return has_ipc_lock;
    return __real_capng_have_capability(which, capability);
}

/* --- the stack --- */

typedef struct {
    PmKernel kernel; /* the fake kernel's files with the host's limits */
    PmKernel *host;
    PmKernel *fake;
    PmIommu *iommu;
    PmRam *ram;
    PmVirtioMem *device;
    PmMapper *mapper;
    struct rlimit before;
} World;

static int ask_lock_limit(PmKernel *kernel, PmLockedMemory *locked)
{
    return pm_kernel_lock_limit(((World *)kernel)->host, locked);
}

static int ask_locked_memory(PmKernel *kernel, PmLockedMemory *locked)
{
    return pm_kernel_locked_memory(((World *)kernel)->host, locked);
}

static int refresh(PmKernel *kernel)
{
    return pm_kernel_refresh(((World *)kernel)->host);
}

static void leave(PmKernel *kernel G_GNUC_UNUSED)
{
}

static const PmKernelOps ops = {
    .struct_size = sizeof(ops),
    .lock_limit = ask_lock_limit,
    .locked_memory = ask_locked_memory,
    .refresh = refresh,
    .free = leave,
};

static void set_limit(const World *world, uint64_t n_bytes)
{
    struct rlimit limit = {.rlim_cur = MIN(n_bytes, world->before.rlim_max),
                           .rlim_max = world->before.rlim_max};

    assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
}

static int make(void **state)
{
    World *world = g_new0(World, 1);
    PmVirtioMemConfig config = {.struct_size = sizeof(config),
                                .address = BASE,
                                .block_size = BLOCK,
                                .requested_size = N_BLOCKS * BLOCK};

    n_reads = 0;
    read_error = 0;
    has_ipc_lock = 0;
    assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &world->before), 0);
    world->host = pm_kernel_host_new();
    world->fake = pm_fake_kernel_new(NULL, NULL);
    assert_true(pm_kernel_init(&world->kernel, &ops, world->fake, NULL));
    world->iommu = backend_open(&world->kernel, 0, NULL);
    assert_non_null(world->iommu);
    world->ram = pm_ram_new(PM_RAM_ANONYMOUS, N_BLOCKS * BLOCK, BLOCK, NULL);
    config.ram = world->ram;
    world->device = pm_virtio_mem_new(&config, NULL);
    world->mapper = pm_mapper_new(world->iommu);
    assert_true(mapper_add_all(world->mapper, BASE, world->ram, PM_MAPPER_OVERCOMMIT, NULL));
    *state = world;
    return 0;
}

static int drop(void **state)
{
    World *world = *state;

    assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &world->before), 0);
    pm_mapper_free(world->mapper);
    pm_virtio_mem_free(world->device);
    pm_ram_unref(world->ram);
    pm_iommu_unref(world->iommu);
    pm_kernel_unref(&world->kernel);
    pm_kernel_unref(world->fake);
    pm_kernel_unref(world->host);
    g_free(world);
    return 0;
}

/* Plugs or unplugs the first block. Returns the response type; @error: the cause of a refusal. */
static int request(World *world, uint16_t type, GError **error)
{
    return send_request(world->device, type, BASE, 1, error);
}

static void plug(World *world)
{
    assert_int_equal(request(world, VIRTIO_MEM_REQ_PLUG, NULL), VIRTIO_MEM_RESP_ACK);
}

static void unplug(World *world)
{
    assert_int_equal(request(world, VIRTIO_MEM_REQ_UNPLUG, NULL), VIRTIO_MEM_RESP_ACK);
}

/* --- tests --- */

static void all_requests_together_read_capabilities_once(void **state)
{
    World *world = *state;
    const uint64_t limits[] = {N_BLOCKS * BLOCK, UINT64_MAX};

    if (world->before.rlim_max < BLOCK)
        skip();
    for (size_t i = 0; i < G_N_ELEMENTS(limits); i++) {
        set_limit(world, limits[i]);
        for (unsigned j = 0; j < N_REQUESTS; j++) {
            plug(world);
            assert_true(pm_mapper_audit(world->mapper, NULL, NULL, NULL));
            /* Fails, because the fake kernel's memory does not count on the host. */
            (void)pm_iommu_audit(world->iommu, NULL, PM_IOMMU_AUDIT_SOLE_LOCKER, NULL);
            unplug(world);
        }
    }
    assert_int_equal(n_reads, 1);
}

static void gained_capability_is_noticed_before_refusing(void **state)
{
    World *world = *state;

    set_limit(world, 0);
    has_ipc_lock = 1;
    plug(world);
    assert_int_equal(n_reads, 2);
    unplug(world);
    plug(world);
    assert_int_equal(n_reads, 2);
}

static void refused_request_rereads_capabilities(void **state)
{
    World *world = *state;

    set_limit(world, 0);
    for (int i = 1; i <= 3; i++) {
        assert_int_equal(request(world, VIRTIO_MEM_REQ_PLUG, NULL), VIRTIO_MEM_RESP_BUSY);
        assert_int_equal(n_reads, 1 + i);
    }
}

/* The kernel fails MAP, and the message states the current capability. */
static void error_reflects_a_dropped_capability(void **state)
{
    World *world = *state;
    g_autoptr(GError) error = NULL;
    PmIommuClaimConfig config = {.struct_size = sizeof(config),
                                 .owner = "the test",
                                 .iova = 0,
                                 .size = BLOCK,
                                 .block_size = BLOCK};
    g_autoptr(PmIommuClaim) claim = NULL;
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_ANONYMOUS, BLOCK, BLOCK, NULL);

    has_ipc_lock = 1;
    assert_int_equal(pm_kernel_refresh(&world->kernel), 0);
    set_limit(world, 4096);
    pm_fake_kernel_set_memlock(world->fake, 4096, false);
    has_ipc_lock = 0;
    config.ram = ram;
    claim = pm_iommu_claim_new(world->iommu, &config, NULL);
    assert_true(pm_iommu_claim_check_room(claim, BLOCK, NULL));
    assert_false(pm_iommu_claim_map(claim, 0, BLOCK, 0, PM_IOMMU_READ, &error));
    assert_error(&error, PM_ERROR_LOCKED_MEMORY,
                 "the mapping needs 2M of locked memory, and 0 of the limit of 4K are in use");
    assert_false(pm_iommu_claim_check_room(claim, BLOCK, &error));
    assert_error(&error, PM_ERROR_LOCKED_MEMORY, "2M more of locked memory are needed");
}

static void failure_to_read_capabilities_is_reported(void **state)
{
    World *world = *state;
    PmLockedMemory locked = {.struct_size = sizeof(locked)};
    GError *error = NULL;

    read_error = EACCES;
    assert_false(pm_iommu_query_locked_memory(world->iommu, &locked, &error));
    assert_error(&error, PM_ERROR_KERNEL, "cannot read the locked-memory limit: EACCES");
    set_limit(world, 0);
    assert_int_equal(request(world, VIRTIO_MEM_REQ_PLUG, NULL), VIRTIO_MEM_RESP_BUSY);
    read_error = 0;
    has_ipc_lock = 1;
    plug(world);
}

static void the_callers_libcap_ng_state_is_kept(void **state)
{
    bool effective;

    (void)state;
    has_ipc_lock = -1;
    capng_clear(CAPNG_SELECT_BOTH);
    assert_int_equal(capng_update(CAPNG_ADD, CAPNG_EFFECTIVE, CAP_SYS_NICE), 0);
    assert_int_equal(pm_capability_read(CAP_IPC_LOCK, &effective), 0);
    assert_true(capng_have_capability(CAPNG_EFFECTIVE, CAP_SYS_NICE));
    assert_false(capng_have_capability(CAPNG_EFFECTIVE, CAP_IPC_LOCK));
    assert_int_equal(capng_have_capabilities(CAPNG_SELECT_CAPS), CAPNG_PARTIAL);
}

/* init has all capabilities; this process dropped one. */
static void capabilities_are_the_threads_despite_capng_setpid(void **state)
{
    bool effective;

    (void)state;
    has_ipc_lock = -1;
    assert_int_equal(capng_get_caps_process(), 0);
    if (!capng_have_capability(CAPNG_EFFECTIVE, CAP_IPC_LOCK))
        skip();
    capng_update(CAPNG_DROP, CAPNG_EFFECTIVE, CAP_IPC_LOCK);
    assert_int_equal(capng_apply(CAPNG_SELECT_CAPS), 0);
    capng_setpid(1);
    assert_int_equal(pm_capability_read(CAP_IPC_LOCK, &effective), 0);
    assert_false(effective);
    capng_setpid(gettid());
    assert_int_equal(capng_get_caps_process(), 0);
    capng_update(CAPNG_ADD, CAPNG_EFFECTIVE, CAP_IPC_LOCK);
    assert_int_equal(capng_apply(CAPNG_SELECT_CAPS), 0);
    assert_int_equal(pm_capability_read(CAP_IPC_LOCK, &effective), 0);
    assert_true(effective);
}

/* Each thread keeps its own capability set meanwhile. */
static void *read_beside_others(void *user_data)
{
    unsigned own = GPOINTER_TO_UINT(user_data);
    bool right = true;
    bool effective;

    capng_clear(CAPNG_SELECT_BOTH);
    (void)capng_update(CAPNG_ADD, CAPNG_EFFECTIVE, own);
    for (unsigned i = 0; i < N_REQUESTS; i++)
        right = right && pm_capability_read(CAP_IPC_LOCK, &effective) == 0 && effective &&
                capng_have_capability(CAPNG_EFFECTIVE, own) != 0 &&
                capng_have_capability(CAPNG_EFFECTIVE, (own + 1) % N_THREADS) == 0;
    return GUINT_TO_POINTER(right);
}

static void threads_read_capabilities_concurrently(void **state)
{
    pthread_t threads[N_THREADS];
    void *right;

    (void)state;
    has_ipc_lock = 1;
    for (unsigned i = 0; i < N_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_beside_others, GUINT_TO_POINTER(i)),
                         0);
    for (unsigned i = 0; i < N_THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], &right), 0);
        assert_true(GPOINTER_TO_UINT(right));
    }
}

#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(all_requests_together_read_capabilities_once),
        WORLD_TEST(gained_capability_is_noticed_before_refusing),
        WORLD_TEST(refused_request_rereads_capabilities),
        WORLD_TEST(error_reflects_a_dropped_capability),
        WORLD_TEST(failure_to_read_capabilities_is_reported),
        cmocka_unit_test(the_callers_libcap_ng_state_is_kept),
        cmocka_unit_test(capabilities_are_the_threads_despite_capng_setpid),
        cmocka_unit_test(threads_read_capabilities_concurrently),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
