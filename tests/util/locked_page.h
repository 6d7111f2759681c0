/* SPDX-License-Identifier: MIT */
/* Memory that the host does not free. */
#ifndef PLUGMAP_TESTS_UTIL_LOCKED_PAGE_H
#define PLUGMAP_TESTS_UTIL_LOCKED_PAGE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

/* Locks a page, so that discarding it fails. Uses syscall(2), because sanitizers turn mlock()
 * into a no-op.
 */
static inline void lock_page(const void *page)
{
    if (syscall(SYS_mlock, page, 4096) != 0) {
        print_message("locking one page is forbidden here: raise RLIMIT_MEMLOCK\n");
        skip();
    }
}

static inline void unlock_page(const void *page)
{
    assert_int_equal(syscall(SYS_munlock, page, 4096), 0);
}

#endif
