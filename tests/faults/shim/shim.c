/* A disk that misbehaves, put under a process with LD_PRELOAD. It acts only on files below one directory.
 *
 * FAULT_SHIM="under=DIR;key=value;..." says how; a process without it is left alone. Programs that are started later get it
 * too, whatever environment they are given: execve adds it again.
 *
 *   slow=FILE      FILE holds microseconds (uint32, this machine's order), read at every sync: the sync returns so much later
 *   clock=FILE     FILE holds seconds (int64): so much more do time, gettimeofday and the realtime clocks say, wherever it reads
 *   fault=CALL:N:ACTION[:VALUE]
 *                  CALL sync (any), fsync, fdatasync or write (any); the Nth such call, N+ for all from there on;
 *                  ACTION before, after, half (SIGKILL, half: after half a write), errno:E, short:BYTES, phantom
 *   only=TEXT      the fault counts only calls on files whose name ends with TEXT
 *   fired=FILE     made when the fault struck
 *   log=FILE       append all changes below DIR, with their data, and which syncs had begun and ended; see image.py
 *   drop_syncs=1   a sync returns success, does nothing and is not logged
 *
 * With log, nothing is really synced: what would survive is computed from the log. A mapping that is written through is
 * noted, but not what is written; a program that syncs one with msync is ended, because the log could not follow it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { CREATE = 1, MKDIR, WRITE, SIZE, RENAME, UNLINK, RMDIR, SYNC_BEGIN, SYNC_END, MAP, LINK };
enum { NONE, BEFORE, AFTER, HALF, ERRNO, SHORT, PHANTOM };

struct entry {
    uint32_t op, path_bytes, other_bytes, spare;
    uint64_t inode, offset, length, data_bytes;
};

static char under[PATH_MAX], only[256], fired[PATH_MAX], fault_call[16];
static char spec_text[PATH_MAX * 2], preload_text[PATH_MAX * 2];
static size_t under_bytes;
static int action = NONE, from_there_on, log_fd = -1, drop_syncs;
static long fault_at, fault_value;
static atomic_long matching;
static atomic_ulong sync_number;
static volatile uint32_t *slow_us;
static volatile int64_t *ahead_s;
/* A change and its entry belong together, or two threads could log in another order than they wrote. */
static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static void refuse(const char *what) {
    dprintf(2, "fault shim: %s in FAULT_SHIM=%s\n", what, spec_text);
    _exit(99);
}

static void set_fault(char *value) {
    char name[16] = "";
    int used = 0;
    if (sscanf(value, "%15[a-z]:%ld%n", fault_call, &fault_at, &used) != 2) refuse("cannot read the fault");
    value += used;
    if (*value == '+') { from_there_on = 1; value++; }
    if (sscanf(value, ":%15[a-z]:%ld", name, &fault_value) < 1) refuse("no action");
    const char *names[] = {"none", "before", "after", "half", "errno", "short", "phantom"};
    for (int i = 1; i < 7; i++) if (!strcmp(name, names[i])) action = i;
    if (action == NONE) refuse("unknown action");
}

static void *shared(const char *path) {
    int fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    void *page = fd < 0 ? MAP_FAILED : (void *)syscall(SYS_mmap, 0, 4096, PROT_READ, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED) refuse("cannot map the file of `slow` or `clock`");
    syscall(SYS_close, fd);
    return page;
}

__attribute__((constructor)) static void begin(void) {
    const char *given = getenv("FAULT_SHIM"), *preload = getenv("LD_PRELOAD");
    if (!given || !preload || strlen(given) >= sizeof spec_text - 16) return;
    snprintf(spec_text, sizeof spec_text, "FAULT_SHIM=%s", given);
    snprintf(preload_text, sizeof preload_text, "LD_PRELOAD=%s", preload);
    char copy[sizeof spec_text], *rest = copy, *part;
    strcpy(copy, given);
    while ((part = strsep(&rest, ";"))) {
        char *value = strchr(part, '=');
        if (!value) continue;
        *value++ = 0;
        if (!strcmp(part, "under")) snprintf(under, sizeof under, "%s", value);
        else if (!strcmp(part, "only")) snprintf(only, sizeof only, "%s", value);
        else if (!strcmp(part, "fired")) snprintf(fired, sizeof fired, "%s", value);
        else if (!strcmp(part, "drop_syncs")) drop_syncs = 1;
        else if (!strcmp(part, "fault")) set_fault(value);
        else if (!strcmp(part, "log")) {
            int fd = syscall(SYS_openat, AT_FDCWD, value, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
            if (fd < 0) refuse("cannot open the log");
            log_fd = syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 500);
            syscall(SYS_close, fd);
        } else if (!strcmp(part, "slow")) slow_us = shared(value);
        else if (!strcmp(part, "clock")) ahead_s = shared(value);
        else refuse("unknown key");
    }
    if (!*under) refuse("no directory");
    under_bytes = strlen(under);
}

