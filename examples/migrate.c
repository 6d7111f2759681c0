/* SPDX-License-Identifier: MIT */
/*
 * Pre-copy migration of a virtio-mem device from one process to another, over a Unix socket, while
 * the guest plugs, unplugs and writes, and a device writes by DMA:
 *
 *     round 1..n: pm_dirty_log_read(), send these pages; the guest and the device go on meanwhile
 *     last round: stop both (pm_virtio_mem_set_migrating()), read and send once more, then the
 *                 device's state (pm_virtio_mem_save(), pm_virtio_mem_load())
 *
 * At the end both sides compare digests of all plugged memory and of the device's state. The device
 * is QEMU's edu, which the fake kernel has, too; --host uses real ones. What the guest plugs and
 * unplugs is read from --trace, in smaller blocks, or depends on --seed, as all it writes; so each
 * run with the same options is the same. Prints migrate-NAME.txt.
 */
#include <errno.h>
#include <plugmap/fake.h>
#include <plugmap/plugmap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "edu.h"
#include "trace_file.h"

#define PAGE UINT64_C(4096)

/* Without a trace, and the size of a trace's blocks, whose number is limited. */
#define BLOCK        PM_MIB
#define N_BLOCKS     UINT64_C(24)
#define TRACE_BLOCK  (16 * PM_KIB)
#define MAX_N_BLOCKS 65536

#define ADDRESS  (4 * PM_GIB)
#define N_ROUNDS 4 /* before the last one */

typedef struct {
    int seed;
    char *backend;
    gboolean host;
    gboolean lose;
    char *path;
    TraceFile *trace; /* NULL: none */
} Options;

static void die(const char *what, const GError *error)
{
    (void)fprintf(stderr, "%s%s%s\n", what, error != NULL ? ": " : "",
                  error != NULL ? error->message : "");
    exit(1);
}

/* --- one side: a guest's memory, mapped for a device --- */

typedef struct {
    PmKernel *kernel;
    PmIommu *iommu;
    PmRam *ram;
    PmVirtioMem *device;
    PmMapper *mapper;
    const char *pci; /* address of the device that does DMA */
    uint64_t block;
    uint64_t n_blocks;
    uint64_t n_pages;
} Side;

static PmKernel *open_kernel(const Options *options)
{
    PmFakeConfig config;

    if (options->host)
        return pm_kernel_host_new();
    pm_fake_config_init(&config);
    config.iommufd = true;
    config.dirty_tracking = true;
    return pm_fake_kernel_new(&config, NULL);
}

static PmIommu *open_iommu(const Options *options, const Side *side, GError **error)
{
    const PmType1Config type1 = {
        .struct_size = sizeof(type1), .kernel = side->kernel, .device = side->pci};
    const PmIommufdConfig iommufd = {
        .struct_size = sizeof(iommufd), .kernel = side->kernel, .device = side->pci};

    return g_strcmp0(options->backend, "iommufd") == 0 ? pm_iommu_iommufd_new(&iommufd, error)
                                                       : pm_iommu_type1_new(&type1, error);
}

static void choose_size(const Options *options, Side *side)
{
    side->block = options->trace != NULL ? TRACE_BLOCK : BLOCK;
    side->n_blocks = options->trace != NULL ? options->trace->n_blocks : N_BLOCKS;
    side->n_pages = side->n_blocks * side->block / PAGE;
}

static void make_ram(Side *side)
{
    g_autoptr(GError) error = NULL;

    side->ram = pm_ram_new(PM_RAM_MEMFD, side->n_blocks * side->block, side->block, &error);
    if (side->ram == NULL)
        die("making the guest's memory", error);
}

