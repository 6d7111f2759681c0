/* SPDX-License-Identifier: MIT */
/* On a real kernel and a real IOMMU: one process hands its mapper to another one, while a device
 * keeps doing DMA, driven by a third. Either process is killed at random moments. Run in the VM by
 * ctest vm/live_update_by_*. */
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

#include <plugmap/plugmap.h>

#include "dma/engine.h"
#include "kernel-uapi/virtio_mem.h"
#include "util/backend_util.h"
#include "util/mapper_util.h"
#include "util/random_util.h"
#include "util/request_util.h"

/* QEMU's nvme. */
#define DEVICE   "0000:00:06.0"
#define BLOCK    (256 * PM_KIB)
#define N_BLOCKS 64
#define SIZE     (N_BLOCKS * BLOCK)
#define PLAIN    UINT64_C(0x100000)
#define MANAGED  UINT64_C(0x100000000)
#define N_KILLS  50

static bool is_plugged(uint64_t block)
{
    return block % 4 < 2;
}

/* --- the processes that hand over and take over --- */

/* What a process answers. */
#define OWNS     'o'
#define OWNS_NOT 'n'
#define AGREES   'y'

typedef struct {
    PmIommu *iommu;
    PmRam *plain;
    PmRam *managed;
    PmVirtioMem *device;
    PmMapper *mapper;
    int control; /* to the test */
    int peer;
} Process;

/* Ends a process that can do nothing useful any more. */
static void must(bool right, const char *what, const GError *error)
{
    if (right)
        return;
    fprintf(stderr, "%s: %s\n", what, error != NULL ? error->message : "failed");
    _exit(1);
}

static void say(const Process *process, char answer)
{
    (void)send(process->control, &answer, 1, MSG_NOSIGNAL);
}

static PmVirtioMem *make_device(PmRam *ram, uint64_t flags)
{
    const PmVirtioMemConfig config = {.struct_size = sizeof(config),
                                      .ram = ram,
                                      .address = MANAGED,
                                      .block_size = BLOCK,
                                      .requested_size = SIZE,
                                      .flags = flags};
    g_autoptr(GError) error = NULL;
    PmVirtioMem *device = pm_virtio_mem_new(&config, &error);

    must(device != NULL, "virtio-mem", error);
    return device;
}

static bool request(const Process *process, unsigned type, uint64_t block)
{
    return send_request(process->device, type, MANAGED + block * BLOCK, 1, NULL) ==
           VIRTIO_MEM_RESP_ACK;
}

/* The first byte of every plugged block is its number. */
static void open_all(Process *process)
{
    const PmType1Config type1 = {.struct_size = sizeof(type1), .device = DEVICE};
    const PmIommufdConfig iommufd = {.struct_size = sizeof(iommufd), .device = DEVICE};
    g_autoptr(GError) error = NULL;

    process->iommu = backend_is_iommufd() ? pm_iommu_iommufd_new(&iommufd, &error)
                                          : pm_iommu_type1_new(&type1, &error);
    must(process->iommu != NULL, "opening", error);
    process->plain = pm_ram_new(PM_RAM_MEMFD, BLOCK, 0, &error);
    process->managed = pm_ram_new(PM_RAM_MEMFD, SIZE, BLOCK, &error);
    must(process->plain != NULL && process->managed != NULL, "RAM", error);
    process->device = make_device(process->managed, 0);
    process->mapper = pm_mapper_new(process->iommu);
    must(mapper_add_all(process->mapper, PLAIN, process->plain, 0, &error), "plain", error);
    must(mapper_add_all(process->mapper, MANAGED, process->managed, 0, &error), "managed", error);
    for (uint64_t i = 0; i < N_BLOCKS; i++) {
        if (!is_plugged(i))
            continue;
        must(request(process, VIRTIO_MEM_REQ_PLUG, i), "plug", NULL);
        memset((char *)pm_ram_get_host(process->managed) + i * BLOCK, (int)i + 1, PM_DMA_PAGE);
    }
}

