/* The rings that fuzzing begins with: in each state that its users can leave it in, dead or alive.
 *
 * A state is made by a list of actions, each a letter: small ones are those of a user that lives, capital ones are
 * those of one that is dead when the input is run.
 */
#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz_rings.h"
#include "ipckit/broadcast.h"
#include "ipckit/latest.h"
#include "ipckit/mpmc.h"
#include "ipckit/spsc.h"

#define CAPACITY 4096
#define PARTICIPANTS 4
#define SHORT 20
#define LONG 1200
#define MAX_SIZE 500
#define BUFFERS 4
#define NAP_NS 1000
#define STYLES (FUZZ_WAITING_STYLES + 16)

enum { ALIVE, DEAD, USERS };

static struct ipk_spsc spsc;
static struct ipk_latest latest;
static struct ipk_mpmc mpmc[USERS];
static struct ipk_broadcast broadcast[USERS];

static void expect(int good, const char *what)
{
	if (!good)
		fuzz_no_seed(what);
}

static int again(const struct ipk_segment *segment)
{
	return fcntl(segment->fd, F_DUPFD_CLOEXEC, 3);
}

/* What is recorded from now on is of no process that runs, for the dead; it is our own process, for the living. */
static void join(struct ipk_member *member, int user)
{
	fuzz_next_id = user == DEAD ? FUZZ_THIRD : FUZZ_NOBODY;
	expect(ipk_member_join(member) == fuzz_next_id, "join");
	if (user == DEAD)
		member->self.start_time++;
	fuzz_next_id = 0;
}

/* Who has had a slot lives elsewhere, and has lost its lock. */
static void give_slots_to_others(struct ipk_segment *segment)
{
	for (int slot = 0; slot < 2; slot++)
		atomic_store(&ipk_segment_header(segment)->participant[slot].pid, FUZZ_OTHER);
}

/* Who has had a slot is dead. */
static void bury_slots(struct ipk_segment *segment)
{
	for (int slot = 0; slot < 2; slot++)
		atomic_fetch_add(&ipk_segment_header(segment)->participant[slot].start_time, 1);
}

/* --- one producer, one consumer: both live, but for K ---------------------------------------------------------------- */

static struct ipk_segment *open_spsc(uint32_t options)
{
	memset(&spsc, 0, sizeof(spsc));
	expect(ipk_spsc_create(&spsc, NULL, CAPACITY, options, 0600) == 0, "spsc");
	return &spsc.segment;
}

static void act_spsc(int action, int user)
{
	struct ipk_spsc_part part;

	(void)user;
	switch (action) {
	case 's':
		ipk_spsc_try_send(&spsc, fuzz_sent(), SHORT);
		break;
	case 'l':
		ipk_spsc_try_send(&spsc, fuzz_sent(), LONG);
		break;
	case 'p':
		ipk_spsc_try_send_part(&spsc, fuzz_sent(), SHORT, IPK_SPSC_MORE, SHORT);
		break;
	case 'q':
		ipk_spsc_try_send_part(&spsc, fuzz_sent(), SHORT, IPK_SPSC_REST, SHORT);
		break;
	case 'f':
		ipk_spsc_try_send_part(&spsc, fuzz_sent(), SHORT, IPK_SPSC_FILE, LONG);
		break;
	case 'r':
		if (ipk_spsc_try_receive_part(&spsc, &part) == 0)
			ipk_spsc_release(&spsc);
		break;
	case 't':
		ipk_spsc_try_receive_part(&spsc, &part);
		break;
	case 'k':
		bury_slots(&spsc.segment);
		break;
	case 'o':
		give_slots_to_others(&spsc.segment);
		break;
	case 'x':
		ipk_spsc_close(&spsc);
		break;
	default:
		fuzz_no_seed("action");
	}
}

static void close_spsc(void)
{
	ipk_spsc_close(&spsc);
	ipk_spsc_unmap(&spsc);
}

/* --- the newest value: the same ---------------------------------------------------------------------------------------- */

static struct ipk_segment *open_latest(uint32_t buffers)
{
	memset(&latest, 0, sizeof(latest));
	expect(ipk_latest_create(&latest, NULL, MAX_SIZE, buffers, 0600) == 0, "latest");
	return &latest.segment;
}

static void act_latest(int action, int user)
{
	(void)user;
	switch (action) {
	case 's':
		ipk_latest_send(&latest, fuzz_sent(), SHORT);
		break;
	case 'l':
		ipk_latest_send(&latest, fuzz_sent(), MAX_SIZE);
		break;
	case 'w':
		ipk_latest_reserve(&latest, SHORT);
		break;
	case 'k':
		bury_slots(&latest.segment);
		break;
	case 'x':
		ipk_latest_close(&latest);
		break;
	default:
		fuzz_no_seed("action");
	}
}

