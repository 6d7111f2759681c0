/* SPDX-License-Identifier: MIT */
/* Several devices in one address space, and in several. With PLUGMAP_KERNEL=host on real devices:
 * 0000:00:06.0 (QEMU's nvme) and 0000:00:05.0 (edu), which tests/vm/run has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <plugmap/plugmap.h>

#include "backend_util.h"
#include "dma/engine.h"
#include "iommu_fixture.h"
#include "kernel-uapi/vfio.h"
#include "sysfs_tree.h"

#define FIRST  "0000:00:06.0"
#define SECOND "0000:00:05.0"

typedef struct {
    PmKernel *kernel;
    char *sysfs;    /* NULL: the real one */
    PmIommu *iommu; /* of FIRST */
    char *memory;   /* two blocks */
} Devices;

static bool is_on_host(void)
{
    return g_strcmp0(g_getenv("PLUGMAP_KERNEL"), "host") == 0;
}

static void add_to_sysfs(const Devices *devices, const char *device, int group, int file)
{
    sysfs_tree_add(devices->sysfs, device, group, "vfio-pci");
    sysfs_tree_add_file(devices->sysfs, device, file);
}

static PmKernel *make_kernel(Devices *devices)
{
    PmFakeConfig config;
    PmKernel *kernel;

    if (is_on_host())
        return pm_kernel_host_new();
    pm_fake_config_init(&config);
    config.dirty_tracking = true;
    kernel = backend_fake_new(&config, NULL);
    devices->sysfs = sysfs_tree_new();
    assert_true(pm_fake_kernel_add_device(kernel, 2, SECOND, "vfio-pci", NULL));
    assert_true(pm_fake_kernel_add_device(kernel, 3, FIRST, "vfio-pci", NULL));
    add_to_sysfs(devices, SECOND, 2, 1);
    add_to_sysfs(devices, FIRST, 3, 2);
    return kernel;
}

static PmIommu *open_device(const Devices *devices, const char *device)
{
    const PmType1Config type1 = {
        .kernel = devices->kernel, .device = device, .sysfs_root = devices->sysfs};
    const PmIommufdConfig iommufd = {
        .kernel = devices->kernel, .device = device, .sysfs_root = devices->sysfs};
    g_autoptr(GError) error = NULL;
    PmIommu *iommu = backend_is_iommufd() ? pm_iommu_iommufd_new(&iommufd, &error)
                                          : pm_iommu_type1_new(&type1, &error);

    if (iommu == NULL)
        fail_msg("%s", error->message);
    return iommu;
}

