/* SPDX-License-Identifier: MIT */
/* On a real kernel and a real IOMMU: one process hands the mappers of two address spaces to another
 * one, while a device in each keeps doing DMA, driven by a third. Either process is killed at
 * random moments. Run in the VM by ctest vm/live_update_by_*. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dma/engine.h"
#include "update_process.h"
#include "util/backend_util.h"
#include "util/random_util.h"

#define N_KILLS 50

/* --- the third process, which drives the devices --- */

typedef struct {
    pid_t pid;
    int control;
    bool is_dead;
    char result; /* OWNS, OWNS_NOT; 0: unknown */
} Child;

typedef struct {
    Child old;
    Child new;
    int devices[N_SPACES];
    char *plain;
    char *managed;
    PmKernel *kernel;
    PmDmaEngine *engines[N_SPACES];
    unsigned n_transfers;
} World;

static Child start(void (*run)(Process *process), int peer, const int *close_them, size_t n_close)
{
    int pair[2];
    Child child = {0};

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    child.pid = fork();
    assert_true(child.pid >= 0);
    if (child.pid == 0) {
        Process process = {.control = pair[1], .peer = peer};

        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(pair[0]);
        for (size_t i = 0; i < n_close; i++)
            close(close_them[i]);
        run(&process);
        _exit(0);
    }
    close(pair[1]);
    child.control = pair[0];
    return child;
}

