/* segment.h: creation that is whole or did not happen, and attachment that believes nothing. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "check.h"
#include "ipckit/segment.h"
#include "ipckit/spsc.h"
#include "support.h"

#define KIND 77
#define OBJECT 8192
#define SLOTS 3

static struct ipk_segment segment, other;
static char name[NAME_SIZE];

static int create(const char *path)
{
	return ipk_segment_create(&segment, path, KIND, SLOTS, OBJECT, 0, 0600);
}

static int attach(const char *path)
{
	return ipk_segment_attach(&other, open(path, O_RDWR | O_CLOEXEC), KIND, SLOTS, 0);
}

/* A published one, in a file without a view, for pokes. */
static int published(void)
{
	int fd;

	fresh_name(name);
	CHECK_EQ(create(name), 0);
	CHECK_EQ(ipk_segment_publish(&segment, name), 0);
	ipk_segment_close(&segment);
	fd = open(name, O_RDWR | O_CLOEXEC);
	CHECK(fd >= 0);
	return fd;
}

static void memfd_is_shared_and_sealed(void)
{
	struct ipk_segment_info info;
	int seals;

	CHECK_EQ(create(NULL), 0);
	CHECK_EQ(ipk_segment_publish(&segment, NULL), 0);
	CHECK_EQ(ipk_segment_attach(&other, dup(segment.fd), KIND, SLOTS, 0), 0);
	segment.base[IPK_SEGMENT_HEADER + OBJECT - 1] = 42;
	CHECK_EQ(other.base[IPK_SEGMENT_HEADER + OBJECT - 1], 42);
	seals = fcntl(segment.fd, F_GET_SEALS);
	CHECK_EQ(seals & (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	CHECK(ftruncate(segment.fd, 0) < 0 && errno == EPERM);
	CHECK(ftruncate(segment.fd, 1 << 20) < 0 && errno == EPERM);
	CHECK(fcntl(segment.fd, F_GETFD) & FD_CLOEXEC);
	CHECK_EQ(ipk_segment_inspect(segment.fd, &info), 0);
	CHECK_EQ(info.magic, IPK_SEGMENT_MAGIC);
	CHECK_EQ(info.size, IPK_SEGMENT_HEADER + OBJECT);
	CHECK_EQ(info.kind, KIND);
	CHECK_EQ(info.participants, SLOTS);
	CHECK(info.id[0] && info.id[1]);
	ipk_segment_close(&other);
	ipk_segment_close(&segment);
	ipk_segment_close(&segment);
}

static void named_appears_only_when_published(void)
{
	fresh_name(name);
	CHECK_EQ(create(name), 0);
	CHECK(access(name, F_OK) < 0);
	CHECK_EQ(ipk_segment_publish(&segment, name), 0);
	CHECK_EQ(attach(name), 0);
	other.base[IPK_SEGMENT_HEADER] = 43;
	CHECK_EQ(segment.base[IPK_SEGMENT_HEADER], 43);
	ipk_segment_close(&segment);
	CHECK_EQ(unlink(name), 0);
	CHECK_EQ(other.base[IPK_SEGMENT_HEADER], 43); /* a name removed does not disturb who has it */
	ipk_segment_close(&other);
}

static void taken_name_is_eexist(void)
{
	close(published());
	CHECK_EQ(create(name), 0);
	CHECK_EQ(ipk_segment_publish(&segment, name), -EEXIST);
	ipk_segment_close(&segment);
	CHECK_EQ(attach(name), 0); /* the first one is untouched */
	ipk_segment_close(&other);
	unlink(name);
}

static void mode_is_exact(void)
{
	const mode_t modes[] = {0600, 0640, 0666, 0400};
	mode_t mask = umask(0777);
	struct stat st;

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		fresh_name(name);
		for (int named = 0; named < 2; named++) {
			CHECK_EQ(ipk_segment_create(&segment, named ? name : NULL, KIND, SLOTS, OBJECT, 0, modes[i]), 0);
			CHECK_EQ(fstat(segment.fd, &st), 0);
			CHECK_EQ(st.st_mode & 07777, modes[i]);
			ipk_segment_close(&segment);
		}
	}
	umask(mask);
}

static void memory_is_reserved(void)
{
	struct stat st;

	for (int named = 0; named < 2; named++) {
		fresh_name(name);
		CHECK_EQ(ipk_segment_create(&segment, named ? name : NULL, KIND, SLOTS, 1 << 20, 0, 0600), 0);
		CHECK_EQ(fstat(segment.fd, &st), 0);
		CHECK(st.st_blocks * 512 >= IPK_SEGMENT_HEADER + (1 << 20));
		ipk_segment_close(&segment);
	}
}

static void tail_is_mirrored(void)
{
	const uint64_t tail = 4096;

	CHECK_EQ(ipk_segment_create(&segment, NULL, KIND, SLOTS, OBJECT, tail, 0600), 0);
	segment.base[segment.size - tail] = 1;
	CHECK_EQ(segment.base[segment.size], 1);
	segment.base[segment.size + tail - 1] = 2;
	CHECK_EQ(segment.base[segment.size - 1], 2);
	ipk_segment_close(&segment);
}

static void failures_leave_nothing(void)
{
	struct rlimit limit, none;
	struct statvfs file_system;
	uint64_t too_much;
	int descriptors = open_descriptors();
	int maps = mappings();

	fresh_name(name);
	CHECK_EQ(ipk_segment_create(&segment, name, KIND, IPK_PARTICIPANTS_MAX + 1, OBJECT, 0, 0600), -EINVAL);
	CHECK_EQ(ipk_segment_create(&segment, name, KIND, SLOTS, UINT64_MAX / 2, 0, 0600), -EINVAL);
	CHECK_EQ(ipk_segment_create(&segment, name, KIND, SLOTS, OBJECT, OBJECT + 1, 0600), -EINVAL);
	CHECK_EQ(ipk_segment_create(&segment, name, KIND, SLOTS, OBJECT, 100, 0600), -EINVAL);
	CHECK_EQ(ipk_segment_create(&segment, NULL, KIND, SLOTS, OBJECT, 100, 0600), -EINVAL);
	CHECK_EQ(create("/dev/shm/ipckit.no/such.directory"), -ENOENT);
	CHECK_EQ(create("no-slash"), -EINVAL);
	CHECK(create("/proc/no-files-here") < 0);
	CHECK_EQ(statvfs("/dev/shm", &file_system), 0);
	too_much = (uint64_t)file_system.f_blocks * file_system.f_frsize + (1 << 20);
	if (file_system.f_blocks > 0)
		CHECK_EQ(ipk_segment_create(&segment, name, KIND, SLOTS, too_much, 0, 0600), -ENOSPC);
	CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = (struct rlimit){3, limit.rlim_max};
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
	CHECK_EQ(create(name), -EMFILE);
	CHECK_EQ(create(NULL), -EMFILE);
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
	CHECK(access(name, F_OK) < 0);
	CHECK_EQ(open_descriptors(), descriptors);
	CHECK_EQ(mappings(), maps);
}

/* Write at that offset of the header, and say what an opener answers. */
static int answer_to(uint64_t offset, uint64_t value, size_t size)
{
	int fd = published();
	int rc;

	CHECK_EQ(pwrite(fd, &value, size, (off_t)offset), size);
	close(fd);
	rc = attach(name);
	if (rc == 0)
		ipk_segment_close(&other);
	unlink(name);
	return rc;
}

static void opener_believes_nothing(void)
{
	const uint64_t magic_at = offsetof(struct ipk_segment_shm, magic);
	const uint64_t size_at = offsetof(struct ipk_segment_shm, size);
	const uint64_t size = IPK_SEGMENT_HEADER + OBJECT;
	int descriptors = open_descriptors();
	int maps = mappings();

	CHECK_EQ(answer_to(magic_at, IPK_SEGMENT_MAGIC, 8), 0);
	CHECK_EQ(answer_to(magic_at, 0, 8), -ENOMSG);
	CHECK_EQ(answer_to(magic_at, UINT64_C(0x7f454c4602010100), 8), -ENOMSG);
	CHECK_EQ(answer_to(magic_at, IPK_SEGMENT_MAGIC + 1, 8), -EPROTO);
	CHECK_EQ(answer_to(offsetof(struct ipk_segment_shm, kind), KIND + 1, 4), -EPROTO);
	CHECK_EQ(answer_to(offsetof(struct ipk_segment_shm, participants), SLOTS + 1, 4), -EPROTO);
	CHECK_EQ(answer_to(size_at, 0, 8), -EPROTO);
	CHECK_EQ(answer_to(size_at, size - 1, 8), -EPROTO);
	CHECK_EQ(answer_to(size_at, size + 4096, 8), -EPROTO);
	CHECK_EQ(answer_to(size_at, UINT64_MAX, 8), -EPROTO);
	CHECK_EQ(open_descriptors(), descriptors);
	CHECK_EQ(mappings(), maps);
}

static void resized_and_foreign_files(void)
{
	const off_t sizes[] = {0, 1, IPK_SEGMENT_HEADER - 1};
	int pipes[2];
	int fd = published();

	CHECK_EQ(ftruncate(fd, IPK_SEGMENT_HEADER), 0);
	CHECK_EQ(attach(name), -EPROTO);
	CHECK_EQ(ftruncate(fd, IPK_SEGMENT_HEADER + OBJECT + 1), 0);
	CHECK_EQ(attach(name), -EPROTO);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		CHECK_EQ(ftruncate(fd, sizes[i]), 0);
		CHECK_EQ(attach(name), -ENOMSG);
	}
	close(fd);
	unlink(name);
	CHECK_EQ(pipe(pipes), 0);
	CHECK_EQ(ipk_segment_attach(&other, pipes[0], KIND, SLOTS, 0), -ENOMSG);
	close(pipes[1]);
	CHECK_EQ(ipk_segment_attach(&other, open("/dev/null", O_RDWR), KIND, SLOTS, 0), -ENOMSG);
	CHECK_EQ(ipk_segment_attach(&other, open("/dev/shm", O_RDONLY), KIND, SLOTS, 0), -ENOMSG);
	CHECK_EQ(ipk_segment_attach(&other, -1, KIND, SLOTS, 0), -EBADF);
}

