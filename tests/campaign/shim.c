/* Stands between a process and the operating system, and lets operations go wrong on order.
 *
 * Loaded with LD_PRELOAD.  It does nothing until it is armed with a control file, which all processes of a command map
 * and the process that disturbs them writes: `shim.py` describes the same structure.  Errors of its own are ignored: what is
 * tested must not notice it.
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
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { OPEN = 1, WRITE = 2, RENAME = 4, SYNC = 8, UNLINK = 16, MKDIR = 32, PROCESS = 64 };
enum { NOTHING, FAIL, SIGNAL_BEFORE, SIGNAL_AFTER, DELAY, SHORT, LIE };
enum { SELF, COMMAND, GROUP };

struct control {
    char prefix[512]; /* paths that count begin so */
    char suffix[64];  /* and end so */
    uint32_t operations;
    int32_t first; /* the first one that is disturbed, from 1 */
    int32_t last;
    int32_t action;
    int32_t number; /* an errno, a signal, or microseconds */
    int32_t target; /* of a signal */
    int32_t command;
    int32_t count; /* how many there were */
    int32_t hits;  /* how many were disturbed */
    char journal[512]; /* where to write down what was written and what was synced; empty: nowhere */
};

static struct control *control;

void campaign_arm(const char *path) {
    int fd = syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return;
    void *memory = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    if (memory != MAP_FAILED) control = memory;
}

__attribute__((constructor)) static void arm_from_environment(void) {
    const char *path = getenv("CAMPAIGN_SHIM");
    if (path) campaign_arm(path);
}

static void note(const char *what, const char *path, const char *other) {
    if (!control || !control->journal[0] || strncmp(path, control->prefix, strlen(control->prefix))) return;
    char line[2 * PATH_MAX];
    int length = snprintf(line, sizeof line, "%s\t%s\t%s\n", what, path, other);
    int fd = syscall(SYS_openat, AT_FDCWD, control->journal, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return;
    if (syscall(SYS_write, fd, line, length) < 0) { }
    syscall(SYS_close, fd);
}

static void absolute(const char *path, char *result) {
    if (path && path[0] != '/') {
        ssize_t length = syscall(SYS_readlink, "/proc/self/cwd", result, PATH_MAX / 2);
        if (length < 0) length = 0;
        snprintf(result + length, PATH_MAX - length, "/%s", path);
    } else {
        snprintf(result, PATH_MAX, "%s", path ? path : "");
    }
}

static int path_of(int fd, char *result) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = syscall(SYS_readlink, link, result, PATH_MAX - 1);
    result[length < 0 ? 0 : length] = 0;
    return length > 0 && result[0] == '/';
}

static void send_signal(void) {
    pid_t self = getpid(), pid = control->target == SELF ? self : control->command;
    syscall(SYS_kill, control->target == GROUP ? -pid : pid, control->number);
}

/* Return what is to be done about an operation: an action, after what comes before it has been done. */
static int verdict(uint32_t operation, const char *path) {
    if (!control || !(control->operations & operation)) return NOTHING;
    if (operation != PROCESS) {
        size_t length = strlen(path), end = strlen(control->suffix);
        if (strncmp(path, control->prefix, strlen(control->prefix))) return NOTHING;
        if (length < end || strcmp(path + length - end, control->suffix)) return NOTHING;
    }
    int now = __atomic_add_fetch(&control->count, 1, __ATOMIC_SEQ_CST);
    if (now < control->first || now > control->last) return NOTHING;
    __atomic_add_fetch(&control->hits, 1, __ATOMIC_SEQ_CST);
    if (control->action == SIGNAL_BEFORE) send_signal();
    if (control->action == DELAY) usleep(control->number);
    if (control->action == FAIL) errno = control->number;
    return control->action;
}

static void after(int action) {
    int saved = errno;
    if (action == SIGNAL_AFTER) send_signal();
    errno = saved;
}

#define REAL(type, name, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

#define WRITING (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC)

#define OPENS(name, directory, ...) \
    mode_t mode = 0; \
    if (flags & (O_CREAT | O_TMPFILE)) { \
        va_list list; \
        va_start(list, flags); \
        mode = va_arg(list, mode_t); \
        va_end(list); \
    } \
    if (!control || !(flags & WRITING)) return real(__VA_ARGS__); \
    char full[PATH_MAX]; \
    absolute(path, full); \
    int action = verdict(OPEN, full); \
    if (action == FAIL) return -1; \
    int fd = real(__VA_ARGS__); \
    if (fd >= 0 && (flags & (O_CREAT | O_TRUNC))) note("write", full, ""); \
    after(action); \
    return fd;

