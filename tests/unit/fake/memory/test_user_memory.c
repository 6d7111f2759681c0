/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "fake/memory/user_memory.h"
#include "fake/memory/vma.h"
#include "fake/memory/zero_page.h"
#include "util/valgrind_util.h"

#define PAGE    4096UL
#define N_PAGES 8UL

/* Pages of anonymous memory between unmapped pages. */
typedef struct {
    uint8_t *reserved;
    uint8_t *pages;
} Memory;

static int make(void **state)
{
    Memory *memory = g_new0(Memory, 1);

    memory->reserved = mmap(NULL, (N_PAGES + 2) * PAGE, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(memory->reserved, MAP_FAILED);
    memory->pages = memory->reserved + PAGE;
    assert_int_equal(munmap(memory->reserved, PAGE), 0);
    assert_int_equal(munmap(memory->pages + N_PAGES * PAGE, PAGE), 0);
    *state = memory;
    return 0;
}

static int drop(void **state)
{
    Memory *memory = *state;

    munmap(memory->pages, N_PAGES * PAGE);
    g_free(memory);
    return 0;
}

static uint8_t *page_of(void **state, size_t index)
{
    const Memory *memory = *state;

    return memory->pages + index * PAGE;
}

static void protect(void **state, size_t first, size_t count, int protection)
{
    assert_int_equal(mprotect(page_of(state, first), count * PAGE, protection), 0);
}

static uint64_t pin(void **state, size_t first, size_t count, PmIommuAccess access, bool populate)
{
    return pm_user_pin((uintptr_t)page_of(state, first), count * PAGE, access, populate) / PAGE;
}

/* --- a child in which some system calls fail, as on old kernels and in sandboxes --- */

/* Makes system call @number fail if its argument @argument (truncated to 32 bits) is @value;
 * @argument < 0: always. */
static bool refuse(long number, int argument, uint32_t value, int error_number)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                 argument < 0
                     ? (uint32_t)offsetof(struct seccomp_data, nr)
                     : (uint32_t)offsetof(struct seccomp_data, args) + 8 * (uint32_t)argument),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, argument < 0 ? (uint32_t)number : value, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error_number),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = G_N_ELEMENTS(filter), .filter = filter};

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
}

enum {
    CHILD_RIGHT,
    CHILD_WRONG,
    CHILD_CANNOT,
};

static void assert_right_in_child(int (*body)(void **state), void **state)
{
    int status = 0;
    pid_t child = fork();

    if (child == 0)
        _exit(body(state));
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == CHILD_CANNOT) {
        print_message("not allowed to refuse system calls here (needs seccomp filters)\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), CHILD_RIGHT);
}

/* --- copies --- */

/* What a copy has to do on any path; also runs in a child, hence no assertions. */
static bool copies_are_right(void **state)
{
    static const char text[] = "what the device wrote";
    char *readable = (char *)page_of(state, 3) - 10;
    char *frozen = (char *)page_of(state, 5);
    char copy[sizeof(text)] = "";
    char large[2 * PAGE];

    mprotect(page_of(state, 5), PAGE, PROT_READ);
    mprotect(page_of(state, 6), PAGE, PROT_NONE);
    return pm_user_write(readable, text, sizeof(text)) == 0 &&
           pm_user_read(copy, readable, sizeof(text)) == 0 &&
           memcmp(copy, text, sizeof(text)) == 0 &&
           /* no memory there, or without that permission */
           pm_user_write(frozen, text, sizeof(text)) == -EFAULT && frozen[0] == '\0' &&
           pm_user_read(copy, frozen, sizeof(text)) == 0 &&
           pm_user_read(copy, page_of(state, 6), 1) == -EFAULT &&
           pm_user_write(page_of(state, 6), copy, 1) == -EFAULT &&
           pm_user_read(large, page_of(state, 5) - 1, PAGE + 2) == -EFAULT &&
           pm_user_write(page_of(state, N_PAGES) - 1, text, 2) == -EFAULT &&
           pm_user_read(large, page_of(state, 1), sizeof(large)) == 0;
}

static void copies_succeed_or_fail_with_efault(void **state)
{
    assert_true(copies_are_right(state));
}

static int copies_without_process_vm(void **state)
{
    if (!refuse(SYS_process_vm_readv, -1, 0, EPERM) ||
        !refuse(SYS_process_vm_writev, -1, 0, ENOSYS))
        return CHILD_CANNOT;
    return copies_are_right(state) ? CHILD_RIGHT : CHILD_WRONG;
}

static void copies_work_without_process_vm_calls(void **state)
{
    skip_under_valgrind(); /* it reports bad addresses in system calls as errors */
    assert_right_in_child(copies_without_process_vm, state);
}

static void addresses_outside_user_space_fail_with_efault(void **state)
{
    static const uint64_t addresses[] = {
        0,
        1,
        UINT64_C(0x7ffffffff000), /* the guard page below the end of user space */
        UINT64_C(0x800000000000), /* not canonical */
        UINT64_C(0x8000000000000000),
        UINT64_C(0xffff888000000000), /* in the kernel's half */
        UINT64_C(0xfffffffffffff000),
        UINT64_C(0xffffffffffffffff),
    };
    char copy[16] = "";

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(addresses); i++) {
        assert_int_equal(pm_user_read(copy, (void *)(uintptr_t)addresses[i], 8), -EFAULT);
        assert_int_equal(pm_user_write((void *)(uintptr_t)addresses[i], copy, 8), -EFAULT);
    }
}

