/* SPDX-License-Identifier: MIT */

#include "fake_iommufd_util.h"
#include <plugmap/fake.h>

/* Registers of «edu», and its buffer. */
#define REG_SOURCE      0x80
#define REG_DESTINATION 0x88
#define REG_COUNT       0x90
#define REG_COMMAND     0x98
#define START           1
#define FROM_DEVICE     2
#define BUFFER          0x40000
#define CONFIG_COMMAND  ((UINT64_C(7) << 40) + 4)

PmFakeConfig iommufd_config(void)
{
    PmFakeConfig config;

    pm_fake_config_init(&config);
    config.iommufd = true;
    return config;
}

Iommufd *iommufd_new(const PmFakeConfig *config)
{
    PmFakeConfig defaults = iommufd_config();
    Iommufd *iommufd = g_new0(Iommufd, 1);

    iommufd->kernel = pm_fake_kernel_new(config != NULL ? config : &defaults, NULL);
    assert_non_null(iommufd->kernel);
    iommufd->iommufd = iommufd_open(iommufd, "/dev/iommu");
    iommufd->device = iommufd_open(iommufd, "/dev/vfio/devices/vfio0");
    assert_true(iommufd->iommufd >= 0 && iommufd->device >= 0);
    assert_int_equal(iommufd_bind(iommufd, iommufd->device, &iommufd->device_id), 0);
    iommufd->ioas = iommufd_new_ioas(iommufd);
    iommufd->memory =
        mmap(NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(iommufd->memory, MAP_FAILED);
    return iommufd;
}

Iommufd *iommufd_attached(const PmFakeConfig *config)
{
    Iommufd *iommufd = iommufd_new(config);
    uint32_t pt_id = iommufd->ioas;

    assert_int_equal(iommufd_attach(iommufd, iommufd->device, &pt_id), 0);
    return iommufd;
}

void iommufd_free(Iommufd *iommufd)
{
    munmap(iommufd->memory, MEMORY_SIZE);
    pm_kernel_unref(iommufd->kernel);
    g_free(iommufd);
}

int iommufd_open(Iommufd *iommufd, const char *path)
{
    return iommufd->kernel->ops->open(iommufd->kernel, path, O_RDWR | O_CLOEXEC);
}

int iommufd_close(Iommufd *iommufd, int fd)
{
    return iommufd->kernel->ops->close(iommufd->kernel, fd);
}

int iommufd_ioctl(Iommufd *iommufd, int fd, unsigned long request, void *argument)
{
    return iommufd->kernel->ops->ioctl(iommufd->kernel, fd, request, argument);
}

int iommufd_call(Iommufd *iommufd, unsigned long request, void *argument)
{
    return iommufd_ioctl(iommufd, iommufd->iommufd, request, argument);
}

int iommufd_bind(Iommufd *iommufd, int device, uint32_t *device_id)
{
    struct vfio_device_bind_iommufd bind = {
        .argsz = sizeof(bind),
        .iommufd = iommufd->iommufd,
    };
    int result = iommufd_ioctl(iommufd, device, VFIO_DEVICE_BIND_IOMMUFD, &bind);

    if (device_id != NULL)
        *device_id = bind.out_devid;
    return result;
}

int iommufd_attach(Iommufd *iommufd, int device, uint32_t *pt_id)
{
    struct vfio_device_attach_iommufd_pt attach = {.argsz = sizeof(attach), .pt_id = *pt_id};
    int result = iommufd_ioctl(iommufd, device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach);

    *pt_id = attach.pt_id;
    return result;
}

int iommufd_detach(Iommufd *iommufd, int device)
{
    struct vfio_device_detach_iommufd_pt detach = {.argsz = sizeof(detach)};

    return iommufd_ioctl(iommufd, device, VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach);
}

uint32_t iommufd_new_ioas(Iommufd *iommufd)
{
    struct iommu_ioas_alloc alloc = {.size = sizeof(alloc)};

    assert_int_equal(iommufd_call(iommufd, IOMMU_IOAS_ALLOC, &alloc), 0);
    return alloc.out_ioas_id;
}

int iommufd_destroy(Iommufd *iommufd, uint32_t id)
{
    struct iommu_destroy destroy = {.size = sizeof(destroy), .id = id};

    return iommufd_call(iommufd, IOMMU_DESTROY, &destroy);
}

int iommufd_map(Iommufd *iommufd, uint64_t iova, const void *host, uint64_t length)
{
    struct iommu_ioas_map map = {
        .size = sizeof(map),
        .flags = FIXED,
        .ioas_id = iommufd->ioas,
        .user_va = (uintptr_t)host,
        .length = length,
        .iova = iova,
    };

    return iommufd_call(iommufd, IOMMU_IOAS_MAP, &map);
}

int iommufd_unmap(Iommufd *iommufd, uint64_t iova, uint64_t length, uint64_t *n_bytes)
{
    struct iommu_ioas_unmap unmap = {
        .size = sizeof(unmap),
        .ioas_id = iommufd->ioas,
        .iova = iova,
        .length = length,
    };
    int result = iommufd_call(iommufd, IOMMU_IOAS_UNMAP, &unmap);

    if (n_bytes != NULL)
        *n_bytes = unmap.length;
    return result;
}

int iommufd_map_file(Iommufd *iommufd, uint64_t iova, int fd, uint64_t start, uint64_t length)
{
    struct iommu_ioas_map_file map = {
        .size = sizeof(map),
        .flags = FIXED,
        .ioas_id = iommufd->ioas,
        .fd = fd,
        .start = start,
        .length = length,
        .iova = iova,
    };

    return iommufd_call(iommufd, IOMMU_IOAS_MAP_FILE, &map);
}

uint64_t iommufd_n_areas(Iommufd *iommufd)
{
    return pm_fake_kernel_get_n_mappings(iommufd->kernel, 1);
}

void iommufd_assert_charged(Iommufd *iommufd, uint64_t pinned, uint64_t user, uint64_t process)
{
    PmLockedMemory locked;

    assert_int_equal(pm_fake_kernel_get_pinned(iommufd->kernel), pinned);
    assert_int_equal(pm_fake_kernel_get_user_locked(iommufd->kernel), user);
    assert_int_equal(pm_fake_kernel_get_locked(iommufd->kernel), process);
    assert_int_equal(iommufd->kernel->ops->locked_memory(iommufd->kernel, &locked), 0);
    assert_int_equal(locked.used, process);
    assert_int_equal(locked.pinned, pinned);
}

static void write_register(Iommufd *iommufd, uint64_t offset, uint64_t value)
{
    assert_int_equal(iommufd->kernel->ops->pwrite(iommufd->kernel, iommufd->device, &value,
                                                  sizeof(value), offset),
                     sizeof(value));
}

static void transfer(Iommufd *iommufd, uint64_t source, uint64_t destination, uint64_t command)
{
    const uint16_t enable = 0x0107; /* with bus mastering */

    assert_int_equal(iommufd->kernel->ops->pwrite(iommufd->kernel, iommufd->device, &enable,
                                                  sizeof(enable), CONFIG_COMMAND),
                     sizeof(enable));
    write_register(iommufd, REG_SOURCE, source);
    write_register(iommufd, REG_DESTINATION, destination);
    write_register(iommufd, REG_COUNT, sizeof(uint32_t));
    write_register(iommufd, REG_COMMAND, command);
}

/* The buffer cannot be read but by DMA: so the word goes back out to memory of our own. */
uint32_t iommufd_dma_read(Iommufd *iommufd, uint64_t iova)
{
    const uint64_t place = UINT64_C(0x7f00000000);
    volatile uint32_t *word = (volatile uint32_t *)(iommufd->memory + MEMORY_SIZE - PAGE);

    assert_int_equal(iommufd_map(iommufd, place, (void *)word, PAGE), 0);
    transfer(iommufd, iova, BUFFER, START);
    transfer(iommufd, BUFFER, place, START | FROM_DEVICE);
    assert_int_equal(iommufd_unmap(iommufd, place, PAGE, NULL), 0);
    return *word;
}

void iommufd_dma_write(Iommufd *iommufd, uint64_t iova, uint32_t value)
{
    const uint64_t place = UINT64_C(0x7f00000000);
    volatile uint32_t *word = (volatile uint32_t *)(iommufd->memory + MEMORY_SIZE - PAGE);

    *word = value;
    assert_int_equal(iommufd_map(iommufd, place, (void *)word, PAGE), 0);
    transfer(iommufd, place, BUFFER, START);
    transfer(iommufd, BUFFER, iova, START | FROM_DEVICE);
    assert_int_equal(iommufd_unmap(iommufd, place, PAGE, NULL), 0);
}
