/* SPDX-License-Identifier: MIT */
/* Attaching and detaching, with a fake kernel that can be made to fail: what is claimed keeps its
 * addresses, and whatever fails changes nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <plugmap/fake.h>

#include <cmocka.h>

#include <errno.h>
#include <unistd.h>

#include "iommu/iommu.h"
#include "kernel-uapi/iommufd.h"
#include "kernel-uapi/vfio.h"
#include "util/backend_util.h"
#include "util/devices_util.h"
#include "util/fork_util.h"

static void devices_of_one_group_keep_it_together(void **state)
{
    Devices *devices = *state;
    g_autoptr(PmIommu) iommu = NULL;

    assert_true(pm_fake_kernel_add_device(devices->kernel, 9, "0000:00:09.0", "vfio-pci", NULL));
    assert_true(pm_fake_kernel_add_device(devices->kernel, 9, "0000:00:09.1", "vfio-pci", NULL));
    iommu = devices_open(devices, "0000:00:09.0");
    assert_true(pm_iommu_attach(iommu, "0000:00:09.1", NULL));
    assert_true(pm_iommu_detach(iommu, "0000:00:09.0", NULL));
    (void)map_block(devices, iommu, 0);
    assert_true(device_sees(devices, iommu, "0000:00:09.1", 0));
    assert_false(pm_iommu_detach(iommu, "0000:00:09.1", NULL));
}

/* Attached devices do not keep it: detaching them only closes their files. */
static void group_that_was_opened_by_its_number_stays(void **state)
{
    Devices *devices = *state;
    const PmType1Config config = {
        .struct_size = sizeof(config), .kernel = devices->kernel, .has_group = true, .group = 2};
    g_autoptr(PmIommu) iommu = pm_iommu_type1_new(&config, NULL);
    uint64_t n_open = pm_fake_kernel_get_n_open(devices->kernel);

    assert_true(pm_fake_kernel_add_device(devices->kernel, 9, "0000:00:09.0", "vfio-pci", NULL));
    (void)map_block(devices, iommu, 0);
    for (unsigned i = 0; i < 2; i++) {
        assert_true(pm_iommu_open_device(iommu, SECOND, NULL) >= 0);
        assert_true(pm_iommu_detach(iommu, SECOND, NULL));
        assert_int_equal(pm_fake_kernel_get_n_open(devices->kernel), n_open);
        assert_int_equal(pm_fake_kernel_get_n_mappings(devices->kernel, 2), 1);
    }
    assert_true(pm_iommu_attach(iommu, "0000:00:09.0", NULL));
    assert_true(pm_iommu_detach(iommu, "0000:00:09.0", NULL));
    assert_int_equal(pm_fake_kernel_get_n_mappings(devices->kernel, 9), 0);
    assert_int_equal(pm_fake_kernel_get_n_mappings(devices->kernel, 2), 1);
    devices_drop_claims(devices);
}

/* iommufd's query for dirty tracking may fail without harm. */
static void attaching_that_fails_at_any_call_changes_nothing(void **state)
{
    Devices *devices = *state;
    uint64_t n_open;
    unsigned n_failed = 0;

    (void)map_block(devices, devices->iommu, 0);
    n_open = pm_fake_kernel_get_n_open(devices->kernel);
    for (uint64_t nth = 1; nth <= 6; nth++) {
        bool attached;

        pm_fake_kernel_fail(devices->kernel, PM_FAKE_CALL_ANY, nth, EIO);
        attached = pm_iommu_attach(devices->iommu, SECOND, NULL);
        pm_fake_kernel_clear_faults(devices->kernel);
        if (attached)
            assert_true(pm_iommu_detach(devices->iommu, SECOND, NULL));
        n_failed += !attached;
        assert_int_equal(pm_fake_kernel_get_n_open(devices->kernel), n_open);
        assert_int_equal(pm_fake_kernel_get_n_mappings(devices->kernel, 2), 0);
        assert_int_equal(pm_fake_kernel_get_n_mappings(devices->kernel, 3), 1);
    }
    /* Opening, status, joining, info; or opening, binding, attaching, ranges. */
    assert_int_equal(n_failed, 4);
}

static bool try_to_detach(void *user_data)
{
    const Devices *devices = user_data;
    GError *error = NULL;
    bool detached = pm_iommu_detach(devices->iommu, SECOND, &error);

    return is_refused(detached, error);
}

