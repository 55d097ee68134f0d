/* Readers that wait: spin, then sleep. */
#include <sched.h>

#include "latest_view.h"

#define LOOKS_PER_CLOCK 64 /* the clock costs as much as a few looks */

static int is_newer(const struct ipk_latest *latest, uint64_t sequence)
{
	return (int64_t)(sequence - ipk_latest_seen(latest)) > 0;
}

static int ready(const struct ipk_latest *latest)
{
	/* acquire: latest.value */
	return is_newer(latest, atomic_load_explicit(&latest->shm->index.sequence, memory_order_acquire));
}

/* Whether a sleeper that has announced itself need not sleep. */
static int roused(const struct ipk_latest *latest)
{
	/* seq_cst, both: latest.sleep */
	return is_newer(latest, atomic_load_explicit(&latest->shm->index.sequence, memory_order_seq_cst)) ||
	       atomic_load_explicit(&latest->shm->role.state, memory_order_seq_cst) == IPK_LATEST_CLOSED || is_closed(latest);
}

/* Whether no writer will ever end this wait: 0, -EPIPE, -EOWNERDEAD. */
static int writer_gone(const struct ipk_latest *latest, int ask_kernel)
{
	const _Atomic uint32_t *state = &latest->shm->role.state;
	/* relaxed: a look; what is believed is loaded below */
	int dead = ask_kernel && atomic_load_explicit(state, memory_order_relaxed) == IPK_LATEST_OPEN &&
		   ipk_participant_alive(&latest->segment, IPK_LATEST_WRITER) == 0;

	/* acquire: latest.end; after the kernel's answer, for whoever closes says so before it gives the role back */
	if (atomic_load_explicit(state, memory_order_acquire) == IPK_LATEST_CLOSED && !ready(latest))
		return is_closed(latest) ? -EBADF : -EPIPE;
	return dead && !ready(latest) ? -EOWNERDEAD : 0;
}

static int spin(struct ipk_latest *latest, int64_t now, int64_t until)
{
	/* relaxed: a hint */
	uint32_t writers_cpu = atomic_load_explicit(&latest->shm->index.cpu, memory_order_relaxed) - 1;
	int64_t budget = ipk_spin_budget(&latest->spin, ipk_spin_cpu(), writers_cpu);
	int64_t end = budget < until - now ? now + budget : until;

	if (budget == 0)
		return 0;
	do {
		for (int look = 0; look < LOOKS_PER_CLOCK; look++) {
			if (ready(latest)) {
				ipk_spin_hit(&latest->spin);
				return 1;
			}
			ipk_relax();
		}
	} while (ipk_monotonic_ns() < end);
	ipk_spin_missed(&latest->spin);
	return 0;
}

static int sleep_until(struct ipk_latest *latest, int64_t until)
{
	struct ipk_sleepers_shm *sleepers = &latest->shm->asleep.sleepers;
	uint32_t announced = ipk_sleepers_announce(sleepers);
	int rc = 0;

	IPK_KILLPOINT("latest.wait.announced");
	if (!roused(latest)) {
		/* relaxed: a counter */
		atomic_fetch_add_explicit(&latest->shm->role.waits, 1, memory_order_relaxed);
		rc = ipk_sleepers_sleep(sleepers, announced, until);
	}
	IPK_KILLPOINT("latest.wait.awake");
	return rc;
}

int ipk_latest_wait(struct ipk_latest *latest, int64_t deadline_ns)
{
	int64_t now, until;
	int rc;

	if (is_closed(latest))
		return -EBADF;
	notice_fork(latest);
	if (ready(latest))
		return 0;
	rc = writer_gone(latest, 0);
	if (rc < 0)
		return rc;
	now = ipk_monotonic_ns();
	if (deadline_ns <= now) {
		/* who only ever polls learns of a death here */
		rc = ipk_segment_owns(&latest->segment, latest->segment.fd) ? writer_gone(latest, 1) : -EBADF;
		return rc < 0 ? rc : ready(latest) ? 0 : -ETIMEDOUT;
	}
	until = deadline_ns - now < IPK_SLICE_NS ? deadline_ns : now + IPK_SLICE_NS;
	if (spin(latest, now, until))
		return 0;
	rc = sleep_until(latest, until);
	if (is_closed(latest))
		return -EBADF;
	if (ready(latest))
		return 0;
	if (rc == -EINTR)
		return -EINTR;
	/* nothing happened for a slice: look around */
	notice_fork(latest); /* a signal handler may have forked inside this call */
	if (!ipk_segment_owns(&latest->segment, latest->segment.fd))
		return -EBADF; /* nobody could tell us any more that the writer is dead */
	rc = writer_gone(latest, 1);
	if (rc < 0)
		return rc;
	return ipk_monotonic_ns() >= deadline_ns ? -ETIMEDOUT : -EAGAIN;
}

int ipk_latest_overtaken(struct ipk_latest *latest, int64_t deadline_ns)
{
	if (is_closed(latest))
		return -EBADF;
	/* relaxed: a counter */
	atomic_fetch_add_explicit(&latest->shm->role.overtaken, 1, memory_order_relaxed);
	sched_yield();
	return ipk_monotonic_ns() >= deadline_ns ? -ETIMEDOUT : -EAGAIN;
}
