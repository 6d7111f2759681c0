/* SPDX-License-Identifier: MIT */
/* On a real kernel and a real IOMMU: one process opens the files of VFIO or iommufd and sends them
 * over a socket; another one, without /dev and /sys, drives the devices with them. Run in the VM by
 * ctest vm/sent_descriptors_by_*. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <plugmap/plugmap.h>

#include "dma/engine.h"
#include "kernel-uapi/iommufd.h"
#include "kernel-uapi/vfio.h"
#include "util/backend_util.h"
#include "vfio/sysfs.h"

/* QEMU's nvme and edu. */
#define N_DEVICES 2
static const char *const devices[N_DEVICES] = {"0000:00:06.0", "0000:00:05.0"};

#define EMPTY_ROOT "/empty"
#define BLOCK      (2 * PM_MIB)
#define N_BLOCKS   4
#define BASE       UINT64_C(0x100000000)
#define THEIRS     2 /* the sender's block */

#define N_FDS (1 + N_DEVICES)

typedef struct {
    int fds[N_FDS]; /* container and groups, or iommufd and cdevs */
    uint32_t ids[N_DEVICES];
    uint32_t ioas;
} Sent;

/* --- the socket --- */

static void send_all(int socket, Sent *sent)
{
    char control[CMSG_SPACE(sizeof sent->fds)] = {0};
    struct iovec data = {.iov_base = sent, .iov_len = sizeof *sent};
    struct msghdr message = {.msg_iov = &data,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);

    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof sent->fds);
    memcpy(CMSG_DATA(header), sent->fds, sizeof sent->fds);
    assert_int_equal(sendmsg(socket, &message, 0), sizeof *sent);
}

static bool receive_all(int socket, Sent *sent)
{
    char control[CMSG_SPACE(sizeof sent->fds)] = {0};
    struct iovec data = {.iov_base = sent, .iov_len = sizeof *sent};
    struct msghdr message = {.msg_iov = &data,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    const struct cmsghdr *header;

    if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) != sizeof *sent)
        return false;
    header = CMSG_FIRSTHDR(&message);
    if (header == NULL || header->cmsg_len != CMSG_LEN(sizeof sent->fds))
        return false;
    memcpy(sent->fds, CMSG_DATA(header), sizeof sent->fds);
    return true;
}

/* --- the receiver: prints what failed and returns false --- */

#define CHECK(condition, error)                                                                    \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition,                     \
                    (error) != NULL ? ((GError *)(error))->message : "");                          \
            return false;                                                                          \
        }                                                                                          \
    } while (0)

static PmIommu *open_sent(Sent *sent, GError **error)
{
    const PmType1Config type1 = {.struct_size = sizeof(type1),
                                 .has_fds = true,
                                 .container_fd = sent->fds[0],
                                 .group_fds = &sent->fds[1],
                                 .n_group_fds = 1};
    const PmIommufdConfig iommufd = {.struct_size = sizeof(iommufd),
                                     .has_fds = true,
                                     .iommufd = sent->fds[0],
                                     .device = devices[0],
                                     .device_fd = sent->fds[1],
                                     .device_id = &sent->ids[0],
                                     .ioas = sent->ioas};

    return backend_is_iommufd() ? pm_iommu_iommufd_new(&iommufd, error)
                                : pm_iommu_type1_new(&type1, error);
}

static bool sees(PmIommu *iommu, const char *device, PmRam *ram, uint64_t block)
{
    g_autoptr(PmKernel) kernel = pm_kernel_host_new();
    g_autoptr(GError) error = NULL;
    g_autoptr(PmDmaEngine) engine =
        pm_dma_engine_attach(iommu, kernel, device, BASE, N_BLOCKS * BLOCK, &error);
    char *memory = (char *)pm_ram_get_host(ram) + block * BLOCK;
    char data[PM_DMA_PAGE];

    CHECK(engine != NULL, error);
    memset(memory, device[6], PM_DMA_PAGE);
    CHECK(pm_dma_engine_read(engine, BASE + block * BLOCK, data, &error), error);
    return memcmp(data, memory, pm_dma_engine_transfer_size(engine)) == 0;
}

static PmIommuClaim *claim_all(PmIommu *iommu, PmRam *ram, GError **error)
{
    const PmIommuClaimConfig config = {.struct_size = sizeof(config),
                                       .owner = "the test",
                                       .ram = ram,
                                       .iova = BASE,
                                       .size = N_BLOCKS * BLOCK,
                                       .block_size = BLOCK};

    return pm_iommu_claim_new(iommu, &config, error);
}

