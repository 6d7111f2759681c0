/* SPDX-License-Identifier: MIT */
#include "world.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <plugmap/fake.h>

#include "kernel-uapi/vfio.h"

#define ENTRY_LIMIT_FILE "/sys/module/vfio_iommu_type1/parameters/dma_entry_limit"
#define MAX_ARGUMENT     256

void world_differ(World *world, const char *format, ...)
{
    va_list arguments;

    if (world->difference != NULL)
        return;
    va_start(arguments, format);
    world->difference = g_strdup_vprintf(format, arguments);
    va_end(arguments);
}

void world_count(World *world, const char *what, int result)
{
    g_autofree char *text =
        g_strdup_printf("%s: %s", what, result < 0 ? g_strerror(-result) : "done");
    guint64 count = GPOINTER_TO_SIZE(g_hash_table_lookup(world->results, text));

    g_hash_table_insert(world->results, g_steal_pointer(&text), GSIZE_TO_POINTER(count + 1));
}

/* Like pm_kernel_host_new()'s, but keeps the file open, because it is read after every
 * operation. */
static uint64_t read_status(const char *name)
{
    static int fd = -1;
    char text[4096];
    const char *line;
    ssize_t size;

    if (fd < 0)
        fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    size = pread(fd, text, sizeof text - 1, 0);
    text[MAX(size, 0)] = '\0';
    line = strstr(text, name);
    return line == NULL ? 0 : g_ascii_strtoull(line + strlen(name), NULL, 10) * PM_KIB;
}

static uint64_t read_locked_by_host(void)
{
    return read_status("VmLck:");
}

void world_begin_call(World *world, int side)
{
    world_choose_event(world, side);
    if (side == HOST && world->kind == SEQUENCE_IOMMUFD)
        world->pinned_at = read_status("VmPin:");
}

void world_end_call(World *world, int side)
{
    if (side == HOST && world->kind == SEQUENCE_IOMMUFD)
        world->pinned += read_status("VmPin:") - world->pinned_at;
}

int world_on_both(World *world, const Op *op, const char *what, OneSideFunc func)
{
    int results[N_SIDES];

    for (int i = 0; i < N_SIDES; i++) {
        world_begin_call(world, i);
        results[i] = func(&world->sides[i], op);
        world_end_call(world, i);
    }
    if (results[HOST] <= 0)
        world_count(world, what, results[HOST]);
    if (results[HOST] != results[FAKE])
        world_differ(world, "%s: host %d, fake %d", what, results[HOST], results[FAKE]);
    return results[HOST];
}

/* --- the argument's place --- */

/* The bytes that are compared, followed by an inaccessible page. */
#define WINDOW 512

typedef struct {
    char *page;
    bool read_only;
} ArgumentPage;

static ArgumentPage *argument_page(void)
{
    static ArgumentPage argument;

    if (argument.page == NULL) {
        argument.page =
            mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        (void)mprotect(argument.page + PAGE, PAGE, PROT_NONE);
    }
    return &argument;
}

static void set_read_only(ArgumentPage *argument, bool read_only)
{
    if (argument->read_only != read_only)
        (void)mprotect(argument->page, PAGE, read_only ? PROT_READ : PROT_READ | PROT_WRITE);
    argument->read_only = read_only;
}

static char *place_argument(const void *bytes, size_t size, const Op *op)
{
    ArgumentPage *argument = argument_page();
    size_t reachable = op->place == PLACE_CUT ? MIN(op->place_bytes, size) : WINDOW;
    char *window = argument->page + PAGE - WINDOW;
    char *at = argument->page + PAGE - reachable;

    set_read_only(argument, false);
    memset(window, 0xa5, WINDOW);
    memcpy(at, bytes, MIN(size, reachable));
    set_read_only(argument, op->place == PLACE_READ_ONLY);
    return op->place == PLACE_NULL ? NULL : at;
}

static void count_ioctl(World *world, unsigned long request, int result)
{
    g_autofree char *what = g_strdup_printf("ioctl 0x%lx", request);

    world_count(world, what, result);
}

