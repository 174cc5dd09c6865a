/*
 * The app behind the gateways: a small JSON answer to every request, as fast as one thread can.
 *
 *   upstream PORT
 *
 * GET /bytes/N is answered with N bytes. GET /vary/N, with N in hexadecimal, is answered with 64 to
 * 3903 bytes, by N, and the time of now. A request's body ends by its Content-Length, and is
 * dropped. Upgrade: websocket begins an echo of frames, each shorter than 126 bytes; its handshake
 * answers the sample nonce of RFC 6455 section 1.3, and no other.
 *
 * It listens on loopback until SIGTERM or SIGINT and then exits with status 0. Requests may come in
 * any number of pieces, and several at a time; answers that the socket does not take are sent when
 * it does, and nothing is read until then.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define BACKLOG 4096
#define MAX_EVENTS 256
#define HEAD_BYTES 16384
#define ANSWER_BYTES 512
#define FILLER_BYTES (256 * 1024)
#define LEAST_VARIED_BYTES 64
#define VARIED_BYTES 3840 /* with its head, an answer fits into 4 KiB */
#define DATE_BYTES 32

static const char ANSWER[] =
    "HTTP/1.1 200 OK\r\n"
    "Content-Type: application/json\r\n"
    "Content-Length: 27\r\n"
    "Server: upstream\r\n"
    "Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
    "\r\n"
    "{\"message\":\"Hello, World!\"}";

static const char BYTES[] =
    "HTTP/1.1 200 OK\r\n"
    "Content-Type: application/octet-stream\r\n"
    "Content-Length: %lu\r\n"
    "Server: upstream\r\n"
    "Date: %s\r\n"
    "\r\n";

static const char NEW_YEAR[] = "Thu, 01 Jan 2026 00:00:00 GMT";

static const char SWITCHED[] =
    "HTTP/1.1 101 Switching Protocols\r\n"
    "Upgrade: websocket\r\n"
    "Connection: Upgrade\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
    "\r\n";

struct connection {
    int fd;
    int is_waiting;      /* for room in the socket rather than for requests */
    int is_tunnel;       /* frames come, no requests */
    size_t body_left;    /* bytes of the request's body that are still to come */
    size_t held;         /* bytes in `in` */
    size_t ready, sent;  /* bytes in `out` */
    size_t filler_left;  /* bytes of the answer after those */
    size_t filler_asked; /* for when the request's body has come */
    int is_asked;        /* a whole head has come, and is not answered */
    int is_varied;       /* the answer tells the time of now */
    char in[HEAD_BYTES], out[ANSWER_BYTES];
};

static char filler[FILLER_BYTES];

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

static int owes(const struct connection *connection) {
    return connection->sent < connection->ready || connection->filler_left > 0;
}

static void owe(struct connection *connection, const char *data, size_t size) {
    memcpy(connection->out, data, size);
    connection->ready = size;
    connection->sent = 0;
}

/* Send what is owed, as far as the socket takes it; whether the connection still lives. */
static int send_owed(struct connection *connection) {
    while (owes(connection)) {
        size_t first = connection->ready - connection->sent, left = connection->filler_left;
        struct iovec parts[] = {
            {connection->out + connection->sent, first},
            {filler, left < FILLER_BYTES ? left : FILLER_BYTES},
        };
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = left > 0 ? 2 : 1};
        ssize_t sent = sendmsg(connection->fd, &message, MSG_NOSIGNAL);
        if (sent < 0)
            return errno == EAGAIN || errno == EINTR;
        size_t of_first = (size_t)sent < first ? (size_t)sent : first;
        connection->sent += of_first;
        connection->filler_left -= (size_t)sent - of_first;
    }
    return 1;
}

/* The time of now, written anew once a second. */
static const char *date(void) {
    static char text[DATE_BYTES];
    static time_t written;
    time_t now = time(NULL);
    struct tm parts;
    if (now != written && gmtime_r(&now, &parts) != NULL) {
        strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts);
        written = now;
    }
    return text;
}

static void answer(struct connection *connection) {
    connection->is_asked = 0;
    if (connection->is_tunnel) {
        owe(connection, SWITCHED, sizeof SWITCHED - 1);
    } else if (connection->filler_asked > 0) {
        char head[ANSWER_BYTES];
        int size = snprintf(head, sizeof head, BYTES, (unsigned long)connection->filler_asked,
                            connection->is_varied ? date() : NEW_YEAR);
        owe(connection, head, (size_t)size);
        connection->filler_left = connection->filler_asked;
    } else {
        owe(connection, ANSWER, sizeof ANSWER - 1);
    }
}