/* Every device works: its registers, and DMA to mapped memory. */
static bool drive_devices(PmIommu *iommu, Sent *sent)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_ANONYMOUS, N_BLOCKS * BLOCK, BLOCK, &error);
    g_autoptr(PmIommuClaim) claim = ram != NULL ? claim_all(iommu, ram, &error) : NULL;

    CHECK(claim != NULL, error);
    CHECK(pm_iommu_claim_map(claim, BLOCK, BLOCK, BLOCK, PM_IOMMU_READ_WRITE, &error), error);
    CHECK(sees(iommu, devices[0], ram, 1), error);
    CHECK(pm_iommu_get_kvm_fd(iommu, devices[0], &error) == sent->fds[1], error);
    CHECK(pm_iommu_attach_fd(iommu, devices[1], sent->fds[2], &sent->ids[1], &error), error);
    CHECK(pm_iommu_get_kvm_fd(iommu, devices[1], &error) == sent->fds[2], error);
    CHECK(sees(iommu, devices[1], ram, 1), error);
    CHECK(pm_iommu_detach(iommu, devices[1], &error), error);
    CHECK(fcntl(sent->fds[2], F_GETFD) == -1 && errno == EBADF, error);
    CHECK(pm_iommu_claim_map(claim, 3 * BLOCK, BLOCK, 0, PM_IOMMU_READ_WRITE, &error), error);
    CHECK(pm_iommu_claim_purge(claim, &error), error);
    CHECK(pm_iommu_audit(iommu, NULL, 0, &error), error);
    CHECK(pm_iommu_claim_release(claim, &error), error);
    return true;
}

/* Invalid calls fail, and the descriptors still work for a valid one. */
static bool try_wrong_ones(Sent *sent)
{
    Sent wrong = *sent;
    g_autoptr(GError) error = NULL;

    wrong.fds[1] = wrong.fds[0];
    CHECK(open_sent(&wrong, &error) == NULL, NULL);
    CHECK(g_error_matches(error, PM_ERROR, PM_ERROR_INVALID_ARGUMENT), error);
    g_clear_error(&error);
    wrong = *sent;
    wrong.fds[0] = wrong.fds[2];
    CHECK(open_sent(&wrong, &error) == NULL, NULL);
    CHECK(g_error_matches(error, PM_ERROR, PM_ERROR_INVALID_ARGUMENT), error);
    return true;
}

static bool receive_and_drive(int socket)
{
    Sent sent;
    PmIommu *iommu;
    GError *error = NULL;
    bool driven;

    CHECK(chroot(EMPTY_ROOT) == 0 && chdir("/") == 0, error);
    CHECK(access("/dev", F_OK) == -1 && access("/sys", F_OK) == -1, error);
    CHECK(receive_all(socket, &sent), error);
    if (!try_wrong_ones(&sent))
        return false;
    iommu = open_sent(&sent, &error);
    CHECK(iommu != NULL, error);
    driven = drive_devices(iommu, &sent);
    pm_iommu_unref(iommu);
    CHECK(fcntl(sent.fds[0], F_GETFD) == -1 && fcntl(sent.fds[1], F_GETFD) == -1, error);
    return driven;
}

/* --- the sender --- */

static int open_file(const char *path)
{
    int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -ENOENT;

    if (fd < 0)
        fail_msg("%s: %s", path, strerror(errno));
    return fd;
}

static int open_group_or_device(const char *device)
{
    g_autoptr(PmKernel) kernel = pm_kernel_host_new();
    g_autofree char *path = NULL;
    unsigned group;
    bool found = backend_is_iommufd()
                     ? pm_sysfs_find_device_file(kernel, device, &path, &group, NULL)
                     : pm_sysfs_find_group(kernel, device, &group, NULL) &&
                           (path = g_strdup_printf("/dev/vfio/%u", group)) != NULL;

    assert_true(found);
    return open_file(path);
}

static void open_all(Sent *sent)
{
    *sent = (Sent){0};
    sent->fds[0] = open_file(backend_is_iommufd() ? "/dev/iommu" : "/dev/vfio/vfio");
    for (unsigned i = 0; i < N_DEVICES; i++)
        sent->fds[1 + i] = open_group_or_device(devices[i]);
}

static void close_all(const Sent *sent)
{
    for (unsigned i = N_FDS; i-- > 0;)
        assert_int_equal(close(sent->fds[i]), 0);
}

/* Forks before anything is open, so that nothing is inherited. */
static pid_t start_receiver(int *socket)
{
    int pair[2];
    pid_t child;

    assert_true(mkdir(EMPTY_ROOT, 0755) == 0 || errno == EEXIST);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(pair[0]);
        _exit(receive_and_drive(pair[1]) ? 0 : 1);
    }
    close(pair[1]);
    *socket = pair[0];
    return child;
}

static void await(pid_t child, int socket)
{
    int status;

    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    close(socket);
}

static uint32_t group_flags(int group)
{
    struct vfio_group_status status = {.argsz = sizeof status};

    assert_int_equal(ioctl(group, VFIO_GROUP_GET_STATUS, &status), 0);
    return status.flags;
}

