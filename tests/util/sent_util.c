/* SPDX-License-Identifier: MIT */
#include "util/sent_util.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dma/engine.h"
#include "util/backend_util.h"

const char *const sent_devices[SENT_N] = {"0000:00:04.0", "0000:00:05.0", "0000:00:06.0"};

static void open_all(Sent *sent)
{
    sent->main = sent_file(sent, backend_is_iommufd() ? "/dev/iommu" : "/dev/vfio/vfio");
    for (unsigned i = 0; i < SENT_N; i++) {
        g_autofree char *path = backend_is_iommufd()
                                    ? g_strdup_printf("/dev/vfio/devices/vfio%u", i)
                                    : g_strdup_printf("/dev/vfio/%u", i + 1);

        sent->fds[i] = sent_file(sent, path);
    }
}

int sent_setup(void **state)
{
    Sent *sent = g_new0(Sent, 1);
    PmFakeConfig config;

    pm_fake_config_init(&config);
    config.dirty_tracking = true;
    sent->kernel = backend_fake_new(&config, NULL);
    assert_true(pm_fake_kernel_add_device(sent->kernel, 2, sent_devices[1], "vfio-pci", NULL));
    assert_true(pm_fake_kernel_add_device(sent->kernel, 3, sent_devices[2], "vfio-pci", NULL));
    open_all(sent);
    hooked_kernel_init(&sent->hooked, sent->kernel);
    sent->hooked.is_sandboxed = true;
    sent->type1 = (PmType1Config){
        .struct_size = sizeof(PmType1Config),
        .kernel = &sent->hooked.parent,
        .has_fds = true,
        .container_fd = sent->main,
        .group_fds = sent->fds,
        .n_group_fds = 1,
    };
    sent->iommufd = (PmIommufdConfig){
        .struct_size = sizeof(PmIommufdConfig),
        .kernel = &sent->hooked.parent,
        .device = sent_devices[0],
        .has_fds = true,
        .iommufd = sent->main,
        .device_fd = sent->fds[0],
        .device_id = &sent->ids[0],
    };
    sent->ram = pm_ram_new(PM_RAM_ANONYMOUS, 4 * BLOCK, BLOCK, NULL);
    sent->memory = pm_ram_get_host(sent->ram);
    *state = sent;
    return 0;
}

int sent_teardown(void **state)
{
    Sent *sent = *state;

    g_clear_pointer(&sent->iommu, pm_iommu_unref);
    pm_kernel_unref(&sent->hooked.parent);
    pm_kernel_unref(sent->kernel);
    pm_ram_unref(sent->ram);
    g_free(sent);
    return 0;
}

PmIommu *sent_try_to_open(Sent *sent, GError **error)
{
    return backend_is_iommufd() ? pm_iommu_iommufd_new(&sent->iommufd, error)
                                : pm_iommu_type1_new(&sent->type1, error);
}

void sent_open(Sent *sent)
{
    g_autoptr(GError) error = NULL;

    sent->iommu = sent_try_to_open(sent, &error);
    if (sent->iommu == NULL)
        fail_msg("%s", error->message);
}

void sent_assert_refused(Sent *sent, PmError code, const char *words)
{
    uint64_t n_open = sent_n_open(sent);
    g_autoptr(GError) error = NULL;

    assert_null(sent_try_to_open(sent, &error));
    assert_error(&error, code, words);
    assert_int_equal(sent_n_open(sent), n_open);
    assert_int_equal(sent->hooked.n_objects, 0);
    assert_int_equal(sent->hooked.n_attached, 0);
}

int sent_file(const Sent *sent, const char *path)
{
    int fd = sent->kernel->ops->open(sent->kernel, path, O_RDWR | O_CLOEXEC);

    assert_true(fd >= 0);
    return fd;
}

int sent_ioctl(const Sent *sent, int fd, unsigned long request, void *argument)
{
    return sent->kernel->ops->ioctl(sent->kernel, fd, request, argument);
}

void sent_close(const Sent *sent, int fd)
{
    assert_int_equal(sent->kernel->ops->close(sent->kernel, fd), 0);
}

uint64_t sent_n_open(const Sent *sent)
{
    return pm_fake_kernel_get_n_open(sent->kernel);
}

uint64_t sent_n_mappings(const Sent *sent, unsigned i)
{
    return pm_fake_kernel_get_n_mappings(sent->kernel, i + 1);
}

PmIommuClaim *sent_claim(const Sent *sent, uint64_t first, uint64_t n_blocks, uint64_t mapped)
{
    const PmIommuClaimConfig config = {
        .struct_size = sizeof(config),
        .owner = "the test",
        .ram = sent->ram,
        .iova = BASE + first * BLOCK,
        .size = n_blocks * BLOCK,
        .block_size = BLOCK,
    };
    g_autoptr(GError) error = NULL;
    PmIommuClaim *claim = pm_iommu_claim_new(sent->iommu, &config, &error);

    if (claim == NULL || (mapped >= first && mapped - first < n_blocks &&
                          !pm_iommu_claim_map(claim, (mapped - first) * BLOCK, BLOCK,
                                              mapped * BLOCK, PM_IOMMU_READ_WRITE, &error)))
        fail_msg("%s", error->message);
    return claim;
}

bool sent_device_sees(const Sent *sent, unsigned i, uint64_t block)
{
    static char fresh = 'a';
    g_autoptr(GError) error = NULL;
    g_autoptr(PmDmaEngine) engine =
        pm_dma_engine_attach(sent->iommu, sent->kernel, sent_devices[i], BASE, 4 * BLOCK, &error);
    char *memory = sent->memory + block * BLOCK;
    char data[PM_DMA_PAGE];

    if (engine == NULL)
        fail_msg("%s", error->message);
    memset(memory, fresh++, PM_DMA_PAGE);
    assert_true(pm_dma_engine_read(engine, BASE + block * BLOCK, data, NULL));
    return memcmp(data, memory, pm_dma_engine_transfer_size(engine)) == 0;
}
