/* SPDX-License-Identifier: MIT */
#include "tools/help_files.h"

#include <errno.h>

#include "base/error_text.h"
#include "tools/completion.h"
#include "tools/man_page.h"

/* Takes the text. */
static bool write_file(const char *folder, const char *below, const char *name, char *text,
                       GError **error)
{
    g_autofree char *owned = text;
    g_autofree char *parent = g_build_filename(folder, below, NULL);
    g_autofree char *path = g_build_filename(parent, name, NULL);
    g_autoptr(GError) failure = NULL;

    if (g_mkdir_with_parents(parent, 0777) != 0)
        return pm_fail(error, PM_ERROR_BAD_INPUT, "%s: %s", parent, g_strerror(errno));
    return g_file_set_contents_full(path, owned, -1, G_FILE_SET_CONTENTS_NONE, 0666, &failure) ||
           pm_fail(error, PM_ERROR_BAD_INPUT, "%s", failure->message);
}

bool pm_help_write_files(const PmCommand *const *commands, const char *version, const char *folder,
                         GError **error)
{
    for (const PmCommand *const *command = commands; *command != NULL; command++) {
        g_autofree char *name = g_strdup_printf("plugmap-%s.1", (*command)->name);

        if (!write_file(folder, "man1", name, pm_man_page(*command, version), error))
            return false;
    }
    return write_file(folder, "man1", "plugmap.1", pm_man_overview(commands, version), error) &&
           write_file(folder, "bash", "plugmap", pm_completion_bash(commands), error) &&
           write_file(folder, "zsh", "_plugmap", pm_completion_zsh(commands), error) &&
           write_file(folder, "fish", "plugmap.fish", pm_completion_fish(commands), error);
}
