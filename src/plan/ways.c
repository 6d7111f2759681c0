/* SPDX-License-Identifier: MIT */
#include "plan/ways.h"

#include <inttypes.h>

#include <plugmap/size.h>

#include "base/error_text.h"
#include "host/entry_limit.h"

/* For ROMs and video memory, which are pinned, too. libvirt adds as much. */
#define SPARE_LOCKED PM_GIB

static void clear_line(void *line)
{
    g_free(((PmPlanLine *)line)->text);
}

static void free_way(void *data)
{
    PmPlanWay *way = data;

    g_free(way->title);
    g_array_unref(way->lines);
    g_free(way);
}

/* Takes ownership of the title. */
static PmPlanWay *add_way(GPtrArray *ways, const char *name, char *title)
{
    PmPlanWay *way = g_new0(PmPlanWay, 1);

    way->name = name;
    way->title = title;
    way->lines = g_array_new(FALSE, FALSE, sizeof(PmPlanLine));
    g_array_set_clear_func(way->lines, clear_line);
    g_ptr_array_add(ways, way);
    return way;
}

static void add_line(PmPlanWay *way, const char *where, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

static void add_line(PmPlanWay *way, const char *where, const char *format, ...)
{
    PmPlanLine line = {.where = where};
    va_list arguments;

    va_start(arguments, format);
    line.text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    g_array_append_val(way->lines, line);
}

static void add_note(PmPlanWay *way, const char *where, const char *text)
{
    const PmPlanLine line = {.where = where, .text = g_strdup(text), .is_note = true};

    g_array_append_val(way->lines, line);
}

static char *kibibytes(uint64_t size)
{
    return g_strdup_printf("%" PRIu64, size / PM_KIB + (size % PM_KIB != 0));
}

/* A Kubernetes quantity: "4Gi". */
static char *quantity(uint64_t size)
{
    g_autofree char *text = pm_size_format(size);
    bool has_unit = g_ascii_isalpha(text[strlen(text) - 1]);

    return g_strconcat(text, has_unit ? "i" : "", NULL);
}

/* --- the VM --- */

#define QEMU_SMALLEST_BLOCK PM_MIB

/* QEMU aligns anonymous memory for huge pages, and accepts whole ones only. */
#define QEMU_ALIGNMENT (2 * PM_MIB)

#define CLOUD_HYPERVISOR_ALIGNMENT (128 * PM_MIB)

static const char *qemu_memory(const PmPlanMachine *machine)
{
    switch (machine->memory) {
    case PM_RAM_MEMFD:
        return "memory-backend-memfd";
    case PM_RAM_HUGETLB_2M:
        return "memory-backend-memfd,hugetlb=on,hugetlbsize=2M";
    default:
        return "memory-backend-ram";
    }
}

#define NO_BOOT_MEMORY "no VM starts without boot memory"

/* All memory, and what QEMU loses by aligning the region to its blocks. */
static uint64_t max_memory(const PmPlanMachine *machine, uint64_t block_size)
{
    return machine->boot_memory + machine->size + (block_size > PM_GIB ? block_size : 0);
}

/* NULL: none. */
static const char *qemu_refusal(const PmPlanMachine *machine, uint64_t block_size)
{
    if (machine->boot_memory == 0)
        return NO_BOOT_MEMORY;
    if (block_size < QEMU_SMALLEST_BLOCK)
        return "its blocks are at least 1M";
    if (machine->memory == PM_RAM_ANONYMOUS && machine->size % QEMU_ALIGNMENT != 0)
        return "the region must be a multiple of 2M";
    return NULL;
}

static void add_qemu_vm(PmPlanWay *way, const PmPlanMachine *machine, uint64_t block_size)
{
    g_autofree char *boot = pm_size_format(machine->boot_memory);
    g_autofree char *all = pm_size_format(max_memory(machine, block_size));
    g_autofree char *size = pm_size_format(machine->size);
    g_autofree char *block = pm_size_format(block_size);

    add_line(way, "QEMU",
             "-m %s,maxmem=%s -object %s,id=vmem0,size=%s,reserve=off "
             "-device virtio-mem-pci,id=vm0,memdev=vmem0,block-size=%s,requested-size=0",
             boot, all, qemu_memory(machine), size, block);
}

static void add_libvirt_vm(PmPlanWay *way, const PmPlanMachine *machine, uint64_t block_size)
{
    g_autofree char *all = kibibytes(max_memory(machine, block_size));
    g_autofree char *size = kibibytes(machine->size);
    g_autofree char *block = kibibytes(block_size);

    add_line(way, "libvirt", "<maxMemory slots='16' unit='KiB'>%s</maxMemory>", all);
    add_line(way, "libvirt",
             "<memory model='virtio-mem'><target><size unit='KiB'>%s</size><node>0</node>"
             "<block unit='KiB'>%s</block><requested unit='KiB'>0</requested></target></memory>",
             size, block);
    add_note(way, "libvirt", "in <devices>; the domain needs a NUMA cell: <cpu><numa><cell .../>");
}

/* libvirt starts QEMU. */
static void add_qemu_and_libvirt_vm(PmPlanWay *way, const PmPlanMachine *machine,
                                    uint64_t block_size)
{
    const char *refusal = qemu_refusal(machine, block_size);

    if (refusal != NULL) {
        add_note(way, "QEMU, libvirt", refusal);
        return;
    }
    add_qemu_vm(way, machine, block_size);
    add_libvirt_vm(way, machine, block_size);
}

static void add_cloud_hypervisor_vm(PmPlanWay *way, const PmPlanMachine *machine)
{
    g_autofree char *boot = pm_size_format(machine->boot_memory);
    g_autofree char *size = pm_size_format(machine->size);

    if (machine->boot_memory == 0 || machine->size % CLOUD_HYPERVISOR_ALIGNMENT != 0) {
        add_note(way, "cloud-hypervisor",
                 machine->boot_memory == 0 ? NO_BOOT_MEMORY
                                           : "the region must be a multiple of 128M");
        return;
    }
    add_line(way, "cloud-hypervisor",
             "--memory size=%s,hotplug_method=virtio-mem,hotplug_size=%s%s%s", boot, size,
             machine->memory == PM_RAM_MEMFD ? ",shared=on" : "",
             machine->memory == PM_RAM_HUGETLB_2M ? ",hugepages=on,hugepage_size=2M" : "");
}

static void add_kubevirt_vm(PmPlanWay *way, const PmPlanMachine *machine, const char *page)
{
    g_autofree char *boot = quantity(machine->boot_memory);
    g_autofree char *all = quantity(machine->boot_memory + machine->size);

    if (page != NULL)
        add_line(way, "KubeVirt",
                 "spec.template.spec.domain.memory: "
                 "{guest: %s, maxGuest: %s, hugepages: {pageSize: %s}}",
                 boot, all, page);
    else
        add_line(way, "KubeVirt", "spec.template.spec.domain.memory: {guest: %s, maxGuest: %s}",
                 boot, all);
}

/* KubeVirt's blocks are 2 MiB, or a huge page. */
static void add_kubevirt_blocks(PmPlanWay *way, const PmPlan *plan, uint64_t block_size)
{
    if (plan->machine->boot_memory == 0)
        add_note(way, "KubeVirt", NO_BOOT_MEMORY);
    else if (block_size <= PM_PLAN_USUAL_BLOCK)
        add_kubevirt_vm(way, plan->machine,
                        plan->machine->memory == PM_RAM_HUGETLB_2M ? "2Mi" : NULL);
    else if (block_size <= PM_GIB &&
             (plan->machine->size | plan->machine->boot_memory) % PM_GIB == 0)
        add_kubevirt_vm(way, plan->machine, "1Gi");
    else
        add_note(way, "KubeVirt", "its blocks are 2Mi, or 1Gi with huge pages of 1Gi: see below");
}

/* --- blocks --- */

static char *blocks_title(const PmPlan *plan, uint64_t enough, uint64_t qemu)
{
    g_autofree char *enough_text = pm_size_format(enough);
    g_autofree char *qemu_text = pm_size_format(qemu);

    if (qemu != enough)
        return g_strdup_printf("Blocks of %s; QEMU 10.2 and later: %s, because it keeps mappings "
                               "for its memory slots",
                               enough_text, qemu_text);
    return g_strdup_printf("Blocks of %s%s", enough_text,
                           plan->given == plan->enough ? ", as asked for" : "");
}

static void add_qemu_limit(PmPlanWay *way, const PmPlan *plan, uint64_t block_size)
{
    g_autofree char *text =
        g_strdup_printf("10.2 and later refuse it with a dma_entry_limit below %" PRIu64,
                        plan->machine->size / block_size + PM_PLAN_QEMU_SLOTS);

    add_note(way, "QEMU", text);
}

static void add_blocks_way(GPtrArray *ways, const PmPlan *plan)
{
    uint64_t enough = pm_plan_get(plan, plan->enough)->block_size;
    uint64_t qemu = pm_plan_get(plan, MAX(plan->qemu, plan->enough))->block_size;
    PmPlanWay *way = add_way(ways, "blocks", blocks_title(plan, enough, qemu));

    add_qemu_and_libvirt_vm(way, plan->machine, qemu);
    if (plan->qemu < 0)
        add_qemu_limit(way, plan, qemu);
    if (enough <= PM_PLAN_USUAL_BLOCK)
        add_cloud_hypervisor_vm(way, plan->machine);
    else
        add_note(way, "cloud-hypervisor", "its blocks are always 2M: see the other ways");
    add_kubevirt_blocks(way, plan, qemu);
}

/* --- more mappings --- */

static void add_entry_limit_way(GPtrArray *ways, const PmPlan *plan, const PmPlanBlock *block)
{
    uint64_t limit = block->n_mappings + PM_PLAN_QEMU_SLOTS;
    g_autofree char *text = pm_size_format(block->block_size);
    PmPlanWay *way;

    if (limit > UINT32_MAX)
        return;
    way = add_way(ways, "entry-limit",
                  g_strdup_printf("Blocks of %s with a higher dma_entry_limit", text));
    add_line(way, "host, now", "echo %" PRIu64 " > " PM_ENTRY_LIMIT_FILE, limit);
    add_line(way, "host, at boot",
             "echo options vfio_iommu_type1 dma_entry_limit=%" PRIu64
             " > " PM_ENTRY_LIMIT_BOOT_FILE,
             limit);
    add_note(way, "all VMMs", "the limit counts for VMs that are started afterwards");
    add_qemu_and_libvirt_vm(way, plan->machine, block->block_size);
    if (block->block_size == PM_PLAN_USUAL_BLOCK)
        add_cloud_hypervisor_vm(way, plan->machine);
    add_note(way, "KubeVirt", "no field sets it: write the file on each node");
}

static void add_iommufd_way(GPtrArray *ways, const PmPlanBlock *block)
{
    g_autofree char *text = pm_size_format(block->block_size);
    PmPlanWay *way =
        add_way(ways, "iommufd",
                g_strdup_printf("Blocks of %s with iommufd, which does not limit mappings", text));

    add_note(way, "host", "Linux 6.6 or later with CONFIG_IOMMUFD and CONFIG_VFIO_DEVICE_CDEV");
    add_line(way, "QEMU", "-object iommufd,id=iommufd0 -device vfio-pci,host=BDF,iommufd=iommufd0");
    add_line(way, "libvirt",
             "<hostdev mode='subsystem' type='pci'><driver iommufd='yes'/>"
             "<source>...</source></hostdev>");
    add_note(way, "libvirt", "only if 'virsh domcapabilities' lists iommufd");
    add_line(way, "cloud-hypervisor", "--platform iommufd=on,vfio_p2p_dma=off");
    add_note(way, "KubeVirt", "no field selects it in a release yet (enhancement 266)");
}

/* --- locked memory --- */

static void add_locked_way(GPtrArray *ways, const PmPlan *plan)
{
    uint64_t needed = pm_plan_locked(plan->machine) + SPARE_LOCKED;
    g_autofree char *size = pm_size_format(needed);
    g_autofree char *kib = kibibytes(needed);
    PmPlanWay *way =
        add_way(ways, "locked-memory",
                g_strdup_printf("Locked memory: %s, with 1G for ROMs and video memory", size));

    add_line(way, "systemd [Service]", "LimitMEMLOCK=%s", size);
    add_line(way, "QEMU", "ulimit -l %s", kib);
    add_line(way, "libvirt", "<memtune><hard_limit unit='KiB'>%s</hard_limit></memtune>", kib);
    add_note(way, "libvirt",
             "without it, libvirt computes the limit; with it, all memory of the "
             "VMM is limited to it");
    add_line(way, "cloud-hypervisor", "ulimit -l %s", kib);
    add_note(way, "KubeVirt",
             "no field: virt-handler sets the limit, to 'unlimited' since pull request 17857; "
             "before, too little after hot-plug (15952) and with a guest IOMMU (17805): update");
}

/* --- the rest --- */

static void add_addresses_way(GPtrArray *ways, const PmPlan *plan)
{
    g_autofree char *largest = pm_size_format(pm_plan_subject(plan)->largest);
    PmPlanWay *way = add_way(ways, "addresses", g_strdup("A region that the IOMMU can address"));

    if (pm_plan_subject(plan)->largest == 0)
        add_note(way, "all VMMs",
                 "no setting adds I/O addresses, and the boot memory has them "
                 "all: give the VM less memory");
    else
        add_line(way, "plugmap plan", "--size %s", largest);
    add_note(way, "host",
             "the hardware decides; in a nested host, QEMU's -device "
             "intel-iommu,aw-bits=48");
}

static void add_huge_pages_way(GPtrArray *ways, const PmPlan *plan)
{
    uint64_t n_pages = pm_plan_huge_pages(plan->machine);
    PmPlanWay *way =
        add_way(ways, "huge-pages", g_strdup_printf("%" PRIu64 " huge pages of 2M", n_pages));

    add_line(way, "host, now", "sysctl vm.nr_hugepages=%" PRIu64, n_pages);
    add_line(way, "host, at boot", "hugepagesz=2M hugepages=%" PRIu64, n_pages);
    add_line(way, "libvirt",
             "<memoryBacking><hugepages><page size='2048' unit='KiB'/></hugepages>"
             "</memoryBacking>");
}

GPtrArray *pm_plan_find_ways(const PmPlan *plan)
{
    GPtrArray *ways = g_ptr_array_new_with_free_func(free_way);
    /* The hypervisors' own block size, unless another one is asked for. */
    const PmPlanBlock *wanted = pm_plan_get(plan, MAX(plan->given, 0));
    const PmPlanBlock *subject = pm_plan_subject(plan);

    if (plan->enough >= 0)
        add_blocks_way(ways, plan);
    if (wanted->lacks & PM_PLAN_LACKS_MAPPINGS) {
        add_entry_limit_way(ways, plan, wanted);
        add_iommufd_way(ways, wanted);
    }
    if ((subject->lacks & PM_PLAN_LACKS_LOCKED_MEMORY) || !plan->host->locked_is_known)
        add_locked_way(ways, plan);
    if (subject->lacks & PM_PLAN_LACKS_ADDRESSES)
        add_addresses_way(ways, plan);
    if (pm_plan_huge_pages(plan->machine) > 0)
        add_huge_pages_way(ways, plan);
    return ways;
}
