/* SPDX-License-Identifier: MIT */
/*
 * A VMM with a virtio-iommu and a virtio-mem device, and a guest that uses both: it maps memory
 * for a device, unplugs some of it while it is mapped, and plugs it again.
 *
 * The VMM's part is main() and open_device(): what it makes, and in which order. A guest's requests
 * come from virtqueues; here they are made by send_request() and plug().
 *
 * Runs on the fake kernel. Prints examples/guest_iommu.txt.
 */
#include <plugmap/fake.h>
#include <plugmap/plugmap.h>
#include <stdio.h>
#include <stdlib.h>

#define BLOCK    (2 * PM_MIB)
#define N_BLOCKS UINT64_C(8)
#define MEMORY   (4 * PM_GIB) /* guest physical address */
#define ENDPOINT 0x20         /* 00:04.0 */
#define DOMAIN   1

static void die(const GError *error)
{
    (void)fprintf(stderr, "%s\n", error->message);
    exit(1);
}

/* --- the guest --- */

static void send_request(PmGuestIommu *iommu, const char *what, const PmVirtioIommuRequest *request)
{
    uint8_t tail[PM_VIRTIO_IOMMU_TAIL_SIZE];
    size_t used = pm_virtio_iommu_handle(iommu, request->bytes, request->size, tail, sizeof(tail));
    const GError *refusal;
    PmVirtioIommuStatus status = pm_virtio_iommu_last_refusal(iommu, &refusal);

    printf("%s: %s\n", what, used > 0 ? pm_virtio_iommu_status_name(status) : "no status");
    if (refusal != NULL)
        printf("  %s\n", refusal->message);
}

/* Maps @n_blocks from block @first of the memory at I/O address @iova. */
static void map(PmGuestIommu *iommu, const char *what, uint64_t iova, uint64_t first,
                uint64_t n_blocks)
{
    const PmGuestMapping mapping = {
        .iova = iova,
        .last = iova + n_blocks * BLOCK - 1,
        .address = MEMORY + first * BLOCK,
        .access = PM_IOMMU_READ_WRITE,
    };
    PmVirtioIommuRequest request;

    pm_virtio_iommu_request_map(&request, DOMAIN, &mapping);
    send_request(iommu, what, &request);
}

static void plug(PmVirtioMem *device, const char *what, unsigned type, uint64_t first,
                 uint16_t n_blocks)
{
    PmVirtioMemRequest request;
    PmVirtioMemResponse response;
    PmVirtioMemAnswer answer = PM_VIRTIO_MEM_ERROR;

    pm_virtio_mem_request_init(&request, type, MEMORY + first * BLOCK, n_blocks);
    if (!pm_virtio_mem_handle(device, &request, sizeof(request), &response, sizeof(response),
                              NULL) ||
        !pm_virtio_mem_response_decode(&response, &answer, NULL, NULL))
        exit(1);
    printf("%s: %s\n", what, answer == PM_VIRTIO_MEM_ACK ? "ACK" : "refused");
}

static void print_audit(PmGuestMapper *mapper)
{
    PmGuestMapperAudit audit = {.struct_size = sizeof(audit)};
    g_autoptr(GError) error = NULL;

    if (!pm_guest_mapper_audit(mapper, &audit, &error))
        die(error);
    printf("  %d mappings of the guest, %d blocks mapped in the host\n",
           (int)audit.n_guest_mappings, (int)audit.n_mapped);
}