static int is_under(const char *path) {
    return under_bytes && !strncmp(path, under, under_bytes) && (path[under_bytes] == '/' || !path[under_bytes]);
}

static int name_of(int fd, char *path) {
    if (!under_bytes) return 0;
    char link[32];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t got = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
    if (got <= 0) return 0;
    path[got] = 0;
    return is_under(path);
}

/* The whole name of what need not exist: the folder's real one, and the last part as it was given. */
static int name_at(int folder, const char *given, char *path) {
    if (!under_bytes || !given || !*given) return 0;
    char base[PATH_MAX * 2] = "";
    if (*given != '/') {
        char link[32];
        if (folder == AT_FDCWD) strcpy(link, "/proc/self/cwd");
        else snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        ssize_t got = syscall(SYS_readlinkat, AT_FDCWD, link, base, PATH_MAX - 2);
        if (got <= 0) return 0;
        base[got] = '/';
        base[got + 1] = 0;
    }
    if (strlen(base) + strlen(given) >= sizeof base) return 0;
    strcat(base, given);
    size_t size = strlen(base);
    while (size > 1 && base[size - 1] == '/') base[--size] = 0;
    char *last = strrchr(base, '/');
    *last = 0;
    if (!realpath(last == base ? "/" : base, path)) return 0;
    if (strlen(path) + strlen(last + 1) + 2 > PATH_MAX) return 0;
    strcat(path, "/");
    strcat(path, last + 1);
    return is_under(path);
}

static uint64_t inode_of(int fd) {
    struct stat facts;
    return fstat(fd, &facts) ? 0 : facts.st_ino;
}

static void note(struct entry entry, const char *path, const char *other, const void *data) {
    entry.path_bytes = path ? strlen(path) : 0;
    entry.other_bytes = other ? strlen(other) : 0;
    struct iovec parts[] = {
        {&entry, sizeof entry}, {(void *)path, entry.path_bytes}, {(void *)other, entry.other_bytes},
        {(void *)data, data ? entry.data_bytes : 0},
    };
    size_t all = 0;
    for (int i = 0; i < 4; i++) all += parts[i].iov_len;
    int kept = errno;
    if (syscall(SYS_writev, log_fd, parts, 4) != (ssize_t)all) refuse("cannot write the log");
    errno = kept;
}

/* Whether the fault strikes this call; counts it. */
static int strikes(const char *call, const char *path) {
    if (action == NONE) return NONE;
    int sync = strcmp(call, "write") != 0;
    if (strcmp(fault_call, call) && !(sync && !strcmp(fault_call, "sync"))) return NONE;
    size_t size = strlen(path), tail = strlen(only);
    if (tail && (size < tail || strcmp(path + size - tail, only))) return NONE;
    long number = ++matching;
    if (number != fault_at && !(from_there_on && number > fault_at)) return NONE;
    if (*fired) syscall(SYS_close, syscall(SYS_openat, AT_FDCWD, fired, O_CREAT | O_WRONLY, 0600));
    return action;
}

static void die(void) {
    syscall(SYS_kill, getpid(), SIGKILL);
    pause();
}

/* ---- clocks */

int clock_gettime(clockid_t clock, struct timespec *now) {
    REAL(clock_gettime);
    int done = real(clock, now);
    if (!done && ahead_s && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += *ahead_s;
    return done;
}
int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    (void)zone;
    struct timespec found;
    if (clock_gettime(CLOCK_REALTIME, &found)) return -1;
    *now = (struct timeval){found.tv_sec, found.tv_nsec / 1000};
    return 0;
}
time_t time(time_t *into) {
    struct timespec found;
    clock_gettime(CLOCK_REALTIME_COARSE, &found);
    if (into) *into = found.tv_sec;
    return found.tv_sec;
}

/* ---- syncs */

