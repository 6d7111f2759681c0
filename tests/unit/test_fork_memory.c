/* SPDX-License-Identifier: MIT */
/* What a child is known by, and what it does not have of its parent's memory. */
#include "fork_util.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/process.h"

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

static bool token_is_new(ForkWorld *world)
{
    uint64_t token = pm_process_token();

    (void)world;
    return token != 0 && token != older_tokens[0] && token != older_tokens[1] &&
           token == pm_process_token();
}

static bool token_is_new_in_a_grandchild_too(ForkWorld *world)
{
    bool is_new = token_is_new(world);
    int status;
    pid_t child;

    older_tokens[1] = pm_process_token();
    child = fork();
    if (child == 0)
        _exit(token_is_new(world) ? 0 : 1);
    return is_new && waitpid(child, &status, 0) == child && status == 0;
}

static void token_is_another_in_every_child(void **state)
{
    (void)state;
    older_tokens[0] = pm_process_token();
    fork_run_children(token_is_new_in_a_grandchild_too, NULL);
    assert_int_equal(pm_process_token(), older_tokens[0]);
}

/* --- memory --- */

static bool has_no_memory_at(const PmRam *ram)
{
    uint64_t first = (uintptr_t)pm_ram_get_host(ram);
    uint64_t end = first + pm_ram_get_size(ram);
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[4096];
    bool found = false;

    if (maps == NULL)
        return false;
    while (fgets(line, sizeof line, maps) != NULL) {
        char *behind;
        uint64_t from = g_ascii_strtoull(line, &behind, 16);

        found = found || *behind != '-' ||
                (from < end && g_ascii_strtoull(behind + 1, NULL, 16) > first);
    }
    (void)fclose(maps);
    return !found;
}

static PmRam *some_ram;

static bool has_no_ram(ForkWorld *world)
{
    (void)world;
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
        fork_run_children(has_no_ram, NULL);
        pm_ram_unref(some_ram);
    }
}

static bool try_to_discard_some_ram(ForkWorld *world)
{
    GError *error = NULL;
    bool discarded = pm_ram_discard(some_ram, 0, PM_MIB, &error);

    (void)world;
    pm_ram_unref(some_ram);
    return fork_is_refused(discarded, error);
}

/* Which a child has, unless the caller sees to it that it does not. */
static void child_does_not_discard_memory_that_its_parent_has_adopted(void **state)
{
    PmRamAdoption adoption = {.size = PM_MIB, .shared = true};

    (void)state;
    adoption.host = mmap(NULL, PM_MIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(adoption.host, MAP_FAILED);
    memset(adoption.host, FORK_BYTE, PM_MIB);
    some_ram = pm_ram_adopt(&adoption, NULL);
    fork_run_children(try_to_discard_some_ram, NULL);
    for (uint64_t i = 0; i < PM_MIB; i++)
        assert_int_equal(((char *)adoption.host)[i], FORK_BYTE);
    pm_ram_unref(some_ram);
    (void)munmap(adoption.host, PM_MIB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(token_is_the_same_in_all_threads),
        cmocka_unit_test(token_is_another_in_every_child),
        cmocka_unit_test(memory_is_not_copied_into_a_child),
        cmocka_unit_test(child_does_not_discard_memory_that_its_parent_has_adopted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
