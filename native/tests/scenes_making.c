/* An object is made, and a process joins the file, in memory that others use. */
#include <errno.h>
#include <string.h>

#include "check.h"
#include "ipckit/mutex.h"
#include "scenes.h"

#define GARBAGE 0x5A

static int make_here(void *place)
{
	int rc = ipk_sync_begin(place, object.member, IPK_MUTEX_SIZE);

	return rc < 0 ? rc : ipk_sync_publish(place, object.member, IPK_SYNC_MUTEX, 0, 0, IPK_MUTEX_SIZE);
}

static void make_object(void)
{
	CHECK_EQ(make_here(object.object), 0);
}

static void wipe(void)
{
	memset(object.object, 0, IPK_MUTEX_SIZE);
}

/* A maker died, when it had half formatted what is there. */
static void half_make(void)
{
	CHECK_EQ(ipk_sync_begin(object.object, object.member, IPK_MUTEX_SIZE), 0);
	memset((unsigned char *)object.object + sizeof(struct ipk_sync_shm), GARBAGE, IPK_MUTEX_SIZE - sizeof(struct ipk_sync_shm));
}

static void die_making(void)
{
	wipe();
	die_after(half_make);
}

/* Nobody takes for an object what is not complete, and whoever comes next can make it. */
static void made(int completed)
{
	struct ipk_sync view;
	uint64_t room = object.object->size;
	int rc;

	memset(&view, 0, sizeof(view));
	rc = ipk_sync_attach(&view, object.object, IPK_MUTEX_SIZE, object.member, IPK_SYNC_MUTEX);
	CHECK(rc == 0 || rc == -ENOENT);
	if (completed)
		CHECK_EQ(rc, 0);
	CHECK_EQ(make_here(object.object), rc == 0 ? -EEXIST : 0);
	CHECK_EQ(ipk_sync_attach(&view, object.object, IPK_MUTEX_SIZE, object.member, IPK_SYNC_MUTEX), 0);
	CHECK_EQ(ipk_mutex_try(&view), 0);
	CHECK_EQ(ipk_mutex_release(&view), 0);
	CHECK(room == 0 || room == IPK_MUTEX_SIZE);
}

/* Be no member yet. */
static void leave(void)
{
	int fd = object.member->fd;

	ipk_member_close(object.member);
	memset(object.member, 0, sizeof(*object.member));
	CHECK_EQ(ipk_member_open(object.member, fd), 0);
}

static void join(void)
{
	CHECK_EQ(ipk_mutex_try(&object), 0);
}

static void joined(int completed)
{
	int rc = ipk_mutex_recover(&object);

	CHECK(rc == -EOWNERDEAD || (rc == 0 && !completed));
	if (rc == -EOWNERDEAD)
		CHECK_EQ(ipk_mutex_consistent(&object), 0);
	CHECK_EQ(ipk_mutex_release(&object), 0);
}

static const struct scene scenes[] = {
	{"making: in zeroed bytes", IPK_SYNC_MUTEX, 0, 0, wipe, NULL, make_object, NULL, made},
	{"making: where a maker died", IPK_SYNC_MUTEX, 0, 0, die_making, NULL, make_object, NULL, made},
	{"making: the first call of a process", IPK_SYNC_MUTEX, 0, 0, NULL, leave, join, NULL, joined},
};

const struct scene *const making_scenes = scenes;
const size_t making_scene_count = sizeof(scenes) / sizeof(scenes[0]);
