/* SPDX-License-Identifier: MIT */
/* The help of the command and its sub-commands, wrapped at the terminal's width. */
#ifndef PLUGMAP_TOOLS_HELP_TEXT_H
#define PLUGMAP_TOOLS_HELP_TEXT_H

#include "tools/command_line.h"

#define PM_HELP_SUMMARY "check, plan and show the DMA mappings of a VM with growing memory"
#define PM_HELP_DESCRIPTION                                                                        \
    "A virtio-mem device plugs and unplugs a VM's memory in blocks; a device that is passed "      \
    "through to the VM must have exactly the plugged blocks mapped for DMA. These commands plan "  \
    "the limits of such a VM, check its host, and show and audit its mappings."

/* What a sub-command's --help prints (about one screen), or, with @all, 'plugmap help COMMAND'. A
 * new string. */
char *pm_help_text(const PmCommand *command, unsigned width, bool all);

/* Lists the sub-commands; @commands ends with NULL. A new string. */
char *pm_help_list(const PmCommand *const *commands, const char *version, unsigned width);

/* The options that every sub-command has: --help, --version. */
extern const PmOption pm_common_options[];

#endif
