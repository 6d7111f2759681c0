/* SPDX-License-Identifier: MIT */
/*
 * Snapshots of a virtio-mem device: for migration, live update, and saving a guest to disk. A
 * snapshot has what the guest can see: plugged blocks, sizes, accepted features, and whether the
 * device is broken. It has no contents of memory, nothing of the host (listeners, mappings,
 * quarantine, callbacks, pm_virtio_mem_set_migrating()), and not the last refusal. Its format is
 * the same on every machine, versioned and checksummed: docs/snapshot-format.md.
 *
 *     source:      pm_virtio_mem_set_migrating(device, true);
 *                  snapshot = pm_virtio_mem_save(device, &error);
 *     destination: device = pm_virtio_mem_new(&config, &error); // the same geometry
 *                  ... contents of plugged blocks arrive, mappers are added: in any order ...
 *                  pm_virtio_mem_load(device, snapshot, &error);
 *
 * Threads: as the device.
 */
#ifndef PLUGMAP_VIRTIO_MEM_SNAPSHOT_H
#define PLUGMAP_VIRTIO_MEM_SNAPSHOT_H

#include <stdbool.h>

#include <plugmap/virtio_mem.h>

G_BEGIN_DECLS

/**
 * Saves the device's state. Allowed at any time, also while it is broken or blocks are in
 * quarantine (which is state of this host). If requests are handled after that, the snapshot is out
 * of date: set pm_virtio_mem_set_migrating() first, and the requested size not later. Returns: the
 * snapshot, free with g_bytes_unref(); its size depends on region size and block size only (112
 * bytes and a bit for each block). NULL: PM_ERROR_MEMORY.
 */
PM_EXPORT GBytes *pm_virtio_mem_save(const PmVirtioMem *device, GError **error);

/**
 * Restores a saved state: plugs the blocks, all or nothing. Checks everything first: the device
 * must have the geometry of the saved one, must offer the features that its driver accepted, and
 * must have nothing plugged; a state that no device can have is refused (docs/snapshot-format.md
 * has the checks). Then all listeners are asked about every run of plugged blocks, then each is
 * notified of every run; if one fails, all of this is undone.
 *
 * Memory of plugged blocks keeps its contents, which may have arrived before; it is faulted in only
 * if the device prefaults (PmVirtioMemConfig.prefault_threads) or a listener does. Memory of other
 * blocks is discarded last, unless pm_virtio_mem_set_keep_memory() is on; what the host does not
 * free is in quarantine, which is logged. After a failure nothing is discarded, and what was
 * faulted in stays so: another snapshot can be loaded.
 *
 * Calls plugged_size_changed if anything is plugged, but not config_changed: the guest has seen the
 * requested size before. Clears the last refusal. Works while pm_virtio_mem_set_migrating() is on.
 *
 * Errors: PM_ERROR_BAD_INPUT (truncated, corrupt, of a newer version, invalid, or of another
 * geometry; the message has the field, its offset and both values), PM_ERROR_BUSY (something is
 * plugged), PM_ERROR_MEMORY, PM_ERROR_QUARANTINED (something is in quarantine, from before or now),
 * PM_ERROR_PERMISSION (in a child of fork(2)), and what a listener set.
 */
PM_EXPORT bool pm_virtio_mem_load(PmVirtioMem *device, GBytes *snapshot, GError **error);

/**
 * pm_virtio_mem_save() to a file: written to a temporary file in the same folder, which is synced
 * to disk and renamed. After a failure or a crash an existing file is unchanged; a symbolic link is
 * replaced, not followed. New files have the permissions 0666 without the umask's.
 * Errors: PM_ERROR_MEMORY, PM_ERROR_BAD_INPUT (writing failed: the message has the path).
 */
PM_EXPORT bool pm_virtio_mem_save_file(const PmVirtioMem *device, const char *path, GError **error);

/**
 * pm_virtio_mem_load() from a file. Reads at most one byte more than a snapshot of this device has;
 * pipes work, too. Errors: as pm_virtio_mem_load(), with the path in the message;
 * PM_ERROR_BAD_INPUT, too, if reading failed.
 */
PM_EXPORT bool pm_virtio_mem_load_file(PmVirtioMem *device, const char *path, GError **error);

G_END_DECLS

#endif
