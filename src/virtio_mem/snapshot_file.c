/* SPDX-License-Identifier: MIT */
#include <plugmap/virtio_mem_snapshot.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#include "base/error_text.h"
#include "virtio_mem/snapshot_check.h"

bool pm_virtio_mem_save_file(const PmVirtioMem *device, const char *path, GError **error)
{
    g_autoptr(GBytes) snapshot = pm_virtio_mem_save(device, error);
    g_autoptr(GError) failure = NULL;
    const char *bytes;
    gsize size;

    if (snapshot == NULL)
        return false;
    bytes = g_bytes_get_data(snapshot, &size);
    if (g_file_set_contents_full(path, bytes, (gssize)size,
                                 G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0666,
                                 &failure))
        return true;
    return pm_fail(error, PM_ERROR_BAD_INPUT, "cannot save a snapshot to %s: %s", path,
                   failure->message);
}

static bool fail_read(const char *path, int error_number, GError **error)
{
    (void)pm_fail(error, PM_ERROR_BAD_INPUT, "cannot read the snapshot %s: %s", path,
                  g_strerror(error_number));
    return pm_note_errno(error, error_number);
}

/* Reads up to @max bytes. */
static bool read_fd(int fd, const char *path, uint8_t *bytes, size_t max, size_t *size,
                    GError **error)
{
    ssize_t n_read;

    for (*size = 0; *size < max; *size += (size_t)n_read) {
        n_read = TEMP_FAILURE_RETRY(read(fd, bytes + *size, max - *size));
        if (n_read < 0)
            return fail_read(path, errno, error);
        if (n_read == 0)
            break;
    }
    return true;
}

static bool read_path(const char *path, uint8_t *bytes, size_t max, size_t *size, GError **error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    bool done;

    if (fd < 0)
        return fail_read(path, errno, error);
    done = read_fd(fd, path, bytes, max, size, error);
    close(fd);
    return done;
}

bool pm_virtio_mem_load_file(PmVirtioMem *device, const char *path, GError **error)
{
    /* One byte more shows that the file is too long. */
    uint64_t max = pm_snapshot_size_for(device) + 1;
    uint8_t *bytes = g_try_malloc(max);
    g_autoptr(GBytes) snapshot = NULL;
    size_t size = 0;

    if (bytes == NULL)
        return pm_fail(error, PM_ERROR_MEMORY,
                       "%s: cannot allocate %" PRIu64
                       " bytes to read the snapshot: free memory on the host",
                       path, max);
    if (!read_path(path, bytes, max, &size, error)) {
        g_free(bytes);
        return false;
    }
    snapshot = g_bytes_new_take(bytes, size);
    if (pm_virtio_mem_load(device, snapshot, error))
        return true;
    g_prefix_error(error, "%s: ", path);
    return false;
}
