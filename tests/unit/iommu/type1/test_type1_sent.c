/* SPDX-License-Identifier: MIT */
/* Containers and groups opened by others: steps already done are neither repeated nor undone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "kernel-uapi/vfio.h"
#include "util/sent_util.h"

static void join(const Sent *sent, unsigned i, int container)
{
    assert_int_equal(sent_ioctl(sent, sent->fds[i], VFIO_GROUP_SET_CONTAINER, &container), 0);
}

static void set_iommu(const Sent *sent, uintptr_t type)
{
    assert_int_equal(sent_ioctl(sent, sent->main, VFIO_SET_IOMMU, (void *)type), 0);
}

static bool is_in_container(const Sent *sent, unsigned i)
{
    struct vfio_group_status status = {.argsz = sizeof status};

    assert_int_equal(sent_ioctl(sent, sent->fds[i], VFIO_GROUP_GET_STATUS, &status), 0);
    return (status.flags & VFIO_GROUP_FLAGS_CONTAINER_SET) != 0;
}

/* All groups are added, and each device can access what is mapped. */
static void assert_all_reach(Sent *sent)
{
    g_autoptr(PmIommuClaim) claim = NULL;

    sent->type1.n_group_fds = 2;
    sent_open(sent);
    claim = sent_claim(sent, 0, 1, 0);
    assert_non_null(claim);
    for (unsigned i = 0; i < 2; i++) {
        assert_true(sent_device_sees(sent, i, 0));
        assert_int_equal(pm_iommu_get_kvm_fd(sent->iommu, sent_devices[i], NULL), sent->fds[i]);
    }
}

static void several_groups_join(void **state)
{
    assert_all_reach(*state);
}

static void groups_can_be_in_the_container_already(void **state)
{
    Sent *sent = *state;

    join(sent, 0, sent->main);
    assert_all_reach(sent);
}

static void container_can_have_its_iommu_already(void **state)
{
    Sent *sent = *state;

    join(sent, 1, sent->main);
    set_iommu(sent, VFIO_TYPE1v2_IOMMU);
    assert_all_reach(sent);
}

/* A group that another process keeps using. */
static void group_that_was_in_the_container_stays_there(void **state)
{
    Sent *sent = *state;

    join(sent, 1, sent->main);
    sent->type1.n_group_fds = 2;
    sent->hooked.held_fd = sent->fds[1];
    sent_open(sent);
    g_clear_pointer(&sent->iommu, pm_iommu_unref);
    assert_true(is_in_container(sent, 1));
}

static void attached_group_that_was_in_the_container_stays_there(void **state)
{
    Sent *sent = *state;

    join(sent, 1, sent->main);
    sent->hooked.held_fd = sent->fds[1];
    sent_open(sent);
    assert_true(pm_iommu_attach_fd(sent->iommu, sent_devices[1], sent->fds[1], NULL, NULL));
    assert_true(pm_iommu_detach(sent->iommu, sent_devices[1], NULL));
    assert_false(pm_iommu_has_device(sent->iommu, sent_devices[1]));
    assert_true(is_in_container(sent, 1));
}

/* As a second try finds it. */
static void iommu_that_the_container_was_given_stays_after_a_failure(void **state)
{
    Sent *sent = *state;

    join(sent, 1, sent->main);
    sent->hooked.request = VFIO_IOMMU_GET_INFO;
    sent->hooked.result = -EIO;
    sent_assert_refused(sent, PM_ERROR_KERNEL, "EIO");
    assert_false(is_in_container(sent, 0));
    assert_true(is_in_container(sent, 1));
    sent->hooked.request = 0;
    assert_all_reach(sent);
}

static void failure_to_query_the_iommu_is_an_error(void **state)
{
    Sent *sent = *state;

    join(sent, 1, sent->main);
    set_iommu(sent, VFIO_TYPE1v2_IOMMU);
    sent->hooked.request = VFIO_IOMMU_DIRTY_PAGES;
    sent->hooked.result = -EIO;
    sent_assert_refused(sent, PM_ERROR_KERNEL, "EIO");
    assert_false(is_in_container(sent, 0));
    /* Kernels before 5.8. */
    sent->hooked.result = -ENOTTY;
    sent_open(sent);
}

static void type1_v1_iommu_is_refused(void **state)
{
    Sent *sent = *state;

    join(sent, 1, sent->main);
    set_iommu(sent, VFIO_TYPE1_IOMMU);
    sent_assert_refused(sent, PM_ERROR_UNSUPPORTED, "has a type1 (v1) IOMMU");
    assert_false(is_in_container(sent, 0));
}

static void group_of_another_container_is_refused(void **state)
{
    Sent *sent = *state;

    join(sent, 0, sent_file(sent, "/dev/vfio/vfio"));
    sent_assert_refused(sent, PM_ERROR_BUSY, "in another container");
    assert_true(is_in_container(sent, 0));
}

static void group_that_is_not_viable_is_refused_without_sysfs(void **state)
{
    Sent *sent = *state;

    assert_true(pm_fake_kernel_add_device(sent->kernel, 7, "0000:00:07.0", "vfio-pci", NULL));
    assert_true(pm_fake_kernel_add_device(sent->kernel, 7, "0000:00:07.1", "serial", NULL));
    sent->fds[1] = sent_file(sent, "/dev/vfio/7");
    sent->type1.n_group_fds = 2;
    sent_assert_refused(sent, PM_ERROR_NOT_VIABLE, "the IOMMU group of descriptor");
    assert_false(is_in_container(sent, 0));
}

