/* SPDX-License-Identifier: MIT */
/* An address space from given descriptors: nothing else is opened, and ownership of all of them is
 * taken, or of none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include <plugmap/log.h>

#include "kernel-uapi/iommufd.h"
#include "kernel-uapi/vfio.h"
#include "util/backend_util.h"
#include "util/sent_util.h"

static void given_descriptors_open_nothing_else(void **state)
{
    Sent *sent = *state;
    uint64_t n_opened = pm_fake_kernel_get_n_calls(sent->kernel, PM_FAKE_CALL_OPEN);
    g_autoptr(PmIommuClaim) claim = NULL;

    sent_open(sent);
    claim = sent_claim(sent, 0, 1, 0);
    assert_non_null(claim);
    assert_true(pm_iommu_attach_fd(sent->iommu, sent_devices[1], sent->fds[1], NULL, NULL));
    assert_true(sent_device_sees(sent, 1, 0));
    assert_int_equal(pm_fake_kernel_get_n_calls(sent->kernel, PM_FAKE_CALL_OPEN), n_opened);
}

static void device_reaches_what_is_mapped(void **state)
{
    Sent *sent = *state;
    g_autoptr(PmIommuClaim) claim = NULL;

    sent_open(sent);
    claim = sent_claim(sent, 0, 2, 1);
    assert_non_null(claim);
    assert_true(sent_device_sees(sent, 0, 1));
    assert_false(sent_device_sees(sent, 0, 0));
    assert_true(pm_iommu_audit(sent->iommu, NULL, PM_IOMMU_AUDIT_SOLE_LOCKER, NULL));
}

static void descriptors_are_closed_with_the_last_reference(void **state)
{
    Sent *sent = *state;

    sent_open(sent);
    assert_true(pm_iommu_open_device(sent->iommu, sent_devices[0], NULL) >= 0);
    g_clear_pointer(&sent->iommu, pm_iommu_unref);
    assert_int_equal(sent_n_open(sent), SENT_N - 1);
    assert_true(sent->hooked.n_objects == 0 && sent->hooked.n_attached == 0);
}

/* The process that sent them has them open as well, and KVM may have: closing ends nothing. */
static void device_is_detached_though_others_have_its_descriptor(void **state)
{
    Sent *sent = *state;
    struct vfio_group_status status = {.argsz = sizeof status};

    sent->hooked.held_fd = sent->fds[0];
    sent_open(sent);
    g_clear_pointer(&sent->iommu, pm_iommu_unref);
    assert_int_equal(sent->hooked.n_attached, 0);
    if (backend_is_iommufd())
        return;
    assert_int_equal(sent_ioctl(sent, sent->fds[0], VFIO_GROUP_GET_STATUS, &status), 0);
    assert_int_equal(status.flags & VFIO_GROUP_FLAGS_CONTAINER_SET, 0);
}

static void assert_nothing_is_left(const Sent *sent, uint64_t n_open)
{
    assert_int_equal(sent_n_open(sent), n_open);
    assert_int_equal(sent->hooked.n_objects, 0);
    assert_int_equal(sent->hooked.n_attached, 0);
}

/* A group in another container would have mappings of the address space. */
static void assert_group_is_out(const Sent *sent, unsigned i)
{
    struct vfio_group_status status = {.argsz = sizeof status};

    if (backend_is_iommufd())
        return;
    assert_int_equal(sent_ioctl(sent, sent->fds[i], VFIO_GROUP_GET_STATUS, &status), 0);
    assert_int_equal(status.flags, VFIO_GROUP_FLAGS_VIABLE);
}

/* iommufd's queries for dirty tracking and mapping by file may fail without harm. */
static void creation_that_fails_at_any_call_takes_no_descriptor(void **state)
{
    Sent *sent;
    unsigned n_failed = 0;

    for (uint64_t nth = 1; nth <= 12; nth++) {
        g_autoptr(GError) error = NULL;
        uint64_t n_open;

        (void)sent_teardown(state);
        (void)sent_setup(state);
        sent = *state;
        n_open = sent_n_open(sent);
        pm_fake_kernel_fail(sent->kernel, PM_FAKE_CALL_ANY, nth, EIO);
        sent->iommu = sent_try_to_open(sent, &error);
        pm_fake_kernel_clear_faults(sent->kernel);
        if (sent->iommu != NULL)
            continue;
        n_failed++;
        assert_error(&error, PM_ERROR_KERNEL, "EIO");
        assert_nothing_is_left(sent, n_open);
        assert_group_is_out(sent, 0);
        sent_open(sent);
        assert_int_equal(sent_n_open(sent), n_open);
        assert_true(pm_iommu_open_device(sent->iommu, sent_devices[0], NULL) >= 0);
    }
    /* Version, extension, status, joining, IOMMU, info; or IOAS, binding, attaching, ranges. */
    assert_int_equal(n_failed, backend_is_iommufd() ? 4 : 6);
}

