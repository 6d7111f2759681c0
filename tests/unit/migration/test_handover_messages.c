/* SPDX-License-Identifier: MIT */
/* What a peer may send, and when it may close its end. */
#include "handover_world.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "iommu/handover.h"
#include "migration/handover_state.h"
#include "util/backend_util.h"

/* --- a receiver that follows the protocol up to a point --- */

static void say(HandoverWorld *world, PmChannelType type)
{
    assert_true(pm_channel_send(world->sockets[1], type, NULL, 0, NULL, 0, NULL));
}

static void expect(HandoverWorld *world, PmChannelType type)
{
    g_auto(PmMessage) message = {0};

    assert_true(pm_channel_receive(world->sockets[1], &message, NULL));
    assert_int_equal(message.type, type);
}

static void close_end(HandoverWorld *world)
{
    close(world->sockets[1]);
    world->sockets[1] = -1;
}

typedef void (*Receiver)(HandoverWorld *world);

static void run_with(HandoverWorld *world, Receiver receiver)
{
    GThread *thread = handover_start_sending(world);

    receiver(world);
    g_thread_join(thread);
}

static void closes_at_once(HandoverWorld *world)
{
    close_end(world);
}

static void closes_after_the_offer(HandoverWorld *world)
{
    expect(world, PM_CHANNEL_OFFER);
    close_end(world);
}

static void closes_after_accepting(HandoverWorld *world)
{
    expect(world, PM_CHANNEL_OFFER);
    say(world, PM_CHANNEL_ACCEPT);
    close_end(world);
}

static void closes_when_frozen(HandoverWorld *world)
{
    expect(world, PM_CHANNEL_OFFER);
    say(world, PM_CHANNEL_ACCEPT);
    expect(world, PM_CHANNEL_FROZEN);
    close_end(world);
}

static void refuses_when_frozen(HandoverWorld *world)
{
    expect(world, PM_CHANNEL_OFFER);
    say(world, PM_CHANNEL_ACCEPT);
    expect(world, PM_CHANNEL_FROZEN);
    say(world, PM_CHANNEL_REFUSE);
}

static void speaks_out_of_order(HandoverWorld *world)
{
    expect(world, PM_CHANNEL_OFFER);
    say(world, PM_CHANNEL_DONE);
    expect(world, PM_CHANNEL_ABORT);
    close_end(world);
}

static void speaks_nonsense(HandoverWorld *world)
{
    static const char nonsense[64] = "Is this a mail server?";

    expect(world, PM_CHANNEL_OFFER);
    assert_int_equal(send(world->sockets[1], nonsense, sizeof nonsense, 0), sizeof nonsense);
    expect(world, PM_CHANNEL_ABORT);
    close_end(world);
}

static void old_process_continues_after(void **state, Receiver receiver)
{
    HandoverWorld *world = *state;

    run_with(world, receiver);
    assert_non_null(world->old.error);
    handover_assert_owner(world, &world->old);
}

#define CONTINUES(name)                                                                            \
    static void old_process_continues_if_the_peer_##name(void **state)                             \
    {                                                                                              \
        old_process_continues_after(state, name);                                                  \
    }
CONTINUES(closes_at_once)
CONTINUES(closes_after_the_offer)
CONTINUES(closes_after_accepting)
CONTINUES(closes_when_frozen)
CONTINUES(refuses_when_frozen)
CONTINUES(speaks_out_of_order)
CONTINUES(speaks_nonsense)

/* The first address is not set again: the others are. */
static void addresses_that_can_be_set_are_set(void **state)
{
    HandoverWorld *world = *state;
    g_autoptr(GError) error = NULL;

    handover_end_dma(world);
    pm_fake_kernel_fail(world->fake, PM_FAKE_CALL_MAP, 1, ENOMEM);
    run_with(world, refuses_when_frozen);
    assert_true(pm_mapper_audit(world->old.mappers[MAIN], NULL, NULL, NULL));
    assert_false(pm_iommu_attach(world->old.iommus[MAIN], "0000:00:05.0", &error));
    handover_assert_error(&error, PM_ERROR_BUSY, "EBUSY");
    assert_true(pm_mapper_remove(world->old.mappers[MAIN], PLAIN, NULL));
    assert_true(pm_iommu_attach(world->old.iommus[MAIN], "0000:00:05.0", NULL));
}

