/* SPDX-License-Identifier: MIT */
/* The type1 interface of the fake's iommufd, where it differs from type1's own. */

#include "util/device_util.h"
#include "util/iommufd_util.h"

/* An iommufd instead of a container; no device is open. */
typedef struct {
    Kernel *kernel;
    int group;
} Compat;

static Compat compat_new(void)
{
    Compat compat = {.kernel = iommufd_new_fake(NULL)};
    Kernel *kernel = compat.kernel;

    assert_int_equal(kernel_close(kernel, kernel->device), 0);
    assert_int_equal(iommufd_destroy(kernel, kernel->ioas), 0);
    compat.group = kernel_open(kernel, "/dev/vfio/1");
    assert_int_equal(kernel_ioctl(kernel, compat.group, VFIO_GROUP_SET_CONTAINER, &kernel->iommu),
                     0);
    return compat;
}

static void compat_free(Compat *compat)
{
    kernel_free(compat->kernel);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Compat, compat_free)

static int open_device(Compat *compat)
{
    compat->kernel->device =
        kernel_ioctl(compat->kernel, compat->group, VFIO_GROUP_GET_DEVICE_FD, (char *)DEVICE);
    return compat->kernel->device;
}

static int set_iommu(Compat *compat, uintptr_t type)
{
    return iommufd_ioctl(compat->kernel, VFIO_SET_IOMMU, (void *)type);
}

static int map(Compat *compat, uint64_t iova, const char *host, uint64_t size)
{
    struct vfio_iommu_type1_dma_map request = {
        .argsz = sizeof(request),
        .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
        .vaddr = (uintptr_t)host,
        .iova = iova,
        .size = size,
    };

    return iommufd_ioctl(compat->kernel, VFIO_IOMMU_MAP_DMA, &request);
}

static int unmap(Compat *compat, uint32_t flags, uint64_t iova, uint64_t size, uint64_t *n_bytes)
{
    struct vfio_iommu_type1_dma_unmap request = {
        .argsz = sizeof(request),
        .flags = flags,
        .iova = iova,
        .size = size,
    };
    int result = iommufd_ioctl(compat->kernel, VFIO_IOMMU_UNMAP_DMA, &request);

    *n_bytes = request.size;
    return result;
}

static void compat_requests_without_an_ioas_fail_with_enodev(void **state)
{
    g_auto(Compat) compat = compat_new();
    struct iommu_vfio_ioas clear = {.size = sizeof(clear), .op = IOMMU_VFIO_IOAS_CLEAR};

    (void)state;
    assert_int_equal(iommufd_ioctl(compat.kernel, IOMMU_VFIO_IOAS, &clear), 0);
    assert_int_equal(set_iommu(&compat, VFIO_TYPE1v2_IOMMU), -ENODEV);
    assert_int_equal(set_iommu(&compat, VFIO_UNMAP_ALL), -EINVAL);
    assert_int_equal(map(&compat, 0, compat.kernel->memory, PAGE), -ENODEV);
    assert_int_equal(open_device(&compat), -ENODEV);
    assert_int_equal(
        iommufd_ioctl(compat.kernel, VFIO_CHECK_EXTENSION, (void *)(uintptr_t)VFIO_DMA_CC_IOMMU),
        -ENODEV);
    clear.op = IOMMU_VFIO_IOAS_GET;
    assert_int_equal(iommufd_ioctl(compat.kernel, IOMMU_VFIO_IOAS, &clear), -ENODEV);
}

static void group_set_container_creates_the_ioas(void **state)
{
    g_auto(Compat) compat = compat_new();
    struct iommu_vfio_ioas get = {.size = sizeof(get), .op = IOMMU_VFIO_IOAS_GET};
    struct vfio_group_status status = {.argsz = sizeof(status)};

    (void)state;
    assert_int_equal(iommufd_ioctl(compat.kernel, IOMMU_VFIO_IOAS, &get), 0);
    assert_int_equal(get.ioas_id, 1);
    assert_int_equal(kernel_ioctl(compat.kernel, compat.group, VFIO_GROUP_GET_STATUS, &status), 0);
    assert_int_equal(status.flags, 3);
    assert_int_equal(iommufd_destroy(compat.kernel, 1), 0);
    assert_int_equal(iommufd_ioctl(compat.kernel, IOMMU_VFIO_IOAS, &get), -ENODEV);
}

