#include "ipckit/event_pair.h"

#include "event_word.h"

#define GLANCE 80 /* looks; some 25 ns each */

static struct ipk_event_word_shm *state_of(const struct ipk_sync *view, uint32_t side)
{
	return &((struct ipk_event_pair_shm *)(void *)view->object)->side[side & 1];
}

static struct ipk_event_look look_at(const struct ipk_sync *view, uint32_t side)
{
	return (struct ipk_event_look){state_of(view, side), 1, 0};
}

int ipk_event_pair_set(struct ipk_sync *view, uint32_t side)
{
	ipk_event_word_set(state_of(view, side), 1);
	return 0;
}

int ipk_event_pair_take(struct ipk_sync *view, uint32_t side)
{
	struct ipk_event_look look = look_at(view, side);

	return ipk_event_word_take(&look, 0);
}

int ipk_event_pair_glance(struct ipk_sync *view, uint32_t side)
{
	struct ipk_event_look look = look_at(view, side);

	return ipk_event_word_glance(&look, &view->spin, GLANCE);
}

int ipk_event_pair_wait(struct ipk_sync *view, uint32_t side, int64_t deadline_ns, uint32_t *taken)
{
	struct ipk_event_look look = look_at(view, side);

	return ipk_event_word_wait(&look, &view->spin, deadline_ns, taken);
}

int ipk_event_pair_clear(struct ipk_sync *view)
{
	ipk_event_word_clear(state_of(view, IPK_EVENT_PAIR_LOW));
	ipk_event_word_clear(state_of(view, IPK_EVENT_PAIR_HIGH));
	return 0;
}
