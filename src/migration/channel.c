/* SPDX-License-Identifier: MIT */
#include "migration/channel.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error_text.h"

#define MAGIC   UINT64_C(0x31766f646e68706d) /* "mphndov1" */
#define VERSION 1

/* Both ends are on one host: its byte order. */
typedef struct {
    uint64_t magic;
    uint32_t version;
    uint32_t type;
    uint64_t size;
    uint32_t n_fds;
    uint32_t reserved;
} Header;

/* Room for the descriptors, aligned. */
typedef union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(PM_CHANNEL_MAX_FDS * sizeof(int))];
} Control;

void pm_message_clear(PmMessage *message)
{
    for (size_t i = 0; i < message->n_fds; i++)
        if (message->fds[i] >= 0)
            (void)close(message->fds[i]);
    g_free(message->payload);
    *message = (PmMessage){0};
}

bool pm_channel_check(int socket, GError **error)
{
    int domain = 0;
    int type = 0;
    socklen_t size = sizeof domain;

    if (getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 &&
        getsockopt(socket, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && domain == AF_UNIX &&
        type == SOCK_STREAM)
        return true;
    return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                   "descriptor %d is not a Unix stream socket: pass one end of a socketpair(2)",
                   socket);
}

static bool fail_socket(const char *what, int error_number, GError **error)
{
    g_autofree char *text = pm_errno_text(error_number);

    (void)pm_fail(error, PM_ERROR_BAD_INPUT, "%s the other process failed: %s", what, text);
    return pm_note_errno(error, error_number);
}

/* --- sending --- */

static ssize_t send_once(int socket, const struct msghdr *message)
{
    ssize_t result;

    do
        result = sendmsg(socket, message, MSG_NOSIGNAL);
    while (result < 0 && errno == EINTR);
    return result;
}

/* The kernel queues a small message whole or not at all. */
static bool send_header(int socket, Header *header, const int *fds, size_t n_fds, GError **error)
{
    Control control = {.bytes = {0}};
    struct iovec data = {.iov_base = header, .iov_len = sizeof *header};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};
    ssize_t result;

    if (n_fds > 0) {
        struct cmsghdr *rights;

        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        rights = CMSG_FIRSTHDR(&message);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(rights), fds, n_fds * sizeof(int));
    }
    result = send_once(socket, &message);
    if (result == (ssize_t)sizeof *header)
        return true;
    return fail_socket("sending to", result < 0 ? errno : EIO, error);
}

static bool send_payload(int socket, const char *payload, size_t size, GError **error)
{
    while (size > 0) {
        struct iovec data = {.iov_base = (void *)payload, .iov_len = size};
        const struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};
        ssize_t result = send_once(socket, &message);

        if (result <= 0)
            return fail_socket("sending to", result < 0 ? errno : EIO, error);
        payload += result;
        size -= (size_t)result;
    }
    return true;
}

bool pm_channel_send(int socket, PmChannelType type, const void *payload, size_t size,
                     const int *fds, size_t n_fds, GError **error)
{
    Header header = {
        .magic = MAGIC, .version = VERSION, .type = type, .size = size, .n_fds = (uint32_t)n_fds};

    return send_header(socket, &header, fds, n_fds, error) &&
           send_payload(socket, payload, size, error);
}

/* --- receiving --- */

static ssize_t receive_once(int socket, struct msghdr *message)
{
    ssize_t result;

    do
        result = recvmsg(socket, message, MSG_CMSG_CLOEXEC);
    while (result < 0 && errno == EINTR);
    /* The peer closed its end without reading all that was sent to it. */
    return result < 0 && errno == ECONNRESET ? 0 : result;
}

static void take_fds(struct msghdr *from, PmMessage *message)
{
    for (struct cmsghdr *rights = CMSG_FIRSTHDR(from); rights != NULL;
         rights = CMSG_NXTHDR(from, rights)) {
        size_t n_fds = (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        if (rights->cmsg_level != SOL_SOCKET || rights->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t i = 0; i < n_fds; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(rights) + i * sizeof fd, sizeof fd);
            if (message->n_fds < PM_CHANNEL_MAX_FDS)
                message->fds[message->n_fds++] = fd;
            else
                (void)close(fd);
        }
    }
}