static void compare_bytes(World *world, const char *what, const char *host, const char *fake,
                          size_t size)
{
    size_t i = 0;

    if (memcmp(host, fake, size) == 0)
        return;
    while (host[i] == fake[i])
        i++;
    world_differ(world, "byte %zu of %s: host 0x%02x, fake 0x%02x", i, what, host[i] & 0xff,
                 fake[i] & 0xff);
}

int world_ioctl(World *world, const int *fds, unsigned long request, const void *argument,
                size_t size, const Op *op)
{
    static char bitmaps[N_SIDES][BITMAP_SIZE];
    char *bitmap = (char *)(uintptr_t)bitmap_address();
    int results[N_SIDES];
    char after[N_SIDES][WINDOW];

    for (int i = 0; i < N_SIDES; i++) {
        PmKernel *kernel = world->sides[i].kernel;
        char *placed = place_argument(argument, size, op);

        if (op->bitmap != 0)
            memset(bitmap, 0x11, BITMAP_SIZE);
        world_begin_call(world, i);
        results[i] = kernel->ops->ioctl(kernel, fds[i], request, placed);
        world_end_call(world, i);
        memcpy(after[i], argument_page()->page + PAGE - WINDOW, WINDOW);
        /* The fake's devices deliberately do not support mmap. */
        if (request == VFIO_DEVICE_GET_REGION_INFO && results[i] == 0)
            after[i][placed - (argument_page()->page + PAGE - WINDOW) +
                     (ptrdiff_t)offsetof(struct vfio_region_info, flags)] &=
                (char)~VFIO_REGION_INFO_FLAG_MMAP;
        if (op->bitmap != 0)
            memcpy(bitmaps[i], bitmap, BITMAP_SIZE);
    }
    if (op->bitmap != 0)
        compare_bytes(world, "the dirty bitmap", bitmaps[HOST], bitmaps[FAKE], BITMAP_SIZE);
    compare_bytes(world, "the argument's window", after[HOST], after[FAKE], WINDOW);
    count_ioctl(world, request, results[HOST]);
    if (results[HOST] != results[FAKE])
        world_differ(world, "ioctl 0x%lx: host %d, fake %d", request, results[HOST], results[FAKE]);
    return results[HOST];
}

int world_ioctl_number(World *world, const int *fds, unsigned long request, unsigned long number)
{
    int results[N_SIDES];

    for (int i = 0; i < N_SIDES; i++) {
        PmKernel *kernel = world->sides[i].kernel;

        world_begin_call(world, i);
        results[i] = kernel->ops->ioctl(kernel, fds[i], request, (void *)(uintptr_t)number);
        world_end_call(world, i);
    }
    count_ioctl(world, request, results[HOST]);
    if (results[HOST] != results[FAKE])
        world_differ(world, "ioctl 0x%lx with %lu: host %d, fake %d", request, number,
                     results[HOST], results[FAKE]);
    return results[HOST];
}

/* --- both kernels --- */

static bool host_is_linux_6_1(void)
{
    struct utsname name;

    return uname(&name) == 0 && g_str_has_prefix(name.release, "6.1.");
}

static PmKernel *make_fake(void)
{
    g_autoptr(GError) error = NULL;
    PmFakeConfig config;
    PmKernel *fake;

    pm_fake_config_init(&config);
    config.linux_version = host_is_linux_6_1() ? PM_FAKE_LINUX_6_1 : PM_FAKE_LINUX_6_12;
    config.pin = PM_FAKE_PIN_HOLD;
    config.cap_ipc_lock = true;
    config.iommufd = access("/dev/iommu", F_OK) == 0;
    fake = pm_fake_kernel_new(&config, &error);
    if (fake == NULL) {
        fprintf(stderr, "differential: %s\n", error->message);
        exit(2);
    }
    (void)pm_fake_kernel_add_device(fake, 2, "0000:00:05.0", "vfio-pci", NULL);
    (void)pm_fake_kernel_add_device(fake, 3, "0000:00:06.0", "vfio-pci", NULL);
    (void)pm_fake_kernel_add_device(fake, 4, "0000:00:07.0", "vfio-pci", NULL);
    (void)pm_fake_kernel_add_device(fake, 4, "0000:00:07.1", "serial", NULL);
    return fake;
}