/* The kernel reuses the lowest free id: the first one is the IOAS's. */
static void assert_all_is_undone(const Sent *sent)
{
    struct iommu_ioas_alloc alloc = {.size = sizeof alloc};

    if (backend_is_iommufd()) {
        assert_int_equal(ioctl(sent->fds[0], IOMMU_IOAS_ALLOC, &alloc), 0);
        assert_int_equal(alloc.out_ioas_id, 1);
        return;
    }
    for (unsigned i = 0; i < N_DEVICES; i++)
        assert_int_equal(group_flags(sent->fds[1 + i]), VFIO_GROUP_FLAGS_VIABLE);
}

/* The sender still has all of them open, so closing has released nothing. */
static void receiver_needs_no_files_and_cleans_up(void **state)
{
    int socket;
    pid_t child = start_receiver(&socket);
    Sent sent;

    (void)state;
    open_all(&sent);
    send_all(socket, &sent);
    await(child, socket);
    assert_all_is_undone(&sent);
    close_all(&sent);
}

static void prepare_type1(const Sent *sent, const void *memory)
{
    struct vfio_iommu_type1_dma_map map = {.argsz = sizeof map,
                                           .flags = VFIO_DMA_MAP_FLAG_READ,
                                           .vaddr = (uintptr_t)memory,
                                           .iova = BASE + THEIRS * BLOCK,
                                           .size = BLOCK};

    for (unsigned i = 0; i < N_DEVICES; i++)
        assert_int_equal(ioctl(sent->fds[1 + i], VFIO_GROUP_SET_CONTAINER, &sent->fds[0]), 0);
    assert_int_equal(ioctl(sent->fds[0], VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), 0);
    assert_int_equal(ioctl(sent->fds[0], VFIO_IOMMU_MAP_DMA, &map), 0);
}

static void prepare_iommufd(Sent *sent, const void *memory)
{
    struct iommu_ioas_alloc alloc = {.size = sizeof alloc};
    struct iommu_ioas_map map = {.size = sizeof map,
                                 .flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE,
                                 .user_va = (uintptr_t)memory,
                                 .length = BLOCK,
                                 .iova = BASE + THEIRS * BLOCK};

    assert_int_equal(ioctl(sent->fds[0], IOMMU_IOAS_ALLOC, &alloc), 0);
    for (unsigned i = 0; i < N_DEVICES; i++) {
        struct vfio_device_bind_iommufd bind = {.argsz = sizeof bind, .iommufd = sent->fds[0]};

        assert_int_equal(ioctl(sent->fds[1 + i], VFIO_DEVICE_BIND_IOMMUFD, &bind), 0);
        sent->ids[i] = bind.out_devid;
    }
    map.ioas_id = sent->ioas = alloc.out_ioas_id;
    assert_int_equal(ioctl(sent->fds[0], IOMMU_IOAS_MAP, &map), 0);
}

/* Bytes that are unmapped; 0 if there is nothing. */
static uint64_t unmap(const Sent *sent, uint64_t iova, uint64_t size)
{
    struct iommu_ioas_unmap area = {
        .size = sizeof area, .ioas_id = sent->ioas, .iova = iova, .length = size};
    struct vfio_iommu_type1_dma_unmap mapping = {
        .argsz = sizeof mapping, .iova = iova, .size = size};

    if (backend_is_iommufd())
        return ioctl(sent->fds[0], IOMMU_IOAS_UNMAP, &area) == 0 ? area.length : 0;
    assert_int_equal(ioctl(sent->fds[0], VFIO_IOMMU_UNMAP_DMA, &mapping), 0);
    return mapping.size;
}

static void receiver_keeps_the_senders_objects_and_mappings(void **state)
{
    void *memory = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int socket;
    pid_t child = start_receiver(&socket);
    Sent sent;

    (void)state;
    assert_ptr_not_equal(memory, MAP_FAILED);
    open_all(&sent);
    if (backend_is_iommufd())
        prepare_iommufd(&sent, memory);
    else
        prepare_type1(&sent, memory);
    send_all(socket, &sent);
    await(child, socket);
    assert_int_equal(unmap(&sent, BASE, THEIRS * BLOCK), 0);
    assert_int_equal(unmap(&sent, BASE + (THEIRS + 1) * BLOCK, BLOCK), 0);
    assert_int_equal(unmap(&sent, BASE + THEIRS * BLOCK, BLOCK), BLOCK);
    for (unsigned i = 0; i < N_DEVICES && !backend_is_iommufd(); i++)
        assert_true(group_flags(sent.fds[1 + i]) & VFIO_GROUP_FLAGS_CONTAINER_SET);
    close_all(&sent);
    munmap(memory, BLOCK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(receiver_needs_no_files_and_cleans_up),
        cmocka_unit_test(receiver_keeps_the_senders_objects_and_mappings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
