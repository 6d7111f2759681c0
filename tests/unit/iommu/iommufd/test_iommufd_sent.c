/* SPDX-License-Identifier: MIT */
/* iommufds and device cdevs opened by others: bound or not, with an IOAS or without. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "kernel-uapi/iommufd.h"
#include "kernel-uapi/vfio.h"
#include "util/sent_util.h"

#define NO_ID 4711

static void bind_to(Sent *sent, unsigned i, int iommufd)
{
    struct vfio_device_bind_iommufd bind = {.argsz = sizeof bind, .iommufd = iommufd};

    assert_int_equal(sent_ioctl(sent, sent->fds[i], VFIO_DEVICE_BIND_IOMMUFD, &bind), 0);
    sent->ids[i] = bind.out_devid;
}

static uint32_t new_ioas(const Sent *sent)
{
    struct iommu_ioas_alloc alloc = {.size = sizeof alloc};

    assert_int_equal(sent_ioctl(sent, sent->main, IOMMU_IOAS_ALLOC, &alloc), 0);
    return alloc.out_ioas_id;
}

static int destroy(const Sent *sent, uint32_t id)
{
    struct iommu_destroy request = {.size = sizeof request, .id = id};

    return sent_ioctl(sent, sent->main, IOMMU_DESTROY, &request);
}

static void attach(const Sent *sent, unsigned i, uint32_t ioas)
{
    struct vfio_device_attach_iommufd_pt request = {.argsz = sizeof request, .pt_id = ioas};

    assert_int_equal(sent_ioctl(sent, sent->fds[i], VFIO_DEVICE_ATTACH_IOMMUFD_PT, &request), 0);
}

/* --- the device's id --- */

static void id_of_the_device_is_reported(void **state)
{
    Sent *sent = *state;
    struct iommu_hw_info info = {.size = sizeof info};

    sent_open(sent);
    assert_int_not_equal(sent->ids[0], 0);
    info.dev_id = sent->ids[0];
    assert_int_equal(sent_ioctl(sent, sent->main, IOMMU_GET_HW_INFO, &info), 0);
}

static void device_id_is_optional(void **state)
{
    Sent *sent = *state;

    sent->iommufd.device_id = NULL;
    sent_open(sent);
}

static void bound_device_is_used_by_its_id(void **state)
{
    Sent *sent = *state;
    g_autoptr(PmIommuClaim) claim = NULL;
    uint32_t id;

    bind_to(sent, 0, sent->main);
    id = sent->ids[0];
    sent_open(sent);
    assert_int_equal(sent->ids[0], id);
    claim = sent_claim(sent, 0, 1, 0);
    assert_non_null(claim);
    assert_true(sent_device_sees(sent, 0, 0));
    assert_true(pm_iommu_set_dirty_tracking(sent->iommu, true, NULL));
}

static void bound_device_needs_its_id(void **state)
{
    Sent *sent = *state;

    bind_to(sent, 0, sent->main);
    sent->ids[0] = 0;
    sent_assert_refused(sent, PM_ERROR_INVALID_ARGUMENT, "set device_id to the out_devid");
    sent->iommufd.device_id = NULL;
    sent_assert_refused(sent, PM_ERROR_INVALID_ARGUMENT, "set device_id to the out_devid");
}

static void device_id_of_an_attached_device_is_refused(void **state)
{
    Sent *sent = *state;
    g_autoptr(GError) error = NULL;

    sent_open(sent);
    bind_to(sent, 1, sent->main);
    assert_false(
        pm_iommu_attach_fd(sent->iommu, sent_devices[1], sent->fds[1], &sent->ids[0], &error));
    assert_error(&error, PM_ERROR_BUSY, "it is the id of 0000:00:04.0");
    assert_false(pm_iommu_has_device(sent->iommu, sent_devices[1]));
    assert_true(
        pm_iommu_attach_fd(sent->iommu, sent_devices[1], sent->fds[1], &sent->ids[1], NULL));
}

static void unknown_device_id_is_refused(void **state)
{
    Sent *sent = *state;

    bind_to(sent, 0, sent->main);
    sent->ids[0] = NO_ID;
    sent_assert_refused(sent, PM_ERROR_INVALID_ARGUMENT, "the iommufd has no device 4711");
}

static void device_of_another_iommufd_is_refused(void **state)
{
    Sent *sent = *state;

    bind_to(sent, 0, sent_file(sent, "/dev/iommu"));
    sent_assert_refused(sent, PM_ERROR_INVALID_ARGUMENT, "the iommufd has no");
}

