/* SPDX-License-Identifier: MIT */
/* Differential fuzzing: runs random sequences of operations on the fake kernel and the host's, and
 * compares their results and what devices reach after every operation. For the VM: tests/vm/run
 * --carry .../differential -- ./differential. A difference is reported with its seed and the
 * shortest sequence found to cause it. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "kernel-uapi/vfio.h"
#include "world.h"

#define OPS_PER_SEQUENCE 1000

/* A run of this many operations must do some DMA, or it has not compared what devices reach. */
#define OPS_WITH_DMA 10000

typedef struct {
    gint64 seed;
    gint64 n_ops;
    char *iommu;
    bool on_iommufd;
    gboolean verbose;
} Options;

typedef struct {
    SequenceStart start;
    GArray *ops; /* of Op */
} Sequence;

/* The seed determines the whole sequence. */
static Sequence *sequence_new(guint32 seed, bool on_iommufd)
{
    static const SequenceKind kinds[] = {SEQUENCE_MAPPINGS, SEQUENCE_MAPPINGS, SEQUENCE_MAPPINGS,
                                         SEQUENCE_MAPPINGS, SEQUENCE_MAPPINGS, SEQUENCE_FILES,
                                         SEQUENCE_FILES,    SEQUENCE_DEVICE};
    static const uint32_t entry_limits[] = {65535, 65535, 30, 3};
    Sequence *sequence = g_new0(Sequence, 1);
    GRand *random = g_rand_new_with_seed(seed);

    sequence->start.kind = kinds[g_rand_int_range(random, 0, G_N_ELEMENTS(kinds))];
    sequence->start.iommu =
        g_rand_int_range(random, 0, 6) == 0 ? VFIO_TYPE1_IOMMU : VFIO_TYPE1v2_IOMMU;
    sequence->start.entry_limit =
        entry_limits[g_rand_int_range(random, 0, G_N_ELEMENTS(entry_limits))];
    if (on_iommufd)
        sequence->start.kind = SEQUENCE_IOMMUFD;
    sequence->start.has_device = g_rand_int_range(random, 0, 3) != 0;
    sequence->ops = g_array_new(FALSE, FALSE, sizeof(Op));
    g_array_set_size(sequence->ops, OPS_PER_SEQUENCE);
    for (guint i = 0; i < sequence->ops->len; i++)
        op_make(&g_array_index(sequence->ops, Op, i), sequence->start.kind, random);
    g_rand_free(random);
    return sequence;
}

static void sequence_free(Sequence *sequence)
{
    g_array_unref(sequence->ops);
    g_free(sequence);
}

/* Counts over all sequences: operations, DMA transfers, and results of the host's kernel. */
typedef struct {
    guint64 n_ops;
    guint64 n_transfers;
    GHashTable *results;
} Totals;

/* Returns NULL if both sides agree, else the difference; @n_done: operations done. */
static char *run(const SequenceStart *start, const GArray *ops, guint *n_done, Totals *totals)
{
    World *world = world_new(start, totals->results);
    char *difference;
    guint i;

    for (i = 0; i < ops->len && world_do(world, &g_array_index(ops, Op, i)); i++)
        ;
    *n_done = MIN(i + 1, ops->len);
    world_end(world);
    difference = g_steal_pointer(&world->difference);
    totals->n_transfers += world->n_transfers;
    world_free(world);
    return difference;
}

/* Removes operations that are not needed for a difference (any), in ever smaller pieces. */
static void shorten(const Sequence *sequence, guint n_needed, Totals *totals)
{
    guint piece;

    g_array_set_size(sequence->ops, n_needed);
    for (piece = sequence->ops->len / 2; piece > 0; piece /= 2) {
        guint at = 0;

        while (at + piece <= sequence->ops->len) {
            g_autoptr(GArray) shorter = g_array_copy(sequence->ops);
            g_autofree char *difference = NULL;
            guint n_done;

            g_array_remove_range(shorter, at, piece);
            difference = run(&sequence->start, shorter, &n_done, totals);
            if (difference == NULL) {
                at += piece;
                continue;
            }
            g_array_set_size(sequence->ops, 0);
            g_array_append_vals(sequence->ops, shorter->data, n_done);
        }
    }
}

