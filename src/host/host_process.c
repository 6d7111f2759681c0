/* SPDX-License-Identifier: MIT */
#include "host/host_process.h"

#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>

#include "base/error_text.h"
#include "host/host_files.h"

#define STATUS "/proc/self/status"
#define LIMITS "/proc/self/limits"

static bool fail_line(GError **error, const char *root, const char *path, const char *name)
{
    return pm_fail(error, PM_ERROR_BAD_INPUT, "%s%s has no valid line '%s'", root, path, name);
}

/* The words of a line; NULL: there is no such line. */
static GStrv words_of(const char *text, const char *prefix)
{
    g_autofree char *line = pm_host_find_line(text, prefix);

    return line != NULL ? g_strsplit_set(line, " \t", -1) : NULL;
}

/* The words of a line may be separated by several blanks. */
static const char *word_at(GStrv words, unsigned index)
{
    for (; words != NULL && *words != NULL; words++)
        if (**words != '\0' && index-- == 0)
            return *words;
    return NULL;
}

static bool parse_id(const char *word, unsigned *id)
{
    guint64 value;

    if (word == NULL || !g_ascii_string_to_unsigned(word, 10, 0, G_MAXUINT, &value, NULL))
        return false;
    *id = (unsigned)value;
    return true;
}

/* "PPid:\t42" */
static bool parse_parent(const char *text, unsigned *parent)
{
    g_auto(GStrv) words = words_of(text, "PPid:");

    return parse_id(word_at(words, 0), parent);
}

/* "Uid:\t1000\t1000\t1000\t1000": real, effective, saved, of the file system. */
static bool parse_effective(const char *text, const char *prefix, unsigned *id)
{
    g_auto(GStrv) words = words_of(text, prefix);

    return parse_id(word_at(words, 1), id);
}

static bool parse_groups(const char *text, GArray *groups)
{
    g_auto(GStrv) words = words_of(text, "Groups:");
    const char *word;

    if (words == NULL)
        return false;
    for (unsigned i = 0; (word = word_at(words, i)) != NULL; i++) {
        unsigned group;

        if (!parse_id(word, &group))
            return false;
        g_array_append_val(groups, group);
    }
    return true;
}

static bool parse_capabilities(const char *text, uint64_t *capabilities)
{
    g_autofree char *line = pm_host_find_line(text, "CapEff:");

    return line != NULL && g_ascii_string_to_unsigned(line, 16, 0, G_MAXUINT64, capabilities, NULL);
}

static bool parse_limit(const char *word, uint64_t *limit)
{
    *limit = UINT64_MAX;
    return word != NULL && (g_str_equal(word, "unlimited") ||
                            g_ascii_string_to_unsigned(word, 10, 0, G_MAXUINT64, limit, NULL));
}

static bool read_status(PmHostProcess *process, const char *root, GError **error)
{
    g_autofree char *text = pm_host_read(root, STATUS, error);

    if (text == NULL)
        return false;
    if (!parse_effective(text, "Uid:", &process->uid))
        return fail_line(error, root, STATUS, "Uid");
    if (!parse_effective(text, "Gid:", &process->gid))
        return fail_line(error, root, STATUS, "Gid");
    if (!parse_groups(text, process->groups))
        return fail_line(error, root, STATUS, "Groups");
    if (!parse_capabilities(text, &process->capabilities))
        return fail_line(error, root, STATUS, "CapEff");
    if (!parse_parent(text, &process->parent))
        return fail_line(error, root, STATUS, "PPid");
    return true;
}

/* "Max locked memory         8388608              8388608              bytes" */
static bool read_limits(PmHostProcess *process, const char *root, GError **error)
{
    g_autofree char *text = pm_host_read(root, LIMITS, error);
    g_auto(GStrv) words = NULL;

    if (text == NULL)
        return false;
    words = words_of(text, "Max locked memory");
    return (parse_limit(word_at(words, 0), &process->locked_soft) &&
            parse_limit(word_at(words, 1), &process->locked_hard)) ||
           fail_line(error, root, LIMITS, "Max locked memory");
}

bool pm_host_process_read(PmHostProcess *process, const char *root, GError **error)
{
    *process = (PmHostProcess){.groups = g_array_new(FALSE, FALSE, sizeof(unsigned))};
    if (read_status(process, root, error) && read_limits(process, root, error))
        return true;
    pm_host_process_clear(process);
    return false;
}

void pm_host_process_clear(PmHostProcess *process)
{
    g_clear_pointer(&process->groups, g_array_unref);
}

bool pm_host_process_has(const PmHostProcess *process, unsigned capability)
{
    return (process->capabilities >> capability & 1) != 0;
}

static bool is_in_group(const PmHostProcess *process, unsigned gid)
{
    if (gid == process->gid)
        return true;
    for (guint i = 0; i < process->groups->len; i++)
        if (g_array_index(process->groups, unsigned, i) == gid)
            return true;
    return false;
}

/* As the kernel: the owner's bits decide for the owner, even if others may do more. */
bool pm_host_process_may_use(const PmHostProcess *process, const struct stat *status)
{
    unsigned shift = 0;

    if (pm_host_process_has(process, CAP_DAC_OVERRIDE))
        return true;
    if (status->st_uid == process->uid)
        shift = 6;
    else if (is_in_group(process, status->st_gid))
        shift = 3;
    return (status->st_mode >> shift & 06) == 06;
}

char *pm_host_user_name(unsigned uid)
{
    struct passwd entry;
    struct passwd *found = NULL;
    char buffer[4096];

    if (getpwuid_r(uid, &entry, buffer, sizeof buffer, &found) == 0 && found != NULL)
        return g_strdup(found->pw_name);
    return g_strdup_printf("%u", uid);
}

char *pm_host_group_name(unsigned gid)
{
    struct group entry;
    struct group *found = NULL;
    char buffer[4096];

    if (getgrgid_r(gid, &entry, buffer, sizeof buffer, &found) == 0 && found != NULL)
        return g_strdup(found->gr_name);
    return g_strdup_printf("%u", gid);
}
