/* SPDX-License-Identifier: MIT */
/* A region with mmap support, which the fake kernel lacks: a kernel of this file's provides it. */
#include "pci/region.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dma/engine.h"
#include "kernel-uapi/vfio.h"

#define DEVICE 7
#define NAME   "0000:00:06.0"
#define OFFSET (UINT64_C(2) << 40)
#define SIZE   4096

typedef struct {
    PmKernel parent;
    _Alignas(8) char registers[SIZE];
    unsigned n_mapped;
    int mmap_result;
} Kernel;

static int answer_ioctl(PmKernel *kernel, int fd, unsigned long request, void *argument)
{
    struct vfio_region_info *info = argument;

    (void)kernel;
    assert_int_equal(fd, DEVICE);
    assert_int_equal(request, VFIO_DEVICE_GET_REGION_INFO);
    info->flags = VFIO_REGION_INFO_FLAG_MMAP;
    info->offset = OFFSET;
    info->size = SIZE;
    return 0;
}

static int map(PmKernel *kernel, int fd, size_t size, int protection, int flags, uint64_t offset,
               void **address)
{
    Kernel *own = (Kernel *)kernel;

    (void)protection;
    (void)flags;
    assert_int_equal(fd, DEVICE);
    assert_int_equal(size, SIZE);
    assert_int_equal(offset, OFFSET);
    if (own->mmap_result < 0)
        return own->mmap_result;
    own->n_mapped++;
    *address = own->registers;
    return 0;
}

static int unmap(PmKernel *kernel, void *address, size_t size)
{
    Kernel *own = (Kernel *)kernel;

    assert_ptr_equal(address, own->registers);
    assert_int_equal(size, SIZE);
    own->n_mapped--;
    return 0;
}

/* No pread, no pwrite: they must not be called. */
static const PmKernelOps ops = {
    .struct_size = sizeof(ops), .ioctl = answer_ioctl, .mmap = map, .munmap = unmap};

static Kernel make_kernel(void)
{
    Kernel kernel = {0};

    assert_true(pm_kernel_init(&kernel.parent, &ops, NULL, NULL));
    return kernel;
}

static bool open_region(PmPciRegion *region, Kernel *kernel, GError **error)
{
    return pm_pci_region_open(region, &kernel->parent, NAME, DEVICE, 2, SIZE, error);
}

/* A leaked mapping keeps the device, its group and all pinned memory. */
static void closing_unmaps_the_registers_once(void **state)
{
    Kernel kernel = make_kernel();
    PmPciRegion region = {0};

    (void)state;
    pm_pci_region_close(&region);
    assert_true(open_region(&region, &kernel, NULL));
    assert_int_equal(kernel.n_mapped, 1);
    pm_pci_region_close(&region);
    assert_int_equal(kernel.n_mapped, 0);
    pm_pci_region_close(&region);
    assert_int_equal(kernel.n_mapped, 0);
    pm_kernel_unref(&kernel.parent);
}

static void mapped_registers_are_accessed_in_their_width(void **state)
{
    static const unsigned widths[] = {2, 4, 8};
    static const uint64_t values[] = {0x0807, 0x06050403, 0x1112131415161718};
    Kernel kernel = make_kernel();
    PmPciRegion region = {0};

    (void)state;
    assert_true(open_region(&region, &kernel, NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(widths); i++) {
        uint64_t little_endian = GUINT64_TO_LE(values[i]);
        uint64_t value = 0;

        memset(kernel.registers, 0x5a, sizeof kernel.registers);
        assert_true(pm_pci_region_write(&region, 16, widths[i], values[i], NULL));
        assert_memory_equal(kernel.registers + 16, &little_endian, widths[i]);
        assert_int_equal(kernel.registers[15], 0x5a);
        assert_int_equal(kernel.registers[16 + widths[i]], 0x5a);
        assert_true(pm_pci_region_read(&region, 16, widths[i], &value, NULL));
        assert_true(value == values[i]);
    }
    pm_pci_region_close(&region);
    pm_kernel_unref(&kernel.parent);
}

static void failure_to_map_registers_names_the_region(void **state)
{
    Kernel kernel = make_kernel();
    PmPciRegion region = {0};
    g_autoptr(GError) error = NULL;

    (void)state;
    kernel.mmap_result = -ENOMEM;
    assert_false(open_region(&region, &kernel, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_KERNEL));
    assert_non_null(strstr(error->message, "mapping 0x1000 bytes of region 2 of " NAME " failed: "
                                           "ENOMEM"));
    assert_int_equal(pm_error_get_errno(error), ENOMEM);
    pm_pci_region_close(&region);
    assert_int_equal(kernel.n_mapped, 0);
    pm_kernel_unref(&kernel.parent);
}

static void too_small_region_is_named(void **state)
{
    Kernel kernel = make_kernel();
    PmPciRegion region = {0};
    g_autoptr(GError) error = NULL;

    (void)state;
    assert_false(pm_pci_region_open(&region, &kernel.parent, NAME, DEVICE, 2, SIZE + 1, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_UNSUPPORTED));
    assert_non_null(
        strstr(error->message, "region 2 of " NAME " has 0x1000 bytes, must be at least 0x1001"));
    assert_int_equal(kernel.n_mapped, 0);
    pm_kernel_unref(&kernel.parent);
}

static void do_not_stop(PmDmaEngine *engine)
{
    (void)engine;
}

static void engine_that_is_freed_has_closed_its_registers(void **state)
{
    static const PmDmaEngineKind kind = {.stop = do_not_stop};
    Kernel kernel = make_kernel();
    PmDmaEngine *engine = g_new0(PmDmaEngine, 1);

    (void)state;
    engine->kind = &kind;
    assert_true(open_region(&engine->registers, &kernel, NULL));
    pm_dma_engine_free(engine);
    assert_int_equal(kernel.n_mapped, 0);
    pm_kernel_unref(&kernel.parent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closing_unmaps_the_registers_once),
        cmocka_unit_test(mapped_registers_are_accessed_in_their_width),
        cmocka_unit_test(failure_to_map_registers_names_the_region),
        cmocka_unit_test(too_small_region_is_named),
        cmocka_unit_test(engine_that_is_freed_has_closed_its_registers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
