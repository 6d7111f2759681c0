/* SPDX-License-Identifier: MIT */
#include "tools/plan_options.h"

#include <plugmap/size.h>

#include "base/error_text.h"
#include "tools/backend.h"
#include "tools/commands.h"
#include "tools/replay_options.h"

/* Where QEMU users begin. */
#define BOOT_MEMORY (4 * PM_GIB)

#define MEMBER(name) offsetof(PmPlanOptions, name)

static const char *const backends[] = {"type1", "iommufd", NULL};

static const PmOption option_list[] = {
    {"size", 0, PM_VALUE_SIZE, MEMBER(size), "SIZE", .help = "size of the virtio-mem region"},
    {"block-size", 0, PM_VALUE_SIZE, MEMBER(trace.block_size), "SIZE",
     .help = "block size (default: the smallest that fits)",
     .detail = "With a trace: its block size, if not in the log"},
    {"boot-memory", 0, PM_VALUE_SIZE, MEMBER(boot_memory), "SIZE",
     .help = "memory the VM starts with (default: 4G)"},
    {"devices", 0, PM_VALUE_TEXT, MEMBER(devices), "N",
     .help = "devices that are passed through (default: 1)"},
    {"guest-iommu", 0, PM_VALUE_FLAG, MEMBER(guest_iommu), .help = "the guest has an IOMMU",
     .detail = "Each device has an address space of its own then, and all memory is pinned once "
               "for each"},
    {"device", 0, PM_VALUE_BDF, MEMBER(bdfs), "BDF",
     .help = "ask this device for the limits; can be repeated", .is_list = true},
    {"json", 0, PM_VALUE_FLAG, MEMBER(json), .help = "print the plan in JSON"},
    PM_OPTION_END,
};

static const PmOption limit_option_list[] = {
    {"backend", 0, PM_VALUE_CHOICE, MEMBER(backend), "BACKEND", .help = "type1 or iommufd",
     .detail = "Default: what the device supports, preferably iommufd; without a device type1",
     .choices = backends},
    {"memory", 0, PM_VALUE_CHOICE, MEMBER(memory), "KIND",
     .help = "backing of all memory: anon (default), memfd or hugetlb", .choices = pm_memory_names},
    {"guest-mappings", 0, PM_VALUE_TEXT, MEMBER(guest_mappings), "N",
     .help = "mappings of the guest's IOMMU for a device",
     .detail = "None of them larger than a block; default: none, the device is in bypass"},
    {"entry-limit", 0, PM_VALUE_TEXT, MEMBER(entry_limit), "N",
     .help = "type1's dma_entry_limit (default: the device's, or 65535)"},
    {"memlock", 0, PM_VALUE_SIZE, MEMBER(memlock), "SIZE",
     .help = "RLIMIT_MEMLOCK of the VMM, or none",
     .detail = "Default: with a device that of this process, without none"},
    {"iova-bits", 0, PM_VALUE_TEXT, MEMBER(iova_bits), "N",
     .help = "width of I/O addresses, 32 to 64 (default: the device's, or 48)"},
    {"no-measure", 0, PM_VALUE_FLAG, MEMBER(no_measure),
     .help = "do not measure how long faulting in 64M takes"},
    PM_OPTION_END,
};

const PmCommand pm_plan_command = {
    .name = "plan",
    .summary = "compute whether a VM fits the limits, and how to make it fit",
    .arguments = "[TRACE]",
    .argument = PM_VALUE_FILE,
    .rest = MEMBER(rest),
    .description =
        {
            "Computes mappings, locked memory, I/O addresses and huge pages of a VM with a "
            "virtio-mem region, for each block size.",
            "Prints what fits, the largest region for each block size, and the lines that "
            "configure it for QEMU, libvirt, cloud-hypervisor, systemd and KubeVirt.",
            "With --device, opens the device and asks for its limits; maps nothing. Without, "
            "assumes the kernel's defaults and says so.",
            "Boot memory is one mapping below 2.75G, else two, as QEMU's q35 places it. VMMs map "
            "some dozens of ROMs and device registers, too.",
            "With TRACE instead of --size, prints which request of a recorded trace would be the "
            "first to fail, with its block size and with larger ones.",
        },
    .groups =
        {
            {"Options", option_list, 0, false},
            {"VM and limits", limit_option_list, 0, true},
            {"Trace", pm_trace_option_list + 1, MEMBER(trace), true},
        },
    .examples =
        {
            {"plugmap plan --size 1T", "which block size a region of 1T needs", PM_EXIT_OK},
            {"plugmap plan --size 1T --block-size 2M", "whether 2M do, and what to change if not",
             PM_EXIT_WRONG},
            {"plugmap plan --size 64G --device 04:00.0", "with the limits of this host",
             PM_EXIT_OK},
            {"plugmap plan --entry-limit 64 guest.log",
             "which request of a trace exceeds 64 mappings", PM_EXIT_WRONG},
        },
    .statuses = {PM_EXIT_WRONG, PM_EXIT_USAGE, PM_EXIT_NOT_READY},
    .no = "the VM or the trace does not fit",
    .see_also = {"plugmap-replay(1)"},
    .main = pm_plan_main,
};

