/* SPDX-License-Identifier: MIT */
#include "tools/terminal.h"

#include <limits.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <glib.h>

unsigned pm_terminal_width(void)
{
    struct winsize size;
    const char *columns = g_getenv("COLUMNS");
    guint64 width = 0;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    if (columns != NULL)
        width = g_ascii_strtoull(columns, NULL, 10);
    return width > 0 && width <= UINT_MAX ? (unsigned)width : 80;
}

static bool is_smart(int fd)
{
    return isatty(fd) && g_strcmp0(g_getenv("TERM"), "dumb") != 0;
}

bool pm_terminal_is_smart(void)
{
    return is_smart(STDOUT_FILENO);
}

bool pm_terminal_shows_progress(void)
{
    return is_smart(STDERR_FILENO);
}

bool pm_terminal_has_colours(void)
{
    const char *no_color = g_getenv("NO_COLOR");

    return pm_terminal_is_smart() && (no_color == NULL || *no_color == '\0');
}
