/* SPDX-License-Identifier: MIT */
#include "util/kernel_util.h"

#include "util/type1_calls.h"

#include <cap-ng.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#define ENTRY_LIMIT_FILE "/sys/module/vfio_iommu_type1/parameters/dma_entry_limit"

typedef struct {
    void *address;
    size_t size;
} Piece;

/* --- around a test --- */

static Kernel *new_kernel(void)
{
    Kernel *kernel = g_new0(Kernel, 1);

    kernel->files = g_array_new(false, false, sizeof(int));
    kernel->pieces = g_array_new(false, false, sizeof(Piece));
    kernel->memory =
        mmap(NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(kernel->memory, MAP_FAILED);
    return kernel;
}

int kernel_setup_closed(void **state)
{
    Kernel *kernel = new_kernel();

    *state = kernel;
    kernel_choose(kernel);
    return 0;
}

static void open_group(Kernel *kernel)
{
    kernel->container = kernel_open(kernel, CONTAINER);
    kernel->group = kernel_open(kernel, GROUP);
    assert_true(kernel->container >= 0 && kernel->group >= 0);
    assert_int_equal(kernel_join(kernel, kernel->group, kernel->container), 0);
}

int kernel_setup(void **state)
{
    kernel_setup_closed(state);
    open_group(*state);
    return 0;
}

int kernel_setup_v1(void **state)
{
    kernel_setup(state);
    return kernel_set_iommu(*state, ((Kernel *)*state)->container, VFIO_TYPE1_IOMMU);
}

int kernel_setup_v2(void **state)
{
    kernel_setup(state);
    return kernel_set_iommu(*state, ((Kernel *)*state)->container, VFIO_TYPE1v2_IOMMU);
}

int kernel_teardown(void **state)
{
    Kernel *kernel = *state;

    while (kernel->pieces->len > 0)
        kernel_munmap(kernel, g_array_index(kernel->pieces, Piece, 0).address);
    while (kernel->files->len > 0)
        kernel_close(kernel, g_array_index(kernel->files, int, 0));
    kernel_set_entry_limit(kernel, ENTRY_LIMIT);
    kernel_set_memlock(kernel, UINT64_MAX, true);
    if (!kernel->is_fake)
        kernel_set_capability(CAP_SYS_RESOURCE, true);
    kernel_free(kernel);
    return 0;
}

Kernel *kernel_new_fake_closed(const PmFakeConfig *config)
{
    Kernel *kernel = new_kernel();

    kernel->pm = pm_fake_kernel_new(config, NULL);
    assert_non_null(kernel->pm);
    kernel->is_fake = true;
    kernel->is_linux_6_1 = config != NULL && config->linux_version == PM_FAKE_LINUX_6_1;
    return kernel;
}

Kernel *kernel_new_fake(const PmFakeConfig *config)
{
    Kernel *kernel = kernel_new_fake_closed(config);

    open_group(kernel);
    return kernel;
}

Kernel *kernel_new_fake_type1(const PmFakeConfig *config, unsigned long type)
{
    Kernel *kernel = kernel_new_fake(config);

    assert_int_equal(kernel_set_iommu(kernel, kernel->container, type), 0);
    return kernel;
}

void kernel_free(Kernel *kernel)
{
    munmap(kernel->memory, MEMORY_SIZE);
    pm_kernel_unref(kernel->pm);
    g_array_unref(kernel->files);
    g_array_unref(kernel->pieces);
    g_free(kernel);
}

uint64_t kernel_n_inspected(Kernel *kernel)
{
    return pm_fake_kernel_get_n_mappings(kernel->pm, 1);
}

/* --- files --- */

static int remember(Kernel *kernel, int fd)
{
    if (fd >= 0)
        g_array_append_val(kernel->files, fd);
    return fd;
}

int kernel_open(Kernel *kernel, const char *path)
{
    return remember(kernel, kernel->pm->ops->open(kernel->pm, path, O_RDWR | O_CLOEXEC));
}

int kernel_close(Kernel *kernel, int fd)
{
    for (guint i = 0; i < kernel->files->len; i++) {
        if (g_array_index(kernel->files, int, i) == fd) {
            g_array_remove_index(kernel->files, i);
            break;
        }
    }
    return kernel->pm->ops->close(kernel->pm, fd);
}

int kernel_ioctl(Kernel *kernel, int fd, unsigned long request, void *argument)
{
    return kernel->pm->ops->ioctl(kernel->pm, fd, request, argument);
}

int kernel_ioctl_number(Kernel *kernel, int fd, unsigned long request, unsigned long number)
{
    return kernel_ioctl(kernel, fd, request, (void *)(uintptr_t)number);
}

int kernel_mmap(Kernel *kernel, int fd, size_t size, uint64_t offset, void **address)
{
    Piece piece = {.size = size};
    int result = kernel->pm->ops->mmap(kernel->pm, fd, size, PROT_READ | PROT_WRITE, MAP_SHARED,
                                       offset, &piece.address);

    if (result == 0) {
        g_array_append_val(kernel->pieces, piece);
        *address = piece.address;
    }
    return result;
}

int kernel_munmap(Kernel *kernel, void *address)
{
    size_t size = 0;

    for (guint i = 0; i < kernel->pieces->len; i++) {
        if (g_array_index(kernel->pieces, Piece, i).address == address) {
            size = g_array_index(kernel->pieces, Piece, i).size;
            g_array_remove_index(kernel->pieces, i);
            break;
        }
    }
    return kernel->pm->ops->munmap(kernel->pm, address, size);
}

/* --- groups and containers --- */

int kernel_join(Kernel *kernel, int group, int container)
{
    return kernel_ioctl(kernel, group, VFIO_GROUP_SET_CONTAINER, &container);
}

int kernel_leave(Kernel *kernel, int group)
{
    return kernel_ioctl(kernel, group, VFIO_GROUP_UNSET_CONTAINER, NULL);
}

int kernel_set_iommu(Kernel *kernel, int container, unsigned long type)
{
    return kernel_ioctl_number(kernel, container, VFIO_SET_IOMMU, type);
}

int kernel_second_container(Kernel *kernel, int *group)
{
    int container = kernel_open(kernel, CONTAINER);

    *group = kernel_open(kernel, OTHER_GROUP);
    assert_true(container >= 0 && *group >= 0);
    assert_int_equal(kernel_join(kernel, *group, container), 0);
    assert_int_equal(kernel_set_iommu(kernel, container, VFIO_TYPE1v2_IOMMU), 0);
    return container;
}

int kernel_get_device(Kernel *kernel, int group, const char *name)
{
    return remember(kernel, kernel_ioctl(kernel, group, VFIO_GROUP_GET_DEVICE_FD, (char *)name));
}

/* --- mappings --- */

int kernel_map_flags(Kernel *kernel, uint32_t flags, uint64_t iova, const void *host, uint64_t size)
{
    return type1_map(kernel->pm, kernel->container, flags, iova, host, size);
}

int kernel_map(Kernel *kernel, uint64_t iova, const void *host, uint64_t size)
{
    return kernel_map_flags(kernel, READ_WRITE, iova, host, size);
}

int kernel_unmap_flags(Kernel *kernel, uint32_t flags, uint64_t iova, uint64_t size,
                       uint64_t *n_bytes)
{
    return type1_unmap(kernel->pm, kernel->container, flags, iova, size, n_bytes);
}

int kernel_unmap(Kernel *kernel, uint64_t iova, uint64_t size, uint64_t *n_bytes)
{
    return kernel_unmap_flags(kernel, 0, iova, size, n_bytes);
}

uint32_t kernel_available(Kernel *kernel)
{
    return type1_available(kernel->pm, kernel->container);
}

uint64_t kernel_n_mappings(Kernel *kernel)
{
    return ENTRY_LIMIT - kernel_available(kernel);
}

/* --- limits --- */

uint64_t kernel_locked(Kernel *kernel)
{
    PmLockedMemory locked = {.struct_size = sizeof(locked)};

    assert_int_equal(kernel->pm->ops->locked_memory(kernel->pm, &locked), 0);
    return locked.used;
}

void kernel_set_entry_limit(Kernel *kernel, uint32_t limit)
{
    FILE *file;

    if (kernel->is_fake) {
        pm_fake_kernel_set_entry_limit(kernel->pm, limit);
        return;
    }
    file = fopen(ENTRY_LIMIT_FILE, "we");
    assert_non_null(file);
    fprintf(file, "%u", limit);
    assert_int_equal(fclose(file), 0);
}

void kernel_set_capability(int capability, bool in_effect)
{
    assert_int_equal(capng_get_caps_process(), 0);
    assert_int_equal(
        capng_update(in_effect ? CAPNG_ADD : CAPNG_DROP, CAPNG_EFFECTIVE, (unsigned)capability), 0);
    assert_int_equal(capng_apply(CAPNG_SELECT_CAPS), 0);
}

void kernel_set_memlock(Kernel *kernel, uint64_t limit, bool cap_ipc_lock)
{
    struct rlimit both = {.rlim_cur = limit == UINT64_MAX ? RLIM_INFINITY : limit,
                          .rlim_max = RLIM_INFINITY};

    if (kernel->is_fake) {
        pm_fake_kernel_set_memlock(kernel->pm, limit, cap_ipc_lock);
        return;
    }
    assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &both), 0);
    kernel_set_capability(CAP_IPC_LOCK, cap_ipc_lock);
}
