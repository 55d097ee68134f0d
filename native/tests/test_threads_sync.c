/* Members, objects, locks and the mutex between threads, for ThreadSanitizer: what they protect is plain data, so that an
 * order that is missing is a race (party.h).
 */
#include <errno.h>

#include <sys/wait.h>

#include "ipckit/mutex.h"
#include "ipckit/thread.h"
#include "party.h"

static const int64_t budgets[] = {0, IPK_SPIN_DEFAULT_NS}; /* asleep most of the time; awake most of the time */

static struct {
	uint64_t count;
	uint64_t copies[6];
} guarded; /* by the object of the test */

static void change(void)
{
	guarded.count++;
	for (int i = 0; i < 6; i++) {
		CHECK_EQ(guarded.copies[i], guarded.count - 1);
		guarded.copies[i] = guarded.count;
	}
}

static void begin_mutex(uint32_t options)
{
	memset(&guarded, 0, sizeof(guarded));
	make_object(IPK_SYNC_MUTEX, options, 0, NULL);
}

static int acquire(struct ipk_sync *view)
{
	int rc = ipk_mutex_try(view);

	while (rc == -EAGAIN)
		rc = ipk_mutex_wait(view, IPK_NEVER);
	return rc;
}

static void *change_by_turns(void *party)
{
	struct ipk_sync *view = &((struct party *)party)->view;

	for (int i = 0; i < ROUNDS; i++) {
		CHECK_EQ(acquire(view), 0);
		change();
		CHECK_EQ(ipk_mutex_release(view), 0);
	}
	return NULL;
}

static void the_mutex_orders_what_it_protects(void)
{
	for (size_t i = 0; i < 2; i++) {
		struct party parties[PARTIES];

		begin_mutex(0);
		for (int k = 0; k < PARTIES; k++)
			attach(&parties[k], IPK_SYNC_MUTEX, budgets[i]);
		run_all(change_by_turns, parties, sizeof(parties[0]), PARTIES);
		CHECK_EQ(guarded.count, PARTIES * ROUNDS);
		for (int k = 0; k < PARTIES; k++)
			depart(&parties[k]);
		close_home();
	}
}

static void *change_by_turns_of_one_view(void *view)
{
	return change_by_turns((char *)*(void **)view - offsetof(struct party, view));
}

static void threads_of_one_view_exclude_each_other(void)
{
	struct party party;
	void *views[PARTIES];

	begin_mutex(0);
	attach(&party, IPK_SYNC_MUTEX, IPK_SPIN_DEFAULT_NS);
	for (int k = 0; k < PARTIES; k++)
		views[k] = &party.view;
	run_all(change_by_turns_of_one_view, views, sizeof(views[0]), PARTIES);
	CHECK_EQ(guarded.count, PARTIES * ROUNDS);
	depart(&party);
	close_home();
}

static void *change_impatiently(void *party)
{
	struct ipk_sync *view = &((struct party *)party)->view;

	for (int i = 0; i < ROUNDS;) {
		int rc = ipk_mutex_wait(view, ipk_monotonic_ns() + 20000);

		CHECK(rc == 0 || rc == -ETIMEDOUT || rc == -EAGAIN);
		if (rc < 0)
			continue;
		change();
		CHECK_EQ(ipk_mutex_release(view), 0);
		i++;
	}
	return NULL;
}

static void deadlines_pass_while_the_mutex_changes_hands(void)
{
	struct party parties[PARTIES];

	begin_mutex(0);
	for (int k = 0; k < PARTIES; k++)
		attach(&parties[k], IPK_SYNC_MUTEX, 0);
	run_all(change_impatiently, parties, sizeof(parties[0]), PARTIES);
	CHECK_EQ(guarded.count, PARTIES * ROUNDS);
	for (int k = 0; k < PARTIES; k++)
		depart(&parties[k]);
	close_home();
}

#define TERM 20

/* Takes it also from the dead, without waiting for a slice. */
static int acquire_at_once(struct ipk_sync *view)
{
	int rc = ipk_mutex_try(view);

	while (rc == -EAGAIN) {
		sched_yield();
		rc = ipk_mutex_recover(view);
	}
	return rc;
}

static _Atomic uint32_t left, told; /* how often the mutex was left by a death, and others told so */

static void repair(struct ipk_sync *view)
{
	atomic_fetch_add_explicit(&told, 1, memory_order_relaxed);
	CHECK_EQ(ipk_mutex_consistent(view), 0);
}