static void id_of_an_unbound_device_is_refused(void **state)
{
    Sent *sent = *state;

    sent->ids[0] = NO_ID;
    sent_assert_refused(sent, PM_ERROR_INVALID_ARGUMENT, "is not bound to an iommufd");
    sent->ids[0] = 0;
    sent_open(sent);
}

static void device_that_is_bound_by_another_file_is_busy(void **state)
{
    Sent *sent = *state;

    bind_to(sent, 0, sent->main);
    sent->ids[0] = 0;
    sent->iommufd.device_fd = sent_file(sent, "/dev/vfio/devices/vfio0");
    sent_assert_refused(sent, PM_ERROR_BUSY, "fuser -v /dev/vfio/devices/*");
}

/* The kernel cannot unbind a device. */
static void device_that_was_bound_before_a_failure_reports_its_id(void **state)
{
    Sent *sent = *state;

    sent->hooked.request = VFIO_DEVICE_ATTACH_IOMMUFD_PT;
    sent->hooked.result = -EIO;
    sent_assert_refused(sent, PM_ERROR_KERNEL, "EIO");
    assert_int_not_equal(sent->ids[0], 0);
    sent->hooked.request = 0;
    sent_open(sent);
}

static void failure_to_bind_a_device_says_why(void **state)
{
    Sent *sent = *state;

    sent->hooked.request = VFIO_DEVICE_BIND_IOMMUFD;
    sent->hooked.result = -EPERM;
    sent_assert_refused(sent, PM_ERROR_UNSUPPORTED, "allow_unsafe_interrupts=1");
    sent->hooked.result = -EBUSY;
    sent_assert_refused(sent, PM_ERROR_BUSY, "its IOMMU group is open");
    sent->hooked.result = -ENOTTY;
    sent_assert_refused(sent, PM_ERROR_INVALID_ARGUMENT, "is not a VFIO device cdev");
}

static void device_that_was_attached_elsewhere_is_moved(void **state)
{
    Sent *sent = *state;
    g_autoptr(PmIommuClaim) claim = NULL;

    bind_to(sent, 0, sent->main);
    attach(sent, 0, new_ioas(sent));
    sent_open(sent);
    claim = sent_claim(sent, 0, 1, 0);
    assert_non_null(claim);
    assert_true(sent_device_sees(sent, 0, 0));
}

/* --- the IOAS --- */

static void own_address_space_is_destroyed_and_others_are_not(void **state)
{
    Sent *sent = *state;
    uint32_t ioas = new_ioas(sent);

    sent->hooked.held_fd = sent->main;
    sent_open(sent);
    g_clear_pointer(&sent->iommu, pm_iommu_unref);
    assert_int_equal(sent->hooked.n_objects, 0);
    assert_int_equal(destroy(sent, ioas), 0);
}

static void given_ioas_is_not_destroyed(void **state)
{
    Sent *sent = *state;
    uint32_t ioas = sent->iommufd.ioas = new_ioas(sent);

    sent->hooked.held_fd = sent->main;
    sent_open(sent);
    g_clear_pointer(&sent->iommu, pm_iommu_unref);
    assert_int_equal(destroy(sent, ioas), 0);
}

static bool is_there(const Sent *sent, uint32_t ioas)
{
    struct iommu_ioas_iova_ranges ask = {.size = sizeof ask, .ioas_id = ioas};

    return sent_ioctl(sent, sent->main, IOMMU_IOAS_IOVA_RANGES, &ask) == -EMSGSIZE;
}

static void given_ioas_survives_a_failure(void **state)
{
    Sent *sent = *state;
    uint32_t ioas = sent->iommufd.ioas = new_ioas(sent);
    const unsigned long requests[] = {IOMMU_IOAS_IOVA_RANGES, VFIO_DEVICE_BIND_IOMMUFD,
                                      VFIO_DEVICE_ATTACH_IOMMUFD_PT};

    for (size_t i = 0; i < G_N_ELEMENTS(requests); i++) {
        sent->hooked.request = requests[i];
        sent->hooked.result = -EIO;
        sent_assert_refused(sent, PM_ERROR_KERNEL, "EIO");
        assert_true(is_there(sent, ioas));
    }
    sent->hooked.request = 0;
    pm_fake_kernel_fail(sent->kernel, PM_FAKE_CALL_IOCTL, 6, EIO);
    sent_assert_refused(sent, PM_ERROR_KERNEL, "for the valid addresses");
    assert_true(is_there(sent, ioas));
    sent_open(sent);
}

