/* SPDX-License-Identifier: MIT */
/*
 * Pages of the process that are held as pinning holds them: they stay what they are, whatever
 * becomes of the addresses they were at, and can be read and written. io_uring does it: its
 * registered buffers are pinned pages.
 */
#ifndef PLUGMAP_SRC_FAKE_MEMORY_HELD_PAGES_H
#define PLUGMAP_SRC_FAKE_MEMORY_HELD_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <plugmap/error.h>

/* Held pages have addresses of their own from here on, where no process has memory. */
#define PM_HELD_BASE (UINT64_C(1) << 62)

typedef struct PmHeldPages PmHeldPages;

/* Errors: PM_ERROR_UNSUPPORTED (no io_uring), PM_ERROR_MEMORY. */
PmHeldPages *pm_held_pages_new(GError **error);
void pm_held_pages_free(PmHeldPages *pages);

/* Holds @size bytes (whole pages, 1 GiB at most) from @host on, which have to be writable. Returns
 * their address, which has the same place in a page of 1 GiB as @host and is higher than all
 * before; 0 if they cannot be held. */
uint64_t pm_held_pages_hold(PmHeldPages *pages, uint64_t host, uint64_t size);
/* Lets go of all that is held in [@first, @last]; none may be held there in part. */
void pm_held_pages_release(PmHeldPages *pages, uint64_t first, uint64_t last);

/* Inside one page that is held. Return 0 or -EFAULT. */
int pm_held_pages_read(PmHeldPages *pages, void *to, uint64_t address, size_t size);
int pm_held_pages_write(PmHeldPages *pages, uint64_t address, const void *from, size_t size);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmHeldPages, pm_held_pages_free)

#endif
