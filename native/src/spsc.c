#include "ipckit/spsc.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "ipckit/futex.h"

#define ROLES 2
#define TAKE_TRIES 10000 /* yields: some ten milliseconds */
#define LOOKS_PER_CLOCK 64   /* the clock costs as much as a few looks */
#define PAUSES_WHEN_FULL 400 /* some 10 microseconds */

static uint64_t record_size(uint64_t length)
{
	return (IPK_SPSC_RECORD_HEADER + length + 7) & ~UINT64_C(7);
}

static void set_up(struct ipk_spsc *ring, uint64_t capacity)
{
	ring->shm = (struct ipk_spsc_shm *)(void *)(ring->segment.base + IPK_SEGMENT_HEADER);
	ring->data = ring->segment.base + IPK_SEGMENT_HEADER + IPK_SPSC_DATA;
	ring->capacity = capacity;
	ring->mask = capacity - 1;
	ipk_spsc_set_spin(ring, IPK_SPIN_DEFAULT_NS);
}

static int geometry_valid(uint64_t capacity)
{
	return capacity >= IPK_SPSC_MIN_CAPACITY && capacity <= IPK_SPSC_MAX_CAPACITY && !(capacity & (capacity - 1)) &&
	       capacity % (uint64_t)sysconf(_SC_PAGESIZE) == 0;
}

int ipk_spsc_create(struct ipk_spsc *ring, const char *path, uint64_t capacity, uint32_t mode)
{
	int rc;

	if (!geometry_valid(capacity))
		return -EINVAL;
	rc = ipk_segment_create(&ring->segment, path, IPK_KIND_SPSC, ROLES, IPK_SPSC_DATA + capacity, capacity, mode);
	if (rc < 0)
		return rc;
	set_up(ring, capacity);
	ring->shm->capacity = capacity;
	rc = ipk_segment_publish(&ring->segment, path);
	if (rc < 0)
		ipk_spsc_unmap(ring);
	return rc;
}

int ipk_spsc_attach(struct ipk_spsc *ring, int fd)
{
	uint64_t capacity;
	int rc = ipk_segment_attach(&ring->segment, fd, IPK_KIND_SPSC, ROLES, IPK_SPSC_DATA);

	if (rc < 0)
		return rc;
	capacity = ((struct ipk_spsc_shm *)(void *)(ring->segment.base + IPK_SEGMENT_HEADER))->capacity;
	if (!geometry_valid(capacity) || ring->segment.size != IPK_SEGMENT_HEADER + IPK_SPSC_DATA + capacity) {
		ipk_segment_close(&ring->segment);
		return -EPROTO;
	}
	set_up(ring, capacity);
	return 0;
}

static void leave(struct ipk_spsc_side *side)
{
	/* release: pairs with enter, the view's fields go to the next caller, perhaps another thread */
	atomic_store_explicit(&side->busy, 0, memory_order_release);
}

/* Wake the other side if it sleeps. */
static void wake(struct ipk_spsc_sleep *sleep, struct ipk_spsc_index *waker)
{
	/* relaxed: the flag carries nothing; the sleeper looks at the index again */
	if (!atomic_exchange_explicit(&sleep->asleep, 0, memory_order_relaxed))
		return;
	/* relaxed, both: a counter of the waker's own */
	atomic_store_explicit(&waker->wakes, atomic_load_explicit(&waker->wakes, memory_order_relaxed) + 1,
			      memory_order_relaxed);
	ipk_futex_wake((uint32_t *)&sleep->asleep, 1, IPK_FUTEX_ANY);
}

static void give_up_role(struct ipk_spsc *ring, uint32_t role)
{
	struct ipk_spsc_shm *shm = ring->shm;
	struct ipk_spsc_sleep *sleep = role == IPK_SPSC_PRODUCER ? &shm->consumer_sleep : &shm->producer_sleep;

	if (!ring->side[role].held || !ipk_segment_holds(&ring->segment, role))
		return;
	ring->side[role].held = 0;
	/* seq_cst: spsc.end, spsc.sleep */
	atomic_store_explicit(&shm->roles.state[role], IPK_SPSC_CLOSED, memory_order_seq_cst);
	IPK_KILLPOINT("spsc.close.stated");
	/* seq_cst: spsc.sleep */
	if (atomic_load_explicit(&sleep->asleep, memory_order_seq_cst))
		wake(sleep, role == IPK_SPSC_PRODUCER ? &shm->tail : &shm->head);
	IPK_KILLPOINT("spsc.close.woken");
	ipk_participant_release(&ring->segment, role);
}

