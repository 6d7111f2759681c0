/* SPDX-License-Identifier: MIT */
/*
 * An NVMe controller on vfio-pci that reads and writes plugged virtio-mem blocks, without a map and
 * unmap per request, while the guest plugs and unplugs, and dirty pages are tracked:
 *
 *     world.c    what all need: address space, memory, buffer registry, controller
 *     guest.c    plugs and unplugs; an unplug of a block that a request uses is BUSY
 *     io.c       reads and writes: one thread and one queue pair each
 *     rates.c    --rates: registered buffers against other ways
 *
 * The driver is in src/nvme and src/pci, which use public headers only. The disk is overwritten.
 */
#include <stdio.h>

#include "guest.h"
#include "io.h"
#include "rates.h"

static void print_totals(const IoTotals *io, const Guest *guest)
{
    printf("%" G_GUINT64_FORMAT " requests, %" G_GUINT64_FORMAT " MiB: %" G_GUINT64_FORMAT
           " failed, %" G_GUINT64_FORMAT " wrong; %" G_GUINT64_FORMAT
           " registered, %" G_GUINT64_FORMAT " bounced\n",
           io->n_requests, io->n_bytes / PM_MIB, io->n_failed, io->n_wrong, io->n_registered,
           io->n_bounced);
    printf("%" G_GUINT64_FORMAT " plugs, %" G_GUINT64_FORMAT " unplugs, %" G_GUINT64_FORMAT
           " busy unplugs; %" G_GUINT64_FORMAT " reads of dirty bits, %" G_GUINT64_FORMAT
           " pages dirty\n",
           guest->n_plugs, guest->n_unplugs, guest->n_busy, guest->n_dirty_reads,
           guest->n_dirty_pages);
}

static bool run_io(World *world, const Options *options)
{
    IoTotals io;
    Guest guest;

    guest_init(&guest, world, options->seed);
    guest_check_lease(&guest);
    guest_start(&guest);
    io_run(world, options, &io);
    guest_stop(&guest);
    print_totals(&io, &guest);
    return io.n_failed == 0 && io.n_wrong == 0 && io.n_requests == (unsigned)options->n_requests;
}

static bool run_rates(World *world, const Options *options)
{
    if (world_request(world, PM_VIRTIO_MEM_PLUG, 0, 2) != PM_VIRTIO_MEM_ACK)
        die("plugging the memory failed", NULL);
    rates_run(world, options);
    return true;
}

static void parse(Options *options, int *argc, char ***argv)
{
    const GOptionEntry entries[] = {
        {"device", 0, 0, G_OPTION_ARG_STRING, &options->device, "bound to vfio-pci", "BDF"},
        {"backend", 0, 0, G_OPTION_ARG_STRING, &options->backend, "type1 or iommufd (type1)",
         "NAME"},
        {"poll", 0, 0, G_OPTION_ARG_NONE, &options->poll, "instead of interrupts", NULL},
        {"requests", 0, 0, G_OPTION_ARG_INT, &options->n_requests, "how many (10000)", "N"},
        {"threads", 0, 0, G_OPTION_ARG_INT, &options->n_threads, "and queue pairs (2)", "N"},
        {"depth", 0, 0, G_OPTION_ARG_INT, &options->depth, "requests in flight per thread (2)",
         "N"},
        {"seed", 0, 0, G_OPTION_ARG_INT, &options->seed, "of what happens (1)", "N"},
        {"rates", 0, 0, G_OPTION_ARG_NONE, &options->rates, "measure, with one thread and depth 1",
         NULL},
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(GOptionContext) context =
        g_option_context_new("- overwrites the disk of an NVMe controller");
    g_autoptr(GError) error = NULL;

    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, argc, argv, &error))
        die("usage", error);
    if (options->device == NULL)
        die("--device is missing; see --help", NULL);
    if (options->n_requests < 1 || options->n_threads < 1 || options->depth < 1 ||
        options->n_threads > MAX_IN_FLIGHT / options->depth)
        die("--requests, --threads and --depth must be at least 1, threads times depth at most 16",
            NULL);
    if (options->rates)
        options->n_threads = options->depth = 1;
}

int main(int argc, char **argv)
{
    Options options = {.n_requests = 10000, .n_threads = 2, .depth = 2, .seed = 1};
    const PmNvmeIdentity *identity;
    World world;
    bool right;

    parse(&options, &argc, &argv);
    world_open(&world, &options);
    identity = pm_nvme_controller_get_identity(world.controller);
    printf("%s: %s, %" G_GUINT64_FORMAT " MiB, by %s\n", options.device, identity->model,
           identity->n_blocks * identity->block_size / PM_MIB,
           options.poll ? "polling" : "interrupts");
    right = options.rates ? run_rates(&world, &options) : run_io(&world, &options);
    world_close(&world);
    g_free(options.device);
    g_free(options.backend);
    return right ? 0 : 1;
}
