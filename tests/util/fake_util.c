/* SPDX-License-Identifier: MIT */

#include "util/fake_util.h"
#include <plugmap/fake.h>

#include "util/type1_calls.h"

Fake *fake_new(const PmFakeConfig *config)
{
    Fake *fake = g_new0(Fake, 1);

    fake->kernel = pm_fake_kernel_new(config, NULL);
    assert_non_null(fake->kernel);
    fake->container = fake_open(fake, "/dev/vfio/vfio");
    fake->group = fake_open(fake, "/dev/vfio/1");
    assert_true(fake->container >= 0 && fake->group >= 0);
    assert_int_equal(fake_ioctl(fake, fake->group, VFIO_GROUP_SET_CONTAINER, &fake->container), 0);
    fake->memory =
        mmap(NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(fake->memory, MAP_FAILED);
    return fake;
}

Fake *fake_with_iommu(const PmFakeConfig *config, unsigned long type)
{
    Fake *fake = fake_new(config);

    assert_int_equal(fake_ioctl_number(fake, fake->container, VFIO_SET_IOMMU, type), 0);
    return fake;
}

void fake_free(Fake *fake)
{
    munmap(fake->memory, MEMORY_SIZE);
    pm_kernel_unref(fake->kernel);
    g_free(fake);
}

int fake_open(Fake *fake, const char *path)
{
    return fake->kernel->ops->open(fake->kernel, path, O_RDWR | O_CLOEXEC);
}

int fake_close(Fake *fake, int fd)
{
    return fake->kernel->ops->close(fake->kernel, fd);
}

int fake_ioctl(Fake *fake, int fd, unsigned long request, void *argument)
{
    return fake->kernel->ops->ioctl(fake->kernel, fd, request, argument);
}

int fake_ioctl_number(Fake *fake, int fd, unsigned long request, unsigned long number)
{
    return fake_ioctl(fake, fd, request, (void *)(uintptr_t)number);
}

int fake_map_flags(Fake *fake, uint32_t flags, uint64_t iova, const void *host, uint64_t size)
{
    return type1_map(fake->kernel, fake->container, flags, iova, host, size);
}

int fake_map(Fake *fake, uint64_t iova, const void *host, uint64_t size)
{
    return fake_map_flags(fake, VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE, iova, host, size);
}

int fake_unmap_flags(Fake *fake, uint32_t flags, uint64_t iova, uint64_t size, uint64_t *n_bytes)
{
    return type1_unmap(fake->kernel, fake->container, flags, iova, size, n_bytes);
}

int fake_unmap(Fake *fake, uint64_t iova, uint64_t size, uint64_t *n_bytes)
{
    return fake_unmap_flags(fake, 0, iova, size, n_bytes);
}

uint32_t fake_available(Fake *fake)
{
    return type1_available(fake->kernel, fake->container);
}

uint64_t fake_n_mappings(Fake *fake)
{
    return pm_fake_kernel_get_n_mappings(fake->kernel, 1);
}

int fake_get_device(Fake *fake, const char *name)
{
    return fake_ioctl(fake, fake->group, VFIO_GROUP_GET_DEVICE_FD, (char *)name);
}
