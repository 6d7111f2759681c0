/* SPDX-License-Identifier: MIT */
/*
 * Live update of a VMM with a virtio-mem device, while a device does DMA:
 *
 *     old: plugs four blocks, has the device begin a transfer, and hands over; drops its objects
 *     new: takes over, waits for that transfer, and continues to plug and unplug
 *
 * Both are threads, because a fake kernel is in one process; with --host they are processes on this
 * host's kernel, and the transfer, which takes 100 ms in QEMU's edu, is in flight when the memory
 * and the device change their owner. Prints live_update.txt.
 */
#include <plugmap/fake.h>
#include <plugmap/plugmap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "edu.h"

#define PCI      "0000:00:04.0"
#define ADDRESS  (4 * PM_GIB)
#define BLOCK    PM_MIB
#define N_BLOCKS UINT64_C(8)
#define SIZE     (N_BLOCKS * BLOCK)

static void die(const char *what, const GError *error)
{
    (void)fprintf(stderr, "%s%s%s\n", what, error != NULL ? ": " : "",
                  error != NULL ? error->message : "");
    exit(1);
}

/* --- what a VMM has --- */

typedef struct {
    const char *name;
    PmKernel *kernel;
    int socket;
    PmIommu *iommu;
    PmRam *ram;
    PmVirtioMem *device;
    PmMapper *mapper;
} Vmm;

static void make_device(Vmm *vmm, uint64_t flags)
{
    g_autoptr(GError) error = NULL;
    const PmVirtioMemConfig config = {
        .struct_size = sizeof(config),
        .ram = vmm->ram,
        .address = ADDRESS,
        .block_size = BLOCK,
        .requested_size = SIZE,
        .flags = flags,
    };

    vmm->device = pm_virtio_mem_new(&config, &error);
    if (vmm->device == NULL)
        die("making the device", error);
}

static void request(const Vmm *vmm, unsigned type, const char *what, uint64_t first,
                    uint16_t n_blocks)
{
    PmVirtioMemRequest wire;
    PmVirtioMemResponse response;
    unsigned answer = 0;
    g_autoptr(GError) error = NULL;

    pm_virtio_mem_request_init(&wire, type, ADDRESS + first * BLOCK, n_blocks);
    if (!pm_virtio_mem_handle(vmm->device, &wire, sizeof(wire), &response, sizeof(response),
                              &error) ||
        !pm_virtio_mem_response_decode(&response, &answer, NULL, &error))
        die("a request of the guest", error);
    printf("%s: %s blocks %d to %d: %s, %d mapped\n", vmm->name, what, (int)first,
           (int)(first + n_blocks - 1), answer == PM_VIRTIO_MEM_ACK ? "ACK" : "refused",
           (int)pm_iommu_get_n_mappings(vmm->iommu));
}

static char *block_at(const Vmm *vmm, uint64_t block)
{
    return (char *)pm_ram_get_host(vmm->ram) + block * BLOCK;
}

/* In any order after a handover, because it then unmaps and discards nothing. */
static void drop(Vmm *vmm)
{
    pm_mapper_free(vmm->mapper);
    pm_virtio_mem_free(vmm->device);
    pm_iommu_unref(vmm->iommu);
    pm_ram_unref(vmm->ram);
}

/* --- the old process --- */

static void open_all(Vmm *vmm)
{
    const PmType1Config config = {
        .struct_size = sizeof(config), .kernel = vmm->kernel, .device = PCI};
    PmMapperRegion region = {
        .struct_size = sizeof(region),
        .size = SIZE,
        .address = ADDRESS,
        .access = PM_IOMMU_READ_WRITE,
    };
    g_autoptr(GError) error = NULL;

    vmm->iommu = pm_iommu_type1_new(&config, &error);
    vmm->ram = pm_ram_new(PM_RAM_MEMFD, SIZE, BLOCK, NULL);
    if (vmm->iommu == NULL || vmm->ram == NULL)
        die("opening the address space", error);
    make_device(vmm, 0);
    region.ram = vmm->ram;
    vmm->mapper = pm_mapper_new(vmm->iommu);
    if (!pm_mapper_add(vmm->mapper, &region, &error))
        die("mapping the guest's memory", error);
}

/* The device copies block 0 to block 1, and has not finished when this returns. */
static void begin_dma(const Vmm *vmm)
{
    Edu edu;
    g_autoptr(GError) error = NULL;

    memset(block_at(vmm, 0), 'x', EDU_SIZE);
    if (!edu_start(&edu, vmm->kernel, vmm->iommu, PCI, &error))
        die("opening the device", error);
    edu_begin_read(&edu, ADDRESS);
    edu_wait(&edu);
    edu_begin_write(&edu, ADDRESS + BLOCK);
    edu_drop(&edu);
    printf("%s: the device begins to write into block 1\n", vmm->name);
}