static void forked_child_cannot_detach(void **state)
{
    Devices *devices = *state;

    assert_true(pm_iommu_attach(devices->iommu, SECOND, NULL));
    assert_child(fork, try_to_detach, devices);
    assert_true(pm_iommu_detach(devices->iommu, SECOND, NULL));
}

/* type1 fails to add the group, iommufd to attach the device. */
static unsigned long attach_request(void)
{
    return backend_is_iommufd() ? VFIO_DEVICE_ATTACH_IOMMUFD_PT : VFIO_GROUP_SET_CONTAINER;
}

/* --- claimed addresses --- */

#define THIRD "0000:00:09.0"

/* Fixture of the tests of claims: an address space whose kernel can be made to limit the addresses
 * an attached device leaves valid. */
typedef struct {
    Devices *devices;
    HookedKernel hooked;
    PmIommu *iommu; /* of SECOND */
} Narrowing;

static Narrowing *narrowing_new(Devices *devices)
{
    Narrowing *narrowing = g_new0(Narrowing, 1);
    Devices hooked_devices = *devices;

    narrowing->devices = devices;
    hooked_kernel_init(&narrowing->hooked, devices->kernel);
    hooked_devices.kernel = &narrowing->hooked.parent;
    assert_true(pm_fake_kernel_add_device(devices->kernel, 9, THIRD, "vfio-pci", NULL));
    narrowing->iommu = devices_open(&hooked_devices, SECOND);
    return narrowing;
}

static void narrowing_free(Narrowing *narrowing)
{
    devices_drop_claims(narrowing->devices);
    pm_iommu_unref(narrowing->iommu);
    pm_kernel_unref(&narrowing->hooked.parent);
    g_free(narrowing);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Narrowing, narrowing_free)

/* The device reaches half of the first block. */
#define NARROW (BASE + BLOCK / 2 - 1)

static uint64_t last_valid(const Narrowing *narrowing)
{
    size_t n_ranges;
    const PmIovaRange *ranges = pm_iommu_get_iova_ranges(narrowing->iommu, &n_ranges);

    return ranges[n_ranges - 1].last;
}

/* Whether or not something is mapped there. */
static void device_that_does_not_reach_a_claim_is_refused(void **state)
{
    g_autoptr(Narrowing) narrowing = narrowing_new(*state);
    g_autoptr(GError) error = NULL;
    uint64_t n_open;

    (void)claim_block(*state, narrowing->iommu, 0);
    n_open = pm_fake_kernel_get_n_open(narrowing->devices->kernel);
    narrowing->hooked.last_iova = NARROW;
    assert_false(pm_iommu_attach(narrowing->iommu, THIRD, &error));
    assert_error(&error, PM_ERROR_IOVA_RANGE,
                 "cannot attach " THIRD ": it does not reach all I/O addresses of the test, "
                 "0x100000000-0x1001fffff");
    assert_int_equal(pm_fake_kernel_get_n_open(narrowing->devices->kernel), n_open);
    assert_false(pm_iommu_detach(narrowing->iommu, THIRD, NULL));
    narrowing->hooked.last_iova = 0;
    assert_true(pm_iommu_attach(narrowing->iommu, THIRD, NULL));
}

static void device_that_reaches_all_claims_is_attached(void **state)
{
    g_autoptr(Narrowing) narrowing = narrowing_new(*state);

    (void)claim_block(*state, narrowing->iommu, 0);
    narrowing->hooked.last_iova = BASE + BLOCK - 1;
    assert_true(pm_iommu_attach(narrowing->iommu, THIRD, NULL));
    assert_int_equal(last_valid(narrowing), BASE + BLOCK - 1);
}

static void released_claim_does_not_keep_a_device_out(void **state)
{
    g_autoptr(Narrowing) narrowing = narrowing_new(*state);

    assert_true(pm_iommu_claim_release(claim_block(*state, narrowing->iommu, 0), NULL));
    narrowing->hooked.last_iova = NARROW;
    assert_true(pm_iommu_attach(narrowing->iommu, THIRD, NULL));
    assert_int_equal(last_valid(narrowing), NARROW);
}

