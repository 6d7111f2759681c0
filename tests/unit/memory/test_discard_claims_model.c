/* SPDX-License-Identifier: MIT */
/*
 * Random claims, releases, discards, policies and managers on several RAMs, compared after every
 * step with a plain model: a list of claims, and a flag for each page that has contents.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <plugmap/discard_policy.h>

#include "memory/ram_private.h"
#include "util/random_util.h"

#define PAGE       UINT64_C(4096)
#define N_PAGES    16U
#define SIZE       (N_PAGES * PAGE)
#define N_RAMS     3U
#define MAX_CLAIMS 12U
#define NO_RAM     N_RAMS /* of a policy's claim: wherever the policy is */
#define STEPS      200000

typedef struct {
    uint64_t id;
    PmDiscardClaimKind kind;
    unsigned ram;
    uint64_t offset;
    uint64_t size;
    char owner[24];
} Claim;

typedef struct {
    PmRam *ram;
    PmDiscardManager *manager;
    bool is_in_policy;
    bool has_contents[N_PAGES];
} Ram;

typedef struct {
    GRand *random;
    Ram rams[N_RAMS];
    PmDiscardPolicy *policy;
    Claim claims[MAX_CLAIMS]; /* ascending by id */
    unsigned n_claims;
    uint64_t last_released;
    unsigned n_refused;
    unsigned n_succeeded;
} World;

static unsigned pick(World *world, unsigned n)
{
    return (unsigned)g_rand_int_range(world->random, 0, (gint32)n);
}

/* --- the model --- */

/* What the kinds mean, not the table that follows from it. */
static bool forbids(PmDiscardClaimKind kind, bool coordinated)
{
    return kind == PM_DISCARD_DISABLE || (kind == PM_DISCARD_DISABLE_UNCOORDINATED && !coordinated);
}

static bool needs(PmDiscardClaimKind kind, bool coordinated)
{
    return kind ==
           (coordinated ? PM_DISCARD_REQUIRE_COORDINATED : PM_DISCARD_REQUIRE_UNCOORDINATED);
}

static bool kinds_conflict(PmDiscardClaimKind one, PmDiscardClaimKind other)
{
    for (int coordinated = 0; coordinated < 2; coordinated++)
        if ((forbids(one, coordinated != 0) && needs(other, coordinated != 0)) ||
            (forbids(other, coordinated != 0) && needs(one, coordinated != 0)))
            return true;
    return false;
}

static bool is_on(const World *world, const Claim *claim, unsigned ram)
{
    return claim->ram == ram || (claim->ram == NO_RAM && world->rams[ram].is_in_policy);
}

static bool overlaps(const Claim *claim, uint64_t offset, uint64_t size)
{
    for (uint64_t byte = offset; byte < offset + size; byte += PAGE / 2)
        if (byte >= claim->offset && byte < claim->offset + claim->size)
            return true;
    return false;
}

/* The first claim on the RAM that excludes @kind, or NULL. */
static const Claim *find_obstacle(const World *world, PmDiscardClaimKind kind, unsigned ram,
                                  uint64_t offset, uint64_t size)
{
    for (unsigned i = 0; i < world->n_claims; i++) {
        const Claim *claim = &world->claims[i];

        if (is_on(world, claim, ram) && kinds_conflict(kind, claim->kind) &&
            overlaps(claim, offset, size))
            return claim;
    }
    return NULL;
}

static bool is_claimable(const World *world, PmDiscardClaimKind kind, unsigned ram, uint64_t offset,
                         uint64_t size)
{
    return find_obstacle(world, kind, ram, offset, size) == NULL &&
           !(kind == PM_DISCARD_DISABLE && world->rams[ram].manager != NULL);
}

static void note_claim(World *world, const Claim *claim)
{
    assert_true(world->n_claims == 0 || world->claims[world->n_claims - 1].id < claim->id);
    world->claims[world->n_claims++] = *claim;
}

static void note_release(World *world, unsigned index)
{
    world->last_released = world->claims[index].id;
    world->n_claims--;
    memmove(&world->claims[index], &world->claims[index + 1],
            (world->n_claims - index) * sizeof(Claim));
}

/* --- comparison --- */

/* @allowed: whether the model allows it; @obstacle: whom a refusal must name, or NULL. */
static void check_outcome(World *world, bool done, bool allowed, const Claim *obstacle,
                          GError *error)
{
    if (done != allowed)
        fail_msg("%s: %s", done ? "done, but the model refuses" : "refused, but the model allows",
                 error != NULL ? error->message : "");
    if (done) {
        world->n_succeeded++;
        return;
    }
    world->n_refused++;
    if (error == NULL || !g_error_matches(error, PM_ERROR, PM_ERROR_BUSY)) {
        fail_msg("not refused as busy: %s", error != NULL ? error->message : "no error");
        return;
    }
    if (obstacle != NULL && strstr(error->message, obstacle->owner) == NULL)
        fail_msg("'%s' does not name '%s'", error->message, obstacle->owner);
}

