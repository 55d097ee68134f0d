/* A ring for many. It is no object of synchronisation: the stage makes one that nobody uses, and watches ours beside it. */
#include "mpmc_ring.h"
#include "scenes.h"

#define SHORT 20
#define LONG 1100
#define SLEEPERS 2

static struct ipk_mpmc mine;  /* of the victim, of those that die before, and of sleepers */
static struct ipk_mpmc other; /* of the survivor, too: another member */
static pid_t sleepers[SLEEPERS];
static struct ipk_mpmc_claim kept; /* a loan of the survivor's */

static void attach_to(struct ipk_mpmc *view)
{
	memset(view, 0, sizeof(*view));
	CHECK_EQ(ipk_mpmc_attach(view, fcntl(ring.segment.fd, F_DUPFD_CLOEXEC, 3)), 0);
	ipk_mpmc_set_spin(view, 0);
}

static void let_go_of(struct ipk_mpmc *view)
{
	if (view->shm) {
		ipk_mpmc_close(view);
		ipk_mpmc_unmap(view);
	}
}

static int send_one(struct ipk_mpmc *view, uint64_t number, uint64_t length)
{
	unsigned char message[LONG];

	memcpy(message, content(number), LONG);
	memcpy(message, &number, sizeof(number));
	return ipk_mpmc_try_send(view, message, length, 0);
}

static int64_t number_of(const unsigned char *message, uint64_t length)
{
	uint64_t number;

	CHECK(length == SHORT || length == LONG);
	memcpy(&number, message, sizeof(number));
	CHECK(memcmp(message + 8, content(number) + 8, length - 8) == 0);
	return (int64_t)number;
}

/* The number of the next message, which is whole; or why there is none. */
static int64_t receive_one(struct ipk_mpmc *view, int64_t deadline)
{
	unsigned char message[LONG];
	uint32_t stalled;
	int64_t rc;

	while ((rc = ipk_mpmc_try_receive_into(view, message, sizeof(message))) == -EAGAIN)
		if ((rc = ipk_mpmc_wait_message(view, deadline, &stalled)) < 0 && rc != -EAGAIN)
			return rc;
	return rc < 0 ? rc : number_of(message, (uint64_t)rc);
}

/* --- before ----------------------------------------------------------------------------------------------------------- */

static void make_by(uint32_t lose)
{
	struct ipk_mpmc_options options = usual();

	if (!checkpoint)
		prepare();
	options.on_consumer_death = lose;
	options.on_consumer_gone = IPK_MPMC_BLOCK;
	let_go_of(&other);
	let_go_of(&ring);
	make_with(&options);
	ipk_mpmc_set_spin(&ring, 0);
	attach_to(&other);
	CHECK_EQ(ipk_mpmc_join(&ring, IPK_ROSTER_ROLES), 0);
	also_watch(ring.shm, (uint64_t)(ring.data - (unsigned char *)ring.shm) + CAPACITY);
}

static void make_empty(void)
{
	make_by(IPK_MPMC_REDELIVER);
}

static void fill_with(uint64_t count)
{
	for (uint64_t number = 1; number <= count; number++)
		CHECK_EQ(send_one(&ring, number, number % 2 ? SHORT : LONG), 0);
}

static void make_with_two(void)
{
	make_empty();
	fill_with(2);
}

static void make_losing(void)
{
	make_by(IPK_MPMC_LOSE);
	fill_with(2);
}

static void make_with_a_loan_before(void)
{
	make_empty();
	CHECK_EQ(send_one(&ring, 99, SHORT), 0);
	CHECK_EQ(ipk_mpmc_try_receive(&ring, &kept, 1), 1);
	fill_with(2);
}

static void make_full(void)
{
	uint64_t number = 1;

	make_empty();
	while (send_one(&ring, number, LONG) == 0)
		number++;
	CHECK_EQ(number, 4);
}

static void stand_by(void)
{
	attach_to(&mine);
	CHECK_EQ(ipk_mpmc_join(&mine, IPK_ROSTER_ROLES), 0);
}

static void stand_by_without_role(void)
{
	attach_to(&mine);
}

static void reserve_it(void)
{
	struct ipk_mpmc_claim claim;

	stand_by();
	CHECK_EQ(ipk_mpmc_try_reserve(&mine, LONG, &claim), 0);
}

static void take_two(void)
{
	struct ipk_mpmc_claim loans[2];

	stand_by();
	CHECK_EQ(ipk_mpmc_try_receive(&mine, loans, 2), 2);
}

static void own_both_locks(void)
{
	stand_by();
	CHECK_EQ(ipk_lock_try(&mine.shm->send.lock, &mine.member), 0);
	CHECK_EQ(ipk_lock_try(&mine.shm->receive.lock, &mine.member), 0);
}

