/* SPDX-License-Identifier: MIT */
/*
 * PmVirtioMem: the virtio-mem device (virtio 1.3, section 5.15), device side: configuration space,
 * requests in wire format, and the plugged blocks, kept in a PmDiscardSource.
 *
 * Responses and the order of checks are QEMU's (hw/virtio/virtio-mem.c), with these intended
 * differences: listeners unmap before the memory is discarded; an UNPLUG that a listener or the
 * host cannot perform gets BUSY and changes nothing; the host can read the cause of every refusal.
 *
 * Threads: one at a time. Callbacks run in the thread that caused them and must not call back into
 * the device, except for pm_virtio_mem_get_*() and pm_virtio_mem_config_read().
 */
#ifndef PLUGMAP_VIRTIO_MEM_H
#define PLUGMAP_VIRTIO_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <plugmap/discard_manager.h>

G_BEGIN_DECLS

typedef struct PmVirtioMem PmVirtioMem;

/**
 * PM_REFUSAL: the domain of the GErrors that say why a device refused a request; their codes are
 * PmRefusal. They are for the host's program: the guest only gets its response.
 */
#define PM_REFUSAL (pm_refusal_quark())

/**
 * PmRefusal: why the response to the last request was not ACK, or why the last reset failed.
 * @PM_REFUSAL_NONE: not refused.
 * @PM_REFUSAL_BAD_RANGE: ERROR: unaligned, empty, wraps, or outside the usable region.
 * @PM_REFUSAL_BLOCK_STATE: ERROR: PLUG of a plugged, or UNPLUG of an unplugged block.
 * @PM_REFUSAL_REQUESTED_SIZE: NACK: PLUG beyond the requested size.
 * @PM_REFUSAL_LIMIT: BUSY: no mapping left (PM_ERROR_LIMIT).
 * @PM_REFUSAL_LOCKED_MEMORY: BUSY: locked-memory limit (PM_ERROR_LOCKED_MEMORY).
 * @PM_REFUSAL_LISTENER: BUSY: a listener objected, or failed for another reason.
 * @PM_REFUSAL_MEMORY: BUSY: allocating or discarding host memory failed (PM_ERROR_MEMORY).
 * @PM_REFUSAL_MIGRATION: BUSY: pm_virtio_mem_set_migrating() is on.
 * @PM_REFUSAL_QUARANTINE: BUSY: a block is in quarantine (PM_ERROR_QUARANTINED,
 * PM_ERROR_UNMAP_MISMATCH).
 * @PM_REFUSAL_PROTOCOL: no response: this request, or an earlier one, violated the protocol.
 */
typedef enum {
    PM_REFUSAL_NONE = 0,
    PM_REFUSAL_BAD_RANGE = 1,
    PM_REFUSAL_BLOCK_STATE = 2,
    PM_REFUSAL_REQUESTED_SIZE = 3,
    PM_REFUSAL_LIMIT = 4,
    PM_REFUSAL_LOCKED_MEMORY = 5,
    PM_REFUSAL_LISTENER = 6,
    PM_REFUSAL_MEMORY = 7,
    PM_REFUSAL_MIGRATION = 8,
    PM_REFUSAL_QUARANTINE = 9,
    PM_REFUSAL_PROTOCOL = 10,
} PmRefusal;

/** The quark of PM_REFUSAL. Any thread. */
PM_EXPORT GQuark pm_refusal_quark(void);

/**
 * The name of a refusal, for logs and machine-readable output: the enumerator in lower case, such
 * as "block-state", except for PM_REFUSAL_LIMIT, which is "entry-limit". Names do not change
 * between releases. "unknown" for an invalid code. A static string. Any thread.
 */
PM_EXPORT const char *pm_refusal_code_name(PmRefusal refusal);

/**
 * The PM_ERROR that caused a refusal, with its code, errno (pm_error_get_errno()) and listener
 * (pm_error_get_listener()); owned by @refusal, and copied with it. NULL if the device itself
 * refused (BAD_RANGE, BLOCK_STATE, REQUESTED_SIZE, MIGRATION, PROTOCOL), for other domains and for
 * NULL. Any thread.
 */
PM_EXPORT const GError *pm_refusal_get_cause(const GError *refusal);

/** PmVirtioMemSizeFunc: a size has changed to @size bytes. */
typedef void (*PmVirtioMemSizeFunc)(PmVirtioMem *device, uint64_t size, void *user_data);

/**
 * PmVirtioMemFlags: how to make a device.
 * @PM_VIRTIO_MEM_KEEP_MEMORY: pm_virtio_mem_set_keep_memory() from the start: do not discard the
 * memory, which has contents that pm_virtio_mem_load() (virtio_mem_snapshot.h) will need.
 */
typedef enum {
    PM_VIRTIO_MEM_KEEP_MEMORY = 1 << 0,
} PmVirtioMemFlags;