static void set_entry_limit(World *world, uint32_t limit)
{
    FILE *file = fopen(ENTRY_LIMIT_FILE, "we");

    if (file == NULL || fprintf(file, "%u\n", limit) < 0 || fclose(file) != 0) {
        perror(ENTRY_LIMIT_FILE);
        exit(2);
    }
    pm_fake_kernel_set_entry_limit(world->sides[FAKE].kernel, limit);
}

static void set_cap_ipc_lock(bool in_effect)
{
    if (capng_get_caps_process() < 0 ||
        capng_update(in_effect ? CAPNG_ADD : CAPNG_DROP, CAPNG_EFFECTIVE, CAP_IPC_LOCK) < 0 ||
        capng_apply(CAPNG_SELECT_CAPS) < 0)
        fprintf(stderr, "differential: failed to change CAP_IPC_LOCK\n");
}

static void set_memlock(World *world, uint64_t limit, bool cap_ipc_lock)
{
    struct rlimit soft;

    (void)getrlimit(RLIMIT_MEMLOCK, &soft);
    soft.rlim_max = RLIM_INFINITY;
    soft.rlim_cur = limit == UINT64_MAX ? RLIM_INFINITY : limit;
    if (setrlimit(RLIMIT_MEMLOCK, &soft) != 0)
        perror("setrlimit");
    set_cap_ipc_lock(cap_ipc_lock);
    pm_fake_kernel_set_memlock(world->sides[FAKE].kernel, limit, cap_ipc_lock);
}

static uint64_t count_locked(const World *world, int side)
{
    return side == HOST ? read_locked_by_host() - world->locked_before
                        : pm_fake_kernel_get_locked(world->sides[FAKE].kernel);
}

/* --- a sequence --- */

static int open_both(World *world, const char *path, int *fds)
{
    for (int i = 0; i < N_SIDES; i++)
        fds[i] =
            world->sides[i].kernel->ops->open(world->sides[i].kernel, path, O_RDWR | O_CLOEXEC);
    return fds[HOST] < 0 || fds[FAKE] < 0 ? -1 : 0;
}

/* A sequence that does not start would find no difference. */
G_NORETURN static void die(const char *what)
{
    fprintf(stderr, "differential: %s\n", what);
    exit(2);
}