static void tail_beyond_the_object_is_refused(void)
{
	int fd = published();

	CHECK_EQ(ipk_segment_attach(&other, fd, KIND, SLOTS, OBJECT), -EPROTO);
	unlink(name);
}

static void read_only_file_is_refused(void)
{
	close(published());
	CHECK_EQ(ipk_segment_attach(&other, open(name, O_RDONLY | O_CLOEXEC), KIND, SLOTS, 0), -EACCES);
	unlink(name);
}

static void create_and_stay(void *unpublished)
{
	CHECK_EQ(create(unpublished), 0);
	stay();
}

static void creator_killed_before_publish_leaves_no_file(void)
{
	pid_t pid;

	fresh_name(name);
	pid = start(create_and_stay, name);
	wait_staying(pid);
	CHECK(access(name, F_OK) < 0);
	kill_child(pid);
	CHECK(access(name, F_OK) < 0);
	CHECK_EQ(create(name), 0);
	CHECK_EQ(ipk_segment_publish(&segment, name), 0);
	ipk_segment_close(&segment);
	unlink(name);
}

static void create_race(void *winners)
{
	CHECK_EQ(create(name), 0);
	switch (ipk_segment_publish(&segment, name)) {
	case 0:
		atomic_fetch_add((_Atomic uint32_t *)winners, 1);
		break;
	case -EEXIST:
		break;
	default:
		CHECK(0);
	}
	ipk_segment_close(&segment);
	CHECK_EQ(attach(name), 0);
}

