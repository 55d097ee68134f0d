/* Waiting for the other side: spin, then sleep. */
#include "spsc_side.h"

#define LOOKS_PER_CLOCK 64   /* the clock costs as much as a few looks */
#define PAUSES_WHEN_FULL 400 /* some 10 microseconds */

/* What a wait of one side looks at, and whom it tells that it sleeps. */
struct waiting {
	uint32_t role;
	struct ipk_spsc_index *theirs; /* whose change ends the wait */
	struct ipk_spsc_index *mine;
	struct ipk_spsc_sleep *sleep;
	uint64_t need; /* producer: bytes */
};

/* May the side go on? order: of the load of the peer's index. */
static int ready(struct ipk_spsc *ring, const struct waiting *w, int seq_cst)
{
	struct ipk_spsc_side *side = &ring->side[w->role];

	/* seq_cst: spsc.sleep; acquire: spsc.full, spsc.empty */
	side->peer_seen = seq_cst ? atomic_load_explicit(&w->theirs->position, memory_order_seq_cst)
				  : atomic_load_explicit(&w->theirs->position, memory_order_acquire);
	if (w->role == IPK_SPSC_CONSUMER)
		return side->peer_seen != side->own;
	return side->own - side->peer_seen + w->need <= ring->capacity || side->own - side->peer_seen > ring->capacity;
}

static int spin(struct ipk_spsc *ring, const struct waiting *w, int64_t now, int64_t until)
{
	struct ipk_spsc_side *side = &ring->side[w->role];
	int64_t budget, end;
	int looks, pauses;

	note_cpu(w->mine);
	/* relaxed: a hint */
	budget = ipk_spin_budget(&side->spin, ipk_spin_cpu(),
				 atomic_load_explicit(&w->theirs->cpu, memory_order_relaxed) - 1);
	if (budget == 0)
		return 0;
	end = budget < until - now ? now + budget : until;
	/* To look at the consumer's line again and again would slow the consumer, and then there is room for one message. */
	looks = w->role == IPK_SPSC_PRODUCER ? 1 : LOOKS_PER_CLOCK;
	pauses = w->role == IPK_SPSC_PRODUCER ? PAUSES_WHEN_FULL : 1;
	do {
		for (int look = 0; look < looks; look++) {
			if (ready(ring, w, 0)) {
				ipk_spin_hit(&side->spin);
				return 1;
			}
			for (int pause = 0; pause < pauses; pause++)
				ipk_relax();
		}
	} while (ipk_monotonic_ns() < end);
	ipk_spin_missed(&side->spin);
	return 0;
}

/* Whether it makes no difference to the wait that its peer is gone: somebody will take over. */
static int patient(const struct ipk_spsc *ring, const struct waiting *w)
{
	return w->role == IPK_SPSC_PRODUCER && ring->options & IPK_SPSC_PATIENT;
}

/* The peer closed, as seen by a sleeper that has announced itself. */
static int closed(struct ipk_spsc *ring, const struct waiting *w)
{
	if (patient(ring, w))
		return 0;
	/* seq_cst: spsc.sleep */
	return atomic_load_explicit(&ring->shm->roles.state[!w->role], memory_order_seq_cst) == IPK_SPSC_CLOSED;
}

/* Whether the peer will never end this wait: 0, -EPIPE, -EOWNERDEAD. */
static int peer_gone(struct ipk_spsc *ring, const struct waiting *w, int ask_kernel)
{
	uint32_t peer = !w->role;
	const _Atomic uint32_t *state = &ring->shm->roles.state[peer];
	int dead;

	if (patient(ring, w))
		return 0;
	/* relaxed: a look; what is believed is loaded below */
	dead = ask_kernel && atomic_load_explicit(state, memory_order_relaxed) == IPK_SPSC_OPEN &&
	       ipk_participant_alive(&ring->segment, peer) == 0;
	/* acquire: spsc.end; after the kernel's answer, for whoever closes says so before it gives the role back */
	if (atomic_load_explicit(state, memory_order_acquire) == IPK_SPSC_CLOSED && !ready(ring, w, 0))
		/* relaxed: ordered by spsc.end, if it was this view whose close gave up both roles */
		return atomic_load_explicit(&ring->closed, memory_order_relaxed) ? -EBADF : -EPIPE;
	return dead && !ready(ring, w, 0) ? -EOWNERDEAD : 0;
}