static void missing_ioas_is_refused(void **state)
{
    Sent *sent = *state;

    sent->iommufd.ioas = NO_ID;
    sent_assert_refused(sent, PM_ERROR_NOT_FOUND, "has no IOAS 4711");
    assert_int_equal(sent->ids[0], 0);
}

/* The kernel places areas of others there. */
static void given_ioas_keeps_its_allowed_iovas(void **state)
{
    Sent *sent = *state;
    g_autoptr(PmIommuClaim) claim = NULL;
    struct iommu_ioas_map map = {
        .size = sizeof map,
        .flags = IOMMU_IOAS_MAP_READABLE,
        .user_va = (uintptr_t)sent->memory,
        .length = BLOCK,
    };

    map.ioas_id = sent->iommufd.ioas = new_ioas(sent);
    sent_open(sent);
    claim = sent_claim(sent, 0, 1, 0);
    assert_non_null(claim);
    assert_int_equal(sent_ioctl(sent, sent->main, IOMMU_IOAS_MAP, &map), 0);
    assert_true(map.iova < BASE);
}

static void failure_to_attach_beside_others_says_why(void **state)
{
    Sent *sent = *state;

    sent->hooked.request = VFIO_DEVICE_ATTACH_IOMMUFD_PT;
    sent->hooked.result = -EADDRINUSE;
    sent->iommufd.ioas = new_ioas(sent);
    sent_assert_refused(sent, PM_ERROR_IOVA_RANGE, ": EADDRINUSE:");
    sent->hooked.result = -ENOMEM;
    sent_assert_refused(sent, PM_ERROR_LOCKED_MEMORY, ": ENOMEM:");
}

static void files_and_descriptors_exclude_each_other(void **state)
{
    Sent *sent = *state;

    sent->iommufd.device_file = "/dev/vfio/devices/vfio0";
    sent_assert_refused(sent, PM_ERROR_INVALID_ARGUMENT,
                        "has_fds and device_file exclude each other");
    sent->iommufd.has_fds = false;
    sent_assert_refused(sent, PM_ERROR_INVALID_ARGUMENT, "need has_fds");
    sent->iommufd.device_id = NULL;
    sent->iommufd.ioas = 1;
    sent_assert_refused(sent, PM_ERROR_INVALID_ARGUMENT, "need has_fds");
    sent->iommufd = (PmIommufdConfig){
        .struct_size = sizeof(PmIommufdConfig), .kernel = sent->iommufd.kernel, .has_fds = true};
    sent_assert_refused(sent, PM_ERROR_INVALID_ARGUMENT, "device is not set");
    sent->iommufd.has_fds = false;
    sent_assert_refused(sent, PM_ERROR_INVALID_ARGUMENT, "device is not set");
}

static void device_name_is_the_callers_choice(void **state)
{
    Sent *sent = *state;

    sent->iommufd.device = "the network card";
    sent_open(sent);
    assert_int_equal(pm_iommu_get_kvm_fd(sent->iommu, "the network card", NULL), sent->fds[0]);
}

#define SENT_TEST(name) cmocka_unit_test_setup_teardown(name, sent_setup, sent_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SENT_TEST(id_of_the_device_is_reported),
        SENT_TEST(device_id_is_optional),
        SENT_TEST(bound_device_is_used_by_its_id),
        SENT_TEST(bound_device_needs_its_id),
        SENT_TEST(device_id_of_an_attached_device_is_refused),
        SENT_TEST(unknown_device_id_is_refused),
        SENT_TEST(device_of_another_iommufd_is_refused),
        SENT_TEST(id_of_an_unbound_device_is_refused),
        SENT_TEST(device_that_is_bound_by_another_file_is_busy),
        SENT_TEST(device_that_was_bound_before_a_failure_reports_its_id),
        SENT_TEST(failure_to_bind_a_device_says_why),
        SENT_TEST(device_that_was_attached_elsewhere_is_moved),
        SENT_TEST(own_address_space_is_destroyed_and_others_are_not),
        SENT_TEST(given_ioas_is_not_destroyed),
        SENT_TEST(given_ioas_survives_a_failure),
        SENT_TEST(missing_ioas_is_refused),
        SENT_TEST(given_ioas_keeps_its_allowed_iovas),
        SENT_TEST(failure_to_attach_beside_others_says_why),
        SENT_TEST(files_and_descriptors_exclude_each_other),
        SENT_TEST(device_name_is_the_callers_choice),
    };

    (void)g_setenv("PLUGMAP_BACKEND", "iommufd", TRUE);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
