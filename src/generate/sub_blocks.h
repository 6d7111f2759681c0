/* SPDX-License-Identifier: MIT */
/* Sub-block mode: memory blocks are added and removed as a whole, but plugged in parts. */
#ifndef PLUGMAP_SRC_GENERATE_SUB_BLOCKS_H
#define PLUGMAP_SRC_GENERATE_SUB_BLOCKS_H

#include "generate/driver_state.h"

/* Plug or unplug @size bytes more, as far as possible. */
PmWork pm_sub_blocks_plug(PmGuestDriver *driver, uint64_t size);
PmWork pm_sub_blocks_unplug(PmGuestDriver *driver, uint64_t size);

#endif
