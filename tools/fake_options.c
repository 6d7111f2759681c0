/* SPDX-License-Identifier: MIT */
#include "tools/fake_options.h"

#include <inttypes.h>

#include <plugmap/fake.h>
#include <plugmap/size.h>

#include "base/error_text.h"
#include "tools/trace_options.h"

#define MIN_IOVA_BITS 30
#define MAX_IOVA_BITS 64

/* The MSI window of x86, which IOMMUs reserve. */
#define HOLE_START UINT64_C(0xfee00000)
#define HOLE_END   UINT64_C(0xfef00000)

static const char *const pins[] = {"account", "populate", NULL};
static const char *const versions[] = {"6.12", "6.1", NULL};

const PmOption pm_fake_option_list[] = {
    {"pin", 0, PM_VALUE_CHOICE, offsetof(PmFakeOptions, pin), "MODE",
     .help = "account (default): only count pinned memory; populate: fault it in", .choices = pins},
    {"linux", 0, PM_VALUE_CHOICE, offsetof(PmFakeOptions, linux_version), "VERSION",
     .help = "emulate Linux 6.12 (default) or 6.1", .choices = versions},
    {"iova-bits", 0, PM_VALUE_TEXT, offsetof(PmFakeOptions, iova_bits), "N",
     .help = "IOVA width in bits, 30 to 64 (default: 39)"},
    {"entry-limit", 0, PM_VALUE_TEXT, offsetof(PmFakeOptions, entry_limit), "N",
     .help = "type1's dma_entry_limit (default: 65535)"},
    {"memlock", 0, PM_VALUE_SIZE, offsetof(PmFakeOptions, memlock), "SIZE",
     .help = "RLIMIT_MEMLOCK (default: unlimited)"},
    PM_OPTION_END,
};

void pm_fake_options_clear(PmFakeOptions *options)
{
    g_free(options->pin);
    g_free(options->linux_version);
    g_free(options->iova_bits);
    g_free(options->entry_limit);
    g_free(options->memlock);
}

bool pm_fake_options_populate(const PmFakeOptions *options)
{
    return g_strcmp0(options->pin, "populate") == 0;
}

static bool check_backend(const PmFakeOptions *options, const PmBackend *backend, GError **error)
{
    const struct {
        const char *name;
        const char *value;
        bool for_type1;
    } flags[] = {
        {"--pin", options->pin, false},
        {"--linux", options->linux_version, false},
        {"--iova-bits", options->iova_bits, false},
        {"--entry-limit", options->entry_limit, true},
        {"--memlock", options->memlock, false},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(flags); i++) {
        if (flags[i].value == NULL)
            continue;
        if (!backend->fake)
            return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                           "%s requires the fake kernel: drop it or --device", flags[i].name);
        if (flags[i].for_type1 && backend->iommu != PM_IOMMU_TYPE1)
            return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                           "%s requires type1: --backend %s has no mapping limit", flags[i].name,
                           backend->name);
    }
    return true;
}

/* Returns the number of ranges. */
static size_t make_ranges(uint64_t bits, PmIovaRange ranges[2])
{
    uint64_t last = bits == MAX_IOVA_BITS ? UINT64_MAX : (UINT64_C(1) << bits) - 1;

    ranges[0] = (PmIovaRange){0, MIN(last, HOLE_START - 1)};
    ranges[1] = (PmIovaRange){HOLE_END, last};
    return last > HOLE_END ? 2 : 1;
}

static PmKernel *make_fake(const PmFakeOptions *options, const PmBackend *backend, GError **error)
{
    PmIovaRange ranges[2];
    uint64_t iova_bits = 0;
    uint64_t entry_limit;
    PmFakeConfig config;
    int pin;
    int version;

    pm_fake_config_init(&config);
    entry_limit = config.entry_limit;
    if (!pm_option_choose("--pin", options->pin, pins, &pin, error) ||
        !pm_option_choose("--linux", options->linux_version, versions, &version, error) ||
        !pm_option_number("--iova-bits", options->iova_bits, MIN_IOVA_BITS, MAX_IOVA_BITS,
                          &iova_bits, error) ||
        !pm_option_number("--entry-limit", options->entry_limit, 1, UINT32_MAX, &entry_limit,
                          error) ||
        !pm_option_number("--memlock", options->memlock, 0, UINT64_MAX, &config.memlock_limit,
                          error))
        return NULL;
    config.iommufd = backend->iommu == PM_IOMMU_IOMMUFD;
    if (config.iommufd && version == 1) {
        pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                "--linux 6.1 has no iommufd: drop it or --backend %s", backend->name);
        return NULL;
    }
    config.linux_version = version == 1 ? PM_FAKE_LINUX_6_1 : PM_FAKE_LINUX_6_12;
    config.pin = pin == 1 ? PM_FAKE_PIN_POPULATE : PM_FAKE_PIN_ACCOUNT;
    config.entry_limit = (uint32_t)entry_limit;
    if (options->iova_bits != NULL) {
        config.iova_ranges = ranges;
        config.n_iova_ranges = make_ranges(iova_bits, ranges);
    }
    return pm_fake_kernel_new(&config, error);
}

PmKernel *pm_fake_options_make_kernel(const PmFakeOptions *options, const PmBackend *backend,
                                      GError **error)
{
    if (!check_backend(options, backend, error))
        return NULL;
    return backend->fake ? make_fake(options, backend, error) : pm_kernel_host_new();
}