static void attaching_that_fails_at_any_call_takes_no_descriptor(void **state)
{
    Sent *sent;
    unsigned n_failed = 0;

    for (uint64_t nth = 1; nth <= 8; nth++) {
        g_autoptr(PmIommuClaim) claim = NULL;
        g_autoptr(GError) error = NULL;
        uint64_t n_open;

        (void)sent_teardown(state);
        (void)sent_setup(state);
        sent = *state;
        sent_open(sent);
        claim = sent_claim(sent, 0, 1, 0);
        assert_non_null(claim);
        n_open = sent_n_open(sent);
        pm_fake_kernel_fail(sent->kernel, PM_FAKE_CALL_ANY, nth, EIO);
        if (pm_iommu_attach_fd(sent->iommu, sent_devices[1], sent->fds[1], &sent->ids[1], &error)) {
            pm_fake_kernel_clear_faults(sent->kernel);
            continue;
        }
        pm_fake_kernel_clear_faults(sent->kernel);
        n_failed++;
        assert_error(&error, PM_ERROR_KERNEL, "EIO");
        assert_int_equal(sent_n_open(sent), n_open);
        assert_false(pm_iommu_has_device(sent->iommu, sent_devices[1]));
        assert_int_equal(sent_n_mappings(sent, 1), 0);
        assert_group_is_out(sent, 1);
        assert_int_equal(sent_n_mappings(sent, 0), 1);
        assert_true(
            pm_iommu_attach_fd(sent->iommu, sent_devices[1], sent->fds[1], &sent->ids[1], NULL));
        assert_true(sent_device_sees(sent, 1, 0));
    }
    /* Status, joining, device, info; or binding, attaching, ranges. */
    assert_int_equal(n_failed, backend_is_iommufd() ? 3 : 4);
}

static void device_that_does_not_reach_a_claim_is_not_taken(void **state)
{
    Sent *sent = *state;
    g_autoptr(PmIommuClaim) claim = NULL;
    g_autoptr(GError) error = NULL;
    uint64_t n_open = sent_n_open(sent);

    sent_open(sent);
    claim = sent_claim(sent, 0, 1, 4);
    assert_non_null(claim);
    sent->hooked.last_iova = BASE + BLOCK / 2 - 1;
    assert_false(
        pm_iommu_attach_fd(sent->iommu, sent_devices[1], sent->fds[1], &sent->ids[1], &error));
    assert_error(&error, PM_ERROR_IOVA_RANGE, "does not reach");
    assert_int_equal(sent_n_open(sent), n_open);
    assert_group_is_out(sent, 1);
    sent->hooked.last_iova = 0;
    assert_true(
        pm_iommu_attach_fd(sent->iommu, sent_devices[1], sent->fds[1], &sent->ids[1], NULL));
}

static void attached_device_is_detached_and_its_descriptor_closed(void **state)
{
    Sent *sent = *state;
    g_autoptr(PmIommuClaim) claim = NULL;
    g_autoptr(GError) error = NULL;

    sent_open(sent);
    claim = sent_claim(sent, 0, 1, 0);
    assert_non_null(claim);
    assert_true(pm_iommu_attach_fd(sent->iommu, sent_devices[1], sent->fds[1], NULL, NULL));
    assert_true(pm_iommu_has_device(sent->iommu, sent_devices[1]));
    assert_int_equal(sent_n_mappings(sent, 1), 1);
    assert_false(pm_iommu_attach_fd(sent->iommu, sent_devices[1], sent->fds[2], NULL, &error));
    assert_error(&error, PM_ERROR_BUSY, "already attached to this address space");
    assert_true(pm_iommu_detach(sent->iommu, sent_devices[1], NULL));
    assert_int_equal(sent_n_mappings(sent, 1), 0);
    assert_int_equal(sent_n_mappings(sent, 0), 1);
    assert_int_equal(sent_n_open(sent), SENT_N);
}

static void kvm_gets_the_descriptor_that_was_given(void **state)
{
    Sent *sent = *state;
    g_autoptr(GError) error = NULL;

    sent_open(sent);
    assert_int_equal(pm_iommu_get_kvm_fd(sent->iommu, sent_devices[0], NULL), sent->fds[0]);
    assert_true(pm_iommu_attach_fd(sent->iommu, sent_devices[1], sent->fds[1], NULL, NULL));
    assert_int_equal(pm_iommu_get_kvm_fd(sent->iommu, sent_devices[1], NULL), sent->fds[1]);
    assert_int_equal(pm_iommu_get_kvm_fd(sent->iommu, sent_devices[2], &error), -1);
    assert_error(&error, PM_ERROR_NOT_FOUND, sent_devices[2]);
}

