#include "ipckit/spin.h"

#include <sched.h>

#define MISSES_UNTIL_CUT 16
#define MISSES_PER_TRIAL 16

uint32_t ipk_spin_cpu(void)
{
	int cpu = sched_getcpu();

	return cpu < 0 ? IPK_CPU_UNKNOWN : (uint32_t)cpu;
}

static uint32_t allowed_cpus(void)
{
	cpu_set_t set;

	/* a machine of more than 1024 CPUs refuses this set: it has enough of them */
	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return 2;
	return (uint32_t)CPU_COUNT(&set);
}

/* relaxed, all that follows: each value is about speed only, and alone */

int64_t ipk_spin_budget(struct ipk_spin *spin, uint32_t own_cpu, uint32_t peer_cpu)
{
	int64_t full = atomic_load_explicit(&spin->full_ns, memory_order_relaxed);
	uint32_t misses = atomic_load_explicit(&spin->misses, memory_order_relaxed);
	uint32_t cpus;

	if (peer_cpu == IPK_CPU_UNKNOWN || own_cpu == IPK_CPU_UNKNOWN) {
		/* confined to one CPU, we may be in the way of a peer that has not said yet where it runs */
		cpus = atomic_load_explicit(&spin->cpus, memory_order_relaxed);
		if (cpus == 0) {
			cpus = allowed_cpus();
			atomic_store_explicit(&spin->cpus, cpus, memory_order_relaxed);
		}
		if (cpus == 1)
			return 0;
	} else if (own_cpu == peer_cpu) {
		return 0;
	}
	return misses < MISSES_UNTIL_CUT || misses % MISSES_PER_TRIAL == 0 ? full : full / 8;
}

void ipk_spin_hit(struct ipk_spin *spin)
{
	atomic_store_explicit(&spin->misses, 0, memory_order_relaxed);
}

void ipk_spin_missed(struct ipk_spin *spin)
{
	uint32_t misses = atomic_load_explicit(&spin->misses, memory_order_relaxed);

	/* two threads that miss at once may count one miss */
	atomic_store_explicit(&spin->misses, misses + 1, memory_order_relaxed);
	atomic_store_explicit(&spin->cpus, 0, memory_order_relaxed);
}
