/* SPDX-License-Identifier: MIT */
/* Opening an IOAS, and choosing between the back ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <plugmap/fake.h>

#include <cmocka.h>

#include <errno.h>

#include "kernel-uapi/iommufd.h"
#include "kernel-uapi/vfio.h"
#include "util/iommu_fixture.h"
#include "util/sysfs_tree.h"

#define DEVICE "0000:00:04.0"
#define FILE_0 "/dev/vfio/devices/vfio0"

typedef struct {
    PmKernel *kernel;
    HookedKernel hooked;
    PmIommufdConfig config;
} Fixture;

static Fixture *fixture_new(bool iommufd)
{
    Fixture *fixture = g_new0(Fixture, 1);
    PmFakeConfig config;

    pm_fake_config_init(&config);
    config.iommufd = iommufd;
    fixture->kernel = pm_fake_kernel_new(&config, NULL);
    hooked_kernel_init(&fixture->hooked, fixture->kernel);
    fixture->config = (PmIommufdConfig){.struct_size = sizeof(PmIommufdConfig),
                                        .kernel = &fixture->hooked.parent,
                                        .device = DEVICE};
    return fixture;
}

static int make(void **state)
{
    *state = fixture_new(true);
    return 0;
}

/* A kernel that is built without iommufd. */
static int make_without(void **state)
{
    *state = fixture_new(false);
    return 0;
}

static int drop(void **state)
{
    Fixture *fixture = *state;

    assert_int_equal(pm_fake_kernel_get_n_open(fixture->kernel), 0);
    pm_kernel_unref(&fixture->hooked.parent);
    pm_kernel_unref(fixture->kernel);
    g_free(fixture);
    return 0;
}

/* Opening fails with this error, and leaves no descriptor open. */
static void assert_not_opened(Fixture *fixture, PmError code, const char *words)
{
    uint64_t n_open = pm_fake_kernel_get_n_open(fixture->kernel);
    g_autoptr(GError) error = NULL;

    assert_null(pm_iommu_iommufd_new(&fixture->config, &error));
    assert_error(&error, code, words);
    assert_int_equal(pm_fake_kernel_get_n_open(fixture->kernel), n_open);
}

static void device_is_opened_by_address(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(PmIommu) iommu = pm_iommu_iommufd_new(&fixture->config, NULL);

    assert_non_null(iommu);
    assert_int_equal(pm_fake_kernel_get_n_open(fixture->kernel), 2);
}

static void device_is_opened_by_its_file_without_sysfs(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(PmKernel) no_sysfs = sysfs_tree_new(fixture->config.kernel);
    g_autoptr(PmIommu) iommu = NULL;

    fixture->config.kernel = no_sysfs;
    fixture->config.device_file = FILE_0;
    iommu = pm_iommu_iommufd_new(&fixture->config, NULL);
    assert_non_null(iommu);
    assert_true(pm_iommu_open_device(iommu, DEVICE, NULL) >= 0);
}

static void last_reference_closes_all_and_the_device_can_be_opened_again(void **state)
{
    Fixture *fixture = *state;
    PmIommu *iommu = pm_iommu_iommufd_new(&fixture->config, NULL);

    pm_iommu_unref(pm_iommu_ref(iommu));
    assert_int_equal(pm_fake_kernel_get_n_open(fixture->kernel), 2);
    pm_iommu_unref(iommu);
    assert_int_equal(pm_fake_kernel_get_n_open(fixture->kernel), 0);
    iommu = pm_iommu_iommufd_new(&fixture->config, NULL);
    assert_non_null(iommu);
    pm_iommu_unref(iommu);
}

/* Two queries may fail without harm: mapping by file, and dirty tracking. */
static void failure_of_any_call_leaves_no_descriptor(void **state)
{
    Fixture *fixture = *state;
    unsigned n_failed = 0;

    for (uint64_t nth = 1; nth <= 8; nth++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(PmIommu) iommu = NULL;

        pm_fake_kernel_fail(fixture->kernel, PM_FAKE_CALL_ANY, nth, EIO);
        iommu = pm_iommu_iommufd_new(&fixture->config, &error);
        pm_fake_kernel_clear_faults(fixture->kernel);
        if (iommu != NULL)
            continue;
        n_failed++;
        assert_error(&error, PM_ERROR_KERNEL, "EIO");
        assert_int_equal(pm_fake_kernel_get_n_open(fixture->kernel), 0);
    }
    /* Two files, and an ioctl each for IOAS, binding, attaching and ranges. */
    assert_int_equal(n_failed, 6);
}

/* --- files --- */