/* Opened by the library; type1's group is not the device's file. */
static void kvm_gets_a_descriptor_of_a_device_that_was_opened(void **state)
{
    Sent *sent = *state;
    g_autoptr(PmIommu) iommu = NULL;
    struct vfio_group_status status = {.argsz = sizeof status};
    int fd;

    sent_close(sent, sent->fds[0]);
    iommu = backend_open(sent->kernel, 0, NULL);
    fd = pm_iommu_get_kvm_fd(iommu, sent_devices[0], NULL);
    assert_true(fd >= 0);
    if (backend_is_iommufd()) {
        assert_int_equal(fd, pm_iommu_open_device(iommu, sent_devices[0], NULL));
        return;
    }
    assert_int_equal(sent_ioctl(sent, fd, VFIO_GROUP_GET_STATUS, &status), 0);
    assert_true(pm_iommu_has_device(iommu, sent_devices[0]));
}

static void give(Sent *sent, int main, int fd)
{
    sent->type1.container_fd = sent->iommufd.iommufd = main;
    sent->iommufd.device_fd = sent->fds[0] = fd;
}

static void descriptor_of_another_kind_is_refused(void **state)
{
    Sent *sent = *state;
    int main = sent->main;
    int fd = sent->fds[0];

    give(sent, -1, fd);
    sent_assert_refused(sent, PM_ERROR_INVALID_ARGUMENT, "descriptor -1 is not");
    give(sent, main, -1);
    sent_assert_refused(sent, PM_ERROR_INVALID_ARGUMENT, "descriptor -1 is not");
    give(sent, sent->fds[1], fd);
    sent_assert_refused(sent, PM_ERROR_INVALID_ARGUMENT, "is not a");
    give(sent, main, main);
    sent_assert_refused(sent, PM_ERROR_INVALID_ARGUMENT, "already in this address space");
    give(sent, main, 0);
    sent_assert_refused(sent, PM_ERROR_INVALID_ARGUMENT, "descriptor 0 is not a");
    give(sent, main, fd);
    sent_open(sent);
}

static void attaching_twice_is_refused(void **state)
{
    Sent *sent = *state;
    const int known[] = {-1, sent->main, sent->fds[0]};

    sent_open(sent);
    for (size_t i = 0; i < G_N_ELEMENTS(known); i++) {
        g_autoptr(GError) error = NULL;

        assert_false(pm_iommu_attach_fd(sent->iommu, sent_devices[1], known[i], NULL, &error));
        assert_error(&error, PM_ERROR_INVALID_ARGUMENT, "already in this address space");
    }
    assert_int_equal(sent_n_open(sent), SENT_N + 1);
}

/* --- others that map --- */

#define THEIRS 2 /* a block */

/* Another process has the first and the last device in an address space with one mapped block. */
static void share(Sent *sent)
{
    struct iommu_ioas_alloc alloc = {.size = sizeof alloc};
    struct iommu_ioas_map area = {
        .size = sizeof area,
        .flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE,
        .user_va = (uintptr_t)sent->memory,
        .length = BLOCK,
        .iova = BASE + THEIRS * BLOCK,
    };
    struct vfio_iommu_type1_dma_map mapping = {
        .argsz = sizeof mapping,
        .flags = VFIO_DMA_MAP_FLAG_READ,
        .vaddr = (uintptr_t)sent->memory,
        .iova = area.iova,
        .size = BLOCK,
    };
    struct vfio_device_attach_iommufd_pt attach = {.argsz = sizeof attach};

    if (!backend_is_iommufd()) {
        for (unsigned i = 0; i < SENT_N; i += 2)
            assert_int_equal(sent_ioctl(sent, sent->fds[i], VFIO_GROUP_SET_CONTAINER, &sent->main),
                             0);
        assert_int_equal(sent_ioctl(sent, sent->main, VFIO_SET_IOMMU, (void *)VFIO_TYPE1v2_IOMMU),
                         0);
        assert_int_equal(sent_ioctl(sent, sent->main, VFIO_IOMMU_MAP_DMA, &mapping), 0);
        return;
    }
    assert_int_equal(sent_ioctl(sent, sent->main, IOMMU_IOAS_ALLOC, &alloc), 0);
    area.ioas_id = attach.pt_id = sent->iommufd.ioas = alloc.out_ioas_id;
    for (unsigned i = 0; i < SENT_N; i += 2) {
        struct vfio_device_bind_iommufd bind = {.argsz = sizeof bind, .iommufd = sent->main};

        assert_int_equal(sent_ioctl(sent, sent->fds[i], VFIO_DEVICE_BIND_IOMMUFD, &bind), 0);
        sent->ids[i] = bind.out_devid;
    }
    assert_int_equal(sent_ioctl(sent, sent->fds[2], VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach), 0);
    assert_int_equal(sent_ioctl(sent, sent->main, IOMMU_IOAS_MAP, &area), 0);
}