/* The kernel may still have it mapped. */
static void abandoned_claim_keeps_a_device_out(void **state)
{
    g_autoptr(Narrowing) narrowing = narrowing_new(*state);

    pm_iommu_claim_abandon(map_block(*state, narrowing->iommu, 0));
    narrowing->hooked.last_iova = NARROW;
    assert_false(pm_iommu_attach(narrowing->iommu, THIRD, NULL));
    assert_true(pm_iommu_settle(narrowing->iommu, NULL));
    assert_true(pm_iommu_attach(narrowing->iommu, THIRD, NULL));
}

static bool try_to_claim(Narrowing *narrowing, GError **error)
{
    const PmIommuClaimConfig config = {
        .struct_size = sizeof(config),
        .owner = "a later claim",
        .ram = narrowing->devices->ram,
        .iova = BASE,
        .size = BLOCK,
        .block_size = BLOCK,
    };
    g_autoptr(PmIommuClaim) claim = pm_iommu_claim_new(narrowing->iommu, &config, error);

    return claim != NULL;
}

static void addresses_reserved_by_a_device_are_not_claimed(void **state)
{
    g_autoptr(Narrowing) narrowing = narrowing_new(*state);
    g_autoptr(GError) error = NULL;

    narrowing->hooked.last_iova = NARROW;
    assert_true(pm_iommu_attach(narrowing->iommu, THIRD, NULL));
    assert_false(try_to_claim(narrowing, &error));
    assert_error(&error, PM_ERROR_IOVA_RANGE, "0xfef00000-0x1000fffff");
}

static void detaching_makes_its_reserved_addresses_valid_again(void **state)
{
    g_autoptr(Narrowing) narrowing = narrowing_new(*state);
    uint64_t last = last_valid(narrowing);

    narrowing->hooked.last_iova = NARROW;
    assert_true(pm_iommu_attach(narrowing->iommu, THIRD, NULL));
    narrowing->hooked.last_iova = 0;
    assert_true(pm_iommu_detach(narrowing->iommu, THIRD, NULL));
    assert_int_equal(last_valid(narrowing), last);
    assert_true(try_to_claim(narrowing, NULL));
}

/* A refused device leaves the addresses unchanged, too. */
static void refused_device_leaves_the_valid_addresses(void **state)
{
    g_autoptr(Narrowing) narrowing = narrowing_new(*state);
    uint64_t last = last_valid(narrowing);

    (void)claim_block(*state, narrowing->iommu, 1);
    narrowing->hooked.n_narrow = 1;
    narrowing->hooked.last_iova = NARROW;
    assert_false(pm_iommu_attach(narrowing->iommu, THIRD, NULL));
    assert_int_equal(last_valid(narrowing), last);
    assert_true(try_to_claim(narrowing, NULL));
}

/* Ranges stay if querying them fails: they are valid, and possibly not all. */
static void valid_addresses_stay_when_querying_them_fails(void **state)
{
    g_autoptr(Narrowing) narrowing = narrowing_new(*state);

    narrowing->hooked.last_iova = NARROW;
    assert_true(pm_iommu_attach(narrowing->iommu, THIRD, NULL));
    narrowing->hooked.last_iova = 0;
    narrowing->hooked.request = backend_is_iommufd() ? IOMMU_IOAS_IOVA_RANGES : VFIO_IOMMU_GET_INFO;
    narrowing->hooked.result = -EIO;
    assert_true(pm_iommu_detach(narrowing->iommu, THIRD, NULL));
    assert_int_equal(last_valid(narrowing), NARROW);
}

/* Attaching holds the lock from the kernel call until it has checked the claims. */
static Narrowing *attaching;
static GThread *claiming;
static bool claimed;
static unsigned n_unlocked;

static gpointer claim_meanwhile(gpointer user_data G_GNUC_UNUSED)
{
    claimed = try_to_claim(attaching, NULL);
    return NULL;
}

static bool claim_while_attaching(unsigned long request, void *argument G_GNUC_UNUSED,
                                  int *result G_GNUC_UNUSED)
{
    if (attaching == NULL)
        return false;
    if (pthread_mutex_trylock(&attaching->iommu->lock) == 0) {
        n_unlocked++;
        pthread_mutex_unlock(&attaching->iommu->lock);
    }
    if (request == attach_request())
        claiming = g_thread_new("claimant", claim_meanwhile, NULL);
    return false;
}