static void report(const Sequence *sequence, guint32 seed, const char *first, Totals *totals)
{
    guint n_done;
    g_autofree char *difference = run(&sequence->start, sequence->ops, &n_done, totals);

    printf("DIFFERENCE with seed %u: %s\n", seed, first);
    printf("Shortest sequence found (type %u, entry limit %u, %u operations):\n",
           sequence->start.iommu, sequence->start.entry_limit, sequence->ops->len);
    for (guint i = 0; i < sequence->ops->len; i++) {
        g_autofree char *text = op_describe(&g_array_index(sequence->ops, Op, i));

        printf("  %s\n", text);
    }
    printf("  -> %s\n", difference != NULL ? difference : "(not reproducible)");
}

static bool run_one(guint32 seed, bool on_iommufd, Totals *totals)
{
    Sequence *sequence = sequence_new(seed, on_iommufd);
    guint n_done;
    g_autofree char *difference = run(&sequence->start, sequence->ops, &n_done, totals);

    totals->n_ops += n_done;
    if (difference != NULL) {
        shorten(sequence, n_done, totals);
        report(sequence, seed, difference, totals);
    }
    sequence_free(sequence);
    return difference == NULL;
}

static bool parse(int argc, char **argv, Options *options)
{
    const GOptionEntry entries[] = {
        {"seed", 0, 0, G_OPTION_ARG_INT64, &options->seed, "seed of the first sequence (1)", "N"},
        {"ops", 0, 0, G_OPTION_ARG_INT64, &options->n_ops, "number of operations (10000)", "N"},
        {"iommu", 0, 0, G_OPTION_ARG_STRING, &options->iommu, "type1 (default) or iommufd", "KIND"},
        {"verbose", 0, 0, G_OPTION_ARG_NONE, &options->verbose,
         "print how often each result occurred", NULL},
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_autoptr(GError) error = NULL;

    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error)) {
        fprintf(stderr, "differential: %s\n", error->message);
        return false;
    }
    options->on_iommufd = g_strcmp0(options->iommu, "iommufd") == 0;
    if (options->iommu == NULL || options->on_iommufd || strcmp(options->iommu, "type1") == 0)
        return true;
    fprintf(stderr, "differential: invalid --iommu '%s': must be type1 or iommufd\n",
            options->iommu);
    return false;
}

static void print_results(GHashTable *results)
{
    g_autoptr(GList) keys = g_list_sort(g_hash_table_get_keys(results), (GCompareFunc)strcmp);

    for (const GList *key = keys; key != NULL; key = key->next)
        printf("  %8zu  %s\n", GPOINTER_TO_SIZE(g_hash_table_lookup(results, key->data)),
               (const char *)key->data);
}

int main(int argc, char **argv)
{
    Options options = {.seed = 1, .n_ops = 10000};
    Totals totals = {.results = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL)};
    guint32 seed;

    if (!parse(argc, argv, &options))
        return 2;
    seed = (guint32)options.seed;
    while (totals.n_ops < (guint64)options.n_ops) {
        if (!run_one(seed++, options.on_iommufd, &totals))
            return 1;
    }
    printf("seeds %" G_GINT64_FORMAT " to %u: %" G_GUINT64_FORMAT " operations, %" G_GUINT64_FORMAT
           " transfers by DMA, no difference\n",
           options.seed, seed - 1, totals.n_ops, totals.n_transfers);
    if (totals.n_ops >= OPS_WITH_DMA && totals.n_transfers == 0) {
        fprintf(stderr, "differential: no device did any DMA in all these operations\n");
        return 2;
    }
    if (options.verbose)
        print_results(totals.results);
    g_hash_table_unref(totals.results);
    g_free(options.iommu);
    return 0;
}