static void kernel_without_iommufd_says_what_to_do(void **state)
{
    Fixture *fixture = *state;

    fixture->hooked.path = "/dev/iommu";
    fixture->hooked.open_result = -ENOENT;
    assert_not_opened(fixture, PM_ERROR_NOT_FOUND, "modprobe iommufd");
}

static void missing_device_cdev_is_reported(void **state)
{
    assert_not_opened(*state, PM_ERROR_UNSUPPORTED, "CONFIG_VFIO_DEVICE_CDEV");
}

static void missing_device_node_is_named(void **state)
{
    Fixture *fixture = *state;

    fixture->config.device_file = "/dev/vfio/devices/vfio9";
    assert_not_opened(fixture, PM_ERROR_NOT_FOUND, "/dev/vfio/devices/vfio9");
}

static void permission_error_says_how_to_change_it(void **state)
{
    Fixture *fixture = *state;

    fixture->hooked.path = "/dev/iommu";
    fixture->hooked.open_result = -EACCES;
    assert_not_opened(fixture, PM_ERROR_PERMISSION, "KERNEL==\"iommu\", OWNER=");
    fixture->hooked.open_result = -EPERM;
    assert_not_opened(fixture, PM_ERROR_PERMISSION, "chown");
}

static void other_open_errors_name_the_kernel_log(void **state)
{
    Fixture *fixture = *state;

    fixture->hooked.path = "/dev/iommu";
    fixture->hooked.open_result = -EMFILE;
    assert_not_opened(fixture, PM_ERROR_KERNEL, "cannot open /dev/iommu: EMFILE");
}

static void device_that_is_not_ready_is_refused(void **state)
{
    Fixture *fixture = *state;

    fixture->config.device = "0000:00:1e.0";
    assert_not_opened(fixture, PM_ERROR_NOT_FOUND, "there is no PCI device");
    fixture->config.device = "nonsense";
    assert_not_opened(fixture, PM_ERROR_INVALID_ARGUMENT, "PCI address");
    fixture->config.device_file = FILE_0;
    assert_not_opened(fixture, PM_ERROR_INVALID_ARGUMENT, "PCI address");
    fixture->config.device_file = NULL;
    fixture->config.device = NULL;
    assert_not_opened(fixture, PM_ERROR_INVALID_ARGUMENT, "device is not set");
    assert_true(pm_fake_kernel_add_device(fixture->kernel, 7, "0000:00:08.0", "e1000", NULL));
    fixture->config.device = "0000:00:08.0";
    assert_not_opened(fixture, PM_ERROR_BUSY, "driverctl set-override 0000:00:08.0");
}

/* --- binding and attaching --- */

static void answer(Fixture *fixture, unsigned long request, int result)
{
    fixture->hooked.request = request;
    fixture->hooked.result = result;
}

static void device_whose_group_is_open_says_how_to_find_who(void **state)
{
    Fixture *fixture = *state;
    const PmType1Config type1 = {
        .struct_size = sizeof(type1), .kernel = fixture->kernel, .has_group = true, .group = GROUP};
    g_autoptr(PmIommu) iommu = pm_iommu_type1_new(&type1, NULL);

    assert_non_null(iommu);
    assert_not_opened(fixture, PM_ERROR_BUSY, "fuser -v /dev/vfio/");
}

static void device_that_is_bound_elsewhere_says_how_to_find_who(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(PmIommu) iommu = pm_iommu_iommufd_new(&fixture->config, NULL);

    assert_non_null(iommu);
    assert_not_opened(fixture, PM_ERROR_BUSY, "fuser -v " FILE_0);
}

static void group_that_is_not_viable_names_the_other_drivers(void **state)
{
    Fixture *fixture = *state;

    assert_true(pm_fake_kernel_add_device(fixture->kernel, GROUP, "0000:00:04.1", "serial", NULL));
    assert_not_opened(fixture, PM_ERROR_NOT_VIABLE,
                      "echo 0000:00:04.1 > /sys/bus/pci/devices/0000:00:04.1/driver/unbind");
}

static void kernel_without_interrupt_remapping_says_how_to_do_without(void **state)
{
    answer(*state, VFIO_DEVICE_BIND_IOMMUFD, -EPERM);
    assert_not_opened(*state, PM_ERROR_UNSUPPORTED, "allow_unsafe_interrupts=1");
}

static void vfio_without_iommufd_is_reported(void **state)
{
    answer(*state, VFIO_DEVICE_BIND_IOMMUFD, -ENOTTY);
    assert_not_opened(*state, PM_ERROR_UNSUPPORTED, "back end type1");
}