static void send_fds(const Process *process)
{
    int fds[] = {pm_iommu_open_device(process->iommu, DEVICE, NULL),
                 pm_ram_get_fd(process->plain, NULL), pm_ram_get_fd(process->managed, NULL)};
    char control[CMSG_SPACE(sizeof fds)] = {0};
    char byte = AGREES;
    struct iovec data = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {.msg_iov = &data,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);

    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fds);
    memcpy(CMSG_DATA(header), fds, sizeof fds);
    must(sendmsg(process->control, &message, 0) == 1, "sendmsg", NULL);
}

/* All works: the audits, and unplug and plug. */
static bool works(const Process *process)
{
    return pm_mapper_audit(process->mapper, NULL, NULL, NULL) &&
           pm_iommu_audit(process->iommu, NULL,
                          backend_is_iommufd() ? 0 : PM_IOMMU_AUDIT_SOLE_LOCKER, NULL) &&
           request(process, VIRTIO_MEM_REQ_PLUG, 2) &&
           pm_mapper_audit(process->mapper, NULL, NULL, NULL) &&
           request(process, VIRTIO_MEM_REQ_UNPLUG, 2) &&
           pm_mapper_audit(process->mapper, NULL, NULL, NULL);
}

/* Nothing works, and dropping it changes nothing. */
static bool is_inert(Process *process)
{
    bool inert = process->mapper == NULL || (!pm_mapper_audit(process->mapper, NULL, NULL, NULL) &&
                                             !request(process, VIRTIO_MEM_REQ_PLUG, 2) &&
                                             !request(process, VIRTIO_MEM_REQ_UNPLUG, 0) &&
                                             !pm_ram_discard(process->managed, 0, BLOCK, NULL));

    g_clear_pointer(&process->mapper, pm_mapper_free);
    g_clear_pointer(&process->device, pm_virtio_mem_free);
    g_clear_pointer(&process->iommu, pm_iommu_unref);
    return inert;
}

/* Reports the result, and answers whether it holds, until the test is done. */
static void report(Process *process, bool owns)
{
    char question;

    say(process, owns ? OWNS : OWNS_NOT);
    while (recv(process->control, &question, 1, 0) == 1)
        say(process, (owns ? works(process) : is_inert(process)) ? AGREES : OWNS_NOT);
}

static void await_go(const Process *process)
{
    char go;

    must(recv(process->control, &go, 1, 0) == 1, "go", NULL);
}

static void send_snapshot(const Process *process)
{
    g_autoptr(GBytes) snapshot = pm_virtio_mem_save(process->device, NULL);
    gsize size;
    const void *bytes = g_bytes_get_data(snapshot, &size);
    uint64_t length = size;

    (void)send(process->peer, &length, sizeof length, MSG_NOSIGNAL);
    (void)send(process->peer, bytes, size, MSG_NOSIGNAL);
}

static void be_old(Process *process)
{
    bool gave;

    open_all(process);
    send_fds(process);
    await_go(process);
    send_snapshot(process);
    gave = pm_handover_send(process->mapper, process->peer, NULL);
    report(process, !gave);
}

static GBytes *receive_snapshot(const Process *process)
{
    uint64_t length;
    g_autofree char *bytes = NULL;

    if (recv(process->peer, &length, sizeof length, MSG_WAITALL) != sizeof length)
        return NULL;
    bytes = g_malloc(length);
    if (recv(process->peer, bytes, length, MSG_WAITALL) != (ssize_t)length)
        return NULL;
    return g_bytes_new(bytes, length);
}

static bool take_over(Process *process)
{
    g_autoptr(GBytes) snapshot = receive_snapshot(process);
    g_autoptr(PmHandover) handover =
        snapshot != NULL ? pm_handover_receive(NULL, process->peer, NULL) : NULL;
    g_autoptr(GError) error = NULL;

    if (handover == NULL)
        return false;
    process->managed = pm_ram_ref(pm_handover_get_region(handover, 1)->ram);
    process->device = make_device(process->managed, PM_VIRTIO_MEM_KEEP_MEMORY);
    must(pm_virtio_mem_load(process->device, snapshot, &error), "load", error);
    if (!pm_handover_take_over(handover, &process->iommu, &process->mapper, NULL))
        return false;
    pm_virtio_mem_set_keep_memory(process->device, false);
    return true;
}