static void open_side(const Options *options, const char *pci, Side *side)
{
    uint64_t size;
    g_autoptr(GError) error = NULL;
    PmVirtioMemConfig device = {
        .struct_size = sizeof(device),
        .address = ADDRESS,
    };
    PmMapperRegion region = {
        .struct_size = sizeof(region),
        .address = ADDRESS,
        .access = PM_IOMMU_READ_WRITE,
    };

    choose_size(options, side);
    make_ram(side);
    size = pm_ram_get_size(side->ram);
    device.block_size = side->block;
    device.requested_size = region.size = size;
    side->pci = pci;
    side->kernel = open_kernel(options);
    side->iommu = open_iommu(options, side, &error);
    device.ram = region.ram = side->ram;
    if (side->iommu == NULL)
        die("opening the address space", error);
    side->device = pm_virtio_mem_new(&device, &error);
    side->mapper = pm_mapper_new(side->iommu);
    if (side->device == NULL || !pm_mapper_add(side->mapper, &region, &error))
        die("mapping the guest's memory", error);
}

static void close_side(Side *side)
{
    pm_mapper_free(side->mapper);
    pm_virtio_mem_free(side->device);
    pm_iommu_unref(side->iommu);
    pm_ram_unref(side->ram);
    pm_kernel_unref(side->kernel);
}

static char *page_at(const Side *side, uint64_t page)
{
    return (char *)pm_ram_get_host(side->ram) + page * PAGE;
}

static bool is_plugged(const Side *side, uint64_t page)
{
    return pm_discard_manager_is_populated(pm_virtio_mem_get_manager(side->device), page * PAGE,
                                           PAGE);
}

/* Of all plugged memory and the device's state: a new string. */
static char *digest(const Side *side, uint64_t *n_plugged)
{
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) state = pm_virtio_mem_save(side->device, &error);

    if (state == NULL)
        die("saving the device's state", error);
    *n_plugged = 0;
    for (uint64_t page = 0; page < side->n_pages; page++) {
        if (!is_plugged(side, page))
            continue;
        g_checksum_update(sum, (const guchar *)&page, sizeof(page));
        g_checksum_update(sum, (const guchar *)page_at(side, page), PAGE);
        *n_plugged += 1;
    }
    g_checksum_update(sum, g_bytes_get_data(state, NULL), (gssize)g_bytes_get_size(state));
    return g_strdup(g_checksum_get_string(sum));
}

/* --- the socket --- */

/* Before a page; before the device's state (@page is the number of pages, @size its bytes). */
typedef struct {
    uint64_t page;
    uint64_t size;
} Header;

static void send_all(int fd, const void *data, size_t size)
{
    for (const char *at = data; size > 0;) {
        ssize_t n = send(fd, at, size, MSG_NOSIGNAL);

        if (n < 0 && errno != EINTR)
            die("the destination is gone", NULL);
        at += MAX(n, 0);
        size -= (size_t)MAX(n, 0);
    }
}

static void receive_all(int fd, void *data, size_t size)
{
    for (char *at = data; size > 0;) {
        ssize_t n = recv(fd, at, size, 0);

        if (n == 0 || (n < 0 && errno != EINTR))
            die("the other side is gone", NULL);
        at += MAX(n, 0);
        size -= (size_t)MAX(n, 0);
    }
}

/* --- the destination --- */

/* Loading the state later keeps what arrived in plugged blocks. Returns the size of the state. */
static uint64_t receive_pages(const Side *side, int fd)
{
    Header header = {.page = 0};

    while (header.page < side->n_pages) {
        receive_all(fd, &header, sizeof(header));
        if (header.page < side->n_pages)
            receive_all(fd, page_at(side, header.page), PAGE);
    }
    if (header.size > pm_ram_get_size(side->ram))
        die("invalid size of the device's state", NULL);
    return header.size;
}

static GBytes *receive_state(int fd, uint64_t size)
{
    char *state = g_malloc(size);

    receive_all(fd, state, size);
    return g_bytes_new_take(state, size);
}

static int be_destination(const Options *options, int fd)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) state = NULL;
    g_autofree char *sum = NULL;
    uint64_t n_plugged;
    Side side;

    open_side(options, options->host ? "0000:00:05.0" : "0000:00:04.0", &side);
    state = receive_state(fd, receive_pages(&side, fd));
    if (!pm_virtio_mem_load(side.device, state, &error) ||
        !pm_mapper_audit(side.mapper, NULL, NULL, &error))
        die("loading the device's state", error);
    sum = digest(&side, &n_plugged);
    send_all(fd, sum, strlen(sum) + 1);
    close_side(&side);
    return 0;
}

