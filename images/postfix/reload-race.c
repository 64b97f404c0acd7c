/*
 * A process that takes a connection just while Postfix reloads cannot report it: master(8) closes
 * the socket for it, read or not, and goes on to count the process as idle until it ends. As long as
 * it counts an idle one, it starts no other for that service. So whoever begins a connection at that
 * moment and keeps it open would keep everybody from port 25, for as long as he likes.
 *
 * This library is loaded before Postfix's own (ld.so(8), /etc/ld.so.preload). A process whose report
 * failed, or has not been read when it would wait for its peer, goes on in a child of its own, which
 * master(8) does not know, and ends itself, which master(8) sees. The child serves its connection
 * and ends after it, for it cannot report that either.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { TAKEN = 0, STATUS_FD = 5 }; /* MASTER_STAT_TAKEN, MASTER_STATUS_FD: src/master/master_proto.h */
enum { STEP_MILLISECONDS = 100 };

static int unconfirmed; /* whether the last report was of a connection, and may be unread */

static void *next(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);

    if (found == NULL)
        abort();
    return found;
}

static void detach(void)
{
    /* Without a child, the connection is lost, which is better than the service. */
    if (fork() != 0)
        _exit(0);
    unconfirmed = 0;
}

int master_notify(int pid, unsigned generation, int status)
{
    int result = ((int (*)(int, unsigned, int)) next("master_notify"))(pid, generation, status);

    unconfirmed = status == TAKEN;
    if (unconfirmed && result < 0)
        detach();
    return result;
}

/* Whether the report has still not been read, by a master(8) that may yet read it. */
static int is_unread(int (*next_poll)(struct pollfd *, nfds_t, int))
{
    struct pollfd socket = {.fd = STATUS_FD, .events = 0};
    int unread = 0;

    if (ioctl(STATUS_FD, SIOCOUTQ, &unread) < 0)
        unread = 0;
    /* Asked after: what a closed socket held is gone, so nothing is unread either. */
    if (next_poll(&socket, 1, 0) > 0)
        detach();
    else
        unconfirmed = unread > 0;
    return unconfirmed;
}

int poll(struct pollfd *entries, nfds_t count, int timeout)
{
    int (*next_poll)(struct pollfd *, nfds_t, int) = next("poll");
    int result = 0, step;

    while (unconfirmed && is_unread(next_poll)) {
        step = timeout < 0 || timeout > STEP_MILLISECONDS ? STEP_MILLISECONDS : timeout;
        result = next_poll(entries, count, step);
        if (result != 0 || step == timeout)
            return result;
        if (timeout > 0)
            timeout -= step;
    }
    return next_poll(entries, count, timeout);
}
