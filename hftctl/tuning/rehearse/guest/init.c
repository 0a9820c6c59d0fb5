/* The first and only program of a rehearsal's guest. No libc: it is built wherever the compiled parts are, links against
 * nothing, and is all that the initramfs holds besides its orders.
 *
 * Orders stand in /orders, one a line, done in their order; answers go to the second serial port, so that the kernel's
 * words on the first one never fall between them:
 *   file PATH       what it holds, or the error number
 *   home CPU        run there from now on
 *   spin CPU        a child that keeps this CPU busy
 *   wait MS
 *   interrupts      /proc/interrupts, with the time on the monotonic clock in ns
 *   dmesg           the kernel's log
 * Then it restarts the machine, which ends QEMU. */

typedef unsigned long word;
typedef long number;

#if defined(__x86_64__)
enum { READ = 0, WRITE = 1, OPEN = 2, CLOSE = 3, NANOSLEEP = 35, EXIT = 60, SYSLOG = 103, MOUNT = 165, REBOOT = 169,
       AFFINITY = 203, CLOCK = 228, FORK = 57 };
static number call(word n, word a, word b, word c, word d, word e) {
    number result;
    register word r10 __asm__("r10") = d;
    register word r8 __asm__("r8") = e;
    __asm__ volatile("syscall" : "=a"(result) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8) : "rcx", "r11", "memory");
    return result;
}
__asm__(".globl _start\n_start:\n xor %ebp,%ebp\n and $-16,%rsp\n call begin\n");
#define OPENED(path, flags) call(OPEN, (word)(path), (flags), 0, 0, 0)
#define FORKED() call(FORK, 0, 0, 0, 0, 0)
#else
#error "the rehearsal's guest is made for x86-64 only"
#endif

enum { READ_ONLY = 0, WRITE_ONLY = 1, MONOTONIC = 1, LOG_ALL = 3, CPU_WORDS = 128 };

static char buffer[1 << 20];
static char orders[1 << 16];
static number out = 1;

/* The compiler calls it to empty the mask below. */
void *memset(void *to, int byte, word n) {
    void *at = to;
    __asm__ volatile("rep stosb" : "+D"(at), "+c"(n) : "a"(byte) : "memory");
    return to;
}

static word length(const char *text) {
    word n = 0;
    while (text[n]) n++;
    return n;
}

static void put(const char *text, word n) {
    while (n) {
        number done = call(WRITE, out, (word)text, n, 0, 0);
        if (done <= 0) return;
        text += done, n -= done;
    }
}

static void say(const char *text) { put(text, length(text)); }

static void say_number(word value) {
    char digits[24];
    int at = sizeof digits;
    do digits[--at] = '0' + value % 10;
    while (value /= 10);
    put(digits + at, sizeof digits - at);
}

static void file(const char *path) {
    number fd = OPENED(path, READ_ONLY), got = fd;
    word n = 0;
    if (fd >= 0) {
        while (n < sizeof buffer && (got = call(READ, fd, (word)(buffer + n), sizeof buffer - n, 0, 0)) > 0) n += got;
        call(CLOSE, fd, 0, 0, 0, 0);
    }
    if (got < 0) {
        say("@absent "), say(path), say(" "), say_number(-got), say("\n");
        return;
    }
    say("@file "), say(path), say("\n");
    put(buffer, n);
    say("\n@end\n");
}

static number value(const char *text) {
    number n = 0;
    while (*text >= '0' && *text <= '9') n = 10 * n + *text++ - '0';
    return n;
}

static int pin(number cpu) {
    word mask[CPU_WORDS] = {0};
    if (cpu < 0 || cpu >= CPU_WORDS * 64) return -1;
    mask[cpu / 64] = 1ul << cpu % 64;
    return call(AFFINITY, 0, sizeof mask, (word)mask, 0, 0) < 0 ? -1 : 0;
}

static void spin(number cpu) {
    number child = FORKED();
    if (child == 0) {
        if (pin(cpu) < 0) call(EXIT, 1, 0, 0, 0, 0);
        for (volatile word turns = 0;;) turns = turns + 1;
    }
    say(child < 0 ? "@idle " : "@spins "), say_number(cpu), say("\n");
}

static void wait_ms(number ms) {
    number time[2] = {ms / 1000, ms % 1000 * 1000000};
    call(NANOSLEEP, (word)time, 0, 0, 0, 0);
}

static void interrupts(void) {
    number time[2] = {0, 0};
    call(CLOCK, MONOTONIC, (word)time, 0, 0, 0);
    say("@at "), say_number(time[0] * 1000000000ul + time[1]), say("\n");
    file("/proc/interrupts");
}

static void dmesg(void) {
    number got = call(SYSLOG, LOG_ALL, (word)buffer, sizeof buffer, 0, 0);
    say("@file dmesg\n");
    if (got > 0) put(buffer, got);
    say("\n@end\n");
}

static int begins(const char *line, const char *with) {
    while (*with)
        if (*line++ != *with++) return 0;
    return 1;
}

static void obey(char *line) {
    if (begins(line, "file ")) file(line + 5);
    else if (begins(line, "home ")) pin(value(line + 5));
    else if (begins(line, "spin ")) spin(value(line + 5));
    else if (begins(line, "wait ")) wait_ms(value(line + 5));
    else if (begins(line, "interrupts")) interrupts();
    else if (begins(line, "dmesg")) dmesg();
}

__attribute__((used)) void begin(void) {
    number fd, got;
    call(MOUNT, (word) "proc", (word) "/proc", (word) "proc", 0, 0);
    call(MOUNT, (word) "sys", (word) "/sys", (word) "sysfs", 0, 0);
    fd = OPENED("/dev/report", WRITE_ONLY);
    if (fd >= 0) out = fd;
    say("@begin\n");
    fd = OPENED("/orders", READ_ONLY);
    got = fd < 0 ? fd : call(READ, fd, (word)orders, sizeof orders - 1, 0, 0);
    for (char *line = orders, *end = orders + (got > 0 ? got : 0); line < end;) {
        char *next = line;
        while (next < end && *next != '\n') next++;
        *next = 0;
        obey(line);
        line = next + 1;
    }
    say("@done\n");
    wait_ms(50); /* the port's buffer */
    call(REBOOT, 0xfee1dead, 672274793, 0x01234567, 0, 0);
    for (;;) wait_ms(1000);
}
