/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include <plugmap/fake.h>
#include <plugmap/plugmap.h>

#include "dma/engine.h"
#include "kernel-uapi/vfio.h"
#include "util/iommu_fixture.h"

#define DEVICE      "0000:00:04.0"
#define AVOID       PM_GIB
#define AVOID_SIZE  PM_GIB
#define CONFIG_BASE ((uint64_t)VFIO_PCI_CONFIG_REGION_INDEX << 40)

static PmDmaEngine *make_engine(IommuFixture *fixture, GError **error)
{
    return pm_dma_engine_attach(fixture->iommu, fixture->kernel, DEVICE, AVOID, AVOID_SIZE, error);
}

static void edu_copies_in_both_directions(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(PmDmaEngine) engine = make_engine(fixture, NULL);
    char data[PM_DMA_PAGE];
    size_t size;

    assert_non_null(engine);
    assert_string_equal(pm_dma_engine_name(engine), "edu");
    size = pm_dma_engine_transfer_size(engine);
    assert_int_equal(size, 4088);
    assert_true(fixture_map(fixture, 0, 1, NULL));
    memset(fixture->memory, 'r', size + 1);
    assert_true(pm_dma_engine_read(engine, BASE, data, NULL));
    assert_memory_equal(data, fixture->memory, size);
    memset(data, 'w', size);
    assert_true(pm_dma_engine_write(engine, BASE, data, NULL));
    assert_memory_equal(fixture->memory, data, size);
    assert_int_equal(fixture->memory[size], 'r');
}

static void engine_has_one_mapping_until_freed(void **state)
{
    IommuFixture *fixture = *state;
    PmDmaEngine *engine = make_engine(fixture, NULL);
    PmIommuRun run;

    assert_int_equal(pm_iommu_get_n_mappings(fixture->iommu), 1);
    assert_true(pm_iommu_next_run(fixture->iommu, 0, &run));
    pm_dma_engine_free(engine);
    assert_int_equal(pm_iommu_get_n_mappings(fixture->iommu), 0);
}

/* At least one page away, wherever the region is. */
static void engine_maps_outside_the_region(void **state)
{
    static const PmIovaRange regions[] = {
        {0, PM_GIB - 1}, {PM_GIB, 2 * PM_GIB - 1}, {0x8000, 0xffff}};
    IommuFixture *fixture = *state;
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(regions); i++) {
        uint64_t size = regions[i].last - regions[i].start + 1;
        g_autoptr(PmDmaEngine) engine = pm_dma_engine_attach(fixture->iommu, fixture->kernel,
                                                             DEVICE, regions[i].start, size, NULL);
        PmIommuRun run;

        assert_non_null(engine);
        assert_true(pm_iommu_next_run(fixture->iommu, 0, &run));
        assert_true(run.iova + run.block_size < regions[i].start ||
                    run.iova > regions[i].last + PM_DMA_PAGE);
    }
}

static void region_that_leaves_no_iova_space_is_refused(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(GError) error = NULL;

    assert_null(pm_dma_engine_attach(fixture->iommu, fixture->kernel, DEVICE, 0, UINT64_C(1) << 39,
                                     &error));
    assert_error(&error, PM_ERROR_UNSUPPORTED, "no IOVA space");
}

static const PmKernelOps *fake_ops;

static ssize_t other_device_pread(PmKernel *kernel, int fd, void *buffer, size_t size,
                                  uint64_t offset)
{
    static const uint32_t id = 0x10d38086;

    if (offset != CONFIG_BASE || size != sizeof id)
        return fake_ops->pread(kernel, fd, buffer, size, offset);
    memcpy(buffer, &id, sizeof id);
    return sizeof id;
}

static void device_without_an_engine_is_refused(void **state)
{
    IommuFixture *fixture = *state;
    PmKernelOps ops = *fixture->kernel->ops;
    g_autoptr(GError) error = NULL;

    fake_ops = fixture->kernel->ops;
    ops.pread = other_device_pread;
    fixture->kernel->ops = &ops;
    assert_null(make_engine(fixture, &error));
    fixture->kernel->ops = fake_ops;
    assert_error(&error, PM_ERROR_UNSUPPORTED, "no DMA engine for 0000:00:04.0 (PCI ID 8086:10d3)");
}

static void device_that_is_not_attached_is_refused(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(GError) error = NULL;

    assert_null(
        pm_dma_engine_attach(fixture->iommu, fixture->kernel, "0000:00:05.0", 0, 0, &error));
    assert_error(&error, PM_ERROR_NOT_FOUND, "0000:00:05.0 is in no IOMMU group");
}

