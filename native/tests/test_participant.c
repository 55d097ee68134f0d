/* segment.h, participants: who holds a slot, and whether the kernel says that it lives. */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "ipckit/segment.h"
#include "support.h"

#define KIND 77
#define SLOTS 3
#define SLOT 1

static struct ipk_segment segment; /* our view; never claims unless a test says so */
static char name[NAME_SIZE];
static _Atomic uint32_t *checkpoint;

static void set_up(void)
{
	fresh_name(name);
	CHECK_EQ(ipk_segment_create(&segment, name, KIND, SLOTS, 4096, 0, 0600), 0);
	CHECK_EQ(ipk_segment_publish(&segment, name), 0);
	atomic_store(checkpoint, 0);
}

static void tear_down(void)
{
	ipk_segment_close(&segment);
	unlink(name);
}

static struct ipk_segment attached(void)
{
	struct ipk_segment view;

	CHECK_EQ(ipk_segment_attach(&view, open(name, O_RDWR | O_CLOEXEC), KIND, SLOTS, 0), 0);
	return view;
}

static struct ipk_participant_info recorded(void)
{
	struct ipk_participant_info who;

	CHECK(ipk_segment_participant(segment.fd, SLOT, &who) >= 0);
	return who;
}

static void one_holder_in_one_process(void)
{
	struct ipk_segment second;

	set_up();
	second = attached();
	CHECK_EQ(ipk_participant_alive(&segment, SLOT), 0);
	CHECK_EQ(ipk_participant_claim(&segment, SLOT), 0);
	CHECK_EQ(ipk_participant_claim(&segment, SLOT), 0);
	CHECK_EQ(ipk_participant_claim(&second, SLOT), -EBUSY);
	CHECK_EQ(ipk_participant_claim(&second, SLOT + 1), 0);
	CHECK_EQ(ipk_participant_alive(&segment, SLOT), 1);
	CHECK_EQ(ipk_participant_alive(&second, SLOT), 1);
	CHECK_EQ(ipk_participant_alive(&second, 0), 0);
	CHECK_EQ(recorded().pid, getpid());
	CHECK(recorded().start_time > 0 && recorded().pid_namespace > 0);
	ipk_participant_release(&second, SLOT); /* not the holder: nothing happens */
	CHECK_EQ(ipk_participant_alive(&second, SLOT), 1);
	ipk_participant_release(&segment, SLOT);
	CHECK_EQ(ipk_participant_alive(&segment, SLOT), 0);
	CHECK_EQ(recorded().pid, 0);
	CHECK_EQ(ipk_participant_claim(&second, SLOT), 0);
	ipk_segment_close(&second);
	CHECK_EQ(ipk_participant_alive(&segment, SLOT), 0);
	tear_down();
}

static void hold(void *how)
{
	struct ipk_segment view = attached();

	(void)how;
	CHECK_EQ(ipk_participant_claim(&view, SLOT), 0);
	stay();
}

static pid_t holder(void (*function)(void *))
{
	pid_t pid = start(function, NULL);

	wait_staying(pid);
	return pid;
}

static void killed_holder_is_dead_and_replaceable(void)
{
	pid_t pid;

	set_up();
	pid = holder(hold);
	CHECK_EQ(ipk_participant_alive(&segment, SLOT), 1);
	CHECK_EQ(recorded().pid, pid);
	CHECK_EQ(ipk_participant_claim(&segment, SLOT), -EBUSY);
	kill(pid, SIGKILL);
	CHECK_EQ(waitid(P_PID, (id_t)pid, &(siginfo_t){0}, WEXITED | WNOWAIT), 0);
	CHECK_EQ(ipk_participant_alive(&segment, SLOT), 0); /* a zombie is dead */
	CHECK_EQ(ipk_participant_claim(&segment, SLOT), 0);
	CHECK_EQ(reap(pid), -SIGKILL);
	CHECK_EQ(recorded().pid, getpid());
	tear_down();
}

static void stopped_holder_lives(void)
{
	pid_t pid;

	set_up();
	pid = holder(hold);
	kill(pid, SIGSTOP);
	wait_stopped(pid);
	CHECK_EQ(ipk_participant_alive(&segment, SLOT), 1);
	CHECK_EQ(ipk_participant_claim(&segment, SLOT), -EBUSY);
	kill(pid, SIGCONT);
	kill_child(pid);
	CHECK_EQ(ipk_participant_alive(&segment, SLOT), 0);
	tear_down();
}

static void hold_without_descriptors(void *how)
{
	struct ipk_segment view = attached();

	(void)how;
	CHECK_EQ(ipk_participant_claim(&view, SLOT), 0);
	CHECK_EQ(syscall(SYS_close_range, 3, ~0U, 0), 0);
	stay();
}

static void holder_without_descriptors_lives(void)
{
	pid_t pid;

	set_up();
	pid = holder(hold_without_descriptors);
	CHECK_EQ(ipk_participant_alive(&segment, SLOT), 1);
	CHECK_EQ(ipk_participant_claim(&segment, SLOT), -EBUSY);
	kill_child(pid);
	CHECK_EQ(ipk_participant_alive(&segment, SLOT), 0);
	CHECK_EQ(ipk_participant_claim(&segment, SLOT), 0);
	tear_down();
}