static int synced(int fd, const char *call, int (*sync)(int)) {
    char path[PATH_MAX];
    if (!name_of(fd, path)) return sync(fd);
    int strike = strikes(call, path);
    if (strike == BEFORE) die();
    if (slow_us && *slow_us) {
        struct timespec wait = {*slow_us / 1000000, *slow_us % 1000000 * 1000L};
        while (clock_nanosleep(CLOCK_MONOTONIC, 0, &wait, &wait) == EINTR) {}
    }
    if (strike == ERRNO) {
        errno = fault_value;
        return -1;
    }
    int done = 0;
    if (drop_syncs) {
    } else if (log_fd >= 0) {
        struct entry entry = {.op = SYNC_BEGIN, .inode = inode_of(fd), .offset = ++sync_number};
        note(entry, 0, 0, 0);
        entry.op = SYNC_END;
        note(entry, 0, 0, 0);
    } else if (strike != PHANTOM) {
        done = sync(fd);
    }
    if (strike == AFTER) die();
    return done;
}

int fsync(int fd) { REAL(fsync); return synced(fd, "fsync", real); }
int fdatasync(int fd) { REAL(fdatasync); return synced(fd, "fdatasync", real); }

int msync(void *address, size_t bytes, int flags) {
    if (log_fd >= 0 && flags & MS_SYNC) refuse("the log cannot follow msync");
    return syscall(SYS_msync, address, bytes, flags);
}

int sync_file_range(int fd, off64_t offset, off64_t bytes, unsigned flags) {
    REAL(sync_file_range);
    char path[PATH_MAX];
    /* It makes nothing durable by itself, but a caller that waits for the device waits longer on a slow one. */
    if (slow_us && *slow_us && flags & (SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WAIT_AFTER) && name_of(fd, path))
        usleep(*slow_us);
    return real(fd, offset, bytes, flags);
}

/* ---- data */

static ssize_t read_back(int fd, uint64_t offset, ssize_t bytes) {
    if (bytes <= 0) return bytes;
    char *data = malloc(bytes), link[32];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd); /* the descriptor may be open for writing only */
    int reader = syscall(SYS_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC);
    if (!data || syscall(SYS_pread64, reader, data, bytes, offset) != bytes) refuse("cannot read back what was written");
    syscall(SYS_close, reader);
    note((struct entry){.op = WRITE, .inode = inode_of(fd), .offset = offset, .length = bytes, .data_bytes = bytes}, 0, 0, data);
    free(data);
    return bytes;
}

/* offset -1: at the descriptor's position. */
static ssize_t wrote(int fd, const struct iovec *parts, int count, off64_t offset) {
    char path[PATH_MAX];
    int at = offset >= 0;
#define WRITE_ALL() (at ? syscall(SYS_pwritev, fd, parts, count, offset, 0) : syscall(SYS_writev, fd, parts, count))
    if (fd == log_fd || !name_of(fd, path)) return WRITE_ALL();
    size_t size = 0;
    for (int i = 0; i < count; i++) size += parts[i].iov_len;
    int strike = strikes("write", path);
    if (strike == BEFORE) die();
    if (strike == ERRNO) {
        errno = fault_value;
        return -1;
    }
    if (strike == PHANTOM) return size;
    struct iovec piece = parts[0];
    if (strike == SHORT || strike == HALF) {
        size_t bytes = strike == HALF ? size / 2 : (size_t)fault_value;
        if (bytes < piece.iov_len) piece.iov_len = bytes;
        parts = &piece;
        count = 1;
    }
    if (log_fd < 0) {
        ssize_t done = WRITE_ALL();
        if (strike == HALF || strike == AFTER) die();
        return done;
    }
    pthread_mutex_lock(&lock);
    ssize_t done = WRITE_ALL();
    int kept = errno;
    if (!at && done > 0) offset = syscall(SYS_lseek, fd, 0, SEEK_CUR) - done;
    read_back(fd, offset, done);
    pthread_mutex_unlock(&lock);
    if (strike == HALF || strike == AFTER) die();
    errno = kept;
    return done;
}

