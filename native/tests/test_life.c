/* life.h: who has a segment keeps its name; who removes one keeps openers out, until it lets go or dies. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "ipckit/home.h"
#include "ipckit/life.h"
#include "ipckit/segment.h"
#include "support.h"

#define KIND 77
#define OBJECT 4096
#define SLOTS 2

static struct ipk_segment segment, other;
static char name[NAME_SIZE];

/* A published one, open in `segment`. */
static void make(void)
{
	fresh_name(name);
	CHECK_EQ(ipk_segment_create(&segment, name, KIND, SLOTS, OBJECT, 0, 0600), 0);
	CHECK_EQ(ipk_segment_publish(&segment, name), 0);
}

static int own_description(void)
{
	int fd = open(name, O_RDWR | O_CLOEXEC);

	CHECK(fd >= 0);
	return fd;
}

static void end_removal(int fd)
{
	ipk_life_let_go(fd);
	close(fd);
}

static void creator_is_recorded(void)
{
	struct ipk_segment_info info;
	struct stat st;

	for (int named = 0; named < 2; named++) {
		fresh_name(name);
		CHECK_EQ(ipk_segment_create(&segment, named ? name : NULL, KIND, SLOTS, OBJECT, 0, 0600), 0);
		CHECK_EQ(ipk_segment_publish(&segment, named ? name : NULL), 0);
		CHECK_EQ(ipk_segment_inspect(segment.fd, &info), 0);
		CHECK_EQ(info.creator.pid, getpid());
		CHECK(info.creator.start_time > 0);
		CHECK_EQ(stat("/proc/self/ns/pid", &st), 0);
		CHECK_EQ(info.creator.pid_namespace, st.st_ino);
		CHECK_EQ(ipk_segment_runs(&info.creator), 1);
		info.creator.start_time++; /* a later process of that pid */
		CHECK_EQ(ipk_segment_runs(&info.creator), 0);
		ipk_segment_close(&segment);
		unlink(name);
	}
}

static void who_has_it_keeps_it(void)
{
	int fd, opened;

	make();
	fd = own_description();
	CHECK_EQ(ipk_life_held(fd), 1);
	CHECK_EQ(ipk_life_begin_removal(fd), -EBUSY); /* the creator */
	opened = ipk_life_open(name);
	CHECK(opened >= 0);
	CHECK(fcntl(opened, F_GETFD) & FD_CLOEXEC);
	ipk_segment_close(&segment);
	CHECK_EQ(ipk_life_begin_removal(fd), -EBUSY); /* the opener */
	CHECK_EQ(ipk_segment_attach(&other, opened, KIND, SLOTS, 0), 0);
	CHECK_EQ(ipk_life_begin_removal(fd), -EBUSY); /* its view */
	ipk_segment_close(&other);
	CHECK_EQ(ipk_life_held(fd), 0);
	CHECK_EQ(ipk_life_begin_removal(fd), 0);
	CHECK_EQ(ipk_life_unlink(name, fd), 0);
	CHECK(access(name, F_OK) < 0);
	end_removal(fd);
}

static void who_looks_holds_nothing(void)
{
	int fd, looking;

	make();
	ipk_segment_close(&segment);
	fd = own_description();
	looking = open(name, O_RDONLY | O_CLOEXEC);
	CHECK(looking >= 0);
	CHECK_EQ(ipk_life_begin_removal(looking), -EBADF);
	CHECK_EQ(ipk_life_held(looking), 0);
	CHECK_EQ(ipk_life_begin_removal(fd), 0);
	CHECK_EQ(ipk_life_held(looking), 1);
	end_removal(fd);
	CHECK_EQ(ipk_life_hold(looking), 0); /* now it is somebody's */
	CHECK_EQ(ipk_life_hold(looking), 0);
	fd = own_description();
	CHECK_EQ(ipk_life_begin_removal(fd), -EBUSY);
	close(looking);
	close(fd);
	unlink(name);
}

