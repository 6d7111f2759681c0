/* SPDX-License-Identifier: MIT */
/*
 * A handover's receiver (handover.h): whatever a sender that never commits itself sends, bytes and
 * descriptors, the receiver fails, closes all that it got, and changes nothing of what the old
 * process has mapped. An input is a valid offer with some changes, or bytes of its own, with
 * descriptors in any order; then a message that ends the handover.
 */
#include "fuzz.h"

#include <dirent.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <plugmap/fake.h>
#include <plugmap/plugmap.h>

#include "migration/channel.h"

#define SIZE       UINT64_C(0x10000)
#define ADDRESS    UINT64_C(0x100000)
#define N_SPACES   2
#define N_STRANGE  3
#define MAX_POOL   (PM_CHANNEL_MAX_FDS + N_STRANGE)
#define MAX_SENT   32
#define CHANGES    1
#define OWN_BYTES  2
#define OTHER_FDS  4
#define OWN_HEADER 8

/* The old process, which stays as it is. */
typedef struct {
    PmKernel *kernel;
    PmRam *ram[N_SPACES];
    PmMapper *mappers[N_SPACES];
    PmMessage offer;
    int pool[MAX_POOL]; /* the offer's descriptors, then others */
    size_t n_pool;
    uint64_t pinned;
} Old;

static void open_space(Old *old, unsigned space)
{
    static const char *const devices[N_SPACES] = {"0000:00:04.0", "0000:00:05.0"};
    const PmType1Config config = {
        .struct_size = sizeof(config), .kernel = old->kernel, .device = devices[space]};
    PmMapperRegion region = {
        .struct_size = sizeof(region),
        .size = SIZE,
        .address = ADDRESS,
        .access = PM_IOMMU_READ_WRITE,
    };
    g_autoptr(PmIommu) iommu = pm_iommu_type1_new(&config, NULL);

    FUZZ_CHECK(iommu != NULL);
    old->ram[space] = pm_ram_new(PM_RAM_MEMFD, SIZE, 0, NULL);
    region.ram = old->ram[space];
    old->mappers[space] = pm_mapper_new(iommu);
    FUZZ_CHECK(pm_mapper_add(old->mappers[space], &region, NULL));
    memset(pm_ram_get_host(region.ram), 'x', SIZE);
}

static gpointer receive_offer(gpointer data)
{
    const int *socket = data;
    PmMessage *offer = g_new0(PmMessage, 1);
    g_autoptr(GError) refusal = g_error_new_literal(PM_ERROR, PM_ERROR_BUSY, "refused");

    FUZZ_CHECK(pm_channel_receive(*socket, offer, NULL) && offer->type == PM_CHANNEL_OFFER);
    pm_channel_send_failure(*socket, PM_CHANNEL_REFUSE, refusal);
    return offer;
}

static void take_offer(Old *old)
{
    int sockets[2];
    GThread *thread;
    PmMessage *offer;

    FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) == 0);
    thread = g_thread_new("receiver", receive_offer, &sockets[1]);
    FUZZ_CHECK(!pm_handover_send(old->mappers, N_SPACES, sockets[0], NULL));
    offer = g_thread_join(thread);
    old->offer = *offer;
    g_free(offer);
    close(sockets[0]);
    close(sockets[1]);
}

static void fill_pool(Old *old)
{
    int pair[2];

    memcpy(old->pool, old->offer.fds, old->offer.n_fds * sizeof(int));
    old->n_pool = old->offer.n_fds;
    FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    old->pool[old->n_pool++] = pair[0];
    old->pool[old->n_pool++] = pair[1];
    old->pool[old->n_pool++] = memfd_create("strange", MFD_CLOEXEC);
}

static const Old *get_old(void)
{
    static Old old;
    PmFakeConfig config;

    if (old.kernel != NULL)
        return &old;
    pm_fake_config_init(&config);
    old.kernel = pm_fake_kernel_new(&config, NULL);
    FUZZ_CHECK(old.kernel != NULL);
    FUZZ_CHECK(pm_fake_kernel_add_device(old.kernel, 2, "0000:00:05.0", "vfio-pci", NULL));
    for (unsigned i = 0; i < N_SPACES; i++)
        open_space(&old, i);
    take_offer(&old);
    fill_pool(&old);
    old.pinned = pm_fake_kernel_get_locked(old.kernel);
    return &old;
}

/* --- what does not change --- */

static unsigned count_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    unsigned n = 0;

    FUZZ_CHECK(folder != NULL);
    while (readdir(folder) != NULL)
        n++;
    closedir(folder);
    return n;
}

static bool check_mapping(uint64_t iova, uint64_t size, const void *host, PmIommuAccess access,
                          void *user_data)
{
    FUZZ_CHECK(iova == ADDRESS && size == SIZE && access == PM_IOMMU_READ_WRITE);
    FUZZ_CHECK(host == pm_ram_get_host(user_data));
    return true;
}