/* Get a side from the call that is inside. A waiter is woken and leaves at once, a copy ends soon. Returns 1 or 0. */
static int take_side(struct ipk_spsc *ring, uint32_t role)
{
	struct ipk_spsc_sleep *sleep = role == IPK_SPSC_CONSUMER ? &ring->shm->consumer_sleep : &ring->shm->producer_sleep;

	for (int i = 0; i < TAKE_TRIES; i++) {
		/* acquire: pairs with leave; release: whoever finds the side busy because of us, finds it closed in enter */
		if (!atomic_exchange_explicit(&ring->side[role].busy, 1, memory_order_acq_rel))
			return 1;
		ipk_futex_wake((uint32_t *)&sleep->asleep, INT32_MAX, IPK_FUTEX_ANY);
		sched_yield();
	}
	return 0; /* the caller is a signal handler, and it is its own thread that is inside: unmap gives the role back */
}

void ipk_spsc_close(struct ipk_spsc *ring)
{
	/* relaxed: a call that is inside finishes on memory that stays mapped */
	if (atomic_exchange_explicit(&ring->closed, 1, memory_order_relaxed) || !ring->shm)
		return;
	if (ipk_segment_still_ours(&ring->segment) == -ECHILD)
		return; /* forked: the roles are the parent's to give up */
	for (uint32_t role = 0; role < ROLES; role++) {
		if (take_side(ring, role)) {
			give_up_role(ring, role);
			leave(&ring->side[role]);
		}
	}
}

void ipk_spsc_unmap(struct ipk_spsc *ring)
{
	if (!ring->shm)
		return;
	if (ipk_segment_still_ours(&ring->segment) != -ECHILD) {
		give_up_role(ring, IPK_SPSC_PRODUCER);
		give_up_role(ring, IPK_SPSC_CONSUMER);
	}
	ring->shm = NULL;
	ring->data = NULL;
	ipk_segment_close(&ring->segment);
}

void ipk_spsc_forked(struct ipk_spsc *ring)
{
	if (!ring->shm)
		return;
	ipk_segment_forked(&ring->segment);
	for (int role = 0; role < ROLES; role++) {
		ring->side[role].held = 0;
		ring->side[role].loan = 0;
		/* relaxed: the child of a fork has one thread; a call of the parent's is not inside here */
		atomic_store_explicit(&ring->side[role].busy, 0, memory_order_relaxed);
	}
}

static int claim_role(struct ipk_spsc *ring, uint32_t role)
{
	struct ipk_spsc_side *side = &ring->side[role];
	struct ipk_spsc_shm *shm = ring->shm;
	int rc = ipk_participant_claim(&ring->segment, role);

	if (rc < 0)
		return rc;
	/* acquire: spsc.full, spsc.empty: we go on where our predecessor stopped, who may have been killed */
	side->own = atomic_load_explicit(role == IPK_SPSC_PRODUCER ? &shm->tail.position : &shm->head.position,
					 memory_order_acquire);
	side->peer_seen = atomic_load_explicit(role == IPK_SPSC_PRODUCER ? &shm->head.position : &shm->tail.position,
					       memory_order_acquire);
	if (side->own % 8) {
		ipk_participant_release(&ring->segment, role);
		return -EBADMSG; /* only a corrupt segment has a record at an odd place */
	}
	side->loan = 0;
	side->held = 1;
	/* relaxed: what OPEN says is only that CLOSED no longer holds */
	atomic_store_explicit(&shm->roles.state[role], IPK_SPSC_OPEN, memory_order_relaxed);
	IPK_KILLPOINT("spsc.claim.opened");
	return 0;
}

/* How much a batch moves before the other side hears of it: both copy at the same time, each its own part. */
static uint64_t portion(const struct ipk_spsc *ring)
{
	return ring->capacity / 8;
}

