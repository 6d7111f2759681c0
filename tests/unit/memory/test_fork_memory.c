/* SPDX-License-Identifier: MIT */
/* How a child knows that it is one, and what it inherits of its parent's memory. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <plugmap/ram.h>
#include <plugmap/size.h>

#include "base/process.h"
#include "util/fork_util.h"

#define BYTE 0x5a

/* --- the process's token --- */

static void *ask_token(void *user_data)
{
    *(uint64_t *)user_data = pm_process_token();
    return NULL;
}

static void token_is_the_same_in_all_threads(void **state)
{
    pthread_t threads[4];
    uint64_t tokens[G_N_ELEMENTS(threads)];

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_token, &tokens[i]), 0);
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        assert_int_equal(tokens[i], pm_process_token());
    assert_int_not_equal(tokens[0], 0);
}

static uint64_t older_tokens[2];

static bool token_is_new(void *user_data)
{
    uint64_t token = pm_process_token();

    (void)user_data;
    return token != 0 && token != older_tokens[0] && token != older_tokens[1] &&
           token == pm_process_token();
}

static bool token_is_new_in_a_grandchild_too(void *user_data)
{
    bool is_new = token_is_new(user_data);
    int status;
    pid_t child;

    older_tokens[1] = pm_process_token();
    child = fork();
    if (child == 0)
        _exit(token_is_new(user_data) ? 0 : 1);
    return is_new && waitpid(child, &status, 0) == child && status == 0;
}

static void token_differs_in_every_child(void **state)
{
    (void)state;
    older_tokens[0] = pm_process_token();
    for (size_t i = 0; i < n_ways_to_fork; i++)
        assert_child(ways_to_fork[i], token_is_new_in_a_grandchild_too, NULL);
    assert_int_equal(pm_process_token(), older_tokens[0]);
}

/* --- memory --- */

/* @line: of /proc/self/maps, FROM-TO in hexadecimal. */
static bool reaches_into(const char *line, uint64_t first, uint64_t end)
{
    char *after_from = NULL;
    uint64_t from = g_ascii_strtoull(line, &after_from, 16);
    uint64_t to = *after_from == '-' ? g_ascii_strtoull(after_from + 1, NULL, 16) : UINT64_MAX;

    return from < end && to > first;
}

static bool has_no_memory_at(const PmRam *ram)
{
    uint64_t first = (uintptr_t)pm_ram_get_host(ram);
    uint64_t end = first + pm_ram_get_size(ram);
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[4096];
    bool found = false;

    if (maps == NULL)
        return false;
    while (fgets(line, sizeof line, maps) != NULL)
        found = found || reaches_into(line, first, end);
    (void)fclose(maps);
    return !found;
}

static PmRam *some_ram;

static bool has_no_ram(void *user_data)
{
    (void)user_data;
    return has_no_memory_at(some_ram);
}

static void memory_is_not_copied_into_a_child(void **state)
{
    static const PmRamKind kinds[] = {PM_RAM_ANONYMOUS, PM_RAM_MEMFD, PM_RAM_HUGETLB_2M};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        some_ram = pm_ram_new(kinds[i], 4 * PM_MIB, 2 * PM_MIB, NULL);
        /* A host may have no hugetlb pages at all. */
        if (some_ram == NULL)
            continue;
        assert_false(has_no_memory_at(some_ram));
        for (size_t j = 0; j < n_ways_to_fork; j++)
            assert_child(ways_to_fork[j], has_no_ram, NULL);
        pm_ram_unref(some_ram);
    }
}

static bool try_to_discard_some_ram(void *user_data)
{
    GError *error = NULL;
    bool discarded = pm_ram_discard(some_ram, 0, PM_MIB, &error);

    (void)user_data;
    pm_ram_unref(some_ram);
    return is_refused(discarded, error);
}

/* A child inherits it, unless the caller prevents that. */
static void child_does_not_discard_memory_adopted_by_its_parent(void **state)
{
    PmRamAdoption adoption = {.struct_size = sizeof(adoption), .size = PM_MIB, .shared = true};

    (void)state;
    adoption.host = mmap(NULL, PM_MIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(adoption.host, MAP_FAILED);
    memset(adoption.host, BYTE, PM_MIB);
    some_ram = pm_ram_adopt(&adoption, NULL);
    for (size_t i = 0; i < n_ways_to_fork; i++) {
        assert_child(ways_to_fork[i], try_to_discard_some_ram, NULL);
        assert_int_equal(((char *)adoption.host)[PM_MIB - 1], BYTE);
    }
    pm_ram_unref(some_ram);
    (void)munmap(adoption.host, PM_MIB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(token_is_the_same_in_all_threads),
        cmocka_unit_test(token_differs_in_every_child),
        cmocka_unit_test(memory_is_not_copied_into_a_child),
        cmocka_unit_test(child_does_not_discard_memory_adopted_by_its_parent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