static void after_a_dead_producer(void)
{
	make_empty();
	die_after(reserve_it);
	fill_with(2);
}

static void after_a_dead_consumer(void)
{
	make_with_two();
	die_after(take_two);
}

static void after_a_dead_owner(void)
{
	make_with_two();
	die_after(own_both_locks);
}

static int sleep_for_message(void)
{
	int64_t got;

	attach_to(&mine);
	got = receive_one(&mine, IPK_NEVER);
	return got < 0 ? (int)got : 0;
}

static int sleep_for_room(void)
{
	uint32_t stalled;
	int rc;

	attach_to(&mine);
	while ((rc = send_one(&mine, 50, LONG)) == -EAGAIN)
		if ((rc = ipk_mpmc_wait_room(&mine, LONG, IPK_NEVER, &stalled)) < 0 && rc != -EAGAIN)
			break;
	return rc;
}

static void sleep_until_killed(void)
{
	sleep_for_message();
}

static void after_a_dead_sleeper(void)
{
	make_empty();
	die_asleep(sleep_until_killed);
}

static void start_readers(void)
{
	for (int i = 0; i < SLEEPERS; i++)
		sleepers[i] = start_sleeper(sleep_for_message);
}

static void start_writers(void)
{
	for (int i = 0; i < SLEEPERS; i++)
		sleepers[i] = start_sleeper(sleep_for_room);
}

static void make_with_readers(void)
{
	make_empty();
	when_entered(start_readers);
}

static void make_full_with_writers(void)
{
	make_full();
	when_entered(start_writers);
}

/* --- the operations of the victim --------------------------------------------------------------------------------------- */

static void send_short(void)
{
	send_one(&mine, 10, SHORT);
}

static void send_long(void)
{
	send_one(&mine, 10, LONG);
}

static void send_several(void)
{
	struct ipk_slice slices[3];
	unsigned char messages[3][LONG];

	for (uint64_t i = 0; i < 3; i++) {
		uint64_t number = 10 + i;

		memcpy(messages[i], content(number), LONG);
		memcpy(messages[i], &number, sizeof(number));
		slices[i] = (struct ipk_slice){messages[i], SHORT};
	}
	ipk_mpmc_try_send_many(&mine, slices, 3);
}

static void send_in_place(void)
{
	struct ipk_mpmc_claim claim;
	unsigned char *to;
	uint64_t number = 10;

	if (ipk_mpmc_try_reserve(&mine, SHORT + 40, &claim) < 0)
		return;
	to = (unsigned char *)ipk_mpmc_data(&mine) + claim.offset;
	memcpy(to, content(number), SHORT);
	memcpy(to, &number, sizeof(number));
	ipk_mpmc_commit(&mine, &claim, SHORT, 0);
}

static void reserve_and_abort(void)
{
	struct ipk_mpmc_claim claim;

	if (ipk_mpmc_try_reserve(&mine, SHORT, &claim) == 0)
		ipk_mpmc_abort(&mine, &claim);
}

static void receive_short(void)
{
	unsigned char message[SHORT];
	uint32_t length;

	ipk_mpmc_try_copy(&mine, message, sizeof(message), &length, 1);
}

static void receive_both(void)
{
	struct ipk_mpmc_claim loans[2];
	int64_t lent = ipk_mpmc_try_receive(&mine, loans, 2);

	if (lent > 0)
		ipk_mpmc_release(&mine, loans, (uint32_t)lent);
}

static void borrow_and_return(void)
{
	struct ipk_mpmc_claim loans[2];
	int64_t lent = ipk_mpmc_try_receive(&mine, loans, 2);

	if (lent > 0)
		ipk_mpmc_return_loan(&mine, loans, (uint32_t)lent);
}

static void receive_waiting(void)
{
	receive_one(&mine, IPK_NEVER);
}

static void send_waiting(void)
{
	uint32_t stalled;

	while (send_one(&mine, 10, LONG) == -EAGAIN)
		ipk_mpmc_wait_room(&mine, LONG, IPK_NEVER, &stalled);
}

static void close_it(void)
{
	ipk_mpmc_close(&mine);
}

static void send_one_for_it(void)
{
	CHECK_EQ(send_one(&ring, 1, SHORT), 0);
}

static void make_room_for_it(void)
{
	CHECK_EQ(receive_one(&ring, 0), 1);
	CHECK_EQ(receive_one(&ring, 0), 2);
}

/* --- after -------------------------------------------------------------------------------------------------------------- */

