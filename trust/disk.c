/* Notes what a process changes below a folder, in order, so that a power cut can be simulated afterwards.
 *
 * Loaded by LD_PRELOAD. TRUST_ROOT names the folder, TRUST_LOG the file to append to. A line of the log is
 *
 *     operation <tab> path <tab> number <tab> length or second path <newline> bytes written
 *
 * Operations: W write at an offset, T truncate to a length, S sync of a file or folder, C create, R rename,
 * U unlink, M make a folder, D remove a folder, L link. Each is noted before it is done; a write with O_DSYNC
 * is a write and a sync.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static int log_file = -1;
static char root[PATH_MAX];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static ssize_t (*real_write)(int, const void *, size_t);

#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void begin(void) {
    const char *folder = getenv("TRUST_ROOT"), *log = getenv("TRUST_LOG");
    real_write = dlsym(RTLD_NEXT, "write");
    if (folder && log && realpath(folder, root)) {
        int (*real_open)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
        log_file = real_open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    }
}

/* The path of a descriptor below the folder; nothing for another one. */
static const char *path_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = log_file < 0 ? -1 : readlink(link, path, PATH_MAX - 1);
    if (length < 0) return NULL;
    path[length] = 0;
    size_t above = strlen(root);
    return strncmp(path, root, above) == 0 && (path[above] == '/' || !path[above]) ? path : NULL;
}

/* The absolute path of a name that may not be there yet. */
static const char *absolute(int folder, const char *name, char *path) {
    if (log_file < 0) return NULL;
    if (name[0] == '/')
        snprintf(path, PATH_MAX, "%s", name);
    else {
        char at[PATH_MAX];
        if (folder == AT_FDCWD) {
            if (!getcwd(at, sizeof at)) return NULL;
        } else {
            char link[64];
            snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
            ssize_t length = readlink(link, at, sizeof at - 1);
            if (length < 0) return NULL;
            at[length] = 0;
        }
        snprintf(path, PATH_MAX, "%.2000s/%.2000s", at, name);
    }
    size_t above = strlen(root);
    return strncmp(path, root, above) == 0 && path[above] == '/' ? path : NULL;
}

static void note(const char *what, const char *path, long long number, const char *second, const struct iovec *parts,
                 int count, size_t length) {
    char head[3 * PATH_MAX];
    int size = second ? snprintf(head, sizeof head, "%s\t%s\t%lld\t%s\n", what, path, number, second)
                      : snprintf(head, sizeof head, "%s\t%s\t%lld\t%zu\n", what, path, number, length);
    int kept = errno;
    pthread_mutex_lock(&lock);
    real_write(log_file, head, size);
    for (int i = 0; i < count && length; i++) {
        size_t part = parts[i].iov_len < length ? parts[i].iov_len : length;
        real_write(log_file, parts[i].iov_base, part);
        length -= part;
    }
    pthread_mutex_unlock(&lock);
    errno = kept;
}

static void note_write(int fd, long long offset, const struct iovec *parts, int count) {
    char path[PATH_MAX];
    if (!path_of(fd, path)) return;
    size_t length = 0;
    for (int i = 0; i < count; i++) length += parts[i].iov_len;
    int flags = fcntl(fd, F_GETFL);
    struct stat about;
    if (fstat(fd, &about) || !S_ISREG(about.st_mode)) return;
    if (offset < 0) offset = flags & O_APPEND ? about.st_size : lseek(fd, 0, SEEK_CUR);
    note("W", path, offset, NULL, parts, count, length);
    if (flags & O_DSYNC) note("S", path, 0, NULL, NULL, 0, 0);
}

#define WRITE_ONE(name, type)                                              \
    ssize_t name(int fd, const void *bytes, size_t size, type offset) {    \
        REAL(name);                                                        \
        struct iovec part = {(void *)bytes, size};                         \
        note_write(fd, offset, &part, 1);                                  \
        return real(fd, bytes, size, offset);                              \
    }
#define WRITE_PARTS(name, type)                                                  \
    ssize_t name(int fd, const struct iovec *parts, int count, type offset) {    \
        REAL(name);                                                              \
        note_write(fd, offset, parts, count);                                    \
        return real(fd, parts, count, offset);                                   \
    }
