/* SPDX-License-Identifier: MIT */
/* Capabilities of the calling thread. */
#ifndef PLUGMAP_SRC_KERNEL_CAPABILITY_H
#define PLUGMAP_SRC_KERNEL_CAPABILITY_H

#include <stdbool.h>

/* Whether @capability (e.g. CAP_IPC_LOCK) is effective. Reads /proc, which takes longer than a MAP.
 * Returns 0 or -errno. Any thread. */
int pm_capability_read(unsigned capability, bool *effective);

#endif
