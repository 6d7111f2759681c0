/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include <plugmap/discard_manager.h>
#include <plugmap/ram.h>
#include <plugmap/size.h>

#include "memory/ram_private.h"
#include "util/source_util.h"

#define SIZE (8 * PM_MIB)
#define PAGE UINT64_C(4096)

static uint64_t resident(PmRam *ram, uint64_t offset, uint64_t size)
{
    uint64_t bytes;

    assert_true(pm_ram_resident(ram, offset, size, &bytes, NULL));
    return bytes;
}

/* No huge pages, so that only what was touched is resident. */
static void small_pages_only(PmRam *ram)
{
    (void)madvise(pm_ram_get_host(ram), pm_ram_get_size(ram), MADV_NOHUGEPAGE);
}

static PmRam *make(PmRamKind kind)
{
    PmRam *ram = pm_ram_new(kind, SIZE, 2 * PM_MIB, NULL);

    assert_non_null(ram);
    assert_int_equal((uintptr_t)pm_ram_get_host(ram) % (2 * PM_MIB), 0);
    assert_int_equal(pm_ram_get_size(ram), SIZE);
    assert_int_equal(pm_ram_get_kind(ram), kind);
    return ram;
}

/* Populate and discard affect exactly their range; populate keeps the contents. */
static void check_life(PmRam *ram, uint64_t unit)
{
    uint64_t size = pm_ram_get_size(ram);
    char *host = pm_ram_get_host(ram);

    assert_int_equal(resident(ram, 0, size), 0);
    assert_true(pm_ram_populate(ram, unit, 2 * unit, 1, NULL));
    assert_int_equal(resident(ram, 0, size), 2 * unit);
    memset(host + unit, 0x5a, unit);
    assert_true(pm_ram_populate(ram, unit, 2 * unit, 1, NULL));
    assert_int_equal(host[unit + 17], 0x5a);
    assert_true(pm_ram_discard(ram, unit, unit, NULL));
    assert_int_equal(resident(ram, 0, size), unit);
    assert_true(pm_ram_discard(ram, 0, size, NULL));
    assert_int_equal(resident(ram, 0, size), 0);
    assert_int_equal(host[unit + 17], 0);
}

static void anonymous_memory_is_populated_and_discarded(void **state)
{
    g_autoptr(PmRam) ram = make(PM_RAM_ANONYMOUS);

    (void)state;
    small_pages_only(ram);
    assert_int_equal(pm_ram_get_fd(ram, NULL), -1);
    assert_int_equal(pm_ram_get_page_size(ram), PAGE);
    check_life(ram, 4 * PAGE);
}

static void memory_of_a_memfd_is_populated_and_discarded(void **state)
{
    g_autoptr(PmRam) ram = make(PM_RAM_MEMFD);
    uint64_t offset = 99;
    char byte = 0;

    (void)state;
    assert_true(pm_ram_get_fd(ram, &offset) >= 0);
    assert_int_equal(offset, 0);
    *(char *)pm_ram_get_host(ram) = 7;
    assert_int_equal(pread(pm_ram_get_fd(ram, NULL), &byte, 1, 0), 1);
    assert_int_equal(byte, 7);
    assert_true(pm_ram_discard(ram, 0, SIZE, NULL));
    check_life(ram, 4 * PAGE);
}

/* Touching what was cut off would raise SIGBUS. */
static void peers_cannot_change_the_size_of_a_memfd(void **state)
{
    g_autoptr(PmRam) ram = make(PM_RAM_MEMFD);
    int fd = pm_ram_get_fd(ram, NULL);

    (void)state;
    assert_int_equal(ftruncate(fd, 0), -1);
    assert_int_equal(ftruncate(fd, (off_t)(2 * SIZE)), -1);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
    assert_int_equal(fcntl(fd, F_GET_SEALS) & F_SEAL_WRITE, 0);
}