static void group_that_cannot_join_is_named_by_its_descriptor(void **state)
{
    Sent *sent = *state;
    g_autofree char *name = g_strdup_printf("the IOMMU group of descriptor %d", sent->fds[0]);

    sent->hooked.request = VFIO_GROUP_SET_CONTAINER;
    sent->hooked.result = -EBUSY;
    sent_assert_refused(sent, PM_ERROR_BUSY, name);
    sent->hooked.result = -EINVAL;
    sent_assert_refused(sent, PM_ERROR_IOVA_RANGE, name);
    sent->hooked.result = -EPERM;
    sent_assert_refused(sent, PM_ERROR_NOT_VIABLE, name);
    sent->hooked.request = VFIO_SET_IOMMU;
    sent_assert_refused(sent, PM_ERROR_UNSUPPORTED, "the container of descriptor");
}

static void duplicate_group_descriptor_is_refused(void **state)
{
    Sent *sent = *state;

    sent->fds[1] = sent->fds[0];
    sent->type1.n_group_fds = 2;
    sent_assert_refused(sent, PM_ERROR_INVALID_ARGUMENT, "already in this address space");
    assert_false(is_in_container(sent, 0));
}

static void descriptors_exclude_a_device_and_a_group(void **state)
{
    Sent *sent = *state;

    sent->type1.n_group_fds = 0;
    sent_assert_refused(sent, PM_ERROR_INVALID_ARGUMENT, "group_fds is empty");
    sent->type1.n_group_fds = 1;
    sent->type1.has_group = true;
    sent_assert_refused(sent, PM_ERROR_INVALID_ARGUMENT, "more than one");
    sent->type1.has_group = false;
    sent->type1.device = sent_devices[0];
    sent_assert_refused(sent, PM_ERROR_INVALID_ARGUMENT, "more than one");
    sent->type1.has_fds = false;
    sent_assert_refused(sent, PM_ERROR_NOT_FOUND, "no PCI device");
}

static void device_of_another_group_is_not_attached(void **state)
{
    Sent *sent = *state;
    g_autoptr(GError) error = NULL;
    uint64_t n_open = sent_n_open(sent);

    sent_open(sent);
    assert_false(pm_iommu_attach_fd(sent->iommu, sent_devices[2], sent->fds[1], NULL, &error));
    assert_int_equal(pm_error_get_errno(error), ENODEV);
    assert_error(&error, PM_ERROR_NOT_FOUND, "0000:00:06.0 is not in the IOMMU group of");
    assert_int_equal(sent_n_open(sent), n_open);
    assert_false(is_in_container(sent, 1));
}

/* It leaves the container with the last of its devices. */
static void devices_of_an_attached_group_keep_it(void **state)
{
    Sent *sent = *state;
    int group;

    assert_true(pm_fake_kernel_add_device(sent->kernel, 9, "0000:00:09.0", "vfio-pci", NULL));
    assert_true(pm_fake_kernel_add_device(sent->kernel, 9, "0000:00:09.1", "vfio-pci", NULL));
    group = sent_file(sent, "/dev/vfio/9");
    sent_open(sent);
    assert_true(pm_iommu_attach_fd(sent->iommu, "0000:00:09.0", group, NULL, NULL));
    assert_true(pm_iommu_open_device(sent->iommu, "0000:00:09.1", NULL) >= 0);
    assert_int_equal(pm_iommu_get_kvm_fd(sent->iommu, "0000:00:09.1", NULL), group);
    assert_true(pm_iommu_detach(sent->iommu, "0000:00:09.0", NULL));
    assert_int_equal(pm_iommu_get_kvm_fd(sent->iommu, "0000:00:09.1", NULL), group);
    assert_true(pm_iommu_detach(sent->iommu, "0000:00:09.1", NULL));
    assert_int_equal(pm_iommu_get_kvm_fd(sent->iommu, "0000:00:09.1", NULL), -1);
}

/* Existing mappings count against the container's limit. */
static void limit_is_what_the_given_container_had_left(void **state)
{
    Sent *sent = *state;
    struct vfio_iommu_type1_dma_map mapping = {
        .argsz = sizeof mapping,
        .flags = VFIO_DMA_MAP_FLAG_READ,
        .vaddr = (uintptr_t)sent->memory,
        .iova = BASE,
        .size = BLOCK,
    };

    join(sent, 0, sent->main);
    set_iommu(sent, VFIO_TYPE1v2_IOMMU);
    assert_int_equal(sent_ioctl(sent, sent->main, VFIO_IOMMU_MAP_DMA, &mapping), 0);
    sent_open(sent);
    assert_int_equal(pm_iommu_get_mapping_limit(sent->iommu), 65534);
}

#define SENT_TEST(name) cmocka_unit_test_setup_teardown(name, sent_setup, sent_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SENT_TEST(several_groups_join),
        SENT_TEST(groups_can_be_in_the_container_already),
        SENT_TEST(container_can_have_its_iommu_already),
        SENT_TEST(group_that_was_in_the_container_stays_there),
        SENT_TEST(attached_group_that_was_in_the_container_stays_there),
        SENT_TEST(iommu_that_the_container_was_given_stays_after_a_failure),
        SENT_TEST(failure_to_query_the_iommu_is_an_error),
        SENT_TEST(type1_v1_iommu_is_refused),
        SENT_TEST(group_of_another_container_is_refused),
        SENT_TEST(group_that_is_not_viable_is_refused_without_sysfs),
        SENT_TEST(group_that_cannot_join_is_named_by_its_descriptor),
        SENT_TEST(duplicate_group_descriptor_is_refused),
        SENT_TEST(descriptors_exclude_a_device_and_a_group),
        SENT_TEST(device_of_another_group_is_not_attached),
        SENT_TEST(devices_of_an_attached_group_keep_it),
        SENT_TEST(limit_is_what_the_given_container_had_left),
    };

    (void)g_setenv("PLUGMAP_BACKEND", "type1", TRUE);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