static void *die_at_times(void *unused)
{
	struct party party;

	(void)unused;
	attach(&party, IPK_SYNC_MUTEX, 0);
	for (int i = 1; i <= ROUNDS / 4; i++) {
		int rc = acquire_at_once(&party.view);

		if (rc == -EOWNERDEAD) {
			after_death();
			repair(&party.view);
		} else {
			CHECK_EQ(rc, 0);
		}
		change();
		if (i % TERM == 0) {
			atomic_fetch_add_explicit(&left, 1, memory_order_relaxed);
			die(&party);
			attach(&party, IPK_SYNC_MUTEX, 0);
		} else {
			CHECK_EQ(ipk_mutex_release(&party.view), 0);
		}
	}
	depart(&party);
	return NULL;
}

/* The last death is told to whoever asks. */
static void check_told(void)
{
	struct party party;
	int rc;

	attach(&party, IPK_SYNC_MUTEX, 0);
	rc = ipk_mutex_recover(&party.view);
	if (rc == -EOWNERDEAD)
		repair(&party.view);
	else
		CHECK_EQ(rc, 0);
	CHECK_EQ(ipk_mutex_release(&party.view), 0);
	CHECK_EQ(atomic_load(&told), atomic_load(&left));
	depart(&party);
}

static void each_death_is_told_once(void)
{
	char unused[PARTIES];

	begin_mutex(0);
	atomic_store(&left, 0);
	atomic_store(&told, 0);
	run_all(die_at_times, unused, 1, PARTIES);
	CHECK_EQ(guarded.count, PARTIES * (ROUNDS / 4));
	CHECK_EQ(atomic_load(&left), PARTIES * (ROUNDS / 4 / TERM));
	check_told();
	close_home();
}

static void *abandon_at_times(void *party)
{
	struct ipk_sync *view = &((struct party *)party)->view;

	for (int i = 1; i <= ROUNDS; i++) {
		int rc = acquire(view);

		if (rc == -EOWNERDEAD)
			repair(view); /* the lock alone orders what the one who left did */
		else
			CHECK_EQ(rc, 0);
		change();
		if (i % TERM == 0) {
			atomic_fetch_add_explicit(&left, 1, memory_order_relaxed);
			CHECK_EQ(ipk_mutex_abandon(view), 1);
		} else {
			CHECK_EQ(ipk_mutex_release(view), 0);
		}
	}
	return NULL;
}

static void what_was_abandoned_is_the_next_owners(void)
{
	struct party parties[PARTIES];

	begin_mutex(0);
	atomic_store(&left, 0);
	atomic_store(&told, 0);
	for (int k = 0; k < PARTIES; k++)
		attach(&parties[k], IPK_SYNC_MUTEX, IPK_SPIN_DEFAULT_NS);
	run_all(abandon_at_times, parties, sizeof(parties[0]), PARTIES);
	CHECK_EQ(guarded.count, PARTIES * ROUNDS);
	for (int k = 0; k < PARTIES; k++)
		depart(&parties[k]);
	check_told();
	close_home();
}

static void *wait_for_the_lost(void *party)
{
	int rc = acquire(&((struct party *)party)->view);

	CHECK_EQ(rc, -ENOTRECOVERABLE);
	return NULL;
}

static void all_learn_that_it_is_lost(void)
{
	for (int round = 0; round < 50; round++) {
		struct party parties[PARTIES], owner;
		pthread_t threads[PARTIES];

		begin_mutex(0);
		attach(&owner, IPK_SYNC_MUTEX, 0);
		CHECK_EQ(acquire(&owner.view), 0);
		CHECK_EQ(ipk_mutex_abandon(&owner.view), 1);
		CHECK_EQ(acquire(&owner.view), -EOWNERDEAD);
		for (int k = 0; k < PARTIES; k++) {
			attach(&parties[k], IPK_SYNC_MUTEX, 0);
			threads[k] = run(wait_for_the_lost, &parties[k]);
		}
		CHECK_EQ(ipk_mutex_release(&owner.view), 0);
		for (int k = 0; k < PARTIES; k++) {
			CHECK_EQ(pthread_join(threads[k], NULL), 0);
			depart(&parties[k]);
		}
		depart(&owner);
		close_home();
	}
}

/* One member, two views: this one is closed again and again while its thread acquires and releases ... */
static _Atomic int closing;

