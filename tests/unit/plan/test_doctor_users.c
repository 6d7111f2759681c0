/* SPDX-License-Identifier: MIT */
/* plugmap doctor: which processes have a device. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "doctor_host.h"
#include "util/host_tree.h"

#define NOBODY 65534

/* A process that has this file open. */
static void add_process(const char *root, const char *pid, const char *name, const char *file)
{
    g_autofree char *comm = g_strdup_printf("/proc/%s/comm", pid);
    g_autofree char *fd = g_strdup_printf("/proc/%s/fd/3", pid);

    host_tree_file(root, comm, name);
    host_tree_link(root, fd, file);
}

static void device_without_users_is_ok(void **state)
{
    add_process(*state, "100", "sh\n", "/dev/vfio/11");
    add_process(*state, "101", "sh\n", "/dev/vfio/vfio");
    add_process(*state, "102", "sh\n", "/tmp/dev/vfio/1");
    add_process(*state, "irq", "sh\n", "/dev/vfio/1");
    host_tree_folder(*state, "/proc/103");
    doctor_host_expect(*state, READY, "users", PM_DOCTOR_OK, "none", NULL, NULL);
}

static void user_of_the_group_is_named(void **state)
{
    add_process(*state, "100", "qemu-system-x86\n", "/dev/vfio/1");
    doctor_host_expect(*state, READY, "users", PM_DOCTOR_WARNING,
                       "in use by qemu-system-x86 (100): only one process can have it", "kill 100",
                       NULL);
    doctor_host_expect(*state, SHARED, "users", PM_DOCTOR_OK, "none", NULL, NULL);
}

static void user_of_the_cdev_is_named(void **state)
{
    host_tree_file(*state, "/sys/bus/pci/devices/" READY "/vfio-dev/vfio3/dev", "511:3\n");
    host_tree_file(*state, "/dev/vfio/devices/vfio3", "");
    add_process(*state, "100", "vmm\n", "/dev/vfio/devices/vfio3");
    doctor_host_expect(*state, READY, "users", PM_DOCTOR_WARNING,
                       "in use by vmm (100): only one process can have it", "kill 100", NULL);
}

static void process_that_asks_does_not_count(void **state)
{
    host_tree_link(*state, "/proc/77/fd/3", "/dev/vfio/1");
    doctor_host_expect(*state, READY, "users", PM_DOCTOR_OK, "none", NULL, NULL);
}

/* A process chooses its name: no escape sequences, and valid UTF-8. */
static void name_of_a_user_is_harmless(void **state)
{
    add_process(*state, "100", "a\033[31m\tb\377\n", "/dev/vfio/1");
    doctor_host_expect(*state, READY, "users", PM_DOCTOR_WARNING,
                       "in use by a?[31m?b\357\277\275 (100): only one process can have it",
                       "kill 100", NULL);
    host_tree_remove(*state, "/proc/100/comm");
    doctor_host_expect(*state, READY, "users", PM_DOCTOR_WARNING,
                       "in use by process (100): only one process can have it", "kill 100", NULL);
}

static void only_some_of_many_users_are_named(void **state)
{
    static const char *const pids[] = {"100", "101", "102", "103", "104"};

    for (size_t i = 0; i < G_N_ELEMENTS(pids); i++)
        add_process(*state, pids[i], "vmm\n", "/dev/vfio/1");
    doctor_host_expect(*state, READY, "users", PM_DOCTOR_WARNING,
                       "in use by vmm (100), vmm (101), vmm (102), vmm (103) and others: only one "
                       "process can have it",
                       "kill 103", NULL);
}

/* root sees all files: become another user. */
static void expect_hidden(const char *root)
{
    pid_t child = fork();
    int status;

    assert_true(child >= 0);
    if (child == 0) {
        if (geteuid() == 0 && (setgid(NOBODY) != 0 || setuid(NOBODY) != 0))
            _exit(99);
        doctor_host_expect(root, READY, "users", PM_DOCTOR_WARNING,
                           "none seen, but those of 1 processes of other users are hidden",
                           "plugmap doctor " READY, NULL);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void hidden_processes_are_a_warning(void **state)
{
    g_autofree char *folder = g_strconcat(*state, "/proc/100/fd", NULL);

    add_process(*state, "100", "vmm\n", "/dev/vfio/1");
    assert_int_equal(chmod(*state, 0755), 0);
    assert_int_equal(chmod(folder, 0), 0);
    expect_hidden(*state);
    assert_int_equal(chmod(folder, 0700), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(device_without_users_is_ok, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(user_of_the_group_is_named, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(user_of_the_cdev_is_named, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(process_that_asks_does_not_count, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(name_of_a_user_is_harmless, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(only_some_of_many_users_are_named, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(hidden_processes_are_a_warning, doctor_host_setup,
                                        doctor_host_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
