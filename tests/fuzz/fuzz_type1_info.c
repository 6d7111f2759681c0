/* SPDX-License-Identifier: MIT */
/* The answer of type1 with its capability chain: what is accepted has ascending ranges, none of
 * them empty, however often the kernel asks for a larger buffer. */
#include "fuzz.h"

#include <errno.h>

#include <plugmap/kernel.h>

#include "iommu/type1/type1_info.h"
#include "kernel-uapi/vfio.h"

typedef struct {
    PmKernel parent;
    FuzzInput answer;
    unsigned n_growths; /* how often it asks for more */
    bool fails;
} Kernel;

static int fuzz_ioctl(PmKernel *parent, int fd, unsigned long request, void *argument)
{
    Kernel *kernel = (Kernel *)parent;
    struct vfio_iommu_type1_info fixed;
    FuzzInput answer = kernel->answer;
    uint32_t room;

    (void)fd;
    FUZZ_CHECK(request == VFIO_IOMMU_GET_INFO);
    if (kernel->fails)
        return -EFAULT;
    memcpy(&fixed, argument, sizeof(fixed));
    room = fixed.argsz;
    fuzz_take(&answer, argument, room);
    if (kernel->n_growths > 0) {
        kernel->n_growths--;
        memcpy(&fixed, argument, sizeof(fixed));
        fixed.argsz = room + 100;
        memcpy(argument, &fixed, sizeof(fixed));
    }
    return 0;
}

static void fuzz_free(PmKernel *kernel)
{
    (void)kernel;
}

static const PmKernelOps ops = {.struct_size = sizeof(ops), .ioctl = fuzz_ioctl, .free = fuzz_free};

static void check(bool done, const PmType1Info *info, const GError *error)
{
    FUZZ_CHECK_RESULT(done, error);
    FUZZ_CHECK(done || (info->ranges == NULL && info->n_ranges == 0));
    FUZZ_CHECK((info->ranges == NULL) == (info->n_ranges == 0));
    for (size_t i = 0; i < info->n_ranges; i++) {
        FUZZ_CHECK(info->ranges[i].start <= info->ranges[i].last);
        FUZZ_CHECK(i == 0 || info->ranges[i - 1].last < info->ranges[i].start);
    }
}

static void query(Kernel *kernel)
{
    g_auto(PmType1Info) info = {0};
    g_autoptr(GError) error = NULL;
    bool done = pm_type1_info_query(&kernel->parent, 3, &info, &error);

    check(done, &info, error);
}

static void parse(const FuzzInput *answer)
{
    g_auto(PmType1Info) info = {0};
    g_autoptr(GError) error = NULL;
    bool done = pm_type1_info_parse(answer->data, answer->size, &info, &error);

    check(done, &info, error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput input = {data, size};
    uint8_t flags = fuzz_u8(&input);
    Kernel kernel = {
        .answer = input,
        .n_growths = flags % 6,
        .fails = flags >= 250,
    };

    FUZZ_CHECK(pm_kernel_init(&kernel.parent, &ops, NULL, NULL));
    query(&kernel);
    if (input.size > 0)
        parse(&input);
    pm_kernel_unref(&kernel.parent);
    return 0;
}
