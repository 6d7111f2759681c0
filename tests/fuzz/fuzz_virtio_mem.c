/* SPDX-License-Identifier: MIT */
/*
 * Requests of a guest, valid or not, resizes, resets, conversions of a second source and failing
 * system calls, against a device with a mapper on a fake kernel. What the device acknowledges is
 * what it has, what is mapped, and what the audits find; in the end nothing is left.
 */
#include "fuzz.h"

#include <errno.h>

#include <plugmap/fake.h>
#include <plugmap/plugmap.h>

#define BLOCK     UINT64_C(4096)
#define N_BLOCKS  48
#define ADDRESS   UINT64_C(0x100000000)
#define MAX_STEPS 200

typedef struct {
    PmKernel *fake;
    PmIommu *iommu;
    PmMapper *mapper;
    PmRam *ram;
    PmVirtioMem *device;
    bool is_iommufd;
    PmDiscardSource *private; /* a second source, or NULL */
    bool plugged[N_BLOCKS];   /* by what was acknowledged */
    bool is_private[N_BLOCKS];
} World;

static PmIommu *open_iommu(PmKernel *fake, bool is_iommufd)
{
    const PmType1Config type1 = {
        .struct_size = sizeof(type1), .kernel = fake, .has_group = true, .group = 1};
    const PmIommufdConfig iommufd = {.struct_size = sizeof(iommufd),
                                     .kernel = fake,
                                     .device = "0000:00:04.0",
                                     .device_file = "/dev/vfio/devices/vfio0"};

    return is_iommufd ? pm_iommu_iommufd_new(&iommufd, NULL) : pm_iommu_type1_new(&type1, NULL);
}

static void add_private(World *world)
{
    const PmDiscardSourceConfig config = {.struct_size = sizeof(config),
                                          .name = "private",
                                          .granularity = BLOCK,
                                          .flags = PM_DISCARD_SOURCE_POPULATED};

    world->private =
        pm_discard_manager_add_source(pm_virtio_mem_get_manager(world->device), &config, NULL);
    FUZZ_CHECK(world->private != NULL);
}

static void begin(World *world, FuzzInput *input)
{
    uint8_t flags = fuzz_u8(input);
    PmFakeConfig fake;
    PmVirtioMemConfig config = {
        .struct_size = sizeof(config),
        .address = ADDRESS,
        .block_size = BLOCK,
        .usable_extent = 4 * BLOCK,
        .requested_size = (flags & 2) != 0 ? N_BLOCKS * BLOCK : 0,
        .no_unplugged_inaccessible = (flags & 4) != 0,
        .prefault_threads = (flags & 8) != 0 ? 1 : 0,
    };
    PmMapperRegion region = {
        .struct_size = sizeof(region),
        .size = N_BLOCKS * BLOCK,
        .address = ADDRESS,
        .access = PM_IOMMU_READ_WRITE,
        .flags = PM_MAPPER_OVERCOMMIT,
    };

    pm_fake_config_init(&fake);
    world->is_iommufd = (flags & 1) != 0;
    fake.iommufd = world->is_iommufd;
    if ((flags & 16) != 0)
        fake.entry_limit = 20;
    if ((flags & 32) != 0)
        fake.memlock_limit = 30 * BLOCK;
    world->fake = pm_fake_kernel_new(&fake, NULL);
    world->iommu = open_iommu(world->fake, world->is_iommufd);
    world->mapper = pm_mapper_new(world->iommu);
    world->ram = pm_ram_new(PM_RAM_ANONYMOUS, N_BLOCKS * BLOCK, 0, NULL);
    config.ram = world->ram;
    region.ram = world->ram;
    world->device = pm_virtio_mem_new(&config, NULL);
    FUZZ_CHECK(world->device != NULL);
    if ((flags & 64) != 0)
        add_private(world);
    FUZZ_CHECK(pm_mapper_add(world->mapper, &region, NULL));
}

static void set_all(World *world, uint64_t first, uint64_t n_blocks, bool plugged)
{
    for (uint64_t i = first; i < first + n_blocks; i++) {
        FUZZ_CHECK(i < N_BLOCKS && world->plugged[i] != plugged);
        world->plugged[i] = plugged;
    }
}

