/* SPDX-License-Identifier: MIT */
#include "host/memory_room.h"

#include <plugmap/size.h>

#include "host/host_files.h"

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
bool pm_memory_room_read_meminfo(const char *root, const char *key, uint64_t *n_bytes)
{
    g_autofree char *text = pm_host_read(root, "/proc/meminfo", NULL);
    g_autofree char *number = text != NULL ? pm_host_find_line(text, key) : NULL;
    uint64_t kib;
    uint64_t value;
    char *end;

    if (number == NULL)
        return false;
    kib = g_ascii_strtoull(number, &end, 10);
    if (end == number || !g_str_equal(end, " kB") || __builtin_mul_overflow(kib, PM_KIB, &value))
        return false;
    *n_bytes = value;
    return true;
}

void pm_memory_room_ask_host(PmMemoryRoom *room, const char *root)
{
    g_autofree char *available = NULL;
    uint64_t n_bytes;

    if (!pm_memory_room_read_meminfo(root, "MemAvailable:", &n_bytes))
        return;
    available = pm_memory_room_format(n_bytes);
    pm_memory_room_narrow(room, n_bytes,
                          g_strdup_printf("the host has %s available (MemAvailable)", available),
                          NULL);
}