static void *use_what_is_closed(void *view)
{
	for (int i = 0; i < ROUNDS; i++) {
		int rc = acquire(view);

		CHECK(rc == 0 || rc == -EOWNERDEAD);
		if (rc == -EOWNERDEAD)
			ipk_mutex_consistent(view); /* -EPERM: closed meanwhile */
		rc = ipk_mutex_release(view);
		CHECK(rc == 0 || rc == -EPERM);
	}
	/* relaxed: the others need not know at once */
	atomic_store_explicit(&closing, 0, memory_order_relaxed);
	return NULL;
}

static void *close_again_and_again(void *view)
{
	while (atomic_load_explicit(&closing, memory_order_relaxed)) { /* relaxed: as above */
		ipk_mutex_abandon(view);
		sched_yield();
	}
	return NULL;
}

/* ... and whoever acquires through the other one has the lock until it gives it back. */
static void *use_the_other_view(void *view)
{
	while (atomic_load_explicit(&closing, memory_order_relaxed)) { /* relaxed: as above */
		int rc = acquire(view);

		CHECK(rc == 0 || rc == -EOWNERDEAD);
		if (rc == -EOWNERDEAD)
			CHECK_EQ(ipk_mutex_consistent(view), 0);
		for (int i = 0; i < 20; i++)
			CHECK_EQ(ipk_mutex_mine(view), 1);
		CHECK_EQ(ipk_mutex_release(view), 0);
	}
	return NULL;
}

static void a_view_that_is_closed_takes_nothing_from_another(void)
{
	struct ipk_sync other;
	struct party party;
	pthread_t closer, owner;

	begin_mutex(0);
	attach(&party, IPK_SYNC_MUTEX, 0);
	memset(&other, 0, sizeof(other));
	CHECK_EQ(ipk_sync_attach(&other, ipk_home_place(&home), ROOM, &party.member, IPK_SYNC_MUTEX), 0);
	atomic_store(&closing, 1);
	closer = run(close_again_and_again, &party.view);
	owner = run(use_the_other_view, &other);
	use_what_is_closed(&party.view);
	CHECK_EQ(pthread_join(closer, NULL), 0);
	CHECK_EQ(pthread_join(owner, NULL), 0);
	depart(&party);
	close_home();
}

struct successor {
	struct ipk_sync *closed, *other;
	_Atomic int owns, done;
};

/* Close the one, and acquire through the other. */
static void *close_and_acquire(void *argument)
{
	struct successor *successor = argument;

	CHECK_EQ(ipk_mutex_abandon(successor->closed), 1);
	CHECK_EQ(acquire(successor->other), -EOWNERDEAD);
	CHECK_EQ(ipk_mutex_consistent(successor->other), 0);
	atomic_store(&successor->owns, 1);
	while (!atomic_load(&successor->done))
		sched_yield();
	CHECK_EQ(ipk_mutex_mine(successor->other), 1);
	CHECK_EQ(ipk_mutex_release(successor->other), 0);
	return NULL;
}

/* Who was about to release when its view was closed finds that it has nothing to give, and that the next owner's is not its. */
static void a_release_that_comes_too_late_gives_nothing_back(void)
{
	struct successor successor = {0};
	struct ipk_lock_shm *lock;
	struct ipk_sync other;
	struct party party;
	pthread_t thread;

	begin_mutex(0);
	attach(&party, IPK_SYNC_MUTEX, 0);
	memset(&other, 0, sizeof(other));
	CHECK_EQ(ipk_sync_attach(&other, ipk_home_place(&home), ROOM, &party.member, IPK_SYNC_MUTEX), 0);
	lock = &((struct ipk_mutex_shm *)ipk_home_place(&home))->lock;
	CHECK_EQ(acquire(&party.view), 0);
	successor.closed = &party.view;
	successor.other = &other;
	thread = run(close_and_acquire, &successor);
	while (!atomic_load(&successor.owns))
		sched_yield();
	CHECK_EQ(ipk_mutex_release(&party.view), -EPERM);
	CHECK_EQ(ipk_lock_release(lock, &party.member), -EPERM); /* it had looked whether the lock is its before that */
	CHECK_EQ(ipk_lock_abandon_of(lock, &party.member, ipk_thread_id()), -EPERM);
	CHECK_EQ(ipk_mutex_abandon(&party.view), 0);
	atomic_store(&successor.done, 1);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	depart(&party);
	close_home();
}