ssize_t write(int fd, const void *data, size_t bytes) {
    struct iovec part = {(void *)data, bytes};
    return under_bytes ? wrote(fd, &part, 1, -1) : syscall(SYS_write, fd, data, bytes);
}
ssize_t pwrite64(int fd, const void *data, size_t bytes, off64_t offset) {
    struct iovec part = {(void *)data, bytes};
    return under_bytes ? wrote(fd, &part, 1, offset) : syscall(SYS_pwrite64, fd, data, bytes, offset);
}
ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset) { return pwrite64(fd, data, bytes, offset); }
ssize_t writev(int fd, const struct iovec *parts, int count) { return wrote(fd, parts, count, -1); }
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) { return wrote(fd, parts, count, offset); }
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) { return wrote(fd, parts, count, offset); }
ssize_t pwritev64v2(int fd, const struct iovec *parts, int count, off64_t offset, int flags) {
    if (flags && log_fd >= 0) refuse("the log cannot follow pwritev2 with flags");
    return flags ? syscall(SYS_pwritev2, fd, parts, count, offset, 0, flags) : wrote(fd, parts, count, offset);
}
ssize_t pwritev2(int fd, const struct iovec *parts, int count, off_t offset, int flags) {
    return pwritev64v2(fd, parts, count, offset, flags);
}

/* What the log could not follow does not exist: Python's shutil then copies by reading and writing. */
ssize_t sendfile64(int out, int in, off64_t *offset, size_t bytes) {
    REAL(sendfile64);
    char path[PATH_MAX];
    if (log_fd >= 0 && name_of(out, path)) {
        errno = ENOSYS;
        return -1;
    }
    return real(out, in, offset, bytes);
}
ssize_t sendfile(int out, int in, off_t *offset, size_t bytes) { return sendfile64(out, in, offset, bytes); }
ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t bytes, unsigned flags) {
    REAL(copy_file_range);
    char path[PATH_MAX];
    if (log_fd >= 0 && name_of(out, path)) {
        errno = ENOSYS;
        return -1;
    }
    return real(in, from, out, to, bytes, flags);
}

static int sized(int fd, int done) {
    char path[PATH_MAX];
    struct stat facts;
    if (!done && log_fd >= 0 && name_of(fd, path) && !fstat(fd, &facts))
        note((struct entry){.op = SIZE, .inode = facts.st_ino, .length = facts.st_size}, 0, 0, 0);
    return done;
}
int ftruncate64(int fd, off64_t size) {
    pthread_mutex_lock(&lock);
    int done = sized(fd, syscall(SYS_ftruncate, fd, size));
    pthread_mutex_unlock(&lock);
    return done;
}
int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }
int truncate64(const char *given, off64_t size) {
    int fd = syscall(SYS_openat, AT_FDCWD, given, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    int done = ftruncate64(fd, size);
    syscall(SYS_close, fd);
    return done;
}
int truncate(const char *given, off_t size) { return truncate64(given, size); }
int fallocate64(int fd, int mode, off64_t offset, off64_t bytes) {
    char path[PATH_MAX];
    if (log_fd >= 0 && mode & ~FALLOC_FL_KEEP_SIZE && name_of(fd, path)) {
        errno = EOPNOTSUPP; /* holes and moved ranges: the caller writes zeros instead */
        return -1;
    }
    pthread_mutex_lock(&lock);
    int done = sized(fd, syscall(SYS_fallocate, fd, mode, offset, bytes));
    pthread_mutex_unlock(&lock);
    return done;
}
int fallocate(int fd, int mode, off_t offset, off_t bytes) { return fallocate64(fd, mode, offset, bytes); }
int posix_fallocate64(int fd, off64_t offset, off64_t bytes) { return fallocate64(fd, 0, offset, bytes) ? errno : 0; }
int posix_fallocate(int fd, off_t offset, off_t bytes) { return fallocate64(fd, 0, offset, bytes) ? errno : 0; }

void *mmap64(void *address, size_t bytes, int protection, int flags, int fd, off64_t offset) {
    void *mapped = (void *)syscall(SYS_mmap, address, bytes, protection, flags, fd, offset);
    char path[PATH_MAX];
    if (mapped != MAP_FAILED && log_fd >= 0 && fd >= 0 && flags & MAP_SHARED && protection & PROT_WRITE && name_of(fd, path))
        note((struct entry){.op = MAP, .inode = inode_of(fd), .offset = offset, .length = bytes}, 0, 0, 0);
    return mapped;
}
void *mmap(void *address, size_t bytes, int protection, int flags, int fd, off_t offset) {
    return mmap64(address, bytes, protection, flags, fd, offset);
}

/* ---- names */

static int opened(int folder, const char *given, int flags, mode_t mode) {
    char path[PATH_MAX];
    if (log_fd < 0 || !(flags & (O_CREAT | O_TRUNC)) || !name_at(folder, given, path))
        return syscall(SYS_openat, folder, given, flags, mode);
    struct stat facts;
    pthread_mutex_lock(&lock);
    int was = fstatat(folder, given, &facts, 0) == 0;
    int fd = syscall(SYS_openat, folder, given, flags, mode);
    if (fd >= 0 && !was) note((struct entry){.op = CREATE, .inode = inode_of(fd)}, path, 0, 0);
    else if (fd >= 0 && flags & O_TRUNC) note((struct entry){.op = SIZE, .inode = inode_of(fd)}, 0, 0, 0);
    pthread_mutex_unlock(&lock);
    return fd;
}
#define MODE(flags) \
    mode_t mode = 0; \
    if ((flags) & O_CREAT || ((flags) & O_TMPFILE) == O_TMPFILE) { va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); }
