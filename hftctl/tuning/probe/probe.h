/* What Cython cannot say: the CPU's own counter, products of 128 bits, and constants that the compiler folds. */
#ifndef HFTCTL_PROBE_H
#define HFTCTL_PROBE_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdint.h>
#include <sys/resource.h>
#include <time.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#define HIGH_BIT(word) (63 - __builtin_clzll(word)) /* of a word that is not 0 */

/* HdrHistogram's layout for two significant digits, 1 ns to an hour; also in histogram.py, a test holds both together. */
#define SUB_BITS 8                              /* 256 values side by side, each as wide as 2^bucket ns */
#define SUB_MASK ((1ULL << SUB_BITS) - 1)
#define LONGEST_NS 3600000000000ULL
#define PLACES 4608

#define WORST_KEPT 16
#define THRESHOLD_FLOORS 8      /* a gap is what takes this many times the loop's own time ... */
#define THRESHOLD_MIN_NS 200    /* ... and no less than this */

/* Nanoseconds of so many counts; `scale` is nanoseconds per count times 2^32. */
#define NS_OF(counts, scale) ((uint64_t)(((unsigned __int128)(counts) * (scale)) >> 32))

#if defined(__x86_64__)
#define COUNTER "rdtscp"
static inline uint64_t counter(void) { /* waits for all that came before it, unlike rdtsc */
    uint32_t low, high, processor;
    __asm__ volatile("rdtscp" : "=a"(low), "=d"(high), "=c"(processor) : : "memory");
    return (uint64_t)high << 32 | low;
}
#elif defined(__aarch64__)
#define COUNTER "cntvct"
static inline uint64_t counter(void) {
    uint64_t count;
    __asm__ volatile("isb; mrs %0, cntvct_el0" : "=r"(count) : : "memory");
    return count;
}
#else
#define COUNTER ""
static inline uint64_t counter(void) { return 0; }
#endif

static inline uint64_t clock_ns(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline uint64_t monotonic_ns(void) { return clock_ns(CLOCK_MONOTONIC); }

#if defined(CLOCK_MONOTONIC_RAW)
static inline uint64_t raw_ns(void) { return clock_ns(CLOCK_MONOTONIC_RAW); }
#else
static inline uint64_t raw_ns(void) { return monotonic_ns(); }
#endif

/* Of the calling thread, where the system counts them by thread. */
static inline void thread_usage(long *voluntary, long *involuntary, long *faults) {
    struct rusage usage;
#if defined(RUSAGE_THREAD)
    getrusage(RUSAGE_THREAD, &usage);
#else
    getrusage(RUSAGE_SELF, &usage);
#endif
    *voluntary = usage.ru_nvcsw, *involuntary = usage.ru_nivcsw, *faults = usage.ru_minflt + usage.ru_majflt;
}

static inline int lock_all_memory(void) {
#if defined(__linux__)
    return mlockall(MCL_CURRENT) == 0 ? 0 : errno;
#else
    return ENOSYS;
#endif
}

static inline void unlock_all_memory(void) {
#if defined(__linux__)
    munlockall();
#endif
}

/* Where the threads of one measurement wait for each other. */
typedef struct {
    int arrived, go, stop;
} Gate;

static inline void arrive(Gate *gate) { __atomic_fetch_add(&gate->arrived, 1, __ATOMIC_SEQ_CST); }
static inline int seen(int *flag) { return __atomic_load_n(flag, __ATOMIC_RELAXED); }
static inline void raise_flag(int *flag) { __atomic_store_n(flag, 1, __ATOMIC_SEQ_CST); }
#endif