static void commits_and_closes(HandoverWorld *world)
{
    expect(world, PM_CHANNEL_OFFER);
    say(world, PM_CHANNEL_ACCEPT);
    expect(world, PM_CHANNEL_FROZEN);
    say(world, PM_CHANNEL_COMMIT);
    close_end(world);
}

static void commit_counts_even_if_the_peer_is_gone(void **state)
{
    HandoverWorld *world = *state;

    run_with(world, commits_and_closes);
    assert_false(world->old.owns);
    assert_false(pm_mapper_audit(world->old.mappers[MAIN], NULL, NULL, NULL));
}

/* Whoever broke the protocol: the peer thinks that it owns everything. */
static void commits_out_of_order(HandoverWorld *world)
{
    expect(world, PM_CHANNEL_OFFER);
    say(world, PM_CHANNEL_FROZEN);
    expect(world, PM_CHANNEL_ABORT);
    say(world, PM_CHANNEL_COMMIT);
}

static void commit_counts_after_an_abort(void **state)
{
    HandoverWorld *world = *state;

    run_with(world, commits_out_of_order);
    assert_false(world->old.owns);
}

/* --- a sender that follows the protocol up to a point --- */

/* What the old process offers, for a sender of the test's own. */
typedef struct {
    PmMessage offer;
    int sockets[2]; /* between that sender and the receiver */
} Replay;

static void take_offer(HandoverWorld *world)
{
    g_auto(PmMessage) offer = {0};

    assert_true(pm_channel_receive(world->sockets[1], &offer, NULL));
    assert_int_equal(offer.type, PM_CHANNEL_OFFER);
    world->user_data = g_memdup2(&offer, sizeof offer);
    offer = (PmMessage){0};
    say(world, PM_CHANNEL_REFUSE);
}

static Replay *make_replay(HandoverWorld *world)
{
    Replay *replay = g_new0(Replay, 1);

    run_with(world, take_offer);
    replay->offer = *(PmMessage *)world->user_data;
    g_free(world->user_data);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, replay->sockets), 0);
    return replay;
}

static void free_replay(Replay *replay)
{
    for (unsigned i = 0; i < 2; i++)
        if (replay->sockets[i] >= 0)
            close(replay->sockets[i]);
    pm_message_clear(&replay->offer);
    g_free(replay);
}

static void offer_again(const Replay *replay, size_t size, size_t n_fds)
{
    assert_true(pm_channel_send(replay->sockets[0], PM_CHANNEL_OFFER, replay->offer.payload, size,
                                replay->offer.fds, n_fds, NULL));
}

static PmHandover *receive(HandoverWorld *world, const Replay *replay, GError **error)
{
    return pm_handover_receive(&world->new.process.parent, replay->sockets[1], error);
}

static void assert_offer_is_invalid(HandoverWorld *world, const Replay *replay, size_t size,
                                    size_t n_fds)
{
    g_auto(PmMessage) answer = {0};
    g_autoptr(GError) error = NULL;

    offer_again(replay, size, n_fds);
    assert_null(receive(world, replay, &error));
    handover_assert_error(&error, PM_ERROR_BAD_INPUT, "invalid offer of the other process");
    assert_true(pm_channel_receive(replay->sockets[0], &answer, NULL));
    assert_int_equal(answer.type, PM_CHANNEL_REFUSE);
}

static void truncated_offers_are_refused(void **state)
{
    HandoverWorld *world = *state;
    Replay *replay = make_replay(world);

    for (size_t size = 0; size < replay->offer.size; size += 4)
        assert_offer_is_invalid(world, replay, size, replay->offer.n_fds);
    free_replay(replay);
    handover_assert_owner(world, &world->old);
}

static void missing_descriptors_are_refused(void **state)
{
    HandoverWorld *world = *state;
    Replay *replay = make_replay(world);

    for (size_t n_fds = 0; n_fds < replay->offer.n_fds; n_fds++)
        assert_offer_is_invalid(world, replay, replay->offer.size, n_fds);
    free_replay(replay);
    handover_assert_owner(world, &world->old);
}

/* --- a changed offer --- */

static void write_offer(Replay *replay, const PmHandoverState *state)
{
    g_auto(PmWireWriter) writer = {0};

    pm_handover_state_write(state, &writer);
    g_free(replay->offer.payload);
    replay->offer.payload = g_memdup2(writer.bytes, writer.size);
    replay->offer.size = writer.size;
}

