/* SPDX-License-Identifier: MIT */
#include "doctor_host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/host_tree.h"

#define PARAMETERS "/sys/module/vfio_iommu_type1/parameters"
#define POOL       "/sys/kernel/mm/hugepages/hugepages-2048kB"
#define THP        "/sys/kernel/mm/transparent_hugepage"

void doctor_host_process(const char *root, unsigned uid, unsigned gid, const char *capabilities)
{
    g_autofree char *text =
        g_strdup_printf("Name:\tplugmap\nUid:\t%u\t%u\t%u\t%u\nGid:\t%u\t%u\t%u\t%u\n"
                        "PPid:\t42\nGroups:\t \nCapEff:\t%s\n",
                        uid, uid, uid, uid, gid, gid, gid, gid, capabilities);

    host_tree_file(root, "/proc/77/status", text);
}

void doctor_host_memlock(const char *root, const char *soft)
{
    g_autofree char *text = g_strdup_printf(
        "Limit                     Soft Limit           Hard Limit           Units     \n"
        "Max locked memory         %-20s unlimited            bytes     \n",
        soft);

    host_tree_file(root, "/proc/77/limits", text);
}

static void add_process(const char *root)
{
    host_tree_folder(root, "/proc/77/fd");
    host_tree_file(root, "/proc/77/cgroup", "0::/user.slice\n");
    host_tree_file(root, "/proc/77/mountinfo",
                   "35 31 0:32 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    host_tree_link(root, "/proc/self", "77");
    doctor_host_process(root, (unsigned)getuid(), (unsigned)getgid(), "0000000000000000");
    doctor_host_memlock(root, "17179869184");
}

static void add_kernel(const char *root)
{
    host_tree_file(root, "/proc/sys/kernel/osrelease", "6.12.0\n");
    host_tree_file(root, "/proc/cpuinfo", "vendor_id\t: GenuineIntel\n");
    host_tree_file(root, "/proc/interrupts", "  0:  167  IR-IO-APIC   2-edge      timer\n");
    host_tree_file(root, "/proc/sys/vm/overcommit_memory", "0\n");
    host_tree_file(root, "/proc/meminfo", "MemTotal: 8388608 kB\nMemAvailable: 4194304 kB\n");
    host_tree_file(root, POOL "/nr_hugepages", "64\n");
    host_tree_file(root, POOL "/free_hugepages", "62\n");
    host_tree_file(root, POOL "/resv_hugepages", "2\n");
    host_tree_file(root, THP "/enabled", "always [madvise] never\n");
    host_tree_file(root, THP "/shmem_enabled", "always within_size advise [never] deny force\n");
}

static void add_vfio(const char *root)
{
    host_tree_file(root, "/sys/module/vfio_pci/initstate", "live\n");
    host_tree_file(root, "/sys/module/vfio_iommu_type1/initstate", "live\n");
    host_tree_file(root, PARAMETERS "/dma_entry_limit", "65535\n");
    host_tree_file(root, PARAMETERS "/allow_unsafe_interrupts", "N\n");
    host_tree_file(root, "/lib/modules/6.12.0/modules.dep", "kernel/fs/ext4/ext4.ko.xz:\n");
    host_tree_file(root, "/lib/modules/6.12.0/modules.builtin", "kernel/mm/zswap.ko\n");
    host_tree_file(root, "/dev/vfio/vfio", "");
}

static void add_group(const char *root, unsigned group, const char *address)
{
    g_autofree char *member =
        g_strdup_printf("/sys/kernel/iommu_groups/%u/devices/%s", group, address);
    g_autofree char *target = g_strdup_printf("../../../../bus/pci/devices/%s", address);
    g_autofree char *regions =
        g_strdup_printf("/sys/kernel/iommu_groups/%u/reserved_regions", group);

    host_tree_link(root, member, target);
    host_tree_file(root, regions, "0x00000000fee00000 0x00000000feefffff msi\n");
}

static void add_driver(const char *root, const char *folder, unsigned group, const char *driver)
{
    g_autofree char *path = g_strconcat(folder, "/driver", NULL);
    g_autofree char *target = g_strdup_printf("../../../bus/pci/drivers/%s", driver);
    g_autofree char *node = g_strdup_printf("/dev/vfio/%u", group);
    g_autofree char *full = g_strconcat(root, node, NULL);

    host_tree_link(root, path, target);
    if (!g_str_equal(driver, "vfio-pci"))
        return;
    host_tree_file(root, node, "");
    assert_int_equal(chmod(full, 0600), 0);
}

static void add_file(const char *root, const char *folder, const char *name, const char *content)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);

    host_tree_file(root, path, content);
}

