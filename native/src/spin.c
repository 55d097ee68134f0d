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

int64_t ipk_spin_budget(struct ipk_spin *spin, uint32_t own_cpu, uint32_t peer_cpu)
{
	if (peer_cpu == IPK_CPU_UNKNOWN || own_cpu == IPK_CPU_UNKNOWN) {
		/* confined to one CPU, we may be in the way of a peer that has not said yet where it runs */
		if (spin->cpus == 0)
			spin->cpus = allowed_cpus();
		if (spin->cpus == 1)
			return 0;
	} else if (own_cpu == peer_cpu) {
		return 0;
	}
	if (spin->misses < MISSES_UNTIL_CUT || spin->misses % MISSES_PER_TRIAL == 0)
		return spin->full_ns;
	return spin->full_ns / 8;
}

void ipk_spin_hit(struct ipk_spin *spin)
{
	spin->misses = 0;
}

void ipk_spin_missed(struct ipk_spin *spin)
{
	spin->misses++;
	spin->cpus = 0;
}
