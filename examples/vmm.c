/* SPDX-License-Identifier: MIT */
/*
 * The memory side of a VMM: boot memory and a virtio-mem device, mapped for passthrough devices; a
 * listener of its own; requests of the guest; errors by code; a second device while it runs. On the
 * fake kernel: pm_kernel_host_new() and devices bound to vfio-pci make it real. Prints
 * examples/vmm.txt.
 */
#include <inttypes.h>
#include <plugmap/fake.h>
#include <plugmap/plugmap.h>
#include <stdio.h>
#include <stdlib.h>

#define BOOT_SIZE   (64 * PM_MIB) /* plain RAM from guest address 0 */
#define MEM_SIZE    (256 * PM_MIB)
#define MEM_ADDRESS (4 * PM_GIB)
#define BLOCK_SIZE  (2 * PM_MIB)

G_GNUC_NORETURN static void die(const GError *error)
{
    (void)fprintf(stderr, "%s: %s\n", pm_error_code_name((PmError)error->code), error->message);
    exit(1);
}

/* --- a listener: whoever else has to know before memory is plugged and unplugged, such as a
 * vhost-user back end --- */

typedef struct {
    uint64_t busy_offset; /* I/O is in flight here: it must not be discarded now */
    uint64_t busy_size;
} VhostUser;

static bool vhost_user_can_discard(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    const VhostUser *vhost = user_data;

    if (offset + size <= vhost->busy_offset || offset >= vhost->busy_offset + vhost->busy_size)
        return true;
    g_set_error(error, PM_ERROR, PM_ERROR_BUSY, "I/O in flight at offset 0x%" PRIx64,
                vhost->busy_offset);
    return false;
}

static bool vhost_user_populate(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    (void)user_data;
    (void)error;
    printf("  vhost-user: add 0x%" PRIx64 " + 0x%" PRIx64 "\n", offset, size);
    return true;
}

static bool vhost_user_discard(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    (void)user_data;
    (void)error;
    printf("  vhost-user: remove 0x%" PRIx64 " + 0x%" PRIx64 "\n", offset, size);
    return true;
}

static const PmDiscardListenerOps vhost_user_ops = {
    .struct_size = sizeof(vhost_user_ops),
    .can_discard = vhost_user_can_discard,
    .populate = vhost_user_populate,
    .discard = vhost_user_discard,
};

/* --- the guest --- */

/* A VMM gets these bytes from the device's virtqueue, and puts the response there. */
static void guest_requests(PmVirtioMem *device, const char *what, unsigned type, uint64_t address,
                           uint16_t n_blocks)
{
    static const char *const answers[] = {"ACK", "NACK", "BUSY", "ERROR"};
    g_autoptr(GError) error = NULL;
    const GError *refusal = NULL;
    const GError *cause = NULL;
    PmVirtioMemRequest request;
    PmVirtioMemResponse response;
    PmVirtioMemAnswer answer;

    pm_virtio_mem_request_init(&request, type, address, n_blocks);
    if (!pm_virtio_mem_handle(device, &request, sizeof(request), &response, sizeof(response),
                              &error) ||
        !pm_virtio_mem_response_decode(&response, &answer, NULL, &error))
        die(error); /* the guest violated the protocol: the device needs a reset */
    printf("%s: %s\n", what, answers[answer]);
    if (pm_virtio_mem_last_refusal(device, &refusal) == PM_REFUSAL_NONE)
        return;
    cause = pm_refusal_get_cause(refusal); /* NULL: the device itself refused */
    printf("  because of %s%s%s\n", pm_refusal_code_name((PmRefusal)refusal->code),
           cause != NULL ? ", " : "", cause != NULL ? pm_error_get_listener(cause) : "");
}

/* --- the host --- */

static void map(PmMapper *mapper, PmRam *ram, uint64_t address, unsigned flags)
{
    g_autoptr(GError) error = NULL;
    const PmMapperRegion region = {
        .struct_size = sizeof(region),
        .ram = ram,
        .size = pm_ram_get_size(ram),
        .address = address,
        .access = PM_IOMMU_READ_WRITE,
        .flags = flags,
    };

    if (pm_mapper_add(mapper, &region, &error))
        return;
    /* Each code is a cause that a VMM handles differently. */
    if (g_error_matches(error, PM_ERROR, PM_ERROR_LIMIT) ||
        g_error_matches(error, PM_ERROR, PM_ERROR_LOCKED_MEMORY))
        (void)fprintf(stderr, "larger blocks, a higher limit, or PM_MAPPER_OVERCOMMIT\n");
    die(error);
}

int main(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(PmKernel) kernel = pm_fake_kernel_new(NULL, NULL);
    const PmType1Config type1 = {
        .struct_size = sizeof(type1), .kernel = kernel, .device = "0000:00:04.0"};
    g_autoptr(PmIommu) iommu = pm_iommu_type1_new(&type1, &error);
    g_autoptr(PmRam) boot = pm_ram_new(PM_RAM_MEMFD, BOOT_SIZE, 0, NULL);
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_MEMFD, MEM_SIZE, BLOCK_SIZE, NULL);
    PmVirtioMemConfig config = {.struct_size = sizeof(config),
                                .ram = ram,
                                .address = MEM_ADDRESS,
                                .block_size = BLOCK_SIZE,
                                .requested_size = MEM_SIZE / 2};
    g_autoptr(PmVirtioMem) device = iommu ? pm_virtio_mem_new(&config, &error) : NULL;
    g_autoptr(PmMapper) mapper = device ? pm_mapper_new(iommu) : NULL;
    PmDiscardManager *manager;
    PmDiscardListener *listener;
    VhostUser vhost = {.busy_offset = 8 * PM_MIB, .busy_size = 4096};

    if (mapper == NULL)
        die(error);
    map(mapper, boot, 0, PM_MAPPER_STRICT);
    map(mapper, ram, MEM_ADDRESS, PM_MAPPER_STRICT); /* room for all of it is reserved now */
    manager = pm_virtio_mem_get_manager(device);
    listener = pm_discard_manager_register(manager, &vhost_user_ops, &vhost, "vhost-user", 0,
                                           MEM_SIZE, &error);
    if (listener == NULL)
        die(error);

    guest_requests(device, "plug 8 blocks", PM_VIRTIO_MEM_PLUG, MEM_ADDRESS, 8);
    guest_requests(device, "unplug 2 blocks", PM_VIRTIO_MEM_UNPLUG, MEM_ADDRESS, 2);
    guest_requests(device, "unplug a block in use", PM_VIRTIO_MEM_UNPLUG,
                   MEM_ADDRESS + vhost.busy_offset, 1);
    vhost.busy_size = 0;
    guest_requests(device, "unplug it again", PM_VIRTIO_MEM_UNPLUG, MEM_ADDRESS + 8 * PM_MIB, 1);
    guest_requests(device, "plug past the requested size", PM_VIRTIO_MEM_PLUG, MEM_ADDRESS, 64);

    if (!pm_fake_kernel_add_device(kernel, 2, "0000:00:05.0", "vfio-pci", &error) ||
        !pm_iommu_attach(iommu, "0000:00:05.0", &error))
        die(error); /* for example PM_ERROR_NOT_VIABLE: its group has a device with a host driver */
    printf("two devices, %" PRIu64 " mappings\n", pm_iommu_get_n_mappings(iommu));
    if (!pm_mapper_audit(mapper, NULL, NULL, &error) ||
        !pm_discard_manager_unregister(manager, listener, &error))
        die(error);
    return 0; /* frees the mapper, then the device */
}
