/* SPDX-License-Identifier: MIT */
#include "util/sysfs_tree.h"

#include <ftw.h>
#include <stdio.h>
#include <unistd.h>

#include <glib.h>
#include <glib/gstdio.h>

#include "kernel/kernel_calls.h"

typedef struct {
    PmKernel parent;
    PmKernel *host;
    char *root;
} SysfsTree;

/* Where a path below /sys is in the temporary directory. */
static char *place_of(PmKernel *kernel, const char *path)
{
    g_assert_true(g_str_has_prefix(path, "/sys/"));
    return g_build_filename(((SysfsTree *)kernel)->root, path + strlen("/sys/"), NULL);
}

static ssize_t tree_readlink(PmKernel *kernel, const char *path, char *buffer, size_t size)
{
    g_autofree char *place = place_of(kernel, path);

    return pm_kernel_readlink(((SysfsTree *)kernel)->host, place, buffer, size);
}

static int tree_list(PmKernel *kernel, const char *path, GStrv *names)
{
    g_autofree char *place = place_of(kernel, path);

    return pm_kernel_list(((SysfsTree *)kernel)->host, place, names);
}

static int remove_one(const char *path, const struct stat *status G_GNUC_UNUSED,
                      int kind G_GNUC_UNUSED, struct FTW *walk G_GNUC_UNUSED)
{
    return remove(path);
}

static void tree_free(PmKernel *kernel)
{
    SysfsTree *tree = (SysfsTree *)kernel;

    (void)nftw(tree->root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    pm_kernel_unref(tree->host);
    g_free(tree->root);
    g_free(tree);
}

static const PmKernelOps tree_ops = {
    .struct_size = sizeof(PmKernelOps),
    .readlink = tree_readlink,
    .list = tree_list,
    .free = tree_free,
};

PmKernel *sysfs_tree_new(PmKernel *next)
{
    SysfsTree *tree = g_new0(SysfsTree, 1);

    g_assert_true(pm_kernel_init(&tree->parent, &tree_ops, next, NULL));
    tree->host = pm_kernel_host_new();
    tree->root = g_dir_make_tmp("plugmap-sysfs-XXXXXX", NULL);
    g_assert_nonnull(tree->root);
    return &tree->parent;
}

static void link_to(const char *target, const char *directory, const char *name)
{
    g_autofree char *path = g_build_filename(directory, name, NULL);

    g_assert_cmpint(symlink(target, path), ==, 0);
}

static char *device_place(PmKernel *tree, const char *address)
{
    g_autofree char *path = g_build_filename("/sys/bus/pci/devices", address, NULL);

    return place_of(tree, path);
}

void sysfs_tree_add_link(PmKernel *tree, const char *address, const char *name, const char *target)
{
    g_autofree char *device = device_place(tree, address);

    link_to(target, device, name);
}

void sysfs_tree_add(PmKernel *tree, const char *address, int group, const char *driver)
{
    g_autofree char *device = device_place(tree, address);
    g_autofree char *group_target = g_strdup_printf("../../../../kernel/iommu_groups/%d", group);
    g_autofree char *group_path = g_strdup_printf("/sys/kernel/iommu_groups/%d/devices", group);
    g_autofree char *group_directory = place_of(tree, group_path);
    g_autofree char *member_target = g_strdup_printf("../../../../bus/pci/devices/%s", address);

    g_assert_cmpint(g_mkdir_with_parents(device, 0700), ==, 0);
    if (driver != NULL) {
        g_autofree char *driver_target = g_strdup_printf("../../drivers/%s", driver);

        link_to(driver_target, device, "driver");
    }
    if (group < 0)
        return;
    link_to(group_target, device, "iommu_group");
    g_assert_cmpint(g_mkdir_with_parents(group_directory, 0700), ==, 0);
    link_to(member_target, group_directory, address);
}

void sysfs_tree_add_vfio(PmKernel *tree, const char *address, int number, bool has_cdev)
{
    g_autofree char *name = g_strdup_printf("vfio%d", number);
    g_autofree char *device = device_place(tree, address);
    g_autofree char *directory = g_build_filename(device, "vfio-dev", name, NULL);
    g_autofree char *number_file = g_build_filename(directory, "dev", NULL);

    g_assert_cmpint(g_mkdir_with_parents(directory, 0700), ==, 0);
    if (has_cdev)
        g_assert_true(g_file_set_contents(number_file, "511:0\n", -1, NULL));
}
