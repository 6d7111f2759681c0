/* SPDX-License-Identifier: MIT */
#include "plan/plan.h"

#include <plugmap/size.h>

#include "base/error_text.h"

void pm_plan_free(PmPlan *plan)
{
    g_array_unref(plan->blocks);
    g_free(plan);
}

const PmPlanBlock *pm_plan_get(const PmPlan *plan, int index)
{
    return &g_array_index(plan->blocks, PmPlanBlock, (guint)index);
}

static bool check_block_size(const PmPlanMachine *machine, const PmPlanHost *host,
                             uint64_t block_size, GError **error)
{
    uint64_t page = MAX(pm_plan_memory_page(machine), host->limits.page_size);
    g_autofree char *block_text = pm_size_format(block_size);
    g_autofree char *page_text = pm_size_format(page);
    g_autofree char *size_text = pm_size_format(machine->size);

    if ((block_size & (block_size - 1)) != 0 || block_size < page)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "invalid --block-size %s: must be a power of two, at least %s", block_text,
                       page_text);
    return machine->size % block_size == 0 ||
           pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                   "invalid --size %s: must be a multiple of the block size, %s", size_text,
                   block_text);
}

/* QEMU's own check, beside the kernel's. */
static bool suits_qemu(const PmPlan *plan, const PmPlanBlock *block)
{
    uint64_t limit = plan->host->limits.n_mappings;

    return limit == UINT64_MAX ||
           plan->machine->size / block->block_size + PM_PLAN_QEMU_SLOTS <= limit;
}

static void add_block(PmPlan *plan, uint64_t block_size, uint64_t given)
{
    PmPlanBlock block = pm_plan_block(plan->machine, &plan->host->limits, block_size);
    int index = (int)plan->blocks->len;

    g_array_append_val(plan->blocks, block);
    if (block_size == given)
        plan->given = index;
    if (block.lacks == 0 && plan->smallest < 0)
        plan->smallest = index;
    if ((block.lacks & ~(unsigned)PM_PLAN_LACKS_LOCKED_MEMORY) != 0)
        return;
    /* What was asked for replaces what is smaller. */
    if (plan->enough < 0 || block_size == given)
        plan->enough = index;
    if (suits_qemu(plan, &block) && plan->qemu < plan->enough)
        plan->qemu = index;
}

/* The first row of the table: the usual size, or less if that does not divide the region or is not
 * the smallest one asked for. */
static uint64_t first_block(const PmPlanMachine *machine, const PmPlanHost *host, uint64_t given)
{
    uint64_t page = MAX(pm_plan_memory_page(machine), host->limits.page_size);
    uint64_t first = MAX(PM_PLAN_USUAL_BLOCK, page);

    while (first > page && machine->size % first != 0)
        first /= 2;
    return given != 0 ? MIN(first, given) : first;
}

PmPlan *pm_plan_new(const PmPlanMachine *machine, const PmPlanHost *host, uint64_t block_size,
                    GError **error)
{
    PmPlan *plan;

    if (!pm_plan_check_machine(machine, error) ||
        (block_size != 0 && !check_block_size(machine, host, block_size, error)))
        return NULL;
    plan = g_new0(PmPlan, 1);
    plan->machine = machine;
    plan->host = host;
    plan->blocks = g_array_new(FALSE, FALSE, sizeof(PmPlanBlock));
    plan->given = plan->smallest = plan->enough = plan->qemu = -1;
    for (uint64_t size = first_block(machine, host, block_size);
         size <= machine->size || plan->blocks->len == 0; size *= 2)
        add_block(plan, size, block_size);
    return plan;
}

/* Where nothing fits, the one that lacks least is the most useful to look at. */
static int find_closest(const PmPlan *plan)
{
    int closest = 0;

    for (int i = 1; i < (int)plan->blocks->len; i++)
        if (__builtin_popcount(pm_plan_get(plan, i)->lacks) <
            __builtin_popcount(pm_plan_get(plan, closest)->lacks))
            closest = i;
    return closest;
}

const PmPlanBlock *pm_plan_subject(const PmPlan *plan)
{
    if (plan->given >= 0)
        return pm_plan_get(plan, plan->given);
    return pm_plan_get(plan, plan->smallest >= 0 ? plan->smallest : find_closest(plan));
}

bool pm_plan_fits(const PmPlan *plan)
{
    return pm_plan_subject(plan)->lacks == 0;
}

uint64_t pm_plan_huge_pages(const PmPlanMachine *machine)
{
    return machine->memory == PM_RAM_HUGETLB_2M
               ? (machine->boot_memory + machine->size) / pm_plan_memory_page(machine)
               : 0;
}

char *pm_plan_describe_lacks(unsigned lacks)
{
    static const struct {
        unsigned lack;
        const char *name;
    } names[] = {
        {PM_PLAN_LACKS_BLOCKS, "not a multiple of the block size"},
        {PM_PLAN_LACKS_ADDRESSES, "I/O addresses"},
        {PM_PLAN_LACKS_MAPPINGS, "mappings"},
        {PM_PLAN_LACKS_LOCKED_MEMORY, "locked memory"},
    };
    g_autoptr(GString) text = g_string_new(NULL);

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        if (lacks & names[i].lack)
            g_string_append_printf(text, "%s%s", text->len > 0 ? ", " : "", names[i].name);
    return g_string_free(g_steal_pointer(&text), FALSE);
}