/* Get the view's side for ourselves, with its role claimed. Returns 0, or -errno and the side is not ours. */
static int enter(struct ipk_spsc *ring, uint32_t role)
{
	struct ipk_spsc_side *side = &ring->side[role];
	int rc = 0;

	/* relaxed: only fork zeroes it, and the child sees all that came before */
	if (ring->shm && !atomic_load_explicit(ring->segment.same_process, memory_order_relaxed))
		ipk_spsc_forked(ring);
	/* acquire: pairs with leave, and with take_side */
	if (atomic_exchange_explicit(&side->busy, 1, memory_order_acquire))
		/* relaxed: ordered by take_side, where it is close that is inside */
		return atomic_load_explicit(&ring->closed, memory_order_relaxed) ? -EBADF : -EBUSY;
	/* relaxed: a close at this very moment finds the memory still mapped */
	if (atomic_load_explicit(&ring->closed, memory_order_relaxed))
		rc = -EBADF;
	else if (!side->held)
		rc = claim_role(ring, role);
	if (rc < 0)
		leave(side);
	return rc;
}

/* Room for `need` bytes at the tail? Returns 0, -EAGAIN, or -EBADMSG. */
static int room(struct ipk_spsc *ring, uint64_t need)
{
	struct ipk_spsc_side *side = &ring->side[IPK_SPSC_PRODUCER];

	if (side->own - side->peer_seen + need <= ring->capacity && side->own - side->peer_seen <= ring->capacity)
		return 0;
	/* acquire: spsc.empty */
	side->peer_seen = atomic_load_explicit(&ring->shm->head.position, memory_order_acquire);
	if (side->own - side->peer_seen > ring->capacity)
		return -EBADMSG; /* only a corrupt segment has head beyond tail */
	return side->own - side->peer_seen + need <= ring->capacity ? 0 : -EAGAIN;
}

static void write_record(struct ipk_spsc *ring, const void *data, uint64_t length)
{
	struct ipk_spsc_side *side = &ring->side[IPK_SPSC_PRODUCER];
	unsigned char *record = ring->data + (side->own & ring->mask);
	uint64_t header = length; /* upper half zero; little or big endian, the reader is on this machine */

	memcpy(record, &header, sizeof(header));
	IPK_KILLPOINT("spsc.send.headed");
	if (length > 0) /* data may be NULL then */
		memcpy(record + IPK_SPSC_RECORD_HEADER, data, length);
	IPK_KILLPOINT("spsc.send.copied");
	side->own += record_size(length);
}

/* Say where we run, for the peer to know whether to spin. On the line that we write anyway: it costs no transfer. */
static void note_cpu(struct ipk_spsc_index *mine)
{
	/* relaxed: a hint */
	atomic_store_explicit(&mine->cpu, ipk_spin_cpu() + 1, memory_order_relaxed);
}

static void commit(struct ipk_spsc *ring, uint64_t messages)
{
	struct ipk_spsc_shm *shm = ring->shm;

	/* relaxed, both: a counter of the producer's own */
	atomic_store_explicit(&shm->tail.messages,
			      atomic_load_explicit(&shm->tail.messages, memory_order_relaxed) + messages,
			      memory_order_relaxed);
	note_cpu(&shm->tail);
	/* seq_cst: spsc.full, spsc.sleep */
	atomic_store_explicit(&shm->tail.position, ring->side[IPK_SPSC_PRODUCER].own, memory_order_seq_cst);
	IPK_KILLPOINT("spsc.send.committed");
	/* seq_cst: spsc.sleep */
	if (atomic_load_explicit(&shm->consumer_sleep.asleep, memory_order_seq_cst))
		wake(&shm->consumer_sleep, &shm->tail);
	IPK_KILLPOINT("spsc.send.woken");
}

int ipk_spsc_try_send(struct ipk_spsc *ring, const void *data, uint64_t length)
{
	int rc = enter(ring, IPK_SPSC_PRODUCER);

	if (rc < 0)
		return rc;
	if (length > ring->capacity - IPK_SPSC_RECORD_HEADER) {
		rc = -EMSGSIZE;
	} else {
		rc = room(ring, record_size(length));
		if (rc == 0) {
			write_record(ring, data, length);
			commit(ring, 1);
		}
	}
	leave(&ring->side[IPK_SPSC_PRODUCER]);
	return rc;
}