static void descriptor_of_a_memfd_is_closed_on_exec(void **state)
{
    g_autoptr(PmRam) ram = make(PM_RAM_MEMFD);

    (void)state;
    assert_int_equal(fcntl(pm_ram_get_fd(ram, NULL), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}

#define POOL "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"

/* Pages in the host's pool of 2 MiB pages; 0 if there is none. */
static unsigned long read_pool(void)
{
    g_autofree char *text = NULL;

    if (!g_file_get_contents(POOL, &text, NULL, NULL))
        return 0;
    return strtoul(text, NULL, 10);
}

static void write_pool(unsigned long n_pages)
{
    FILE *file = fopen(POOL, "we");

    if (file == NULL)
        return;
    fprintf(file, "%lu", n_pages);
    (void)fclose(file);
}

/* Restores the host's pool after the test. */
static int remember_pool(void **state)
{
    unsigned long *n_pages = g_new(unsigned long, 1);

    *n_pages = read_pool();
    *state = n_pages;
    return 0;
}

static int restore_pool(void **state)
{
    unsigned long *n_pages = *state;
    bool changed = read_pool() != *n_pages;

    if (changed)
        write_pool(*n_pages);
    g_free(n_pages);
    return 0;
}

static void huge_pages_come_and_go(void **state)
{
    const unsigned long *n_before = *state;
    g_autoptr(PmRam) ram = NULL;

    write_pool(*n_before + 4);
    if (read_pool() < *n_before + 4) {
        fprintf(stderr,
                "skipped: the host has no 4 free hugetlb pages of 2 MiB; as root: "
                "echo %lu > " POOL "\n",
                *n_before + 4);
        skip();
    }
    ram = make(PM_RAM_HUGETLB_2M);
    assert_int_equal(pm_ram_get_page_size(ram), 2 * PM_MIB);
    assert_int_equal(ftruncate(pm_ram_get_fd(ram, NULL), 0), -1);
    check_life(ram, 2 * PM_MIB);
}

static void an_empty_hugetlb_pool_is_an_error_not_a_crash(void **state)
{
    g_autoptr(PmRam) ram = NULL;
    g_autoptr(GError) error = NULL;

    (void)state;
    if (read_pool() != 0) {
        fprintf(stderr, "skipped: the host's hugetlb pool must be empty; as root: "
                        "echo 0 > " POOL "\n");
        skip();
    }
    ram = pm_ram_new(PM_RAM_HUGETLB_2M, SIZE, 0, &error);
    if (ram != NULL)
        assert_false(pm_ram_populate(ram, 0, 2 * PM_MIB, 1, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_MEMORY));
    assert_non_null(strstr(error->message, "nr_hugepages"));
}

static void sixteen_tebibytes_can_be_reserved(void **state)
{
    static const PmRamKind kinds[] = {PM_RAM_ANONYMOUS, PM_RAM_MEMFD};

    (void)state;
#ifdef __SANITIZE_ADDRESS__
    skip();
#endif
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        g_autoptr(PmRam) ram = pm_ram_new(kinds[i], 16 * PM_TIB, 2 * PM_MIB, NULL);

        if (ram == NULL) {
            fprintf(stderr,
                    "skipped: this process does not have 16 TiB of address space (valgrind?)\n");
            skip();
        }
        small_pages_only(ram);
        assert_true(pm_ram_populate(ram, 15 * PM_TIB, PAGE, 1, NULL));
        assert_int_equal(resident(ram, 15 * PM_TIB, PM_MIB), PAGE);
        assert_true(pm_ram_discard(ram, 0, 16 * PM_TIB, NULL));
        assert_int_equal(resident(ram, 15 * PM_TIB, PM_MIB), 0);
    }
}

static void invalid_geometry_is_rejected(void **state)
{
    static const struct {
        PmRamKind kind;
        uint64_t size;
        uint64_t alignment;
    } table[] = {
        {PM_RAM_ANONYMOUS, 0, 0},        {PM_RAM_ANONYMOUS, 100, 0},
        {PM_RAM_ANONYMOUS, SIZE, 100},   {PM_RAM_ANONYMOUS, SIZE, 3 * PAGE},
        {PM_RAM_ADOPTED, SIZE, 0},       {(PmRamKind)77, SIZE, 0},
        {PM_RAM_HUGETLB_2M, PM_MIB, 0},  {PM_RAM_HUGETLB_2M, SIZE, PAGE},
        {PM_RAM_ANONYMOUS, -PAGE, PAGE},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autoptr(GError) error = NULL;

        assert_null(pm_ram_new(table[i].kind, table[i].size, table[i].alignment, &error));
        assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_INVALID_ARGUMENT));
    }
}