static void receive_fds(const Child *child, int *fds)
{
    char control[CMSG_SPACE(UPDATE_FDS * sizeof(int))] = {0};
    char byte;
    struct iovec data = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {.msg_iov = &data,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    const struct cmsghdr *header;

    assert_int_equal(recvmsg(child->control, &message, MSG_CMSG_CLOEXEC), 1);
    header = CMSG_FIRSTHDR(&message);
    assert_non_null(header);
    if (header != NULL)
        memcpy(fds, CMSG_DATA(header), UPDATE_FDS * sizeof(int));
}

static char *map(int fd, uint64_t size)
{
    char *mapped = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    assert_ptr_not_equal(mapped, MAP_FAILED);
    close(fd);
    return mapped;
}

static void start_engines(World *world)
{
    g_autoptr(GError) error = NULL;

    world->kernel = pm_kernel_host_new();
    for (unsigned i = 0; i < N_SPACES; i++) {
        world->engines[i] = pm_dma_engine_new(world->kernel, world->devices[i], update_devices[i],
                                              world->plain, PLAIN, &error);
        if (world->engines[i] == NULL)
            fail_msg("%s", error->message);
    }
}

static void start_all(World *world)
{
    int pair[2];
    int fds[UPDATE_FDS] = {-1, -1, -1, -1};
    char ready;

    *world = (World){0};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    world->old = start(update_process_be_old, pair[0], &pair[1], 1);
    world->new = start(update_process_be_new, pair[1], (int[]){pair[0], world->old.control}, 2);
    close(pair[0]);
    close(pair[1]);
    receive_fds(&world->old, fds);
    assert_int_equal(recv(world->new.control, &ready, 1, 0), 1);
    world->devices[0] = fds[0];
    world->devices[1] = fds[1];
    world->plain = map(fds[2], BLOCK);
    world->managed = map(fds[3], SIZE);
    start_engines(world);
}

static char *next_block(World *world, uint64_t *iova)
{
    unsigned n = world->n_transfers++;
    uint64_t block = n / 2 * 4 % N_BLOCKS + n % 2;
    char *memory = world->managed + block * BLOCK;

    assert_int_equal(memory[0], (char)(block + 1));
    memory[1] = (char)n;
    *iova = MANAGED + block * BLOCK;
    return memory;
}

/* The device reads the next plugged block. */
static void read_by(World *world, unsigned space)
{
    PmDmaEngine *engine = world->engines[space];
    char data[PM_DMA_PAGE];
    uint64_t iova;
    const char *memory = next_block(world, &iova);

    assert_true(pm_dma_engine_read(engine, iova, data, NULL));
    assert_memory_equal(data, memory, pm_dma_engine_transfer_size(engine));
}

/* The same, and writes it back elsewhere in the block. */
static void transfer(World *world)
{
    PmDmaEngine *engine = world->engines[0];
    char data[PM_DMA_PAGE];
    size_t size = pm_dma_engine_transfer_size(engine);
    uint64_t iova;
    char *memory = next_block(world, &iova);

    assert_true(pm_dma_engine_read(engine, iova, data, NULL));
    assert_memory_equal(data, memory, size);
    assert_true(pm_dma_engine_write(engine, iova + PM_DMA_PAGE, data, NULL));
    assert_memory_equal(memory + PM_DMA_PAGE, data, size);
}

static void go(const World *world)
{
    (void)send(world->old.control, "g", 1, MSG_NOSIGNAL);
    (void)send(world->new.control, "g", 1, MSG_NOSIGNAL);
}

static bool is_decided(const Child *child)
{
    return child->is_dead || child->result != 0;
}

static void poll_result(Child *child)
{
    char result;
    ssize_t n_bytes;

    if (is_decided(child))
        return;
    n_bytes = recv(child->control, &result, 1, MSG_DONTWAIT);
    if (n_bytes == 1)
        child->result = result;
    else if (n_bytes == 0)
        fail_msg("a process ended without a result");
}

static bool run_until(World *world, gint64 end)
{
    while ((end < 0 || g_get_monotonic_time() < end) &&
           !(is_decided(&world->old) && is_decided(&world->new))) {
        transfer(world);
        poll_result(&world->old);
        poll_result(&world->new);
    }
    return is_decided(&world->old) && is_decided(&world->new);
}

static void end_child(Child *child)
{
    if (child->is_dead)
        return;
    (void)kill(child->pid, SIGKILL);
    assert_int_equal(waitpid(child->pid, NULL, 0), child->pid);
    child->is_dead = true;
}

static void assert_agrees(Child *child)
{
    char answer = 0;

    if (child->is_dead)
        return;
    assert_int_equal(send(child->control, "?", 1, MSG_NOSIGNAL), 1);
    assert_int_equal(recv(child->control, &answer, 1, 0), 1);
    assert_int_equal(answer, AGREES);
}

/* Nothing is left: a process that opens the device gets a container of its own, in which it can map
 * all of the limit. */
static void assert_is_free(const char *device)
{
    const PmType1Config config = {.struct_size = sizeof(config), .device = device};
    g_autoptr(GError) error = NULL;
    g_autoptr(PmIommu) iommu = pm_iommu_type1_new(&config, &error);

    if (iommu == NULL)
        fail_msg("%s", error->message);
    assert_true(pm_iommu_audit(iommu, NULL, PM_IOMMU_AUDIT_SOLE_LOCKER, NULL));
}

static uint64_t shared_kib(void)
{
    g_autofree char *text = NULL;
    const char *line;

    assert_true(g_file_get_contents("/proc/meminfo", &text, NULL, NULL));
    line = strstr(text, "\nShmem:");
    assert_non_null(line);
    return g_ascii_strtoull(line + strlen("\nShmem:"), NULL, 10);
}

static void end_all(World *world)
{
    end_child(&world->old);
    end_child(&world->new);
    close(world->old.control);
    close(world->new.control);
    for (unsigned i = 0; i < N_SPACES; i++) {
        pm_dma_engine_free(world->engines[i]);
        close(world->devices[i]);
    }
    munmap(world->plain, BLOCK);
    munmap(world->managed, SIZE);
    pm_kernel_unref(world->kernel);
    for (unsigned i = 0; i < N_SPACES; i++)
        assert_is_free(update_devices[i]);
}

/* --- the tests --- */

/* Microseconds that a handover takes. */
static gint64 complete(void)
{
    World world;
    gint64 begin;
    gint64 end;

    start_all(&world);
    transfer(&world);
    begin = g_get_monotonic_time();
    go(&world);
    assert_true(run_until(&world, -1));
    end = g_get_monotonic_time();
    assert_int_equal(world.old.result, OWNS_NOT);
    assert_int_equal(world.new.result, OWNS);
    assert_agrees(&world.new);
    assert_agrees(&world.old);
    transfer(&world);
    end_child(&world.old);
    transfer(&world);
    assert_agrees(&world.new);
    for (unsigned i = 0; i < N_BLOCKS; i++)
        transfer(&world);
    read_by(&world, 1);
    end_all(&world);
    return end - begin;
}

static void handover_moves_everything_under_dma(void **state)
{
    (void)state;
    (void)complete();
}

/* Counts of results. */
typedef struct {
    unsigned n_old_continues;
    unsigned n_new_takes_over;
    unsigned n_nothing_left;
} Results;

/* The survivor owns everything, or it knows that it does not. */
static void judge(World *world, Child *killed, Child *survivor, Results *results)
{
    assert_int_not_equal(survivor->result, 0);
    assert_agrees(survivor);
    if (survivor->result == OWNS) {
        for (unsigned i = 0; i < 8; i++)
            transfer(world);
        read_by(world, 1);
        assert_agrees(survivor);
        results->n_old_continues += survivor == &world->old;
        results->n_new_takes_over += survivor == &world->new;
    } else {
        results->n_nothing_left++;
    }
    /* Before it died, only one of them can have said that it owns everything. */
    assert_false(survivor->result == OWNS && killed->result == OWNS);
}

static void kill_one(gint64 delay, bool kill_old, Results *results)
{
    World world;
    Child *killed = kill_old ? &world.old : &world.new;
    Child *survivor = kill_old ? &world.new : &world.old;

    start_all(&world);
    go(&world);
    (void)run_until(&world, g_get_monotonic_time() + delay);
    end_child(killed);
    assert_true(run_until(&world, -1));
    judge(&world, killed, survivor, results);
    end_all(&world);
}

static void killing_either_process_leaves_one_owner(void **state)
{
    g_autoptr(GRand) random = random_new("live_update");
    gint64 duration = complete();
    uint64_t shared = shared_kib();
    Results results = {0};

    (void)state;
    for (unsigned i = 0; i < N_KILLS; i++)
        kill_one((gint64)(g_rand_double(random) * (double)duration), i % 2 == 0, &results);
    printf("%u kills within %u us: the old process continued %u times, the new one took over %u "
           "times, with nothing left %u times\n",
           N_KILLS, (unsigned)duration, results.n_old_continues, results.n_new_takes_over,
           results.n_nothing_left);
    assert_true(results.n_old_continues + results.n_new_takes_over > N_KILLS / 4);
    /* No memory is kept, as it would be if it were still pinned. */
    assert_true(shared_kib() < shared + SIZE / PM_KIB);
}

static void iommufd_before_6_13_is_refused(void **state)
{
    Process process = {.control = -1};
    g_autoptr(GError) error = NULL;

    (void)state;
    update_process_open(&process);
    assert_false(pm_handover_check(process.mappers, N_SPACES, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_UNSUPPORTED));
    assert_non_null(strstr(error->message, "the kernel lacks IOMMU_IOAS_CHANGE_PROCESS"));
    assert_true(update_process_works(&process));
    update_process_drop(&process);
    pm_ram_unref(process.plain);
    pm_ram_unref(process.managed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BACKEND_TYPE1_ONLY(cmocka_unit_test(handover_moves_everything_under_dma)),
        BACKEND_TYPE1_ONLY(cmocka_unit_test(killing_either_process_leaves_one_owner)),
        BACKEND_IOMMUFD_ONLY(cmocka_unit_test(iommufd_before_6_13_is_refused)),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
