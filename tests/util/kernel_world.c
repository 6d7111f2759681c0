/* SPDX-License-Identifier: MIT */
#include "util/kernel_util.h"

#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>

#include <plugmap/fake.h>

#define IOMMUFD_FAKE "fake-iommufd"

static const char *chosen(void)
{
    const char *name = g_getenv("PLUGMAP_KERNEL");

    return name != NULL ? name : "fake-6.12";
}

static bool is_fake(void)
{
    return strcmp(chosen(), "host") != 0;
}

static bool has_iommufd(void)
{
    return is_fake() ? strcmp(chosen(), IOMMUFD_FAKE) == 0 : access("/dev/iommu", F_OK) == 0;
}

static bool device_is_ours(unsigned group, const char *address)
{
    g_autofree char *vendor_path =
        g_strdup_printf("/sys/kernel/iommu_groups/%u/devices/%s/vendor", group, address);
    g_autofree char *node = g_strdup_printf("/dev/vfio/%u", group);
    g_autofree char *vendor = NULL;

    return g_file_get_contents(vendor_path, &vendor, NULL, NULL) &&
           g_str_has_prefix(vendor, "0x1234") && access(node, R_OK | W_OK) == 0;
}

/* Requires the VM's devices, lest a host's graphics card be used as a test device. */
static bool host_is_the_vm(void)
{
    return access(CONTAINER, R_OK | W_OK) == 0 && device_is_ours(1, DEVICE) &&
           device_is_ours(2, OTHER_DEVICE) && device_is_ours(4, SHARED_DEVICE);
}

int kernel_check(void **state)
{
    static const char *const fakes[] = {"fake-6.1", "fake-6.12", IOMMUFD_FAKE, NULL};

    (void)state;
    if (g_strv_contains(fakes, chosen()))
        return 0;
    if (is_fake()) {
        printf("invalid PLUGMAP_KERNEL=%s: must be fake-6.1, fake-6.12, fake-iommufd or host\n",
               chosen());
        exit(EXIT_FAILURE);
    }
    if (host_is_the_vm())
        return 0;
    printf("skipped: no " CONTAINER ", or groups 1, 2 and 4 with QEMU's edu devices; "
           "tests/vm/run runs this in a VM that has them\n");
    exit(77);
}

static void only_where(bool right, const char *what)
{
    if (right)
        return;
    printf("skipped: this kernel has %s /dev/iommu\n", what);
    exit(77);
}

int kernel_check_iommufd(void **state)
{
    (void)kernel_check(state);
    only_where(has_iommufd(), "no");
    return 0;
}

int kernel_check_no_iommufd(void **state)
{
    (void)kernel_check(state);
    only_where(!has_iommufd(), "a");
    return 0;
}

int kernel_check_pins(void **state)
{
    g_autoptr(GError) error = NULL;
    PmFakeConfig config;
    PmKernel *fake;

    (void)kernel_check(state);
    pm_fake_config_init(&config);
    config.pin = PM_FAKE_PIN_HOLD;
    fake = pm_fake_kernel_new(&config, &error);
    if (fake == NULL && is_fake()) {
        printf("skipped: %s\n", error->message);
        exit(77);
    }
    g_clear_pointer(&fake, pm_kernel_unref);
    return 0;
}

static PmKernel *new_fake(bool is_linux_6_1, bool cap_sys_resource)
{
    PmFakeConfig config;
    PmKernel *fake;

    pm_fake_config_init(&config);
    config.linux_version = is_linux_6_1 ? PM_FAKE_LINUX_6_1 : PM_FAKE_LINUX_6_12;
    config.pin = PM_FAKE_PIN_HOLD;
    config.cap_ipc_lock = true;
    config.iommufd = has_iommufd();
    config.cap_sys_resource = cap_sys_resource;
    fake = pm_fake_kernel_new(&config, NULL);
    /* Containers often forbid io_uring, which only the tests of pins need: kernel_check_pins(). */
    if (fake == NULL) {
        config.pin = PM_FAKE_PIN_POPULATE;
        fake = pm_fake_kernel_new(&config, NULL);
    }
    assert_non_null(fake);
    assert_true(pm_fake_kernel_add_device(fake, 2, OTHER_DEVICE, "vfio-pci", NULL));
    assert_true(pm_fake_kernel_add_device(fake, 4, SHARED_DEVICE, "vfio-pci", NULL));
    assert_true(pm_fake_kernel_add_device(fake, 4, SHARED_HOST, "serial", NULL));
    return fake;
}

static bool host_is_linux_6_1(void)
{
    struct utsname name;

    assert_int_equal(uname(&name), 0);
    return g_str_has_prefix(name.release, "6.1.");
}

void kernel_choose(Kernel *kernel)
{
    kernel->is_fake = is_fake();
    kernel->is_linux_6_1 = is_fake() ? strcmp(chosen(), "fake-6.1") == 0 : host_is_linux_6_1();
    kernel->pm = is_fake() ? new_fake(kernel->is_linux_6_1, true) : pm_kernel_host_new();
}

void kernel_drop_cap_sys_resource(Kernel *kernel)
{
    assert_int_equal(kernel->files->len, 0);
    if (kernel->is_fake) {
        pm_kernel_unref(kernel->pm);
        kernel->pm = new_fake(kernel->is_linux_6_1, false);
    } else {
        kernel_set_capability(CAP_SYS_RESOURCE, false);
    }
}