WRITE_ONE(pwrite, off_t)
WRITE_ONE(pwrite64, off64_t)
WRITE_PARTS(pwritev, off_t)
WRITE_PARTS(pwritev64, off64_t)

ssize_t write(int fd, const void *bytes, size_t size) {
    struct iovec part = {(void *)bytes, size};
    note_write(fd, -1, &part, 1);
    return real_write(fd, bytes, size);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL(writev);
    note_write(fd, -1, parts, count);
    return real(fd, parts, count);
}

/* Copies between files are made by read and write, which are noted. */
ssize_t sendfile(int out, int in, off_t *offset, size_t count) { errno = EINVAL; return -1; }
ssize_t sendfile64(int out, int in, off64_t *offset, size_t count) { errno = EINVAL; return -1; }
ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t count, unsigned flags) {
    errno = EXDEV;
    return -1;
}

#define ONE_DESCRIPTOR(name, what)                                     \
    int name(int fd) {                                                 \
        REAL(name);                                                    \
        char path[PATH_MAX];                                           \
        if (path_of(fd, path)) note(what, path, 0, NULL, NULL, 0, 0);  \
        return real(fd);                                               \
    }
ONE_DESCRIPTOR(fsync, "S")
ONE_DESCRIPTOR(fdatasync, "S")

#define TRUNCATE(name, type)                                              \
    int name(int fd, type length) {                                       \
        REAL(name);                                                       \
        char path[PATH_MAX];                                              \
        if (path_of(fd, path)) note("T", path, length, NULL, NULL, 0, 0); \
        return real(fd, length);                                          \
    }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

static void note_open(int folder, const char *name, int flags) {
    char path[PATH_MAX];
    if (!(flags & (O_CREAT | O_TRUNC)) || !absolute(folder, name, path)) return;
    struct stat about;
    if (stat(path, &about)) {
        if (flags & O_CREAT) note("C", path, 0, NULL, NULL, 0, 0);
    } else if (flags & O_TRUNC)
        note("T", path, 0, NULL, NULL, 0, 0);
}

#define OPEN(name)                                          \
    int name(const char *path, int flags, ...) {            \
        REAL(name);                                         \
        va_list more;                                       \
        va_start(more, flags);                              \
        mode_t mode = va_arg(more, mode_t);                 \
        va_end(more);                                       \
        note_open(AT_FDCWD, path, flags);                   \
        return real(path, flags, mode);                     \
    }
#define OPEN_AT(name)                                       \
    int name(int folder, const char *path, int flags, ...) {\
        REAL(name);                                         \
        va_list more;                                       \
        va_start(more, flags);                              \
        mode_t mode = va_arg(more, mode_t);                 \
        va_end(more);                                       \
        note_open(folder, path, flags);                     \
        return real(folder, path, flags, mode);             \
    }
OPEN(open)
OPEN(open64)
OPEN_AT(openat)
OPEN_AT(openat64)

#define TWO_NAMES(name, what)                                                                 \
    int name(const char *from, const char *to) {                                              \
        REAL(name);                                                                           \
        char one[PATH_MAX], other[PATH_MAX];                                                  \
        if (absolute(AT_FDCWD, from, one) && absolute(AT_FDCWD, to, other))                   \
            note(what, one, 0, other, NULL, 0, 0);                                            \
        return real(from, to);                                                                \
    }
TWO_NAMES(rename, "R")
TWO_NAMES(link, "L")

#define ONE_NAME(name, what)                                                          \
    int name(const char *given) {                                                     \
        REAL(name);                                                                   \
        char path[PATH_MAX];                                                          \
        if (absolute(AT_FDCWD, given, path)) note(what, path, 0, NULL, NULL, 0, 0);   \
        return real(given);                                                           \
    }
ONE_NAME(unlink, "U")
ONE_NAME(rmdir, "D")

int unlinkat(int folder, const char *given, int flags) {
    REAL(unlinkat);
    char path[PATH_MAX];
    if (absolute(folder, given, path)) note(flags & AT_REMOVEDIR ? "D" : "U", path, 0, NULL, NULL, 0, 0);
    return real(folder, given, flags);
}

int mkdir(const char *given, mode_t mode) {
    REAL(mkdir);
    char path[PATH_MAX];
    struct stat about;
    if (absolute(AT_FDCWD, given, path) && stat(path, &about)) note("M", path, 0, NULL, NULL, 0, 0);
    return real(given, mode);
}
