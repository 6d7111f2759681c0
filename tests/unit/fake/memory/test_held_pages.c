/* SPDX-License-Identifier: MIT */
/* Pages held by io_uring: they are released, and signals do not corrupt transfers. */
#include "fake/memory/held_pages.h"

#include <signal.h>
#include <stdio.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <plugmap/fake.h>

#include "util/kernel_util.h"

#define N_PAGES     64
#define N_TRANSFERS 2000
#define SKIPPED                                                                                    \
    "skipped: no io_uring; run sysctl kernel.io_uring_disabled=0, and raise the "                  \
    "locked-memory limit (ulimit -l)\n"

/* Bytes pinned by the process (VmPin). */
static uint64_t pinned(void)
{
    g_autofree char *status = NULL;
    const char *line;

    assert_true(g_file_get_contents("/proc/self/status", &status, NULL, NULL));
    line = strstr(status, "VmPin:");
    assert_non_null(line);
    return g_ascii_strtoull(line + strlen("VmPin:"), NULL, 10) * PM_KIB;
}

/* Old kernels unpin with a delay. */
static bool pinned_drops_to(uint64_t n_bytes)
{
    for (unsigned i = 0; i < 5000 && pinned() != n_bytes; i++)
        g_usleep(1000);
    return pinned() == n_bytes;
}

static unsigned count_rings(void)
{
    g_autoptr(GDir) files = g_dir_open("/proc/self/fd", 0, NULL);
    const char *name;
    unsigned n_rings = 0;

    while ((name = g_dir_read_name(files)) != NULL) {
        g_autofree char *path = g_build_filename("/proc/self/fd", name, NULL);
        g_autofree char *target = g_file_read_link(path, NULL);

        n_rings += g_strcmp0(target, "anon_inode:[io_uring]") == 0;
    }
    return n_rings;
}

static char *make_memory(void)
{
    char *memory =
        mmap(NULL, N_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_ptr_not_equal(memory, MAP_FAILED);
    for (unsigned i = 0; i < N_PAGES; i++)
        memset(memory + i * PAGE, (int)i + 1, PAGE);
    return memory;
}

static void unmap_releases_held_pages(void **state)
{
    PmFakeConfig config;
    g_autoptr(PmKernel) kernel = NULL;
    g_autoptr(Kernel) fake = NULL;
    uint64_t before;

    (void)state;
    pm_fake_config_init(&config);
    config.pin = PM_FAKE_PIN_HOLD;
    kernel = pm_fake_kernel_new(&config, NULL);
    if (kernel == NULL) {
        print_message(SKIPPED);
        skip();
    }
    fake = kernel_new_fake_type1(&config, VFIO_TYPE1v2_IOMMU);
    before = pinned();
    assert_int_equal(kernel_map(fake, 0, fake->memory, 16 * PAGE), 0);
    assert_int_equal(kernel_map(fake, 16 * PAGE, fake->memory, 16 * PAGE), 0);
    assert_int_equal(pinned(), before + 32 * PAGE);
    assert_int_equal(kernel_unmap(fake, 0, 16 * PAGE, NULL), 0);
    assert_true(pinned_drops_to(before + 16 * PAGE));
    assert_int_equal(kernel_unmap(fake, 16 * PAGE, 16 * PAGE, NULL), 0);
    assert_true(pinned_drops_to(before));
}

/* A ring has room for 16,384. */
static void released_buffers_are_reused(void **state)
{
    g_autoptr(PmHeldPages) pages = pm_held_pages_new(NULL);
    char *memory = make_memory();

    (void)state;
    if (pages == NULL) {
        print_message(SKIPPED);
        skip();
    }
    for (int i = 0; i < 20000; i++) {
        uint64_t address = pm_held_pages_hold(pages, (uintptr_t)memory, PAGE);

        assert_true(address != 0);
        pm_held_pages_release(pages, address, address + (PAGE - 1));
    }
    assert_int_equal(count_rings(), 1);
    (void)munmap(memory, N_PAGES * PAGE);
}

static volatile sig_atomic_t n_signals;

static void count_signal(int number)
{
    (void)number;
    n_signals++;
}

/* Without SA_RESTART, so waiting system calls are interrupted. */
static void start_signals(suseconds_t interval)
{
    const struct sigaction action = {.sa_handler = count_signal};
    const struct itimerval timer = {{0, interval}, {0, interval}};

    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &timer, NULL), 0);
}

static void stop_signals(void)
{
    const struct itimerval none = {0};

    assert_int_equal(setitimer(ITIMER_REAL, &none, NULL), 0);
    (void)signal(SIGALRM, SIG_IGN); /* one may still be pending */
}

static void signals_do_not_corrupt_transfers(void **state)
{
    g_autoptr(PmHeldPages) pages = pm_held_pages_new(NULL);
    char *memory = make_memory();
    char data[PAGE];
    uint64_t address;
    int n_wrong = 0;

    (void)state;
    address = pages != NULL ? pm_held_pages_hold(pages, (uintptr_t)memory, N_PAGES * PAGE) : 0;
    if (address == 0) {
        print_message(SKIPPED);
        skip();
    }
    start_signals(20);
    for (int i = 0; i < N_TRANSFERS; i++) {
        uint64_t page = (uint64_t)(i % N_PAGES) * PAGE;
        char next = (char)(i % 100 + 1);

        n_wrong += pm_held_pages_read(pages, data, address + page, PAGE) != 0 ||
                   memcmp(data, memory + page, PAGE) != 0;
        memset(data, next, PAGE);
        n_wrong += pm_held_pages_write(pages, address + page, data, PAGE) != 0 ||
                   memory[page] != next || memory[page + PAGE - 1] != next;
    }
    stop_signals();
    assert_true(n_signals > 0);
    assert_int_equal(n_wrong, 0);
    (void)munmap(memory, N_PAGES * PAGE);
}

/* The child inherits the ring. */
static void release_in_a_forked_child_releases_nothing(void **state)
{
    g_autoptr(PmHeldPages) pages = pm_held_pages_new(NULL);
    char *memory = make_memory();
    uint64_t address;
    char byte = 0;
    int status;
    pid_t child;

    (void)state;
    address = pages != NULL ? pm_held_pages_hold(pages, (uintptr_t)memory, PAGE) : 0;
    if (address == 0) {
        print_message(SKIPPED);
        skip();
    }
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        pm_held_pages_release(pages, address, address + (PAGE - 1));
        pm_held_pages_free(pages);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(pm_held_pages_read(pages, &byte, address, 1), 0);
    assert_int_equal(byte, 1);
    (void)munmap(memory, N_PAGES * PAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unmap_releases_held_pages),
        cmocka_unit_test(released_buffers_are_reused),
        cmocka_unit_test(signals_do_not_corrupt_transfers),
        cmocka_unit_test(release_in_a_forked_child_releases_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
