/* SPDX-License-Identifier: MIT */
/*
 * sysfs, as a kernel might have it: every list of names and every target of a link is from the
 * input. A device that is ready has a group, and a driver for VFIO.
 */
#include "fuzz.h"

#include <errno.h>
#include <limits.h>

#include <plugmap/kernel.h>

#include "vfio/pci_names.h"
#include "vfio/sysfs.h"

#define DEVICE    "0000:00:04.0"
#define MAX_NAMES 24

typedef struct {
    PmKernel parent;
    FuzzInput *input;
    char *last_link; /* the last component of the last target that was read */
} Sysfs;

/* A line of the input, without '\0'. False for an error, which an empty line is. */
static bool take_line(FuzzInput *input, char *line, size_t room, size_t *length)
{
    *length = 0;
    while (input->size > 0 && *length < room) {
        char c = (char)fuzz_u8(input);

        if (c == '\n')
            break;
        if (c != '\0')
            line[(*length)++] = c;
    }
    return *length > 0;
}

static ssize_t fuzz_readlink(PmKernel *kernel, const char *path, char *buffer, size_t size)
{
    Sysfs *sysfs = (Sysfs *)kernel;
    size_t length;

    FUZZ_CHECK(g_str_has_prefix(path, "/sys/"));
    if (!take_line(sysfs->input, buffer, size, &length))
        return -ENOENT;
    g_free(sysfs->last_link);
    {
        g_autofree char *target = g_strndup(buffer, length);

        sysfs->last_link = g_path_get_basename(target);
    }
    return (ssize_t)length;
}

static int fuzz_list(PmKernel *kernel, const char *path, GStrv *names)
{
    Sysfs *sysfs = (Sysfs *)kernel;
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    unsigned n_names = fuzz_u8(sysfs->input) % (MAX_NAMES + 1);
    char name[NAME_MAX + 1];
    size_t length;

    FUZZ_CHECK(g_str_has_prefix(path, "/sys/"));
    if (n_names == MAX_NAMES)
        return -ENOENT;
    for (unsigned i = 0; i < n_names && take_line(sysfs->input, name, NAME_MAX, &length); i++) {
        name[length] = '\0';
        g_strdelimit(name, "/", '_');
        g_strv_builder_add(builder, name);
    }
    *names = g_strv_builder_end(builder);
    return 0;
}

static void fuzz_free(PmKernel *kernel)
{
    (void)kernel;
}

static const PmKernelOps sysfs_ops = {
    .struct_size = sizeof(sysfs_ops),
    .readlink = fuzz_readlink,
    .list = fuzz_list,
    .free = fuzz_free,
};

static void find_group(Sysfs *sysfs)
{
    g_autoptr(GError) error = NULL;
    unsigned group = 12345;
    bool found = pm_sysfs_find_group(&sysfs->parent, DEVICE, &group, &error);

    FUZZ_CHECK_RESULT(found, error);
    FUZZ_CHECK(found || group == 12345);
    FUZZ_CHECK(!found || strstr(sysfs->last_link, "vfio") != NULL);
}

static void find_file(Sysfs *sysfs)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = NULL;
    unsigned group;
    bool found = pm_sysfs_find_device_file(&sysfs->parent, DEVICE, &path, &group, &error);

    FUZZ_CHECK_RESULT(found, error);
    FUZZ_CHECK(!found || g_str_has_prefix(path, "/dev/vfio/devices/"));
}

/* At most 16 of the devices of a group are described. */
static void describe(Sysfs *sysfs)
{
    g_autofree char *group = pm_sysfs_describe_group(&sysfs->parent, 7);
    g_autofree char *unbinding = pm_sysfs_describe_unbinding(&sysfs->parent, 7);

    FUZZ_CHECK(*group != '\0');
    FUZZ_CHECK(*unbinding == '\0' || g_str_has_prefix(unbinding, "\n  echo "));
}

/* The rest of the input is a PCI address, or not. */
static void check_address(FuzzInput *input)
{
    char text[32] = "";

    fuzz_take(input, text, sizeof(text) - 1);
    FUZZ_CHECK(pm_pci_is_address(text) ==
               g_regex_match_simple("^[0-9a-f]{4,8}:[0-9a-f]{2}:[01][0-9a-f]\\.[0-7]\\z", text,
                                    G_REGEX_RAW, 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput input = {data, size};
    Sysfs sysfs = {.input = &input};

    FUZZ_CHECK(pm_kernel_init(&sysfs.parent, &sysfs_ops, NULL, NULL));
    switch (fuzz_u8(&input) % 4) {
    case 0:
        find_group(&sysfs);
        break;
    case 1:
        find_file(&sysfs);
        break;
    case 2:
        describe(&sysfs);
        break;
    default:
        check_address(&input);
    }
    pm_kernel_unref(&sysfs.parent);
    g_free(sysfs.last_link);
    return 0;
}