/* Nobody would own it. */
static void address_space_without_a_mapper_is_refused(void **state)
{
    HandoverWorld *world = *state;
    Replay *replay = make_replay(world);
    g_auto(PmHandoverState) offered;

    pm_handover_state_init(&offered);
    assert_true(pm_handover_state_read(&offered, &replay->offer, NULL));
    pm_handover_state_mapper(&offered, MOVED)->space = 0;
    pm_handover_state_mapper(&offered, BESIDE)->space = 0;
    write_offer(replay, &offered);
    assert_offer_is_invalid(world, replay, replay->offer.size, replay->offer.n_fds);
    free_replay(replay);
    handover_assert_owner(world, &world->old);
}

/* Refused, or it changed nothing that matters: the sender is gone when the receiver accepts, so it
 * takes over what it has verified. */
static void try_changed_offer(HandoverWorld *world, Replay *replay)
{
    PmHandover *handover;

    offer_again(replay, replay->offer.size, replay->offer.n_fds);
    assert_true(pm_channel_send(replay->sockets[0], PM_CHANNEL_ABORT, NULL, 0, NULL, 0, NULL));
    handover = receive(world, replay, NULL);
    if (handover != NULL)
        assert_false(pm_handover_take_over(handover, world->new.iommus, world->new.mappers, NULL));
    pm_handover_free(handover);
    for (unsigned i = 0; i < 2; i++)
        close(replay->sockets[i]);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, replay->sockets), 0);
}

/* With the sender's ABORT nothing is taken over, whatever is in the offer. */
static void changed_offers_do_no_harm(void **state)
{
    HandoverWorld *world = *state;
    Replay *replay = make_replay(world);
    char *payload = replay->offer.payload;

    for (size_t i = 0; i < replay->offer.size; i++)
        for (unsigned bit = 0; bit < 8; bit += 7) {
            payload[i] = (char)(payload[i] ^ (1 << bit));
            try_changed_offer(world, replay);
            payload[i] = (char)(payload[i] ^ (1 << bit));
        }
    free_replay(replay);
    handover_assert_owner(world, &world->old);
}

static void another_file_than_described_is_refused(void **state)
{
    HandoverWorld *world = *state;
    Replay *replay = make_replay(world);
    int *fds = replay->offer.fds;
    size_t last = replay->offer.n_fds - 1;
    int file = fds[last];
    g_autoptr(GError) error = NULL;

    fds[last] = fds[last - 1];
    offer_again(replay, replay->offer.size, replay->offer.n_fds);
    assert_null(receive(world, replay, &error));
    handover_assert_error(&error, PM_ERROR_AUDIT, "is not the file of the RAM");
    fds[last] = file;
    free_replay(replay);
    handover_assert_owner(world, &world->old);
}

static void mappings_that_the_kernel_lacks_are_refused(void **state)
{
    HandoverWorld *world = *state;
    Replay *replay = make_replay(world);
    PmHandover *handover;
    g_autoptr(GError) error = NULL;

    handover_end_dma(world);
    assert_true(pm_discard_source_discard(world->old.source, 0, 2 * BLOCK, 0, NULL));
    offer_again(replay, replay->offer.size, replay->offer.n_fds);
    handover = handover_receive_and_restore(&world->new, replay->sockets[1]);
    assert_non_null(handover);
    assert_false(pm_handover_take_over(handover, world->new.iommus, world->new.mappers, &error));
    handover_assert_error(&error, PM_ERROR_AUDIT, "the kernel has none of the 2 mappings");
    pm_handover_free(handover);
    free_replay(replay);
    assert_true(pm_mapper_audit(world->old.mappers[MAIN], NULL, NULL, NULL));
}

static void offer_of_another_version_is_refused(void **state)
{
    HandoverWorld *world = *state;
    Replay *replay = make_replay(world);
    struct {
        uint64_t magic;
        uint32_t version;
        uint32_t rest[5];
    } header;
    g_autoptr(GError) error = NULL;

    offer_again(replay, 0, 0);
    assert_int_equal(recv(replay->sockets[1], &header, sizeof header, 0), sizeof header);
    header.version++;
    assert_int_equal(send(replay->sockets[0], &header, sizeof header, 0), sizeof header);
    assert_null(receive(world, replay, &error));
    handover_assert_error(&error, PM_ERROR_BAD_INPUT, "has version 2 of the handover protocol");
    free_replay(replay);
}

