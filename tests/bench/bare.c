/* SPDX-License-Identifier: MIT */
#include "bare.h"

#include "bench_util.h"
#include "kernel-uapi/iommufd.h"
#include "kernel-uapi/vfio.h"

static void call(const Bare *bare, int fd, unsigned long request, void *argument, const char *what)
{
    if (bare->kernel->ops->ioctl(bare->kernel, fd, request, argument) < 0)
        bench_die(what, NULL);
}

static void open_type1(Bare *bare, const char *device)
{
    g_autofree char *link = g_strdup_printf("/sys/bus/pci/devices/%s/iommu_group", device);
    g_autofree char *target = g_file_read_link(link, NULL);
    g_autofree char *number = target != NULL ? g_path_get_basename(target) : NULL;
    g_autofree char *path = g_strdup_printf("/dev/vfio/%s", number);

    bare->space = bench_open(bare->kernel, "/dev/vfio/vfio");
    bare->member = bench_open(bare->kernel, path);
    call(bare, bare->member, VFIO_GROUP_SET_CONTAINER, &bare->space, "VFIO_GROUP_SET_CONTAINER");
    call(bare, bare->space, VFIO_SET_IOMMU, GUINT_TO_POINTER(VFIO_TYPE1v2_IOMMU), "VFIO_SET_IOMMU");
}

static void open_iommufd(Bare *bare, const char *device)
{
    g_autofree char *folder = g_strdup_printf("/sys/bus/pci/devices/%s/vfio-dev", device);
    g_autoptr(GDir) files = g_dir_open(folder, 0, NULL);
    const char *name = files != NULL ? g_dir_read_name(files) : NULL;
    g_autofree char *path = g_strdup_printf("/dev/vfio/devices/%s", name);
    struct iommu_ioas_alloc alloc = {.size = sizeof alloc};
    struct vfio_device_bind_iommufd bind = {.argsz = sizeof bind};
    struct vfio_device_attach_iommufd_pt attach = {.argsz = sizeof attach};

    bare->space = bind.iommufd = bench_open(bare->kernel, "/dev/iommu");
    bare->member = bench_open(bare->kernel, path);
    call(bare, bare->space, IOMMU_IOAS_ALLOC, &alloc, "IOMMU_IOAS_ALLOC");
    call(bare, bare->member, VFIO_DEVICE_BIND_IOMMUFD, &bind, "VFIO_DEVICE_BIND_IOMMUFD");
    bare->ioas = attach.pt_id = alloc.out_ioas_id;
    call(bare, bare->member, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach,
         "VFIO_DEVICE_ATTACH_IOMMUFD_PT");
}

void bare_open(Bare *bare, PmKernel *kernel, PmIommuBackend backend, const char *device)
{
    *bare = (Bare){.kernel = kernel, .backend = backend};
    if (backend == PM_IOMMU_IOMMUFD)
        open_iommufd(bare, device);
    else
        open_type1(bare, device);
}

void bare_close(Bare *bare)
{
    bare->kernel->ops->close(bare->kernel, bare->member);
    bare->kernel->ops->close(bare->kernel, bare->space);
}

static void map_type1(const Bare *bare, uint64_t iova, const void *host, uint64_t size)
{
    struct vfio_iommu_type1_dma_map map = {
        .argsz = sizeof map,
        .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
        .vaddr = (uintptr_t)host,
        .iova = iova,
        .size = size,
    };

    call(bare, bare->space, VFIO_IOMMU_MAP_DMA, &map, "VFIO_IOMMU_MAP_DMA");
}

static void map_iommufd(const Bare *bare, uint64_t iova, const void *host, uint64_t size)
{
    struct iommu_ioas_map map = {
        .size = sizeof map,
        .flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE,
        .ioas_id = bare->ioas,
        .user_va = (uintptr_t)host,
        .length = size,
        .iova = iova,
    };

    call(bare, bare->space, IOMMU_IOAS_MAP, &map, "IOMMU_IOAS_MAP");
}

void bare_map(const Bare *bare, uint64_t iova, const void *host, uint64_t size)
{
    if (bare->backend == PM_IOMMU_IOMMUFD)
        map_iommufd(bare, iova, host, size);
    else
        map_type1(bare, iova, host, size);
}

void bare_unmap(const Bare *bare, uint64_t iova, uint64_t size)
{
    struct vfio_iommu_type1_dma_unmap type1 = {.argsz = sizeof type1, .iova = iova, .size = size};
    struct iommu_ioas_unmap iommufd = {
        .size = sizeof iommufd, .ioas_id = bare->ioas, .iova = iova, .length = size};

    if (bare->backend == PM_IOMMU_IOMMUFD)
        call(bare, bare->space, IOMMU_IOAS_UNMAP, &iommufd, "IOMMU_IOAS_UNMAP");
    else
        call(bare, bare->space, VFIO_IOMMU_UNMAP_DMA, &type1, "VFIO_IOMMU_UNMAP_DMA");
}

const char *bare_backend_name(PmIommuBackend backend)
{
    return backend == PM_IOMMU_IOMMUFD ? "iommufd" : "type1";
}