static void nothing_is_claimed_while_a_device_is_being_attached(void **state)
{
    g_autoptr(Narrowing) narrowing = narrowing_new(*state);

    narrowing->hooked.answer = claim_while_attaching;
    narrowing->hooked.last_iova = NARROW;
    attaching = narrowing;
    assert_true(pm_iommu_attach(narrowing->iommu, THIRD, NULL));
    (void)g_thread_join(claiming);
    attaching = NULL;
    assert_false(claimed);
    assert_int_equal(n_unlocked, 0);
}

/* --- refused by the kernel --- */

static GError *attach_refused(Devices *devices, int result, bool mapped)
{
    Devices hooked_devices = *devices;
    HookedKernel hooked;
    g_autoptr(PmIommu) iommu = NULL;
    GError *error = NULL;

    hooked_kernel_init(&hooked, devices->kernel);
    hooked_devices.kernel = &hooked.parent;
    assert_true(pm_fake_kernel_add_device(devices->kernel, 9, "0000:00:09.0", "vfio-pci", NULL));
    iommu = devices_open(&hooked_devices, SECOND);
    for (uint64_t block = 0; mapped && block < 2; block++)
        (void)map_block(devices, iommu, block);
    hooked.request = attach_request();
    hooked.result = result;
    assert_false(pm_iommu_attach(iommu, "0000:00:09.0", &error));
    devices_drop_claims(devices);
    pm_kernel_unref(&hooked.parent);
    return error;
}

static void device_that_does_not_reach_mappings_gets_a_message_with_them(void **state)
{
    g_autoptr(GError) error =
        attach_refused(*state, backend_is_iommufd() ? -EADDRINUSE : -EINVAL, true);

    assert_non_null(
        strstr(error->message, "map elsewhere, or give it an address space of its own"));
    assert_error(&error, PM_ERROR_IOVA_RANGE,
                 "with 2 mappings at I/O addresses 0x100000000-0x1003fffff (valid so far: "
                 "0x0-0xfedfffff, 0xfef00000-0x7fffffffff): ");
}

static void refused_device_is_reported_by_cause(void **state)
{
    static const struct {
        int result;
        PmError code;
        const char *words;
    } rows[] = {
        {-ENOMEM, PM_ERROR_LOCKED_MEMORY, "exceed the locked-memory limit: raise it (ulimit -l)"},
        {-EOPNOTSUPP, PM_ERROR_UNSUPPORTED, "its IOMMU does not support it"},
        {-EINVAL, PM_ERROR_UNSUPPORTED, "cannot share the page tables of the other devices"},
        {-EIO, PM_ERROR_KERNEL, "attaching 0000:00:09.0 to the IOAS failed: EIO"},
    };
    Devices *devices = *state;
    Devices hooked_devices = *devices;
    HookedKernel hooked;
    g_autoptr(PmIommu) iommu = NULL;

    hooked_kernel_init(&hooked, devices->kernel);
    hooked_devices.kernel = &hooked.parent;
    assert_true(pm_fake_kernel_add_device(devices->kernel, 9, "0000:00:09.0", "vfio-pci", NULL));
    iommu = devices_open(&hooked_devices, SECOND);
    hooked.request = VFIO_DEVICE_ATTACH_IOMMUFD_PT;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;

        hooked.result = rows[i].result;
        assert_false(pm_iommu_attach(iommu, "0000:00:09.0", &error));
        assert_error(&error, rows[i].code, rows[i].words);
    }
    pm_kernel_unref(&hooked.parent);
}

static void device_without_common_addresses_gets_a_message_that_says_so(void **state)
{
    g_autoptr(GError) error = attach_refused(*state, -EINVAL, false);

    assert_error(&error, PM_ERROR_IOVA_RANGE,
                 "with no mapping (valid so far: 0x0-0xfedfffff, 0xfef00000-0x7fffffffff): cannot "
                 "add IOMMU group 9 (0000:00:09.0: vfio-pci) to the container: EINVAL");
}

static void device_cannot_join_a_handover(void **state)
{
    g_autoptr(GError) error = attach_refused(*state, -EBUSY, true);

    assert_error(&error, PM_ERROR_BUSY,
                 "cannot add IOMMU group 9 (0000:00:09.0: vfio-pci) to the container: EBUSY: the "
                 "container is being handed over");
}