void doctor_host_device(const char *root, const char *address, unsigned group, const char *class,
                        const char *driver)
{
    g_autofree char *folder = g_strdup_printf("/sys/bus/pci/devices/%s", address);
    g_autofree char *group_link = g_strconcat(folder, "/iommu_group", NULL);
    g_autofree char *group_target = g_strdup_printf("../../../kernel/iommu_groups/%u", group);
    g_autofree char *iommu_link = g_strconcat(folder, "/iommu", NULL);

    add_file(root, folder, "vendor", "0x1234\n");
    add_file(root, folder, "device", "0x11e8\n");
    add_file(root, folder, "class", class);
    host_tree_link(root, group_link, group_target);
    host_tree_link(root, iommu_link, "../../virtual/iommu/dmar0");
    if (driver != NULL)
        add_driver(root, folder, group, driver);
    add_group(root, group, address);
}

char *doctor_host_new(void)
{
    char *root = host_tree_new();

    add_process(root);
    add_kernel(root);
    add_vfio(root);
    host_tree_file(root, "/sys/class/iommu/dmar0/intel-iommu/cap", "d2008c22260286\n");
    doctor_host_device(root, READY, 1, "0x00ff00\n", "vfio-pci");
    doctor_host_device(root, NVME, 2, "0x010802\n", "nvme");
    doctor_host_device(root, SHARED, 4, "0x00ff00\n", "vfio-pci");
    doctor_host_device(root, "0000:00:07.1", 4, "0x070002\n", NULL);
    doctor_host_device(root, "0000:00:1f.0", 7, "0x060100\n", NULL);
    return root;
}

int doctor_host_setup(void **state)
{
    *state = doctor_host_new();
    return 0;
}

int doctor_host_teardown(void **state)
{
    host_tree_free(*state);
    return 0;
}

PmDoctorReport *doctor_host_run(const char *root, const char *device)
{
    const char *const addresses[] = {device, NULL};
    g_auto(PmHostProcess) process = {0};
    g_autoptr(GError) error = NULL;
    PmDoctorReport *report = NULL;

    if (pm_host_process_read(&process, root, &error))
        report = pm_doctor_run(root, &process, addresses, &error);
    if (report == NULL)
        fail_msg("%s", error->message);
    return report;
}

static const PmDoctorFinding *find(const PmDoctorReport *report, const char *device,
                                   const char *check)
{
    const GPtrArray *findings = report->findings;

    if (device != NULL)
        findings = ((const PmDoctorDevice *)g_ptr_array_index(report->devices, 0))->findings;
    for (guint i = 0; i < findings->len; i++) {
        const PmDoctorFinding *finding = g_ptr_array_index(findings, i);

        if (g_str_equal(finding->name, check))
            return finding;
    }
    return NULL;
}

static void expect_command(const GPtrArray *commands, const char *wanted)
{
    if (wanted == NULL) {
        assert_int_equal(commands->len, 0);
        return;
    }
    for (guint i = 0; i < commands->len; i++)
        if (g_str_equal(g_ptr_array_index(commands, i), wanted))
            return;
    fail_msg("no command '%s' but '%s'", wanted,
             commands->len > 0 ? (const char *)g_ptr_array_index(commands, 0) : "");
}

void doctor_host_expect(const char *root, const char *device, const char *check,
                        PmDoctorState state, const char *text, const char *fix, const char *boot)
{
    g_autoptr(PmDoctorReport) report = doctor_host_run(root, device);
    const PmDoctorFinding *finding = find(report, device, check);

    if (state == PM_DOCTOR_SKIPPED) {
        assert_null(finding);
        return;
    }
    assert_non_null(finding);
    assert_string_equal(finding->text, text);
    assert_int_equal(finding->state, state);
    expect_command(finding->fix, fix);
    expect_command(finding->boot, boot);
}

void doctor_host_expect_damaged(const char *root, const char *device, const char *check,
                                const char *path, const char *because)
{
    g_autofree char *full = g_strconcat(root, path, NULL);
    g_autoptr(PmDoctorReport) report = doctor_host_run(root, device);
    const PmDoctorFinding *finding = find(report, device, check);

    assert_non_null(finding);
    assert_int_equal(finding->state, PM_DOCTOR_ERROR);
    if (strstr(finding->text, full) == NULL || strstr(finding->text, because) == NULL)
        fail_msg("'%s' lacks '%s' or '%s'", finding->text, full, because);
    assert_true(finding->fix->len > 0);
}