static void close_latest(void)
{
	ipk_latest_close(&latest);
	ipk_latest_unmap(&latest);
}

/* --- each message to one ------------------------------------------------------------------------------------------------ */

#define TAGGED 8 /* records may tell of files */

static struct ipk_segment *open_mpmc(uint32_t options)
{
	struct ipk_mpmc_options chosen = {.capacity = CAPACITY,
					  .max_messages = options & 4 ? 5 : 0,
					  .participants = PARTICIPANTS,
					  .on_consumer_death = options & 1,
					  .oversize = options & TAGGED ? IPK_MPMC_FILES : IPK_MPMC_REFUSE,
					  .on_consumer_gone = options >> 4};

	memset(mpmc, 0, sizeof(mpmc));
	expect(ipk_mpmc_create(&mpmc[ALIVE], NULL, &chosen, 0600) == 0, "mpmc");
	expect(ipk_mpmc_attach(&mpmc[DEAD], again(&mpmc[ALIVE].segment)) == 0, "mpmc");
	for (int user = 0; user < USERS; user++)
		join(&mpmc[user].member, user);
	return &mpmc[ALIVE].segment;
}

static void act_mpmc(int action, int user)
{
	struct ipk_mpmc *ring = &mpmc[user];
	struct ipk_mpmc_claim claim;
	uint32_t stalled;

	switch (action) {
	case 's':
		ipk_mpmc_try_send(ring, fuzz_sent(), SHORT, 0);
		break;
	case 'l':
		ipk_mpmc_try_send(ring, fuzz_sent(), LONG, 1);
		break;
	case 'w':
		ipk_mpmc_try_reserve(ring, SHORT, &claim);
		break;
	case 'f':
		if (ipk_mpmc_try_reserve(ring, SHORT, &claim) == 0)
			ipk_mpmc_commit(ring, &claim, SHORT, 1);
		break;
	case 'a':
		if (ipk_mpmc_try_reserve(ring, SHORT, &claim) == 0)
			ipk_mpmc_abort(ring, &claim);
		break;
	case 'c': /* a record and a PAD */
		if (ipk_mpmc_try_reserve(ring, LONG, &claim) == 0)
			ipk_mpmc_commit(ring, &claim, SHORT, 0);
		break;
	case 't':
		ipk_mpmc_try_receive(ring, &claim, 1);
		break;
	case 'r':
		if (ipk_mpmc_try_receive(ring, &claim, 1) == 1)
			ipk_mpmc_release(ring, &claim, 1);
		break;
	case 'b':
		if (ipk_mpmc_try_receive(ring, &claim, 1) == 1)
			ipk_mpmc_return_loan(ring, &claim, 1);
		break;
	case 'y': /* sleeps in vain */
		ipk_mpmc_wait_room(ring, LONG, ipk_monotonic_ns() + NAP_NS, &stalled);
		break;
	case 'z':
		ipk_mpmc_wait_message(ring, ipk_monotonic_ns() + NAP_NS, &stalled);
		break;
	case 'm':
		ipk_lock_try(&ring->shm->send.lock, &ring->member);
		break;
	case 'n':
		ipk_lock_try(&ring->shm->receive.lock, &ring->member);
		break;
	case 'x':
		ipk_mpmc_close(ring);
		break;
	default:
		fuzz_no_seed("action");
	}
}

static void close_mpmc(void)
{
	for (int user = 0; user < USERS; user++)
		ipk_mpmc_unmap(&mpmc[user]);
}

/* --- each message to all ------------------------------------------------------------------------------------------------ */

static struct ipk_segment *open_broadcast(uint32_t policy)
{
	memset(broadcast, 0, sizeof(broadcast));
	expect(ipk_broadcast_create(&broadcast[ALIVE], NULL, CAPACITY, policy, PARTICIPANTS, 0600) == 0, "broadcast");
	expect(ipk_broadcast_attach(&broadcast[DEAD], again(&broadcast[ALIVE].segment)) == 0, "broadcast");
	for (int user = 0; user < USERS; user++)
		join(&broadcast[user].member, user);
	return &broadcast[ALIVE].segment;
}

