/* Kills its process at a given write to a socket or to a file of a database, before the kernel sees it or after.

   It stands between every library of the process and the kernel, so whatever writes is covered, code to come included.

   CRASH_IN     what the command line of the process must contain
   CRASH_ARMED  a file: nothing counts before it is there
   CRASH_DIED   a file that is made by who dies: nobody dies a second time
   CRASH_AT     `socket 17 before`, `disk 3 after`; without it the points are only counted
   CRASH_COUNT  a file to which a process adds at its end how many points it passed: `socket 40`, `disk 25` */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { SOCKET, DISK, KINDS, NONE = KINDS };

static const char *const names[KINDS] = {"socket", "disk"};
static atomic_long passed[KINDS];
static atomic_int is_armed;
static int is_meant, wanted = NONE, dies_after;
static long deadly;
static char armed[4096], died[4096], count[4096];

static ssize_t (*next_write)(int, const void *, size_t);
static ssize_t (*next_writev)(int, const struct iovec *, int);
static ssize_t (*next_send)(int, const void *, size_t, int);
static ssize_t (*next_sendto)(int, const void *, size_t, int, const struct sockaddr *, socklen_t);
static ssize_t (*next_sendmsg)(int, const struct msghdr *, int);
static ssize_t (*next_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*next_pwrite64)(int, const void *, size_t, off64_t);
static int (*next_fdatasync)(int);
static int (*next_fsync)(int);

static void copy(char *to, const char *name) {
    const char *found = getenv(name);
    if (found) snprintf(to, 4096, "%s", found);
}

/* Whether the command line has a part; its words are separated by spaces here. */
static int has(const char *part) {
    char line[8192];
    int file = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t size = file < 0 ? 0 : read(file, line, sizeof line - 1);
    if (file >= 0) close(file);
    if (size <= 0) return 0;
    for (ssize_t at = 0; at < size; at++) if (!line[at]) line[at] = ' ';
    line[size] = 0;
    return strstr(line, part) != NULL;
}

__attribute__((constructor)) static void begin(void) {
    char kind[16] = "", side[16] = "";
    next_write = dlsym(RTLD_NEXT, "write");
    next_writev = dlsym(RTLD_NEXT, "writev");
    next_send = dlsym(RTLD_NEXT, "send");
    next_sendto = dlsym(RTLD_NEXT, "sendto");
    next_sendmsg = dlsym(RTLD_NEXT, "sendmsg");
    next_pwrite = dlsym(RTLD_NEXT, "pwrite");
    next_pwrite64 = dlsym(RTLD_NEXT, "pwrite64");
    next_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    next_fsync = dlsym(RTLD_NEXT, "fsync");
    const char *in = getenv("CRASH_IN"), *at = getenv("CRASH_AT");
    copy(armed, "CRASH_ARMED");
    copy(died, "CRASH_DIED");
    copy(count, "CRASH_COUNT");
    is_meant = in && has(in);
    if (is_meant && at && sscanf(at, "%15s %ld %15s", kind, &deadly, side) == 3) {
        wanted = strcmp(kind, names[DISK]) ? SOCKET : DISK;
        dies_after = !strcmp(side, "after");
    }
}

__attribute__((destructor)) static void end(void) {
    if (!is_meant || !*count) return;
    int file = open(count, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    for (int kind = 0; file >= 0 && kind < KINDS; kind++) dprintf(file, "%s %ld\n", names[kind], passed[kind]);
    if (file >= 0) close(file);
}

/* What a write is, and whether the process dies at it. */
static int point(int file) {
    struct stat about;
    char link[64], name[4096];
    if (!is_meant || (!is_armed && !(is_armed = !access(armed, F_OK)))) return NONE;
    if (fstat(file, &about)) return NONE;
    int kind = NONE;
    if (S_ISSOCK(about.st_mode)) {
        kind = SOCKET;
    } else if (S_ISREG(about.st_mode)) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", file);
        ssize_t size = readlink(link, name, sizeof name - 1);
        name[size < 0 ? 0 : size] = 0;
        if (strstr(name, ".db")) kind = DISK;
    }
    if (kind == NONE) return NONE;
    long number = atomic_fetch_add(&passed[kind], 1) + 1;
    return kind == wanted && number == deadly ? kind : NONE;
}

static void die(void) {
    int mark = open(died, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (mark < 0) return; /* once is enough */
    kill(getpid(), SIGKILL);
}

#define COVERED(call)                               \
    int dies = point(file) != NONE;                 \
    if (dies && !dies_after) die();                 \
    __typeof__(call) result = call;                 \
    if (dies && dies_after) die();                  \
    return result

ssize_t write(int file, const void *data, size_t size) { COVERED(next_write(file, data, size)); }
ssize_t writev(int file, const struct iovec *parts, int many) { COVERED(next_writev(file, parts, many)); }
ssize_t send(int file, const void *data, size_t size, int flags) { COVERED(next_send(file, data, size, flags)); }
ssize_t sendto(int file, const void *data, size_t size, int flags, const struct sockaddr *to, socklen_t length) {
    COVERED(next_sendto(file, data, size, flags, to, length));
}
ssize_t sendmsg(int file, const struct msghdr *message, int flags) { COVERED(next_sendmsg(file, message, flags)); }
ssize_t pwrite(int file, const void *data, size_t size, off_t at) { COVERED(next_pwrite(file, data, size, at)); }
ssize_t pwrite64(int file, const void *data, size_t size, off64_t at) { COVERED(next_pwrite64(file, data, size, at)); }
int fdatasync(int file) { COVERED(next_fdatasync(file)); }
int fsync(int file) { COVERED(next_fsync(file)); }
