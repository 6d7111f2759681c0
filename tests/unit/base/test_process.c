/* SPDX-License-Identifier: MIT */
/* The process token on kernels without MADV_WIPEONFORK (before 4.14). The linker replaces madvise()
 * with the function below. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/process.h"

int __wrap_madvise(void *address, size_t size, int advice);

/* The code under test uses no other advice. */
int __wrap_madvise(void *address, size_t size, int advice)
{
    (void)address;
    (void)size;
    (void)advice;
    errno = EINVAL;
    return -1;
}

static void token_differs_in_a_child_without_wipeonfork(void **state)
{
    uint64_t token = pm_process_token();
    int status;
    pid_t child = fork();

    (void)state;
    assert_int_not_equal(token, 0);
    assert_true(child >= 0);
    if (child == 0)
        _exit(pm_process_token() != token && pm_process_token() != 0 ? 0 : 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(pm_process_token(), token);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(token_differs_in_a_child_without_wipeonfork),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
