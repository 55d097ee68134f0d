/* Values in and out; nothing here waits. */
#include <string.h>

#include "latest_view.h"

/* Get the writer's part of the view for ourselves, with the role claimed. Returns 0, or -errno and it is not ours. */
static int enter(struct ipk_latest *latest, uint64_t length)
{
	int rc = 0;

	if (is_closed(latest))
		return -EBADF;
	notice_fork(latest);
	if (length > latest->max_size)
		return -EMSGSIZE; /* whoever else is inside: it would not do later either */
	/* acquire: pairs with leave, and with take */
	if (atomic_exchange_explicit(&latest->busy, 1, memory_order_acquire))
		return is_closed(latest) ? -EBADF : -EBUSY;
	if (is_closed(latest))
		rc = -EBADF;
	else if (!latest->held)
		rc = ipk_latest_claim_role(latest);
	if (rc < 0)
		leave(latest);
	return rc;
}

static void fill(struct ipk_latest_buffer *buffer, const unsigned char *from, uint64_t length)
{
	uint64_t whole = length / 8;
	uint64_t word;

	for (uint64_t i = 0; i < whole; i++) {
		memcpy(&word, from + 8 * i, 8);
		/* release: latest.word */
		atomic_store_explicit(&buffer->words[i], word, memory_order_release);
		if (i == 0)
			IPK_KILLPOINT("latest.send.begun");
	}
	if (length % 8) {
		word = 0;
		memcpy(&word, from + 8 * whole, length % 8);
		/* release: latest.word */
		atomic_store_explicit(&buffer->words[whole], word, memory_order_release);
	}
}

/* The next buffer is full: its value is the newest. */
static void publish(struct ipk_latest *latest, uint64_t length)
{
	struct ipk_latest_index *index = &latest->shm->index;
	struct ipk_latest_buffer *buffer = buffer_of(latest, latest->own + 1);

	/* release, both: latest.word */
	atomic_store_explicit(&buffer->length, length, memory_order_release);
	atomic_store_explicit(&buffer->written_ns, ipk_monotonic_ns(), memory_order_release);
	IPK_KILLPOINT("latest.send.filled");
	/* relaxed, all: a counter of the writer's own, and a hint */
	atomic_store_explicit(&index->bytes, atomic_load_explicit(&index->bytes, memory_order_relaxed) + length,
			      memory_order_relaxed);
	atomic_store_explicit(&index->cpu, ipk_spin_cpu() + 1, memory_order_relaxed);
	latest->own++;
	/* seq_cst: latest.value, latest.sleep */
	atomic_store_explicit(&index->sequence, latest->own, memory_order_seq_cst);
	IPK_KILLPOINT("latest.send.published");
	wake_readers(latest);
	IPK_KILLPOINT("latest.send.woken");
}

int ipk_latest_send(struct ipk_latest *latest, const void *data, uint64_t length)
{
	struct ipk_latest_buffer *buffer;
	int rc = enter(latest, length);

	if (rc < 0)
		return rc;
	buffer = buffer_of(latest, latest->own + 1);
	/* release: latest.claim; that the words come later, their own release sees to */
	atomic_store_explicit(&buffer->sequence, latest->own + 1, memory_order_release);
	IPK_KILLPOINT("latest.send.claimed");
	fill(buffer, data, length);
	publish(latest, length);
	leave(latest);
	return 0;
}

int64_t ipk_latest_reserve(struct ipk_latest *latest, uint64_t length)
{
	struct ipk_latest_buffer *buffer;
	int rc = enter(latest, length);

	if (rc < 0)
		return rc;
	buffer = buffer_of(latest, latest->own + 1);
	/* seq_cst, both: latest.claim; no plain store that follows passes this pair: "In place" in the header */
	atomic_store_explicit(&buffer->sequence, latest->own + 1, memory_order_seq_cst);
	(void)atomic_load_explicit(&buffer->sequence, memory_order_seq_cst);
	IPK_KILLPOINT("latest.reserve.claimed");
	latest->reserved = length + 1;
	return (unsigned char *)buffer->words - latest->buffers;
}

/* Whether a buffer is reserved, and by this process. */
static int has_reserved(struct ipk_latest *latest)
{
	if (!latest->shm)
		return 0;
	notice_fork(latest);
	return latest->reserved > 0;
}

