/* SPDX-License-Identifier: MIT */
/* Limits of this process's memory cgroups. */
#include "host/memory_room.h"

#include <string.h>

#include <plugmap/size.h>

/* A cgroup version. @fs_type, @option: of its mount. @reclaimable: key in memory.stat of page cache
 * that the kernel reclaims before it invokes the OOM killer. */
typedef struct {
    const char *fs_type;
    const char *option;
    const char *limit;
    const char *usage;
    const char *reclaimable;
} Version;

static const Version version_2 = {"cgroup2", NULL, "memory.max", "memory.current",
                                  "inactive_file "};
static const Version version_1 = {"cgroup", "memory", "memory.limit_in_bytes",
                                  "memory.usage_in_bytes", "total_inactive_file "};

static char *read_file(const char *root, const char *name)
{
    g_autofree char *path = g_strconcat(root, name, NULL);
    char *text = NULL;

    (void)g_file_get_contents(path, &text, NULL, NULL);
    return text;
}

static bool has_word(const char *list, const char *word)
{
    g_auto(GStrv) words = g_strsplit(list, ",", -1);

    return g_strv_contains((const char *const *)words, word);
}

/* Path of the cgroup in the hierarchy, "/a/b"; a new string. A line is "0::/a/b" or
 * "4:memory,cpu:/a/b". Paths outside the cgroup namespace start with "/..". */
static char *find_cgroup(const char *root, const Version *version)
{
    g_autofree char *text = read_file(root, "/proc/self/cgroup");
    g_auto(GStrv) lines = g_strsplit(text != NULL ? text : "", "\n", -1);

    for (char **line = lines; *line != NULL; line++) {
        g_auto(GStrv) fields = g_strsplit(*line, ":", 3);

        if (g_strv_length(fields) != 3 || fields[2][0] != '/' || strstr(fields[2], "/..") != NULL)
            continue;
        if (version->option == NULL ? g_str_equal(fields[0], "0") && fields[1][0] == '\0'
                                    : has_word(fields[1], version->option))
            return g_strdup(fields[2]);
    }
    return NULL;
}

/* "35 31 0:32 ROOT POINT OPTIONS ... - TYPE SOURCE SUPER-OPTIONS" */
static bool is_mount(const char *line, const Version *version, char **mount_root, char **point)
{
    const char *separator = strstr(line, " - ");
    g_auto(GStrv) front = g_strsplit(line, " ", 6);
    g_auto(GStrv) back = g_strsplit(separator != NULL ? separator + 3 : "", " ", -1);

    if (g_strv_length(front) < 6 || g_strv_length(back) < 3 ||
        !g_str_equal(back[0], version->fs_type) ||
        (version->option != NULL && !has_word(back[2], version->option)))
        return false;
    *mount_root = g_strcompress(front[3]);
    *point = g_strcompress(front[4]);
    return true;
}

static bool find_mount(const char *root, const Version *version, char **mount_root, char **point)
{
    g_autofree char *text = read_file(root, "/proc/self/mountinfo");
    g_auto(GStrv) lines = g_strsplit(text != NULL ? text : "", "\n", -1);

    for (char **line = lines; *line != NULL; line++)
        if (is_mount(*line, version, mount_root, point))
            return true;
    return false;
}

/* The path below the mount point; its root if the cgroup is not visible there. */
static const char *path_below(const char *cgroup, const char *mount_root)
{
    size_t length = strlen(mount_root);

    if (g_str_equal(mount_root, "/"))
        return cgroup;
    if (g_str_has_prefix(cgroup, mount_root) && (cgroup[length] == '/' || cgroup[length] == '\0'))
        return cgroup + length;
    return "";
}

static uint64_t read_reclaimable(const char *folder, const Version *version)
{
    g_autofree char *text = read_file(folder, "/memory.stat");
    g_auto(GStrv) lines = g_strsplit(text != NULL ? text : "", "\n", -1);

    for (char **line = lines; *line != NULL; line++)
        if (g_str_has_prefix(*line, version->reclaimable))
            return g_ascii_strtoull(*line + strlen(version->reclaimable), NULL, 10);
    return 0;
}

/* "max" is not a number: no limit. */
static void ask_cgroup(PmMemoryRoom *room, const char *root, const char *path, const char *name,
                       const Version *version)
{
    g_autofree char *folder = g_strconcat(root, path, NULL);
    uint64_t limit;
    uint64_t usage;
    uint64_t left;
    g_autofree char *limit_text = NULL;
    g_autofree char *left_text = NULL;

    if (!pm_memory_room_read(folder, version->limit, &limit) ||
        !pm_memory_room_read(folder, version->usage, &usage))
        return;
    usage -= MIN(usage, read_reclaimable(folder, version));
    left = limit - MIN(limit, usage);
    limit_text = pm_size_format(limit);
    left_text = pm_memory_room_format(left);
    pm_memory_room_narrow(room, left,
                          g_strdup_printf("this process's cgroup %s has %s left of its %s of %s",
                                          name, left_text, version->limit, limit_text),
                          g_build_filename(path, version->limit, NULL));
}

/* From the process's cgroup up to the root of the mount: every limit applies. */
static void ask_hierarchy(PmMemoryRoom *room, const char *root, const Version *version)
{
    g_autofree char *cgroup = find_cgroup(root, version);
    g_autofree char *mount_root = NULL;
    g_autofree char *point = NULL;
    g_autofree char *path = NULL;

    if (cgroup == NULL || !find_mount(root, version, &mount_root, &point))
        return;
    path = g_strdup(path_below(cgroup, mount_root));
    for (;;) {
        g_autofree char *folder = g_strconcat(point, path, NULL);
        char *slash = strrchr(path, '/');

        ask_cgroup(room, root, folder, path[0] != '\0' ? path : "/", version);
        if (slash == NULL)
            break;
        *slash = '\0';
    }
}

void pm_memory_room_ask_cgroups(PmMemoryRoom *room, const char *root)
{
    ask_hierarchy(room, root, &version_2);
    ask_hierarchy(room, root, &version_1);
}
