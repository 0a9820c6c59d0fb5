/* What Cython cannot say: constants that the compiler folds, builtins, and memory straight from the kernel. */
#ifndef ENGINE_MEMORY_H
#define ENGINE_MEMORY_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#define HIGH_BIT(word) (63 - __builtin_clzll(word)) /* of a word that is not 0 */
#define PREFETCH(address) __builtin_prefetch((address), 1)
#define SCALE_TO(hash, slots) ((uint64_t)(((unsigned __int128)(hash) * (slots)) >> 64)) /* hash -> 0 .. slots - 1 */

#define WINDOW_TICKS (1LL << 24)  /* of a book's dense window; also in engine/api.py */
#define FAR_LEVELS_MAX 1024       /* per side and symbol; also in engine/api.py */
#define WINDOW_WORDS (1 << 18)    /* bitmap leaves: 64 ticks each */
#define EMPTY_SIDE (-(1LL << 61)) /* best key of a side without orders: no sum with a key overflows or crosses */
#define NO_LIMIT (1LL << 60)      /* key of a market order: crosses every order, and no empty side */
#define FIBONACCI 0x9E3779B97F4A7C15ULL /* 2^64 / golden ratio: spreads consecutive sequences evenly */
#define CHAIN_MULTIPLIER 0x9E3779B97F4A7C15ULL /* of the journal's hash chain, as in engine/scan.py */
#define SEQUENCE_BITS 48
#define SEQUENCE_MASK ((1ULL << SEQUENCE_BITS) - 1)
#define GENERATION_LAST 0xFFFFu
#define OLDER_BIT 0x80000000u

#ifdef ENGINE_DEBUG
#define CHECK_EVERY_COMMAND 1
#else
#define CHECK_EVERY_COMMAND 0
#endif

#define LARGE_PAGE ((size_t)2 << 20)

/* Zeroed address space; pages come when first touched, so what is never used costs nothing. NULL when refused. */
static inline void *reserve(size_t bytes) {
    int flags = MAP_PRIVATE | MAP_ANONYMOUS;
#ifdef MAP_NORESERVE
    flags |= MAP_NORESERVE;
#endif
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static inline void release(void *memory, size_t bytes) {
    if (memory) munmap(memory, bytes);
}

/* For sparse use: large pages would turn each touched tick into 2 MiB. */
static inline void keep_pages_small(void *memory, size_t bytes) {
#ifdef MADV_NOHUGEPAGE
    madvise(memory, bytes, MADV_NOHUGEPAGE);
#else
    (void)memory, (void)bytes;
#endif
}

/* A table that is used all over: on large pages, for fault_in(), or growing page by page as it fills. */
static inline void make_ready(void *memory, size_t bytes, int faulted_in) {
    if (!faulted_in) keep_pages_small(memory, bytes);
#ifdef MADV_HUGEPAGE
    else if (bytes >= 2 * LARGE_PAGE) madvise(memory, bytes, MADV_HUGEPAGE);
#endif
}

/* Real memory for all of it, whatever stands there and whoever works on it meanwhile: the first orders of the day must not
   pay for the kernel's zeroing. */
static inline void fault_in(void *memory, size_t bytes) {
#ifdef MADV_POPULATE_WRITE
    uintptr_t first = (uintptr_t)memory & ~(uintptr_t)4095;
    if (madvise((void *)first, (uintptr_t)memory + bytes - first, MADV_POPULATE_WRITE) == 0) return;
#endif
    for (volatile char *page = memory, *end = page + bytes; page < end; page += 4096) {
        char stands = *page; /* writing back what stands there, unless somebody was faster */
        __atomic_compare_exchange_n(page, &stands, stands, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    }
}

/* Held for a moment by whoever moves a table or faults a step of one in. */
static inline void lock_tables(char *held) {
    while (__atomic_exchange_n(held, 1, __ATOMIC_ACQUIRE)) sched_yield();
}

static inline void unlock_tables(char *held) { __atomic_store_n(held, 0, __ATOMIC_RELEASE); }
#endif
