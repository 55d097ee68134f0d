/* Each operation is one instruction, and so there is no half of it. */
#include "check.h"
#include "ipckit/atomic.h"
#include "scenes.h"

#define BEFORE UINT64_C(0x0123456789ABCDEF)
#define CHANGE UINT64_C(0x1111111111111111)

static void begin(void)
{
	ipk_atomic_format(object.object, BEFORE);
}

static void load(void)
{
	CHECK_EQ(ipk_atomic_load(&object), BEFORE);
}

static void store(void)
{
	ipk_atomic_store(&object, BEFORE + CHANGE);
}

static void exchange(void)
{
	ipk_atomic_exchange(&object, BEFORE + CHANGE);
}

static void add(void)
{
	ipk_atomic_fetch_add(&object, CHANGE);
}

static void compare_exchange(void)
{
	uint64_t expected = BEFORE;

	ipk_atomic_compare_exchange(&object, &expected, BEFORE + CHANGE);
}

static void compare_exchange_in_vain(void)
{
	uint64_t expected = BEFORE + 1;

	ipk_atomic_compare_exchange(&object, &expected, CHANGE);
}

static void works(void)
{
	struct ipk_sync *second = another_member();
	uint64_t value = ipk_atomic_load(&object);

	CHECK_EQ(ipk_atomic_fetch_add(second, 1), value);
	CHECK_EQ(ipk_atomic_exchange(&object, 7), value + 1);
	CHECK_EQ(ipk_atomic_load(second), 7);
}

static void after_change(int completed)
{
	uint64_t value = ipk_atomic_load(&object);

	CHECK(value == BEFORE + CHANGE || (value == BEFORE && !completed));
	works();
}

static void after_look(int completed)
{
	(void)completed;
	CHECK_EQ(ipk_atomic_load(&object), BEFORE);
	works();
}

#define SCENE(name, ...) {"atomic: " name, IPK_SYNC_ATOMIC_INT64, 0, 0, begin, NULL, __VA_ARGS__}

static const struct scene scenes[] = {
	SCENE("load", load, NULL, after_look),
	SCENE("store", store, NULL, after_change),
	SCENE("exchange", exchange, NULL, after_change),
	SCENE("add", add, NULL, after_change),
	SCENE("compare and exchange", compare_exchange, NULL, after_change),
	SCENE("compare and exchange, another value", compare_exchange_in_vain, NULL, after_look),
};

const struct scene *const atomic_scenes = scenes;
const size_t atomic_scene_count = sizeof(scenes) / sizeof(scenes[0]);