static void device_that_the_kernel_holds_stays_attached(void **state)
{
    Devices *devices = *state;
    g_autoptr(GError) error = NULL;
    uint64_t n_open;

    assert_true(pm_iommu_attach(devices->iommu, SECOND, NULL));
    (void)map_block(devices, devices->iommu, 0);
    assert_true(pm_iommu_open_device(devices->iommu, SECOND, NULL) >= 0);
    n_open = pm_fake_kernel_get_n_open(devices->kernel);
    pm_fake_kernel_fail(devices->kernel, PM_FAKE_CALL_IOCTL, 1, EBUSY);
    assert_false(pm_iommu_detach(devices->iommu, SECOND, &error));
    assert_error(&error, PM_ERROR_BUSY, "its registers are still mapped");
    /* Only its file is closed; it is opened again. */
    assert_int_equal(pm_fake_kernel_get_n_open(devices->kernel), n_open - 1);
    assert_true(pm_iommu_open_device(devices->iommu, SECOND, NULL) >= 0);
    assert_true(device_sees(devices, devices->iommu, SECOND, 0));
    assert_true(pm_iommu_detach(devices->iommu, SECOND, NULL));
}

/* Closing its file removes the group, too. */
static void group_leaves_the_container_even_if_unset_container_fails(void **state)
{
    Devices *devices = *state;
    g_autoptr(PmIommu) other = NULL;

    assert_true(pm_iommu_attach(devices->iommu, SECOND, NULL));
    (void)map_block(devices, devices->iommu, 0);
    pm_fake_kernel_fail(devices->kernel, PM_FAKE_CALL_IOCTL, 1, EIO);
    assert_true(pm_iommu_detach(devices->iommu, SECOND, NULL));
    assert_true(device_sees(devices, devices->iommu, FIRST, 0));
    other = devices_open(devices, SECOND);
    assert_false(device_sees(devices, other, SECOND, 0));
}

static void device_that_the_kernel_does_not_detach_stays_attached(void **state)
{
    Devices *devices = *state;
    g_autoptr(GError) error = NULL;

    assert_true(pm_iommu_attach(devices->iommu, SECOND, NULL));
    (void)map_block(devices, devices->iommu, 0);
    pm_fake_kernel_fail(devices->kernel, PM_FAKE_CALL_IOCTL, 1, EIO);
    assert_false(pm_iommu_detach(devices->iommu, SECOND, &error));
    assert_error(&error, PM_ERROR_KERNEL, "EIO");
    assert_true(device_sees(devices, devices->iommu, SECOND, 0));
    assert_true(pm_iommu_detach(devices->iommu, SECOND, NULL));
}

#define ATTACH_TEST(name) cmocka_unit_test_setup_teardown(name, devices_setup, devices_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ATTACH_TEST(devices_of_one_group_keep_it_together),
        BACKEND_TYPE1_ONLY(ATTACH_TEST(group_that_was_opened_by_its_number_stays)),
        ATTACH_TEST(attaching_that_fails_at_any_call_changes_nothing),
        ATTACH_TEST(forked_child_cannot_detach),
        ATTACH_TEST(device_that_does_not_reach_a_claim_is_refused),
        ATTACH_TEST(device_that_reaches_all_claims_is_attached),
        ATTACH_TEST(released_claim_does_not_keep_a_device_out),
        ATTACH_TEST(abandoned_claim_keeps_a_device_out),
        ATTACH_TEST(addresses_reserved_by_a_device_are_not_claimed),
        ATTACH_TEST(detaching_makes_its_reserved_addresses_valid_again),
        ATTACH_TEST(refused_device_leaves_the_valid_addresses),
        ATTACH_TEST(valid_addresses_stay_when_querying_them_fails),
        ATTACH_TEST(nothing_is_claimed_while_a_device_is_being_attached),
        ATTACH_TEST(device_that_does_not_reach_mappings_gets_a_message_with_them),
        BACKEND_IOMMUFD_ONLY(ATTACH_TEST(refused_device_is_reported_by_cause)),
        BACKEND_TYPE1_ONLY(
            ATTACH_TEST(device_without_common_addresses_gets_a_message_that_says_so)),
        BACKEND_TYPE1_ONLY(ATTACH_TEST(device_cannot_join_a_handover)),
        BACKEND_TYPE1_ONLY(ATTACH_TEST(device_that_the_kernel_holds_stays_attached)),
        BACKEND_TYPE1_ONLY(ATTACH_TEST(group_leaves_the_container_even_if_unset_container_fails)),
        BACKEND_IOMMUFD_ONLY(ATTACH_TEST(device_that_the_kernel_does_not_detach_stays_attached)),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