static void mappings_of_others_survive_the_last_reference(void **state)
{
    Sent *sent = *state;

    share(sent);
    sent_open(sent);
    pm_iommu_claim_unref(sent_claim(sent, 0, 4, 1));
    g_clear_pointer(&sent->iommu, pm_iommu_unref);
    assert_int_equal(sent_n_mappings(sent, 2), 1);
    assert_int_equal(sent_n_open(sent), SENT_N - 1);
}

static void purge_leaves_what_others_have_mapped_between_the_blocks(void **state)
{
    Sent *sent = *state;
    g_autoptr(PmIommuClaim) claim = NULL;
    uint64_t offset;
    uint64_t size;

    share(sent);
    sent_open(sent);
    claim = sent_claim(sent, 0, 4, 1);
    assert_true(pm_iommu_claim_map(claim, 3 * BLOCK, BLOCK, 0, PM_IOMMU_READ, NULL));
    assert_int_equal(sent_n_mappings(sent, 2), 3);
    assert_true(pm_iommu_claim_purge(claim, NULL));
    assert_int_equal(sent_n_mappings(sent, 2), 1);
    assert_int_equal(pm_iommu_get_n_mappings(sent->iommu), 0);
    assert_false(pm_iommu_claim_next_unknown(claim, 0, &offset, &size, NULL));
}

/* Unmapping fails, so that the block is unknown, and then succeeds again. */
static void unknown_blocks_beside_what_others_have_mapped_are_settled(void **state)
{
    Sent *sent = *state;
    g_autoptr(PmIommuClaim) claim = NULL;

    share(sent);
    sent_open(sent);
    claim = sent_claim(sent, 0, 4, 1);
    pm_iommu_claim_abandon(claim);
    pm_fake_kernel_fail(sent->kernel, PM_FAKE_CALL_UNMAP, 1, EIO);
    assert_false(pm_iommu_settle(sent->iommu, NULL));
    assert_int_equal(sent_n_mappings(sent, 2), 2);
    assert_true(pm_iommu_settle(sent->iommu, NULL));
    assert_int_equal(sent_n_mappings(sent, 2), 1);
}

/* Its claim is never freed, nor what the kernel holds for it: keep both reachable for leak
 * checkers. */
static PmIommuClaim *kept_for_ever;
static const PmKernelPrivate *volatile kernel_kept_for_ever;

static void count_warning(GLogLevelFlags level, const char *message, void *user_data)
{
    *(unsigned *)user_data += level == G_LOG_LEVEL_WARNING &&
                              strstr(message, "the RAM of the test is never freed") != NULL;
}

/* Closing ends nothing, as others have the descriptors: a device may still access it. */
static void memory_still_mapped_in_a_shared_address_space_is_kept(void **state)
{
    Sent *sent = *state;
    PmIommuClaim *claim;
    unsigned n_warnings = 0;
    uint64_t offset;
    uint64_t size;

    share(sent);
    sent_open(sent);
    claim = sent_claim(sent, 0, 4, 1);
    kept_for_ever = pm_iommu_claim_ref(claim);
    kernel_kept_for_ever = sent->hooked.parent.data;
    pm_log_set_func(count_warning, &n_warnings);
    pm_iommu_claim_abandon(claim);
    pm_iommu_claim_unref(claim);
    for (unsigned nth = 1; nth <= 8; nth++)
        pm_fake_kernel_fail(sent->kernel, PM_FAKE_CALL_UNMAP, nth, EIO);
    g_clear_pointer(&sent->iommu, pm_iommu_unref);
    pm_log_set_func(NULL, NULL);
    assert_int_equal(n_warnings, 1);
    assert_non_null(kernel_kept_for_ever);
    assert_true(pm_iommu_claim_next_unknown(kept_for_ever, 0, &offset, &size, NULL));
    assert_int_equal(sent_n_mappings(sent, 2), 2);
}