static void acknowledged(World *world, unsigned type, uint64_t address, uint16_t n_blocks)
{
    if (type == PM_VIRTIO_MEM_UNPLUG_ALL)
        memset(world->plugged, 0, sizeof(world->plugged));
    else if (type != PM_VIRTIO_MEM_STATE)
        set_all(world, (address - ADDRESS) / BLOCK, n_blocks, type == PM_VIRTIO_MEM_PLUG);
}

/* Of the wire format, read by offset. */
static void send(World *world, const uint8_t *bytes, size_t size, size_t response_size)
{
    FuzzInput wire = {bytes, 24};
    PmVirtioMemResponse response;
    PmVirtioMemAnswer answer;
    PmVirtioMemState state;
    g_autoptr(GError) error = NULL;
    uint16_t type = (uint16_t)fuzz_number(&wire, 2);
    uint64_t address;

    (void)fuzz_number(&wire, 6);
    address = fuzz_number(&wire, 8);
    memset(&response, 0xa5, sizeof(response));
    if (!pm_virtio_mem_handle(world->device, bytes, size, &response, response_size, &error)) {
        FUZZ_CHECK(error->code == PM_ERROR_BAD_REQUEST);
        FUZZ_CHECK(pm_virtio_mem_last_refusal(world->device, NULL) == PM_REFUSAL_PROTOCOL);
        return;
    }
    FUZZ_CHECK(size >= 24 && response_size >= sizeof(response) && type <= PM_VIRTIO_MEM_STATE);
    FUZZ_CHECK(pm_virtio_mem_response_decode(&response, &answer, &state, NULL));
    FUZZ_CHECK((answer == PM_VIRTIO_MEM_ACK) ==
               (pm_virtio_mem_last_refusal(world->device, NULL) == PM_REFUSAL_NONE));
    if (answer == PM_VIRTIO_MEM_ACK)
        acknowledged(world, type, address, (uint16_t)fuzz_number(&wire, 2));
}

static void step_request(World *world, FuzzInput *input, bool raw)
{
    uint8_t bytes[32];
    size_t size = 24;

    if (raw) {
        size = fuzz_take(input, bytes, fuzz_u8(input) % sizeof(bytes));
        memset(bytes + size, 0, sizeof(bytes) - size);
    } else {
        uint8_t type = fuzz_u8(input) % 4;
        uint64_t address = ADDRESS + fuzz_u8(input) % (N_BLOCKS + 2) * BLOCK;

        memset(bytes, 0, sizeof(bytes));
        bytes[0] = type;
        for (unsigned i = 0; i < 8; i++)
            bytes[8 + i] = (uint8_t)(address >> (8 * i));
        bytes[16] = fuzz_u8(input) % (N_BLOCKS + 2);
    }
    send(world, bytes, size, raw && fuzz_u8(input) == 0 ? 9 : 10);
}

/* With other errnos of MAP a kernel says what is mapped, so that a fault would be a lie. */
static void step_fault(World *world, FuzzInput *input)
{
    bool unmap = fuzz_u8(input) % 2 != 0;
    uint8_t nth = fuzz_u8(input);

    if (nth % 4 == 3)
        pm_fake_kernel_shorten_unmap(world->fake, 1 + nth / 4);
    else if (unmap)
        pm_fake_kernel_fail(world->fake, PM_FAKE_CALL_UNMAP, 1 + nth / 4,
                            nth % 4 == 0 ? EINVAL : ENOMEM);
    else
        pm_fake_kernel_fail(world->fake, PM_FAKE_CALL_MAP, 1 + nth / 4,
                            nth % 4 == 0 ? ENOMEM : EIO);
}