static void copying_past_user_space_fails_with_efault(void **state)
{
    char copy[16] = "";

    (void)state;
    skip_under_valgrind();
    assert_int_equal(pm_user_read(copy, copy, SIZE_MAX), -EFAULT);
    assert_int_equal(pm_user_write(copy, copy, SIZE_MAX), -EFAULT);
}

static void copying_zero_bytes_succeeds(void **state)
{
    char copy = 0;

    assert_int_equal(pm_user_read(&copy, page_of(state, 0), 0), 0);
    assert_int_equal(pm_user_write(&copy, page_of(state, 0), 0), 0);
}

static void *copy_on_stack(void *unused)
{
    uint64_t from = UINT64_C(0x1122334455667788);
    uint64_t to = 0;
    uint64_t out = 0;

    (void)unused;
    assert_int_equal(pm_user_read(&to, &from, sizeof(to)), 0);
    assert_int_equal(pm_user_write(&out, &to, sizeof(to)), 0);
    return out == from ? NULL : copy_on_stack;
}

static void callers_locals_are_copied_in_any_thread(void **state)
{
    pthread_t thread;
    void *result = copy_on_stack;

    (void)state;
    assert_null(copy_on_stack(NULL));
    assert_int_equal(pthread_create(&thread, NULL, copy_on_stack, NULL), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_null(result);
}

/* The kernel reads past a caller's struct that is shorter than its own. */
static void reading_past_a_local_succeeds(void **state)
{
    uint32_t argsz = 7;
    uint32_t read[6] = {0};

    (void)state;
    assert_int_equal(pm_user_read(read, &argsz, sizeof(read)), 0);
    assert_int_equal(read[0], 7);
}

/* --- pinning --- */

static void pin_checks_permissions(void **state)
{
    static const struct {
        int protection;
        bool read;
        bool write;
    } cases[] = {
        {PROT_NONE, false, false},
        {PROT_EXEC, false, false},
        {PROT_READ, true, false},
        {PROT_WRITE, false, true},
        {PROT_READ | PROT_WRITE, true, true},
        {PROT_READ | PROT_EXEC, true, false},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        for (int populate = 0; populate <= 1; populate++) {
            protect(state, 0, N_PAGES, cases[i].protection);
            assert_int_equal(pin(state, 0, 2, PM_IOMMU_READ, populate), cases[i].read ? 2 : 0);
            assert_int_equal(pin(state, 0, 2, PM_IOMMU_WRITE, populate), cases[i].write ? 2 : 0);
            assert_int_equal(pin(state, 0, 2, PM_IOMMU_READ_WRITE, populate),
                             cases[i].write ? 2 : 0);
        }
    }
}

static void pin_of_shared_read_only_memory_for_writing_fails(void **state)
{
    void *shared = mmap(NULL, PAGE, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    (void)state;
    assert_ptr_not_equal(shared, MAP_FAILED);
    assert_int_equal(pm_user_pin((uintptr_t)shared, PAGE, PM_IOMMU_WRITE, false), 0);
    assert_int_equal(pm_user_pin((uintptr_t)shared, PAGE, PM_IOMMU_READ, true), PAGE);
    munmap(shared, PAGE);
}

static void pin_counts_pages_up_to_the_first_hole(void **state)
{
    assert_int_equal(munmap(page_of(state, 3), PAGE), 0);
    assert_int_equal(pin(state, 0, N_PAGES, PM_IOMMU_READ_WRITE, false), 3);
    assert_int_equal(pin(state, 0, N_PAGES, PM_IOMMU_READ_WRITE, true), 3);
    assert_int_equal(pin(state, 3, 1, PM_IOMMU_READ_WRITE, false), 0);
    assert_int_equal(pin(state, 4, 100, PM_IOMMU_READ_WRITE, false), N_PAGES - 4);
}

static void pin_spans_mappings_with_different_permissions(void **state)
{
    protect(state, 2, 2, PROT_READ);
    protect(state, 5, 1, PROT_READ | PROT_EXEC);
    assert_int_equal(pin(state, 0, N_PAGES, PM_IOMMU_READ, false), N_PAGES);
    assert_int_equal(pin(state, 0, N_PAGES, PM_IOMMU_READ, true), N_PAGES);
    assert_int_equal(pin(state, 0, N_PAGES, PM_IOMMU_WRITE, true), 2);
}

static void pin_of_addresses_outside_user_space_pins_nothing(void **state)
{
    (void)state;
    assert_int_equal(pm_user_pin(0, PAGE, PM_IOMMU_READ, false), 0);
    assert_int_equal(pm_user_pin(UINT64_C(0x800000000000), PAGE, PM_IOMMU_READ, false), 0);
    assert_int_equal(pm_user_pin(UINT64_C(0xffff888000000000), PAGE, PM_IOMMU_READ, false), 0);
    assert_int_equal(pm_user_pin(-PAGE, PAGE, PM_IOMMU_READ, false), 0);
}

static unsigned n_resident(void **state)
{
    unsigned char resident[N_PAGES];
    unsigned count = 0;

    assert_int_equal(mincore(page_of(state, 0), sizeof(resident) * PAGE, resident), 0);
    for (size_t i = 0; i < sizeof(resident); i++)
        count += resident[i] & 1;
    return count;
}

static void pin_faults_in_pages_only_when_populating(void **state)
{
    assert_int_equal(pin(state, 0, N_PAGES, PM_IOMMU_READ_WRITE, false), N_PAGES);
    assert_int_equal(n_resident(state), 0);
    assert_int_equal(pin(state, 2, 3, PM_IOMMU_READ_WRITE, true), 3);
    assert_int_equal(n_resident(state), 3);
}

static long n_faults(void)
{
    struct rusage usage;

    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_minflt;
}

/* Otherwise the device would keep reading the zero page after the process has written. */
static void read_only_pin_breaks_copy_on_write(void **state)
{
    long before;

    assert_int_equal(pin(state, 0, N_PAGES, PM_IOMMU_READ, true), N_PAGES);
    before = n_faults();
    for (size_t i = 0; i < N_PAGES; i++)
        page_of(state, i)[0] = 1;
    assert_true(n_faults() - before < (long)N_PAGES);
}

static void populate_keeps_contents(void **state)
{
    memset(page_of(state, 0), 0x5a, 2 * PAGE);
    assert_int_equal(pin(state, 0, N_PAGES, PM_IOMMU_READ_WRITE, true), N_PAGES);
    assert_int_equal(page_of(state, 0)[0], 0x5a);
    assert_int_equal(page_of(state, 2)[-1], 0x5a);
    assert_int_equal(page_of(state, 2)[0], 0);
}

/* Maps a file of @n_pages pages and one byte in place of the memory. */
static void map_short_file(void **state, size_t n_pages)
{
    int fd = memfd_create("short", MFD_CLOEXEC);

    assert_int_equal(ftruncate(fd, (off_t)(n_pages * PAGE + 1)), 0);
    assert_ptr_equal(mmap(page_of(state, 0), N_PAGES * PAGE, PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_FIXED, fd, 0),
                     page_of(state, 0));
    close(fd);
}

static void populate_stops_past_the_end_of_a_file(void **state)
{
    for (size_t n_pages = 0; n_pages < N_PAGES; n_pages++) {
        map_short_file(state, n_pages);
        assert_int_equal(pin(state, 0, N_PAGES, PM_IOMMU_READ_WRITE, true), n_pages + 1);
        assert_int_equal(pin(state, 0, N_PAGES, PM_IOMMU_READ, true), n_pages + 1);
        assert_int_equal(pin(state, 0, N_PAGES, PM_IOMMU_READ_WRITE, false), N_PAGES);
    }
}

static int populate_without_madvise(void **state)
{
    /* without MADV_POPULATE_READ and _WRITE, as before Linux 5.14 */
    if (!refuse(SYS_madvise, 2, 22, EINVAL) || !refuse(SYS_madvise, 2, 23, EINVAL))
        return CHILD_CANNOT;
    map_short_file(state, 4);
    page_of(state, 1)[0] = 0x5a;
    if (pin(state, 0, N_PAGES, PM_IOMMU_READ_WRITE, true) != 5 || page_of(state, 1)[0] != 0x5a)
        return CHILD_WRONG;
    map_short_file(state, 4);
    if (pin(state, 0, N_PAGES, PM_IOMMU_READ, true) != 5 || n_resident(state) != 5)
        return CHILD_WRONG;
    return CHILD_RIGHT;
}

static void populate_works_without_madvise(void **state)
{
    assert_right_in_child(populate_without_madvise, state);
}

/* --- mappings --- */

static bool same_vma(uint64_t address)
{
    PmVma vma = {0};
    PmVma text = {0};

    return pm_vma_find(address, &vma) && pm_vma_find_in_text(address, &text) &&
           vma.start == text.start && vma.end == text.end && vma.readable == text.readable &&
           vma.writable == text.writable && vma.shared == text.shared;
}

static void text_and_query_find_the_same_mappings(void **state)
{
    PmVma vma;

    protect(state, 1, 1, PROT_READ);
    protect(state, 2, 1, PROT_NONE);
    protect(state, 3, 1, PROT_WRITE);
    munmap(page_of(state, 5), PAGE);
    for (size_t i = 0; i <= 6; i++)
        assert_true(same_vma((uintptr_t)page_of(state, i)));
    map_short_file(state, 1);
    assert_true(same_vma((uintptr_t)page_of(state, 0)));
    assert_true(pm_vma_find((uintptr_t)page_of(state, 0), &vma));
    assert_true(vma.shared);
    assert_false(pm_vma_find(-PAGE, &vma));
    assert_false(pm_vma_find_in_text(-PAGE, &vma));
}

static int pin_without_query(void **state)
{
    /* without PROCMAP_QUERY, as before Linux 6.11 */
    if (!refuse(SYS_ioctl, 1, 0xc0686611, ENOTTY))
        return CHILD_CANNOT;
    mprotect(page_of(state, 2), PAGE, PROT_READ);
    return pin(state, 0, N_PAGES, PM_IOMMU_READ_WRITE, false) == 2 &&
                   pin(state, 0, N_PAGES, PM_IOMMU_READ, false) == N_PAGES
               ? CHILD_RIGHT
               : CHILD_WRONG;
}

static void pin_works_without_procmap_query(void **state)
{
    assert_right_in_child(pin_without_query, state);
}

static int pin_after_unmap(void **state)
{
    munmap(page_of(state, 1), PAGE);
    return pin(state, 0, N_PAGES, PM_IOMMU_READ, false) == 1 ? CHILD_RIGHT : CHILD_WRONG;
}

static void a_forked_child_queries_its_own_mappings(void **state)
{
    assert_int_equal(pin(state, 0, N_PAGES, PM_IOMMU_READ, false), N_PAGES);
    assert_right_in_child(pin_after_unmap, state);
    assert_int_equal(pin(state, 0, N_PAGES, PM_IOMMU_READ, false), N_PAGES);
}

static int write_what_the_parent_has_not(void **state)
{
    bool is_zero = true;

    *(volatile char *)page_of(state, 2) = 'c';
    (void)pm_zero_page_run((uintptr_t)page_of(state, 2), PAGE, &is_zero);
    return is_zero ? CHILD_WRONG : CHILD_RIGHT;
}

static void a_forked_child_queries_its_own_pages(void **state)
{
    bool is_zero = false;

    assert_int_equal(madvise(page_of(state, 2), PAGE, MADV_DONTNEED), 0);
    (void)pm_zero_page_run((uintptr_t)page_of(state, 2), PAGE, &is_zero);
    assert_true(is_zero);
    assert_right_in_child(write_what_the_parent_has_not, state);
    (void)pm_zero_page_run((uintptr_t)page_of(state, 2), PAGE, &is_zero);
    assert_true(is_zero);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(copies_succeed_or_fail_with_efault),
        TEST(copies_work_without_process_vm_calls),
        TEST(addresses_outside_user_space_fail_with_efault),
        TEST(copying_past_user_space_fails_with_efault),
        TEST(copying_zero_bytes_succeeds),
        TEST(callers_locals_are_copied_in_any_thread),
        TEST(reading_past_a_local_succeeds),
        TEST(pin_checks_permissions),
        TEST(pin_of_shared_read_only_memory_for_writing_fails),
        TEST(pin_counts_pages_up_to_the_first_hole),
        TEST(pin_spans_mappings_with_different_permissions),
        TEST(pin_of_addresses_outside_user_space_pins_nothing),
        TEST(pin_faults_in_pages_only_when_populating),
        TEST(read_only_pin_breaks_copy_on_write),
        TEST(populate_keeps_contents),
        TEST(populate_stops_past_the_end_of_a_file),
        TEST(populate_works_without_madvise),
        TEST(text_and_query_find_the_same_mappings),
        TEST(pin_works_without_procmap_query),
        TEST(a_forked_child_queries_its_own_mappings),
        TEST(a_forked_child_queries_its_own_pages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