/* The device reads one page and writes another, at I/O addresses, which are guest addresses. */
static void copy_by_dma(const Edu *edu, uint64_t from, uint64_t to)
{
    edu_begin_read(edu, ADDRESS + from * PAGE);
    edu_wait(edu);
    edu_begin_write(edu, ADDRESS + to * PAGE);
    edu_wait(edu);
}

/* --- the guest, which does not know that it is migrated --- */

typedef struct {
    Side side;
    Edu edu;
    GRand *random;
    TraceFile *trace;  /* NULL: random requests */
    guint n_played;    /* requests of it */
    uint64_t *written; /* by the CPU: a VMM gets these from KVM */
} Source;

static uint64_t below(Source *source, uint64_t n)
{
    return (uint64_t)g_rand_int_range(source->random, 0, (gint32)n);
}

/* Some requests are refused, for example because a block is plugged already. */
static void request(Source *source, unsigned type, uint64_t first, uint64_t n_blocks)
{
    PmVirtioMemRequest wire;
    PmVirtioMemResponse response;
    g_autoptr(GError) error = NULL;

    pm_virtio_mem_request_init(&wire, type, ADDRESS + first * source->side.block,
                               (uint16_t)n_blocks);
    if (!pm_virtio_mem_handle(source->side.device, &wire, sizeof(wire), &response, sizeof(response),
                              &error))
        die("a request of the guest", error);
}

static uint64_t choose_plugged(Source *source)
{
    uint64_t page = below(source, source->side.n_pages);

    while (!is_plugged(&source->side, page))
        page = (page + 1) % source->side.n_pages;
    return page;
}

static void write_by_cpu(Source *source)
{
    uint64_t page = choose_plugged(source);
    uint64_t *words = (uint64_t *)(void *)page_at(&source->side, page);

    uint64_t word = below(source, PAGE / sizeof(*words));

    words[word] = g_rand_int(source->random);
    source->written[page / 64] |= UINT64_C(1) << page % 64;
}

/* So that no page is like another. */
static void fill(Source *source)
{
    for (uint64_t page = 0; page < source->side.n_pages; page++)
        if (is_plugged(&source->side, page))
            memset(page_at(&source->side, page), (int)(1 + below(source, 255)), PAGE);
}

/* A part of the trace for each round, and one before the first. */
static void play(Source *source)
{
    const GArray *requests = source->trace->requests;
    guint end = MIN(source->n_played + requests->len / (N_ROUNDS + 1) + 1, requests->len);

    for (; source->n_played < end; source->n_played++) {
        const TraceRequest *next = &g_array_index(requests, TraceRequest, source->n_played);

        request(source, next->type, next->first, next->n_blocks);
    }
}

static void boot_guest(Source *source)
{
    if (source->trace != NULL)
        play(source);
    else
        request(source, PM_VIRTIO_MEM_PLUG, 0, N_BLOCKS / 2);
    fill(source);
}

static void plug_and_unplug(Source *source)
{
    for (unsigned i = 0; i < 3; i++) {
        uint64_t block = 1 + below(source, N_BLOCKS - 1);

        request(source, below(source, 2) ? PM_VIRTIO_MEM_PLUG : PM_VIRTIO_MEM_UNPLUG, block, 1);
    }
    /* Unplugged, and plugged again: what was in it is gone, and nobody wrote the zeros. */
    request(source, PM_VIRTIO_MEM_UNPLUG, 0, 1);
    request(source, PM_VIRTIO_MEM_PLUG, 0, 1);
}

static void run_guest(Source *source)
{
    if (source->trace != NULL)
        play(source);
    else
        plug_and_unplug(source);
    if (pm_virtio_mem_get_plugged_size(source->side.device) == 0)
        return;
    for (unsigned i = 0; i < 30; i++)
        write_by_cpu(source);
    for (unsigned i = 0; i < 4; i++) {
        uint64_t to = choose_plugged(source);

        copy_by_dma(&source->edu, choose_plugged(source), to);
    }
}