/* Returns the number of bytes, fewer only at the end of the stream; or -1 with an error. */
static ssize_t receive_bytes(int socket, void *bytes, size_t size, PmMessage *message,
                             GError **error)
{
    size_t done = 0;

    while (done < size) {
        Control control;
        struct iovec data = {.iov_base = (char *)bytes + done, .iov_len = size - done};
        struct msghdr from = {.msg_iov = &data,
                              .msg_iovlen = 1,
                              .msg_control = control.bytes,
                              .msg_controllen = sizeof control.bytes};
        ssize_t result = receive_once(socket, &from);

        if (result < 0) {
            (void)fail_socket("receiving from", errno, error);
            return -1;
        }
        if (result == 0)
            break;
        take_fds(&from, message);
        done += (size_t)result;
    }
    return (ssize_t)done;
}

static bool check_header(const Header *header, GError **error)
{
    if (header->magic != MAGIC || header->reserved != 0)
        return pm_fail(error, PM_ERROR_BAD_INPUT,
                       "invalid message from the other process: it does not follow the protocol of "
                       "pm_handover_send()");
    if (header->version != VERSION)
        return pm_fail(error, PM_ERROR_BAD_INPUT,
                       "the other process has version %" PRIu32
                       " of the handover protocol, this one %d: update from a release in between",
                       header->version, VERSION);
    if (header->type == PM_CHANNEL_CLOSED || header->type > PM_CHANNEL_ABORT ||
        header->size > PM_CHANNEL_MAX_SIZE || header->n_fds > PM_CHANNEL_MAX_FDS)
        return pm_fail(error, PM_ERROR_BAD_INPUT,
                       "invalid message from the other process: type %" PRIu32 ", %" PRIu64
                       " bytes, %" PRIu32 " descriptors",
                       header->type, header->size, header->n_fds);
    return true;
}

static bool fail_truncated(GError **error)
{
    return pm_fail(error, PM_ERROR_BAD_INPUT,
                   "the other process closed the socket in the middle of a message, or this one "
                   "cannot have more descriptors (ulimit -n)");
}

static bool receive_payload(int socket, const Header *header, PmMessage *message, GError **error)
{
    ssize_t n_bytes;

    if (header->size > 0) {
        message->payload = g_try_malloc_n(header->size, 1);
        if (message->payload == NULL)
            return pm_fail(error, PM_ERROR_MEMORY,
                           "out of memory for a message of %" PRIu64 " bytes", header->size);
        n_bytes = receive_bytes(socket, message->payload, header->size, message, error);
        if (n_bytes < 0)
            return false;
        message->size = (size_t)n_bytes;
    }
    if (message->size != header->size || message->n_fds != header->n_fds)
        return fail_truncated(error);
    message->type = (PmChannelType)header->type;
    return true;
}

bool pm_channel_receive(int socket, PmMessage *message, GError **error)
{
    Header header;
    ssize_t n_bytes;
    bool received;

    *message = (PmMessage){0};
    n_bytes = receive_bytes(socket, &header, sizeof header, message, error);
    if (n_bytes == 0)
        return true;
    received =
        n_bytes == (ssize_t)sizeof header
            ? check_header(&header, error) && receive_payload(socket, &header, message, error)
            : n_bytes > 0 && fail_truncated(error);
    if (!received)
        pm_message_clear(message);
    return received;
}

/* --- failures --- */

void pm_channel_send_failure(int socket, PmChannelType type, const GError *failure)
{
    size_t length = strlen(failure->message);
    g_autofree char *payload = g_malloc(sizeof(uint32_t) + length);
    uint32_t code = failure->domain == PM_ERROR ? (uint32_t)failure->code : PM_ERROR_BAD_INPUT;

    memcpy(payload, &code, sizeof code);
    memcpy(payload + sizeof code, failure->message, length);
    (void)pm_channel_send(socket, type, payload, sizeof code + length, NULL, 0, NULL);
}

bool pm_channel_fail(const PmMessage *message, const char *peer, GError **error)
{
    static const int max_length = 4096;
    uint32_t code;

    if (message->type != PM_CHANNEL_REFUSE && message->type != PM_CHANNEL_ABORT)
        return pm_fail(error, PM_ERROR_BAD_INPUT,
                       message->type == PM_CHANNEL_CLOSED
                           ? "%s has closed the socket: it has ended, or closed it on failure"
                           : "%s sent a message out of order",
                       peer);
    if (message->size < sizeof code)
        return pm_fail(error, PM_ERROR_BAD_INPUT, "%s failed without a reason", peer);
    memcpy(&code, message->payload, sizeof code);
    if (g_str_equal(pm_error_code_name((PmError)code), "unknown"))
        code = PM_ERROR_BAD_INPUT;
    return pm_fail(error, (PmError)code, "%s failed: %.*s", peer,
                   (int)MIN(message->size - sizeof code, (size_t)max_length),
                   (const char *)message->payload + sizeof code);
}
