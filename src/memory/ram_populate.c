/* SPDX-License-Identifier: MIT */
#include "memory/ram_private.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

#include <plugmap/size.h>

#include "memory/hugetlb_pool.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* What a thread takes at a time: small enough to share out, and a transparent huge page is not torn
 * apart. */
#define PIECE (2 * PM_MIB)

#define MAX_THREADS 64

/* A range that several threads populate; they take piece by piece. */
typedef struct {
    PmRam *ram;
    uint64_t end;
    uint64_t piece_size;
    pthread_mutex_t lock; /* of what is below */
    uint64_t next;
    GError *error; /* the first; nobody goes on then */
} Job;

static bool fail_populate(PmRam *ram, uint64_t offset, uint64_t size, int error_number,
                          GError **error)
{
    g_autofree char *lack = pm_hugetlb_pool_describe_lack(ram, offset, size);

    return pm_ram_fail_range(
        ram, PM_ERROR_MEMORY, "populate", offset, size, error_number,
        lack != NULL
            ? lack
            : "free memory on the host, or raise memory.max of this process's cgroup (for hugetlb "
              "pages hugetlb.*.max); the memory must be mapped writable",
        error);
}

/* The compare-and-exchange stores what is there already, so no write of anybody else gets lost. */
static void touch(char *address)
{
    volatile char *byte = address;
    char value = *byte;

    __atomic_compare_exchange_n(byte, &value, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

bool pm_ram_populate_by_touching(PmRam *ram, uint64_t offset, uint64_t size, GError **error)
{
    uint64_t step = pm_base_page_size();
    uint64_t at;

    if (size != 0 && ram->fd >= 0 && ram->shared && !pm_ram_change_file(ram, 0, offset, size) &&
        errno != EOPNOTSUPP)
        return fail_populate(ram, offset, size, errno, error);
    for (at = 0; at < size; at += step)
        touch(ram->host + offset + at);
    return true;
}

/* An empty range is only refused if the kernel does not know the advice. */
static bool kernel_can_populate(void)
{
    return madvise(NULL, 0, MADV_POPULATE_WRITE) == 0;
}

static bool populate_piece(PmRam *ram, uint64_t offset, uint64_t size, GError **error)
{
    if (pm_ram_advise(ram, MADV_POPULATE_WRITE, offset, size))
        return true;
    if (errno == EINVAL && !kernel_can_populate())
        return pm_ram_populate_by_touching(ram, offset, size, error);
    return fail_populate(ram, offset, size, errno, error);
}

static bool take_piece(Job *job, uint64_t *offset, uint64_t *size)
{
    bool taken;

    pthread_mutex_lock(&job->lock);
    taken = job->next < job->end && job->error == NULL;
    *offset = job->next;
    *size = MIN(job->piece_size - job->next % job->piece_size, job->end - job->next);
    if (taken)
        job->next += *size;
    pthread_mutex_unlock(&job->lock);
    return taken;
}

static void *work(void *user_data)
{
    Job *job = user_data;
    uint64_t offset;
    uint64_t size;

    while (take_piece(job, &offset, &size)) {
        GError *error = NULL;

        if (populate_piece(job->ram, offset, size, &error))
            continue;
        pthread_mutex_lock(&job->lock);
        if (job->error == NULL)
            job->error = g_steal_pointer(&error);
        pthread_mutex_unlock(&job->lock);
        g_clear_error(&error);
    }
    return NULL;
}

/* The caller works, too, so that it gets done even if no thread can be made. Signals are the
 * caller's. */
static void work_in_threads(Job *job, unsigned n_threads)
{
    pthread_t threads[MAX_THREADS];
    unsigned n_made = 0;
    sigset_t all;
    sigset_t before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (n_made + 1 < n_threads && pthread_create(&threads[n_made], NULL, work, job) == 0)
        n_made++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)work(job);
    while (n_made-- > 0)
        (void)pthread_join(threads[n_made], NULL);
}

bool pm_ram_populate(PmRam *ram, uint64_t offset, uint64_t size, unsigned n_threads, GError **error)
{
    Job job = {
        .ram = ram, .end = offset + size, .piece_size = MAX(ram->page_size, PIECE), .next = offset};
    uint64_t n_pieces;

    if (!pm_ram_check_range(ram, offset, size, error))
        return false;
    n_pieces = size / job.piece_size + 1;
    if (n_threads <= 1 || n_pieces == 1)
        return populate_piece(ram, offset, size, error);
    pthread_mutex_init(&job.lock, NULL);
    work_in_threads(&job, (unsigned)MIN(MIN(n_threads, MAX_THREADS), n_pieces));
    pthread_mutex_destroy(&job.lock);
    if (job.error == NULL)
        return true;
    g_propagate_error(error, job.error);
    return false;
}
