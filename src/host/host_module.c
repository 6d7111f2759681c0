/* SPDX-License-Identifier: MIT */
#include "host/host_module.h"

#include <string.h>

#include "host/host_files.h"

/* In sysfs a name has no '-'. */
static char *sysfs_name(const char *name)
{
    return g_strdelimit(g_strdup(name), "-", '_');
}

/* "kernel/drivers/vfio/pci/vfio-pci.ko.xz: ..." is of the module vfio_pci. */
static bool is_line_of(const char *line, const char *name)
{
    g_autofree char *path = g_strndup(line, strcspn(line, ":\n"));
    g_autofree char *base = g_path_get_basename(path);
    char *end = strstr(base, ".ko");

    if (end == NULL)
        return false;
    *end = '\0';
    g_strdelimit(base, "-", '_');
    return g_str_equal(base, name);
}

static bool has_line_of(const char *text, const char *name)
{
    const char *line = text;

    while (line != NULL && !is_line_of(line, name)) {
        line = strchr(line, '\n');
        if (line != NULL)
            line++;
    }
    return line != NULL;
}

/* Sets *@listed if a list of modules has @name; *@exists: whether there is such a list. */
static bool look_up(const char *root, const char *release, const char *list, const char *name,
                    bool *listed, bool *exists, GError **error)
{
    g_autofree char *path = g_strdup_printf("/lib/modules/%s/%s", release, list);
    g_autoptr(GError) failure = NULL;
    g_autofree char *text = pm_host_read(root, path, &failure);

    *listed = text != NULL && has_line_of(text, name);
    *exists = text != NULL;
    if (text != NULL || g_error_matches(failure, PM_ERROR, PM_ERROR_NOT_FOUND))
        return true;
    g_propagate_error(error, g_steal_pointer(&failure));
    return false;
}

static bool find_in_lists(const char *root, const char *name, PmHostModule *state, GError **error)
{
    g_autofree char *release = pm_host_read(root, "/proc/sys/kernel/osrelease", error);
    bool listed;
    bool exists;

    if (release == NULL)
        return false;
    if (!look_up(root, release, "modules.builtin", name, &listed, &exists, error))
        return false;
    *state = PM_HOST_MODULE_BUILT_IN;
    if (listed)
        return true;
    if (!look_up(root, release, "modules.dep", name, &listed, &exists, error))
        return false;
    *state = PM_HOST_MODULE_AVAILABLE;
    if (!listed)
        *state = exists ? PM_HOST_MODULE_MISSING : PM_HOST_MODULE_UNKNOWN;
    return true;
}

/* What is built in has a directory in /sys/module only if it has parameters, and no initstate. */
bool pm_host_module_find(const char *root, const char *name, PmHostModule *state, GError **error)
{
    g_autofree char *plain = sysfs_name(name);
    g_autofree char *folder = g_strdup_printf("/sys/module/%s", plain);
    g_autofree char *loaded = g_strdup_printf("%s/initstate", folder);

    if (pm_host_exists(root, folder)) {
        *state = pm_host_exists(root, loaded) ? PM_HOST_MODULE_LOADED : PM_HOST_MODULE_BUILT_IN;
        return true;
    }
    return find_in_lists(root, plain, state, error);
}

bool pm_host_module_is_there(PmHostModule state)
{
    return state == PM_HOST_MODULE_LOADED || state == PM_HOST_MODULE_BUILT_IN;
}

const char *pm_host_module_name(PmHostModule state)
{
    switch (state) {
    case PM_HOST_MODULE_LOADED:
        return "loaded";
    case PM_HOST_MODULE_BUILT_IN:
        return "built in";
    case PM_HOST_MODULE_AVAILABLE:
        return "available";
    case PM_HOST_MODULE_MISSING:
        return "missing";
    case PM_HOST_MODULE_UNKNOWN:
    default:
        return "unknown";
    }
}