/* The VMM's own messages: the size of the snapshot, and the snapshot. */
static void send_snapshot(const Vmm *vmm)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) snapshot = pm_virtio_mem_save(vmm->device, &error);
    uint64_t size;

    if (snapshot == NULL)
        die("saving the device's state", error);
    size = g_bytes_get_size(snapshot);
    if (send(vmm->socket, &size, sizeof(size), MSG_NOSIGNAL) != sizeof(size) ||
        send(vmm->socket, g_bytes_get_data(snapshot, NULL), size, MSG_NOSIGNAL) != (ssize_t)size)
        die("the new process is gone", NULL);
}

static gpointer be_old(gpointer data)
{
    Vmm *vmm = data;
    g_autoptr(GError) error = NULL;

    open_all(vmm);
    request(vmm, PM_VIRTIO_MEM_PLUG, "plug", 0, 4);
    begin_dma(vmm);
    /* A VMM stops its vCPUs here: the snapshot must be the state that is handed over. */
    send_snapshot(vmm);
    if (!pm_handover_send(&vmm->mapper, 1, vmm->socket, &error))
        die("handing over", error); /* a VMM continues as before */
    if (!pm_mapper_audit(vmm->mapper, NULL, NULL, &error))
        printf("%s: %s\n", vmm->name, error->message);
    drop(vmm);
    (void)send(vmm->socket, "", 1, MSG_NOSIGNAL);
    return NULL;
}

/* --- the new process --- */

static GBytes *receive_snapshot(const Vmm *vmm)
{
    uint64_t size = 0;
    char *bytes;

    if (recv(vmm->socket, &size, sizeof(size), MSG_WAITALL) != sizeof(size) || size > SIZE)
        die("the old process is gone", NULL);
    bytes = g_malloc(size);
    if (recv(vmm->socket, bytes, size, MSG_WAITALL) != (ssize_t)size)
        die("the old process is gone", NULL);
    return g_bytes_new_take(bytes, size);
}

/* Freeing the handover without having taken over refuses it: the old process then continues. */
static void take_over(Vmm *vmm)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) snapshot = receive_snapshot(vmm);
    g_autoptr(PmHandover) handover = pm_handover_receive(vmm->kernel, vmm->socket, &error);

    if (handover == NULL)
        die("receiving", error);
    if (pm_handover_get_n_mappers(handover) != 1)
        die("unexpected number of mappers", NULL);
    vmm->ram = pm_ram_ref(pm_handover_get_region(handover, 0, 0)->ram);
    make_device(vmm, PM_VIRTIO_MEM_KEEP_MEMORY);
    if (!pm_virtio_mem_load(vmm->device, snapshot, &error) ||
        !pm_handover_take_over(handover, &vmm->iommu, &vmm->mapper, &error))
        die("taking over", error);
    pm_virtio_mem_set_keep_memory(vmm->device, false);
}

static void end_dma(const Vmm *vmm)
{
    Edu edu;
    g_autoptr(GError) error = NULL;

    if (!edu_start(&edu, vmm->kernel, vmm->iommu, PCI, &error))
        die("opening the device", error);
    edu_wait(&edu);
    edu_stop(&edu);
    printf("%s: the device has %swritten into block 1\n", vmm->name,
           memcmp(block_at(vmm, 0), block_at(vmm, 1), EDU_SIZE) == 0 ? "" : "NOT ");
}

static void be_new(Vmm *vmm)
{
    char dropped;
    g_autoptr(GError) error = NULL;

    take_over(vmm);
    (void)recv(vmm->socket, &dropped, 1, 0); /* only for the order of what is printed */
    printf("%s: took over %d mappings\n", vmm->name, (int)pm_iommu_get_n_mappings(vmm->iommu));
    end_dma(vmm);
    request(vmm, PM_VIRTIO_MEM_PLUG, "plug", 4, 2);
    request(vmm, PM_VIRTIO_MEM_UNPLUG, "unplug", 0, 1);
    if (!pm_mapper_audit(vmm->mapper, NULL, NULL, &error))
        die("audit", error);
    drop(vmm);
}

/* --- both --- */

static void run_processes(Vmm *old, Vmm *new)
{
    pid_t child;
    int status;

    (void)fflush(stdout);
    child = fork();
    if (child < 0)
        die("starting the old process", NULL);
    old->kernel = new->kernel = pm_kernel_host_new();
    if (child == 0) {
        close(new->socket);
        (void)be_old(old);
        exit(0);
    }
    close(old->socket);
    be_new(new);
    if (waitpid(child, &status, 0) != child || status != 0)
        exit(1);
}

static void run_threads(Vmm *old, Vmm *new)
{
    GThread *thread;

    old->kernel = new->kernel = pm_fake_kernel_new(NULL, NULL);
    thread = g_thread_new("old", be_old, old);
    be_new(new);
    (void)g_thread_join(thread);
}

int main(int argc, char **argv)
{
    bool host = argc > 1 && strcmp(argv[1], "--host") == 0;
    Vmm old = {.name = "old"};
    Vmm new = {.name = "new"};
    int sockets[2];

    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) < 0)
        die("connecting", NULL);
    old.socket = sockets[0];
    new.socket = sockets[1];
    if (host)
        run_processes(&old, &new);
    else
        run_threads(&old, &new);
    pm_kernel_unref(new.kernel);
    return 0;
}