static void failure_of_any_call_leaves_nothing_mapped(void **state)
{
    IommuFixture *fixture = *state;
    uint64_t n_failed = 0;
    bool made = false;

    while (!made) {
        g_autoptr(GError) error = NULL;
        PmDmaEngine *engine;

        pm_fake_kernel_fail(fixture->kernel, PM_FAKE_CALL_ANY, n_failed + 1, EIO);
        engine = make_engine(fixture, &error);
        pm_fake_kernel_clear_faults(fixture->kernel);
        made = engine != NULL;
        assert_true(made || error != NULL);
        pm_dma_engine_free(engine);
        assert_int_equal(pm_iommu_get_n_mappings(fixture->iommu), 0);
        assert_int_equal(pm_fake_kernel_get_n_mappings(fixture->kernel, GROUP), 0);
        n_failed += !made;
    }
    assert_true(n_failed >= 7);
}

/* With type1 opening the device attaches it; a failed engine detaches it. */
static void failure_of_any_call_restores_the_device(void **state)
{
    IommuFixture *fixture = *state;
    uint64_t n_open = pm_fake_kernel_get_n_open(fixture->kernel);
    uint64_t n_failed = 0;
    PmDmaEngine *engine;

    for (;;) {
        pm_fake_kernel_fail(fixture->kernel, PM_FAKE_CALL_ANY, n_failed + 1, EIO);
        engine = make_engine(fixture, NULL);
        pm_fake_kernel_clear_faults(fixture->kernel);
        if (engine != NULL)
            break;
        assert_int_equal(pm_fake_kernel_get_n_open(fixture->kernel), n_open);
        assert_false(pm_iommu_detach(fixture->iommu, DEVICE, NULL));
        n_failed++;
    }
    assert_true(n_failed >= 7);
    pm_dma_engine_free(engine);
    assert_true(pm_iommu_detach(fixture->iommu, DEVICE, NULL));
}

/* A device that was attached before stays attached, with its file open. */
static void failure_keeps_an_attached_device(void **state)
{
    IommuFixture *fixture = *state;
    int fd = pm_iommu_open_device(fixture->iommu, DEVICE, NULL);

    assert_true(fd >= 0);
    pm_fake_kernel_fail(fixture->kernel, PM_FAKE_CALL_MAP, 1, EIO);
    assert_null(make_engine(fixture, NULL));
    assert_int_equal(pm_iommu_open_device(fixture->iommu, DEVICE, NULL), fd);
    assert_true(pm_iommu_detach(fixture->iommu, DEVICE, NULL));
}

static bool is_bus_master(IommuFixture *fixture)
{
    const uint64_t command_register = CONFIG_BASE + 0x04;
    int fd = pm_iommu_open_device(fixture->iommu, DEVICE, NULL);
    uint16_t command = 0;

    assert_int_equal(
        fixture->kernel->ops->pread(fixture->kernel, fd, &command, 2, command_register), 2);
    return (GUINT16_FROM_LE(command) & 0x4) != 0;
}

static void bus_mastering_is_restored_when_the_engine_is_freed(void **state)
{
    IommuFixture *fixture = *state;
    PmDmaEngine *engine;

    assert_false(is_bus_master(fixture));
    engine = make_engine(fixture, NULL);
    assert_true(is_bus_master(fixture));
    pm_dma_engine_free(engine);
    assert_false(is_bus_master(fixture));
}

static void failed_engine_leaves_bus_mastering_off(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(GError) error = NULL;

    assert_false(is_bus_master(fixture));
    /* The first register read, after PCI ID and command. */
    pm_fake_kernel_fail(fixture->kernel, PM_FAKE_CALL_PREAD, 3, EIO);
    assert_null(make_engine(fixture, &error));
    assert_error(&error, PM_ERROR_KERNEL, "of region 0 of " DEVICE);
    assert_false(is_bus_master(fixture));
}

static struct {
    IommuFixture *fixture;
    PmDmaEngineKind kind;
    unsigned n_stops;
} stopped;

static void note_stop(PmDmaEngine *engine)
{
    stopped.n_stops++;
    assert_true(is_bus_master(stopped.fixture));
    assert_int_equal(pm_iommu_get_n_mappings(stopped.fixture->iommu), 1);
    pm_edu_engine.stop(engine);
}

static void engine_is_stopped_before_its_memory_is_unmapped(void **state)
{
    PmDmaEngine *engine;

    stopped.fixture = *state;
    stopped.kind = pm_edu_engine;
    stopped.kind.stop = note_stop;
    engine = make_engine(*state, NULL);
    engine->kind = &stopped.kind;
    pm_dma_engine_free(engine);
    assert_int_equal(stopped.n_stops, 1);
}