int ipk_latest_commit(struct ipk_latest *latest, uint64_t length)
{
	if (!has_reserved(latest))
		return -EPERM;
	if (length > latest->reserved - 1)
		return -EINVAL;
	latest->reserved = 0;
	publish(latest, length);
	leave(latest);
	return 0;
}

int ipk_latest_abort(struct ipk_latest *latest)
{
	if (!has_reserved(latest))
		return -EPERM;
	latest->reserved = 0;
	leave(latest);
	return 0;
}

/* Whether the buffer still holds the value, now that it has been read. Returns 0, -ESTALE, -EBADMSG. */
static int still_there(struct ipk_latest *latest, uint64_t sequence)
{
	/* acquire: latest.claim */
	uint64_t number = atomic_load_explicit(&buffer_of(latest, sequence)->sequence, memory_order_acquire);
	uint64_t newest;

	if (number == sequence)
		return 0;
	/* relaxed: ordered by latest.claim */
	newest = atomic_load_explicit(&latest->shm->index.sequence, memory_order_relaxed);
	/* no honest writer is further ahead, or in another's buffer: the caller would try for ever */
	return number > sequence && (number - sequence) % latest->count == 0 && number <= newest + 1 ? -ESTALE : -EBADMSG;
}

int ipk_latest_look(struct ipk_latest *latest, int newer, struct ipk_latest_value *value)
{
	struct ipk_latest_buffer *buffer;

	if (is_closed(latest))
		return -EBADF;
	/* acquire: latest.value */
	value->sequence = atomic_load_explicit(&latest->shm->index.sequence, memory_order_acquire);
	if (newer && (int64_t)(value->sequence - ipk_latest_seen(latest)) <= 0)
		return -EAGAIN;
	if (value->sequence == 0)
		return -ENODATA;
	buffer = buffer_of(latest, value->sequence);
	/* acquire, both: latest.word */
	value->length = atomic_load_explicit(&buffer->length, memory_order_acquire);
	value->written_ns = atomic_load_explicit(&buffer->written_ns, memory_order_acquire);
	if (value->length > latest->max_size) {
		int rc = still_there(latest, value->sequence);

		return rc < 0 ? rc : -EBADMSG;
	}
	return 0;
}

/* Note that the value is returned. Returns 0, or -ESTALE if it is not newer and should be. */
static int accept(struct ipk_latest *latest, int newer, uint64_t sequence)
{
	/* relaxed, both: a number, and nothing else */
	uint64_t seen = atomic_load_explicit(&latest->seen, memory_order_relaxed);

	do {
		if ((int64_t)(sequence - seen) <= 0)
			return newer ? -ESTALE : 0;
	} while (!atomic_compare_exchange_weak_explicit(&latest->seen, &seen, sequence, memory_order_relaxed,
							memory_order_relaxed));
	return 0;
}

int ipk_latest_copy(struct ipk_latest *latest, int newer, const struct ipk_latest_value *value, void *into)
{
	struct ipk_latest_buffer *buffer = buffer_of(latest, value->sequence);
	unsigned char *to = into;
	uint64_t whole = value->length / 8;
	uint64_t word;
	int rc;

	for (uint64_t i = 0; i < whole; i++) {
		/* acquire: latest.word */
		word = atomic_load_explicit(&buffer->words[i], memory_order_acquire);
		memcpy(to + 8 * i, &word, 8);
	}
	if (value->length % 8) {
		/* acquire: latest.word */
		word = atomic_load_explicit(&buffer->words[whole], memory_order_acquire);
		memcpy(to + 8 * whole, &word, value->length % 8);
	}
	rc = still_there(latest, value->sequence);
	return rc < 0 ? rc : accept(latest, newer, value->sequence);
}

int ipk_latest_read(struct ipk_latest *latest, int newer, void *into, uint64_t room, struct ipk_latest_value *value)
{
	int rc = -ESTALE;

	for (int i = 0; i < IPK_LATEST_TRIES && rc == -ESTALE; i++) {
		rc = ipk_latest_look(latest, newer, value);
		if (rc == 0 && value->length > room) {
			rc = still_there(latest, value->sequence);
			if (rc == 0)
				return -EMSGSIZE;
		} else if (rc == 0) {
			rc = ipk_latest_copy(latest, newer, value, into);
		}
	}
	return rc;
}