static void lost_lock_is_taken_again(void)
{
	struct ipk_segment second;
	int number;

	set_up();
	second = attached();
	CHECK_EQ(ipk_participant_claim(&segment, SLOT), 0);
	CHECK_EQ(ipk_segment_still_ours(&segment), 0);
	number = segment.life_fd;
	close(number);
	CHECK_EQ(open("/dev/null", O_RDONLY), number); /* the number lives on, as another file */
	CHECK_EQ(ipk_segment_still_ours(&segment), 0);
	CHECK(segment.life_fd != number);
	CHECK_EQ(ipk_participant_claim(&second, SLOT), -EBUSY);
	CHECK_EQ(ipk_participant_alive(&second, SLOT), 1);
	CHECK_EQ(close(number), 0);

	/* both descriptors gone: nothing to take it again through, and nobody else's file is touched */
	close(segment.life_fd);
	number = segment.fd;
	close(number);
	CHECK_EQ(open("/dev/null", O_RDONLY), number);
	CHECK_EQ(ipk_segment_still_ours(&segment), -EBADF);
	CHECK_EQ(ipk_segment_still_ours(&segment), -EBADF);
	CHECK_EQ(close(number), 0);
	ipk_segment_close(&second);
	tear_down();
}

static void lock_lost_to_another_is_ebusy(void)
{
	struct ipk_segment second;
	int number;

	set_up();
	second = attached();
	CHECK_EQ(ipk_participant_claim(&segment, SLOT), 0);
	CHECK_EQ(ipk_participant_claim(&segment, 0), 0);
	number = segment.life_fd;
	close(number);
	CHECK_EQ(open("/dev/null", O_RDONLY), number);
	/* the same process may: it cannot tell a view without descriptors from an image before execve(2) */
	CHECK_EQ(ipk_participant_claim(&second, SLOT), 0);
	CHECK_EQ(ipk_segment_still_ours(&segment), -EBUSY);
	CHECK_EQ(segment.claimed, 1); /* the other claim was renewed */
	CHECK_EQ(ipk_participant_claim(&second, 0), -EBUSY);
	CHECK_EQ(close(number), 0);
	ipk_segment_close(&second);
	tear_down();
}

static void second_claim_locks_no_strangers_file(void)
{
	struct ipk_segment second;
	int number;

	set_up();
	second = attached();
	CHECK_EQ(ipk_participant_claim(&segment, SLOT), 0);
	number = segment.life_fd;
	close(number);
	CHECK_EQ(memfd_create("stranger", MFD_CLOEXEC), number);
	CHECK_EQ(ipk_participant_claim(&segment, 0), 0);
	CHECK(segment.life_fd != number);
	atomic_store(&ipk_segment_header(&segment)->participant[0].pid, 0); /* nobody by the record: the lock alone tells */
	CHECK_EQ(ipk_participant_alive(&second, 0), 1);
	CHECK_EQ(ipk_participant_alive(&second, SLOT), 1);
	CHECK_EQ(close(number), 0);

	/* nothing to open it anew by */
	close(segment.life_fd);
	CHECK_EQ(close(segment.fd), 0);
	CHECK_EQ(ipk_participant_claim(&segment, 1), -EBADF);
	ipk_segment_close(&second);
	tear_down();
}

static struct ipk_segment inherited;

static void child_of_holder(void *how)
{
	(void)how;
	CHECK_EQ(ipk_segment_still_ours(&inherited), -ECHILD);
	CHECK_EQ(ipk_segment_still_ours(&inherited), 0);
	CHECK_EQ(inherited.claimed, 0);
	CHECK_EQ(ipk_participant_claim(&inherited, SLOT), -EBUSY);
	ipk_participant_release(&inherited, SLOT);
	atomic_store(checkpoint, 1);
	await(checkpoint, 2); /* the parent is dead by now */
	CHECK_EQ(ipk_participant_alive(&inherited, SLOT), 0);
	CHECK_EQ(ipk_participant_claim(&inherited, SLOT), 0);
	atomic_store(checkpoint, 3);
}

static void holder_that_forks(void *how)
{
	pid_t pid;

	(void)how;
	inherited = attached();
	CHECK_EQ(ipk_participant_claim(&inherited, SLOT), 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		alarm(60);
		child_of_holder(NULL);
		_exit(0);
	}
	await(checkpoint, 1);
	CHECK_EQ(ipk_segment_still_ours(&inherited), 0);
	stay();
}

static void forked_child_is_no_owner(void)
{
	pid_t pid;

	set_up();
	pid = holder(holder_that_forks);
	CHECK_EQ(ipk_participant_alive(&segment, SLOT), 1);
	kill_child(pid);
	CHECK_EQ(ipk_participant_alive(&segment, SLOT), 0); /* although the child lives */
	atomic_store(checkpoint, 2);
	await(checkpoint, 3);
	tear_down();
}