static int sleep_on(struct ipk_spsc *ring, const struct waiting *w, int64_t until)
{
	int rc;

	/* seq_cst: spsc.sleep */
	atomic_store_explicit(&w->sleep->asleep, 1, memory_order_seq_cst);
	IPK_KILLPOINT("spsc.wait.announced");
	if (ready(ring, w, 1) || closed(ring, w)) {
		rc = 0;
	} else {
		add_to(&w->mine->waits, 1);
		rc = ipk_futex_wait((uint32_t *)&w->sleep->asleep, 1, until, IPK_FUTEX_ANY);
	}
	/* relaxed: the flag carries nothing */
	atomic_store_explicit(&w->sleep->asleep, 0, memory_order_relaxed);
	IPK_KILLPOINT("spsc.wait.awake");
	return rc;
}

static int wait_for(struct ipk_spsc *ring, const struct waiting *w, int64_t deadline_ns)
{
	int64_t now, until;
	int rc;

	if (ready(ring, w, 0))
		return 0;
	rc = peer_gone(ring, w, 0);
	if (rc < 0)
		return rc;
	now = ipk_monotonic_ns();
	if (deadline_ns <= now) {
		rc = peer_gone(ring, w, 1); /* who only ever polls learns of a death here */
		return rc < 0 ? rc : -ETIMEDOUT;
	}
	until = deadline_ns - now < IPK_SLICE_NS ? deadline_ns : now + IPK_SLICE_NS;
	if (spin(ring, w, now, until))
		return 0;
	rc = sleep_on(ring, w, until);
	if (ready(ring, w, 0))
		return 0;
	if (rc == -EINTR)
		return -EINTR;
	/* nothing happened for a slice: look around */
	rc = ipk_segment_still_ours(&ring->segment);
	if (rc == -ECHILD) { /* a signal handler forked inside this call */
		ipk_spsc_forked(ring);
		return -EAGAIN;
	}
	if (!ipk_segment_holds(&ring->segment, w->role)) {
		ring->side[w->role].held = 0;
		return -EBUSY;
	}
	if (rc == -EBADF)
		return rc; /* nobody could tell us any more that the peer is dead */
	rc = peer_gone(ring, w, 1);
	if (rc < 0)
		return rc;
	return ipk_monotonic_ns() >= deadline_ns ? -ETIMEDOUT : -EAGAIN;
}

int ipk_spsc_wait_room(struct ipk_spsc *ring, uint64_t length, int64_t deadline_ns)
{
	struct waiting w;
	uint64_t want;
	int rc = enter(ring, IPK_SPSC_PRODUCER);

	if (rc < 0)
		return rc;
	if (length > ring->capacity - IPK_SPSC_RECORD_HEADER) {
		leave(&ring->side[IPK_SPSC_PRODUCER]);
		return -EMSGSIZE;
	}
	w = (struct waiting){IPK_SPSC_PRODUCER, &ring->shm->head, &ring->shm->tail, &ring->shm->producer_sleep,
			     record_size(length)};
	/* A wake-up for each freed record would cost more than the records: sleep until a part of the ring is free. */
	want = w.need > ring->capacity / 4 ? w.need : ring->capacity / 4;
	/* relaxed: spsc.want */
	atomic_store_explicit(&w.sleep->want_kib, (uint32_t)(want >> 10), memory_order_relaxed);
	rc = wait_for(ring, &w, deadline_ns);
	leave(&ring->side[IPK_SPSC_PRODUCER]);
	return rc;
}

int ipk_spsc_wait_message(struct ipk_spsc *ring, int64_t deadline_ns)
{
	struct waiting w;
	int rc = enter(ring, IPK_SPSC_CONSUMER);

	if (rc < 0)
		return rc;
	w = (struct waiting){IPK_SPSC_CONSUMER, &ring->shm->tail, &ring->shm->head, &ring->shm->consumer_sleep, 0};
	rc = wait_for(ring, &w, deadline_ns);
	leave(&ring->side[IPK_SPSC_CONSUMER]);
	return rc;
}