int64_t ipk_spsc_try_send_many(struct ipk_spsc *ring, const struct ipk_slice *messages, uint32_t count)
{
	struct ipk_spsc_side *side = &ring->side[IPK_SPSC_PRODUCER];
	uint64_t committed;
	uint32_t sent = 0, pending = 0;
	int rc = enter(ring, IPK_SPSC_PRODUCER);

	if (rc < 0)
		return rc;
	committed = side->own;
	for (; sent < count; sent++) {
		rc = messages[sent].length > ring->capacity - IPK_SPSC_RECORD_HEADER
			     ? -EMSGSIZE
			     : room(ring, record_size(messages[sent].length));
		if (rc < 0)
			break;
		write_record(ring, messages[sent].data, messages[sent].length);
		pending++;
		if (side->own - committed >= portion(ring)) {
			commit(ring, pending);
			committed = side->own;
			pending = 0;
		}
	}
	if (pending > 0)
		commit(ring, pending);
	leave(side);
	return sent > 0 ? (int64_t)sent : rc;
}

/* Lend the record at `at` bytes behind head, if all of it lies before the tail. Returns its length, or -errno. */
static int64_t record_at(struct ipk_spsc *ring, uint64_t at)
{
	struct ipk_spsc_side *side = &ring->side[IPK_SPSC_CONSUMER];
	uint64_t readable = side->peer_seen - side->own;
	uint64_t length;

	if (at >= readable) {
		/* acquire: spsc.full */
		side->peer_seen = atomic_load_explicit(&ring->shm->tail.position, memory_order_acquire);
		readable = side->peer_seen - side->own;
		if (readable <= at)
			return -EAGAIN;
	}
	if (readable > ring->capacity || readable - at < IPK_SPSC_RECORD_HEADER)
		return -EBADMSG;
	/* one load: a hostile producer may change the word between two */
	length = atomic_load_explicit((_Atomic uint64_t *)(void *)(ring->data + ((side->own + at) & ring->mask)),
				      memory_order_relaxed); /* relaxed: ordered by spsc.full */
	if (length > readable || record_size(length) > readable - at)
		return -EBADMSG;
	return (int64_t)length;
}

int64_t ipk_spsc_try_receive(struct ipk_spsc *ring)
{
	struct ipk_spsc_side *side = &ring->side[IPK_SPSC_CONSUMER];
	int64_t length = enter(ring, IPK_SPSC_CONSUMER);

	if (length < 0)
		return length;
	length = record_at(ring, 0);
	if (length < 0) {
		leave(side);
		return length;
	}
	IPK_KILLPOINT("spsc.receive.lent");
	side->loan = record_size((uint64_t)length);
	side->loan_messages = 1;
	/* masked once more: an offset of 2 GiB would be taken for an error, and lies at 0 as well */
	return (int64_t)((side->own + IPK_SPSC_RECORD_HEADER) & ring->mask) << 32 | length;
}

int64_t ipk_spsc_try_receive_many(struct ipk_spsc *ring, uint64_t *bounds, uint32_t count)
{
	struct ipk_spsc_side *side = &ring->side[IPK_SPSC_CONSUMER];
	uint64_t at = 0;
	uint32_t lent = 0;
	int64_t length = enter(ring, IPK_SPSC_CONSUMER);

	if (length < 0)
		return length;
	for (; lent < count && at < portion(ring); lent++) {
		length = record_at(ring, at);
		if (length < 0)
			break;
		bounds[2 * lent] = ((side->own + at) & ring->mask) + IPK_SPSC_RECORD_HEADER;
		bounds[2 * lent + 1] = bounds[2 * lent] + (uint64_t)length;
		at += record_size((uint64_t)length);
	}
	if (lent == 0) {
		leave(side);
		return length;
	}
	side->loan = at;
	side->loan_messages = lent;
	return (int64_t)lent;
}

int ipk_spsc_release(struct ipk_spsc *ring)
{
	struct ipk_spsc_side *side = &ring->side[IPK_SPSC_CONSUMER];
	struct ipk_spsc_shm *shm = ring->shm;

	if (side->loan == 0)
		return 0; /* forked since */
	IPK_KILLPOINT("spsc.receive.copied");
	side->own += side->loan;
	side->loan = 0;
	/* relaxed, both: a counter of the consumer's own */
	atomic_store_explicit(&shm->head.messages,
			      atomic_load_explicit(&shm->head.messages, memory_order_relaxed) + side->loan_messages,
			      memory_order_relaxed);
	note_cpu(&shm->head);
	/* seq_cst: spsc.empty, spsc.sleep */
	atomic_store_explicit(&shm->head.position, side->own, memory_order_seq_cst);
	IPK_KILLPOINT("spsc.receive.released");
	/* seq_cst: spsc.sleep */
	if (atomic_load_explicit(&shm->producer_sleep.asleep, memory_order_seq_cst)) {
		/* relaxed: spsc.want; peer_seen may be old, then there is more room than we think only for a moment */
		uint64_t want = (uint64_t)atomic_load_explicit(&shm->producer_sleep.want_kib, memory_order_relaxed) << 10;

		if (ring->capacity - (side->peer_seen - side->own) >= want || side->peer_seen == side->own)
			wake(&shm->producer_sleep, &shm->head);
	}
	IPK_KILLPOINT("spsc.receive.woken");
	leave(side);
	return 0;
}

