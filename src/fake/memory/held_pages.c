/* SPDX-License-Identifier: MIT */
#include "fake/memory/held_pages.h"

#include <errno.h>
#include <liburing.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error_text.h"
#include "base/process.h"
#include "base/range_map.h"

/* The maximum per ring; more rings are created as needed. */
#define BUFFERS_OF_A_RING 16384

#define ADDRESS_STEP (UINT64_C(1) << 30)

typedef struct {
    struct io_uring uring; /* shared with a forked child */
    uint64_t process;      /* that created it */
    GArray *free_buffers;  /* of unsigned */
} Ring;

typedef struct {
    PmRangeKey key;
    uint64_t host; /* where the process had the pages; io_uring names them by it */
    Ring *ring;
    uint64_t buffer;
} Hold;

struct PmHeldPages {
    GPtrArray *rings;  /* of Ring */
    PmRangeMap *holds; /* of Hold */
    uint64_t next_address;
    int staging; /* a memfd, through which data is copied */
};

static void ring_free(void *data)
{
    Ring *ring = data;

    io_uring_queue_exit(&ring->uring);
    g_array_unref(ring->free_buffers);
    g_free(ring);
}

/* Returns 0 or -errno. */
static int add_ring(PmHeldPages *pages)
{
    Ring *ring = g_new0(Ring, 1);
    int result = io_uring_queue_init(1, &ring->uring, 0);
    unsigned i;

    if (result < 0) {
        g_free(ring);
        return result;
    }
    ring->process = pm_process_token();
    ring->free_buffers = g_array_sized_new(FALSE, FALSE, sizeof(unsigned), BUFFERS_OF_A_RING);
    for (i = BUFFERS_OF_A_RING; i-- > 0;)
        g_array_append_val(ring->free_buffers, i);
    result = io_uring_register_buffers_sparse(&ring->uring, BUFFERS_OF_A_RING);
    if (result < 0)
        ring_free(ring);
    else
        g_ptr_array_add(pages->rings, ring);
    return result;
}

PmHeldPages *pm_held_pages_new(GError **error)
{
    g_autoptr(PmHeldPages) pages = g_new0(PmHeldPages, 1);
    g_autofree char *name = NULL;
    int result;

    pages->rings = g_ptr_array_new_with_free_func(ring_free);
    pages->holds = pm_range_map_new(sizeof(Hold));
    pages->next_address = PM_HELD_BASE;
    pages->staging = memfd_create("plugmap-dma", MFD_CLOEXEC);
    result = pages->staging < 0 ? -errno : add_ring(pages);
    if (result >= 0)
        return g_steal_pointer(&pages);
    name = pm_errno_text(-result);
    pm_fail(error, PM_ERROR_UNSUPPORTED,
            "PM_FAKE_PIN_HOLD needs io_uring, which the host denies this process (%s): allow it "
            "(sysctl kernel.io_uring_disabled=0), or use PM_FAKE_PIN_POPULATE",
            name);
    (void)pm_note_errno(error, -result);
    return NULL;
}

void pm_held_pages_free(PmHeldPages *pages)
{
    if (pages == NULL)
        return;
    g_ptr_array_unref(pages->rings);
    pm_range_map_free(pages->holds);
    if (pages->staging >= 0)
        (void)close(pages->staging);
    g_free(pages);
}

/* A ring with a free buffer; NULL if none can be created. */
static Ring *find_ring(PmHeldPages *pages)
{
    for (guint i = 0; i < pages->rings->len; i++) {
        Ring *ring = g_ptr_array_index(pages->rings, i);

        if (ring->free_buffers->len > 0)
            return ring;
    }
    return add_ring(pages) < 0 ? NULL : g_ptr_array_index(pages->rings, pages->rings->len - 1);
}