static void close_in_child(void *how)
{
	(void)how;
	ipk_segment_close(&segment);
}

static void close_in_a_forked_child_gives_nothing_up(void)
{
	struct ipk_segment second;

	set_up();
	second = attached();
	CHECK_EQ(ipk_participant_claim(&segment, SLOT), 0);
	CHECK_EQ(reap(start(close_in_child, NULL)), 0);
	CHECK_EQ(ipk_participant_alive(&second, SLOT), 1);
	CHECK_EQ(recorded().pid, getpid());
	CHECK_EQ(ipk_participant_claim(&second, SLOT), -EBUSY);
	ipk_segment_close(&second);
	tear_down();
}

static void just_stay(void *unused)
{
	(void)unused;
	stay();
}

static void lock_alone_is_life(void)
{
	struct ipk_participant_shm *record;
	pid_t pid;

	set_up();
	pid = holder(hold);
	record = &ipk_segment_header(&segment)->participant[SLOT];
	atomic_store(&record->pid, 0); /* as between lock and record, or in a pid namespace that we cannot look into */
	CHECK_EQ(ipk_participant_alive(&segment, SLOT), 1);
	CHECK_EQ(ipk_participant_claim(&segment, SLOT), -EBUSY);
	kill_child(pid);
	CHECK_EQ(ipk_participant_alive(&segment, SLOT), 0);
	tear_down();
}

/* What a dead participant left, with its pid given to a stranger since. */
static void recycled_pid_is_dead(void)
{
	struct ipk_participant_shm *record;
	struct ipk_participant_info dead;
	pid_t stranger;

	set_up();
	kill_child(holder(hold));
	dead = recorded();
	CHECK(dead.pid > 0);
	stranger = holder(just_stay);
	record = &ipk_segment_header(&segment)->participant[SLOT];
	atomic_store(&record->pid, (uint64_t)stranger);
	atomic_store(&record->start_time, dead.start_time + 1000000);
	CHECK_EQ(recorded().pid_namespace, dead.pid_namespace);
	CHECK_EQ(ipk_participant_alive(&segment, SLOT), 0);
	CHECK_EQ(ipk_participant_claim(&segment, SLOT), 0);
	kill_child(stranger);
	tear_down();
}

static void hold_through_exec(void *how)
{
	struct ipk_segment view = attached();

	(void)how;
	CHECK_EQ(ipk_participant_claim(&view, SLOT), 0);
	execl("/proc/self/exe", "test_participant", name, (char *)NULL);
	CHECK(0);
}

/* The program after execve(2): the same pid and start time as its earlier image, whose record it finds. */
static int second_image(const char *path)
{
	snprintf(name, sizeof(name), "%s", path);
	segment = attached();
	CHECK_EQ(recorded().pid, getpid());
	CHECK_EQ(ipk_participant_claim(&segment, SLOT), 0);
	return 0;
}

static void exec_gives_the_slot_back_to_itself(void)
{
	set_up();
	CHECK_EQ(reap(start(hold_through_exec, NULL)), 0);
	CHECK_EQ(ipk_participant_alive(&segment, SLOT), 0);
	tear_down();
}

static void garbage_records(void)
{
	struct ipk_participant_shm *record;
	struct ipk_participant_info who;
	uint64_t seed = random_seed();

	set_up();
	record = &ipk_segment_header(&segment)->participant[SLOT];
	for (int i = 0; i < 2000; i++) {
		atomic_store(&record->pid, random_next(&seed) >> random_below(&seed, 64));
		atomic_store(&record->start_time, random_next(&seed));
		atomic_store(&record->pid_namespace, i & 1 ? random_next(&seed) : recorded().pid_namespace);
		CHECK_EQ(ipk_participant_alive(&segment, SLOT), 0);
		CHECK_EQ(ipk_participant_claim(&segment, SLOT), 0);
		ipk_participant_release(&segment, SLOT);
	}
	CHECK_EQ(ipk_segment_participant(segment.fd, SLOTS, &who), -EINVAL);
	ipk_segment_header(&segment)->participants = UINT32_MAX;
	CHECK_EQ(ipk_segment_participant(segment.fd, 1 << 20, &who), -EINVAL);
	tear_down();
}

int main(int argc, char **argv)
{
	if (argc == 2)
		return second_image(argv[1]);
	checkpoint = shared_memory(sizeof(*checkpoint));
	RUN(one_holder_in_one_process);
	RUN(killed_holder_is_dead_and_replaceable);
	RUN(stopped_holder_lives);
	RUN(holder_without_descriptors_lives);
	RUN(lost_lock_is_taken_again);
	RUN(lock_lost_to_another_is_ebusy);
	RUN(second_claim_locks_no_strangers_file);
	RUN(forked_child_is_no_owner);
	RUN(close_in_a_forked_child_gives_nothing_up);
	RUN(lock_alone_is_life);
	RUN(recycled_pid_is_dead);
	RUN(exec_gives_the_slot_back_to_itself);
	RUN(garbage_records);
	return 0;
}