/* --- the source --- */

static void send_page(const Source *source, int fd, uint64_t page)
{
    const Header header = {.page = page, .size = PAGE};

    /* Unplugged since the bitmap was read. */
    if (!is_plugged(&source->side, page))
        return;
    send_all(fd, &header, sizeof(header));
    send_all(fd, page_at(&source->side, page), PAGE);
}

/* The guest runs while half of the pages are still to be sent. */
static void send_pages(Source *source, int fd, const uint64_t *bitmap, bool is_last)
{
    for (uint64_t page = 0; page < source->side.n_pages; page++) {
        if (page == source->side.n_pages / 2 && !is_last)
            run_guest(source);
        if (bitmap[page / 64] >> page % 64 & 1)
            send_page(source, fd, page);
    }
}

static void print_count(const char *reason, uint64_t n, const char **separator)
{
    if (n == 0)
        return;
    printf("%s%d %s", *separator, (int)n, reason);
    *separator = ", ";
}

static void print_round(PmIommuDirtyKind kind, const char *round, const PmDirtyLogCounts *counts)
{
    const char *separator = "";

    printf("%s: %d pages (", round, (int)counts->n_dirty);
    print_count("first pass", counts->n_first, &separator);
    print_count("in blocks plugged since", counts->n_plugged, &separator);
    print_count(kind == PM_IOMMU_DIRTY_TRACKED ? "written by a device"
                                               : "mapped, perhaps written by a device",
                counts->n_device, &separator);
    print_count("written by the CPU", counts->n_caller, &separator);
    printf(")\n");
}

static size_t bitmap_size(const Side *side)
{
    return (side->n_pages + 63) / 64 * sizeof(uint64_t);
}

/* Reads what is dirty, and sends it. */
static void send_round(Source *source, PmDirtyLog *log, int fd, const char *round, bool is_last)
{
    g_autoptr(GError) error = NULL;
    PmDirtyLogCounts counts = {.struct_size = sizeof(counts)};
    size_t n_bytes = bitmap_size(&source->side);
    g_autofree uint64_t *bitmap = g_memdup2(source->written, n_bytes);

    memset(source->written, 0, n_bytes);
    if (!pm_dirty_log_read(log, source->side.ram, PAGE, bitmap, &counts, &error))
        die("reading dirty pages", error);
    print_round(pm_dirty_log_get_kind(log), round, &counts);
    send_pages(source, fd, bitmap, is_last);
}

static void send_state(const Source *source, int fd)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) state = pm_virtio_mem_save(source->side.device, &error);
    Header header = {.page = source->side.n_pages};

    if (state == NULL)
        die("saving the device's state", error);
    header.size = g_bytes_get_size(state);
    send_all(fd, &header, sizeof(header));
    send_all(fd, g_bytes_get_data(state, NULL), header.size);
    printf("device state: %d bytes\n", (int)header.size);
}

/* More rounds than one only help where the IOMMU knows what was written: without, each would send
 * all mapped pages again. */
static void migrate(Source *source, const Options *options, PmDirtyLog *log, int fd)
{
    PmIommuDirtyKind kind = pm_dirty_log_get_kind(log);
    int n_rounds = kind == PM_IOMMU_DIRTY_TRACKED ? N_ROUNDS : 1;

    for (int i = 1; i <= n_rounds; i++) {
        g_autofree char *round = g_strdup_printf("round %d", i);

        send_round(source, log, fd, round, false);
    }
    edu_stop(&source->edu);
    pm_virtio_mem_set_migrating(source->side.device, true);
    if (!options->lose)
        send_round(source, log, fd, "last round", true);
    send_state(source, fd);
}