/* All that is there, in order, is taken by the two in turn. Returns how many; numbers[]: which. */
static int take_all(int64_t *numbers)
{
	int count = 0;

	for (;; count++) {
		int64_t got = receive_one(count % 2 ? &ring : &other, 0);

		if (got == -ETIMEDOUT)
			return count;
		CHECK(got > 0 && count < 8);
		numbers[count] = got;
	}
}

/* All of the space is there again, and no role of the dead. */
static void works(void)
{
	struct ipk_mpmc_stat stat;

	CHECK_EQ(ipk_mpmc_living(&ring, IPK_ROSTER_PRODUCER), 1);
	CHECK_EQ(ipk_mpmc_wait_room(&ring, LARGEST, promised(), &(uint32_t){0}), 0);
	CHECK_EQ(ipk_mpmc_try_send(&ring, bytes, LARGEST, 0), 0);
	CHECK_EQ(send_one(&ring, 5, SHORT), -EAGAIN);
	CHECK_EQ(ipk_mpmc_try_receive(&other, &kept, 1), 1);
	CHECK(memcmp(other.data + kept.offset, bytes, LARGEST) == 0);
	CHECK_EQ(ipk_mpmc_release(&other, &kept, 1), 0);
	CHECK_EQ(ipk_mpmc_stat(&ring, &stat), 0);
	CHECK_EQ(stat.used, 0);
	CHECK_EQ(stat.depth, 0);
}

/* Of what the victim sent, `least` to `most` arrive, from 10 on; before it, and behind it, what was there. */
static void arrived(int before, int least, int most)
{
	int64_t numbers[8];
	int count = take_all(numbers);

	CHECK_RANGE(count, before + least, before + most);
	for (int i = 0; i < count; i++)
		CHECK_EQ(numbers[i], i < before ? i + 1 : i - before + 10);
	works();
}

static void after_send(int completed)
{
	arrived(0, completed, 1);
}

static void after_several(int completed)
{
	arrived(0, completed ? 3 : 0, 3);
}

static void after_nothing(int completed)
{
	(void)completed;
	arrived(0, 0, 0);
}

static void after_send_behind_two(int completed)
{
	arrived(2, completed, 1);
}

/* Of the two that were there, the first `taken` at most have been received; if completed, exactly. */
static void remain(int completed, int taken)
{
	int64_t numbers[8];
	int count = take_all(numbers);

	CHECK_RANGE(count, 2 - taken, completed ? 2 - taken : 2);
	if (count == 1)
		CHECK_EQ(numbers[0], 2);
	if (count == 2) /* what the dead had taken comes when its death is noticed, perhaps after what came later */
		CHECK(numbers[0] + numbers[1] == 3 && (taken > 1 || numbers[0] == 1));
	works();
}

static void after_receive(int completed)
{
	remain(completed, 1);
}

static void after_both(int completed)
{
	remain(completed, 2);
}

static void after_return(int completed)
{
	int64_t numbers[8];

	CHECK_EQ(take_all(numbers), 2);
	CHECK(numbers[0] + numbers[1] == 3 && (!completed || numbers[0] == 1));
	works();
}

static void after_both_or_lost(int completed)
{
	struct ipk_mpmc_stat stat;
	int64_t numbers[8];
	int count = take_all(numbers);

	CHECK_EQ(ipk_mpmc_stat(&ring, &stat), 0);
	CHECK_RANGE(count, 0, completed ? 0 : 2);
	CHECK_RANGE(stat.lost, 0, completed ? 0 : 2);
	works();
}

static void after_receive_behind_a_loan(int completed)
{
	int64_t numbers[8];
	int count = take_all(numbers);

	CHECK_RANGE(count, 1, completed ? 1 : 2);
	CHECK_EQ(numbers[count - 1], 2);
	CHECK(memcmp(ring.data + kept.offset + 8, content(99) + 8, SHORT - 8) == 0);
	CHECK_EQ(ipk_mpmc_release(&ring, &kept, 1), 0);
	works();
}

static void after_send_to_readers(int completed)
{
	(void)completed;
	for (uint64_t i = 0; i < SLEEPERS; i++)
		CHECK_EQ(send_one(&ring, 1 + i, SHORT), 0);
	for (int i = 0; i < SLEEPERS; i++)
		CHECK_EQ(result_of(sleepers[i]), 0);
	/* of the victim's and ours, two have been received */
	CHECK_RANGE(receive_one(&ring, 0) > 0, completed, 1);
	CHECK_EQ(receive_one(&ring, 0), -ETIMEDOUT);
	works();
}