static void opener_is_turned_away_meanwhile(void)
{
	int fd, second;

	make();
	ipk_segment_close(&segment);
	fd = own_description();
	second = own_description();
	CHECK_EQ(ipk_life_begin_removal(fd), 0);
	CHECK_EQ(ipk_life_open(name), -EAGAIN);
	CHECK_EQ(ipk_life_begin_removal(second), -EBUSY);
	CHECK_EQ(ipk_life_begin_unlink(second), -EAGAIN);
	CHECK_EQ(ipk_life_hold(second), -EAGAIN);
	end_removal(fd); /* it thought better of it */
	fd = ipk_life_open(name);
	CHECK(fd >= 0);
	close(fd);
	close(second);
	unlink(name);
}

/* Between open and hold the file may lose its name: what an opener gets then is what has the name now. */
static void opener_of_what_was_removed_gets_the_next(void)
{
	struct stat st;
	int fd, late;

	make();
	ipk_segment_close(&segment);
	late = own_description();
	fd = own_description();
	CHECK_EQ(ipk_life_begin_removal(fd), 0);
	CHECK_EQ(ipk_life_unlink(name, fd), 0);
	end_removal(fd);
	CHECK_EQ(ipk_life_hold(late), 0); /* the file of nobody: as ipk_life_open sees it, */
	CHECK_EQ(fstat(late, &st), 0);
	CHECK_EQ(st.st_nlink, 0); /* by this */
	close(late);
	CHECK_EQ(ipk_life_open(name), -ENOENT);
	CHECK_EQ(ipk_segment_create(&segment, name, KIND, SLOTS, OBJECT, 0, 0600), 0);
	CHECK_EQ(ipk_segment_publish(&segment, name), 0);
	fd = ipk_life_open(name);
	CHECK_EQ(ipk_segment_owns(&segment, fd), 1);
	close(fd);
	ipk_segment_close(&segment);
	unlink(name);
}

static void only_the_name_of_the_file_is_taken_away(void)
{
	char aside[NAME_SIZE + 8];
	int fd;

	make();
	ipk_segment_close(&segment);
	fd = own_description();
	CHECK_EQ(ipk_life_begin_removal(fd), 0);
	snprintf(aside, sizeof(aside), "%s.aside", name);
	CHECK_EQ(rename(name, aside), 0); /* by hand */
	CHECK_EQ(ipk_life_unlink(name, fd), -ENOENT);
	CHECK_EQ(ipk_segment_create(&segment, name, KIND, SLOTS, OBJECT, 0, 0600), 0);
	CHECK_EQ(ipk_segment_publish(&segment, name), 0);
	CHECK_EQ(ipk_life_unlink(name, fd), -ESTALE);
	CHECK_EQ(access(name, F_OK), 0);
	end_removal(fd);
	ipk_segment_close(&segment);
	unlink(name);
	unlink(aside);
}

static void unlink_of_one_in_use_needs_only_the_name_byte(void)
{
	int fd, second, third;

	make();
	fd = own_description();
	second = own_description();
	CHECK_EQ(ipk_life_begin_unlink(fd), 0);
	CHECK_EQ(ipk_life_begin_unlink(second), -EAGAIN);
	third = ipk_life_open(name);
	CHECK(third >= 0);
	CHECK_EQ(ipk_life_unlink(name, fd), 0);
	close(third);
	end_removal(fd);
	CHECK_EQ(ipk_life_begin_unlink(second), 0);
	CHECK_EQ(ipk_life_unlink(name, second), -ENOENT);
	close(second);
	ipk_segment_close(&segment);
}

static void live(void *how)
{
	if (how)
		CHECK_EQ(ipk_segment_attach(&other, ipk_life_open(name), KIND, SLOTS, 0), 0);
	stay();
}

/* A child of fork has its parent's descriptions, an opener has its own; both until they are dead, whatever stops them. */
static void another_process_keeps_it(void)
{
	int fd;

	for (int opens = 0; opens < 2; opens++) {
		pid_t pid;

		make();
		pid = start(live, opens ? &segment : NULL);
		wait_staying(pid);
		ipk_segment_close(&segment);
		fd = own_description();
		CHECK_EQ(ipk_life_begin_removal(fd), -EBUSY);
		CHECK_EQ(kill(pid, SIGSTOP), 0);
		wait_stopped(pid);
		CHECK_EQ(ipk_life_begin_removal(fd), -EBUSY);
		kill_child(pid);
		CHECK_EQ(ipk_life_begin_removal(fd), 0);
		end_removal(fd);
		unlink(name);
	}
}