/* A thread knows its id, and the child of a fork its own. */
static void a_forked_child_is_another_thread(void)
{
	for (int round = 0; round < 3; round++) {
		uint32_t before = ipk_thread_id();
		pid_t child;
		int status;

		CHECK_EQ(before, (uint32_t)gettid());
		CHECK_EQ(ipk_thread_id(), before);
		child = fork();
		if (child == 0) {
			uint32_t own = ipk_thread_id();
			pid_t grandchild = own == (uint32_t)gettid() && own == ipk_thread_id() ? fork() : 1;

			if (grandchild == 0)
				_exit(ipk_thread_id() != (uint32_t)gettid());
			_exit(grandchild == 1 || waitpid(grandchild, &status, 0) != grandchild || status != 0);
		}
		CHECK_EQ(waitpid(child, &status, 0), child);
		CHECK_EQ(status, 0);
		CHECK_EQ(ipk_thread_id(), before);
	}
}

static void *tell_thread(void *id)
{
	*(uint32_t *)id = ipk_thread_id();
	CHECK_EQ(*(uint32_t *)id, (uint32_t)gettid());
	return NULL;
}

static void each_thread_has_its_id(void)
{
	uint32_t ids[PARTIES];

	for (int round = 0; round < 20; round++) {
		run_all(tell_thread, ids, sizeof(ids[0]), PARTIES);
		for (int k = 1; k < PARTIES; k++)
			CHECK(ids[k] != ids[k - 1]);
	}
}

static struct ipk_lock_shm *bare_lock(void)
{
	return ipk_home_place(&home);
}

static void *change_under_guard(void *argument)
{
	struct party *party = argument;

	for (int i = 0; i < ROUNDS; i++) {
		int rc = ipk_lock_guard(bare_lock(), &party->member);

		while (rc == -EAGAIN)
			rc = ipk_lock_wait(bare_lock(), &party->member, &party->view.spin, IPK_NEVER);
		CHECK_EQ(rc, 0);
		change();
		CHECK_EQ(ipk_lock_release(bare_lock(), &party->member), 0);
	}
	return NULL;
}

static void a_guard_orders_what_it_protects(void)
{
	struct party parties[PARTIES];

	memset(&guarded, 0, sizeof(guarded));
	open_home();
	for (int k = 0; k < PARTIES; k++)
		arrive(&parties[k]);
	run_all(change_under_guard, parties, sizeof(parties[0]), PARTIES);
	CHECK_EQ(guarded.count, PARTIES * ROUNDS);
	for (int k = 0; k < PARTIES; k++)
		depart(&parties[k]);
	close_home();
}

/* Two threads use a member that has not joined yet, and that has no lock when they look again. */
static void *use_at_once(void *argument)
{
	struct party *party = *(struct party **)argument;

	line_up();
	CHECK_EQ(acquire(&party->view), 0);
	change();
	CHECK_EQ(ipk_mutex_release(&party->view), 0);
	return NULL;
}

static void *look_at_once(void *argument)
{
	struct party *party = *(struct party **)argument;

	line_up();
	CHECK_EQ(ipk_member_still_ours(&party->member), 0);
	return NULL;
}

static void *join_alone(void *argument)
{
	struct party *party = *(struct party **)argument;

	CHECK(ipk_member_join(&party->member) > 0);
	return NULL;
}

/* Who finds that another thread has joined knows who the process is. */
static void *find_joined(void *argument)
{
	struct party *party = *(struct party **)argument;
	struct ipk_holder_shm holder = {0};
	uint32_t id;

	while (!(id = ipk_member_current(&party->member)))
		sched_yield();
	ipk_member_record(&party->member, id, &holder);
	CHECK_EQ(holder.pid, getpid());
	return NULL;
}

static void another_thread_has_joined(void)
{
	for (int round = 0; round < 50; round++) {
		struct party party;
		struct party *one = &party;
		pthread_t finder;

		open_home();
		memset(&party, 0, sizeof(party));
		CHECK_EQ(ipk_member_open(&party.member, ipk_home_fd(&home)), 0);
		finder = run(find_joined, &one);
		join_alone(&one);
		CHECK_EQ(pthread_join(finder, NULL), 0);
		depart(&party);
		close_home();
	}
}

static void one_thread_joins_for_all(void)
{
	for (int round = 0; round < ROUNDS / 20; round++) {
		struct party party;
		struct party *both[2] = {&party, &party};

		begin_mutex(0);
		memset(&party, 0, sizeof(party));
		CHECK_EQ(ipk_member_open(&party.member, ipk_home_fd(&home)), 0);
		CHECK_EQ(ipk_sync_attach(&party.view, ipk_home_place(&home), ROOM, &party.member, IPK_SYNC_MUTEX), 0);
		atomic_store(&starting, 2);
		run_all(use_at_once, both, sizeof(both[0]), 2);
		CHECK_EQ(guarded.count, 2);
		CHECK_EQ(close(party.member.life_fd), 0);
		atomic_store(&starting, 2);
		run_all(look_at_once, both, sizeof(both[0]), 2);
		CHECK_EQ(ipk_member_locked(ipk_home_member(&home), ipk_member_current(&party.member)), 1);
		depart(&party);
		close_home();
	}
}