int open(const char *path, int flags, ...) {
    REAL(int, open, const char *, int, ...);
    OPENS(open, AT_FDCWD, path, flags, mode)
}

int open64(const char *path, int flags, ...) {
    REAL(int, open64, const char *, int, ...);
    OPENS(open64, AT_FDCWD, path, flags, mode)
}

int openat(int directory, const char *path, int flags, ...) {
    REAL(int, openat, int, const char *, int, ...);
    OPENS(openat, directory, directory, path, flags, mode)
}

int openat64(int directory, const char *path, int flags, ...) {
    REAL(int, openat64, int, const char *, int, ...);
    OPENS(openat64, directory, directory, path, flags, mode)
}

#define WRITES(fd, size, ...) \
    char full[PATH_MAX]; \
    if (!control || !path_of(fd, full)) return real(__VA_ARGS__); \
    int action = verdict(WRITE, full); \
    if (action == FAIL) return -1; \
    if (action == SHORT && size > 1) size /= 2; \
    ssize_t result = real(__VA_ARGS__); \
    note("write", full, ""); \
    after(action); \
    return result;

ssize_t write(int fd, const void *data, size_t size) {
    REAL(ssize_t, write, int, const void *, size_t);
    WRITES(fd, size, fd, data, size)
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
    REAL(ssize_t, pwrite, int, const void *, size_t, off_t);
    WRITES(fd, size, fd, data, size, offset)
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
    REAL(ssize_t, pwrite64, int, const void *, size_t, off64_t);
    WRITES(fd, size, fd, data, size, offset)
}

ssize_t writev(int fd, const struct iovec *parts, int size) {
    REAL(ssize_t, writev, int, const struct iovec *, int);
    WRITES(fd, size, fd, parts, size)
}

ssize_t sendfile(int out, int in, off_t *offset, size_t size) {
    REAL(ssize_t, sendfile, int, int, off_t *, size_t);
    WRITES(out, size, out, in, offset, size)
}

ssize_t sendfile64(int out, int in, off64_t *offset, size_t size) {
    REAL(ssize_t, sendfile64, int, int, off64_t *, size_t);
    WRITES(out, size, out, in, offset, size)
}

ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t size, unsigned flags) {
    REAL(ssize_t, copy_file_range, int, off64_t *, int, off64_t *, size_t, unsigned);
    WRITES(out, size, in, from, out, to, size, flags)
}

int rename(const char *from, const char *to) {
    REAL(int, rename, const char *, const char *);
    if (!control) return real(from, to);
    char old[PATH_MAX], full[PATH_MAX];
    absolute(from, old);
    absolute(to, full);
    int action = verdict(RENAME, full);
    if (action == FAIL) return -1;
    int result = real(from, to);
    if (!result) note("rename", old, full);
    after(action);
    return result;
}

#define ON_PATH(operation, path, ...) \
    if (!control) return real(__VA_ARGS__); \
    char full[PATH_MAX]; \
    absolute(path, full); \
    int action = verdict(operation, full); \
    if (action == FAIL) return -1; \
    int result = real(__VA_ARGS__); \
    after(action); \
    return result;

int unlink(const char *path) {
    REAL(int, unlink, const char *);
    ON_PATH(UNLINK, path, path)
}

int mkdir(const char *path, mode_t mode) {
    REAL(int, mkdir, const char *, mode_t);
    ON_PATH(MKDIR, path, path, mode)
}

#define SYNCS(fd) \
    char full[PATH_MAX]; \
    if (!control || !path_of(fd, full)) return real(fd); \
    int action = verdict(SYNC, full); \
    if (action == FAIL) return -1; \
    if (action == LIE) return 0; \
    int result = real(fd);

int fsync(int fd) {
    REAL(int, fsync, int);
    SYNCS(fd)
    if (!result) note("sync", full, "");
    after(action);
    return result;
}

int fdatasync(int fd) {
    REAL(int, fdatasync, int);
    SYNCS(fd)
    if (!result) note("sync", full, "");
    after(action);
    return result;
}

int syncfs(int fd) {
    REAL(int, syncfs, int);
    SYNCS(fd)
    if (!result && control) note("sync all", control->prefix, "");
    after(action);
    return result;
}

void sync(void) {
    REAL(void, sync, void);
    real();
    if (control) note("sync all", control->prefix, "");
}

pid_t fork(void) {
    REAL(pid_t, fork, void);
    return verdict(PROCESS, "") == FAIL ? -1 : real();
}

/* What calls vfork gets a fork: a function that has been returned from cannot be returned to a second time. */
pid_t vfork(void) {
    return fork();
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument) {
    REAL(int, pthread_create, pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    return verdict(PROCESS, "") == FAIL ? EAGAIN : real(thread, attributes, run, argument);
}
