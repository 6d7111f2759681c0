/* SPDX-License-Identifier: MIT */
/* Follows the discard manager of a range. The registry's lock is not held. */
#ifndef PLUGMAP_SRC_BUFFERS_BUFFER_LISTENER_H
#define PLUGMAP_SRC_BUFFERS_BUFFER_LISTENER_H

#include "buffers/buffer_range.h"

/* Registers the listener, which registers what is populated. Errors: those of
 * pm_discard_manager_register(). */
bool pm_buffer_range_follow(PmBufferRange *range, GError **error);

/* Unregisters the listener, which unmaps everything. Errors: those of
 * pm_discard_manager_unregister(). */
bool pm_buffer_range_unfollow(PmBufferRange *range, GError **error);

#endif