/* No mapping is in the way. */
static void refused_attach_is_reported_by_cause(void **state)
{
    answer(*state, VFIO_DEVICE_ATTACH_IOMMUFD_PT, -ENOMEM);
    assert_not_opened(*state, PM_ERROR_MEMORY, "the kernel is out of memory");
    answer(*state, VFIO_DEVICE_ATTACH_IOMMUFD_PT, -EINVAL);
    assert_not_opened(*state, PM_ERROR_UNSUPPORTED, "Use the back end type1");
    answer(*state, VFIO_DEVICE_ATTACH_IOMMUFD_PT, -EADDRINUSE);
    assert_not_opened(*state, PM_ERROR_KERNEL, "attaching " DEVICE " to its IOAS");
}

/* Invalid answers, each derived from a valid one: 0-0xfedfffff and 0xfef00000-0x7fffffffff. */

static struct iommu_iova_range *ranges_of(const struct iommu_ioas_iova_ranges *answer)
{
    return (struct iommu_iova_range *)(uintptr_t)answer->allowed_iovas;
}

static void say_no_range(struct iommu_ioas_iova_ranges *answer)
{
    answer->num_iovas = 0;
}

/* The address sanitizer detects an access to the 33rd. */
static void say_more_than_there_is_room_for(struct iommu_ioas_iova_ranges *answer)
{
    for (uint64_t i = 0; i < 32; i++)
        ranges_of(answer)[i] = (struct iommu_iova_range){i << 20, i << 20 | 0xffff};
    answer->num_iovas = 33;
}

static void say_an_empty_range(struct iommu_ioas_iova_ranges *answer)
{
    ranges_of(answer)[1].last = ranges_of(answer)[1].start - 1;
}

static void say_ranges_that_overlap(struct iommu_ioas_iova_ranges *answer)
{
    ranges_of(answer)[1].start = ranges_of(answer)[0].last;
}

static void say_no_alignment(struct iommu_ioas_iova_ranges *answer)
{
    answer->out_iova_alignment = 0;
}

static void say_an_alignment_of_no_power_of_two(struct iommu_ioas_iova_ranges *answer)
{
    answer->out_iova_alignment = 0x3000;
}

static void (*say)(struct iommu_ioas_iova_ranges *answer);

static void say_of_ranges(unsigned long request, void *argument)
{
    if (request == IOMMU_IOAS_IOVA_RANGES)
        say(argument);
}

static void invalid_ranges_are_refused(void **state)
{
    static const struct {
        void (*say)(struct iommu_ioas_iova_ranges *answer);
        const char *words;
    } rows[] = {
        {say_no_range, "IOMMU_IOAS_IOVA_RANGES: 0 ranges, alignment 0x1000"},
        {say_more_than_there_is_room_for, "IOMMU_IOAS_IOVA_RANGES: 33 ranges"},
        {say_an_empty_range, "IOMMU_IOAS_IOVA_RANGES: 2 ranges"},
        {say_ranges_that_overlap, "IOMMU_IOAS_IOVA_RANGES: 2 ranges"},
        {say_no_alignment, "IOMMU_IOAS_IOVA_RANGES: 2 ranges, alignment 0x0"},
        {say_an_alignment_of_no_power_of_two, "IOMMU_IOAS_IOVA_RANGES: 2 ranges, alignment 0x3000"},
    };
    Fixture *fixture = *state;

    fixture->hooked.change = say_of_ranges;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        say = rows[i].say;
        assert_not_opened(fixture, PM_ERROR_BAD_INPUT, rows[i].words);
    }
}

/* More than fit in the first query. */
static void many_ranges_are_all_read(void **state)
{
    PmIovaRange many[100];
    PmFakeConfig config;
    PmIommufdConfig iommufd = {
        .struct_size = sizeof(iommufd), .device = DEVICE, .device_file = FILE_0};
    g_autoptr(PmKernel) kernel = NULL;
    g_autoptr(PmIommu) iommu = NULL;
    const PmIovaRange *ranges;
    size_t n_ranges;

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(many); i++)
        many[i] = (PmIovaRange){i * 0x100000, i * 0x100000 + 0xffff};
    pm_fake_config_init(&config);
    config.iommufd = true;
    config.iova_ranges = many;
    config.n_iova_ranges = G_N_ELEMENTS(many);
    kernel = pm_fake_kernel_new(&config, NULL);
    iommufd.kernel = kernel;
    iommu = pm_iommu_iommufd_new(&iommufd, NULL);
    assert_non_null(iommu);
    ranges = pm_iommu_get_iova_ranges(iommu, &n_ranges);
    assert_int_equal(n_ranges, G_N_ELEMENTS(many));
    assert_memory_equal(ranges, many, sizeof many);
}

/* --- which back end --- */