/**
 * PmVirtioMemConfig: how to make a device. Zero selects the default.
 * @struct_size: sizeof(PmVirtioMemConfig) (macros.h).
 * @ram: the memory; its size is the region size. A reference is taken. It must not have a manager.
 * @address: guest physical address of the region, a multiple of the block size; the region must end
 * below 2^64, so it never has the last block below 2^64: Linux guests compare with @address plus
 * the size in 64 bits, where 2^64 is 0.
 * @block_size: bytes, a power of two, at least the RAM's page size; below 1 MiB the device logs a
 * warning. 0: the larger of the page size and the host's transparent huge page size (base pages) or
 * 1 MiB.
 * @requested_size: initial requested size in bytes, a multiple of the block size.
 * @usable_extent: bytes of the usable region beyond the requested size; 0: 256 MiB (arm: 1 GiB).
 * @has_node, @node: NUMA node of the memory; offers VIRTIO_MEM_F_ACPI_PXM.
 * @no_unplugged_inaccessible: do not offer VIRTIO_MEM_F_UNPLUGGED_INACCESSIBLE (old guests that
 * read unplugged memory).
 * @persistent_suspend: offer VIRTIO_MEM_F_PERSISTENT_SUSPEND.
 * @prefault_threads: prefault memory with this many threads before a PLUG succeeds
 * (pm_ram_populate()); BUSY if the host is out of memory. 0: do not.
 * @plugged_size_changed: optional: the plugged size changed.
 * @config_changed: optional: the requested size was set: send the guest a configuration interrupt.
 * @user_data: for both.
 * @flags: of PmVirtioMemFlags.
 */
typedef struct {
    size_t struct_size;
    PmRam *ram;
    uint64_t address;
    uint64_t block_size;
    uint64_t requested_size;
    uint64_t usable_extent;
    bool has_node;
    uint16_t node;
    bool no_unplugged_inaccessible;
    bool persistent_suspend;
    unsigned prefault_threads;
    PmVirtioMemSizeFunc plugged_size_changed;
    PmVirtioMemSizeFunc config_changed;
    void *user_data;
    uint64_t flags;
} PmVirtioMemConfig;

/**
 * Makes a device with nothing plugged; discards the memory of the whole RAM, unless
 * PM_VIRTIO_MEM_KEEP_MEMORY is set.
 * Returns: the device, or NULL; free with pm_virtio_mem_free(). Errors: PM_ERROR_INVALID_ARGUMENT,
 * PM_ERROR_UNALIGNED (the message names the property and the numbers), PM_ERROR_BUSY (as
 * pm_discard_manager_new()), and those of pm_ram_discard(). Until it is freed, the device requires
 * coordinated discards of the whole RAM (discard_policy.h).
 */
PM_EXPORT PmVirtioMem *pm_virtio_mem_new(const PmVirtioMemConfig *config, GError **error);

/**
 * Frees the device; NULL does nothing. Discards all its memory, listeners first; listeners only if
 * pm_virtio_mem_set_keep_memory() is on. If a listener objects (@can_discard) or cannot unmap
 * something, everything stays as it is, and the log says why. A mapper that still references the
 * manager keeps it, and with it the RAM: call pm_mapper_remove() before making another device on
 * the same RAM. In a child of fork(2) this frees only the child's copy.
 */
PM_EXPORT void pm_virtio_mem_free(PmVirtioMem *device);

/**
 * The manager of the device's memory, for registering listeners; owned by the device (take a
 * reference to keep it).
 */
PM_EXPORT PmDiscardManager *pm_virtio_mem_get_manager(const PmVirtioMem *device);

/**
 * The source of the manager that has the plugged blocks populated; owned by the manager. Other
 * sources (pm_discard_manager_add_source()) may forbid devices to access parts of them: requests
 * and sizes of the device do not depend on those. Do not change it: the device does.
 */
PM_EXPORT PmDiscardSource *pm_virtio_mem_get_source(const PmVirtioMem *device);

/** Guest physical address of the region. */
PM_EXPORT uint64_t pm_virtio_mem_get_address(const PmVirtioMem *device);

/** Bytes of a block. */
PM_EXPORT uint64_t pm_virtio_mem_get_block_size(const PmVirtioMem *device);

/** Bytes of the region. */
PM_EXPORT uint64_t pm_virtio_mem_get_region_size(const PmVirtioMem *device);

/** Bytes, from the start of the region, in which the guest may plug. */
PM_EXPORT uint64_t pm_virtio_mem_get_usable_size(const PmVirtioMem *device);

/** Bytes that are plugged. */
PM_EXPORT uint64_t pm_virtio_mem_get_plugged_size(const PmVirtioMem *device);

/** Bytes that the guest should plug. */
PM_EXPORT uint64_t pm_virtio_mem_get_requested_size(const PmVirtioMem *device);

