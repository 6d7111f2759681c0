/* SPDX-License-Identifier: MIT */
/* What a real kernel has mapped: it answers for each page whether it is mapped, and a device finds
 * out by DMA where pages lead. */
#include <string.h>

#include "guest_world.h"

#include "dma/engine.h"

/* Tests map below the first of these; bypass maps from PLAIN on. Interrupts are between. */
#define END         UINT64_C(0xfee00000)
#define BYPASS_END  (MEMORY + N_BLOCKS * BLOCK)
#define ENGINE_AREA (8 * PM_GIB) /* that the engine's own memory must avoid */

typedef struct {
    GuestWorld *world;
    const PmGuestEndpointInfo *endpoint;
    PmIommu *iommu; /* NULL: none */
    bool is_complete;
    PmDmaEngine *engine; /* NULL: ask the kernel */
} Check;

/* --- by the kernel's answers --- */

static void check_gap(const Check *check, uint64_t first, uint64_t end)
{
    if (check->engine == NULL && first < end && either_is_mapped(check->iommu, first, end - first))
        fail_msg("endpoint %u: something is mapped in 0x%lx-0x%lx", check->endpoint->endpoint,
                 first, end - 1);
}

static void check_presence(const Check *check, uint64_t iova, bool is_expected)
{
    bool is_mapped = either_is_mapped(check->iommu, iova, PAGE);

    if (is_mapped != is_expected && (is_mapped || check->is_complete))
        fail_msg("endpoint %u, I/O address 0x%lx %s mapped", check->endpoint->endpoint, iova,
                 is_mapped ? "is" : "is not");
}

/* --- by DMA --- */

static void check_read(const Check *check, uint64_t iova, char *host)
{
    static uint64_t stamp;
    char data[PM_DMA_PAGE];

    stamp++;
    memcpy(host, &stamp, sizeof(stamp));
    assert_true(pm_dma_engine_read(check->engine, iova, data, NULL));
    if (memcmp(data, &stamp, sizeof(stamp)) != 0)
        fail_msg("I/O address 0x%lx does not lead to %p", iova, (void *)host);
}

static void check_write(const Check *check, uint64_t iova, const char *host, bool is_writable)
{
    static char fresh;
    char data[PM_DMA_PAGE];
    bool is_written;

    memset(data, ++fresh, sizeof(data));
    if (memcmp(host, data, sizeof(uint64_t)) == 0)
        memset(data, ++fresh, sizeof(data));
    assert_true(pm_dma_engine_write(check->engine, iova, data, NULL));
    is_written = memcmp(host, data, sizeof(uint64_t)) == 0;
    if (is_written != is_writable)
        fail_msg("a write to I/O address 0x%lx %s", iova, is_written ? "arrives" : "is lost");
}

static void check_dma(const Check *check, uint64_t iova, const char *host, PmIommuAccess access)
{
    if ((access & PM_IOMMU_READ) != 0)
        check_read(check, iova, (char *)host);
    check_write(check, iova, host, (access & PM_IOMMU_WRITE) != 0);
}

/* --- both --- */

/* DMA to the first page of each block is enough: no mapping is larger. */
static void check_pages(const Check *check, uint64_t first, uint64_t end)
{
    const char *before = NULL;

    for (uint64_t at = first; at < end; at += PAGE) {
        PmIommuAccess access;
        const char *host = guest_expected_at(check->world, check->endpoint, at, &access);
        bool begins = host != NULL &&
                      (before == NULL || host != before + PAGE || (uintptr_t)host % BLOCK == 0);

        if (check->engine == NULL)
            check_presence(check, at, host != NULL);
        else if (begins)
            check_dma(check, at, host, access);
        before = host;
    }
}

static void check_translated(const Check *check)
{
    PmGuestMapping mapping = {0};
    uint64_t at = 0;

    while (
        pm_guest_iommu_next_mapping(check->world->table, check->endpoint->domain, at, &mapping)) {
        check_gap(check, at, mapping.iova);
        check_pages(check, mapping.iova, mapping.last + 1);
        at = mapping.last + 1;
    }
    check_gap(check, at, END);
}

static void check_address_space(const Check *check)
{
    if (check->endpoint->bypass) {
        check_gap(check, 0, END);
        check_pages(check, PLAIN, BYPASS_END);
    } else {
        check_translated(check);
    }
}

/* The engine maps memory of its own, which must not be there when the kernel is asked. */
static void check_by_dma(Check *check)
{
    uint64_t avoid = check->endpoint->bypass ? PLAIN : IOVA;

    check->engine = pm_dma_engine_attach(check->iommu, check->world->kernel, either_device(0),
                                         avoid, ENGINE_AREA, NULL);
    assert_non_null(check->engine);
    check_address_space(check);
    g_clear_pointer(&check->engine, pm_dma_engine_free);
}

void guest_check_real(GuestWorld *world, const PmGuestEndpointInfo *endpoint, bool is_complete)
{
    Check check = {.world = world, .endpoint = endpoint, .is_complete = is_complete};
    g_autoptr(GError) error = NULL;

    check.iommu = pm_guest_mapper_get_iommu(world->mapper, endpoint->endpoint);
    if (check.iommu == NULL) {
        assert_true(endpoint->domain == PM_GUEST_IOMMU_NO_DOMAIN && !endpoint->bypass);
        return;
    }
    check_address_space(&check);
    if (!is_complete)
        return;
    if (endpoint->endpoint == 0)
        check_by_dma(&check);
    if (!pm_iommu_audit(check.iommu, NULL, PM_IOMMU_AUDIT_SOLE_LOCKER, &error))
        fail_msg("%s", error->message);
}