int ipk_spsc_return_loan(struct ipk_spsc *ring)
{
	struct ipk_spsc_side *side = &ring->side[IPK_SPSC_CONSUMER];

	if (side->loan == 0)
		return 0;
	side->loan = 0;
	leave(side);
	return 0;
}

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

/* The peer closed, as seen by a sleeper that has announced itself. */
static int closed(struct ipk_spsc *ring, const struct waiting *w)
{
	/* seq_cst: spsc.sleep */
	return atomic_load_explicit(&ring->shm->roles.state[!w->role], memory_order_seq_cst) == IPK_SPSC_CLOSED;
}

/* Whether the peer will never end this wait: 0, -EPIPE, -EOWNERDEAD. */
static int peer_gone(struct ipk_spsc *ring, const struct waiting *w, int ask_kernel)
{
	uint32_t peer = !w->role;
	/* acquire: spsc.end */
	uint32_t state = atomic_load_explicit(&ring->shm->roles.state[peer], memory_order_acquire);

	if (state == IPK_SPSC_CLOSED && !ready(ring, w, 0))
		/* relaxed: ordered by spsc.end, if it was this view whose close gave up both roles */
		return atomic_load_explicit(&ring->closed, memory_order_relaxed) ? -EBADF : -EPIPE;
	if (state == IPK_SPSC_OPEN && ask_kernel && ipk_participant_alive(&ring->segment, peer) == 0)
		return ready(ring, w, 0) ? 0 : -EOWNERDEAD;
	return 0;
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
		/* relaxed, both: a counter of our own */
		atomic_store_explicit(&w->mine->waits,
				      atomic_load_explicit(&w->mine->waits, memory_order_relaxed) + 1, memory_order_relaxed);
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
	if (deadline_ns <= now)
		return -ETIMEDOUT;
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

void *ipk_spsc_data(struct ipk_spsc *ring)
{
	return ring->data;
}

uint64_t ipk_spsc_capacity(const struct ipk_spsc *ring)
{
	return ring->shm ? ring->capacity : 0;
}

int ipk_spsc_fd(const struct ipk_spsc *ring)
{
	return ring->shm ? ring->segment.fd : -1;
}

void ipk_spsc_set_spin(struct ipk_spsc *ring, int64_t budget_ns)
{
	ring->side[IPK_SPSC_PRODUCER].spin.full_ns = budget_ns;
	ring->side[IPK_SPSC_CONSUMER].spin.full_ns = budget_ns;
}

int ipk_spsc_stat(const struct ipk_spsc *ring, struct ipk_spsc_stat *stat)
{
	const struct ipk_spsc_shm *shm = ring->shm;

	memset(stat, 0, sizeof(*stat));
	if (!shm)
		return -EBADF;
	/* relaxed, all: a snapshot for people */
	stat->capacity = ring->capacity;
	stat->sent = atomic_load_explicit(&shm->tail.messages, memory_order_relaxed);
	stat->received = atomic_load_explicit(&shm->head.messages, memory_order_relaxed);
	stat->used = atomic_load_explicit(&shm->tail.position, memory_order_relaxed) -
		     atomic_load_explicit(&shm->head.position, memory_order_relaxed);
	stat->full_waits = atomic_load_explicit(&shm->tail.waits, memory_order_relaxed);
	stat->empty_waits = atomic_load_explicit(&shm->head.waits, memory_order_relaxed);
	stat->producer_wakes = atomic_load_explicit(&shm->tail.wakes, memory_order_relaxed);
	stat->consumer_wakes = atomic_load_explicit(&shm->head.wakes, memory_order_relaxed);
	stat->producer_state = atomic_load_explicit(&shm->roles.state[IPK_SPSC_PRODUCER], memory_order_relaxed);
	stat->consumer_state = atomic_load_explicit(&shm->roles.state[IPK_SPSC_CONSUMER], memory_order_relaxed);
	return 0;
}