static void ranges_that_are_outside_or_unaligned_are_rejected(void **state)
{
    g_autoptr(PmRam) ram = make(PM_RAM_ANONYMOUS);
    static const struct {
        uint64_t offset;
        uint64_t size;
        PmError code;
    } table[] = {
        {1, PAGE, PM_ERROR_UNALIGNED},
        {0, 100, PM_ERROR_UNALIGNED},
        {SIZE, PAGE, PM_ERROR_INVALID_ARGUMENT},
        {SIZE - PAGE, 2 * PAGE, PM_ERROR_INVALID_ARGUMENT},
        {PAGE, -PAGE, PM_ERROR_INVALID_ARGUMENT},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        GError *errors[3] = {NULL};
        uint64_t bytes;

        assert_false(pm_ram_discard(ram, table[i].offset, table[i].size, &errors[0]));
        assert_false(pm_ram_populate(ram, table[i].offset, table[i].size, 1, &errors[1]));
        assert_false(pm_ram_resident(ram, table[i].offset, table[i].size, &bytes, &errors[2]));
        for (size_t j = 0; j < 3; j++) {
            assert_true(g_error_matches(errors[j], PM_ERROR, (gint)table[i].code));
            g_error_free(errors[j]);
        }
    }
}

typedef struct {
    PmRamAdoption adoption;
    int fd;
} Adopted;

/* Memory of the test: private or shared, without a file or at offset PAGE of one. */
static Adopted adopt(bool shared, bool with_file)
{
    Adopted adopted = {.fd = -1};
    int flags = (shared ? MAP_SHARED : MAP_PRIVATE) | (with_file ? 0 : MAP_ANONYMOUS);

    if (with_file) {
        adopted.fd = memfd_create("adopted", MFD_CLOEXEC);
        assert_int_equal(ftruncate(adopted.fd, (off_t)(SIZE + PAGE)), 0);
    }
    adopted.adoption = (PmRamAdoption){
        .struct_size = sizeof(PmRamAdoption),
        .host = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, flags, adopted.fd,
                     with_file ? (off_t)PAGE : 0),
        .size = SIZE,
        .has_fd = with_file,
        .fd = adopted.fd,
        .fd_offset = PAGE,
        .shared = shared,
    };
    assert_ptr_not_equal(adopted.adoption.host, MAP_FAILED);
    (void)madvise(adopted.adoption.host, SIZE, MADV_NOHUGEPAGE);
    return adopted;
}

static void drop(Adopted *adopted)
{
    /* Still there after the PmRam is gone. */
    assert_int_equal(munmap(adopted->adoption.host, SIZE), 0);
    if (adopted->fd >= 0)
        assert_int_equal(close(adopted->fd), 0);
}

static void adopted_memory_is_populated_and_discarded(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        Adopted adopted = adopt(i != 0, i == 2);
        g_autoptr(PmRam) ram = pm_ram_adopt(&adopted.adoption, NULL);

        assert_non_null(ram);
        assert_ptr_equal(pm_ram_get_host(ram), adopted.adoption.host);
        check_life(ram, 4 * PAGE);
        g_clear_pointer(&ram, pm_ram_unref);
        drop(&adopted);
    }
}

static void discarding_a_private_file_mapping_discards_its_pages_and_the_files(void **state)
{
    Adopted adopted = adopt(false, true);
    g_autoptr(PmRam) ram = pm_ram_adopt(&adopted.adoption, NULL);
    char *host = adopted.adoption.host;
    char byte = 1;

    (void)state;
    assert_non_null(ram);
    assert_int_equal(pwrite(adopted.fd, "x", 1, (off_t)PAGE), 1);
    host[0] = 'y';
    assert_true(pm_ram_discard(ram, 0, PAGE, NULL));
    assert_int_equal(host[0], 0);
    assert_int_equal(pread(adopted.fd, &byte, 1, (off_t)PAGE), 1);
    assert_int_equal(byte, 0);
    g_clear_pointer(&ram, pm_ram_unref);
    drop(&adopted);
}