static bool update_buffer(Ring *ring, unsigned buffer, void *start, size_t size)
{
    const struct iovec pages = {start, size};
    const __u64 no_tag = 0;

    return ring->process == pm_process_token() &&
           io_uring_register_buffers_update_tag(&ring->uring, buffer, &pages, &no_tag, 1) == 1;
}

uint64_t pm_held_pages_hold(PmHeldPages *pages, uint64_t host, uint64_t size)
{
    Ring *ring = find_ring(pages);
    Hold hold = {.host = host, .ring = ring};
    uint64_t address = pages->next_address + (host - pages->next_address) % ADDRESS_STEP;
    unsigned buffer;

    if (ring == NULL)
        return 0;
    buffer = g_array_index(ring->free_buffers, unsigned, ring->free_buffers->len - 1);
    hold.key = (PmRangeKey){address, address + (size - 1)};
    hold.buffer = buffer;
    if (!update_buffer(ring, buffer, (void *)(uintptr_t)host, size))
        return 0;
    if (!pm_range_map_insert(pages->holds, &hold)) {
        (void)update_buffer(ring, buffer, NULL, 0);
        return 0;
    }
    g_array_set_size(ring->free_buffers, ring->free_buffers->len - 1);
    pages->next_address = address + size;
    return address;
}

void pm_held_pages_release(PmHeldPages *pages, uint64_t first, uint64_t last)
{
    const Hold *hold;

    while ((hold = pm_range_map_find(pages->holds, first)) != NULL && hold->key.first <= last) {
        unsigned buffer = (unsigned)hold->buffer;

        (void)update_buffer(hold->ring, buffer, NULL, 0);
        g_array_append_val(hold->ring->free_buffers, buffer);
        (void)pm_range_map_remove(pages->holds, hold->key.first, hold->key.last);
    }
}

/* By a signal, or because the host was temporarily short of memory. */
static bool is_interrupted(int result)
{
    return result == -EINTR || result == -EAGAIN || result == -ECANCELED;
}

/* Returns the result of the ring's only request. Waits for it in any case: a completion left in
 * the ring would be taken for the next request's. */
static int submit(Ring *ring)
{
    struct io_uring_cqe *completion;
    int result;

    do
        result = io_uring_submit(&ring->uring);
    while (is_interrupted(result));
    if (result < 0)
        return result;
    do
        result = io_uring_wait_cqe(&ring->uring, &completion);
    while (is_interrupted(result));
    if (result < 0)
        return result;
    result = completion->res;
    io_uring_cqe_seen(&ring->uring, completion);
    return result;
}

/* Copies between held pages and the staging file. */
static int move(const PmHeldPages *pages, uint64_t address, size_t size, bool to_held)
{
    const Hold *hold = pm_range_map_find(pages->holds, address);
    void *held = (void *)(uintptr_t)(hold->host + (address - hold->key.first));
    int result;

    do {
        struct io_uring_sqe *request = io_uring_get_sqe(&hold->ring->uring);

        if (request == NULL)
            return -EFAULT;
        if (to_held)
            io_uring_prep_read_fixed(request, pages->staging, held, (unsigned)size, 0,
                                     (int)hold->buffer);
        else
            io_uring_prep_write_fixed(request, pages->staging, held, (unsigned)size, 0,
                                      (int)hold->buffer);
        result = submit(hold->ring);
    } while (is_interrupted(result));
    return result == (int)size ? 0 : -EFAULT;
}

int pm_held_pages_read(PmHeldPages *pages, void *to, uint64_t address, size_t size)
{
    if (move(pages, address, size, false) < 0 ||
        TEMP_FAILURE_RETRY(pread(pages->staging, to, size, 0)) != (ssize_t)size)
        return -EFAULT;
    return 0;
}

int pm_held_pages_write(PmHeldPages *pages, uint64_t address, const void *from, size_t size)
{
    if (TEMP_FAILURE_RETRY(pwrite(pages->staging, from, size, 0)) != (ssize_t)size)
        return -EFAULT;
    return move(pages, address, size, true);
}
