/* SPDX-License-Identifier: MIT */
#include "host/host_files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error_text.h"

/* modules.dep of a distribution's kernel has less than 1 MiB; /proc/interrupts has some KiB per
 * processor. */
#define MAX_FILE (UINT64_C(16) << 20)

#define MAX_NAMES 65536

static char *full_path(const char *root, const char *path)
{
    return g_strconcat(root, path, NULL);
}

static bool fail_errno(GError **error, const char *path, int error_number)
{
    g_autofree char *name = pm_errno_text(error_number);
    PmError code = PM_ERROR_KERNEL;

    if (error_number == ENOENT || error_number == ENOTDIR)
        code = PM_ERROR_NOT_FOUND;
    else if (error_number == EACCES || error_number == EPERM)
        code = PM_ERROR_PERMISSION;
    (void)pm_fail(error, code, "cannot read %s: %s", path, name);
    return pm_note_errno(error, error_number);
}

/* Opening a FIFO or a device node could wait, or have effects. */
static int open_regular(const char *path, GError **error)
{
    struct stat status;
    int fd;

    if (stat(path, &status) != 0) {
        (void)fail_errno(error, path, errno);
        return -1;
    }
    if (!S_ISREG(status.st_mode)) {
        (void)pm_fail(error, PM_ERROR_BAD_INPUT, "%s is not a regular file", path);
        return -1;
    }
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        (void)fail_errno(error, path, errno);
    return fd;
}

/* Sizes of files in /sys and /proc are not known before they are read. */
static bool read_all(int fd, const char *path, GString *text, GError **error)
{
    char buffer[4096];

    for (;;) {
        ssize_t n_read = read(fd, buffer, sizeof buffer);

        if (n_read < 0 && errno == EINTR)
            continue;
        if (n_read < 0)
            return fail_errno(error, path, errno);
        if (n_read == 0)
            return true;
        if (memchr(buffer, '\0', (size_t)n_read) != NULL)
            return pm_fail(error, PM_ERROR_BAD_INPUT, "%s contains a zero byte", path);
        if (text->len + (size_t)n_read > MAX_FILE)
            return pm_fail(error, PM_ERROR_BAD_INPUT, "%s has more than 16M", path);
        g_string_append_len(text, buffer, n_read);
    }
}

char *pm_host_read(const char *root, const char *path, GError **error)
{
    g_autofree char *full = full_path(root, path);
    g_autoptr(GString) text = g_string_new(NULL);
    int fd = open_regular(full, error);
    bool is_read;

    if (fd < 0)
        return NULL;
    is_read = read_all(fd, full, text, error);
    close(fd);
    if (!is_read)
        return NULL;
    return g_strchomp(g_strdup(text->str));
}

/* At most 40 characters of what a damaged file has, for messages. */
static char *excerpt(const char *text)
{
    g_autofree char *start = g_strndup(text, 40);

    return g_strescape(start, NULL);
}

static bool fail_content(GError **error, const char *root, const char *path, const char *text,
                         const char *wanted)
{
    g_autofree char *full = full_path(root, path);
    g_autofree char *shown = excerpt(text);

    return pm_fail(error, PM_ERROR_BAD_INPUT, "%s contains '%s': must be %s", full, shown, wanted);
}

bool pm_host_read_number(const char *root, const char *path, unsigned base, uint64_t *number,
                         GError **error)
{
    g_autofree char *text = pm_host_read(root, path, error);
    const char *digits = text;
    guint64 value;

    if (text == NULL)
        return false;
    if (base == 16 && g_str_has_prefix(digits, "0x"))
        digits += 2;
    if (!g_ascii_string_to_unsigned(digits, base, 0, G_MAXUINT64, &value, NULL))
        return fail_content(error, root, path, text,
                            base == 16 ? "a hexadecimal number" : "a number");
    *number = value;
    return true;
}

bool pm_host_read_flag(const char *root, const char *path, bool *flag, GError **error)
{
    g_autofree char *text = pm_host_read(root, path, error);

    if (text == NULL)
        return false;
    if (!g_str_equal(text, "Y") && !g_str_equal(text, "N") && !g_str_equal(text, "1") &&
        !g_str_equal(text, "0"))
        return fail_content(error, root, path, text, "Y or N");
    *flag = text[0] == 'Y' || text[0] == '1';
    return true;
}

static int compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

GStrv pm_host_list(const char *root, const char *path, GError **error)
{
    g_autofree char *full = full_path(root, path);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GDir) folder = NULL;
    const char *name;

    errno = 0;
    folder = g_dir_open(full, 0, NULL);
    if (folder == NULL) {
        (void)fail_errno(error, full, errno != 0 ? errno : EIO);
        return NULL;
    }
    while ((name = g_dir_read_name(folder)) != NULL && names->len < MAX_NAMES)
        g_ptr_array_add(names, g_strdup(name));
    if (names->len > 0)
        qsort(names->pdata, names->len, sizeof *names->pdata, compare_names);
    g_ptr_array_add(names, NULL);
    return (GStrv)g_ptr_array_free(g_steal_pointer(&names), FALSE);
}

char *pm_host_link_name(const char *root, const char *path)
{
    g_autofree char *full = full_path(root, path);
    char target[PATH_MAX];
    ssize_t length = readlink(full, target, sizeof target - 1);

    if (length <= 0)
        return NULL;
    target[length] = '\0';
    return g_path_get_basename(target);
}

bool pm_host_stat(const char *root, const char *path, struct stat *status)
{
    g_autofree char *full = full_path(root, path);

    return stat(full, status) == 0;
}

bool pm_host_exists(const char *root, const char *path)
{
    struct stat status;

    return pm_host_stat(root, path, &status);
}

char *pm_host_find_line(const char *text, const char *prefix)
{
    const char *line = text;

    while (line != NULL) {
        if (g_str_has_prefix(line, prefix)) {
            const char *rest = line + strlen(prefix);

            return g_strstrip(g_strndup(rest, strcspn(rest, "\n")));
        }
        line = strchr(line, '\n');
        if (line != NULL)
            line++;
    }
    return NULL;
}
