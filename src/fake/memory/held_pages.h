/* SPDX-License-Identifier: MIT */
/*
 * Holds pages of the process as pinning does: they stay the same and accessible whatever happens to
 * their old addresses. They are registered buffers of io_uring, which pins those.
 */
#ifndef PLUGMAP_SRC_FAKE_MEMORY_HELD_PAGES_H
#define PLUGMAP_SRC_FAKE_MEMORY_HELD_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <plugmap/error.h>

/* Held pages get addresses from here on, where no process has memory. */
#define PM_HELD_BASE (UINT64_C(1) << 62)

typedef struct PmHeldPages PmHeldPages;

/* Errors: PM_ERROR_UNSUPPORTED (no io_uring), PM_ERROR_MEMORY. */
PmHeldPages *pm_held_pages_new(GError **error);
void pm_held_pages_free(PmHeldPages *pages);

/* Holds @size bytes (whole pages, at most 1 GiB) at @host, which must be writable. Returns their
 * address, which has the same offset in a 1 GiB page as @host and is above all earlier ones; 0
 * on failure. */
uint64_t pm_held_pages_hold(PmHeldPages *pages, uint64_t host, uint64_t size);
/* Releases all pages in [@first, @last], which must not cut a held range. */
void pm_held_pages_release(PmHeldPages *pages, uint64_t first, uint64_t last);

/* The range must be in one held page. Return 0 or -EFAULT. */
int pm_held_pages_read(PmHeldPages *pages, void *to, uint64_t address, size_t size);
int pm_held_pages_write(PmHeldPages *pages, uint64_t address, const void *from, size_t size);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmHeldPages, pm_held_pages_free)

#endif
