/* SPDX-License-Identifier: MIT */
#include "tools/privileges.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error_text.h"

#define BIT(capability) (UINT64_C(1) << (capability))

#define FOR_INPUT  BIT(CAP_DAC_READ_SEARCH)
#define FOR_OUTPUT (BIT(CAP_DAC_OVERRIDE) | BIT(CAP_CHOWN) | BIT(CAP_FOWNER))
#define FOR_NODES  BIT(CAP_DAC_OVERRIDE)
#define FOR_DEVICE BIT(CAP_IPC_LOCK)
#define FOR_FILES  (BIT(CAP_SYS_PTRACE) | BIT(CAP_DAC_READ_SEARCH))

/* FOR_NODES is a part of FOR_OUTPUT. */
#define FOR_ALL (FOR_INPUT | FOR_OUTPUT | FOR_DEVICE | FOR_FILES)

/* --- capabilities --- */

static bool read_permitted(uint64_t *permitted)
{
    *permitted = 0;
    if (capng_get_caps_process() < 0)
        return false;
    for (unsigned i = 0; i <= CAP_LAST_CAP; i++)
        if (capng_have_capability(CAPNG_PERMITTED, i))
            *permitted |= BIT(i);
    return true;
}

/* Reduces the permitted set to these, effective or not. */
static bool set_permitted(uint64_t permitted, bool effective)
{
    capng_type_t types = effective ? CAPNG_PERMITTED | CAPNG_EFFECTIVE : CAPNG_PERMITTED;
    bool can_bound = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP) != 0;

    capng_clear(CAPNG_SELECT_BOTH);
    for (unsigned i = 0; i <= CAP_LAST_CAP; i++)
        if (permitted & BIT(i))
            (void)capng_update(CAPNG_ADD, types, i);
    return capng_apply(can_bound ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS) == 0;
}

/* --- required capabilities, determined while none is effective --- */

static bool is_named(const char *path)
{
    return path != NULL && !g_str_equal(path, "-");
}

/* A missing file is not forbidden: opening it will report that. */
static bool is_forbidden(const char *path, int mode)
{
    return faccessat(AT_FDCWD, path, mode, AT_EACCESS) < 0 && errno == EACCES;
}

static char *folder_of(const char *path)
{
    g_autofree char *real = realpath(path, NULL);

    return g_path_get_dirname(real != NULL ? real : path);
}

/* Output replaces an old file and preserves its owner. */
static bool is_output_forbidden(const char *path)
{
    g_autofree char *folder = folder_of(path);
    struct stat status;

    if (is_forbidden(folder, W_OK | X_OK) || is_forbidden(path, W_OK))
        return true;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode) &&
           (status.st_uid != geteuid() || status.st_gid != getegid());
}

static bool is_any_forbidden(const char *folder)
{
    g_autoptr(GDir) names = g_dir_open(folder, 0, NULL);
    const char *name;
    bool forbidden = is_forbidden(folder, R_OK | X_OK);

    while (!forbidden && names != NULL && (name = g_dir_read_name(names)) != NULL) {
        g_autofree char *path = g_build_filename(folder, name, NULL);

        forbidden = !g_file_test(path, G_FILE_TEST_IS_DIR) && is_forbidden(path, R_OK | W_OK);
    }
    return forbidden;
}

static bool are_nodes_forbidden(void)
{
    return is_forbidden("/dev/iommu", R_OK | W_OK) || is_any_forbidden("/dev/vfio") ||
           is_any_forbidden("/dev/vfio/devices");
}

static uint64_t needed(const PmNeeds *needs)
{
    uint64_t capabilities = needs->device ? FOR_DEVICE : 0;

    if (is_named(needs->input) && is_forbidden(needs->input, R_OK))
        capabilities |= FOR_INPUT;
    for (int i = 0; i < PM_NEEDS_MAX_OUTPUTS; i++)
        if (is_named(needs->outputs[i]) && is_output_forbidden(needs->outputs[i]))
            capabilities |= FOR_OUTPUT;
    if (needs->device && are_nodes_forbidden())
        capabilities |= FOR_NODES;
    if (needs->processes)
        capabilities |= FOR_FILES;
    return capabilities;
}

bool pm_privileges_keep(const PmNeeds *needs, GError **error)
{
    uint64_t permitted;

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && read_permitted(&permitted)) {
        permitted &= FOR_ALL;
        if (set_permitted(permitted, false) && set_permitted(permitted & needed(needs), true))
            return true;
    }
    return pm_fail(error, PM_ERROR_PERMISSION,
                   "failed to drop capabilities: check that /proc is mounted and that no seccomp "
                   "filter blocks prctl and capset");
}

bool pm_privileges_can_lock(void)
{
    return capng_get_caps_process() == 0 &&
           capng_have_capability(CAPNG_EFFECTIVE, CAP_IPC_LOCK) != 0;
}

char *pm_privileges_describe(void)
{
    g_autofree char *names = NULL;

    if (capng_get_caps_process() < 0)
        return g_strdup("unknown");
    names = capng_print_caps_text(CAPNG_PRINT_BUFFER, CAPNG_EFFECTIVE);
    return g_strdup(names != NULL ? g_strchomp(names) : "none");
}