static void purge_that_fails_halfway_knows_what_is_left(void **state)
{
    Sent *sent = *state;
    g_autoptr(PmIommuClaim) claim = NULL;
    PmIommuRun run;

    share(sent);
    sent_open(sent);
    claim = sent_claim(sent, 0, 4, 1);
    assert_true(pm_iommu_claim_map(claim, 3 * BLOCK, BLOCK, 0, PM_IOMMU_READ, NULL));
    pm_fake_kernel_fail(sent->kernel, PM_FAKE_CALL_UNMAP, 2, EIO);
    assert_false(pm_iommu_claim_purge(claim, NULL));
    assert_true(pm_iommu_claim_next_run(claim, 0, &run));
    assert_int_equal(run.iova, BASE + 3 * BLOCK);
    assert_int_equal(pm_iommu_get_n_mappings(sent->iommu), 1);
    assert_true(pm_iommu_claim_purge(claim, NULL));
    assert_int_equal(sent_n_mappings(sent, 2), 1);
}

static void block_that_others_have_mapped_is_refused(void **state)
{
    Sent *sent = *state;
    g_autoptr(PmIommuClaim) claim = NULL;
    g_autoptr(GError) error = NULL;

    share(sent);
    sent_open(sent);
    claim = sent_claim(sent, 0, 4, 0);
    assert_false(pm_iommu_claim_map(claim, THEIRS * BLOCK, BLOCK, 0, PM_IOMMU_READ_WRITE, &error));
    assert_error(&error, PM_ERROR_OVERLAP, "EEXIST");
    assert_int_equal(sent_n_mappings(sent, 2), 2);
}

static void audit_does_not_count_what_others_map(void **state)
{
    Sent *sent = *state;
    g_autoptr(PmIommuClaim) claim = NULL;
    struct vfio_iommu_type1_dma_unmap unmap = {
        .argsz = sizeof unmap, .iova = BASE + THEIRS * BLOCK, .size = BLOCK};

    share(sent);
    sent_open(sent);
    claim = sent_claim(sent, 0, 1, 0);
    assert_non_null(claim);
    assert_true(pm_iommu_audit(sent->iommu, NULL, 0, NULL));
    if (!backend_is_iommufd())
        assert_int_equal(sent_ioctl(sent, sent->main, VFIO_IOMMU_UNMAP_DMA, &unmap), 0);
    assert_true(pm_iommu_audit(sent->iommu, NULL, 0, NULL));
}

static void device_can_access_what_others_have_mapped(void **state)
{
    Sent *sent = *state;

    share(sent);
    sent_open(sent);
    assert_int_equal(sent_n_mappings(sent, 0), 1);
    assert_true(
        pm_iommu_attach_fd(sent->iommu, sent_devices[1], sent->fds[1], &sent->ids[1], NULL));
    assert_int_equal(sent_n_mappings(sent, 1), 1);
    assert_true(pm_iommu_detach(sent->iommu, sent_devices[1], NULL));
    assert_int_equal(sent_n_mappings(sent, 2), 1);
}

#define SENT_TEST(name) cmocka_unit_test_setup_teardown(name, sent_setup, sent_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SENT_TEST(given_descriptors_open_nothing_else),
        SENT_TEST(device_reaches_what_is_mapped),
        SENT_TEST(descriptors_are_closed_with_the_last_reference),
        SENT_TEST(device_is_detached_though_others_have_its_descriptor),
        SENT_TEST(creation_that_fails_at_any_call_takes_no_descriptor),
        SENT_TEST(attaching_that_fails_at_any_call_takes_no_descriptor),
        SENT_TEST(device_that_does_not_reach_a_claim_is_not_taken),
        SENT_TEST(attached_device_is_detached_and_its_descriptor_closed),
        SENT_TEST(kvm_gets_the_descriptor_that_was_given),
        SENT_TEST(kvm_gets_a_descriptor_of_a_device_that_was_opened),
        SENT_TEST(descriptor_of_another_kind_is_refused),
        SENT_TEST(attaching_twice_is_refused),
        SENT_TEST(mappings_of_others_survive_the_last_reference),
        SENT_TEST(purge_leaves_what_others_have_mapped_between_the_blocks),
        SENT_TEST(unknown_blocks_beside_what_others_have_mapped_are_settled),
        SENT_TEST(memory_still_mapped_in_a_shared_address_space_is_kept),
        SENT_TEST(purge_that_fails_halfway_knows_what_is_left),
        SENT_TEST(block_that_others_have_mapped_is_refused),
        SENT_TEST(audit_does_not_count_what_others_map),
        SENT_TEST(device_can_access_what_others_have_mapped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