static void invalid_adoptions_are_rejected(void **state)
{
    Adopted adopted = adopt(false, false);
    PmRamAdoption off_page = adopted.adoption;
    PmRamAdoption no_size = adopted.adoption;
    PmRamAdoption no_host = adopted.adoption;

    (void)state;
    off_page.host = (char *)off_page.host + 1;
    no_size.size = 0;
    no_host.host = NULL;
    assert_null(pm_ram_adopt(&off_page, NULL));
    assert_null(pm_ram_adopt(&no_size, NULL));
    assert_null(pm_ram_adopt(&no_host, NULL));
    drop(&adopted);
}

static void memory_is_touched_on_kernels_without_populate(void **state)
{
    static const PmRamKind kinds[] = {PM_RAM_ANONYMOUS, PM_RAM_MEMFD};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        g_autoptr(PmRam) ram = make(kinds[i]);
        char *host = pm_ram_get_host(ram);

        small_pages_only(ram);
        host[5 * PAGE] = 42;
        assert_int_equal(pm_ram_populate_by_touching(ram, 4 * PAGE, 4 * PAGE), 0);
        assert_int_equal(resident(ram, 0, SIZE), 4 * PAGE);
        assert_int_equal(host[5 * PAGE], 42);
    }
}

static void populate_of_read_only_memory_fails(void **state)
{
    Adopted adopted = adopt(false, false);
    g_autoptr(PmRam) ram = pm_ram_adopt(&adopted.adoption, NULL);
    g_autoptr(GError) error = NULL;

    (void)state;
    assert_int_equal(mprotect(adopted.adoption.host, SIZE, PROT_READ), 0);
    assert_false(pm_ram_populate(ram, 0, PAGE, 1, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_MEMORY));
    assert_int_equal(pm_error_get_errno(error), EINVAL);
    assert_int_equal(resident(ram, 0, SIZE), 0);
    g_clear_pointer(&ram, pm_ram_unref);
    drop(&adopted);
}

static void a_file_size_limit_is_an_error_not_a_signal(void **state)
{
    struct rlimit before;
    struct rlimit lowered;
    g_autoptr(GError) error = NULL;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    lowered = before;
    lowered.rlim_cur = PM_MIB;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &lowered), 0);
    assert_null(pm_ram_new(PM_RAM_MEMFD, SIZE, 0, &error));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_MEMORY));
    assert_non_null(strstr(error->message, "ulimit -f"));
}

/* Address space that this process has mapped, in bytes; sanitizers map a lot. */
static uint64_t mapped_now(void)
{
    g_autofree char *text = NULL;

    assert_true(g_file_get_contents("/proc/self/statm", &text, NULL, NULL));
    return strtoul(text, NULL, 10) * PAGE;
}

static void an_address_space_limit_is_an_error_that_names_the_limit(void **state)
{
    struct rlimit before;
    struct rlimit lowered;
    g_autoptr(GError) error = NULL;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
    lowered = before;
    lowered.rlim_cur = mapped_now() + PM_GIB; /* valgrind rejects terabytes with EINVAL */
    assert_int_equal(setrlimit(RLIMIT_AS, &lowered), 0);
    assert_null(pm_ram_new(PM_RAM_ANONYMOUS, 2 * PM_GIB, 0, &error));
    assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_MEMORY));
    assert_non_null(strstr(error->message, "2G"));
    assert_non_null(strstr(error->message, "overcommit_memory"));
    assert_int_equal(pm_error_get_errno(error), ENOMEM);
}

static void threads_populate_all_of_a_range_and_no_more(void **state)
{
    static const PmRamKind kinds[] = {PM_RAM_ANONYMOUS, PM_RAM_MEMFD};
    static const unsigned threads[] = {0, 1, 2, 7, 1000};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(kinds) * G_N_ELEMENTS(threads); i++) {
        g_autoptr(PmRam) ram =
            pm_ram_new(kinds[i % G_N_ELEMENTS(kinds)], 32 * PM_MIB, 2 * PM_MIB, NULL);
        char *host = pm_ram_get_host(ram);

        small_pages_only(ram);
        host[5 * PM_MIB] = 42;
        assert_true(
            pm_ram_populate(ram, PM_MIB, 21 * PM_MIB, threads[i / G_N_ELEMENTS(kinds)], NULL));
        assert_int_equal(resident(ram, 0, 32 * PM_MIB), 21 * PM_MIB);
        assert_int_equal(resident(ram, PM_MIB, 21 * PM_MIB), 21 * PM_MIB);
        assert_int_equal(host[5 * PM_MIB], 42);
    }
}

