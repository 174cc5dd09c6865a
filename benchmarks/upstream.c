/*
 * The app behind the gateways: one small JSON answer to every request, as fast as one thread can.
 *
 *   upstream PORT
 *
 * It listens on loopback until SIGTERM or SIGINT and then exits with status 0. A request ends where
 * its head does: bodies are not expected. Heads may come in any number of pieces, and several at a
 * time; answers that the socket does not take are sent when it does, and nothing is read until then.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 1024
#define MAX_EVENTS 256

static const char ANSWER[] =
    "HTTP/1.1 200 OK\r\n"
    "Content-Type: application/json\r\n"
    "Content-Length: 27\r\n"
    "Server: upstream\r\n"
    "Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
    "\r\n"
    "{\"message\":\"Hello, World!\"}";

static const char END_OF_HEAD[] = "\r\n\r\n";

enum { ANSWER_BYTES = sizeof ANSWER - 1, END_BYTES = sizeof END_OF_HEAD - 1 };

struct connection {
    int fd;
    int matched;    /* bytes of END_OF_HEAD that the last read ended with */
    size_t owed;    /* bytes of answers that are still to be sent */
    int is_waiting; /* for room in the socket rather than for requests */
};

static void die(const char *what) {
    perror(what);
    exit(EXIT_FAILURE);
}

static void watch(int epoll, int operation, struct connection *connection, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = connection};
    if (epoll_ctl(epoll, operation, connection->fd, &event) < 0)
        die("epoll_ctl");
}

static void hang_up(struct connection *connection) {
    close(connection->fd); /* which takes it out of the epoll set */
    free(connection);
}

/* How many heads end in `data`; the connection remembers an end that is cut in two. */
static size_t heads_ended(struct connection *connection, const char *data, size_t size) {
    size_t ended = 0;
    for (size_t i = 0; i < size; i++) {
        if (data[i] == END_OF_HEAD[connection->matched])
            connection->matched++;
        else
            connection->matched = data[i] == '\r';
        if (connection->matched == END_BYTES) {
            connection->matched = 0;
            ended++;
        }
    }
    return ended;
}

/* Send what is owed, as far as the socket takes it; whether the connection still lives. */
static int send_owed(struct connection *connection) {
    while (connection->owed > 0) {
        size_t rest = connection->owed % ANSWER_BYTES; /* of an answer that was cut short */
        size_t size = rest ? rest : ANSWER_BYTES;
        ssize_t sent =
            send(connection->fd, ANSWER + ANSWER_BYTES - size, size, MSG_NOSIGNAL);
        if (sent < 0)
            return errno == EAGAIN || errno == EINTR;
        connection->owed -= (size_t)sent;
    }
    return 1;
}

/* Go on with one connection after an event; whether it still lives. */
static int serve(int epoll, struct connection *connection) {
    static char data[64 * 1024];
    if (connection->owed == 0) {
        ssize_t size = read(connection->fd, data, sizeof data);
        if (size < 0)
            return errno == EAGAIN || errno == EINTR;
        if (size == 0)
            return 0;
        connection->owed = heads_ended(connection, data, (size_t)size) * ANSWER_BYTES;
    }
    if (!send_owed(connection))
        return 0;
    int must_wait = connection->owed > 0;
    if (must_wait != connection->is_waiting) {
        connection->is_waiting = must_wait;
        watch(epoll, EPOLL_CTL_MOD, connection, must_wait ? EPOLLOUT : EPOLLIN);
    }
    return 1;
}

static void accept_all(int epoll, int listener) {
    int fd, on = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct connection *connection = calloc(1, sizeof *connection);
        if (connection == NULL)
            die("calloc");
        connection->fd = fd;
        watch(epoll, EPOLL_CTL_ADD, connection, EPOLLIN);
    }
}

static int listen_on(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    if (fd < 0)
        die("socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, BACKLOG) < 0)
        die("listen");
    return fd;
}

/* A descriptor that becomes readable when the program is told to stop. */
static int stop_signal(void) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    int fd = signalfd(-1, &signals, SFD_CLOEXEC);
    if (fd < 0)
        die("signalfd");
    return fd;
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: %s PORT\n", argv[0]);
        return 2;
    }
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct connection listener = {.fd = listen_on(atoi(argv[1]))}, stop = {.fd = stop_signal()};
    watch(epoll, EPOLL_CTL_ADD, &listener, EPOLLIN);
    watch(epoll, EPOLL_CTL_ADD, &stop, EPOLLIN);
    for (;;) {
        struct epoll_event events[MAX_EVENTS];
        int count = epoll_wait(epoll, events, MAX_EVENTS, -1);
        for (int i = 0; i < count; i++) {
            struct connection *connection = events[i].data.ptr;
            if (connection == &stop)
                return EXIT_SUCCESS;
            if (connection == &listener)
                accept_all(epoll, listener.fd);
            else if (!serve(epoll, connection))
                hang_up(connection);
        }
    }
}