static void check_old(const Old *old)
{
    for (unsigned i = 0; i < N_SPACES; i++) {
        const char *memory = pm_ram_get_host(old->ram[i]);

        FUZZ_CHECK(pm_mapper_audit(old->mappers[i], NULL, NULL, NULL));
        FUZZ_CHECK(pm_fake_kernel_get_n_mappings(old->kernel, i + 1) == 1);
        (void)pm_fake_kernel_foreach_mapping(old->kernel, i + 1, check_mapping, old->ram[i]);
        FUZZ_CHECK(memory[0] == 'x' && memory[SIZE - 1] == 'x');
    }
    FUZZ_CHECK(pm_fake_kernel_get_locked(old->kernel) == old->pinned);
}

/* --- the sender --- */

static void change(FuzzInput *input, uint8_t *payload, size_t size)
{
    for (unsigned n = fuzz_u8(input) % 8; n > 0; n--) {
        uint64_t at = fuzz_number(input, 2);

        payload[at % size] = fuzz_u8(input);
    }
}

static size_t choose_fds(const Old *old, FuzzInput *input, int *fds)
{
    size_t n_fds = fuzz_u8(input) % MAX_SENT;

    for (size_t i = 0; i < n_fds; i++)
        fds[i] = old->pool[fuzz_u8(input) % old->n_pool];
    return n_fds;
}

static void send_offer(const Old *old, FuzzInput *input, uint8_t flags, int socket)
{
    size_t size = (flags & OWN_BYTES) != 0 ? 8 * (size_t)fuzz_u8(input) : old->offer.size;
    g_autofree uint8_t *payload = g_malloc0(MAX(size, old->offer.size));
    size_t n_fds = old->offer.n_fds;
    int fds[MAX_SENT];

    memcpy(payload, old->offer.payload, old->offer.size);
    memcpy(fds, old->pool, n_fds * sizeof(int));
    if ((flags & OTHER_FDS) != 0)
        n_fds = choose_fds(old, input, fds);
    if ((flags & CHANGES) != 0)
        change(input, payload, old->offer.size);
    if ((flags & OWN_BYTES) != 0)
        (void)fuzz_take(input, payload, size);
    FUZZ_CHECK(pm_channel_send(socket, PM_CHANNEL_OFFER, payload, size, fds, n_fds, NULL));
}

/* Never one that lets the receiver take over: FROZEN, or the end of the stream. */
static void send_end(FuzzInput *input, int socket)
{
    static const PmChannelType types[] = {PM_CHANNEL_ABORT,  PM_CHANNEL_OFFER, PM_CHANNEL_ACCEPT,
                                          PM_CHANNEL_COMMIT, PM_CHANNEL_DONE,  PM_CHANNEL_REFUSE};
    uint8_t type = fuzz_u8(input);
    char payload[64];
    size_t size = fuzz_u8(input) % sizeof(payload);

    (void)fuzz_take(input, payload, size);
    FUZZ_CHECK(
        pm_channel_send(socket, types[type % G_N_ELEMENTS(types)], payload, size, NULL, 0, NULL));
}

static void send_bytes(FuzzInput *input, int socket)
{
    static const char zero[32];

    if (input->size > 0)
        (void)send(socket, input->data, input->size, MSG_NOSIGNAL);
    (void)send(socket, zero, sizeof(zero), MSG_NOSIGNAL); /* no magic number */
}

/* --- the receiver --- */

static void receive(PmKernel *kernel, int socket)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(PmHandover) handover = pm_handover_receive(kernel, socket, &error);
    PmIommu *iommus[PM_HANDOVER_MAX_MAPPERS];
    PmMapper *mappers[PM_HANDOVER_MAX_MAPPERS];

    FUZZ_CHECK_RESULT(handover != NULL, error);
    if (handover == NULL)
        return;
    for (size_t i = 0; i < pm_handover_get_n_mappers(handover); i++)
        for (size_t j = 0; j < pm_handover_get_n_regions(handover, i); j++)
            FUZZ_CHECK(pm_handover_get_region(handover, i, j)->ram != NULL);
    FUZZ_CHECK(!pm_handover_take_over(handover, iommus, mappers, &error));
    FUZZ_CHECK_RESULT(false, error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const Old *old = get_old();
    FuzzInput input = {data, size};
    uint8_t flags = fuzz_u8(&input);
    unsigned n_before = count_descriptors();
    int sockets[2];

    FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) == 0);
    if ((flags & OWN_HEADER) != 0) {
        send_bytes(&input, sockets[0]);
        (void)shutdown(sockets[0], SHUT_WR);
    } else {
        send_offer(old, &input, flags, sockets[0]);
        send_end(&input, sockets[0]);
    }
    receive(old->kernel, sockets[1]);
    close(sockets[0]);
    close(sockets[1]);
    FUZZ_CHECK(count_descriptors() == n_before);
    check_old(old);
    return 0;
}
