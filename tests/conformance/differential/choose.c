/* SPDX-License-Identifier: MIT */
#include "choose.h"

#include "memory.h"

OpKind choose_kind(const Weight *weights, size_t n, GRand *random)
{
    unsigned sum = 0;
    unsigned at;
    size_t i;

    for (i = 0; i < n; i++)
        sum += weights[i].weight;
    at = choose_below(random, sum);
    for (i = 0; at >= weights[i].weight; i++)
        at -= weights[i].weight;
    return weights[i].kind;
}

unsigned choose_below(GRand *random, unsigned end)
{
    return end == 0 ? 0 : g_rand_int(random) % end;
}

bool choose_once_in(GRand *random, unsigned n)
{
    return choose_below(random, n) == 0;
}

uint64_t choose_iova(GRand *random)
{
    static const uint64_t edges[] = {
        0, 0xfee00000, 0xfef00000, UINT64_C(1) << 32, UINT64_C(1) << 39, UINT64_C(1) << 63, 0,
    };
    uint64_t iova =
        UINT64_C(0x100000) + choose_below(random, choose_once_in(random, 2) ? 64 : 512) * PAGE;

    if (choose_once_in(random, 12))
        iova = edges[choose_below(random, G_N_ELEMENTS(edges))] + choose_below(random, 12) * PAGE -
               6 * PAGE;
    if (choose_once_in(random, 20))
        iova = UINT64_C(0x40000000) + choose_below(random, 2) * AREA_SIZE;
    if (choose_once_in(random, 60))
        iova += 1 + choose_below(random, PAGE - 1);
    return iova;
}

uint64_t choose_size(GRand *random, uint64_t iova)
{
    const uint64_t large[] = {
        -iova,      -iova - PAGE,         UINT64_C(1) << 63,
        AREA_SIZE,  UINT64_C(0x40000000), UINT64_MAX - PAGE + 1,
        UINT64_MAX,
    };
    uint64_t size = (1 + choose_below(random, choose_once_in(random, 5) ? 40 : 6)) * PAGE;

    if (choose_once_in(random, 25))
        size = large[choose_below(random, G_N_ELEMENTS(large))];
    if (choose_once_in(random, 60))
        size += 1 + choose_below(random, PAGE - 1);
    return choose_once_in(random, 60) ? 0 : size;
}

uint64_t choose_host(GRand *random)
{
    static const uint64_t strange[] = {
        0,
        UINT64_C(0xffff888000000000),
        UINT64_C(0x800000000000),
        UINT64_MAX - PAGE + 1,
        UINT64_MAX - 4 * PAGE + 1,
    };
    Area area = (Area)choose_below(random, choose_once_in(random, 4) ? N_AREAS : N_CHANGING_AREAS);
    uint64_t host = area_address(area) + choose_below(random, AREA_PAGES - 4) * PAGE;

    if (area == AREA_HUGETLB || area == AREA_TRANSPARENT_HUGE)
        host = area_address(area) +
               (uint64_t)choose_below(random, 2) * choose_below(random, 512) * PAGE;
    if (choose_once_in(random, 50))
        host = strange[choose_below(random, G_N_ELEMENTS(strange))];
    if (choose_once_in(random, 80))
        host += 1 + choose_below(random, PAGE - 1);
    return host;
}

void choose_argument(Op *op, uint32_t size, GRand *random)
{
    op->argsz = size;
    if (choose_once_in(random, 15))
        op->argsz = choose_below(random, 64);
    if (choose_once_in(random, 30))
        op->argsz = size + choose_below(random, 1000);
    if (!choose_once_in(random, 25))
        return;
    op->place = (Place)(1 + choose_below(random, 3));
    op->place_bytes = choose_below(random, size + 48);
}

void choose_memory(Op *op, GRand *random)
{
    Area area = (Area)choose_below(random, N_CHANGING_AREAS);
    unsigned page = choose_below(random, AREA_PAGES);

    op->other = choose_below(random, N_MEMORY_ACTIONS);
    op->host = area_address(area) + page * PAGE;
    op->size = (1 + choose_below(random, MIN(AREA_PAGES - page, 8))) * PAGE;
}
