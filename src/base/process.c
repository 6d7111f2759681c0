/* SPDX-License-Identifier: MIT */
#include "base/process.h"

#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

typedef _Atomic uint64_t Token;

/* Stands for a page that is not available; its value is not used. */
static Token no_page;

/* NULL before the first call. The page reads as 0 in a new child. */
static _Atomic(Token *) page;

/* MADV_WIPEONFORK requires Linux 4.14. */
static Token *make_page(void)
{
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    void *made = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (made == MAP_FAILED)
        return &no_page;
    if (madvise(made, size, MADV_WIPEONFORK) == 0)
        return made;
    (void)munmap(made, size);
    return &no_page;
}

static Token *find_page(void)
{
    Token *found = atomic_load_explicit(&page, memory_order_acquire);
    Token *made;

    if (found != NULL)
        return found;
    made = make_page();
    if (atomic_compare_exchange_strong(&page, &found, made))
        return made;
    /* Lost the race against another thread. */
    if (made != &no_page)
        (void)munmap(made, (size_t)sysconf(_SC_PAGESIZE));
    return found;
}

/* Must differ from the tokens of the ancestors, but need not be secret: no need to wait for the
 * entropy pool. */
static uint64_t make_token(void)
{
    struct timespec now;
    uint64_t token = 0;

    if (getrandom(&token, sizeof token, GRND_NONBLOCK) == (ssize_t)sizeof token && token != 0)
        return token;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)getpid() << 32 | (uint64_t)now.tv_nsec | 1;
}

uint64_t pm_process_token(void)
{
    Token *token = find_page();
    uint64_t value;
    uint64_t made;

    if (token == &no_page)
        return (uint64_t)getpid();
    value = atomic_load_explicit(token, memory_order_relaxed);
    if (value != 0)
        return value;
    made = make_token();
    return atomic_compare_exchange_strong(token, &value, made) ? made : value;
}
