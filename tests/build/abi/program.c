/* SPDX-License-Identifier: MIT */
/* Uses every struct that grows, in a program that may be older or newer than the library. Each is
 * at the end of a page that nothing follows: touching what follows ends the program. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <plugmap/fake.h>
#include <plugmap/plugmap.h>

#define PAGE    4096
#define ADDRESS (4 * PM_GIB)
#define BLOCK   (2 * PM_MIB)
#define N       4

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);              \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

/* Zeros, and nothing after them. */
static void *at_end_of_memory(size_t size)
{
    char *pages =
        mmap(NULL, 2 * (size_t)PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    CHECK(pages != MAP_FAILED && mprotect(pages + PAGE, PAGE, PROT_NONE) == 0);
    memcpy(pages + PAGE - size, &size, sizeof(size));
    return pages + PAGE - size;
}

#define NEW(Type) ((Type *)at_end_of_memory(sizeof(Type)))

/* what this program can set and the library does not know is refused; ACTION would succeed else. */
#ifdef ABI_NEW
#define CHECK_ADDED(object, action)                                                                \
    do {                                                                                           \
        GError *refusal = NULL;                                                                    \
                                                                                                   \
        (object)->added[1] = 1;                                                                    \
        CHECK(!(action));                                                                          \
        CHECK(g_error_matches(refusal, PM_ERROR, PM_ERROR_UNSUPPORTED));                           \
        g_clear_error(&refusal);                                                                   \
        (object)->added[1] = 0;                                                                    \
    } while (0)
#define POISON(object)       ((object)->added[0] = 0xa5)
#define CHECK_POISON(object) CHECK((object)->added[0] == 0xa5)
#else
#define CHECK_ADDED(object, action)
#define POISON(object)
#define CHECK_POISON(object)
#endif

static PmKernel around;
static PmKernel *inner;
static unsigned n_ioctls;
static unsigned n_populates;

static int count_ioctl(PmKernel *kernel, int fd, unsigned long request, void *argument)
{
    (void)kernel;
    n_ioctls++;
    return inner->ops->ioctl(inner, fd, request, argument);
}

static PmKernel *make_kernel(void)
{
    PmFakeConfig *config = NEW(PmFakeConfig);
    PmKernelOps *ops = NEW(PmKernelOps);

    pm_fake_config_init(config);
    CHECK(config->entry_limit == 65535);
    config->iommufd = true;
    CHECK_ADDED(config, pm_fake_kernel_new(config, &refusal) != NULL);
    inner = pm_fake_kernel_new(config, NULL);
    CHECK(inner != NULL);
    ops->ioctl = count_ioctl;
    CHECK_ADDED(ops, pm_kernel_init(&around, ops, inner, &refusal));
    CHECK(pm_kernel_init(&around, ops, inner, NULL));
    munmap(ops, sizeof(*ops)); /* the library has copied it */
    return &around;
}

static PmIommu *open_type1(PmKernel *kernel)
{
    PmType1Config *config = NEW(PmType1Config);

    config->kernel = kernel;
    config->has_group = true;
    config->group = 1;
    CHECK_ADDED(config, pm_iommu_type1_new(config, &refusal) != NULL);
    return pm_iommu_type1_new(config, NULL);
}

static void open_iommufd(PmKernel *kernel)
{
    PmIommufdConfig *config = NEW(PmIommufdConfig);
    PmIommu *iommu;

    config->kernel = kernel;
    config->device = "0000:00:04.0";
    CHECK_ADDED(config, pm_iommu_iommufd_new(config, &refusal) != NULL);
    iommu = pm_iommu_iommufd_new(config, NULL);
    CHECK(iommu != NULL);
    pm_iommu_unref(iommu);
}

static void map_claim(PmIommu *iommu)
{
    PmRamAdoption *adoption = NEW(PmRamAdoption);
    PmIommuClaimConfig *config = NEW(PmIommuClaimConfig);
    PmIommuClaim *claim;

    adoption->host = mmap(NULL, BLOCK, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    adoption->size = BLOCK;
    adoption->shared = true;
    CHECK_ADDED(adoption, pm_ram_adopt(adoption, &refusal) != NULL);
    config->ram = pm_ram_adopt(adoption, NULL);
    config->owner = "a buffer";
    config->iova = PM_GIB;
    config->size = BLOCK;
    config->block_size = BLOCK;
    CHECK_ADDED(config, pm_iommu_claim_new(iommu, config, &refusal) != NULL);
    claim = pm_iommu_claim_new(iommu, config, NULL);
    CHECK(claim != NULL && pm_iommu_claim_map(claim, 0, BLOCK, 0, PM_IOMMU_READ, NULL));
    CHECK(pm_iommu_claim_release(claim, NULL));
    pm_iommu_claim_unref(claim);
    pm_ram_unref(config->ram);
}

static bool count_populate(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    (void)user_data, (void)offset, (void)size, (void)error;
    n_populates++;
    return true;
}

static bool discard(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    (void)user_data, (void)offset, (void)size, (void)error;
    return true;
}

static PmDiscardListener *listen(PmDiscardManager *manager)
{
    PmDiscardListenerOps *ops = NEW(PmDiscardListenerOps);
    PmDiscardListener *listener;

    ops->populate = count_populate;
    ops->discard = discard;
    CHECK_ADDED(ops, pm_discard_manager_register(manager, ops, NULL, "program", 0, N * BLOCK,
                                                 &refusal) != NULL);
    listener = pm_discard_manager_register(manager, ops, NULL, "program", 0, N * BLOCK, NULL);
    CHECK(listener != NULL);
    munmap(ops, sizeof(*ops)); /* the library has copied it */
    return listener;
}

static void plug(PmVirtioMem *device)
{
    PmVirtioMemRequest request;
    PmVirtioMemResponse response;
    PmVirtioMemAnswer answer;

    pm_virtio_mem_request_init(&request, PM_VIRTIO_MEM_PLUG, ADDRESS, N);
    CHECK(
        pm_virtio_mem_handle(device, &request, sizeof(request), &response, sizeof(response), NULL));
    CHECK(pm_virtio_mem_response_decode(&response, &answer, NULL, NULL));
    CHECK(answer == PM_VIRTIO_MEM_ACK);
}

static PmVirtioMem *make_device(PmRam *ram)
{
    PmVirtioMemConfig *config = NEW(PmVirtioMemConfig);

    config->ram = ram;
    config->address = ADDRESS;
    config->block_size = BLOCK;
    config->requested_size = N * BLOCK;
    CHECK_ADDED(config, pm_virtio_mem_new(config, &refusal) != NULL);
    return pm_virtio_mem_new(config, NULL);
}

static PmMapper *follow(PmIommu *iommu, PmRam *ram)
{
    PmMapperRegion *region = NEW(PmMapperRegion);
    PmMapper *mapper = pm_mapper_new(iommu);

    region->ram = ram;
    region->size = N * BLOCK;
    region->address = ADDRESS;
    region->access = PM_IOMMU_READ_WRITE;
    CHECK_ADDED(region, pm_mapper_add(mapper, region, &refusal));
    CHECK(pm_mapper_add(mapper, region, NULL));
    return mapper;
}

static void look_at_results(PmIommu *iommu, PmMapper *mapper)
{
    PmMapperAudit *audit = NEW(PmMapperAudit);
    PmLockedMemory *locked = NEW(PmLockedMemory);

    POISON(audit);
    CHECK(pm_mapper_audit(mapper, NULL, audit, NULL));
    CHECK(audit->struct_size == sizeof(*audit) && audit->n_populated == N && audit->n_mapped == N);
    CHECK_POISON(audit);
    POISON(locked);
    CHECK(pm_iommu_query_locked_memory(iommu, locked, NULL));
    CHECK(locked->struct_size == sizeof(*locked) && locked->used == N * BLOCK);
    CHECK_POISON(locked);
}

int main(void)
{
    PmKernel *kernel = make_kernel();
    PmIommu *iommu;
    PmRam *ram = pm_ram_new(PM_RAM_MEMFD, N * BLOCK, BLOCK, NULL);
    PmVirtioMem *device = make_device(ram);
    PmDiscardManager *manager = pm_virtio_mem_get_manager(device);
    PmDiscardListener *listener;
    PmMapper *mapper;

    open_iommufd(kernel);
    iommu = open_type1(kernel);
    CHECK(iommu != NULL && device != NULL);
    map_claim(iommu);
    listener = listen(manager);
    mapper = follow(iommu, ram);
    plug(device);
    CHECK(n_populates > 0 && n_ioctls > N);
    CHECK(pm_iommu_get_n_mappings(iommu) == N);
    look_at_results(iommu, mapper);
    CHECK(pm_discard_manager_unregister(manager, listener, NULL));
    pm_mapper_free(mapper);
    pm_virtio_mem_free(device);
    pm_ram_unref(ram);
    pm_iommu_unref(iommu);
    CHECK(pm_fake_kernel_get_n_open(inner) == 0);
    pm_kernel_unref(kernel);
    pm_kernel_unref(inner);
    return 0;
}
