/* SPDX-License-Identifier: MIT */
/* The end of a range. The registry's lock is held, unless noted otherwise. */
#ifndef PLUGMAP_SRC_BUFFERS_RANGE_END_H
#define PLUGMAP_SRC_BUFFERS_RANGE_END_H

#include "buffers/buffer_range.h"

/* Takes it, without regions, out of the registry. Dispose of it then. */
void pm_buffer_range_end(PmBufferRange *range);

/* The same with regions, which the back end failed to unmap: they are unknown from now on. */
void pm_buffer_range_abandon(PmBufferRange *range);

/* Drops the registry's reference. Regions of an abandoned range are left to those who know them: a
 * PmIommu, and a discard manager; without these, the range stays for the process's life, with its
 * RAM. The lock is not held. */
void pm_buffer_range_dispose(PmBufferRange *range);

#endif
