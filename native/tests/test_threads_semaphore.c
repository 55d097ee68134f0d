/* Both kinds of semaphore between threads, for ThreadSanitizer: what a single permit protects is plain data, so that an
 * order that is missing is a race (party.h).
 */
#include <errno.h>

#include "ipckit/semaphore.h"
#include "ipckit/tracked_semaphore.h"
#include "party.h"

#define HOLDERS 8

static const int64_t budgets[] = {0, IPK_SPIN_DEFAULT_NS}; /* asleep most of the time; awake most of the time */

static uint64_t guarded; /* by the permit */

static const struct kind {
	uint32_t kind, count;
	void (*format)(void *place);
	int (*take)(struct ipk_sync *view);
	int (*wait)(struct ipk_sync *view, int64_t deadline_ns, uint32_t *taken);
	int (*give)(struct ipk_sync *view, uint32_t n);
} *tested;

static void format_plain(void *place)
{
	ipk_semaphore_format(place, 1, 1);
}

static void format_tracked(void *place)
{
	ipk_tracked_semaphore_format(place, 1);
}

static const struct kind kinds[] = {
	{IPK_SYNC_SEMAPHORE, 0, format_plain, ipk_semaphore_try, ipk_semaphore_wait, ipk_semaphore_release},
	{IPK_SYNC_TRACKED_SEMAPHORE, HOLDERS, format_tracked, ipk_tracked_semaphore_try, ipk_tracked_semaphore_wait,
	 ipk_tracked_semaphore_release},
};

static void *take_turns(void *party)
{
	struct ipk_sync *view = &((struct party *)party)->view;

	for (int i = 0; i < ROUNDS; i++) {
		uint32_t taken;
		int rc = tested->take(view);

		while (rc == -EAGAIN)
			rc = tested->wait(view, IPK_NEVER, &taken);
		CHECK_EQ(rc, 0);
		guarded++;
		CHECK_EQ(tested->give(view, 1), 0);
	}
	return NULL;
}

static void one_permit_orders_what_it_protects(void)
{
	for (size_t i = 0; i < 4; i++) {
		struct party parties[PARTIES];

		tested = &kinds[i / 2];
		guarded = 0;
		make_object(tested->kind, 0, tested->count, tested->format);
		for (int k = 0; k < PARTIES; k++)
			attach(&parties[k], tested->kind, budgets[i % 2]);
		run_all(take_turns, parties, sizeof(parties[0]), PARTIES);
		CHECK_EQ(guarded, PARTIES * ROUNDS);
		for (int k = 0; k < PARTIES; k++)
			depart(&parties[k]);
		close_home();
	}
}

int main(void)
{
	RUN(one_permit_orders_what_it_protects);
	return 0;
}