static void act_broadcast(int action, int user)
{
	struct ipk_broadcast *ring = &broadcast[user];
	struct ipk_broadcast_part part = {0};
	struct ipk_broadcast_claim claim = {0};
	uint32_t amid = 0;

	switch (action) {
	case 's':
		ipk_broadcast_try_send(ring, fuzz_sent(), SHORT);
		break;
	case 'l':
		ipk_broadcast_try_send(ring, fuzz_sent(), LONG);
		break;
	case 'w':
		ipk_broadcast_try_reserve(ring, SHORT, &claim);
		break;
	case 'j':
		ipk_broadcast_subscribe(ring, 0);
		break;
	case 'r':
		ipk_broadcast_try_receive(ring, fuzz_room(LONG), LONG);
		break;
	case 'p': /* a first part */
		ipk_broadcast_try_send_part(ring, fuzz_sent(), SHORT, IPK_BROADCAST_MORE, SHORT, &amid);
		break;
	case 'q':
		ipk_broadcast_try_send_part(ring, fuzz_sent(), SHORT, IPK_BROADCAST_MORE | IPK_BROADCAST_REST, SHORT, &amid);
		break;
	case 'e':
		ipk_broadcast_try_send_part(ring, fuzz_sent(), SHORT, IPK_BROADCAST_REST, 2 * SHORT, &amid);
		break;
	case 'g':
		ipk_broadcast_end_parts(ring);
		break;
	case 'f':
		if (ipk_broadcast_try_reserve(ring, LONG, &claim) == 0)
			ipk_broadcast_commit_part(ring, LONG, IPK_BROADCAST_FILE, SHORT, &claim);
		break;
	case 't':
		ipk_broadcast_try_part(ring, &part);
		break;
	case 'y':
		ipk_broadcast_wait_room(ring, LONG, ipk_monotonic_ns() + NAP_NS);
		break;
	case 'z':
		ipk_broadcast_wait_message(ring, ipk_monotonic_ns() + NAP_NS);
		break;
	case 'm':
		ipk_lock_try(&ring->shm->lock, &ring->member);
		break;
	case 'x':
		ipk_broadcast_close(ring);
		break;
	default:
		fuzz_no_seed("action");
	}
}

static void close_broadcast(void)
{
	for (int user = 0; user < USERS; user++)
		ipk_broadcast_unmap(&broadcast[user]);
}

/* --- states ------------------------------------------------------------------------------------------------------------- */

static const struct maker {
	struct ipk_segment *(*open)(uint32_t options);
	void (*act)(int action, int user);
	void (*close)(void);
} makers[] = {
	[FUZZ_SPSC] = {open_spsc, act_spsc, close_spsc},
	[FUZZ_LATEST] = {open_latest, act_latest, close_latest},
	[FUZZ_MPMC] = {open_mpmc, act_mpmc, close_mpmc},
	[FUZZ_BROADCAST] = {open_broadcast, act_broadcast, close_broadcast},
};

#define FULL "llllssssssssssssssssssss"
#define ROUND "lrlrlrlrlrlr"

