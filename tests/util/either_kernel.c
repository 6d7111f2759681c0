/* SPDX-License-Identifier: MIT */
#include "util/either_kernel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "iommu/address_space.h"
#include "kernel-uapi/iommufd.h"
#include "kernel-uapi/vfio.h"
#include "kernel/kernel_calls.h"
#include "util/backend_util.h"
#include "util/kernel_util.h"

#define N_CALLS (PM_FAKE_CALL_UNMAP + 1)

typedef struct {
    PmFakeCall call;
    uint64_t at; /* number of the call, from 1 */
    int error_number;
} Fault;

/* Forwards to the host. */
typedef struct {
    PmKernel parent;
    PmKernel *host;
    uint64_t n_calls[N_CALLS];
    GArray *faults;
} RealKernel;

bool either_is_real(void)
{
    return g_strcmp0(g_getenv("PLUGMAP_KERNEL"), "host") == 0;
}

void either_needs_fake(const char *why)
{
    if (!either_is_real())
        return;
    print_message("skipped: %s\n", why);
    skip();
}

/* --- a real kernel whose calls fail --- */

static PmFakeCall kind_of(unsigned long request)
{
    switch (request) {
    case VFIO_IOMMU_MAP_DMA:
    case IOMMU_IOAS_MAP:
    case IOMMU_IOAS_MAP_FILE:
        return PM_FAKE_CALL_MAP;
    case VFIO_IOMMU_UNMAP_DMA:
    case IOMMU_IOAS_UNMAP:
        return PM_FAKE_CALL_UNMAP;
    default:
        return PM_FAKE_CALL_IOCTL;
    }
}

static bool counts_as(PmFakeCall kind, PmFakeCall counted)
{
    if (counted == PM_FAKE_CALL_IOCTL)
        return kind == PM_FAKE_CALL_IOCTL || kind == PM_FAKE_CALL_MAP || kind == PM_FAKE_CALL_UNMAP;
    return counted == PM_FAKE_CALL_ANY || counted == kind;
}

/* Counts a call and takes a fault that is due now; 0: none. */
static int take_fault(RealKernel *real, PmFakeCall kind)
{
    for (PmFakeCall call = PM_FAKE_CALL_ANY; call < N_CALLS; call++)
        real->n_calls[call] += counts_as(kind, call);
    for (guint i = 0; i < real->faults->len; i++) {
        Fault fault = g_array_index(real->faults, Fault, i);

        if (!counts_as(kind, fault.call) || fault.at != real->n_calls[fault.call])
            continue;
        g_array_remove_index(real->faults, i);
        return -fault.error_number;
    }
    return 0;
}

static int real_open(PmKernel *kernel, const char *path, int flags)
{
    RealKernel *real = (RealKernel *)kernel;
    int result = take_fault(real, PM_FAKE_CALL_OPEN);

    return result < 0 ? result : pm_kernel_open(real->host, path, flags);
}

static int real_ioctl(PmKernel *kernel, int fd, unsigned long request, void *argument)
{
    RealKernel *real = (RealKernel *)kernel;
    int result = take_fault(real, kind_of(request));

    return result < 0 ? result : pm_kernel_ioctl(real->host, fd, request, argument);
}

static void real_free(PmKernel *kernel)
{
    RealKernel *real = (RealKernel *)kernel;

    g_array_unref(real->faults);
    pm_kernel_unref(real->host);
    g_free(real);
}

/* Fails a test that asks for something else. */
static void assert_is_counted(PmFakeCall call)
{
    assert_in_range(call, PM_FAKE_CALL_ANY, PM_FAKE_CALL_UNMAP);
    assert_int_not_equal(call, PM_FAKE_CALL_CLOSE);
}

static PmKernel *real_kernel_new(void)
{
    static const PmKernelOps ops = {
        .struct_size = sizeof(ops), .open = real_open, .ioctl = real_ioctl, .free = real_free};
    RealKernel *real = g_new0(RealKernel, 1);

    (void)kernel_check(NULL); /* skips the program if this is not the VM */
    real->host = pm_kernel_host_new();
    real->faults = g_array_new(FALSE, FALSE, sizeof(Fault));
    assert_true(pm_kernel_init(&real->parent, &ops, real->host, NULL));
    return &real->parent;
}

static uint64_t real_pinned(PmKernel *kernel)
{
    PmKernel *host = ((RealKernel *)kernel)->host;
    PmLockedMemory locked = {.struct_size = sizeof(locked)};

    assert_int_equal(host->ops->locked_memory(host, &locked), 0);
    return backend_is_iommufd() ? locked.pinned : locked.used;
}

