/* SPDX-License-Identifier: MIT */
/* Every system call of a run with two devices fails once, with several errnos: the error of the
 * library has that errno. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include <plugmap/fake.h>
#include <plugmap/plugmap.h>

#include "util/backend_util.h"

#define BLOCK    (2 * PM_MIB)
#define N_BLOCKS 4
#define BASE     UINT64_C(0x100000000)
#define FIRST    "0000:00:04.0"
#define SECOND   "0000:00:05.0"

typedef struct {
    PmKernel *kernel;
    PmRam *ram;
    PmIommu *iommu;
    PmIommuClaim *claim;
    int device;
} World;

/* --- steps, each of which the kernel can fail --- */

static bool open_address_space(World *world, GError **error)
{

    world->iommu = backend_open_device(world->kernel, FIRST, error);
    return world->iommu != NULL;
}

static bool attach(World *world, GError **error)
{
    return pm_iommu_attach(world->iommu, SECOND, error);
}

static bool open_device(World *world, GError **error)
{
    world->device = pm_iommu_open_device(world->iommu, FIRST, error);
    return world->device >= 0;
}

static bool claim(World *world, GError **error)
{
    const PmIommuClaimConfig config = {.struct_size = sizeof(config),
                                       .owner = "the test",
                                       .ram = world->ram,
                                       .iova = BASE,
                                       .size = N_BLOCKS * BLOCK,
                                       .block_size = BLOCK};

    world->claim = pm_iommu_claim_new(world->iommu, &config, error);
    return world->claim != NULL;
}

static bool track(World *world, GError **error)
{
    return !backend_is_iommufd() || pm_iommu_set_dirty_tracking(world->iommu, true, error);
}

static bool map(World *world, GError **error)
{
    return pm_iommu_claim_map(world->claim, 0, N_BLOCKS * BLOCK, 0, PM_IOMMU_READ_WRITE, error);
}

static bool query_available(World *world, GError **error)
{
    uint64_t n_mappings;

    return pm_iommu_query_available(world->iommu, &n_mappings, error);
}

static bool read_dirty(World *world, GError **error)
{
    uint64_t bitmap[N_BLOCKS * BLOCK / (64 * PM_KIB) / 64] = {0};

    return !backend_is_iommufd() ||
           pm_iommu_read_dirty(world->iommu, BASE, N_BLOCKS * BLOCK, 64 * PM_KIB, bitmap, error);
}

static bool stop_tracking(World *world, GError **error)
{
    return !backend_is_iommufd() || pm_iommu_set_dirty_tracking(world->iommu, false, error);
}

static bool unmap(World *world, GError **error)
{
    return pm_iommu_claim_unmap(world->claim, 0, BLOCK, error);
}

static bool release(World *world, GError **error)
{
    return pm_iommu_claim_release(world->claim, error);
}

static bool detach(World *world, GError **error)
{
    return pm_iommu_detach(world->iommu, SECOND, error);
}

typedef bool (*Step)(World *world, GError **error);

static const Step steps[] = {open_address_space, attach,     open_device,   claim, track,   map,
                             query_available,    read_dirty, stop_tracking, unmap, release, detach};

/* --- the run --- */

static void world_init(World *world)
{
    PmFakeConfig config;

    pm_fake_config_init(&config);
    config.dirty_tracking = true;
    *world = (World){.kernel = backend_fake_new(&config, NULL)};
    assert_true(pm_fake_kernel_add_device(world->kernel, 2, SECOND, "vfio-pci", NULL));
    world->ram = pm_ram_new(PM_RAM_ANONYMOUS, N_BLOCKS * BLOCK, BLOCK, NULL);
}

static void world_clear(World *world)
{
    pm_fake_kernel_clear_faults(world->kernel);
    g_clear_pointer(&world->claim, pm_iommu_claim_unref);
    g_clear_pointer(&world->iommu, pm_iommu_unref);
    pm_ram_unref(world->ram);
    assert_int_equal(pm_fake_kernel_get_n_open(world->kernel), 0);
    pm_kernel_unref(world->kernel);
}

static uint64_t n_calls(const World *world)
{
    return pm_fake_kernel_get_n_calls(world->kernel, PM_FAKE_CALL_ANY);
}

/* Call @nth fails. Returns whether a step failed: the library works around some errors. */
static bool live(uint64_t nth, int error_number, uint64_t *n_called)
{
    World world;
    bool failed = false;

    world_init(&world);
    pm_fake_kernel_fail(world.kernel, PM_FAKE_CALL_ANY, nth, error_number);
    for (size_t i = 0; i < G_N_ELEMENTS(steps); i++) {
        g_autoptr(GError) error = NULL;
        uint64_t before = n_calls(&world);

        if (steps[i](&world, &error))
            continue;
        /* Else it failed earlier, where the library worked around it. */
        failed = before < nth && nth <= n_calls(&world);
        if (failed && pm_error_get_errno(error) != error_number)
            fail_msg("call %u refused with errno %d, and step %zu says %d: %s", (unsigned)nth,
                     error_number, i, pm_error_get_errno(error), error->message);
        break;
    }
    *n_called = n_calls(&world);
    world_clear(&world);
    return failed;
}

static void error_has_the_errno_of_the_failed_call(void **state)
{
    static const int errnos[] = {EPERM,      ENOENT,     EINTR,    EIO,    ENXIO,  ENOMEM,
                                 EACCES,     EFAULT,     EBUSY,    EEXIST, ENODEV, EINVAL,
                                 ENOTTY,     ENOSPC,     ERANGE,   ECHILD, EXDEV,  EDEADLK,
                                 EADDRINUSE, EOPNOTSUPP, ETIMEDOUT};
    uint64_t n_failed = 0;
    uint64_t n_all;
    uint64_t n_called;

    (void)state;
    assert_false(live(UINT64_MAX, EXDEV, &n_all));
    for (uint64_t nth = 1; nth <= n_all; nth++)
        for (size_t i = 0; i < G_N_ELEMENTS(errnos); i++)
            n_failed += live(nth, errnos[i], &n_called);
    /* Most errors have no workaround. */
    assert_true(n_failed > n_all * G_N_ELEMENTS(errnos) / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(error_has_the_errno_of_the_failed_call),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