static void check_claims(World *world, unsigned ram)
{
    PmDiscardClaim found = {.struct_size = sizeof(found)};
    g_autofree char *owner = NULL;

    for (unsigned i = 0; i < world->n_claims; i++) {
        const Claim *claim = &world->claims[i];

        if (!is_on(world, claim, ram))
            continue;
        g_clear_pointer(&owner, g_free);
        assert_true(pm_ram_next_discard_claim(world->rams[ram].ram, found.id, &found, &owner));
        assert_int_equal(found.id, claim->id);
        assert_int_equal(found.kind, claim->kind);
        assert_int_equal(found.offset, claim->offset);
        assert_int_equal(found.size, claim->size);
        assert_string_equal(owner, claim->owner);
    }
    assert_false(pm_ram_next_discard_claim(world->rams[ram].ram, found.id, &found, NULL));
}

static void check_contents(const Ram *ram)
{
    const char *memory = pm_ram_get_host(ram->ram);

    for (uint64_t page = 0; page < N_PAGES; page++)
        assert_int_equal(memory[page * PAGE], ram->has_contents[page] ? 'x' : 0);
}

static void check(World *world)
{
    for (unsigned i = 0; i < N_RAMS; i++) {
        check_claims(world, i);
        check_contents(&world->rams[i]);
    }
}

/* --- steps --- */

static void choose_range(World *world, uint64_t *offset, uint64_t *size)
{
    unsigned first = pick(world, N_PAGES);

    *offset = first * PAGE;
    *size = (1 + pick(world, N_PAGES - first)) * PAGE;
}

static Claim choose_claim(World *world)
{
    static unsigned n_owners;
    Claim claim = {.kind = (PmDiscardClaimKind)pick(world, 4)};

    (void)g_snprintf(claim.owner, sizeof(claim.owner), "owner %u.", n_owners++);
    return claim;
}

/* Half a page at either end makes no difference to discards, which are whole pages. */
static void claim_range(World *world)
{
    Claim claim = choose_claim(world);
    g_autoptr(GError) error = NULL;
    const Claim *obstacle;
    bool allowed;

    if (world->n_claims == MAX_CLAIMS)
        return;
    claim.ram = pick(world, N_RAMS);
    choose_range(world, &claim.offset, &claim.size);
    if (claim.size > PAGE && pick(world, 2) == 0)
        claim.size -= PAGE / 2;
    allowed = is_claimable(world, claim.kind, claim.ram, claim.offset, claim.size);
    obstacle = find_obstacle(world, claim.kind, claim.ram, claim.offset, claim.size);
    claim.id = pm_ram_claim_discards(world->rams[claim.ram].ram, claim.kind, claim.owner,
                                     claim.offset, claim.size, &error);
    check_outcome(world, claim.id != 0, allowed, obstacle, error);
    if (allowed)
        note_claim(world, &claim);
}

static bool policy_allows(const World *world, const Claim *claim)
{
    for (unsigned i = 0; i < world->n_claims; i++)
        if (world->claims[i].ram == NO_RAM && kinds_conflict(claim->kind, world->claims[i].kind))
            return false;
    for (unsigned i = 0; i < N_RAMS; i++)
        if (world->rams[i].is_in_policy && !is_claimable(world, claim->kind, i, 0, SIZE))
            return false;
    return true;
}

static void claim_everywhere(World *world)
{
    Claim claim = choose_claim(world);
    g_autoptr(GError) error = NULL;
    bool allowed;

    if (world->n_claims == MAX_CLAIMS)
        return;
    claim.ram = NO_RAM;
    claim.size = SIZE;
    allowed = policy_allows(world, &claim);
    claim.id = pm_discard_policy_claim(world->policy, claim.kind, claim.owner, &error);
    check_outcome(world, claim.id != 0, allowed, NULL, error);
    if (allowed)
        note_claim(world, &claim);
}

static void release(World *world)
{
    unsigned index;
    const Claim *claim;

    if (world->n_claims == 0)
        return;
    index = pick(world, world->n_claims);
    claim = &world->claims[index];
    if (claim->ram == NO_RAM)
        assert_true(pm_discard_policy_release(world->policy, claim->id, NULL));
    else
        assert_true(pm_ram_release_discards(world->rams[claim->ram].ram, claim->id, NULL));
    note_release(world, index);
}

/* Of claims that are gone, on other RAM, or made by the policy. */
static void release_in_vain(World *world)
{
    unsigned ram = pick(world, N_RAMS);

    assert_false(pm_ram_release_discards(world->rams[ram].ram, world->last_released, NULL));
    assert_false(pm_discard_policy_release(world->policy, world->last_released, NULL));
    for (unsigned i = 0; i < world->n_claims; i++) {
        const Claim *claim = &world->claims[i];

        if (claim->ram != ram)
            assert_false(pm_ram_release_discards(world->rams[ram].ram, claim->id, NULL));
        if (claim->ram != NO_RAM)
            assert_false(pm_discard_policy_release(world->policy, claim->id, NULL));
    }
}