static const struct {
	const char *name;
	uint8_t kind;
	uint32_t options;
	const char *actions;
} states[] = {
	{"spsc-empty", FUZZ_SPSC, 0, ""},
	{"spsc-messages", FUZZ_SPSC, 0, "sslss"},
	{"spsc-full", FUZZ_SPSC, 0, FULL},
	{"spsc-wrapped", FUZZ_SPSC, 0, ROUND "lss"},
	{"spsc-parts", FUZZ_SPSC, IPK_SPSC_PARTS, "pqpsqpr"},
	{"spsc-torn", FUZZ_SPSC, IPK_SPSC_PARTS | IPK_SPSC_FILES, "qppsfr"},
	{"spsc-dead", FUZZ_SPSC, 0, "ssrtk"},
	{"spsc-dead-full", FUZZ_SPSC, IPK_SPSC_PATIENT, FULL "rk"},
	{"spsc-others", FUZZ_SPSC, 0, "ssro"},
	{"spsc-drops", FUZZ_SPSC, IPK_SPSC_DROPS, "ssrx"},
	{"latest-empty", FUZZ_LATEST, BUFFERS, ""},
	{"latest-values", FUZZ_LATEST, BUFFERS, "slslsl"},
	{"latest-two", FUZZ_LATEST, IPK_LATEST_MIN_BUFFERS, "sls"},
	{"latest-reserved", FUZZ_LATEST, BUFFERS, "ssw"},
	{"latest-dead", FUZZ_LATEST, BUFFERS, "sswk"},
	{"latest-closed", FUZZ_LATEST, BUFFERS, "sx"},
	{"mpmc-empty", FUZZ_MPMC, 0, ""},
	{"mpmc-messages", FUZZ_MPMC, 0, "sslsscSLr"},
	{"mpmc-full", FUZZ_MPMC, 0, FULL "tr"},
	{"mpmc-few", FUZZ_MPMC, 4 | IPK_MPMC_ERROR << 4, "sssssrs"},
	{"mpmc-wrapped", FUZZ_MPMC, 0, ROUND "lsc"},
	{"mpmc-loans", FUZZ_MPMC, 0, "sssstTtr"},
	{"mpmc-claims", FUZZ_MPMC, 0, "swsas"},
	{"mpmc-dead-claims", FUZZ_MPMC, 0, "sWsWWas"},
	{"mpmc-dead-loans", FUZZ_MPMC, 0, "ssssTtTrb"},
	{"mpmc-dead-loses", FUZZ_MPMC, IPK_MPMC_LOSE, "ssssTtTWs"},
	{"mpmc-dead-locks", FUZZ_MPMC, IPK_MPMC_ERROR << 4, "ssTMN"},
	{"mpmc-locked", FUZZ_MPMC, 0, "ssmn"},
	{"mpmc-dead-consumer", FUZZ_MPMC, IPK_MPMC_DROP << 4, "SRlllsssssssss"},
	{"mpmc-dead-producer", FUZZ_MPMC, IPK_MPMC_ERROR << 4, "SSRR"},
	{"mpmc-sleepers", FUZZ_MPMC, 0, "zZ"},
	{"mpmc-full-sleepers", FUZZ_MPMC, 0, FULL "yYt"},
	{"mpmc-files", FUZZ_MPMC, TAGGED, "ssffsrrf"},
	{"mpmc-dead-files", FUZZ_MPMC, TAGGED | IPK_MPMC_DROP << 4, "fFftTWs"},
	{"mpmc-closed", FUZZ_MPMC, IPK_MPMC_ERROR << 4, "srx"},
	{"broadcast-empty", FUZZ_BROADCAST, IPK_BROADCAST_BLOCK, ""},
	{"broadcast-messages", FUZZ_BROADCAST, IPK_BROADCAST_BLOCK, "jsslsr"},
	{"broadcast-full", FUZZ_BROADCAST, IPK_BROADCAST_BLOCK, "j" FULL},
	{"broadcast-dead-reader", FUZZ_BROADCAST, IPK_BROADCAST_BLOCK, "J" FULL},
	{"broadcast-wrapped", FUZZ_BROADCAST, IPK_BROADCAST_BLOCK, "j" ROUND "sl"},
	{"broadcast-reserved", FUZZ_BROADCAST, IPK_BROADCAST_BLOCK, "jsw"},
	{"broadcast-dead-writer", FUZZ_BROADCAST, IPK_BROADCAST_BLOCK, "jsSW"},
	{"broadcast-dead-gone", FUZZ_BROADCAST, IPK_BROADCAST_BLOCK, "JSSR"},
	{"broadcast-closed", FUZZ_BROADCAST, IPK_BROADCAST_OVERWRITE, "ssx"},
	{"broadcast-overwrites", FUZZ_BROADCAST, IPK_BROADCAST_OVERWRITE, "jJ" FULL FULL "ls"},
	{"broadcast-parts", FUZZ_BROADCAST, IPK_BROADCAST_PARTS, "jspqesr"},
	{"broadcast-torn", FUZZ_BROADCAST, IPK_BROADCAST_PARTS, "jpqgspe"},
	{"broadcast-dead-amid", FUZZ_BROADCAST, IPK_BROADCAST_PARTS, "jsPQ"},
	{"broadcast-sleepers", FUZZ_BROADCAST, IPK_BROADCAST_BLOCK, "jzJZ"},
	{"broadcast-full-sleepers", FUZZ_BROADCAST, IPK_BROADCAST_BLOCK, "jJ" FULL "yY"},
	{"broadcast-files", FUZZ_BROADCAST, IPK_BROADCAST_FILES, "jsfsf"},
	{"broadcast-overwritten-files", FUZZ_BROADCAST, IPK_BROADCAST_OVERWRITE | IPK_BROADCAST_FILES, "jJff" FULL "fsr"},
	{"broadcast-cut-off", FUZZ_BROADCAST, IPK_BROADCAST_DISCONNECT, "jJ" FULL FULL "l"},
	{"broadcast-disconnects", FUZZ_BROADCAST, IPK_BROADCAST_DISCONNECT, "jJs" FULL FULL "rRM"},
};

void fuzz_make_ring_seeds(void)
{
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		const struct maker *maker = &makers[states[i].kind];
		struct fuzz_setting setting = {FUZZ_RING, states[i].kind, 0, 0, 0, 0};
		const struct ipk_segment *segment = maker->open(states[i].options);

		for (const char *action = states[i].actions; *action; action++)
			maker->act(tolower(*action), isupper(*action) ? DEAD : ALIVE);
		setting.lines = (uint16_t)(segment->size / 16);
		for (int style = 0; style < STYLES; style++)
			fuzz_give_seed(states[i].name, style, setting, segment->base, (size_t)segment->size);
		fuzz_give_look(states[i].name, setting, segment->base, (size_t)segment->size);
		if (*states[i].actions == '\0') {
			fuzz_give_refused(states[i].name, setting, segment->base, (size_t)segment->size);
			setting.subject = FUZZ_SEGMENT;
			fuzz_give_refused(states[i].name, setting, segment->base, (size_t)segment->size);
		}
		maker->close();
	}
}
