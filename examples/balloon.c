/* SPDX-License-Identifier: MIT */
/*
 * A balloon: an uncoordinated user of pm_ram_discard(). The guest inflates the balloon with pages
 * that it does not use, deflates it to get them back, and reports free pages in between, which it
 * may use again without asking.
 *
 * A balloon takes pages wherever the guest has some to spare, so nobody is notified first. On RAM
 * that a device has mapped this must not happen, because the device keeps the old pages: there
 * pm_ram_discard() fails, and the page stays the guest's.
 *
 * Runs on the fake kernel, or with --host on this host's, with QEMU's edu at 0000:00:04.0. Prints
 * examples/balloon.txt.
 */
#include <inttypes.h>
#include <plugmap/fake.h>
#include <plugmap/plugmap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE    UINT64_C(4096) /* the unit of virtio-balloon */
#define N_PAGES UINT64_C(256)
#define SIZE    (N_PAGES * PAGE)

/* --- the balloon of one RAM with pages of 4 KiB --- */

typedef struct {
    PmRam *ram;
    bool is_inside[N_PAGES];
    uint64_t n_inside;
} Balloon;

/* Takes a page from the guest. False: it stays the guest's. Answer so, or the guest believes that
 * the host has it, and the host does not. */
static bool inflate(Balloon *balloon, uint64_t page, GError **error)
{
    if (page >= N_PAGES || balloon->is_inside[page]) {
        g_set_error(error, PM_ERROR, PM_ERROR_BAD_REQUEST, "page %" PRIu64 ": not the guest's",
                    page);
        return false;
    }
    if (!pm_ram_discard(balloon->ram, page * PAGE, PAGE, error))
        return false;
    balloon->is_inside[page] = true;
    balloon->n_inside++;
    return true;
}

/* Returns a page to the guest. It reads as zeros, and takes memory when it is written. */
static bool deflate(Balloon *balloon, uint64_t page)
{
    if (page >= N_PAGES || !balloon->is_inside[page])
        return false;
    balloon->is_inside[page] = false;
    balloon->n_inside--;
    return true;
}

/* Frees the memory of pages that the guest does not use now. The guest waits for the answer before
 * it uses them, and does not care whether they were freed. */
static bool report_free(Balloon *balloon, uint64_t page, uint64_t n_pages)
{
    return pm_ram_discard(balloon->ram, page * PAGE, n_pages * PAGE, NULL);
}

/* --- a VM with two pieces of RAM, of which a device has mapped one --- */

static void die(const GError *error)
{
    (void)fprintf(stderr, "%s\n", error->message);
    exit(1);
}

static PmRam *make_ram(void)
{
    g_autoptr(GError) error = NULL;
    PmRam *ram = pm_ram_new(PM_RAM_MEMFD, SIZE, 0, &error);

    if (ram == NULL)
        die(error);
    memset(pm_ram_get_host(ram), 'x', SIZE); /* the guest uses all of it */
    return ram;
}

static bool map_half(PmMapper *mapper, PmRam *ram, GError **error)
{
    const PmMapperRegion region = {
        .struct_size = sizeof(region),
        .ram = ram,
        .size = SIZE / 2,
        .address = 4 * PM_GIB,
        .access = PM_IOMMU_READ_WRITE,
    };

    return pm_mapper_add(mapper, &region, error);
}

static void print_memory(const char *name, const Balloon *balloon)
{
    uint64_t bytes = 0;

    (void)pm_ram_resident(balloon->ram, 0, SIZE, &bytes, NULL);
    printf("%s: %" PRIu64 " pages in the balloon, %" PRIu64 " in memory\n", name, balloon->n_inside,
           bytes / PAGE);
}

/* Who must go first, if the balloon is refused. */
static void print_holders(const char *name, PmRam *ram)
{
    PmDiscardClaim claim = {.struct_size = sizeof(claim)};
    char *owner = NULL;

    while (pm_ram_next_discard_claim(ram, claim.id, &claim, &owner)) {
        printf("%s: %s holds '%s' on pages %" PRIu64 " to %" PRIu64 "\n", name, owner,
               pm_discard_claim_kind_name(claim.kind), claim.offset / PAGE,
               (claim.offset + claim.size) / PAGE - 1);
        g_free(owner);
    }
}