/* The producers that sleep get their room, whether the victim made it or we do. */
static void after_making_room(int completed)
{
	int64_t got;
	int fifties = 0;

	(void)completed;
	while ((got = receive_one(&ring, 0)) != -ETIMEDOUT) {
		CHECK(got > 0);
		fifties += got == 50;
	}
	for (int i = 0; i < SLEEPERS; i++)
		CHECK_EQ(result_of(sleepers[i]), 0);
	while ((got = receive_one(&ring, 0)) != -ETIMEDOUT)
		fifties += got == 50;
	CHECK_EQ(fifties, SLEEPERS);
	works();
}

static void after_waiting(int completed)
{
	int64_t numbers[8];
	int count = take_all(numbers);

	CHECK_RANGE(count, 0, !completed);
	works();
}

static void after_waiting_for_room(int completed)
{
	int64_t numbers[8];
	int count = take_all(numbers);

	CHECK_RANGE(count, 1, 4);
	for (int i = 0; i < count; i++) {
		CHECK(numbers[i] == 10 || (numbers[i] >= 1 && numbers[i] <= 3));
		CHECK(i == 0 || numbers[i] > numbers[i - 1]);
	}
	if (completed)
		CHECK_EQ(numbers[count - 1], 10);
	works();
}

static void leave_to_it(void)
{
	ipk_roster_leave(&ring.roster, IPK_ROSTER_PRODUCER);
	start_readers();
}

static void make_for_close(void)
{
	make_empty();
	when_entered(leave_to_it);
}

static void after_close(int completed)
{
	for (int i = 0; i < SLEEPERS; i++) {
		int rc = result_of(sleepers[i]);

		CHECK(rc == -EPIPE || (rc == -EOWNERDEAD && !completed));
	}
	CHECK_EQ(ipk_mpmc_join(&ring, IPK_ROSTER_PRODUCER), 0);
	arrived(0, 0, 0);
}

#define SCENE(name, ...) {"mpmc: " name, IPK_SYNC_ONCE, 0, 0, __VA_ARGS__}

static const struct scene scenes[] = {
	SCENE("the first message of a process", make_empty, stand_by_without_role, send_short, NULL, after_send),
	SCENE("send", make_empty, stand_by, send_short, NULL, after_send),
	SCENE("send behind others", make_with_two, stand_by, send_short, NULL, after_send_behind_two),
	SCENE("send, consumers sleep", make_with_readers, stand_by, send_short, NULL, after_send_to_readers),
	SCENE("send, a consumer died asleep", after_a_dead_sleeper, stand_by, send_short, NULL, after_send),
	SCENE("send a long one", make_empty, stand_by, send_long, NULL, after_send),
	SCENE("send a long one, consumers sleep", make_with_readers, stand_by, send_long, NULL, after_send_to_readers),
	SCENE("send several", make_empty, stand_by, send_several, NULL, after_several),
	SCENE("send in place, and shorten it", make_empty, stand_by, send_in_place, NULL, after_send),
	SCENE("reserve and abort", make_empty, stand_by, reserve_and_abort, NULL, after_nothing),
	SCENE("send, an owner of the locks is dead", after_a_dead_owner, stand_by, send_waiting, let_time_pass, after_send_behind_two),
	SCENE("wait for room", make_full, stand_by, send_waiting, make_room_for_it, after_waiting_for_room),
	SCENE("the first receive of a process", make_with_two, stand_by_without_role, receive_short, NULL, after_receive),
	SCENE("receive", make_with_two, stand_by, receive_short, NULL, after_receive),
	SCENE("receive behind a loan", make_with_a_loan_before, stand_by, receive_short, NULL, after_receive_behind_a_loan),
	SCENE("receive on loan", make_with_two, stand_by, receive_both, NULL, after_both),
	SCENE("receive on loan, the dead lose", make_losing, stand_by, receive_both, NULL, after_both_or_lost),
	SCENE("borrow and return", make_with_two, stand_by, borrow_and_return, NULL, after_return),
	SCENE("receive, producers sleep", make_full_with_writers, stand_by, receive_waiting, NULL, after_making_room),
	SCENE("receive, an owner of the locks is dead", after_a_dead_owner, stand_by, receive_waiting, let_time_pass, after_receive),
	SCENE("receive, a producer died before", after_a_dead_producer, stand_by, receive_waiting, let_time_pass, after_receive),
	SCENE("receive, a consumer died with it", after_a_dead_consumer, stand_by, receive_waiting, let_time_pass, after_receive),
	SCENE("wait for a message", make_empty, stand_by, receive_waiting, send_one_for_it, after_waiting),
	SCENE("close", make_for_close, stand_by, close_it, NULL, after_close),
};

const struct scene *const mpmc_scenes = scenes;
const size_t mpmc_scene_count = sizeof(scenes) / sizeof(scenes[0]);
