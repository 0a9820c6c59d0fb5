/* The probe's loop as one writes it in plain C: the peer of benchmarks/probe.py. Counts in steps of rdtscp, converts, puts
 * each step into HdrHistogram's place, notes what is above a threshold, and looks at a flag. */
#include <stdint.h>
#include <stdlib.h>

#define PLACES 4608
#define LONGEST 3600000000000ull

static inline uint64_t stamp(void) {
    uint32_t low, high, cpu;
    __asm__ volatile("rdtscp" : "=a"(low), "=d"(high), "=c"(cpu) : : "memory");
    return (uint64_t)high << 32 | low;
}

struct seen {
    uint64_t gaps, gaps_ns, longest;
    uint64_t worst[16];
};

static void __attribute__((noinline)) keep(struct seen *seen, uint64_t ns) {
    int least = 0;
    seen->gaps++, seen->gaps_ns += ns;
    if (ns > seen->longest) seen->longest = ns;
    for (int i = 1; i < 16; i++)
        if (seen->worst[i] < seen->worst[least]) least = i;
    if (ns > seen->worst[least]) seen->worst[least] = ns;
}

/* `scale`: nanoseconds per count times 2^32. Fills `places`, returns the nanoseconds that passed. */
uint64_t peer(uint64_t *places, uint64_t counts, uint64_t scale, uint64_t threshold, volatile int *stop) {
    struct seen seen = {0};
    uint64_t begin = stamp(), last = begin, end = begin + counts, now;
    do {
        now = stamp();
        uint64_t ns = (uint64_t)(((unsigned __int128)(now - last) * scale) >> 32);
        uint64_t value = ns < LONGEST ? ns : LONGEST;
        int bucket = 64 - __builtin_clzll(value | 255) - 8;
        last = now;
        places[((uint64_t)bucket << 7) + (value >> bucket)]++;
        if (__builtin_expect(ns >= threshold, 0)) keep(&seen, ns);
    } while (__builtin_expect(now < end, 1) && !*stop);
    return (uint64_t)(((unsigned __int128)(now - begin) * scale) >> 32);
}
