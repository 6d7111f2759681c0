/* SPDX-License-Identifier: MIT */
/* The capabilities of this thread. */
#ifndef PLUGMAP_SRC_KERNEL_CAPABILITY_H
#define PLUGMAP_SRC_KERNEL_CAPABILITY_H

#include <stdbool.h>

/* Whether @capability (CAP_IPC_LOCK, for example) is effective; reads files of /proc, which takes
 * longer than a MAP. Returns 0 or -errno. Any thread. */
int pm_capability_read(unsigned capability, bool *effective);

#endif
