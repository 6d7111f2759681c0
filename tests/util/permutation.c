/* SPDX-License-Identifier: MIT */
#include "util/permutation.h"

static void permute(unsigned *order, unsigned n, unsigned n_chosen,
                    void (*visit)(const unsigned *order))
{
    if (n_chosen == n)
        visit(order);
    for (unsigned i = n_chosen; i < n; i++) {
        unsigned chosen = order[i];

        order[i] = order[n_chosen];
        order[n_chosen] = chosen;
        permute(order, n, n_chosen + 1, visit);
        order[n_chosen] = order[i];
        order[i] = chosen;
    }
}

void for_each_permutation(unsigned n, void (*visit)(const unsigned *order))
{
    unsigned order[8];

    for (unsigned i = 0; i < n; i++)
        order[i] = i;
    permute(order, n, 0, visit);
}