static int make(void **state)
{
    Devices *devices = g_new0(Devices, 1);

    devices->kernel = make_kernel(devices);
    devices->iommu = open_device(devices, FIRST);
    devices->memory =
        mmap(NULL, 2 * BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(devices->memory, MAP_FAILED);
    *state = devices;
    return 0;
}

static int drop(void **state)
{
    Devices *devices = *state;

    pm_iommu_unref(devices->iommu);
    if (!is_on_host())
        assert_int_equal(pm_fake_kernel_get_n_open(devices->kernel), 0);
    pm_kernel_unref(devices->kernel);
    g_clear_pointer(&devices->sysfs, sysfs_tree_free);
    (void)munmap(devices->memory, 2 * BLOCK);
    g_free(devices);
    return 0;
}

static bool map_block(Devices *devices, PmIommu *iommu, uint64_t block)
{
    return pm_iommu_map(iommu, BASE + block * BLOCK, devices->memory + block * BLOCK, BLOCK, 1,
                        PM_IOMMU_READ_WRITE, NULL);
}

/* Whether the device reads by DMA what is in a block of memory. */
static bool device_sees(Devices *devices, PmIommu *iommu, const char *device, uint64_t block)
{
    static char fresh = 'a';
    g_autoptr(GError) error = NULL;
    g_autoptr(PmDmaEngine) engine =
        pm_dma_engine_attach(iommu, devices->kernel, device, BASE, 2 * BLOCK, &error);
    char *memory = devices->memory + block * BLOCK;
    char data[PM_DMA_PAGE];

    if (engine == NULL)
        fail_msg("%s", error->message);
    memset(memory, fresh++, PM_DMA_PAGE);
    assert_true(pm_dma_engine_read(engine, BASE + block * BLOCK, data, NULL));
    return memcmp(data, memory, pm_dma_engine_transfer_size(engine)) == 0;
}

static void devices_of_one_address_space_share_its_mappings(void **state)
{
    Devices *devices = *state;

    assert_true(pm_iommu_attach(devices->iommu, SECOND, NULL));
    assert_true(map_block(devices, devices->iommu, 0));
    assert_true(device_sees(devices, devices->iommu, FIRST, 0));
    assert_true(device_sees(devices, devices->iommu, SECOND, 0));
    assert_true(pm_iommu_unmap(devices->iommu, BASE, BLOCK, NULL));
    assert_false(device_sees(devices, devices->iommu, SECOND, 0));
}

static void device_attached_later_sees_what_is_mapped(void **state)
{
    Devices *devices = *state;
    PmLockedMemory before;
    PmLockedMemory after;

    assert_true(map_block(devices, devices->iommu, 0));
    assert_true(pm_iommu_query_locked_memory(devices->iommu, &before, NULL));
    assert_true(pm_iommu_attach(devices->iommu, SECOND, NULL));
    assert_true(pm_iommu_query_locked_memory(devices->iommu, &after, NULL));
    assert_int_equal(after.used, before.used);
    assert_int_equal(pm_iommu_get_n_mappings(devices->iommu), 1);
    assert_true(device_sees(devices, devices->iommu, SECOND, 0));
}

static void detached_device_leaves_the_other_right(void **state)
{
    Devices *devices = *state;

    assert_true(pm_iommu_attach(devices->iommu, SECOND, NULL));
    assert_true(map_block(devices, devices->iommu, 0));
    assert_true(device_sees(devices, devices->iommu, SECOND, 0));
    assert_true(pm_iommu_detach(devices->iommu, SECOND, NULL));
    assert_true(device_sees(devices, devices->iommu, FIRST, 0));
    assert_true(map_block(devices, devices->iommu, 1));
    assert_true(device_sees(devices, devices->iommu, FIRST, 1));
    assert_true(pm_iommu_unmap(devices->iommu, BASE, 2 * BLOCK, NULL));
}

/* Also the one that the address space was opened with. */
static void any_device_can_be_the_first_to_go(void **state)
{
    Devices *devices = *state;
    g_autoptr(PmIommu) other = NULL;

    assert_true(map_block(devices, devices->iommu, 0));
    assert_true(pm_iommu_attach(devices->iommu, SECOND, NULL));
    assert_true(pm_iommu_detach(devices->iommu, FIRST, NULL));
    assert_true(device_sees(devices, devices->iommu, SECOND, 0));
    other = open_device(devices, FIRST);
    assert_non_null(other);
}

static void address_spaces_are_independent(void **state)
{
    Devices *devices = *state;
    g_autoptr(PmIommu) other = open_device(devices, SECOND);

    assert_true(map_block(devices, devices->iommu, 0));
    assert_false(device_sees(devices, other, SECOND, 0));
    assert_true(
        pm_iommu_map(other, BASE, devices->memory + BLOCK, BLOCK, 1, PM_IOMMU_READ_WRITE, NULL));
    assert_true(device_sees(devices, devices->iommu, FIRST, 0));
    assert_false(device_sees(devices, other, SECOND, 0));
    assert_true(pm_iommu_unmap(other, BASE, BLOCK, NULL));
    assert_true(device_sees(devices, devices->iommu, FIRST, 0));
}

static void device_of_another_address_space_is_busy(void **state)
{
    Devices *devices = *state;
    g_autoptr(PmIommu) other = open_device(devices, SECOND);
    g_autoptr(GError) error = NULL;

    assert_non_null(other);
    assert_false(pm_iommu_attach(devices->iommu, SECOND, &error));
    assert_error(&error, PM_ERROR_BUSY, "fuser -v /dev/vfio/");
}

static void device_is_attached_once(void **state)
{
    Devices *devices = *state;
    g_autoptr(GError) error = NULL;

    assert_false(pm_iommu_attach(devices->iommu, FIRST, &error));
    assert_error(&error, PM_ERROR_BUSY, FIRST " is attached");
}

static void last_device_stays(void **state)
{
    Devices *devices = *state;
    g_autoptr(GError) error = NULL;

    assert_true(map_block(devices, devices->iommu, 0));
    assert_false(pm_iommu_detach(devices->iommu, FIRST, &error));
    assert_error(&error, PM_ERROR_BUSY, FIRST " is the last device");
    assert_true(device_sees(devices, devices->iommu, FIRST, 0));
}

static void unknown_devices_are_refused(void **state)
{
    Devices *devices = *state;
    g_autoptr(GError) attach = NULL;
    g_autoptr(GError) detach = NULL;
    g_autoptr(GError) opened = NULL;

    assert_false(pm_iommu_attach(devices->iommu, "0000:00:1e.0", &attach));
    assert_error(&attach, PM_ERROR_NOT_FOUND, "there is no PCI device 0000:00:1e.0");
    assert_false(pm_iommu_detach(devices->iommu, SECOND, &detach));
    assert_error(&detach, PM_ERROR_NOT_FOUND, SECOND " is not attached");
    assert_int_equal(pm_iommu_open_device(devices->iommu, SECOND, &opened), -1);
    assert_error(&opened, PM_ERROR_NOT_FOUND,
                 backend_is_iommufd() ? SECOND " is not attached" : SECOND " is in no IOMMU group");
}

static void device_file_is_opened_once(void **state)
{
    Devices *devices = *state;
    int fd = pm_iommu_open_device(devices->iommu, FIRST, NULL);

    assert_true(fd >= 0);
    assert_int_equal(pm_iommu_open_device(devices->iommu, FIRST, NULL), fd);
}

/* --- on the fake kernel alone, which can be told to fail --- */

static void devices_of_one_group_keep_it_together(void **state)
{
    Devices *devices = *state;
    g_autoptr(PmIommu) iommu = NULL;

    assert_true(pm_fake_kernel_add_device(devices->kernel, 9, "0000:00:09.0", "vfio-pci", NULL));
    assert_true(pm_fake_kernel_add_device(devices->kernel, 9, "0000:00:09.1", "vfio-pci", NULL));
    add_to_sysfs(devices, "0000:00:09.0", 9, 3);
    add_to_sysfs(devices, "0000:00:09.1", 9, 4);
    iommu = open_device(devices, "0000:00:09.0");
    assert_true(pm_iommu_attach(iommu, "0000:00:09.1", NULL));
    assert_true(pm_iommu_detach(iommu, "0000:00:09.0", NULL));
    assert_true(map_block(devices, iommu, 0));
    assert_true(device_sees(devices, iommu, "0000:00:09.1", 0));
    assert_false(pm_iommu_detach(iommu, "0000:00:09.1", NULL));
}

/* iommufd's question for dirty tracking may fail without harm. */
static void attaching_that_fails_at_any_call_changes_nothing(void **state)
{
    Devices *devices = *state;
    uint64_t n_open;
    unsigned n_failed = 0;

    assert_true(map_block(devices, devices->iommu, 0));
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

/* The files are the parent's as well. */
static void mappings_outlive_the_copy_of_a_forked_child(void **state)
{
    Devices *devices = *state;
    g_autoptr(PmIommu) iommu = open_device(devices, SECOND);
    g_autoptr(GError) error = NULL;
    int status;
    pid_t child;

    assert_true(map_block(devices, iommu, 0));
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        pm_iommu_unref(iommu);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_true(pm_iommu_unmap(iommu, BASE, BLOCK, &error));
}

/* Kept for a region that has nothing plugged there yet. */
static void device_without_kept_addresses_is_refused(void **state)
{
    Devices *devices = *state;
    Devices hooked_devices = *devices;
    HookedKernel hooked;
    g_autoptr(PmIommu) iommu = NULL;
    g_autoptr(GError) error = NULL;

    hooked_kernel_init(&hooked, devices->kernel);
    hooked_devices.kernel = &hooked.parent;
    assert_true(pm_fake_kernel_add_device(devices->kernel, 9, "0000:00:09.0", "vfio-pci", NULL));
    add_to_sysfs(devices, "0000:00:09.0", 9, 3);
    iommu = open_device(&hooked_devices, SECOND);
    assert_true(pm_iommu_keep_range(iommu, BASE, BLOCK, NULL));
    hooked.last_iova = BASE + BLOCK - 4097;
    assert_false(pm_iommu_attach(iommu, "0000:00:09.0", &error));
    assert_error(&error, PM_ERROR_IOVA_RANGE, "0x100000000–0x1001fffff, which are kept");
    hooked.last_iova = 0;
    assert_true(pm_iommu_attach(iommu, "0000:00:09.0", NULL));
    assert_true(pm_iommu_detach(iommu, "0000:00:09.0", NULL));
    assert_true(pm_iommu_release_range(iommu, BASE, BLOCK, NULL));
    hooked.last_iova = BASE + BLOCK - 4097;
    assert_true(pm_iommu_attach(iommu, "0000:00:09.0", NULL));
    assert_int_equal(pm_iommu_get_iova_ranges(iommu, &(size_t){0})[1].last, hooked.last_iova);
}

/* The kernel's word for it: type1 refuses to let the group join, iommufd to attach the device. */
static unsigned long attach_request(void)
{
    return backend_is_iommufd() ? VFIO_DEVICE_ATTACH_IOMMUFD_PT : VFIO_GROUP_SET_CONTAINER;
}

static GError *attach_refused(Devices *devices, int result, bool mapped)
{
    Devices hooked_devices = *devices;
    HookedKernel hooked;
    g_autoptr(PmIommu) iommu = NULL;
    GError *error = NULL;

    hooked_kernel_init(&hooked, devices->kernel);
    hooked_devices.kernel = &hooked.parent;
    assert_true(pm_fake_kernel_add_device(devices->kernel, 9, "0000:00:09.0", "vfio-pci", NULL));
    add_to_sysfs(devices, "0000:00:09.0", 9, 3);
    iommu = open_device(&hooked_devices, SECOND);
    if (mapped)
        assert_true(map_block(devices, iommu, 0) && map_block(devices, iommu, 1));
    hooked.request = attach_request();
    hooked.result = result;
    assert_false(pm_iommu_attach(iommu, "0000:00:09.0", &error));
    return error;
}

static void device_without_mapped_addresses_is_told_which_they_are(void **state)
{
    g_autoptr(GError) error =
        attach_refused(*state, backend_is_iommufd() ? -EADDRINUSE : -EINVAL, true);

    assert_non_null(
        strstr(error->message, "map elsewhere, or give it an address space of its own"));
    assert_error(&error, PM_ERROR_IOVA_RANGE,
                 "beside 2 mappings at I/O addresses 0x100000000–0x1003fffff (valid so far: "
                 "0x0–0xfedfffff, 0xfef00000–0x7fffffffff), ");
}

static void refused_device_is_told_by_cause(void **state)
{
    static const struct {
        int result;
        PmError code;
        const char *words;
    } rows[] = {
        {-ENOMEM, PM_ERROR_LOCKED_MEMORY, "exceeds the locked-memory limit: raise it (ulimit -l)"},
        {-EOPNOTSUPP, PM_ERROR_UNSUPPORTED, "cannot track dirty pages"},
        {-EINVAL, PM_ERROR_UNSUPPORTED, "cannot use the page tables of the other devices"},
        {-EIO, PM_ERROR_KERNEL, "attaching 0000:00:09.0 to the I/O address space failed: EIO"},
    };
    Devices *devices = *state;
    Devices hooked_devices = *devices;
    HookedKernel hooked;
    g_autoptr(PmIommu) iommu = NULL;

    hooked_kernel_init(&hooked, devices->kernel);
    hooked_devices.kernel = &hooked.parent;
    assert_true(pm_fake_kernel_add_device(devices->kernel, 9, "0000:00:09.0", "vfio-pci", NULL));
    add_to_sysfs(devices, "0000:00:09.0", 9, 3);
    iommu = open_device(&hooked_devices, SECOND);
    hooked.request = VFIO_DEVICE_ATTACH_IOMMUFD_PT;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;

        hooked.result = rows[i].result;
        assert_false(pm_iommu_attach(iommu, "0000:00:09.0", &error));
        assert_error(&error, rows[i].code, rows[i].words);
    }
}

static void device_that_has_no_address_in_common_is_told_so(void **state)
{
    g_autoptr(GError) error = attach_refused(*state, -EINVAL, false);

    assert_error(&error, PM_ERROR_IOVA_RANGE,
                 "beside no mapping (valid so far: 0x0–0xfedfffff, 0xfef00000–0x7fffffffff), "
                 "IOMMU group 9 (0000:00:09.0: vfio-pci) cannot join the container (EINVAL)");
}

static void device_cannot_join_a_handover(void **state)
{
    g_autoptr(GError) error = attach_refused(*state, -EBUSY, true);

    assert_error(&error, PM_ERROR_BUSY,
                 "IOMMU group 9 (0000:00:09.0: vfio-pci) cannot join the container (EBUSY): the "
                 "container is being handed over");
}

static void device_that_the_kernel_holds_stays_attached(void **state)
{
    Devices *devices = *state;
    g_autoptr(GError) error = NULL;
    uint64_t n_open;

    assert_true(pm_iommu_attach(devices->iommu, SECOND, NULL));
    assert_true(map_block(devices, devices->iommu, 0));
    assert_true(pm_iommu_open_device(devices->iommu, SECOND, NULL) >= 0);
    n_open = pm_fake_kernel_get_n_open(devices->kernel);
    pm_fake_kernel_fail(devices->kernel, PM_FAKE_CALL_IOCTL, 1, EBUSY);
    assert_false(pm_iommu_detach(devices->iommu, SECOND, &error));
    assert_error(&error, PM_ERROR_BUSY, "a mapping of its registers");
    /* Its file is closed, and nothing else; it is opened anew. */
    assert_int_equal(pm_fake_kernel_get_n_open(devices->kernel), n_open - 1);
    assert_true(pm_iommu_open_device(devices->iommu, SECOND, NULL) >= 0);
    assert_true(device_sees(devices, devices->iommu, SECOND, 0));
    assert_true(pm_iommu_detach(devices->iommu, SECOND, NULL));
}

/* Closing its file takes the group out, too. */
static void group_leaves_the_container_whatever_the_kernel_says_of_it(void **state)
{
    Devices *devices = *state;
    g_autoptr(PmIommu) other = NULL;

    assert_true(pm_iommu_attach(devices->iommu, SECOND, NULL));
    assert_true(map_block(devices, devices->iommu, 0));
    pm_fake_kernel_fail(devices->kernel, PM_FAKE_CALL_IOCTL, 1, EIO);
    assert_true(pm_iommu_detach(devices->iommu, SECOND, NULL));
    assert_true(device_sees(devices, devices->iommu, FIRST, 0));
    other = open_device(devices, SECOND);
    assert_false(device_sees(devices, other, SECOND, 0));
}

static void device_that_the_kernel_does_not_detach_stays_attached(void **state)
{
    Devices *devices = *state;
    g_autoptr(GError) error = NULL;

    assert_true(pm_iommu_attach(devices->iommu, SECOND, NULL));
    assert_true(map_block(devices, devices->iommu, 0));
    pm_fake_kernel_fail(devices->kernel, PM_FAKE_CALL_IOCTL, 1, EIO);
    assert_false(pm_iommu_detach(devices->iommu, SECOND, &error));
    assert_error(&error, PM_ERROR_KERNEL, "EIO");
    assert_true(device_sees(devices, devices->iommu, SECOND, 0));
    assert_true(pm_iommu_detach(devices->iommu, SECOND, NULL));
}

/* --- on a real kernel alone, which maps registers --- */

/* Closing its file would leave it attached to memory that others will have. */
static void device_whose_registers_are_mapped_does_not_keep_the_memory(void **state)
{
    Devices *devices = *state;
    PmIommu *other = open_device(devices, SECOND);
    const PmKernelOps *ops = devices->kernel->ops;
    const size_t size = 4096;
    PmLockedMemory before;
    PmLockedMemory after;
    void *registers;

    assert_true(pm_iommu_query_locked_memory(devices->iommu, &before, NULL));
    assert_true(map_block(devices, other, 0));
    assert_int_equal(ops->mmap(devices->kernel, pm_iommu_open_device(other, SECOND, NULL), size,
                               PROT_READ, MAP_SHARED, 0, &registers),
                     0);
    pm_iommu_unref(other);
    assert_true(pm_iommu_query_locked_memory(devices->iommu, &after, NULL));
    assert_int_equal(after.used, before.used);
    assert_int_equal(ops->munmap(devices->kernel, registers, size), 0);
}

#define DEVICES_TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DEVICES_TEST(devices_of_one_address_space_share_its_mappings),
        DEVICES_TEST(device_attached_later_sees_what_is_mapped),
        DEVICES_TEST(detached_device_leaves_the_other_right),
        DEVICES_TEST(any_device_can_be_the_first_to_go),
        DEVICES_TEST(address_spaces_are_independent),
        DEVICES_TEST(device_of_another_address_space_is_busy),
        DEVICES_TEST(device_is_attached_once),
        DEVICES_TEST(last_device_stays),
        DEVICES_TEST(unknown_devices_are_refused),
        DEVICES_TEST(device_file_is_opened_once),
        DEVICES_TEST(mappings_outlive_the_copy_of_a_forked_child),
    };
    const struct CMUnitTest host_tests[] = {
        DEVICES_TEST(device_whose_registers_are_mapped_does_not_keep_the_memory),
    };
    const struct CMUnitTest fake_tests[] = {
        DEVICES_TEST(devices_of_one_group_keep_it_together),
        DEVICES_TEST(attaching_that_fails_at_any_call_changes_nothing),
        DEVICES_TEST(device_without_kept_addresses_is_refused),
        DEVICES_TEST(device_without_mapped_addresses_is_told_which_they_are),
        BACKEND_IOMMUFD_ONLY(DEVICES_TEST(refused_device_is_told_by_cause)),
        BACKEND_TYPE1_ONLY(DEVICES_TEST(device_that_has_no_address_in_common_is_told_so)),
        BACKEND_TYPE1_ONLY(DEVICES_TEST(device_cannot_join_a_handover)),
        BACKEND_TYPE1_ONLY(DEVICES_TEST(device_that_the_kernel_holds_stays_attached)),
        BACKEND_TYPE1_ONLY(DEVICES_TEST(group_leaves_the_container_whatever_the_kernel_says_of_it)),
        BACKEND_IOMMUFD_ONLY(DEVICES_TEST(device_that_the_kernel_does_not_detach_stays_attached)),
    };

    int n_failed = cmocka_run_group_tests(tests, NULL, NULL);

    n_failed += is_on_host() ? cmocka_run_group_tests(host_tests, NULL, NULL)
                             : cmocka_run_group_tests(fake_tests, NULL, NULL);
    return n_failed;
}
