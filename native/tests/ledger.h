/* Who sent and received what, kept in shared memory by the processes themselves, so that after any number of kills
 * somebody can tell whether a message was lost, doubled or torn.
 *
 * A message says which generation of producers sent it, and as which of its messages; each successor is a new
 * generation. Its content follows from these two, so the receiver compares every byte with what it must be (which
 * finds all that a checksum finds). A producer notes how many messages it is about to have sent before the call, and
 * how many it has sent after it; a consumer notes what it has taken before it releases, and what it has released.
 */
#ifndef IPCKIT_TESTS_LEDGER_H
#define IPCKIT_TESTS_LEDGER_H

#include <stdatomic.h>
#include <stdint.h>

#include "ipckit/spsc.h"

#define GENERATIONS 65536
#define LARGEST (UINT64_C(1) << 20)
#define BATCH 8

struct message_head {
	uint64_t length; /* of the whole message, this head included */
	uint32_t generation, sequence;
};

struct ledger {
	_Atomic uint64_t attempted[GENERATIONS]; /* messages, by generation */
	_Atomic uint64_t returned[GENERATIONS];
	_Atomic uint64_t taken, released; /* generation << 32 | messages of it */
	_Atomic uint64_t sent, received;  /* by all generations: shows that things go on */
	_Atomic uint64_t redelivered;     /* taken by a consumer that died before its release */
	_Atomic uint64_t unreturned;      /* delivered although the producer died before its call returned */
};

/* Make the content that messages are cut from. Once, before the first fork. */
void ledger_prepare(void);

/* Send the next 1 to BATCH messages of the generation, together if they fit, none longer than `largest`.
 * Returns how many went in, or -errno; on -EAGAIN the same call with the same random state tries the same again. */
int64_t ledger_try_send(struct ledger *ledger, struct ipk_spsc *ring, uint32_t generation, uint64_t largest, uint64_t *random);

/* How long the (first) message will be that ledger_try_send sends next, for a wait. */
uint64_t ledger_next_length(uint64_t largest, uint64_t random);

/* Receive up to `count` messages (at most BATCH), and check all of them against the ledger. Returns how many, or -errno. */
int64_t ledger_try_receive(struct ledger *ledger, struct ipk_spsc *ring, uint32_t count);

/* A consumer begins: it may meet again what its predecessor had taken and not released. */
void ledger_consumer_begins(struct ledger *ledger);

/* All that was sent must have been received: the ring is drained, and the producer is gone. */
void ledger_check_drained(struct ledger *ledger, uint32_t last_generation);

/* Hooks for the storm, which wants to know where its victims are: before each call of the core, after it, and before
 * a loan is copied. wraps: the message goes around the end of the ring. The defaults do nothing. */
extern void (*ledger_entering)(int wraps);
extern void (*ledger_left)(void);
extern void (*ledger_copying_out)(int wraps);

#endif