/* --- objects come to be -------------------------------------------------------------------------------------------- */

static void *make_or_attach(void *argument)
{
	struct party *party = argument;
	void *place = ipk_home_place(&home);
	int made, rc;

	arrive(party);
	line_up();
	made = ipk_sync_begin(place, &party->member, IPK_MUTEX_SIZE);
	if (made == 0) {
		memset(&guarded, 0, sizeof(guarded)); /* as a kind formats its object */
		CHECK_EQ(ipk_sync_publish(place, &party->member, IPK_SYNC_MUTEX, 0, 0, IPK_MUTEX_SIZE), 0);
	} else {
		CHECK(made == -EEXIST || made == -EAGAIN);
	}
	while ((rc = ipk_sync_attach(&party->view, place, ROOM, &party->member, IPK_SYNC_MUTEX)) == -EAGAIN)
		sched_yield();
	CHECK_EQ(rc, 0);
	CHECK_EQ(acquire(&party->view), 0);
	change();
	CHECK_EQ(ipk_mutex_release(&party->view), 0);
	return (void *)(uintptr_t)(made == 0);
}

static void *attach_alone(void *argument)
{
	struct party *party = argument;
	int rc;

	arrive(party);
	line_up();
	do
		rc = ipk_sync_attach(&party->view, ipk_home_place(&home), ROOM, &party->member, IPK_SYNC_MUTEX);
	while (rc == -ENOENT || rc == -EAGAIN);
	CHECK_EQ(rc, 0);
	return NULL;
}

static void who_only_attaches_finds_it_complete(void)
{
	for (int round = 0; round < ROUNDS / 20; round++) {
		struct party maker, other;
		pthread_t thread;

		open_home();
		atomic_store(&starting, 2);
		thread = run(attach_alone, &other);
		make_or_attach(&maker);
		CHECK_EQ(pthread_join(thread, NULL), 0);
		depart(&maker);
		depart(&other);
		close_home();
	}
}

static void who_attaches_finds_it_complete(void)
{
	for (int round = 0; round < ROUNDS / 20; round++) {
		struct party parties[PARTIES];

		open_home();
		atomic_store(&starting, PARTIES);
		run_all(make_or_attach, parties, sizeof(parties[0]), PARTIES);
		CHECK_EQ(guarded.count, PARTIES);
		for (int k = 0; k < PARTIES; k++)
			depart(&parties[k]);
		close_home();
	}
}

static void *begin_and_die(void *argument)
{
	struct party *party = argument;

	arrive(party);
	CHECK_EQ(ipk_sync_begin(ipk_home_place(&home), &party->member, IPK_MUTEX_SIZE), 0);
	die(party);
	return NULL;
}

static void what_a_dead_maker_began_is_made_by_the_next(void)
{
	for (int round = 0; round < 50; round++) {
		struct party dead, parties[PARTIES];

		open_home();
		run_all(begin_and_die, &dead, sizeof(dead), 1);
		atomic_store(&starting, PARTIES);
		run_all(make_or_attach, parties, sizeof(parties[0]), PARTIES);
		CHECK_EQ(guarded.count, PARTIES);
		for (int k = 0; k < PARTIES; k++)
			depart(&parties[k]);
		close_home();
	}
}

int main(void)
{
	RUN(the_mutex_orders_what_it_protects);
	RUN(threads_of_one_view_exclude_each_other);
	RUN(deadlines_pass_while_the_mutex_changes_hands);
	RUN(each_death_is_told_once);
	RUN(what_was_abandoned_is_the_next_owners);
	RUN(all_learn_that_it_is_lost);
	RUN(a_release_that_comes_too_late_gives_nothing_back);
	RUN(a_view_that_is_closed_takes_nothing_from_another);
	RUN(a_forked_child_is_another_thread);
	RUN(each_thread_has_its_id);
	RUN(a_guard_orders_what_it_protects);
	RUN(another_thread_has_joined);
	RUN(one_thread_joins_for_all);
	RUN(who_only_attaches_finds_it_complete);
	RUN(who_attaches_finds_it_complete);
	RUN(what_a_dead_maker_began_is_made_by_the_next);
	return 0;
}
