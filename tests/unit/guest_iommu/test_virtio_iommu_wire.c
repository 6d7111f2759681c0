/* SPDX-License-Identifier: MIT */
/* The requests that programs make are those that the specification has. */
#include <plugmap/virtio_iommu_wire.h>

#include "wire_util.h"

static void assert_same(const PmVirtioIommuRequest *request, const Wire *expected)
{
    assert_int_equal(request->size, expected->size);
    assert_memory_equal(request->bytes, expected->bytes, sizeof(expected->bytes));
}

static void requests_have_the_wire_format(void **state)
{
    const PmGuestMapping mapping = {0x1122334455667000, 0x1122334455667fff, 0x8877665544332000,
                                    PM_IOMMU_WRITE, PM_GUEST_MAPPING_MMIO};
    PmVirtioIommuRequest request;
    Wire expected;

    (void)state;
    pm_virtio_iommu_request_attach(&request, 0x11223344, 0x55667788, 0x99aabbcc);
    expected = attach_request(0x11223344, 0x55667788, 0x99aabbcc);
    assert_same(&request, &expected);
    pm_virtio_iommu_request_detach(&request, 0x11223344, 0x55667788);
    expected = detach_request(0x11223344, 0x55667788);
    assert_same(&request, &expected);
    pm_virtio_iommu_request_map(&request, 0x11223344, &mapping);
    expected = map_request(0x11223344, mapping.iova, mapping.last, mapping.address, WRITE | MMIO);
    assert_same(&request, &expected);
    pm_virtio_iommu_request_unmap(&request, 0x11223344, mapping.iova, mapping.last);
    expected = unmap_request(0x11223344, mapping.iova, mapping.last);
    assert_same(&request, &expected);
    pm_virtio_iommu_request_probe(&request, 0x11223344);
    expected = probe_request(0x11223344);
    assert_same(&request, &expected);
}

static void access_becomes_flags(void **state)
{
    PmGuestMapping mapping = {.last = 0xfff};
    PmVirtioIommuRequest request;

    (void)state;
    for (unsigned access = 0; access <= PM_IOMMU_READ_WRITE; access++) {
        mapping.access = (PmIommuAccess)access;
        pm_virtio_iommu_request_map(&request, 1, &mapping);
        assert_int_equal(get32(request.bytes + MAP_FLAGS), access);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_have_the_wire_format),
        cmocka_unit_test(access_becomes_flags),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
