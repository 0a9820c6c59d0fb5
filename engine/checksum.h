/* CRC32C: by the CPU's own instruction where it has one (asked at run time), else by table. */
#ifndef ENGINE_CHECKSUM_H
#define ENGINE_CHECKSUM_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define CRC32C_POLYNOMIAL 0x82F63B78u /* Castagnoli, bits reversed */

static uint32_t crc32c_rows[8][256]; /* row k: the effect of a byte with k more bytes behind it */

static void crc32c_make_rows(void) {
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? CRC32C_POLYNOMIAL : 0);
        crc32c_rows[0][byte] = crc;
    }
    for (int row = 1; row < 8; row++)
        for (uint32_t byte = 0; byte < 256; byte++) {
            uint32_t crc = crc32c_rows[row - 1][byte];
            crc32c_rows[row][byte] = crc >> 8 ^ crc32c_rows[0][crc & 255];
        }
}

static uint32_t crc32c_by_table(const uint8_t *data, size_t length) {
    uint32_t crc = ~0u;
    if (!crc32c_rows[0][1]) crc32c_make_rows();
    for (; length >= 8; data += 8, length -= 8) {
        uint64_t word;
        memcpy(&word, data, 8);
        word ^= crc;
        crc = 0;
        for (int byte = 0; byte < 8; byte++) crc ^= crc32c_rows[7 - byte][word >> 8 * byte & 255];
    }
    while (length--) crc = crc >> 8 ^ crc32c_rows[0][(crc ^ *data++) & 255];
    return ~crc;
}

#if defined(__x86_64__)
#include <nmmintrin.h>
#define CRC32C_TARGET __attribute__((target("sse4.2")))
#define CRC32C_WORD(crc, word) ((uint32_t)_mm_crc32_u64((crc), (word)))
#define CRC32C_BYTE(crc, byte) _mm_crc32_u8((crc), (byte))
static int crc32c_in_hardware(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("sse4.2");
}
#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
#define CRC32C_TARGET
#define CRC32C_WORD(crc, word) __crc32cd((crc), (word))
#define CRC32C_BYTE(crc, byte) __crc32cb((crc), (byte))
static int crc32c_in_hardware(void) { return 1; } /* the compiler was told that every CPU we run on has it */
#elif defined(__aarch64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
#include <sys/auxv.h>
#define CRC32C_TARGET __attribute__((target("+crc")))
#define CRC32C_WORD(crc, word) __builtin_aarch64_crc32cx((crc), (word))
#define CRC32C_BYTE(crc, byte) __builtin_aarch64_crc32cb((crc), (byte))
static int crc32c_in_hardware(void) { return (getauxval(AT_HWCAP) >> 7 & 1) != 0; } /* HWCAP_CRC32 */
#endif

#ifdef CRC32C_TARGET
CRC32C_TARGET static uint32_t crc32c_by_cpu(const uint8_t *data, size_t length) {
    uint32_t crc = ~0u;
    for (; length >= 8; data += 8, length -= 8) {
        uint64_t word;
        memcpy(&word, data, 8);
        crc = CRC32C_WORD(crc, word);
    }
    while (length--) crc = CRC32C_BYTE(crc, *data++);
    return ~crc;
}
#endif

static uint32_t crc32c_first(const uint8_t *data, size_t length);
static uint32_t (*crc32c_chosen)(const uint8_t *, size_t) = crc32c_first; /* chosen by its first call */

static uint32_t crc32c_first(const uint8_t *data, size_t length) {
    crc32c_chosen = crc32c_by_table;
#ifdef CRC32C_TARGET
    if (crc32c_in_hardware()) crc32c_chosen = crc32c_by_cpu;
#endif
    return crc32c_chosen(data, length);
}

static inline uint32_t crc32c_of(const void *data, size_t length) { return crc32c_chosen(data, length); }

static inline const char *crc32c_how(void) {
    crc32c_of("", 0);
    return crc32c_chosen == crc32c_by_table ? "table" : "cpu";
}
#endif