/* Of VFIO and iommufd, by the names that /proc has for them. */
static uint64_t real_n_open(void)
{
    g_autoptr(GDir) folder = g_dir_open("/proc/self/fd", 0, NULL);
    const char *name;
    uint64_t n_open = 0;

    assert_non_null(folder);
    while ((name = g_dir_read_name(folder)) != NULL) {
        g_autofree char *path = g_build_filename("/proc/self/fd", name, NULL);
        g_autofree char *target = g_file_read_link(path, NULL);

        n_open += target != NULL &&
                  (strstr(target, "vfio") != NULL || strstr(target, "/dev/iommu") != NULL);
    }
    return n_open;
}

/* --- either --- */

PmKernel *either_kernel_new(const PmFakeConfig *config)
{
    PmKernel *fake;

    if (either_is_real())
        return real_kernel_new();
    fake = backend_fake_new(config, NULL);
    assert_non_null(fake);
    assert_true(pm_fake_kernel_add_device(fake, 2, "0000:00:05.0", "vfio-pci", NULL));
    return fake;
}

/* In the VM the first is QEMU's nvme, because its edu takes 100 ms for a transfer. */
const char *either_device(unsigned index)
{
    static const char *const real[] = {"0000:00:06.0", "0000:00:05.0", "0000:00:04.0"};
    static const char *const fake[] = {"0000:00:04.0", "0000:00:05.0", "0000:00:06.0"};

    assert_in_range(index, 0, G_N_ELEMENTS(real) - 1);
    return either_is_real() ? real[index] : fake[index];
}

PmIommu *either_open(PmKernel *kernel, unsigned index)
{
    g_autoptr(GError) error = NULL;
    PmIommu *iommu = backend_open_device(kernel, either_device(index), &error);

    if (iommu == NULL)
        fail_msg("%s", error->message);
    return iommu;
}

void either_fail(PmKernel *kernel, PmFakeCall call, uint64_t nth, int error_number)
{
    RealKernel *real = (RealKernel *)kernel;
    Fault fault = {.call = call, .error_number = error_number};

    if (!either_is_real()) {
        pm_fake_kernel_fail(kernel, call, nth, error_number);
        return;
    }
    assert_is_counted(call);
    fault.at = real->n_calls[call] + nth;
    g_array_append_val(real->faults, fault);
}

void either_clear_faults(PmKernel *kernel)
{
    if (either_is_real())
        g_array_set_size(((RealKernel *)kernel)->faults, 0);
    else
        pm_fake_kernel_clear_faults(kernel);
}

uint64_t either_n_calls(PmKernel *kernel, PmFakeCall call)
{
    if (!either_is_real())
        return pm_fake_kernel_get_n_calls(kernel, call);
    assert_is_counted(call);
    return ((const RealKernel *)kernel)->n_calls[call];
}

void either_shorten_unmap(PmKernel *kernel, uint64_t nth)
{
    either_needs_fake("a real kernel does not unmap a part of what it was asked to");
    pm_fake_kernel_shorten_unmap(kernel, nth);
}

void either_set_memlock(PmKernel *kernel, uint64_t limit, bool cap_ipc_lock)
{
    either_needs_fake("root's locked memory is not limited, and other tests need it so");
    pm_fake_kernel_set_memlock(kernel, limit, cap_ipc_lock);
}

uint64_t either_n_mappings(PmKernel *kernel, unsigned index, PmIommu *iommu)
{
    g_autoptr(GError) error = NULL;

    if (!either_is_real())
        return pm_fake_kernel_get_n_mappings(kernel, index + 1);
    if (!pm_iommu_audit(iommu, NULL, 0, &error))
        fail_msg("%s", error->message);
    return pm_iommu_get_n_mappings(iommu);
}

bool either_is_mapped(PmIommu *iommu, uint64_t iova, uint64_t size)
{
    PmIommuPresence presence;

    pm_iommu_lock(iommu);
    presence = iommu->ops->probe(iommu, iova, size);
    pm_iommu_unlock(iommu);
    assert_int_not_equal(presence, PM_IOMMU_UNSURE);
    return presence == PM_IOMMU_PRESENT;
}

uint64_t either_pinned(PmKernel *kernel)
{
    return either_is_real() ? real_pinned(kernel) : backend_get_pinned(kernel);
}

uint64_t either_n_open(PmKernel *kernel)
{
    return either_is_real() ? real_n_open() : pm_fake_kernel_get_n_open(kernel);
}

void either_assert_nothing_left(PmKernel *kernel)
{
    assert_int_equal(either_pinned(kernel), 0);
    assert_int_equal(either_n_open(kernel), 0);
}