static void one_of_many_creators_wins(void)
{
	_Atomic uint32_t *winners = shared_memory(sizeof(*winners));
	pid_t pids[8];

	for (int round = 0; round < 10; round++) {
		fresh_name(name);
		atomic_store(winners, 0);
		for (size_t i = 0; i < 8; i++)
			pids[i] = start(create_race, (void *)(uintptr_t)winners);
		for (size_t i = 0; i < 8; i++)
			CHECK_EQ(reap(pids[i]), 0);
		CHECK_EQ(atomic_load(winners), 1);
		unlink(name);
	}
}

static void close_leaves_reused_descriptors_alone(void)
{
	int number;

	CHECK_EQ(create(NULL), 0);
	number = segment.fd;
	close(number); /* as a daemonising program does */
	CHECK_EQ(open("/dev/null", O_RDONLY), number);
	ipk_segment_close(&segment);
	CHECK_EQ(close(number), 0);
}

int main(void)
{
	RUN(memfd_is_shared_and_sealed);
	RUN(named_appears_only_when_published);
	RUN(taken_name_is_eexist);
	RUN(mode_is_exact);
	RUN(memory_is_reserved);
	RUN(tail_is_mirrored);
	RUN(failures_leave_nothing);
	RUN(opener_believes_nothing);
	RUN(resized_and_foreign_files);
	RUN(tail_beyond_the_object_is_refused);
	RUN(read_only_file_is_refused);
	RUN(creator_killed_before_publish_leaves_no_file);
	RUN(one_of_many_creators_wins);
	RUN(close_leaves_reused_descriptors_alone);
	return 0;
}