/* Forget the first `size` bytes of what came. */
static void drop(struct connection *connection, size_t size) {
    connection->held -= size;
    memmove(connection->in, connection->in + size, connection->held);
}

/* Read a head of `size` bytes, whose lines end in CR LF. */
static void read_head(struct connection *connection, size_t size) {
    static const char PATH[] = "/bytes/", VARIED[] = "/vary/";
    static const char LENGTH[] = "Content-Length:", UPGRADE[] = "Upgrade:";
    const char *head = connection->in, *end = head + size;
    const char *target = memchr(head, ' ', size);
    connection->is_asked = 1;
    connection->body_left = connection->filler_asked = 0;
    connection->is_varied = target != NULL && !strncmp(target + 1, VARIED, sizeof VARIED - 1);
    if (connection->is_varied)
        connection->filler_asked =
            LEAST_VARIED_BYTES + strtoul(target + sizeof VARIED, NULL, 16) % VARIED_BYTES;
    else if (target != NULL && !strncmp(target + 1, PATH, sizeof PATH - 1))
        connection->filler_asked = strtoul(target + sizeof PATH, NULL, 10);
    for (const char *line = head; (line = memchr(line, '\n', (size_t)(end - line))) != NULL;) {
        line++;
        if (!strncasecmp(line, LENGTH, sizeof LENGTH - 1))
            connection->body_left = strtoul(line + sizeof LENGTH - 1, NULL, 10);
        else if (!strncasecmp(line, UPGRADE, sizeof UPGRADE - 1))
            connection->is_tunnel = 1;
    }
}

/* Answer a masked frame with the same, not masked; whether there was a whole one. */
static int echo_frame(struct connection *connection) {
    const unsigned char *in = (unsigned char *)connection->in;
    size_t size = connection->held >= 2 ? in[1] & 0x7f : 0;
    if (connection->held < 6 + size || connection->held < 2)
        return 0;
    unsigned char out[2 + 127] = {in[0], (unsigned char)size};
    for (size_t i = 0; i < size; i++)
        out[2 + i] = in[6 + i] ^ in[2 + i % 4];
    owe(connection, (char *)out, 2 + size);
    drop(connection, 6 + size);
    return 1;
}

/* Go on with what was held; whether something is owed now. */
static int next(struct connection *connection) {
    if (connection->is_tunnel && !connection->is_asked)
        return echo_frame(connection);
    if (!connection->is_asked) {
        const char *end = memmem(connection->in, connection->held, "\r\n\r\n", 4);
        if (end == NULL)
            return 0;
        size_t size = (size_t)(end - connection->in) + 4;
        read_head(connection, size);
        drop(connection, size);
        size_t of_body =
            connection->held < connection->body_left ? connection->held : connection->body_left;
        connection->body_left -= of_body;
        drop(connection, of_body);
    }
    if (connection->body_left > 0)
        return 0;
    answer(connection);
    return 1;
}

/* Take what has arrived; whether the connection still lives. */
static int take(struct connection *connection) {
    static char sink[FILLER_BYTES];
    size_t left = connection->body_left, room = sizeof connection->in - connection->held;
    ssize_t size = left > 0 ? read(connection->fd, sink, left < sizeof sink ? left : sizeof sink)
                            : read(connection->fd, connection->in + connection->held, room);
    if (size < 0)
        return errno == EAGAIN || errno == EINTR;
    if (left > 0)
        connection->body_left -= (size_t)size;
    else
        connection->held += (size_t)size;
    return size > 0; /* with no room for a longer head, too, nothing is read */
}

/* Go on with one connection after an event; whether it still lives. */
static int serve(int epoll, struct connection *connection) {
    if (!owes(connection) && !take(connection))
        return 0;
    do {
        if (!send_owed(connection))
            return 0;
    } while (!owes(connection) && next(connection));
    int must_wait = owes(connection);
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
    memset(filler, 'x', sizeof filler);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    static struct connection listener, stop;
    listener.fd = listen_on(atoi(argv[1]));
    stop.fd = stop_signal();
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