static void inflate_some(const char *name, Balloon *balloon, uint64_t first, uint64_t n)
{
    uint64_t n_refused = 0;

    for (uint64_t page = first; page < first + n; page++) {
        g_autoptr(GError) error = NULL;

        if (inflate(balloon, page, &error))
            continue;
        if (!g_error_matches(error, PM_ERROR, PM_ERROR_BUSY))
            die(error);
        n_refused++;
    }
    printf("%s: inflate pages %" PRIu64 " to %" PRIu64 ": %" PRIu64 " refused\n", name, first,
           first + n - 1, n_refused);
}

static void play(PmMapper *mapper, Balloon *plain, Balloon *mapped)
{
    inflate_some("plain", plain, 0, 64);
    print_memory("plain", plain);
    for (uint64_t page = 0; page < 16; page++)
        (void)deflate(plain, page);
    memset(pm_ram_get_host(plain->ram), 'y', 16 * PAGE);
    print_memory("plain", plain);
    printf("plain: free pages 128 to 255 %s\n",
           report_free(plain, 128, 128) ? "are freed" : "stay");
    print_memory("plain", plain);

    print_holders("mapped", mapped->ram);
    inflate_some("mapped", mapped, 96, 64);
    printf("mapped: free pages 0 to 31 %s\n", report_free(mapped, 0, 32) ? "are freed" : "stay");
    print_memory("mapped", mapped);

    if (!pm_mapper_remove(mapper, 4 * PM_GIB, NULL))
        abort();
    inflate_some("unmapped", mapped, 96, 32);
    print_memory("unmapped", mapped);
}

/* A balloon that must be able to inflate says so: then the device is refused. */
static void come_first(PmMapper *mapper, Balloon *balloon)
{
    g_autoptr(GError) error = NULL;
    uint64_t claim = pm_ram_claim_discards(balloon->ram, PM_DISCARD_REQUIRE_UNCOORDINATED,
                                           "the balloon", 0, SIZE, &error);

    if (claim == 0)
        die(error);
    print_holders("unmapped", balloon->ram);
    if (map_half(mapper, balloon->ram, &error))
        abort();
    printf("unmapped: mapping it fails: %s\n", pm_error_code_name((PmError)error->code));
    if (!pm_ram_release_discards(balloon->ram, claim, NULL) ||
        !map_half(mapper, balloon->ram, NULL))
        abort();
    printf("mapped: the balloon released its claim\n");
}

static PmIommu *open_device(PmKernel *kernel, const char *device, GError **error)
{
    const PmType1Config type1 = {.struct_size = sizeof(type1), .kernel = kernel, .device = device};
    const PmIommufdConfig iommufd = {
        .struct_size = sizeof(iommufd), .kernel = kernel, .device = device};

    return pm_iommu_choose_backend(kernel, device, NULL) == PM_IOMMU_IOMMUFD
               ? pm_iommu_iommufd_new(&iommufd, error)
               : pm_iommu_type1_new(&type1, error);
}

int main(int argc, char **argv)
{
    bool is_host = argc > 1 && strcmp(argv[1], "--host") == 0;
    g_autoptr(GError) error = NULL;
    g_autoptr(PmKernel) kernel = is_host ? pm_kernel_host_new() : pm_fake_kernel_new(NULL, NULL);
    g_autoptr(PmIommu) iommu = open_device(kernel, "0000:00:04.0", &error);
    g_autoptr(PmMapper) mapper = iommu != NULL ? pm_mapper_new(iommu) : NULL;
    g_autoptr(PmRam) plain_ram = make_ram();
    g_autoptr(PmRam) mapped_ram = make_ram();
    Balloon plain = {.ram = plain_ram};
    Balloon mapped = {.ram = mapped_ram};

    if (mapper == NULL || !map_half(mapper, mapped_ram, &error))
        die(error);
    play(mapper, &plain, &mapped);
    come_first(mapper, &mapped);
    return 0;
}