static void failure_of_one_thread_fails_populate(void **state)
{
    (void)state;
    for (uint64_t piece = 0; piece < 8; piece++) {
        g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_ANONYMOUS, 16 * PM_MIB, 2 * PM_MIB, NULL);
        char *host = pm_ram_get_host(ram);
        g_autoptr(GError) error = NULL;

        assert_int_equal(mprotect(host + 2 * piece * PM_MIB, PAGE, PROT_READ), 0);
        assert_false(pm_ram_populate(ram, 0, 16 * PM_MIB, 3, &error));
        assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_MEMORY));
        assert_non_null(strstr(error->message, "cannot populate"));
    }
}

/* Whether /proc/self/smaps shows that huge pages are disabled ("nh"). */
static bool has_huge_pages_forbidden(const PmRam *ram)
{
    g_autofree char *start =
        g_strdup_printf("%lx-", (unsigned long)(uintptr_t)pm_ram_get_host(ram));
    g_autofree char *smaps = NULL;
    g_autofree char *line = NULL;
    const char *flags;

    assert_true(g_file_get_contents("/proc/self/smaps", &smaps, NULL, NULL));
    flags = strstr(smaps, start);
    assert_non_null(flags);
    flags = strstr(flags, "VmFlags:");
    assert_non_null(flags);
    line = g_strndup(flags, strcspn(flags, "\n"));
    return strstr(line, " nh") != NULL;
}

static void assert_huge_pages(PmRamKind kind, uint64_t block_size, bool forbidden)
{
    g_autoptr(PmRam) ram = pm_ram_new(kind, 16 * PM_MIB, block_size, NULL);
    g_autoptr(PmDiscardManager) manager = manager_with_source(ram, block_size, NULL);

    assert_non_null(manager);
    assert_int_equal(has_huge_pages_forbidden(ram), forbidden);
}

static void small_blocks_disable_huge_pages(void **state)
{
    (void)state;
    if (!g_file_test("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", G_FILE_TEST_EXISTS))
        skip();
    assert_huge_pages(PM_RAM_ANONYMOUS, PM_MIB, true);
    assert_huge_pages(PM_RAM_MEMFD, 64 * PM_KIB, true);
    assert_huge_pages(PM_RAM_ANONYMOUS, 2 * PM_MIB, false);
    assert_huge_pages(PM_RAM_MEMFD, 4 * PM_MIB, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(anonymous_memory_is_populated_and_discarded),
        cmocka_unit_test(memory_of_a_memfd_is_populated_and_discarded),
        cmocka_unit_test(peers_cannot_change_the_size_of_a_memfd),
        cmocka_unit_test(descriptor_of_a_memfd_is_closed_on_exec),
        cmocka_unit_test_setup_teardown(huge_pages_come_and_go, remember_pool, restore_pool),
        cmocka_unit_test(an_empty_hugetlb_pool_is_an_error_not_a_crash),
        cmocka_unit_test(sixteen_tebibytes_can_be_reserved),
        cmocka_unit_test(invalid_geometry_is_rejected),
        cmocka_unit_test(ranges_that_are_outside_or_unaligned_are_rejected),
        cmocka_unit_test(adopted_memory_is_populated_and_discarded),
        cmocka_unit_test(discarding_a_private_file_mapping_discards_its_pages_and_the_files),
        cmocka_unit_test(invalid_adoptions_are_rejected),
        cmocka_unit_test(memory_is_touched_on_kernels_without_populate),
        cmocka_unit_test(populate_of_read_only_memory_fails),
        cmocka_unit_test(a_file_size_limit_is_an_error_not_a_signal),
        cmocka_unit_test(an_address_space_limit_is_an_error_that_names_the_limit),
        cmocka_unit_test(threads_populate_all_of_a_range_and_no_more),
        cmocka_unit_test(failure_of_one_thread_fails_populate),
        cmocka_unit_test(small_blocks_disable_huge_pages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