static void begin_and_stay(void *unused)
{
	(void)unused;
	CHECK_EQ(ipk_life_begin_removal(own_description()), 0);
	stay();
}

static void a_killed_remover_is_in_nobodys_way(void)
{
	pid_t pid;
	int fd;

	make();
	ipk_segment_close(&segment);
	pid = start(begin_and_stay, NULL);
	wait_staying(pid);
	CHECK_EQ(ipk_life_open(name), -EAGAIN);
	kill_child(pid);
	fd = ipk_life_open(name);
	CHECK(fd >= 0);
	close(fd);
	unlink(name);
}

/* As a daemon does that closes all it inherited: a mapping has its description, too. */
static void a_mapping_alone_keeps_it(void)
{
	unsigned char *base;
	int fd;

	make();
	close(segment.fd);
	fd = own_description();
	CHECK_EQ(ipk_life_held(fd), 1);
	CHECK_EQ(ipk_life_begin_removal(fd), -EBUSY);
	base = segment.base;
	segment.base = NULL;
	CHECK_EQ(munmap(base, segment.mapped), 0);
	CHECK_EQ(ipk_life_begin_removal(fd), 0);
	end_removal(fd);
	segment.fd = -1;
	segment.inode = 0;
	ipk_segment_close(&segment);
	unlink(name);
}

/* They have descriptions of their own. */
static void participants_and_members_keep_it(void)
{
	struct ipk_member member;
	int first, second;
	int fd;

	make();
	first = fcntl(segment.fd, F_DUPFD_CLOEXEC, 3);
	CHECK_EQ(ipk_participant_claim(&segment, 1), 0);
	second = segment.life_fd;
	segment.life_fd = -1; /* hidden from close */
	ipk_segment_close(&segment);
	close(first);
	fd = own_description();
	CHECK_EQ(ipk_life_held(fd), 1);
	CHECK_EQ(ipk_life_begin_removal(fd), -EBUSY);
	close(second);
	CHECK_EQ(ipk_life_held(fd), 0);
	memset(&member, 0, sizeof(member));
	CHECK_EQ(ipk_member_open(&member, own_description()), 0);
	CHECK(ipk_member_join(&member) > 0);
	CHECK_EQ(ipk_life_begin_removal(fd), -EBUSY);
	ipk_member_close(&member);
	CHECK_EQ(ipk_life_begin_removal(fd), 0);
	end_removal(fd);
	close(member.fd);
	unlink(name);
}

static void what_is_no_segment(void)
{
	int pipes[2];

	CHECK_EQ(ipk_life_open("/dev/shm/ipckit.no-such-segment"), -ENOENT);
	CHECK_EQ(ipk_life_open("/dev/shm"), -EISDIR);
	CHECK_EQ(ipk_life_hold(-1), -EBADF);
	CHECK_EQ(ipk_life_held(-1), -EBADF);
	CHECK_EQ(ipk_life_begin_removal(-1), -EBADF);
	CHECK_EQ(ipk_life_begin_unlink(-1), -EBADF);
	CHECK_EQ(ipk_life_unlink("/dev/shm", -1), -EBADF);
	CHECK_EQ(pipe(pipes), 0);
	ipk_life_hold(pipes[0]); /* whatever the kernel says of it, it is harmless */
	close(pipes[0]);
	close(pipes[1]);
}

int main(void)
{
	RUN(creator_is_recorded);
	RUN(who_has_it_keeps_it);
	RUN(who_looks_holds_nothing);
	RUN(opener_is_turned_away_meanwhile);
	RUN(opener_of_what_was_removed_gets_the_next);
	RUN(only_the_name_of_the_file_is_taken_away);
	RUN(unlink_of_one_in_use_needs_only_the_name_byte);
	RUN(another_process_keeps_it);
	RUN(a_killed_remover_is_in_nobodys_way);
	RUN(a_mapping_alone_keeps_it);
	RUN(participants_and_members_keep_it);
	RUN(what_is_no_segment);
	return 0;
}