/* A range becomes private, which devices must not access, or shared, whatever parts of it are. */
static void step_convert(World *world, FuzzInput *input)
{
    uint64_t first = fuzz_u8(input) % N_BLOCKS;
    uint64_t n_blocks = 1 + fuzz_u8(input) % (N_BLOCKS - first);
    bool private = fuzz_u8(input) % 2 != 0;
    bool done;

    if (world->private == NULL)
        return;
    if (private)
        done = pm_discard_source_discard(world->private, first * BLOCK, n_blocks * BLOCK,
                                         PM_DISCARD_CHANGE_MIXED, NULL);
    else
        done = pm_discard_source_populate(world->private, first * BLOCK, n_blocks * BLOCK,
                                          PM_DISCARD_CHANGE_MIXED, 0, NULL);
    for (uint64_t i = first; done && i < first + n_blocks; i++)
        world->is_private[i] = private;
}

static void step(World *world, FuzzInput *input)
{
    uint8_t kind = fuzz_u8(input) % 16;

    switch (kind) {
    case 0:
        step_request(world, input, true);
        break;
    case 1:
        (void)pm_virtio_mem_set_requested_size(world->device, fuzz_u8(input) % 64 * BLOCK, NULL);
        break;
    case 2:
        pm_virtio_mem_device_reset(world->device);
        break;
    case 3:
        if (pm_virtio_mem_system_reset(world->device, NULL))
            memset(world->plugged, 0, sizeof(world->plugged));
        break;
    case 4:
        pm_virtio_mem_set_migrating(world->device, fuzz_u8(input) % 2 != 0);
        break;
    case 5:
        (void)pm_virtio_mem_set_features(world->device, fuzz_u8(input), NULL);
        break;
    case 6:
        step_fault(world, input);
        break;
    case 7:
        step_convert(world, input);
        break;
    default:
        step_request(world, input, false);
    }
}

/* Returns the number of blocks that devices may access. */
static uint64_t check_blocks(const World *world)
{
    PmDiscardManager *manager = pm_virtio_mem_get_manager(world->device);
    uint64_t n_plugged = 0;
    uint64_t n_shared = 0;

    for (uint64_t i = 0; i < N_BLOCKS; i++) {
        bool shared = world->plugged[i] && !world->is_private[i];

        FUZZ_CHECK(pm_discard_manager_is_populated(manager, i * BLOCK, BLOCK) == shared);
        n_plugged += world->plugged[i];
        n_shared += shared;
    }
    FUZZ_CHECK(pm_virtio_mem_get_plugged_size(world->device) == n_plugged * BLOCK);
    return n_shared;
}

/* Without quarantine the kernel has what devices may access. */
static void check_mapped(const World *world)
{
    g_autoptr(GError) error = NULL;

    if (!pm_mapper_audit(world->mapper, NULL, NULL, &error)) {
        fprintf(stderr, "%s\n", error->message);
        FUZZ_CHECK(error->code == PM_ERROR_QUARANTINED);
        return;
    }
    FUZZ_CHECK(pm_fake_kernel_get_n_mappings(world->fake, 1) == check_blocks(world));
}

/* With no faults left, a reset ends all quarantine. */
static void end(World *world)
{
    pm_fake_kernel_clear_faults(world->fake);
    pm_virtio_mem_set_migrating(world->device, false);
    FUZZ_CHECK(pm_virtio_mem_system_reset(world->device, NULL));
    FUZZ_CHECK(pm_discard_manager_get_quarantined(pm_virtio_mem_get_manager(world->device)) == 0);
    FUZZ_CHECK(pm_fake_kernel_get_n_mappings(world->fake, 1) == 0);
    pm_mapper_free(world->mapper);
    pm_virtio_mem_free(world->device);
    pm_ram_unref(world->ram);
    pm_iommu_unref(world->iommu);
    FUZZ_CHECK(pm_fake_kernel_get_n_open(world->fake) == 0);
    FUZZ_CHECK(pm_fake_kernel_get_locked(world->fake) == 0);
    FUZZ_CHECK(pm_fake_kernel_get_pinned(world->fake) == 0);
    pm_kernel_unref(world->fake);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput input = {data, size};
    World world = {0};

    begin(&world, &input);
    for (unsigned i = 0; i < MAX_STEPS && input.size > 0; i++) {
        step(&world, &input);
        (void)check_blocks(&world);
    }
    check_mapped(&world);
    end(&world);
    return 0;
}
