/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include <plugmap/ram.h>
#include <plugmap/size.h>

#include "memory/ram_private.h"

#define SIZE (8 * PM_MIB)
#define PAGE UINT64_C(4096)

static uint64_t resident(PmRam *ram, uint64_t offset, uint64_t size)
{
    uint64_t bytes;

    assert_true(pm_ram_resident(ram, offset, size, &bytes, NULL));
    return bytes;
}

/* Small pages, so that the host holds no more than was touched. */
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

/* Memory comes with populate, keeps what it holds, and goes with discard, exactly where asked. */
static void check_life(PmRam *ram, uint64_t unit)
{
    uint64_t size = pm_ram_get_size(ram);
    char *host = pm_ram_get_host(ram);

    assert_int_equal(resident(ram, 0, size), 0);
    assert_true(pm_ram_populate(ram, unit, 2 * unit, NULL));
    assert_int_equal(resident(ram, 0, size), 2 * unit);
    memset(host + unit, 0x5a, unit);
    assert_true(pm_ram_populate(ram, unit, 2 * unit, NULL));
    assert_int_equal(host[unit + 17], 0x5a);
    assert_true(pm_ram_discard(ram, unit, unit, NULL));
    assert_int_equal(resident(ram, 0, size), unit);
    assert_true(pm_ram_discard(ram, 0, size, NULL));
    assert_int_equal(resident(ram, 0, size), 0);
    assert_int_equal(host[unit + 17], 0);
}

static void anonymous_memory_comes_and_goes(void **state)
{
    g_autoptr(PmRam) ram = make(PM_RAM_ANONYMOUS);

    (void)state;
    small_pages_only(ram);
    assert_int_equal(pm_ram_get_fd(ram, NULL), -1);
    assert_int_equal(pm_ram_get_page_size(ram), PAGE);
    check_life(ram, 4 * PAGE);
}

static void memory_of_a_memfd_comes_and_goes(void **state)
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

/* Huge pages that nobody else uses; 0 if the pool cannot be asked for more. */
static unsigned get_huge_pages(unsigned n_pages)
{
    FILE *file = fopen("/proc/sys/vm/nr_hugepages", "r+e");
    unsigned n_got = 0;

    if (file == NULL)
        return 0;
    fprintf(file, "%u", n_pages);
    fclose(file);
    file = fopen("/proc/sys/vm/nr_hugepages", "re");
    if (file == NULL ||
        fscanf(file, "%u", &n_got) != 1) /* NOLINT(cert-err34-c): the kernel's own */
        n_got = 0;
    if (file != NULL)
        fclose(file);
    return n_got;
}

static void huge_pages_come_and_go(void **state)
{
    (void)state;
    if (get_huge_pages(8) < 8) {
        fprintf(stderr, "skipped: no 8 huge pages of 2 MiB to be had; as root: "
                        "echo 8 > /proc/sys/vm/nr_hugepages\n");
        (void)get_huge_pages(0);
        skip();
    }
    {
        g_autoptr(PmRam) ram = make(PM_RAM_HUGETLB_2M);

        assert_int_equal(pm_ram_get_page_size(ram), 2 * PM_MIB);
        check_life(ram, 2 * PM_MIB);
    }
    (void)get_huge_pages(0);
}

static void an_empty_pool_of_huge_pages_is_told_and_not_a_crash(void **state)
{
    g_autoptr(PmRam) ram = NULL;
    g_autoptr(GError) error = NULL;

    (void)state;
    if (get_huge_pages(0) != 0)
        skip();
    ram = pm_ram_new(PM_RAM_HUGETLB_2M, SIZE, 0, &error);
    if (ram != NULL)
        assert_false(pm_ram_populate(ram, 0, 2 * PM_MIB, &error));
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
            fprintf(stderr, "skipped: this process has not 16 TiB of addresses (valgrind?)\n");
            skip();
        }
        small_pages_only(ram);
        assert_true(pm_ram_populate(ram, 15 * PM_TIB, PAGE, NULL));
        assert_int_equal(resident(ram, 15 * PM_TIB, PM_MIB), PAGE);
        assert_true(pm_ram_discard(ram, 0, 16 * PM_TIB, NULL));
        assert_int_equal(resident(ram, 15 * PM_TIB, PM_MIB), 0);
    }
}

static void wrong_geometry_is_refused(void **state)
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

static void ranges_outside_or_off_the_page_are_refused(void **state)
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
        assert_false(pm_ram_populate(ram, table[i].offset, table[i].size, &errors[1]));
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

/* Memory of the test's own: private or shared, without a file or from PAGE on in one. */
static Adopted adopt(bool shared, bool with_file)
{
    Adopted adopted = {.fd = -1};
    int flags = (shared ? MAP_SHARED : MAP_PRIVATE) | (with_file ? 0 : MAP_ANONYMOUS);

    if (with_file) {
        adopted.fd = memfd_create("adopted", MFD_CLOEXEC);
        assert_int_equal(ftruncate(adopted.fd, (off_t)(SIZE + PAGE)), 0);
    }
    adopted.adoption = (PmRamAdoption){
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

static void adopted_memory_comes_and_goes(void **state)
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

static void a_private_file_mapping_loses_its_own_pages_and_the_files(void **state)
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

static void adoption_of_what_cannot_be_is_refused(void **state)
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

static void memory_can_be_touched_in_on_kernels_that_cannot_populate(void **state)
{
    static const PmRamKind kinds[] = {PM_RAM_ANONYMOUS, PM_RAM_MEMFD};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        g_autoptr(PmRam) ram = make(kinds[i]);
        char *host = pm_ram_get_host(ram);

        small_pages_only(ram);
        host[5 * PAGE] = 42;
        assert_true(pm_ram_populate_by_touching(ram, 4 * PAGE, 4 * PAGE, NULL));
        assert_int_equal(resident(ram, 0, SIZE), 4 * PAGE);
        assert_int_equal(host[5 * PAGE], 42);
    }
}

static void only_one_manager_can_have_the_memory(void **state)
{
    g_autoptr(PmRam) ram = make(PM_RAM_ANONYMOUS);

    (void)state;
    assert_true(pm_ram_claim(ram));
    assert_false(pm_ram_claim(ram));
    pm_ram_release(ram);
    assert_true(pm_ram_claim(ram));
    pm_ram_release(ram);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(anonymous_memory_comes_and_goes),
        cmocka_unit_test(memory_of_a_memfd_comes_and_goes),
        cmocka_unit_test(huge_pages_come_and_go),
        cmocka_unit_test(an_empty_pool_of_huge_pages_is_told_and_not_a_crash),
        cmocka_unit_test(sixteen_tebibytes_can_be_reserved),
        cmocka_unit_test(wrong_geometry_is_refused),
        cmocka_unit_test(ranges_outside_or_off_the_page_are_refused),
        cmocka_unit_test(adopted_memory_comes_and_goes),
        cmocka_unit_test(a_private_file_mapping_loses_its_own_pages_and_the_files),
        cmocka_unit_test(adoption_of_what_cannot_be_is_refused),
        cmocka_unit_test(memory_can_be_touched_in_on_kernels_that_cannot_populate),
        cmocka_unit_test(only_one_manager_can_have_the_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