/** Offered feature bits: 1 << VIRTIO_MEM_F_*. */
PM_EXPORT uint64_t pm_virtio_mem_get_features(const PmVirtioMem *device);

/** Feature bits that the driver accepted; 0 before that and after a device reset. */
PM_EXPORT uint64_t pm_virtio_mem_get_accepted_features(const PmVirtioMem *device);

/**
 * The driver accepts features.
 * @features: those of the device type (bits 0 to 23), not the transport's.
 * Errors: PM_ERROR_BAD_REQUEST (bits that were not offered, or UNPLUGGED_INACCESSIBLE was offered
 * and is not among them): do not let the driver set FEATURES_OK then.
 */
PM_EXPORT bool pm_virtio_mem_set_features(PmVirtioMem *device, uint64_t features, GError **error);

/**
 * Copies @size bytes from @offset of the configuration space (struct virtio_mem_config, little
 * endian). Bytes beyond its 56 read as zero. Never fails.
 */
PM_EXPORT void pm_virtio_mem_config_read(const PmVirtioMem *device, uint64_t offset, void *buffer,
                                         size_t size);

/**
 * Sets the requested size. The usable region grows with it, and never shrinks here. Calls
 * config_changed even if the size stays the same.
 * @size: bytes, a multiple of the block size, at most the region size.
 * Errors: PM_ERROR_UNALIGNED, PM_ERROR_INVALID_ARGUMENT.
 */
PM_EXPORT bool pm_virtio_mem_set_requested_size(PmVirtioMem *device, uint64_t size, GError **error);

/**
 * While on, the device refuses PLUG, UNPLUG and (if anything is plugged) UNPLUG_ALL and resets: its
 * state is being migrated. STATE is answered, and the requested size may change: save after that.
 */
PM_EXPORT void pm_virtio_mem_set_migrating(PmVirtioMem *device, bool migrating);

/**
 * While on, making, loading and freeing the device discard no memory: it belongs to another
 * process, too (the file of a memfd, in a live update or a migration on one host). Set it in the
 * new process (PM_VIRTIO_MEM_KEEP_MEMORY) until the old one has stopped using the memory, and in
 * the old one as soon as the new one may use it: then either can fail and free its device. Requests
 * and resets discard what they unplug all the same: on both sides pm_virtio_mem_set_migrating()
 * must be on.
 */
PM_EXPORT void pm_virtio_mem_set_keep_memory(PmVirtioMem *device, bool keep);

/**
 * Handles one request of the guest.
 * @request, @request_size: struct virtio_mem_req as in the descriptor, little endian; more bytes
 * are ignored.
 * @response, @response_size: room for struct virtio_mem_resp; its 10 bytes are set if true is
 * returned. May overlap @request.
 *
 * Returns: true if there is a response (of any type: see pm_virtio_mem_last_refusal()). False for a
 * request that violates the protocol (unknown type, too short, response buffer too small):
 * PM_ERROR_BAD_REQUEST; nothing changes, the device is broken, and every later request fails in the
 * same way until pm_virtio_mem_device_reset(). False, too, in a child of fork(2):
 * PM_ERROR_PERMISSION.
 */
PM_EXPORT bool pm_virtio_mem_handle(PmVirtioMem *device, const void *request, size_t request_size,
                                    void *response, size_t response_size, GError **error);

/**
 * Why the last request or system reset was refused. Requests in a child of fork(2) do not count.
 * @refusal: set to an error of the domain PM_REFUSAL, whose message has the request and the
 * numbers, or to NULL if it was not refused; owned by the device, valid until the next request or
 * reset (g_error_copy() keeps it). May be NULL.
 * Returns: its code, or PM_REFUSAL_NONE.
 */
PM_EXPORT PmRefusal pm_virtio_mem_last_refusal(const PmVirtioMem *device, const GError **refusal);

/**
 * The driver resets the virtio device: clears the features, and a broken device works again. No
 * block changes.
 */
PM_EXPORT void pm_virtio_mem_device_reset(PmVirtioMem *device);

/**
 * The machine is reset: unplugs everything, and shrinks the usable region to what the requested
 * size needs. No configuration interrupt: no driver listens. Do not call it for a wake-up from
 * suspend. It does not reset the virtio device: pm_virtio_mem_device_reset().
 *
 * Listeners may object (@can_discard) as to an unplug: I/O in flight does not end because the
 * machine is reset, and would hit memory that the host has given to somebody else. Reset the
 * devices that do it first, and call this again.
 * Errors: the code of the cause; PM_ERROR_BUSY while migrating. Everything stays plugged then.
 */
PM_EXPORT bool pm_virtio_mem_system_reset(PmVirtioMem *device, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmVirtioMem, pm_virtio_mem_free)

G_END_DECLS

#endif