static void assert_chosen_for(Fixture *fixture, const char *device, PmIommuBackend backend,
                              const char *words)
{
    g_autofree char *reason = NULL;

    assert_int_equal(pm_iommu_choose_backend(fixture->config.kernel, device, &reason), backend);
    if (strstr(reason, words) == NULL)
        fail_msg("'%s' lacks '%s'", reason, words);
    assert_int_equal(pm_fake_kernel_get_n_open(fixture->kernel), 0);
}

static void assert_chosen(Fixture *fixture, PmIommuBackend backend, const char *words)
{
    assert_chosen_for(fixture, DEVICE, backend, words);
}

static void iommufd_is_chosen_where_both_files_exist(void **state)
{
    assert_chosen(*state, PM_IOMMU_IOMMUFD, "the device cdev of 0000:00:04.0 exist");
}

/* While its registers are mapped, closing its file does nothing; test_several_devices checks that
 * on a real kernel. */
static void last_reference_detaches_and_destroys_as_well(void **state)
{
    Fixture *fixture = *state;
    PmIommu *iommu = pm_iommu_iommufd_new(&fixture->config, NULL);

    assert_int_equal(fixture->hooked.n_attached, 1);
    pm_iommu_unref(iommu);
    assert_int_equal(fixture->hooked.n_attached, 0);
    assert_int_equal(fixture->hooked.n_objects, 0);
}

/* Opening it reports how to change the permission. */
static void iommufd_that_is_forbidden_is_chosen_all_the_same(void **state)
{
    Fixture *fixture = *state;

    fixture->hooked.path = "/dev/iommu";
    fixture->hooked.open_result = -EACCES;
    assert_chosen(fixture, PM_IOMMU_IOMMUFD, "/dev/iommu");
}

static void type1_is_chosen_for_a_group(void **state)
{
    assert_chosen_for(*state, NULL, PM_IOMMU_TYPE1, "because a group is opened");
}

static void type1_is_chosen_without_iommufd(void **state)
{
    assert_chosen(*state, PM_IOMMU_TYPE1, "there is no /dev/iommu");
}

static void type1_is_chosen_without_a_file_of_the_device(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(PmKernel) old = sysfs_tree_new(fixture->config.kernel);

    sysfs_tree_add(old, DEVICE, GROUP, "vfio-pci");
    fixture->config.kernel = old;
    assert_chosen(fixture, PM_IOMMU_TYPE1, "0000:00:04.0 has no device cdev");
    assert_not_opened(fixture, PM_ERROR_UNSUPPORTED, "CONFIG_VFIO_DEVICE_CDEV");
    sysfs_tree_add_vfio(old, DEVICE, 0, false);
    assert_chosen(fixture, PM_IOMMU_TYPE1, "0000:00:04.0 has no device cdev");
    assert_not_opened(fixture, PM_ERROR_UNSUPPORTED, "CONFIG_VFIO_DEVICE_CDEV");
}

#define OPEN_TEST(name)    cmocka_unit_test_setup_teardown(name, make, drop)
#define WITHOUT_TEST(name) cmocka_unit_test_setup_teardown(name, make_without, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        OPEN_TEST(device_is_opened_by_address),
        OPEN_TEST(device_is_opened_by_its_file_without_sysfs),
        OPEN_TEST(last_reference_closes_all_and_the_device_can_be_opened_again),
        OPEN_TEST(last_reference_detaches_and_destroys_as_well),
        OPEN_TEST(failure_of_any_call_leaves_no_descriptor),
        OPEN_TEST(kernel_without_iommufd_says_what_to_do),
        WITHOUT_TEST(missing_device_cdev_is_reported),
        OPEN_TEST(missing_device_node_is_named),
        OPEN_TEST(permission_error_says_how_to_change_it),
        OPEN_TEST(other_open_errors_name_the_kernel_log),
        OPEN_TEST(device_that_is_not_ready_is_refused),
        OPEN_TEST(device_whose_group_is_open_says_how_to_find_who),
        OPEN_TEST(device_that_is_bound_elsewhere_says_how_to_find_who),
        OPEN_TEST(group_that_is_not_viable_names_the_other_drivers),
        OPEN_TEST(kernel_without_interrupt_remapping_says_how_to_do_without),
        OPEN_TEST(vfio_without_iommufd_is_reported),
        OPEN_TEST(refused_attach_is_reported_by_cause),
        OPEN_TEST(invalid_ranges_are_refused),
        cmocka_unit_test(many_ranges_are_all_read),
        OPEN_TEST(iommufd_is_chosen_where_both_files_exist),
        OPEN_TEST(iommufd_that_is_forbidden_is_chosen_all_the_same),
        OPEN_TEST(type1_is_chosen_for_a_group),
        WITHOUT_TEST(type1_is_chosen_without_iommufd),
        OPEN_TEST(type1_is_chosen_without_a_file_of_the_device),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
