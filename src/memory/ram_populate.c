/* SPDX-License-Identifier: MIT */
#include "memory/ram_private.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

#include <plugmap/size.h>

#include "memory/hugetlb_pool.h"
#include "memory/ram_absent.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* Bytes per call: small enough to distribute over threads, and to finish between two signals; large
 * enough not to split a transparent huge page. */
#define PIECE (2 * PM_MIB)

#define MAX_THREADS 64

/* A range that several threads populate piece by piece. */
typedef struct {
    PmRam *ram;
    uint64_t end;
    uint64_t piece_size;
    pthread_mutex_t lock; /* protects the members below */
    uint64_t next;
    int error_number; /* of the first failure, which stops all threads; or 0 */
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

/* Compare-and-exchange stores the old value, so that no concurrent write is lost. */
static void touch(char *address)
{
    volatile char *byte = address;
    char value = *byte;

    __atomic_compare_exchange_n(byte, &value, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

/* A signal interrupts fallocate(), which for a memfd then frees what it has allocated: so each
 * EINTR halves the step, down to a page. Returns 0 or an errno. */
static int allocate(const PmRam *ram, uint64_t offset, uint64_t size)
{
    uint64_t end = offset + size;
    uint64_t step = size;

    while (offset < end) {
        step = MIN(step, end - offset);
        if (fallocate(ram->fd, FALLOC_FL_KEEP_SIZE, (off_t)(ram->fd_offset + offset),
                      (off_t)step) == 0)
            offset += step;
        else if (errno == EINTR)
            step = MAX(step / 2 & -ram->page_size, ram->page_size);
        else
            return errno;
    }
    return 0;
}

int pm_ram_populate_by_touching(const PmRam *ram, uint64_t offset, uint64_t size)
{
    uint64_t step = pm_base_page_size();
    int error_number = 0;
    uint64_t at;

    if (ram->fd >= 0 && ram->shared)
        error_number = allocate(ram, offset, size);
    if (error_number != 0 && error_number != EOPNOTSUPP)
        return error_number;
    for (at = 0; at < size; at += step)
        touch(ram->host + offset + at);
    return 0;
}

/* For an empty range madvise() only fails if the kernel does not know the advice. */
static bool kernel_can_populate(void)
{
    return madvise(NULL, 0, MADV_POPULATE_WRITE) == 0;
}

/* Returns 0 or an errno. */
static int populate_piece(const PmRam *ram, uint64_t offset, uint64_t size)
{
    int error_number;

    if (pm_ram_advise(ram, MADV_POPULATE_WRITE, offset, size))
        return 0;
    error_number = errno;
    if (error_number == EINVAL && !kernel_can_populate())
        return pm_ram_populate_by_touching(ram, offset, size);
    return error_number;
}

static bool take_piece(Job *job, uint64_t *offset, uint64_t *size)
{
    bool taken;

    pthread_mutex_lock(&job->lock);
    taken = job->next < job->end && job->error_number == 0;
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
        int error_number = populate_piece(job->ram, offset, size);

        pthread_mutex_lock(&job->lock);
        if (job->error_number == 0)
            job->error_number = error_number;
        pthread_mutex_unlock(&job->lock);
    }
    return NULL;
}

/* The caller works, too, so that failing to create threads does not matter. The threads block all
 * signals. */
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

/* Populates [@from, @end). Returns 0 or an errno. */
static int populate_range(PmRam *ram, uint64_t from, uint64_t end, unsigned n_threads)
{
    uint64_t piece_size = MAX(ram->page_size, PIECE);
    uint64_t n_pieces = (end - 1) / piece_size - from / piece_size + 1;
    Job job = {.ram = ram, .end = end, .piece_size = piece_size, .next = from};

    pthread_mutex_init(&job.lock, NULL);
    if (n_threads <= 1 || n_pieces == 1)
        (void)work(&job);
    else
        work_in_threads(&job, (unsigned)MIN(MIN(n_threads, MAX_THREADS), n_pieces));
    pthread_mutex_destroy(&job.lock);
    return job.error_number;
}

/* pagemap does not say what is writable: populate one page to find out. */
static int populate_absent(PmRam *ram, uint64_t offset, uint64_t end, unsigned n_threads)
{
    uint64_t absent = pm_ram_find_absent(ram, offset, end);
    int error_number = absent > offset ? populate_piece(ram, offset, ram->page_size) : 0;

    if (error_number != 0 || absent == end)
        return error_number;
    return populate_range(ram, absent, end, n_threads);
}

typedef int (*PopulateFunc)(PmRam *ram, uint64_t offset, uint64_t end, unsigned n_threads);

static bool populate(PmRam *ram, uint64_t offset, uint64_t size, unsigned n_threads,
                     PopulateFunc func, GError **error)
{
    int error_number = 0;

    if (!pm_ram_check_range(ram, offset, size, error))
        return false;
    if (size > 0)
        error_number = func(ram, offset, offset + size, n_threads);
    return error_number == 0 || fail_populate(ram, offset, size, error_number, error);
}

bool pm_ram_populate(PmRam *ram, uint64_t offset, uint64_t size, unsigned n_threads, GError **error)
{
    return pm_ram_check_is_ram(ram, "populate", error) &&
           populate(ram, offset, size, n_threads, populate_absent, error);
}

/* Adopted memory may be read-only. If it is not mapped, or past the end of its file, pinning it
 * fails with a better error. */
bool pm_ram_own_pages(PmRam *ram, uint64_t offset, uint64_t size, GError **error)
{
    if (ram->shared)
        return true;
    if (ram->kind != PM_RAM_ADOPTED)
        return populate(ram, offset, size, 1, populate_range, error);
    (void)pm_ram_advise(ram, MADV_POPULATE_WRITE, offset, size);
    return true;
}
