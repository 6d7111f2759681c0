/* SPDX-License-Identifier: MIT */
/* Big-block mode: what is plugged at once is at least a memory block. */
#ifndef PLUGMAP_SRC_GENERATE_BIG_BLOCKS_H
#define PLUGMAP_SRC_GENERATE_BIG_BLOCKS_H

#include "generate/driver_state.h"

/* Plug or unplug @size bytes more, as far as possible. */
PmWork pm_big_blocks_plug(PmGuestDriver *driver, uint64_t size);
PmWork pm_big_blocks_unplug(PmGuestDriver *driver, uint64_t size);

/* Unplugs what Linux has removed already. */
PmWork pm_big_blocks_clean_up(PmGuestDriver *driver);

#endif
