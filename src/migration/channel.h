/* SPDX-License-Identifier: MIT */
/*
 * Messages with descriptors between two processes on a Unix stream socket (handover.h). A message
 * is a header, sent in one piece with the descriptors, and a payload.
 */
#ifndef PLUGMAP_SRC_MIGRATION_CHANNEL_H
#define PLUGMAP_SRC_MIGRATION_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <plugmap/error.h>

/* Linux: SCM_MAX_FD. */
#define PM_CHANNEL_MAX_FDS  253
#define PM_CHANNEL_MAX_SIZE (UINT64_C(64) << 20)

typedef enum {
    PM_CHANNEL_CLOSED = 0, /* not a message: the peer has closed its end */
    PM_CHANNEL_OFFER = 1,
    PM_CHANNEL_ACCEPT = 2,
    PM_CHANNEL_FROZEN = 3,
    PM_CHANNEL_COMMIT = 4,
    PM_CHANNEL_DONE = 5,
    PM_CHANNEL_REFUSE = 6,
    PM_CHANNEL_ABORT = 7,
} PmChannelType;

/* A received message; owns payload and descriptors. */
typedef struct {
    PmChannelType type;
    void *payload;
    size_t size;
    int fds[PM_CHANNEL_MAX_FDS];
    size_t n_fds;
} PmMessage;

/* Closes descriptors that are not -1. */
void pm_message_clear(PmMessage *message);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PmMessage, pm_message_clear)

/* Errors: PM_ERROR_INVALID_ARGUMENT (not a Unix stream socket). */
bool pm_channel_check(int socket, GError **error);

/* Errors: PM_ERROR_BAD_INPUT; errno EPIPE (pm_error_get_errno()): the peer has closed its end. */
bool pm_channel_send(int socket, PmChannelType type, const void *payload, size_t size,
                     const int *fds, size_t n_fds, GError **error);

/* Sends a failure to the peer: its code and message. Best effort. */
void pm_channel_send_failure(int socket, PmChannelType type, const GError *failure);

/* Waits for a message. PM_CHANNEL_CLOSED is success. Errors: PM_ERROR_BAD_INPUT, PM_ERROR_MEMORY.
 */
bool pm_channel_receive(int socket, PmMessage *message, GError **error);

/* Sets @error to the failure that the peer sent. Returns false. */
bool pm_channel_fail(const PmMessage *message, const char *peer, GError **error);

#endif