static void run_guest(PmGuestIommu *iommu, PmVirtioMem *device, PmGuestMapper *mapper)
{
    PmVirtioIommuRequest request;

    plug(device, "plug blocks 0 to 3", PM_VIRTIO_MEM_PLUG, 0, 4);
    pm_virtio_iommu_request_attach(&request, DOMAIN, ENDPOINT, 0);
    send_request(iommu, "attach", &request);
    map(iommu, "map blocks 0 to 2", 0x10000000, 0, 3);
    map(iommu, "map block 1 once more", 0x20000000, 1, 1);
    map(iommu, "map the doorbell of interrupts", 0xfee00000, 0, 1);
    map(iommu, "map unplugged memory", 0x30000000, 3, 2);
    print_audit(mapper);
    plug(device, "unplug block 1", PM_VIRTIO_MEM_UNPLUG, 1, 1);
    print_audit(mapper);
    plug(device, "plug block 1", PM_VIRTIO_MEM_PLUG, 1, 1);
    print_audit(mapper);
    pm_virtio_iommu_request_unmap(&request, DOMAIN, 0x10000000, 0x100fffff);
    send_request(iommu, "unmap half a mapping", &request);
    pm_virtio_iommu_request_unmap(&request, DOMAIN, 0, UINT64_MAX);
    send_request(iommu, "unmap all", &request);
    print_audit(mapper);
    pm_virtio_iommu_request_detach(&request, DOMAIN, ENDPOINT);
    send_request(iommu, "detach", &request);
}

/* --- the VMM --- */

static PmIommu *open_device(void *user_data, const char *device, GError **error)
{
    const PmType1Config config = {
        .struct_size = sizeof(config), .kernel = user_data, .device = device};

    return pm_iommu_type1_new(&config, error);
}

static bool add_endpoint(PmGuestIommu *iommu, GError **error)
{
    /* x86's address of MSI, which no IOMMU translates. */
    const PmGuestReserved reserved[] = {{0xfee00000, 0xfeefffff, PM_GUEST_RESERVED_MSI}};
    const PmGuestEndpoint endpoint = {
        .struct_size = sizeof(endpoint),
        .endpoint = ENDPOINT,
        .device = "0000:00:04.0",
        .reserved = reserved,
        .n_reserved = G_N_ELEMENTS(reserved),
    };

    return pm_guest_iommu_add_endpoint(iommu, &endpoint, error);
}

static bool add_memory(PmGuestMapper *mapper, PmRam *ram, GError **error)
{
    const PmMapperRegion region = {
        .struct_size = sizeof(region),
        .ram = ram,
        .size = N_BLOCKS * BLOCK,
        .address = MEMORY,
        .access = PM_IOMMU_READ_WRITE,
    };

    return pm_guest_mapper_add(mapper, &region, error);
}

static PmVirtioMem *make_memory_device(PmRam *ram, GError **error)
{
    const PmVirtioMemConfig config = {
        .struct_size = sizeof(config),
        .ram = ram,
        .address = MEMORY,
        .block_size = BLOCK,
        .requested_size = N_BLOCKS * BLOCK,
    };

    return pm_virtio_mem_new(&config, error);
}

int main(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(PmKernel) kernel = pm_fake_kernel_new(NULL, NULL);
    const PmGuestIommuConfig iommu_config = {.struct_size = sizeof(iommu_config)};
    const PmGuestMapperConfig mapper_config = {
        .struct_size = sizeof(mapper_config), .open = open_device, .user_data = kernel};
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_MEMFD, N_BLOCKS * BLOCK, BLOCK, &error);
    g_autoptr(PmVirtioMem) device = ram != NULL ? make_memory_device(ram, &error) : NULL;
    g_autoptr(PmGuestIommu) iommu = NULL;
    g_autoptr(PmGuestMapper) mapper = NULL;

    if (device == NULL || (iommu = pm_guest_iommu_new(&iommu_config, &error)) == NULL ||
        (mapper = pm_guest_mapper_new(&mapper_config, &error)) == NULL ||
        !add_endpoint(iommu, &error) || !add_memory(mapper, ram, &error) ||
        !pm_guest_mapper_follow(mapper, iommu, &error) ||
        !pm_virtio_iommu_set_features(iommu, pm_virtio_iommu_get_features(iommu), &error))
        die(error);
    run_guest(iommu, device, mapper);
    return 0;
}