static void failed_transfer_is_an_error(void **state)
{
    static const PmFakeCall calls[] = {PM_FAKE_CALL_PREAD, PM_FAKE_CALL_PWRITE};
    IommuFixture *fixture = *state;
    g_autoptr(PmDmaEngine) engine = make_engine(fixture, NULL);
    char data[PM_DMA_PAGE];
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(calls); i++) {
        g_autoptr(GError) error = NULL;

        pm_fake_kernel_fail(fixture->kernel, calls[i], 1, EIO);
        assert_false(pm_dma_engine_read(engine, BASE, data, &error));
        assert_non_null(strstr(error->message, "of region 0 of " DEVICE " failed"));
        assert_error(&error, PM_ERROR_KERNEL, "EIO (Input/output error); check that the device is");
    }
}

#define EDU_COMMAND (((uint64_t)VFIO_PCI_BAR0_REGION_INDEX << 40) + 0x98)

static unsigned n_busy; /* number of times that edu reports busy */

static ssize_t busy_edu_pread(PmKernel *kernel, int fd, void *buffer, size_t size, uint64_t offset)
{
    ssize_t n_read = fake_ops->pread(kernel, fd, buffer, size, offset);

    if (offset == EDU_COMMAND && n_busy > 0) {
        n_busy--;
        *(uint32_t *)buffer |= 1;
    }
    return n_read;
}

static void edu_that_reports_busy_is_slow(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(PmDmaEngine) engine = make_engine(fixture, NULL);
    PmKernelOps ops = *fixture->kernel->ops;
    char data[PM_DMA_PAGE];

    assert_true(pm_dma_engine_read(engine, BASE, data, NULL));
    assert_false(pm_dma_engine_is_slow(engine));
    fake_ops = fixture->kernel->ops;
    ops.pread = busy_edu_pread;
    fixture->kernel->ops = &ops;
    n_busy = 2;
    assert_true(pm_dma_engine_read(engine, BASE, data, NULL));
    assert_int_equal(n_busy, 0);
    assert_true(pm_dma_engine_is_slow(engine));
    assert_true(pm_dma_engine_read(engine, BASE, data, NULL));
    assert_true(pm_dma_engine_is_slow(engine));
    fixture->kernel->ops = fake_ops;
}

static int no_unmap_ioctl(PmKernel *kernel, int fd, unsigned long request, void *argument)
{
    return request == VFIO_IOMMU_UNMAP_DMA ? -EIO : fake_ops->ioctl(kernel, fd, request, argument);
}

static bool find_mapping(uint64_t iova, uint64_t size, const void *host, PmIommuAccess access,
                         void *user_data)
{
    (void)iova;
    (void)access;
    *(struct iovec *)user_data =
        (struct iovec){.iov_base = (void *)(uintptr_t)host, .iov_len = size};
    return false;
}

/* Otherwise the device would write to whatever the process maps there next. */
static void memory_is_kept_if_unmap_fails(void **state)
{
    IommuFixture *fixture = *state;
    PmDmaEngine *engine = make_engine(fixture, NULL);
    PmKernelOps ops = *fixture->kernel->ops;
    struct iovec memory = {0};

    assert_false(pm_fake_kernel_foreach_mapping(fixture->kernel, GROUP, find_mapping, &memory));
    fake_ops = fixture->kernel->ops;
    ops.ioctl = no_unmap_ioctl;
    fixture->kernel->ops = &ops;
    pm_dma_engine_free(engine);
    fixture->kernel->ops = fake_ops;
    assert_int_equal(pm_fake_kernel_get_n_mappings(fixture->kernel, GROUP), 1);
    assert_int_equal(msync(memory.iov_base, memory.iov_len, MS_ASYNC), 0);
    assert_int_equal(munmap(memory.iov_base, memory.iov_len), 0);
}

#define ENGINE_TEST(name)                                                                          \
    cmocka_unit_test_setup_teardown(name, iommu_fixture_setup, iommu_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ENGINE_TEST(edu_copies_in_both_directions),
        ENGINE_TEST(engine_has_one_mapping_until_freed),
        ENGINE_TEST(engine_maps_outside_the_region),
        ENGINE_TEST(region_that_leaves_no_iova_space_is_refused),
        ENGINE_TEST(device_without_an_engine_is_refused),
        ENGINE_TEST(device_that_is_not_attached_is_refused),
        ENGINE_TEST(failure_of_any_call_leaves_nothing_mapped),
        ENGINE_TEST(failure_of_any_call_restores_the_device),
        ENGINE_TEST(failure_keeps_an_attached_device),
        ENGINE_TEST(bus_mastering_is_restored_when_the_engine_is_freed),
        ENGINE_TEST(failed_engine_leaves_bus_mastering_off),
        ENGINE_TEST(engine_is_stopped_before_its_memory_is_unmapped),
        ENGINE_TEST(failed_transfer_is_an_error),
        ENGINE_TEST(edu_that_reports_busy_is_slow),
        ENGINE_TEST(memory_is_kept_if_unmap_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