static void offer_can_be_taken_over_once(void **state)
{
    HandoverWorld *world = *state;
    Replay *replay = make_replay(world);
    PmHandover *handover;
    g_autoptr(GError) error = NULL;

    offer_again(replay, replay->offer.size, replay->offer.n_fds);
    assert_true(pm_channel_send(replay->sockets[0], PM_CHANNEL_ABORT, NULL, 0, NULL, 0, NULL));
    handover = handover_receive_and_restore(&world->new, replay->sockets[1]);
    assert_false(pm_handover_take_over(handover, world->new.iommus, world->new.mappers, &error));
    handover_assert_error(&error, PM_ERROR_BAD_INPUT, "the sender of the handover failed");
    assert_false(pm_handover_take_over(handover, world->new.iommus, world->new.mappers, &error));
    handover_assert_error(&error, PM_ERROR_INVALID_ARGUMENT, "has failed: receive another one");
    pm_handover_free(handover);
    free_replay(replay);
    handover_assert_owner(world, &world->old);
}

/* --- a sender that dies --- */

/* The dead one's objects are only to be dropped. */
static void bury(HandoverWorld *world)
{
    world->old.process.is_dead = true;
    world->old.owns = false;
    pm_iommu_handover_let_go(world->old.iommus[MAIN]);
    pm_iommu_handover_let_go(world->old.iommus[MOVED]);
}

/* @last: what it sends before it dies; CLOSED: nothing. */
static void new_process_takes_over_after(void **state, PmChannelType last)
{
    HandoverWorld *world = *state;
    Side *new = &world->new;
    Replay *replay = make_replay(world);
    PmHandover *handover;
    g_autoptr(GError) error = NULL;

    bury(world);
    offer_again(replay, replay->offer.size, replay->offer.n_fds);
    if (last != PM_CHANNEL_CLOSED)
        assert_true(pm_channel_send(replay->sockets[0], last, NULL, 0, NULL, 0, NULL));
    close(replay->sockets[0]);
    replay->sockets[0] = -1;
    handover = handover_receive_and_restore(new, replay->sockets[1]);
    assert_non_null(handover);
    new->owns = pm_handover_take_over(handover, new->iommus, new->mappers, &error);
    if (!new->owns)
        fail_msg("%s", error->message);
    pm_handover_free(handover);
    free_replay(replay);
    handover_assert_owner(world, new);
}

static void new_process_takes_over_if_the_old_one_dies_after_the_offer(void **state)
{
    new_process_takes_over_after(state, PM_CHANNEL_CLOSED);
}

static void new_process_takes_over_if_the_old_one_dies_when_frozen(void **state)
{
    new_process_takes_over_after(state, PM_CHANNEL_FROZEN);
}

static void freeing_nothing_does_nothing(void **state)
{
    (void)state;
    pm_handover_free(NULL);
}

#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, handover_world_setup, handover_world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(old_process_continues_if_the_peer_closes_at_once),
        TEST(old_process_continues_if_the_peer_closes_after_the_offer),
        TEST(old_process_continues_if_the_peer_closes_after_accepting),
        TEST(old_process_continues_if_the_peer_closes_when_frozen),
        TEST(old_process_continues_if_the_peer_refuses_when_frozen),
        TEST(old_process_continues_if_the_peer_speaks_out_of_order),
        TEST(old_process_continues_if_the_peer_speaks_nonsense),
        BACKEND_TYPE1_ONLY(TEST(addresses_that_can_be_set_are_set)),
        TEST(commit_counts_even_if_the_peer_is_gone),
        TEST(commit_counts_after_an_abort),
        TEST(truncated_offers_are_refused),
        TEST(missing_descriptors_are_refused),
        TEST(address_space_without_a_mapper_is_refused),
        TEST(changed_offers_do_no_harm),
        TEST(another_file_than_described_is_refused),
        TEST(mappings_that_the_kernel_lacks_are_refused),
        TEST(offer_of_another_version_is_refused),
        TEST(offer_can_be_taken_over_once),
        TEST(new_process_takes_over_if_the_old_one_dies_after_the_offer),
        TEST(new_process_takes_over_if_the_old_one_dies_when_frozen),
        cmocka_unit_test(freeing_nothing_does_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