static void opening_a_device_attaches_it(void **state)
{
    g_auto(Compat) compat = compat_new();
    Kernel *kernel = compat.kernel;
    int device;

    (void)state;
    assert_int_equal(map(&compat, 0, kernel->memory, PAGE), 0);
    assert_int_equal(pm_fake_kernel_get_pinned(kernel->pm), 0);
    device = open_device(&compat);
    assert_true(device >= 0);
    assert_int_equal(pm_fake_kernel_get_pinned(kernel->pm), PAGE);
    assert_int_equal(kernel_n_inspected(kernel), 1);
    assert_int_equal(kernel_close(kernel, device), 0);
    assert_int_equal(pm_fake_kernel_get_pinned(kernel->pm), 0);
}

static void device_open_fails_with_unpinnable_areas(void **state)
{
    g_auto(Compat) compat = compat_new();
    uint64_t n_bytes;

    (void)state;
    assert_int_equal(map(&compat, 0, (char *)PAGE, PAGE), 0);
    assert_int_equal(open_device(&compat), -EFAULT);
    assert_int_equal(unmap(&compat, VFIO_DMA_UNMAP_FLAG_ALL, 0, 0, &n_bytes), 0);
    assert_int_equal(n_bytes, PAGE);
    assert_true(open_device(&compat) >= 0);
    assert_int_equal(map(&compat, 0, (char *)PAGE, PAGE), -EFAULT);
}

static void group_can_be_closed_while_a_device_is_open(void **state)
{
    g_auto(Compat) compat = compat_new();
    Kernel *kernel = compat.kernel;
    int device = open_device(&compat);

    (void)state;
    assert_int_equal(map(&compat, 0, kernel->memory, PAGE), 0);
    assert_int_equal(kernel_ioctl(kernel, compat.group, VFIO_GROUP_UNSET_CONTAINER, NULL), 0);
    assert_int_equal(kernel_ioctl(kernel, compat.group, VFIO_GROUP_UNSET_CONTAINER, NULL), -EINVAL);
    assert_int_equal(kernel_n_inspected(kernel), 1);
    assert_int_equal(kernel_close(kernel, device), 0);
    assert_int_equal(pm_fake_kernel_get_pinned(kernel->pm), 0);
}

static void failed_unmap_returns_the_size_it_removed(void **state)
{
    g_auto(Compat) compat = compat_new();
    uint64_t n_bytes;

    (void)state;
    assert_int_equal(map(&compat, 0, compat.kernel->memory, PAGE), 0);
    assert_int_equal(map(&compat, PAGE, compat.kernel->memory, 2 * PAGE), 0);
    assert_int_equal(unmap(&compat, 0, 0, 2 * PAGE, &n_bytes), -ENOENT);
    assert_int_equal(n_bytes, PAGE);
    assert_int_equal(unmap(&compat, 0, 0, PAGE, &n_bytes), 0);
    assert_int_equal(n_bytes, 0);
    assert_int_equal(unmap(&compat, 0, 1, 7, &n_bytes), 0);
    assert_int_equal(unmap(&compat, 0, PAGE, UINT64_MAX, &n_bytes), -EOVERFLOW);
    assert_int_equal(unmap(&compat, VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP, 0, PAGE, &n_bytes),
                     -EINVAL);
}

static void a_shortened_unmap_removes_the_first_half(void **state)
{
    g_auto(Compat) compat = compat_new();
    uint64_t n_bytes;

    (void)state;
    assert_int_equal(map(&compat, 0, compat.kernel->memory, PAGE), 0);
    assert_int_equal(map(&compat, PAGE, compat.kernel->memory, PAGE), 0);
    pm_fake_kernel_shorten_unmap(compat.kernel->pm, 1);
    assert_int_equal(unmap(&compat, VFIO_DMA_UNMAP_FLAG_ALL, 0, 0, &n_bytes), 0);
    assert_int_equal(n_bytes, PAGE);
}

