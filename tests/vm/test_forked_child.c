/* SPDX-License-Identifier: MIT */
/* On a real kernel and a real IOMMU: a forked child inherits its parent's files and shared memory,
 * and changes neither, whatever it does with its copies of the objects. Run in the VM by ctest
 * vm/forked_child_changes_nothing_by_*. */
#include "vm_stack.h"

#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define BYTE 0x5a

/* The kernel's counters. */
typedef struct {
    uint64_t n_available; /* mappings; iommufd has no limit */
    uint64_t n_locked;    /* bytes: VmLck or VmPin */
} Counts;

static const Memory anonymous = {PM_RAM_ANONYMOUS, 2 * PM_MIB};
static const Memory memfd = {PM_RAM_MEMFD, 2 * PM_MIB};
static const Memory hugetlb = {PM_RAM_HUGETLB_2M, 2 * PM_MIB};
static const Memory half_a_gibibyte = {PM_RAM_ANONYMOUS, 4 * PM_MIB};

static const Step plug_all = {VIRTIO_MEM_REQ_PLUG, 0, N_BLOCKS};
static const Step unplug_all = {.request = VIRTIO_MEM_REQ_UNPLUG_ALL};

static pid_t clone_raw(void)
{
    return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static pid_t (*const ways_to_fork[])(void) = {fork, _Fork, clone_raw};

static Counts read_counts(Stack *stack)
{
    PmLockedMemory locked = {.struct_size = sizeof(locked)};
    Counts counts;

    assert_true(pm_iommu_query_available(stack->iommu, &counts.n_available, NULL));
    assert_true(pm_iommu_query_locked_memory(stack->iommu, &locked, NULL));
    counts.n_locked = locked.used;
    return counts;
}

static void assert_unchanged(Stack *stack, const Counts *before)
{
    const uint8_t *host = pm_ram_get_host(stack->ram);
    Counts now = read_counts(stack);

    assert_int_equal(now.n_available, before->n_available);
    assert_int_equal(now.n_locked, before->n_locked);
    if (host[0] == BYTE && memcmp(host, host + 1, pm_ram_get_size(stack->ram) - 1) == 0)
        return;
    for (uint64_t i = 0; i < pm_ram_get_size(stack->ram); i++)
        if (host[i] != BYTE)
            fail_msg("byte %" G_GUINT64_FORMAT " is 0x%02x", i, host[i]);
}

static bool free_all(Stack *stack)
{
    vm_stack_tear_down(stack);
    return true;
}

static bool is_refused(bool done, GError *error)
{
    bool refused = !done && g_error_matches(error, PM_ERROR, PM_ERROR_PERMISSION);

    g_clear_error(&error);
    return refused;
}

static bool use_all(Stack *stack)
{
    GError *errors[2] = {NULL};
    bool discarded = pm_ram_discard(stack->ram, 0, pm_ram_get_size(stack->ram), &errors[0]);
    bool reset = pm_virtio_mem_system_reset(stack->device, &errors[1]);

    return is_refused(discarded, errors[0]) && is_refused(reset, errors[1]);
}

static void run_child(pid_t (*make_child)(void), bool (*body)(Stack *stack), Stack *stack)
{
    int status;
    pid_t child = make_child();

    assert_true(child >= 0);
    if (child == 0)
        _exit(body(stack) ? 0 : 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void check_children(const Memory *memory, bool (*body)(Stack *stack))
{
    Stack stack;
    Counts empty;
    Counts full;

    vm_stack_set_up(&stack, memory);
    empty = read_counts(&stack);
    vm_request(&stack, &plug_all);
    memset(pm_ram_get_host(stack.ram), BYTE, pm_ram_get_size(stack.ram));
    full = read_counts(&stack);
    assert_int_equal(full.n_locked, empty.n_locked + pm_ram_get_size(stack.ram));
    for (size_t i = 0; i < G_N_ELEMENTS(ways_to_fork); i++) {
        run_child(ways_to_fork[i], body, &stack);
        assert_unchanged(&stack, &full);
    }
    /* The kernel's state matches the parent's. */
    vm_request(&stack, &unplug_all);
    assert_int_equal(read_counts(&stack).n_locked, empty.n_locked);
    assert_int_equal(read_counts(&stack).n_available, empty.n_available);
    vm_stack_tear_down(&stack);
}

static void child_that_frees_inherited_objects_changes_nothing(void **state)
{
    check_children(*state, free_all);
}

static void inherited_objects_refuse_use_in_a_child(void **state)
{
    check_children(*state, use_all);
}

/* Bytes of a field of /proc/self/status. */
static uint64_t status_of_process(const char *name)
{
    g_autofree char *status = NULL;
    g_autofree char *key = g_strdup_printf("\n%s:", name);
    const char *line;

    if (!g_file_get_contents("/proc/self/status", &status, NULL, NULL))
        return 0;
    line = strstr(status, key);
    return line != NULL ? g_ascii_strtoull(line + strlen(key), NULL, 10) * PM_KIB : 0;
}

static struct {
    uint64_t size;
    uint64_t resident;
} parent;

/* The RAM is most of the parent's memory. */
static bool lacks_the_ram(Stack *stack)
{
    uint64_t size = status_of_process("VmSize");
    uint64_t resident = status_of_process("VmRSS");
    uint64_t ram = pm_ram_get_size(stack->ram);

    return size > 0 && size <= parent.size - ram + PM_MIB && resident > 0 &&
           resident <= parent.resident - ram + PM_MIB;
}

static void fork_does_not_copy_pinned_memory(void **state)
{
    Stack stack;

    vm_stack_set_up(&stack, *state);
    assert_int_equal(pm_ram_get_size(stack.ram), 512 * PM_MIB);
    vm_request(&stack, &plug_all);
    parent.size = status_of_process("VmSize");
    parent.resident = status_of_process("VmRSS");
    assert_true(parent.size > 512 * PM_MIB && parent.resident > 512 * PM_MIB);
    for (size_t i = 0; i < G_N_ELEMENTS(ways_to_fork); i++)
        run_child(ways_to_fork[i], lacks_the_ram, &stack);
    vm_stack_tear_down(&stack);
}

#define MEMORY_TEST(test, memory)                                                                  \
    {                                                                                              \
        .name = #test "/" #memory, .test_func = test, .initial_state = (void *)(uintptr_t)&memory  \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        MEMORY_TEST(child_that_frees_inherited_objects_changes_nothing, anonymous),
        MEMORY_TEST(child_that_frees_inherited_objects_changes_nothing, memfd),
        MEMORY_TEST(child_that_frees_inherited_objects_changes_nothing, hugetlb),
        MEMORY_TEST(inherited_objects_refuse_use_in_a_child, anonymous),
        MEMORY_TEST(inherited_objects_refuse_use_in_a_child, memfd),
        MEMORY_TEST(fork_does_not_copy_pinned_memory, half_a_gibibyte),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