/* The device of container 0 is QEMU's nvme, which does fast DMA; its fake is an edu. */
static void begin_with_mappings(World *world, const SequenceStart *start)
{
    int containers[N_SIDES];
    int groups[N_SIDES];
    int device = -1;

    if (open_both(world, "/dev/vfio/vfio", containers) < 0 ||
        open_both(world, "/dev/vfio/3", groups) < 0)
        die("failed to open /dev/vfio/vfio or /dev/vfio/3: run it in the VM (tests/vm/run)");
    for (int i = 0; i < N_SIDES; i++) {
        Side *side = &world->sides[i];
        const PmKernelOps *ops = side->kernel->ops;

        side->containers[0] = containers[i];
        side->groups[0] = groups[i];
        if (ops->ioctl(side->kernel, groups[i], VFIO_GROUP_SET_CONTAINER, &containers[i]) < 0 ||
            ops->ioctl(side->kernel, containers[i], VFIO_SET_IOMMU,
                       (void *)(uintptr_t)start->iommu) < 0)
            die("failed to set the IOMMU of group 3");
        side->devices[0] =
            ops->ioctl(side->kernel, groups[i], VFIO_GROUP_GET_DEVICE_FD, (void *)"0000:00:06.0");
        if (side->devices[0] < 0)
            die("failed to open the device 0000:00:06.0");
        side->scratch =
            mmap(NULL, SCRATCH_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    }
    device = world->sides[HOST].devices[0];
    memory_make(device, 0);
}

/* Container 0 with a type1v2 IOMMU, and the device of group 1. */
static void begin_with_device(World *world)
{
    static const Op ops[] = {
        {.kind = OP_OPEN, .other = 0},        {.kind = OP_OPEN, .other = 1},
        {.kind = OP_JOIN, .other = 0},        {.kind = OP_SET_IOMMU, .other = 4},
        {.kind = OP_GET_DEVICE, .other = 12},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(ops); i++)
        world_do_files(world, &ops[i]);
    if (world->sides[HOST].devices[0] < 0)
        die("failed to open the device 0000:00:04.0");
    world_clean_device(world);
}

World *world_new(const SequenceStart *start, GHashTable *results)
{
    World *world = g_new0(World, 1);

    world->kind = start->kind;
    world->results = results;
    world->sides[HOST].kernel = pm_kernel_host_new();
    world->sides[FAKE].kernel = make_fake();
    for (int i = 0; i < N_SIDES; i++) {
        memset(world->sides[i].containers, 0xff, sizeof world->sides[i].containers);
        memset(world->sides[i].groups, 0xff, sizeof world->sides[i].groups);
        memset(world->sides[i].devices, 0xff, sizeof world->sides[i].devices);
    }
    world->registers = g_array_new(FALSE, FALSE, sizeof(Op));
    world_make_events(world);
    set_entry_limit(world, start->entry_limit);
    set_memlock(world, UINT64_MAX, true);
    world->locked_before = read_locked_by_host();
    if (start->kind == SEQUENCE_MAPPINGS)
        begin_with_mappings(world, start);
    else
        memory_make(-1, 0);
    if (start->kind == SEQUENCE_DEVICE || (start->kind == SEQUENCE_FILES && start->has_device))
        begin_with_device(world);
    if (start->kind == SEQUENCE_IOMMUFD)
        world_begin_iommufd(world);
    return world;
}

static void close_slots(Side *side, int *slots, size_t n_slots)
{
    for (size_t i = 0; i < n_slots; i++) {
        if (slots[i] >= 0)
            (void)side->kernel->ops->close(side->kernel, slots[i]);
        slots[i] = -1;
    }
}

static void compare_pinned(World *world)
{
    uint64_t fake = pm_fake_kernel_get_pinned(world->sides[FAKE].kernel);

    if (world->kind == SEQUENCE_IOMMUFD && world->pinned != fake)
        world_differ(world, "pinned memory: host %" G_GUINT64_FORMAT ", fake %" G_GUINT64_FORMAT,
                     world->pinned, fake);
}

static void compare_locked(World *world)
{
    uint64_t host = count_locked(world, HOST);
    uint64_t fake = count_locked(world, FAKE);

    if (host != fake)
        world_differ(world, "locked memory: host %" G_GUINT64_FORMAT ", fake %" G_GUINT64_FORMAT,
                     host, fake);
}

/* Compares all that the device reaches, without limits that would fail the scratch mappings. */
static void compare_at_the_end(World *world)
{
    set_memlock(world, UINT64_MAX, true);
    if (world->kind == SEQUENCE_IOMMUFD)
        world_end_iommufd(world);
    if (world->kind == SEQUENCE_MAPPINGS && world_prepare_dma(world))
        world_compare_all(world, GROUP_OF_DMA);
}

void world_end(World *world)
{
    if (world->difference == NULL)
        compare_at_the_end(world);
    memory_make(-1, 0); /* mmapped registers keep their device open */
    if (world->kind == SEQUENCE_DEVICE)
        world_clean_device(world);
    for (int i = 0; i < N_SIDES; i++) {
        Side *side = &world->sides[i];

        g_clear_pointer(&side->engine, pm_dma_engine_free);
        world_begin_call(world, i);
        close_slots(side, side->devices, N_DEVICES);
        close_slots(side, side->groups, N_GROUPS);
        close_slots(side, side->containers, N_CONTAINERS);
        world_end_call(world, i);
    }
    set_memlock(world, UINT64_MAX, true);
    compare_locked(world);
    compare_pinned(world);
    if (count_locked(world, FAKE) != 0)
        world_differ(world, "the fake kernel still has locked memory after everything is closed");
}

void world_free(World *world)
{
    world_close_events(world);
    for (int i = 0; i < N_SIDES; i++) {
        pm_kernel_unref(world->sides[i].kernel);
        if (world->sides[i].scratch != NULL)
            (void)munmap(world->sides[i].scratch, SCRATCH_SIZE);
    }
    g_array_unref(world->registers);
    g_free(world->difference);
    g_free(world);
}

/* The container's info, with dma_avail. */
static void compare_info(World *world, const int *containers, const Op *op)
{
    struct vfio_iommu_type1_info info = {.argsz = 128};
    char argument[MAX_ARGUMENT];
    static const Op plain = {0};

    memset(argument, 0x5a, sizeof argument);
    if (op->kind == OP_INFO)
        info.argsz = op->argsz;
    memcpy(argument, &info, sizeof info);
    (void)world_ioctl(world, containers, VFIO_IOMMU_GET_INFO, argument, 200,
                      op->kind == OP_INFO ? op : &plain);
}

static void compare_counts(World *world)
{
    for (unsigned slot = 0; slot < N_CONTAINERS; slot++) {
        const int fds[] = {world->sides[HOST].containers[slot],
                           world->sides[FAKE].containers[slot]};

        if (fds[HOST] >= 0)
            compare_info(world, fds, &(Op){0});
    }
    compare_locked(world);
    compare_pinned(world);
}

/* Remembers mapped registers: a device that writes into its own registers does no more DMA. */
static int map(World *world, const Op *op, const int *fds)
{
    int result = world_map(world, op, fds);

    if (result == 0 && memory_is_registers(op->host, op->size))
        g_array_append_val(world->registers, *op);
    return result;
}

/* Compares both ends of what was mapped or unmapped; a size of 0 means everything. */
static void compare_what_changed(World *world, const Op *op, int result)
{
    if (result != 0 || world->kind != SEQUENCE_MAPPINGS || op->size == 0)
        return;
    if (world_prepare_dma(world))
        world_compare_ends(world, op->iova, op->size);
    else
        world_count(world, "unsupported DMA", 0);
}

static void do_in_container(World *world, const Op *op)
{
    unsigned slot = world->kind == SEQUENCE_MAPPINGS ? 0 : op->slot % N_CONTAINERS;
    const int fds[] = {world->sides[HOST].containers[slot], world->sides[FAKE].containers[slot]};

    if (fds[HOST] < 0)
        return;
    switch (op->kind) {
    case OP_MAP:
        compare_what_changed(world, op, map(world, op, fds));
        break;
    case OP_UNMAP:
        compare_what_changed(world, op, world_unmap(world, op, fds));
        break;
    case OP_DIRTY:
        world_dirty(world, op, fds);
        break;
    case OP_INFO:
        compare_info(world, fds, op);
        break;
    default:
        break;
    }
}

bool world_do(World *world, const Op *op)
{
    switch (op->kind) {
    case OP_MAP:
    case OP_UNMAP:
    case OP_DIRTY:
    case OP_INFO:
        do_in_container(world, op);
        break;
    case OP_DMA:
        if (world_prepare_dma(world))
            world_compare_dma(world, op->iova);
        break;
    case OP_MEMORY:
        memory_do((MemoryAction)op->other, op->host, op->size);
        break;
    case OP_FORK:
        memory_fork(op->host);
        break;
    case OP_MEMLOCK:
        set_memlock(world, op->size, op->flags != 0);
        break;
    case OP_SET_IRQS:
    case OP_REGION:
        world_do_device(world, op);
        break;
    default:
        if (op->kind >= OP_IOAS_ALLOC)
            world_do_iommufd(world, op);
        else
            world_do_files(world, op);
        break;
    }
    if (world->difference == NULL)
        compare_counts(world);
    if (world->difference == NULL)
        world_compare_events(world);
    return world->difference == NULL;
}
