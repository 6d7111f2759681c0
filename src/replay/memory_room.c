/* SPDX-License-Identifier: MIT */
#include "replay/memory_room.h"

#include <string.h>

#include <plugmap/size.h>

void pm_memory_room_clear(PmMemoryRoom *room)
{
    g_clear_pointer(&room->why, g_free);
    g_clear_pointer(&room->file, g_free);
}

char *pm_memory_room_format(uint64_t n_bytes)
{
    return pm_size_format(n_bytes / PM_MIB * PM_MIB);
}

bool pm_memory_room_read(const char *folder, const char *name, uint64_t *number)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_autofree char *text = NULL;
    guint64 value;

    if (!g_file_get_contents(path, &text, NULL, NULL) ||
        !g_ascii_string_to_unsigned(g_strstrip(text), 10, 0, G_MAXUINT64, &value, NULL))
        return false;
    *number = value;
    return true;
}

void pm_memory_room_narrow(PmMemoryRoom *room, uint64_t n_bytes, char *why, char *file)
{
    if (n_bytes >= room->n_bytes) {
        g_free(why);
        g_free(file);
        return;
    }
    pm_memory_room_clear(room);
    room->n_bytes = n_bytes;
    room->why = why;
    room->file = file;
}

/* "MemAvailable:   24000000 kB" */
static bool parse_kib(const char *line, uint64_t *n_bytes)
{
    const char *number = line + strcspn(line, "0123456789");
    char *end;
    uint64_t kib = g_ascii_strtoull(number, &end, 10);

    if (end == number || !g_str_has_prefix(end, " kB") ||
        __builtin_mul_overflow(kib, PM_KIB, n_bytes))
        return false;
    return true;
}

void pm_memory_room_ask_host(PmMemoryRoom *room, const char *root)
{
    g_autofree char *path = g_strconcat(root, "/proc/meminfo", NULL);
    g_autofree char *text = NULL;
    g_autofree char *available = NULL;
    const char *line;
    uint64_t n_bytes;

    if (!g_file_get_contents(path, &text, NULL, NULL))
        return;
    line = strstr(text, "MemAvailable:");
    if (line == NULL || !parse_kib(line, &n_bytes))
        return;
    available = pm_memory_room_format(n_bytes);
    pm_memory_room_narrow(room, n_bytes,
                          g_strdup_printf("the host has %s available (MemAvailable)", available),
                          NULL);
}