int open(const char *path, int flags, ...) { MODE(flags) return opened(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return opened(AT_FDCWD, path, flags, mode); }
int openat(int folder, const char *path, int flags, ...) { MODE(flags) return opened(folder, path, flags, mode); }
int openat64(int folder, const char *path, int flags, ...) { MODE(flags) return opened(folder, path, flags, mode); }

static int named(uint32_t op, int from_at, const char *from, int to_at, const char *to, long (*act)(int, const char *, int, const char *)) {
    char path[PATH_MAX] = "", other[PATH_MAX] = "";
    pthread_mutex_lock(&lock);
    int ours = log_fd >= 0 && name_at(from_at, from, path);
    if (to) ours |= log_fd >= 0 && name_at(to_at, to, other);
    int done = act(from_at, from, to_at, to), kept = errno;
    struct stat facts = {0};
    if (!done && ours) {
        if (op == MKDIR) fstatat(from_at, from, &facts, 0);
        note((struct entry){.op = op, .inode = facts.st_ino}, path, other, 0);
    }
    pthread_mutex_unlock(&lock);
    errno = kept;
    return done;
}
static mode_t new_mode;
static long do_rename(int a, const char *b, int c, const char *d) { return syscall(SYS_renameat, a, b, c, d); }
static long do_link(int a, const char *b, int c, const char *d) { return syscall(SYS_linkat, a, b, c, d, 0); }
static long do_unlink(int a, const char *b, int c, const char *d) { (void)c, (void)d; return syscall(SYS_unlinkat, a, b, 0); }
static long do_rmdir(int a, const char *b, int c, const char *d) { (void)c, (void)d; return syscall(SYS_unlinkat, a, b, AT_REMOVEDIR); }
static long do_mkdir(int a, const char *b, int c, const char *d) { (void)c, (void)d; return syscall(SYS_mkdirat, a, b, new_mode); }

int renameat(int a, const char *b, int c, const char *d) { return named(RENAME, a, b, c, d, do_rename); }
int rename(const char *from, const char *to) { return renameat(AT_FDCWD, from, AT_FDCWD, to); }
int linkat(int a, const char *b, int c, const char *d, int flags) { (void)flags; return named(LINK, a, b, c, d, do_link); }
int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }
int unlinkat(int a, const char *b, int flags) { return flags & AT_REMOVEDIR ? named(RMDIR, a, b, 0, 0, do_rmdir) : named(UNLINK, a, b, 0, 0, do_unlink); }
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }
int mkdirat(int folder, const char *path, mode_t mode) {
    pthread_mutex_lock(&lock);
    new_mode = mode;
    int done = named(MKDIR, folder, path, 0, 0, do_mkdir);
    pthread_mutex_unlock(&lock);
    return done;
}
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

/* ---- children. No malloc here: the child of a vfork shares our memory. */

int execve(const char *program, char *const arguments[], char *const environment[]) {
    REAL(execve);
    if (!under_bytes) return real(program, arguments, environment);
    size_t count = 0, kept = 0;
    while (environment && environment[count]) count++;
    char *given[count + 3];
    for (size_t i = 0; i < count; i++)
        if (strncmp(environment[i], "FAULT_SHIM=", 11) && strncmp(environment[i], "LD_PRELOAD=", 11)) given[kept++] = environment[i];
    given[kept++] = preload_text;
    given[kept++] = spec_text;
    given[kept] = 0;
    return real(program, arguments, given);
}
