/* Rings in a storm: what the parts of storm_rings share. */
#ifndef IPCKIT_TESTS_STORM_RINGS_H
#define IPCKIT_TESTS_STORM_RINGS_H

#include <stddef.h>

#include "storm.h"

#define SENDERS 4	   /* the first of the processes; the others receive */
#define NUMBERS (1U << 18) /* messages of a sender in one life of a ring */
#define LONGEST 5000	   /* bytes of a message */
#define RING 16384	   /* bytes of a ring: it wraps after a few of them */
#define BATCH 8
#define NO_SEQUENCE UINT64_MAX

/* How a message begins. The rest follows from it. */
struct head {
	uint32_t from, number; /* of the process that sent it, and its successors: which of their messages */
	uint64_t length;       /* of all */
	uint64_t sequence;     /* of the ring, where the sender knew it */
};

struct sender {
	_Atomic uint32_t attempted; /* messages, at most */
	_Atomic uint32_t returned;  /* the number behind the last one whose call returned */
	_Atomic uint8_t sent[NUMBERS]; /* 1: the call that sent it returned. Else it may be there if its sender died */
};

/* Of one life of a ring, shared by all; zeroed before. */
struct ledger_of_ring {
	struct sender sender[SENDERS];
	_Atomic uint64_t received, told; /* messages; those that readers were told they lost */
	_Atomic uint64_t deaths_told;	 /* times that somebody learned that all of the others had died */
	/* many: */
	_Atomic uint32_t state[SENDERS][NUMBERS];
	_Atomic uint32_t in_hand[PROCESSES]; /* messages that a call may have received for good, and nobody noted yet */
	_Atomic uint64_t out_of_order, may_be_out_of_order;
	uint64_t gone, taken_by_dead; /* parent only */
	/* latest: */
	_Atomic uint64_t published;
};

extern struct ledger_of_ring *ledger;

/* A kind of ring, and how it is used. All but attach and works: in the parent. */
struct field {
	const char *name;
	const struct work *sends, *receives;
	size_t send_count, receive_count;
	void (*make)(uint32_t variant);
	uint32_t variant;
	void (*attach)(void);	    /* in a new process: a view of its own */
	void (*after_death)(int i); /* may be NULL */
	void (*at_rest)(void);	    /* all are dead: what must hold then; the ring goes */
	void (*show)(void);
};
extern const struct field mpmc_fields[], broadcast_fields[], latest_fields[];
extern const size_t mpmc_field_count, broadcast_field_count, latest_field_count;

/* A message of ours, for the next number but `ahead`; of which length; and whole, or not at all: what it says of itself. */
uint64_t pick_length(void);
void write_message(unsigned char *to, uint32_t ahead, uint64_t length, uint64_t sequence);
struct head read_message(const unsigned char *message, uint64_t length);

/* Begin to send so many; 0: we have none left. And what has become of it: `sent` of them, or less than 0. */
int begin_sending(uint32_t count);
void end_sending(int64_t sent);

/* Never, or soon. */
int64_t patience(void);

/* Nothing to do: let others have their turn. */
void nap(void);

/* A new process: whose successor are we? */
void resume_sending(void);

#endif