void pm_plan_options_clear(PmPlanOptions *options)
{
    g_free(options->size);
    g_free(options->boot_memory);
    g_free(options->devices);
    g_free(options->guest_mappings);
    g_free(options->backend);
    g_strfreev(options->bdfs);
    g_free(options->memory);
    g_free(options->iova_bits);
    g_free(options->entry_limit);
    g_free(options->memlock);
    pm_trace_options_clear(&options->trace);
    g_strfreev(options->rest);
}

void pm_plan_input_clear(PmPlanInput *input)
{
    g_strfreev(input->bdfs);
}

static bool read_devices(const PmPlanOptions *options, PmPlanInput *input, GError **error)
{
    g_autoptr(GPtrArray) bdfs = g_ptr_array_new_with_free_func(g_free);

    if (options->bdfs == NULL)
        return pm_option_number("--devices", options->devices, 1, PM_PLAN_MAX_DEVICES,
                                &input->machine.n_devices, error);
    if (options->devices != NULL)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "--devices and --device exclude each other: drop one of them");
    for (char **bdf = options->bdfs; *bdf != NULL; bdf++) {
        char *address = pm_backend_complete_address(*bdf);
        bool is_repeated = g_ptr_array_find_with_equal_func(bdfs, address, g_str_equal, NULL);

        g_ptr_array_add(bdfs, address);
        if (is_repeated)
            return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                           "--device %s is there twice: drop one of them", address);
    }
    input->machine.n_devices = bdfs->len;
    g_ptr_array_add(bdfs, NULL);
    input->bdfs = (GStrv)g_ptr_array_steal(bdfs, NULL);
    return true;
}

static bool read_kinds(const PmPlanOptions *options, PmPlanInput *input, GError **error)
{
    static const PmRamKind kinds[] = {PM_RAM_ANONYMOUS, PM_RAM_MEMFD, PM_RAM_HUGETLB_2M};
    int memory;
    int backend;

    if (!pm_option_choose("--memory", options->memory, pm_memory_names, &memory, error) ||
        !pm_option_choose("--backend", options->backend, backends, &backend, error))
        return false;
    input->machine.memory = kinds[memory];
    input->machine.backend = (PmIommuBackend)backend;
    if (options->backend == NULL && input->bdfs != NULL)
        input->machine.backend = pm_iommu_choose_backend(NULL, input->bdfs[0], NULL);
    return options->entry_limit == NULL || input->machine.backend == PM_IOMMU_TYPE1 ||
           pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                   "--entry-limit requires --backend type1: iommufd does not limit mappings");
}

static bool read_limits(const PmPlanOptions *options, PmPlanGiven *given, GError **error)
{
    uint64_t iova_bits = 0;

    given->entry_limit = given->locked = UINT64_MAX;
    given->has_locked = options->memlock != NULL;
    if (!pm_option_number("--entry-limit", options->entry_limit, 1, UINT32_MAX, &given->entry_limit,
                          error) ||
        !pm_option_number("--iova-bits", options->iova_bits, PM_PLAN_MIN_IOVA_BITS,
                          PM_PLAN_MAX_IOVA_BITS, &iova_bits, error))
        return false;
    given->iova_bits = (unsigned)iova_bits;
    return g_strcmp0(options->memlock, "none") == 0 ||
           pm_option_size("--memlock", options->memlock, &given->locked, error);
}

static bool read_sizes(const PmPlanOptions *options, PmPlanInput *input, GError **error)
{
    PmPlanMachine *machine = &input->machine;

    if (options->trace.block_size != NULL &&
        (!pm_option_size("--block-size", options->trace.block_size, &input->block_size, error) ||
         (input->block_size == 0 && !pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                                             "invalid --block-size 0: must be a power of two"))))
        return false;
    return pm_option_size("--size", options->size, &machine->size, error) &&
           pm_option_size("--boot-memory", options->boot_memory, &machine->boot_memory, error) &&
           pm_option_number("--guest-mappings", options->guest_mappings, 1, PM_PLAN_MAX_SIZE,
                            &machine->guest_mappings, error);
}

static bool check_subject(const PmPlanOptions *options, GError **error)
{
    const char *complaint = NULL;

    if (options->rest == NULL && options->size == NULL)
        complaint = "expected --size SIZE or a trace file (see --help)";
    else if (options->rest != NULL && options->rest[1] != NULL)
        complaint = "expected at most one trace file (see --help)";
    else if (options->rest != NULL && options->size != NULL)
        complaint = "--size and a trace file exclude each other: drop one of them";
    else if (options->rest != NULL && options->guest_mappings != NULL)
        complaint = "--guest-mappings requires --size: a trace has its own";
    else if (options->rest == NULL &&
             (options->trace.format != NULL || options->trace.region_address != NULL ||
              options->trace.region_size != NULL))
        complaint = "--format, --region-addr and --region-size require a trace file";
    return complaint == NULL || pm_fail(error, PM_ERROR_INVALID_ARGUMENT, "%s", complaint);
}

bool pm_plan_options_read(const PmPlanOptions *options, PmPlanInput *input, GError **error)
{
    input->machine = (PmPlanMachine){
        .boot_memory = BOOT_MEMORY, .n_devices = 1, .guest_iommu = options->guest_iommu};
    return check_subject(options, error) && read_devices(options, input, error) &&
           read_kinds(options, input, error) && read_limits(options, &input->given, error) &&
           read_sizes(options, input, error) &&
           (options->rest != NULL ? pm_plan_check_boot_memory(&input->machine, error)
                                  : pm_plan_check_machine(&input->machine, error));
}