static bool compare(const Source *source, int fd)
{
    char theirs[65] = "";
    uint64_t n_plugged;
    g_autofree char *ours = digest(&source->side, &n_plugged);

    receive_all(fd, theirs, sizeof(theirs));
    theirs[64] = '\0';
    if (strcmp(ours, theirs) == 0)
        printf("equal: %d plugged pages and the device's state\n", (int)n_plugged);
    else
        printf("DIFFERENT: plugged memory or the device's state\n");
    return strcmp(ours, theirs) == 0;
}

static int be_source(const Options *options, int fd)
{
    static const char *const kinds[] = {
        [PM_IOMMU_DIRTY_NONE] = "nothing is known of a device's writes",
        [PM_IOMMU_DIRTY_PINNED] = "only pinned pages are known, not a device's writes",
        [PM_IOMMU_DIRTY_TRACKED] = "the IOMMU tracks a device's writes",
    };
    g_autoptr(GError) error = NULL;
    g_autoptr(PmDirtyLog) log = pm_dirty_log_new();
    Source source = {.random = g_rand_new_with_seed((guint32)options->seed),
                     .trace = options->trace};
    bool equal;

    open_side(options, "0000:00:04.0", &source.side);
    if (!edu_start(&source.edu, source.side.kernel, source.side.iommu, source.side.pci, &error))
        die("opening the device", error);
    source.written = g_malloc0(bitmap_size(&source.side));
    boot_guest(&source);
    run_guest(&source);
    if (!pm_dirty_log_add_iommu(log, source.side.iommu, &error) ||
        !pm_dirty_log_add_ram(log, source.side.ram, &error))
        die("starting the dirty log", error);
    printf("%s: %s\n", options->backend, kinds[pm_dirty_log_get_kind(log)]);
    migrate(&source, options, log, fd);
    equal = compare(&source, fd);
    g_rand_free(source.random);
    g_free(source.written);
    g_clear_pointer(&log, pm_dirty_log_free);
    close_side(&source.side);
    return equal ? 0 : 1;
}

static void parse(Options *options, int argc, char **argv)
{
    const GOptionEntry entries[] = {
        {"seed", 0, 0, G_OPTION_ARG_INT, &options->seed, "what the guest does", "N"},
        {"trace", 0, 0, G_OPTION_ARG_FILENAME, &options->path,
         "what the guest plugs and unplugs, in plugmap's format ('plugmap convert')", "FILE"},
        {"backend", 0, 0, G_OPTION_ARG_STRING, &options->backend, "type1 or iommufd", "NAME"},
        {"host", 0, 0, G_OPTION_ARG_NONE, &options->host,
         "on this host's kernel, with the edu devices 0000:00:04.0 and 0000:00:05.0", NULL},
        {"lose", 0, 0, G_OPTION_ARG_NONE, &options->lose,
         "leave out the last round, to see that the comparison notices", NULL},
        {0},
    };
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_autoptr(GError) error = NULL;

    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error))
        die("invalid option", error);
    if (options->path == NULL)
        return;
    options->trace = trace_file_read(options->path, &error);
    if (options->trace == NULL)
        die("reading the trace", error);
    if (options->trace->n_blocks > MAX_N_BLOCKS)
        die("the trace has a larger region than this example has memory for", NULL);
}

static void free_options(Options *options)
{
    g_free(options->backend);
    g_free(options->path);
    trace_file_free(options->trace);
}

int main(int argc, char **argv)
{
    Options options = {.seed = 1};
    int fds[2];
    int status = 1;
    pid_t destination;

    parse(&options, argc, argv);
    if (options.backend == NULL)
        options.backend = g_strdup("iommufd");
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
        die("connecting to the destination", NULL);
    destination = fork();
    if (destination < 0)
        die("starting the destination", NULL);
    if (destination == 0) {
        close(fds[0]);
        status = be_destination(&options, fds[1]);
        free_options(&options);
        return status;
    }
    close(fds[1]);
    status = be_source(&options, fds[0]);
    close(fds[0]);
    if (waitpid(destination, &fds[0], 0) != destination || fds[0] != 0)
        status = 1;
    free_options(&options);
    return status;
}
