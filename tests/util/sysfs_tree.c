/* SPDX-License-Identifier: MIT */
#include "util/sysfs_tree.h"

#include <ftw.h>
#include <stdio.h>
#include <unistd.h>

#include <glib.h>
#include <glib/gstdio.h>

char *sysfs_tree_new(void)
{
    return g_dir_make_tmp("plugmap-sysfs-XXXXXX", NULL);
}

static int remove_one(const char *path, const struct stat *status G_GNUC_UNUSED,
                      int kind G_GNUC_UNUSED, struct FTW *walk G_GNUC_UNUSED)
{
    return remove(path);
}

void sysfs_tree_free(char *root)
{
    (void)nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    g_free(root);
}

static void link_to(const char *target, const char *folder, const char *name)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);

    g_assert_cmpint(symlink(target, path), ==, 0);
}

void sysfs_tree_add(const char *root, const char *address, int group, const char *driver)
{
    g_autofree char *device = g_build_filename(root, "bus/pci/devices", address, NULL);
    g_autofree char *group_target = g_strdup_printf("../../../../kernel/iommu_groups/%d", group);
    g_autofree char *group_folder =
        g_strdup_printf("%s/kernel/iommu_groups/%d/devices", root, group);
    g_autofree char *member_target = g_strdup_printf("../../../../bus/pci/devices/%s", address);

    g_assert_cmpint(g_mkdir_with_parents(device, 0700), ==, 0);
    if (driver != NULL) {
        g_autofree char *driver_target = g_strdup_printf("../../drivers/%s", driver);

        link_to(driver_target, device, "driver");
    }
    if (group < 0)
        return;
    link_to(group_target, device, "iommu_group");
    g_assert_cmpint(g_mkdir_with_parents(group_folder, 0700), ==, 0);
    link_to(member_target, group_folder, address);
}

void sysfs_tree_add_file(const char *root, const char *address, int number)
{
    g_autofree char *name = g_strdup_printf("vfio%d", number);
    g_autofree char *folder =
        g_build_filename(root, "bus/pci/devices", address, "vfio-dev", name, NULL);

    g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
}
