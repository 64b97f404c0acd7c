/*
 * A process that takes a connection just while Postfix reloads cannot report it: master(8) closes
 * the socket for it, read or not, and goes on to count the process as idle until it ends. As long as
 * it counts an idle one, it starts no other for that service. So whoever begins a connection at that
 * moment and keeps it open would keep everybody from port 25, for as long as he likes.
 *
 * This library is loaded before Postfix's own (ld.so(8), /etc/ld.so.preload). It waits until a report
 * has been read. If nobody will read it, the process goes on in a child of its own, which master(8)
 * does not know, and ends itself, which master(8) sees. The child serves its connection and ends
 * after it, for it cannot report that either.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { TAKEN = 0, STATUS_FD = 5 }; /* MASTER_STAT_TAKEN, MASTER_STATUS_FD: src/master/master_proto.h */
enum { STEP_MICROSECONDS = 200, STEPS = 25000 }; /* 5 s: master(8) is not stopped that long */

static int is_lost(void)
{
    struct pollfd socket = {.fd = STATUS_FD, .events = 0};

    for (int step = 0; step < STEPS; step++) {
        int unread = 0, fault = ioctl(STATUS_FD, SIOCOUTQ, &unread);

        /* Asked after: what a closed socket held is gone, so nothing is unread either. */
        if (poll(&socket, 1, 0) > 0)
            return 1;
        if (fault < 0 || unread == 0)
            return 0;
        usleep(STEP_MICROSECONDS);
    }
    return 0;
}

int master_notify(int pid, unsigned generation, int status)
{
    int (*notify)(int, unsigned, int) = (int (*)(int, unsigned, int)) dlsym(RTLD_NEXT, "master_notify");
    int result;

    if (notify == NULL)
        abort();
    result = notify(pid, generation, status);
    /* Without a child, the connection is lost, which is better than the service. */
    if (status == TAKEN && (result < 0 || is_lost()) && fork() != 0)
        _exit(0);
    return result;
}