static void discard(World *world, bool coordinated)
{
    unsigned index = pick(world, N_RAMS);
    Ram *ram = &world->rams[index];
    g_autoptr(GError) error = NULL;
    const Claim *obstacle;
    uint64_t offset;
    uint64_t size;
    bool done;

    choose_range(world, &offset, &size);
    obstacle = find_obstacle(
        world, coordinated ? PM_DISCARD_REQUIRE_COORDINATED : PM_DISCARD_REQUIRE_UNCOORDINATED,
        index, offset, size);
    done = coordinated ? pm_ram_discard_coordinated(ram->ram, offset, size, &error)
                       : pm_ram_discard(ram->ram, offset, size, &error);
    check_outcome(world, done, obstacle == NULL, obstacle, error);
    if (done)
        memset(&ram->has_contents[offset / PAGE], 0, size / PAGE);
}

static void fill(World *world)
{
    Ram *ram = &world->rams[pick(world, N_RAMS)];
    uint64_t offset;
    uint64_t size;

    choose_range(world, &offset, &size);
    memset((char *)pm_ram_get_host(ram->ram) + offset, 'x', size);
    memset(&ram->has_contents[offset / PAGE], 1, size / PAGE);
}

static bool may_enter_policy(const World *world, unsigned ram)
{
    for (unsigned i = 0; i < world->n_claims; i++)
        if (world->claims[i].ram == NO_RAM &&
            !is_claimable(world, world->claims[i].kind, ram, 0, SIZE))
            return false;
    return true;
}

static void enter_or_leave_policy(World *world)
{
    unsigned index = pick(world, N_RAMS);
    Ram *ram = &world->rams[index];
    g_autoptr(GError) error = NULL;

    if (ram->is_in_policy) {
        assert_false(pm_discard_policy_add(world->policy, ram->ram, NULL));
        assert_true(pm_discard_policy_remove(world->policy, ram->ram, NULL));
        ram->is_in_policy = false;
    } else {
        bool allowed = may_enter_policy(world, index);
        bool done = pm_discard_policy_add(world->policy, ram->ram, &error);

        check_outcome(world, done, allowed, NULL, error);
        ram->is_in_policy = done;
    }
}

static void renew_policy(World *world)
{
    pm_discard_policy_unref(world->policy);
    world->policy = pm_discard_policy_new();
    for (unsigned i = world->n_claims; i-- > 0;)
        if (world->claims[i].ram == NO_RAM)
            note_release(world, i);
    for (unsigned i = 0; i < N_RAMS; i++)
        world->rams[i].is_in_policy = false;
}

static void make_or_free_manager(World *world)
{
    unsigned index = pick(world, N_RAMS);
    Ram *ram = &world->rams[index];
    g_autoptr(GError) error = NULL;
    const Claim *obstacle;

    if (ram->manager != NULL) {
        g_clear_pointer(&ram->manager, pm_discard_manager_unref);
        return;
    }
    obstacle = find_obstacle(world, PM_DISCARD_REQUIRE_COORDINATED, index, 0, SIZE);
    ram->manager = pm_discard_manager_new(ram->ram, PAGE, &error);
    check_outcome(world, ram->manager != NULL, obstacle == NULL, obstacle, error);
}

static void take_step(World *world)
{
    unsigned kind = pick(world, 100);

    if (kind < 20)
        claim_range(world);
    else if (kind < 26)
        claim_everywhere(world);
    else if (kind < 50)
        release(world);
    else if (kind < 53)
        release_in_vain(world);
    else if (kind < 68)
        discard(world, false);
    else if (kind < 78)
        discard(world, true);
    else if (kind < 88)
        fill(world);
    else if (kind < 94)
        enter_or_leave_policy(world);
    else if (kind < 99)
        make_or_free_manager(world);
    else
        renew_policy(world);
}

static void random_steps_match_the_model(void **state)
{
    World world = {.random = random_new("discard_claims_model"), .policy = pm_discard_policy_new()};
    unsigned n_steps = random_steps(STEPS);

    (void)state;
    for (unsigned i = 0; i < N_RAMS; i++)
        world.rams[i].ram = pm_ram_new(PM_RAM_MEMFD, SIZE, 0, NULL);
    for (unsigned i = 0; i < n_steps; i++) {
        take_step(&world);
        check(&world);
    }
    printf("%u done, %u refused\n", world.n_succeeded, world.n_refused);
    assert_true(n_steps < 1000 ||
                (world.n_succeeded > n_steps / 20 && world.n_refused > n_steps / 20));
    renew_policy(&world);
    pm_discard_policy_unref(world.policy);
    for (unsigned i = 0; i < N_RAMS; i++) {
        pm_discard_manager_unref(world.rams[i].manager);
        assert_true(g_atomic_ref_count_compare(&world.rams[i].ram->references, 1));
        pm_ram_unref(world.rams[i].ram);
    }
    g_rand_free(world.random);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_steps_match_the_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
