/* SPDX-License-Identifier: MIT */
/* What a controller and its namespace say about themselves. */
#ifndef PLUGMAP_SRC_NVME_IDENTITY_H
#define PLUGMAP_SRC_NVME_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

#include <plugmap/error.h>

/*
 * PmNvmeIdentity:
 * @model, @serial: without trailing spaces; printable ASCII, others are '?'.
 * @max_transfer: bytes of a command's data; UINT64_MAX: the controller has no limit.
 * @n_blocks, @block_size: of the namespace, whose size in bytes is less than 2^64.
 */
typedef struct {
    char model[41];
    char serial[21];
    uint64_t max_transfer;
    uint64_t n_blocks;
    uint64_t block_size;
} PmNvmeIdentity;

/* Reads the 4 KiB that Identify returns for a controller. Sets @model, @serial, @max_transfer. */
void pm_nvme_identity_read_controller(PmNvmeIdentity *identity, const uint8_t *data);

/* The same for a namespace: sets the rest. @device: for messages. Errors: PM_ERROR_UNSUPPORTED (no
 * such namespace, block size, metadata). */
bool pm_nvme_identity_read_namespace(PmNvmeIdentity *identity, const uint8_t *data,
                                     const char *device, GError **error);

#endif
