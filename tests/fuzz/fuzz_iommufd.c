/* SPDX-License-Identifier: MIT */
/*
 * Answers of iommufd: the input replaces what the fake kernel answers to the questions of an open.
 * An address space that opens has ascending ranges and a page size, maps and unmaps inside them,
 * and leaves nothing.
 */
#include "fuzz.h"

#include <errno.h>

#include <plugmap/fake.h>
#include <plugmap/plugmap.h>

#include "kernel-uapi/iommufd.h"
#include "kernel-uapi/vfio.h"

#define SIZE UINT64_C(0x10000)

typedef struct {
    PmKernel parent;
    PmKernel *fake;
    FuzzInput *input;
} Kernel;

/* Whether the input has something to say. */
static bool replaces(FuzzInput *input)
{
    return input->size > 0 && fuzz_u8(input) % 4 != 0;
}

/* Ascending, unless the input says otherwise; some kernels lie about how many there are. */
static int answer_ranges(FuzzInput *input, struct iommu_ioas_iova_ranges *ask, uint32_t room)
{
    struct iommu_iova_range *ranges = (struct iommu_iova_range *)(uintptr_t)ask->allowed_iovas;
    uint8_t flags = fuzz_u8(input);
    uint64_t at = 0;

    ask->num_iovas = (uint32_t)fuzz_number(input, (flags & 1) != 0 ? 4 : 1);
    ask->out_iova_alignment =
        (flags & 2) != 0 ? fuzz_number(input, 8) : UINT64_C(1) << (12 + fuzz_u8(input) % 8);
    for (uint32_t i = 0; i < MIN(room, ask->num_iovas); i++) {
        uint8_t kind = fuzz_u8(input);

        ranges[i].start = kind == 255 ? fuzz_number(input, 8) : at + kind * SIZE;
        ranges[i].last = ranges[i].start + fuzz_number(input, 5);
        at = ranges[i].last + 1;
    }
    return ask->num_iovas > room && (flags & 4) == 0 ? -EMSGSIZE : 0;
}

static int fuzz_ioctl(PmKernel *parent, int fd, unsigned long request, void *argument)
{
    Kernel *kernel = (Kernel *)parent;
    const struct iommu_ioas_iova_ranges *ask = argument;
    uint32_t room = request == IOMMU_IOAS_IOVA_RANGES ? ask->num_iovas : 0;
    int result = kernel->fake->ops->ioctl(kernel->fake, fd, request, argument);

    if (result < 0)
        return result;
    if (request == IOMMU_IOAS_IOVA_RANGES && replaces(kernel->input))
        return answer_ranges(kernel->input, argument, room);
    if (request == IOMMU_GET_HW_INFO && replaces(kernel->input)) {
        struct iommu_hw_info *info = argument;

        info->out_data_type = (uint32_t)fuzz_number(kernel->input, 4);
        info->out_capabilities = fuzz_number(kernel->input, 8);
        info->data_len = (uint32_t)fuzz_number(kernel->input, 4);
    }
    if (request == VFIO_DEVICE_GET_INFO && replaces(kernel->input)) {
        struct vfio_device_info *info = argument;

        info->flags = (uint32_t)fuzz_number(kernel->input, 4);
        info->num_regions = (uint32_t)fuzz_number(kernel->input, 4);
        info->num_irqs = (uint32_t)fuzz_number(kernel->input, 4);
    }
    return result;
}

static void fuzz_free(PmKernel *kernel)
{
    (void)kernel;
}

static const PmKernelOps ops = {.struct_size = sizeof(ops), .ioctl = fuzz_ioctl, .free = fuzz_free};

static void check_geometry(PmIommu *iommu)
{
    const PmIovaRange *ranges;
    size_t n_ranges;

    FUZZ_CHECK(pm_iommu_get_page_sizes(iommu) != 0);
    ranges = pm_iommu_get_iova_ranges(iommu, &n_ranges);
    FUZZ_CHECK(n_ranges > 0);
    for (size_t i = 0; i < n_ranges; i++) {
        FUZZ_CHECK(ranges[i].start <= ranges[i].last);
        FUZZ_CHECK(i == 0 || ranges[i - 1].last < ranges[i].start);
    }
}

/* Refused, or mapped and unmapped again; where the ranges are wrong, the fake kernel refuses. */
static void map_something(PmIommu *iommu, uint64_t iova)
{
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_ANONYMOUS, SIZE, 0, NULL);
    g_autoptr(GError) error = NULL;
    const PmIommuClaimConfig config = {
        .struct_size = sizeof(config),
        .owner = "the fuzzer",
        .ram = ram,
        .iova = iova,
        .size = SIZE,
        .block_size = SIZE,
        .reserved_size = SIZE,
    };
    PmIommuClaim *claim = pm_iommu_claim_new(iommu, &config, &error);
    bool mapped;

    FUZZ_CHECK_RESULT(claim != NULL, error);
    if (claim == NULL)
        return;
    mapped = pm_iommu_claim_map(claim, 0, SIZE, 0, PM_IOMMU_READ_WRITE, &error);
    FUZZ_CHECK_RESULT(mapped, error);
    g_clear_error(&error);
    if (mapped)
        FUZZ_CHECK(pm_iommu_claim_unmap(claim, 0, SIZE, &error));
    FUZZ_CHECK(pm_iommu_claim_release(claim, &error));
    pm_iommu_claim_unref(claim);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput input = {data, size};
    Kernel kernel = {.input = &input};
    const PmIommufdConfig config = {
        .struct_size = sizeof(config), .kernel = &kernel.parent, .device = "0000:00:04.0"};
    PmFakeConfig fake;
    g_autoptr(GError) error = NULL;
    PmIommu *iommu;

    pm_fake_config_init(&fake);
    fake.iommufd = true;
    kernel.fake = pm_fake_kernel_new(&fake, NULL);
    FUZZ_CHECK(pm_kernel_init(&kernel.parent, &ops, kernel.fake, NULL));
    iommu = pm_iommu_iommufd_new(&config, &error);
    FUZZ_CHECK_RESULT(iommu != NULL, error);
    if (iommu != NULL) {
        check_geometry(iommu);
        map_something(iommu, fuzz_number(&input, 6));
        pm_iommu_unref(iommu);
    }
    FUZZ_CHECK(pm_fake_kernel_get_n_open(kernel.fake) == 0);
    FUZZ_CHECK(pm_fake_kernel_get_pinned(kernel.fake) == 0);
    pm_kernel_unref(&kernel.parent);
    pm_kernel_unref(kernel.fake);
    return 0;
}
