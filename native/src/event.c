#include "ipckit/event.h"

#include <errno.h>

#include "event_word.h"

#define BEGUN (INT64_C(1) << 32)

static struct ipk_event_word_shm *state_of(const struct ipk_sync *view)
{
	return &((struct ipk_event_shm *)(void *)view->object)->state;
}

static struct ipk_event_look look_at(const struct ipk_sync *view, uint32_t since)
{
	return (struct ipk_event_look){state_of(view), ipk_event_auto_reset(view), since};
}

int ipk_event_set(struct ipk_sync *view)
{
	ipk_event_word_set(state_of(view), ipk_event_auto_reset(view));
	return 0;
}

int ipk_event_clear(struct ipk_sync *view)
{
	ipk_event_word_clear(state_of(view));
	return 0;
}

int ipk_event_is_set(const struct ipk_sync *view)
{
	/* acquire: event.set */
	return (atomic_load_explicit(&state_of(view)->word, memory_order_acquire) & IPK_EVENT_SET) != 0;
}

int ipk_event_auto_reset(const struct ipk_sync *view)
{
	return (view->options & IPK_EVENT_AUTO_RESET) != 0;
}

int ipk_event_take(struct ipk_sync *view)
{
	struct ipk_event_look look = look_at(view, ipk_event_word_now(state_of(view)));

	return ipk_event_word_take(&look, 0);
}

int64_t ipk_event_wait(struct ipk_sync *view, int64_t since, int64_t deadline_ns, uint32_t *taken)
{
	uint32_t word = since ? (uint32_t)since : ipk_event_word_now(state_of(view));
	struct ipk_event_look look = look_at(view, word);
	int rc = ipk_event_word_wait(&look, &view->spin, deadline_ns, taken);

	return rc == -EAGAIN ? BEGUN | (int64_t)word : rc;
}