static void be_new(Process *process)
{
    say(process, AGREES);
    await_go(process);
    report(process, take_over(process));
}

/* --- the test: the third process, which drives the device --- */

typedef struct {
    pid_t pid;
    int control;
    bool is_dead;
    char result; /* OWNS, OWNS_NOT; 0: unknown */
} Child;

typedef struct {
    Child old;
    Child new;
    int device;
    char *plain;
    char *managed;
    PmKernel *kernel;
    PmDmaEngine *engine;
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
    char control[CMSG_SPACE(3 * sizeof(int))] = {0};
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
        memcpy(fds, CMSG_DATA(header), 3 * sizeof(int));
}

static char *map(int fd, uint64_t size)
{
    char *mapped = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    assert_ptr_not_equal(mapped, MAP_FAILED);
    close(fd);
    return mapped;
}

static void start_all(World *world)
{
    int pair[2];
    int fds[3] = {-1, -1, -1};
    char ready;
    g_autoptr(GError) error = NULL;

    *world = (World){0};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    world->old = start(be_old, pair[0], &pair[1], 1);
    world->new = start(be_new, pair[1], (int[]){pair[0], world->old.control}, 2);
    close(pair[0]);
    close(pair[1]);
    receive_fds(&world->old, fds);
    assert_int_equal(recv(world->new.control, &ready, 1, 0), 1);
    world->device = fds[0];
    world->plain = map(fds[1], BLOCK);
    world->managed = map(fds[2], SIZE);
    world->kernel = pm_kernel_host_new();
    world->engine =
        pm_dma_engine_new(world->kernel, world->device, DEVICE, world->plain, PLAIN, &error);
    if (world->engine == NULL)
        fail_msg("%s", error->message);
}

/* The next plugged block: the device reads it, and writes it back elsewhere in the block. */
static void transfer(World *world)
{
    unsigned n = world->n_transfers++;
    uint64_t block = n / 2 * 4 % N_BLOCKS + n % 2;
    char *memory = world->managed + block * BLOCK;
    char data[PM_DMA_PAGE];
    size_t size = pm_dma_engine_transfer_size(world->engine);
    uint64_t iova = MANAGED + block * BLOCK;

    memory[1] = (char)n;
    assert_true(pm_dma_engine_read(world->engine, iova, data, NULL));
    assert_int_equal(data[0], (char)(block + 1));
    assert_memory_equal(data, memory, size);
    assert_true(pm_dma_engine_write(world->engine, iova + PM_DMA_PAGE, data, NULL));
    assert_memory_equal(memory + PM_DMA_PAGE, data, size);
}

static void go(const World *world)
{
    (void)send(world->old.control, "g", 1, MSG_NOSIGNAL);
    (void)send(world->new.control, "g", 1, MSG_NOSIGNAL);
}

static void poll_result(Child *child)
{
    if (child->result == 0 && !child->is_dead &&
        recv(child->control, &child->result, 1, MSG_DONTWAIT) != 1)
        child->result = 0;
}

static bool is_decided(const Child *child)
{
    return child->is_dead || child->result != 0;
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
static void assert_all_is_free(void)
{
    const PmType1Config config = {.struct_size = sizeof(config), .device = DEVICE};
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
    pm_dma_engine_free(world->engine);
    close(world->device);
    munmap(world->plain, BLOCK);
    munmap(world->managed, SIZE);
    pm_kernel_unref(world->kernel);
    assert_all_is_free();
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
    open_all(&process);
    assert_false(pm_handover_check(process.mapper, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_UNSUPPORTED));
    assert_non_null(strstr(error->message, "the kernel lacks IOMMU_IOAS_CHANGE_PROCESS"));
    assert_true(works(&process));
    pm_mapper_free(process.mapper);
    pm_virtio_mem_free(process.device);
    pm_ram_unref(process.plain);
    pm_ram_unref(process.managed);
    pm_iommu_unref(process.iommu);
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