static void version_1_unmaps_parts_of_mappings(void **state)
{
    g_auto(Compat) compat = compat_new();
    Kernel *kernel = compat.kernel;
    uint64_t n_bytes;

    (void)state;
    assert_int_equal(set_iommu(&compat, VFIO_TYPE1_IOMMU), 0);
    assert_true(open_device(&compat) >= 0);
    memset(kernel->memory, 0x11, 8 * PAGE);
    assert_int_equal(map(&compat, 0, kernel->memory, 8 * PAGE), 0);
    assert_int_equal(unmap(&compat, 0, 2 * PAGE, 3 * PAGE, &n_bytes), 0);
    assert_int_equal(n_bytes, 3 * PAGE);
    assert_int_equal(kernel_n_inspected(kernel), 2);
    assert_int_equal(pm_fake_kernel_get_pinned(kernel->pm), 5 * PAGE);
    kernel->ioas = 1;
    assert_int_equal(device_peek_word(kernel, PAGE), 0x11111111);
    assert_int_equal(device_peek_word(kernel, 2 * PAGE), 0);
    assert_int_equal(device_peek_word(kernel, 5 * PAGE), 0x11111111);
}

static void get_info_grows_with_the_ranges(void **state)
{
    g_auto(Compat) compat = compat_new();
    union {
        struct vfio_iommu_type1_info info;
        uint8_t bytes[128];
    } response;
    struct vfio_info_cap_header header;

    (void)state;
    memset(&response, 0, sizeof(response));
    response.info.argsz = sizeof(response);
    assert_int_equal(iommufd_ioctl(compat.kernel, VFIO_IOMMU_GET_INFO, &response), 0);
    assert_int_equal(response.info.argsz, 72);
    assert_int_equal(response.info.iova_pgsizes, ~UINT64_C(0xfff));
    assert_true(open_device(&compat) >= 0);
    response.info.argsz = 87;
    assert_int_equal(iommufd_ioctl(compat.kernel, VFIO_IOMMU_GET_INFO, &response), 0);
    assert_int_equal(response.info.argsz, 88);
    assert_int_equal(response.info.cap_offset, 0);
    assert_int_equal(iommufd_ioctl(compat.kernel, VFIO_IOMMU_GET_INFO, &response), 0);
    assert_int_equal(response.info.cap_offset, 24);
    assert_int_equal(response.info.iova_pgsizes, 0x40201000);
    memcpy(&header, response.bytes + 24, sizeof(header));
    assert_int_equal(header.id, VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL);
    assert_int_equal(header.next, 40);
    memcpy(&header, response.bytes + 40, sizeof(header));
    assert_int_equal(header.id, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE);
    assert_int_equal(header.next, 0);
}

static void compat_lacks_nesting_noiommu_vaddr_and_dirty_pages(void **state)
{
    g_auto(Compat) compat = compat_new();
    static const uintptr_t absent[] = {6, VFIO_NOIOMMU_IOMMU, VFIO_UPDATE_VADDR};
    static const uintptr_t present[] = {VFIO_TYPE1_IOMMU, VFIO_TYPE1v2_IOMMU, VFIO_UNMAP_ALL};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(absent); i++) {
        assert_int_equal(iommufd_ioctl(compat.kernel, VFIO_CHECK_EXTENSION, (void *)absent[i]), 0);
        assert_int_equal(iommufd_ioctl(compat.kernel, VFIO_CHECK_EXTENSION, (void *)present[i]), 1);
    }
    assert_int_equal(iommufd_ioctl(compat.kernel, VFIO_GET_API_VERSION, NULL), 0);
    assert_int_equal(iommufd_ioctl(compat.kernel, VFIO_IOMMU_DIRTY_PAGES, NULL), -ENOTTY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compat_requests_without_an_ioas_fail_with_enodev),
        cmocka_unit_test(group_set_container_creates_the_ioas),
        cmocka_unit_test(opening_a_device_attaches_it),
        cmocka_unit_test(device_open_fails_with_unpinnable_areas),
        cmocka_unit_test(group_can_be_closed_while_a_device_is_open),
        cmocka_unit_test(failed_unmap_returns_the_size_it_removed),
        cmocka_unit_test(a_shortened_unmap_removes_the_first_half),
        cmocka_unit_test(version_1_unmaps_parts_of_mappings),
        cmocka_unit_test(get_info_grows_with_the_ranges),
        cmocka_unit_test(compat_lacks_nesting_noiommu_vaddr_and_dirty_pages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
