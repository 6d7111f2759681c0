/* SPDX-License-Identifier: MIT */
#include "fake/sysfs/sysfs.h"

#include <errno.h>
#include <string.h>

#include "fake/vfio/group.h"

/* A directory, a link, or a link to a directory. */
typedef struct {
    GPtrArray *names; /* in the directory, NULL-terminated; NULL: not a directory */
    char *target;     /* of the link; NULL: not a link */
} Node;

static void node_clear(Node *node)
{
    g_clear_pointer(&node->names, g_ptr_array_unref);
    g_clear_pointer(&node->target, g_free);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Node, node_clear)

static void make_directory(Node *node)
{
    node->names = g_ptr_array_new_with_free_func(g_free);
}

static void add_name(Node *node, const char *name)
{
    g_ptr_array_add(node->names, g_strdup(name));
}

static void make_link(Node *node, const char *directory, const char *name)
{
    node->target = g_strdup_printf("%s/%s", directory, name);
}

/* --- devices --- */

/* Every VFIO device has vfio-dev/vfioN; only a cdev has a device number, dev, in it. */
static void find_vfio_dev(const PmFakeSysfs *sysfs, const PmFakeVfioDevice *device, char **names,
                          Node *node)
{
    g_autofree char *own = g_strdup_printf("vfio%u", device->number);

    if (names[0] == NULL) {
        make_directory(node);
        add_name(node, own);
    } else if (g_str_equal(names[0], own) && names[1] == NULL) {
        make_directory(node);
        if (sysfs->device_files)
            add_name(node, "dev");
    }
}

/* Looks up @names (NULL-terminated) in a device's directory. */
static void find_in_device(const PmFakeSysfs *sysfs, const PmGroup *group,
                           const PmFakeVfioDevice *device, char **names, Node *node)
{
    g_autofree char *number = g_strdup_printf("%u", group->number);
    bool is_vfio = device->pci->edu != NULL;

    if (names[0] == NULL) {
        make_directory(node);
        add_name(node, "iommu_group");
        if (device->pci->driver != NULL)
            add_name(node, "driver");
        if (is_vfio)
            add_name(node, "vfio-dev");
    } else if (g_str_equal(names[0], "vfio-dev") && is_vfio) {
        find_vfio_dev(sysfs, device, names + 1, node);
    } else if (names[1] != NULL) {
        return;
    } else if (g_str_equal(names[0], "iommu_group")) {
        make_link(node, "../../../kernel/iommu_groups", number);
    } else if (g_str_equal(names[0], "driver") && device->pci->driver != NULL) {
        make_link(node, "../../../bus/pci/drivers", device->pci->driver);
    }
}

/* The link to a device in the directory of the bus or of its group; @up leads to /sys. */
static void find_device(const PmFakeSysfs *sysfs, const PmGroup *group,
                        const PmFakeVfioDevice *device, const char *up, char **names, Node *node)
{
    g_autofree char *bus = NULL;

    find_in_device(sysfs, group, device, names, node);
    if (names[0] != NULL)
        return;
    bus = g_strdup_printf("%s/devices/pci%.*s", up,
                          (int)(strlen(device->pci->address) - strlen(":04.0")),
                          device->pci->address);
    make_link(node, bus, device->pci->address);
}

/* --- buses and groups --- */

static const PmFakeVfioDevice *device_of(const PmGroup *group, const char *address)
{
    for (guint i = 0; i < group->devices->len; i++) {
        const PmFakeVfioDevice *device = g_ptr_array_index(group->devices, i);

        if (g_str_equal(device->pci->address, address))
            return device;
    }
    return NULL;
}

static void add_devices(const PmGroup *group, Node *node)
{
    for (guint i = 0; i < group->devices->len; i++)
        add_name(node,
                 ((const PmFakeVfioDevice *)g_ptr_array_index(group->devices, i))->pci->address);
}

/* /sys/bus/pci/devices */
static void find_on_bus(const PmFakeSysfs *sysfs, char **names, Node *node)
{
    if (names[0] == NULL)
        make_directory(node);
    for (guint i = 0; i < sysfs->groups->len; i++) {
        const PmGroup *group = g_ptr_array_index(sysfs->groups, i);
        const PmFakeVfioDevice *device = names[0] != NULL ? device_of(group, names[0]) : NULL;

        if (names[0] == NULL)
            add_devices(group, node);
        else if (device != NULL)
            find_device(sysfs, group, device, "../../..", names + 1, node);
    }
}

static void find_in_group(const PmFakeSysfs *sysfs, const PmGroup *group, char **names, Node *node)
{
    const PmFakeVfioDevice *device;

    if (names[0] == NULL) {
        make_directory(node);
        add_name(node, "devices");
    } else if (!g_str_equal(names[0], "devices")) {
        return;
    } else if (names[1] == NULL) {
        make_directory(node);
        add_devices(group, node);
    } else {
        device = device_of(group, names[1]);
        if (device != NULL)
            find_device(sysfs, group, device, "../../../..", names + 2, node);
    }
}

/* /sys/kernel/iommu_groups */
static void find_group(const PmFakeSysfs *sysfs, char **names, Node *node)
{
    if (names[0] == NULL)
        make_directory(node);
    for (guint i = 0; i < sysfs->groups->len; i++) {
        const PmGroup *group = g_ptr_array_index(sysfs->groups, i);
        g_autofree char *number = g_strdup_printf("%u", group->number);

        if (names[0] == NULL)
            add_name(node, number);
        else if (g_str_equal(names[0], number))
            find_in_group(sysfs, group, names + 1, node);
    }
}

/* --- paths --- */

/* The rest of @path after @directory: empty, or beginning with '/'; NULL if @path is elsewhere. */
static const char *path_in(const char *path, const char *directory)
{
    size_t length = strlen(directory);

    if (strncmp(path, directory, length) != 0 || (path[length] != '/' && path[length] != '\0'))
        return NULL;
    return path + length;
}

/* Returns -ENOENT, or 0 with @node set. */
static int find(const PmFakeSysfs *sysfs, const char *path, Node *node)
{
    const char *on_bus = path_in(path, "/sys/bus/pci/devices");
    const char *in_groups = path_in(path, "/sys/kernel/iommu_groups");
    const char *rest = on_bus != NULL ? on_bus : in_groups;
    g_auto(GStrv) names = NULL;

    if (rest == NULL)
        return -ENOENT;
    names = g_strsplit(*rest == '/' ? rest + 1 : rest, "/", -1);
    if (on_bus != NULL)
        find_on_bus(sysfs, names, node);
    else
        find_group(sysfs, names, node);
    return node->names != NULL || node->target != NULL ? 0 : -ENOENT;
}

ssize_t pm_fake_sysfs_readlink(const PmFakeSysfs *sysfs, const char *path, char *buffer,
                               size_t size)
{
    g_auto(Node) node = {0};
    int result = find(sysfs, path, &node);
    size_t length;

    if (result < 0)
        return result;
    if (node.target == NULL)
        return -EINVAL;
    length = MIN(strlen(node.target), size);
    memcpy(buffer, node.target, length);
    return (ssize_t)length;
}

int pm_fake_sysfs_list(const PmFakeSysfs *sysfs, const char *path, GStrv *names)
{
    g_auto(Node) node = {0};
    int result = find(sysfs, path, &node);

    if (result < 0)
        return result;
    if (node.names == NULL)
        return -ENOENT;
    g_ptr_array_add(node.names, NULL);
    *names = (GStrv)g_ptr_array_free(g_steal_pointer(&node.names), FALSE);
    return 0;
}
