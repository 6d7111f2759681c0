/* SPDX-License-Identifier: MIT */
/*
 * Lives random lives on the fake kernel and on the host's at once, and compares after every
 * operation what both say and what devices reach. For the VM: tests/vm/run --carry …/differential
 * -- ./differential. A difference is told with its seed, and the shortest life that was found to
 * lead to it.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "kernel-uapi/vfio.h"
#include "world.h"

#define OPS_OF_A_LIFE 1000

/* So many operations without one transfer by DMA have not looked at what devices reach. */
#define OPS_WITH_DMA 10000

typedef struct {
    gint64 seed;
    gint64 n_ops;
    char *iommu;
    bool on_iommufd;
    gboolean verbose;
} Options;

typedef struct {
    LifeStart start;
    GArray *ops; /* of Op */
} Life;

/* Everything of a life comes from its seed. */
static Life *life_new(guint32 seed, bool on_iommufd)
{
    static const LifeSort sorts[] = {LIFE_OF_MAPPINGS, LIFE_OF_MAPPINGS, LIFE_OF_MAPPINGS,
                                     LIFE_OF_MAPPINGS, LIFE_OF_MAPPINGS, LIFE_OF_FILES,
                                     LIFE_OF_FILES,    LIFE_OF_A_DEVICE};
    static const uint32_t entry_limits[] = {65535, 65535, 30, 3};
    Life *life = g_new0(Life, 1);
    GRand *random = g_rand_new_with_seed(seed);

    life->start.sort = sorts[g_rand_int_range(random, 0, G_N_ELEMENTS(sorts))];
    life->start.iommu = g_rand_int_range(random, 0, 6) == 0 ? VFIO_TYPE1_IOMMU : VFIO_TYPE1v2_IOMMU;
    life->start.entry_limit = entry_limits[g_rand_int_range(random, 0, G_N_ELEMENTS(entry_limits))];
    if (on_iommufd)
        life->start.sort = LIFE_ON_IOMMUFD;
    life->start.has_device = g_rand_int_range(random, 0, 3) != 0;
    life->ops = g_array_new(FALSE, FALSE, sizeof(Op));
    g_array_set_size(life->ops, OPS_OF_A_LIFE);
    for (guint i = 0; i < life->ops->len; i++)
        op_make(&g_array_index(life->ops, Op, i), life->start.sort, random);
    g_rand_free(random);
    return life;
}

static void life_free(Life *life)
{
    g_array_unref(life->ops);
    g_free(life);
}

/* How often the host's kernel gave which answer, and how much was moved; over all lives. */
typedef struct {
    guint64 n_ops;
    guint64 n_transfers;
    GHashTable *results;
} Totals;

/* Lives it; NULL if both sides agreed to the end, else what differed, and @n_done, the operations
 * that it took. */
static char *live(const LifeStart *start, const GArray *ops, guint *n_done, Totals *totals)
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

/* Leaves out what is not needed for a difference (any one), in ever smaller pieces. */
static void shorten(const Life *life, guint n_needed, Totals *totals)
{
    guint piece;

    g_array_set_size(life->ops, n_needed);
    for (piece = life->ops->len / 2; piece > 0; piece /= 2) {
        guint at = 0;

        while (at + piece <= life->ops->len) {
            g_autoptr(GArray) shorter = g_array_copy(life->ops);
            g_autofree char *difference = NULL;
            guint n_done;

            g_array_remove_range(shorter, at, piece);
            difference = live(&life->start, shorter, &n_done, totals);
            if (difference == NULL) {
                at += piece;
                continue;
            }
            g_array_set_size(life->ops, 0);
            g_array_append_vals(life->ops, shorter->data, n_done);
        }
    }
}

static void tell(const Life *life, guint32 seed, const char *first, Totals *totals)
{
    guint n_done;
    g_autofree char *difference = live(&life->start, life->ops, &n_done, totals);

    printf("DIFFERENCE in the life of seed %u: %s\n", seed, first);
    printf("The shortest life that ends so (type %u, entry limit %u, %u operations):\n",
           life->start.iommu, life->start.entry_limit, life->ops->len);
    for (guint i = 0; i < life->ops->len; i++) {
        g_autofree char *text = op_describe(&g_array_index(life->ops, Op, i));

        printf("  %s\n", text);
    }
    printf("  → %s\n", difference != NULL ? difference : "(does not happen every time)");
}

static bool live_one(guint32 seed, bool on_iommufd, Totals *totals)
{
    Life *life = life_new(seed, on_iommufd);
    guint n_done;
    g_autofree char *difference = live(&life->start, life->ops, &n_done, totals);

    totals->n_ops += n_done;
    if (difference != NULL) {
        shorten(life, n_done, totals);
        tell(life, seed, difference, totals);
    }
    life_free(life);
    return difference == NULL;
}

static bool parse(int argc, char **argv, Options *options)
{
    const GOptionEntry entries[] = {
        {"seed", 0, 0, G_OPTION_ARG_INT64, &options->seed, "of the first life (1)", "N"},
        {"ops", 0, 0, G_OPTION_ARG_INT64, &options->n_ops, "how many operations (10000)", "N"},
        {"iommu", 0, 0, G_OPTION_ARG_STRING, &options->iommu, "type1 (the default) or iommufd",
         "KIND"},
        {"verbose", 0, 0, G_OPTION_ARG_NONE, &options->verbose, "list how often which answer came",
         NULL},
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
    fprintf(stderr, "differential: --iommu %s: there is type1 and iommufd\n", options->iommu);
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
        if (!live_one(seed++, options.on_iommufd, &totals))
            return 1;
    }
    printf("seeds %" G_GINT64_FORMAT " to %u: %" G_GUINT64_FORMAT " operations, %" G_GUINT64_FORMAT
           " transfers by DMA, no difference\n",
           options.seed, seed - 1, totals.n_ops, totals.n_transfers);
    if (totals.n_ops >= OPS_WITH_DMA && totals.n_transfers == 0) {
        fprintf(stderr, "differential: no device has done any DMA in all these operations\n");
        return 2;
    }
    if (options.verbose)
        print_results(totals.results);
    g_hash_table_unref(totals.results);
    g_free(options.iommu);
    return 0;
}
