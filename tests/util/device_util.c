/* SPDX-License-Identifier: MIT */
#include "util/device_util.h"

#include "util/iommufd_util.h"

#define BUFFER          UINT64_C(0x40000)
#define DMA_SOURCE      0x80
#define DMA_DESTINATION 0x88
#define DMA_COUNT       0x90
#define DMA_COMMAND     0x98
#define DMA_START       UINT64_C(1)
#define DMA_FROM_DEVICE UINT64_C(2)

/* Where device_peek() and device_fill() map their own page, away from the tests' pages. */
#define SCRATCH_IOVA UINT64_C(0xf0000000)

int device_open(Kernel *kernel)
{
    int device = kernel_get_device(kernel, kernel->group, DEVICE);

    assert_true(device >= 0);
    return device;
}

uint64_t device_get(Kernel *kernel, int device, uint64_t offset, size_t size)
{
    uint64_t value = 0;

    assert_int_equal(kernel->pm->ops->pread(kernel->pm, device, &value, size, offset), size);
    return value;
}

void device_put(Kernel *kernel, int device, uint64_t offset, uint64_t value, size_t size)
{
    assert_int_equal(kernel->pm->ops->pwrite(kernel->pm, device, &value, size, offset), size);
}

ssize_t device_try_read(Kernel *kernel, int device, uint64_t offset, size_t size)
{
    uint8_t bytes[16];

    assert_true(size <= sizeof(bytes));
    return kernel->pm->ops->pread(kernel->pm, device, bytes, size, offset);
}

ssize_t device_try_write(Kernel *kernel, int device, uint64_t offset, size_t size)
{
    const uint8_t bytes[16] = {0};

    assert_true(size <= sizeof(bytes));
    return kernel->pm->ops->pwrite(kernel->pm, device, bytes, size, offset);
}

void device_enable_dma(Kernel *kernel, int device)
{
    device_put(kernel, device, COMMAND, device_get(kernel, device, COMMAND, 2) | BUS_MASTER, 2);
}

/* Addresses above 4 GiB must be written at once, which takes a mapped register: pwrite can do it
 * only since 6.12. */
static volatile uint64_t *map_registers(Kernel *kernel, int device)
{
    struct vfio_region_info info = {.argsz = sizeof(info), .index = VFIO_PCI_BAR0_REGION_INDEX};
    void *registers;

    assert_int_equal(kernel_ioctl(kernel, device, VFIO_DEVICE_GET_REGION_INFO, &info), 0);
    if ((info.flags & VFIO_REGION_INFO_FLAG_MMAP) == 0)
        return NULL;
    assert_int_equal(kernel_mmap(kernel, device, PAGE, BAR0, &registers), 0);
    return registers;
}

static void set_register(Kernel *kernel, int device, volatile uint64_t *registers, unsigned offset,
                         uint64_t value)
{
    if (registers != NULL)
        registers[offset / sizeof(uint64_t)] = value;
    else
        device_put(kernel, device, BAR0 + offset, value, sizeof(value));
}

static void transfer(Kernel *kernel, int device, uint64_t source, uint64_t destination,
                     uint64_t size, uint64_t command)
{
    volatile uint64_t *registers = map_registers(kernel, device);

    assert_in_range(size, 1, DMA_MAX);
    set_register(kernel, device, registers, DMA_SOURCE, source);
    set_register(kernel, device, registers, DMA_DESTINATION, destination);
    set_register(kernel, device, registers, DMA_COUNT, size);
    set_register(kernel, device, registers, DMA_COMMAND, command);
    if (registers != NULL)
        assert_int_equal(kernel_munmap(kernel, (void *)registers), 0);
    while (device_get(kernel, device, BAR0 + DMA_COMMAND, 4) & DMA_START)
        usleep(1000);
}

void device_load(Kernel *kernel, int device, uint64_t iova, uint64_t size)
{
    transfer(kernel, device, iova, BUFFER, size, DMA_START);
}

void device_store(Kernel *kernel, int device, uint64_t iova, uint64_t size)
{
    transfer(kernel, device, BUFFER, iova, size, DMA_START | DMA_FROM_DEVICE);
}

/* Maps the last page of the test's memory for the device. */
static char *begin_scratch(Kernel *kernel)
{
    char *scratch = kernel->memory + MEMORY_SIZE - PAGE;

    if (kernel->ioas != 0)
        assert_int_equal(iommufd_map(kernel, SCRATCH_IOVA, scratch, PAGE), 0);
    else
        assert_int_equal(kernel_map(kernel, SCRATCH_IOVA, scratch, PAGE), 0);
    return scratch;
}

static void end_scratch(Kernel *kernel)
{
    if (kernel->ioas != 0)
        assert_int_equal(iommufd_unmap(kernel, SCRATCH_IOVA, PAGE, NULL), 0);
    else
        assert_int_equal(kernel_unmap(kernel, SCRATCH_IOVA, PAGE, NULL), 0);
}

void device_peek(Kernel *kernel, int device, uint64_t iova, void *to, uint64_t size)
{
    const char *scratch = begin_scratch(kernel);

    device_load(kernel, device, iova, size);
    device_store(kernel, device, SCRATCH_IOVA, size);
    memcpy(to, scratch, size);
    end_scratch(kernel);
}

void device_fill(Kernel *kernel, int device, uint64_t iova, uint8_t byte, uint64_t size)
{
    char *scratch = begin_scratch(kernel);

    memset(scratch, byte, size);
    device_load(kernel, device, SCRATCH_IOVA, size);
    device_store(kernel, device, iova, size);
    end_scratch(kernel);
}

uint32_t device_peek_word(Kernel *kernel, uint64_t iova)
{
    uint32_t word;

    device_enable_dma(kernel, kernel->device);
    device_peek(kernel, kernel->device, iova, &word, sizeof(word));
    return word;
}

void device_poke_word(Kernel *kernel, uint64_t iova, uint32_t word)
{
    char *scratch = begin_scratch(kernel);

    device_enable_dma(kernel, kernel->device);
    memcpy(scratch, &word, sizeof(word));
    device_load(kernel, kernel->device, SCRATCH_IOVA, sizeof(word));
    device_store(kernel, kernel->device, iova, sizeof(word));
    end_scratch(kernel);
}
